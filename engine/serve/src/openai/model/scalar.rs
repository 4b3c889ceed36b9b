//! Values that may come in several shapes. Each says in its errors what it takes, and none keeps more than it needs.

use std::fmt;

use base::TokenId;
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor};

/// Prompts of one request: as many as `OpenAI` takes texts to embed. No evaluation harness sends more in a batch.
const PROMPTS_MAX: usize = 2048;
/// More than a stop list may have, so that the limit's own message is given, not this one's.
const STRINGS_MAX: usize = 1024;

/// Beyond it a number with a point is not known to the last digit.
const WHOLE_MAX: f64 = (1_u64 << 53) as f64;

/// A count that is not negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count(pub(crate) u32);

/// Any number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Number(pub(crate) f64);

/// A seed: any integer of 64 bits, signed or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seed(pub(crate) u64);

/// One string, or a list of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Strings(pub(crate) Vec<String>);

/// The prompts of a completion, or what to embed; never empty lists of lists, but a prompt itself may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Prompts {
    /// As text.
    Texts(Vec<String>),
    /// As tokens.
    Tokens(Vec<Vec<TokenId>>),
}

/// As much of a value as is needed to tell a setting that changes nothing from one that asks for something.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shallow {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(f64),
    /// A string.
    Text(String),
    /// A list with anything in it, or nothing.
    List {
        /// Whether nothing is in it.
        empty: bool,
    },
    /// An object.
    Object {
        /// Whether it has no fields.
        empty: bool,
        /// Its `type`, if that is a string.
        kind: Option<String>,
    },
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct OfCount;
        impl Visitor<'_> for OfCount {
            type Value = Count;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number that is not negative")
            }
            fn visit_u64<E: Error>(self, value: u64) -> Result<Count, E> {
                // What is too large for any context is as good as the largest.
                Ok(Count(u32::try_from(value).unwrap_or(u32::MAX)))
            }
            fn visit_f64<E: Error>(self, value: f64) -> Result<Count, E> {
                // JSON has one kind of number: 2.0 is as whole as 2.
                let whole = value >= 0.0 && value.fract() == 0.0;
                let wrong = || E::invalid_type(Unexpected::Float(value), &self);
                whole.then_some(Count(value as u32)).ok_or_else(wrong)
            }
        }
        json.deserialize_u64(OfCount)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct OfNumber;
        impl Visitor<'_> for OfNumber {
            type Value = Number;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }
            fn visit_u64<E: Error>(self, value: u64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }
            fn visit_i64<E: Error>(self, value: i64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }
            fn visit_f64<E: Error>(self, value: f64) -> Result<Number, E> {
                Ok(Number(value))
            }
        }
        json.deserialize_f64(OfNumber)
    }
}

impl<'de> Deserialize<'de> for Seed {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct OfSeed;
        impl Visitor<'_> for OfSeed {
            type Value = Seed;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number of at most 64 bits")
            }
            fn visit_u64<E: Error>(self, value: u64) -> Result<Seed, E> {
                Ok(Seed(value))
            }
            fn visit_i64<E: Error>(self, value: i64) -> Result<Seed, E> {
                Ok(Seed(value as u64))
            }
            fn visit_f64<E: Error>(self, value: f64) -> Result<Seed, E> {
                let whole = value.abs() <= WHOLE_MAX && value.fract() == 0.0;
                let wrong = || E::invalid_type(Unexpected::Float(value), &self);
                whole.then_some(Seed(value as i64 as u64)).ok_or_else(wrong)
            }
        }
        json.deserialize_any(OfSeed)
    }
}

impl<'de> Deserialize<'de> for Strings {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct OfStrings;
        impl<'de> Visitor<'de> for OfStrings {
            type Value = Strings;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Strings, E> {
                Ok(Strings(vec![text.to_string()]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Strings, A::Error> {
                let mut strings = Vec::new();
                while let Some(text) = list.next_element()? {
                    check_length(strings.len(), STRINGS_MAX, "strings")?;
                    strings.push(text);
                }
                Ok(Strings(strings))
            }
        }
        json.deserialize_any(OfStrings)
    }
}

/// An element of a list of prompts.
enum Prompt {
    Text(String),
    Token(TokenId),
    Tokens(Vec<TokenId>),
}

impl<'de> Deserialize<'de> for Prompt {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct OfPrompt;
        impl<'de> Visitor<'de> for OfPrompt {
            type Value = Prompt;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, a token id or a list of token ids")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Prompt, E> {
                Ok(Prompt::Text(text.to_string()))
            }
            fn visit_u64<E: Error>(self, token: u64) -> Result<Prompt, E> {
                // No vocabulary has as many: the gateway refuses it with the size of the model's.
                Ok(Prompt::Token(
                    TokenId::try_from(token).unwrap_or(TokenId::MAX),
                ))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Prompt, A::Error> {
                let mut tokens = Vec::new();
                while let Some(Count(token)) = list.next_element()? {
                    tokens.push(token);
                }
                Ok(Prompt::Tokens(tokens))
            }
        }
        json.deserialize_any(OfPrompt)
    }
}

impl<'de> Deserialize<'de> for Prompts {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct OfPrompts;
        impl<'de> Visitor<'de> for OfPrompts {
            type Value = Prompts;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a string, a list of strings, a list of token ids or a list of such lists",
                )
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Prompts, E> {
                Ok(Prompts::Texts(vec![text.to_string()]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Prompts, A::Error> {
                match list.next_element()? {
                    None => Ok(Prompts::Texts(Vec::new())),
                    Some(Prompt::Text(first)) => texts(first, list),
                    Some(Prompt::Token(first)) => tokens(first, list),
                    Some(Prompt::Tokens(first)) => token_lists(first, list),
                }
            }
        }
        json.deserialize_any(OfPrompts)
    }
}

fn texts<'de, A: SeqAccess<'de>>(first: String, mut list: A) -> Result<Prompts, A::Error> {
    let mut texts = vec![first];
    while let Some(text) = list.next_element()? {
        check_length(texts.len(), PROMPTS_MAX, "texts")?;
        texts.push(text);
    }
    Ok(Prompts::Texts(texts))
}

fn tokens<'de, A: SeqAccess<'de>>(first: TokenId, mut list: A) -> Result<Prompts, A::Error> {
    let mut tokens = vec![first];
    while let Some(Count(token)) = list.next_element()? {
        tokens.push(token);
    }
    Ok(Prompts::Tokens(vec![tokens]))
}

fn token_lists<'de, A: SeqAccess<'de>>(
    first: Vec<TokenId>,
    mut list: A,
) -> Result<Prompts, A::Error> {
    let mut lists = vec![first];
    while let Some(tokens) = list.next_element::<Vec<Count>>()? {
        check_length(lists.len(), PROMPTS_MAX, "lists of tokens")?;
        lists.push(tokens.into_iter().map(|Count(token)| token).collect());
    }
    Ok(Prompts::Tokens(lists))
}

fn check_length<E: Error>(length: usize, max: usize, of: &str) -> Result<(), E> {
    if length < max {
        return Ok(());
    }
    Err(E::custom(format_args!("at most {max} {of} are allowed")))
}

impl<'de> Deserialize<'de> for Shallow {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(OfShallow)
    }
}

struct OfShallow;

impl<'de> Visitor<'de> for OfShallow {
    type Value = Shallow;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Shallow, E> {
        Ok(Shallow::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Shallow, E> {
        Ok(Shallow::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Shallow, E> {
        Ok(Shallow::Number(value as f64))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Shallow, E> {
        Ok(Shallow::Number(value as f64))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Shallow, E> {
        Ok(Shallow::Number(value))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Shallow, E> {
        Ok(Shallow::Text(text.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Shallow, A::Error> {
        let mut empty = true;
        while list.next_element::<IgnoredAny>()?.is_some() {
            empty = false;
        }
        Ok(Shallow::List { empty })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shallow, A::Error> {
        let (mut empty, mut kind) = (true, None);
        while let Some(name) = map.next_key::<String>()? {
            empty = false;
            if name == "type" {
                kind = map.next_value::<TypeName>()?.0;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Shallow::Object { empty, kind })
    }
}

/// A string, or something else that is passed over.
struct TypeName(Option<String>);

impl<'de> Deserialize<'de> for TypeName {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        Ok(match Shallow::deserialize(json)? {
            Shallow::Text(name) => Self(Some(name)),
            Shallow::Null
            | Shallow::Bool(_)
            | Shallow::Number(_)
            | Shallow::List { .. }
            | Shallow::Object { .. } => Self(None),
        })
    }
}
