//! Values that may come in several shapes.

use std::fmt;
use std::time::Duration;

use base::{Effort, KeepAlive};
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, SeqAccess, Visitor};

/// How long a model stays loaded: seconds, or a duration as Go writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ollama) struct KeepAliveIn(pub(in crate::ollama) KeepAlive);

/// Whether and how much to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ollama) struct ThinkIn(pub(in crate::ollama) Effort);

impl ThinkIn {
    /// Whether a model that does not think is to say so.
    pub(in crate::ollama) fn must(self) -> bool {
        let Self(effort) = self;
        effort != Effort::Off
    }
}

/// Whether there are pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ollama) struct Images {
    pub(in crate::ollama) any: bool,
}

/// A text or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ollama) struct License(pub(in crate::ollama) String);

impl<'de> Deserialize<'de> for KeepAliveIn {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct OfKeepAlive;
        impl Visitor<'_> for OfKeepAlive {
            type Value = KeepAliveIn;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("seconds, or a duration like \"5m\"")
            }
            fn visit_u64<E: Error>(self, value: u64) -> Result<KeepAliveIn, E> {
                Ok(seconds(value as f64))
            }
            fn visit_i64<E: Error>(self, value: i64) -> Result<KeepAliveIn, E> {
                Ok(seconds(value as f64))
            }
            fn visit_f64<E: Error>(self, value: f64) -> Result<KeepAliveIn, E> {
                Ok(seconds(value))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<KeepAliveIn, E> {
                let read = text.parse().ok().or_else(|| go_duration(text));
                read.map(seconds).ok_or_else(|| {
                    E::custom("must be seconds, or a duration like \"5m\" or \"1h30m\"")
                })
            }
        }
        json.deserialize_any(OfKeepAlive)
    }
}

/// Less than nothing is for ever, and so is more than anybody waits.
fn seconds(seconds: f64) -> KeepAliveIn {
    let kept = Duration::try_from_secs_f64(seconds);
    KeepAliveIn(kept.map_or(KeepAlive::Forever, KeepAlive::For))
}

/// Seconds of a duration as Go's `time.ParseDuration` reads it: numbers, each with its unit.
fn go_duration(text: &str) -> Option<f64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest.is_empty() {
        return None;
    }
    let mut sum = 0.0;
    // Ends: each round takes a number and a unit away.
    while !rest.is_empty() {
        let is_number = |letter: char| letter.is_ascii_digit() || letter == '.';
        let (number, after) = rest.split_at(rest.find(|letter| !is_number(letter))?);
        let (unit, after) = after.split_at(after.find(is_number).unwrap_or(after.len()));
        let unit_seconds = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" | "μs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        let number: f64 = number.parse().ok()?;
        sum += number * unit_seconds;
        rest = after;
    }
    Some(sign * sum)
}

impl<'de> Deserialize<'de> for ThinkIn {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct OfThink;
        const EXPECTED: &str = "true, false, \"low\", \"medium\", \"high\" or \"max\"";
        impl Visitor<'_> for OfThink {
            type Value = ThinkIn;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }
            fn visit_bool<E: Error>(self, thinks: bool) -> Result<ThinkIn, E> {
                Ok(ThinkIn(if thinks { Effort::Medium } else { Effort::Off }))
            }
            fn visit_str<E: Error>(self, level: &str) -> Result<ThinkIn, E> {
                match level {
                    "low" => Ok(ThinkIn(Effort::Low)),
                    "medium" => Ok(ThinkIn(Effort::Medium)),
                    "high" | "max" => Ok(ThinkIn(Effort::High)),
                    _ => Err(E::custom(format_args!("must be {EXPECTED}"))),
                }
            }
        }
        json.deserialize_any(OfThink)
    }
}

impl<'de> Deserialize<'de> for Images {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct OfImages;
        impl<'de> Visitor<'de> for OfImages {
            type Value = Images;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of images")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Images, A::Error> {
                let mut any = false;
                while list.next_element::<IgnoredAny>()?.is_some() {
                    any = true;
                }
                Ok(Images { any })
            }
        }
        json.deserialize_seq(OfImages)
    }
}

impl<'de> Deserialize<'de> for License {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct OfLicense;
        impl<'de> Visitor<'de> for OfLicense {
            type Value = License;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<License, E> {
                Ok(License(text.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<License, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = list.next_element::<String>()? {
                    texts.push(text);
                }
                Ok(License(texts.join("\n")))
            }
        }
        json.deserialize_any(OfLicense)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: Option<KeepAlive>) {
        let read = serde_json::from_str::<KeepAliveIn>(json).ok();
        assert_eq!(read.map(|KeepAliveIn(kept)| kept), expected, "{json}");
    }

    #[test]
    fn durations_as_go_writes_them() {
        let ms = |ms| Some(KeepAlive::For(Duration::from_millis(ms)));
        for (json, kept) in [
            ("300", ms(300_000)),
            ("0", ms(0)),
            ("0.5", ms(500)),
            ("\"5m\"", ms(300_000)),
            ("\"5m0s\"", ms(300_000)),
            ("\"1h30m\"", ms(5_400_000)),
            ("\"1.5s\"", ms(1500)),
            ("\"250ms\"", ms(250)),
            ("\"0\"", ms(0)),
            ("\"0s\"", ms(0)),
            ("\"90\"", ms(90_000)),
            ("-1", Some(KeepAlive::Forever)),
            ("\"-1\"", Some(KeepAlive::Forever)),
            ("\"-1m\"", Some(KeepAlive::Forever)),
            ("1e300", Some(KeepAlive::Forever)),
            ("\"NaN\"", Some(KeepAlive::Forever)),
            ("\"\"", None),
            ("\"m\"", None),
            ("\"5x\"", None),
            ("\"5m5\"", None),
            ("\"1..5s\"", None),
            ("true", None),
            ("[]", None),
        ] {
            check(json, kept);
        }
    }
}
