//! The bytes behind every token id, worked out once from the tokenizer's own decoder.
//!
//! With it text can be made token by token, without decoding the same tokens again and again, and a token's bytes can be
//! reported beside its log-probability even where they are half a character.

use std::collections::HashMap;

use base::TokenId;
use serde_json::Value;

/// The bytes of every token of a vocabulary, and which tokens are special (never part of an answer's text).
#[derive(Debug, Clone)]
pub struct TokenBytes {
    bytes: Vec<u8>,
    /// Token i is `bytes[starts[i]..starts[i + 1]]`.
    starts: Vec<u32>,
    special: Vec<bool>,
    strips_leading_space: bool,
}

/// Why the bytes of a tokenizer's tokens are unknown.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TokenBytesError {
    /// The decoder is of a kind that no supported model family uses.
    #[error(
        "the tokenizer's decoder ({0}) is not supported (hint: byte-level BPE and SentencePiece tokenizers are)"
    )]
    UnsupportedDecoder(String),
    /// Ids beyond any real vocabulary.
    #[error(
        "the tokenizer has token id {id}, and at most {max} is allowed (hint: its tokenizer.json is damaged)"
    )]
    IdTooLarge {
        /// The id found.
        id: TokenId,
        /// The largest allowed.
        max: TokenId,
    },
}

/// Eight times the largest vocabulary known, so that a damaged file cannot make the table huge.
const TOKEN_ID_MAX: TokenId = 2_000_000;

/// How a vocabulary writes bytes as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spelling {
    /// Every byte is one printable character (GPT-2's table).
    ByteLevel,
    /// Spaces are `▁`, bytes outside the vocabulary are `<0xAB>`.
    SentencePiece { byte_fallback: bool },
}

impl TokenBytes {
    /// The table of a `tokenizers` tokenizer.
    pub fn new(tokenizer: &tokenizers::Tokenizer) -> Result<Self, TokenBytesError> {
        let decoder = serde_json::to_value(tokenizer.get_decoder()).unwrap_or(Value::Null);
        let (spelling, strips_leading_space) = read_decoder(&decoder)?;
        let added = tokenizer.get_added_tokens_decoder();
        let vocabulary = tokenizer.get_vocab(true);
        let highest = vocabulary.values().chain(added.keys()).copied().max();
        let count = highest.map_or(0, |id| id + 1);
        if count > TOKEN_ID_MAX {
            return Err(TokenBytesError::IdTooLarge {
                id: count - 1,
                max: TOKEN_ID_MAX - 1,
            });
        }
        let mut texts: Vec<&str> = vec![""; count as usize];
        for (text, id) in &vocabulary {
            texts[*id as usize] = text;
        }
        let characters = byte_level_characters();
        let mut table = Self {
            bytes: Vec::new(),
            starts: vec![0],
            special: Vec::with_capacity(count as usize),
            strips_leading_space,
        };
        for id in 0..count {
            let bytes = match added.get(&id) {
                Some(token) => token.content.as_bytes().to_vec(),
                None => spelling.bytes(texts[id as usize], &characters),
            };
            table.bytes.extend_from_slice(&bytes);
            table.starts.push(table.bytes.len() as u32);
            table
                .special
                .push(added.get(&id).is_some_and(|token| token.special));
        }
        Ok(table)
    }

    /// The bytes of a token: possibly part of a character. `None` if there is no such token.
    pub fn get(&self, token: TokenId) -> Option<&[u8]> {
        let start = *self.starts.get(token as usize)?;
        let end = *self.starts.get(token as usize + 1)?;
        Some(&self.bytes[start as usize..end as usize])
    }

    /// Whether the token is a mark (end of turn and the like) that is never part of an answer's text.
    pub fn is_special(&self, token: TokenId) -> bool {
        self.special.get(token as usize).copied().unwrap_or(false)
    }

    /// One more than the highest token id.
    pub fn token_count(&self) -> u32 {
        self.special.len() as u32
    }

    /// Whether the first token of a text begins with a space that is not part of the text.
    pub fn strips_leading_space(&self) -> bool {
        self.strips_leading_space
    }
}

impl Spelling {
    fn bytes(self, text: &str, characters: &HashMap<char, u8>) -> Vec<u8> {
        match self {
            Self::ByteLevel => {
                let mapped: Option<Vec<u8>> =
                    text.chars().map(|c| characters.get(&c).copied()).collect();
                mapped.unwrap_or_else(|| text.as_bytes().to_vec())
            }
            Self::SentencePiece { byte_fallback } => match parse_byte(text) {
                Some(byte) if byte_fallback => vec![byte],
                _ => text.replace('▁', " ").into_bytes(),
            },
        }
    }
}

/// `<0xAB>` as a byte.
fn parse_byte(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() != 2 {
        return None;
    }
    u8::from_str_radix(digits, 16).ok()
}

/// GPT-2's table: printable Latin-1 characters stand for themselves, the rest for characters from U+0100 on.
fn byte_level_characters() -> HashMap<char, u8> {
    let mut next = 0x100;
    (0..=u8::MAX)
        .map(|byte| match byte {
            b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF => (char::from(byte), byte),
            _ => {
                let character = char::from_u32(next).expect("0x100 to 0x144 are characters");
                next += 1;
                (character, byte)
            }
        })
        .collect()
}

/// The spelling that a decoder undoes, and whether it strips a text's first space.
fn read_decoder(decoder: &Value) -> Result<(Spelling, bool), TokenBytesError> {
    let unsupported = || TokenBytesError::UnsupportedDecoder(kind(decoder).to_owned());
    let steps: Vec<&Value> = match kind(decoder) {
        "Sequence" => decoder["decoders"]
            .as_array()
            .map(|steps| steps.iter().collect())
            .unwrap_or_default(),
        _ => vec![decoder],
    };
    let mut spelling = None;
    let mut strips = false;
    for step in steps {
        match kind(step) {
            "ByteLevel" => spelling = Some(Spelling::ByteLevel),
            "Metaspace" => {
                spelling.get_or_insert(Spelling::SentencePiece {
                    byte_fallback: false,
                });
                strips |= step["prepend_scheme"] != "never"
                    && step["add_prefix_space"] != Value::Bool(false);
            }
            "Replace" if step["pattern"]["String"] == "▁" && step["content"] == " " => {
                spelling.get_or_insert(Spelling::SentencePiece {
                    byte_fallback: false,
                });
            }
            "ByteFallback" => {
                spelling = Some(Spelling::SentencePiece {
                    byte_fallback: true,
                });
            }
            "Strip" => strips |= step["content"] == " " && step["start"].as_u64() >= Some(1),
            "Fuse" => {}
            _ => return Err(unsupported()),
        }
    }
    spelling
        .map(|spelling| (spelling, strips))
        .ok_or_else(unsupported)
}

fn kind(decoder: &Value) -> &str {
    decoder["type"].as_str().unwrap_or("none")
}
