//! Vocabularies of random models: every byte, and made-up merges.

use serde_json::{Map, Value, json};

use crate::random::Random;

/// Ends an answer.
pub const END: &str = "<|end|>";

/// What a vocabulary of bytes is likely to join, so that tokens of several bytes cross the borders within JSON.
const LIKELY: &[u8] = br#"{}[]":, truefalsnmxy0123456789-.eE\ "#;

/// Which family of tokenizers a vocabulary is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// GPT-2's: bytes in disguise.
    ByteLevel,
    /// Llama 2's: characters, and bytes for what is not among them.
    SentencePiece,
}

/// A tokenizer's vocabulary in the making.
#[derive(Debug, Clone)]
pub struct Vocabulary {
    kind: Kind,
    /// The pieces in the order of their ids, as they are written in the file.
    pieces: Vec<String>,
    merges: Vec<Value>,
}

impl Vocabulary {
    /// All bytes and `END`.
    pub fn of_bytes(kind: Kind) -> Self {
        let pieces = match kind {
            Kind::ByteLevel => (0..=255).map(|byte| disguised(&[byte])).collect(),
            Kind::SentencePiece => {
                let bytes = (0..=255).map(|byte: u8| format!("<0x{byte:02X}>"));
                let letters = LIKELY.iter().filter(|byte| **byte != b' ');
                let mut pieces: Vec<String> = bytes.collect();
                pieces.push("▁".to_owned());
                for letter in letters {
                    let letter = char::from(*letter).to_string();
                    if !pieces.contains(&letter) {
                        pieces.push(letter);
                    }
                }
                pieces
            }
        };
        Self {
            kind,
            pieces,
            merges: Vec::new(),
        }
    }

    /// With up to `merges` random merges of two pieces.
    pub fn random(kind: Kind, merges: usize, random: &mut Random) -> Self {
        let mut vocabulary = Self::of_bytes(kind);
        let first = vocabulary.pieces.len();
        let letters: Vec<usize> = (0..first)
            .filter(|at| {
                let likely = |byte: &u8| vocabulary.pieces[*at] == vocabulary.letter(*byte);
                LIKELY.iter().any(likely)
            })
            .collect();
        for _ in 0..merges {
            let made = vocabulary.pieces.len() - first;
            let mut pick = || match random.below(3) {
                0 if made > 0 => first + random.below(made),
                _ => *random.of(&letters),
            };
            let (left, right) = (pick(), pick());
            let (left, right) = (&vocabulary.pieces[left], &vocabulary.pieces[right]);
            let piece = format!("{left}{right}");
            if !vocabulary.pieces.contains(&piece) {
                vocabulary.merges.push(json!([left, right]));
                vocabulary.pieces.push(piece);
            }
        }
        vocabulary
    }

    /// The id of a letter of ASCII.
    pub fn id(&self, letter: u8) -> u32 {
        let written = self.letter(letter);
        let place = self.pieces.iter().position(|piece| *piece == written);
        place.unwrap_or(usize::from(letter)) as u32
    }

    /// The id of [`END`].
    pub fn end(&self) -> u32 {
        self.pieces.len() as u32
    }

    /// How many tokens there are.
    pub fn token_count(&self) -> usize {
        self.pieces.len() + 1
    }

    /// `tokenizer.json`.
    pub fn tokenizer(&self) -> Value {
        let numbered = self.pieces.iter().zip(0..);
        let vocabulary: Map<String, Value> = numbered
            .map(|(piece, id): (_, u32)| (piece.clone(), json!(id)))
            .collect();
        let (normalizer, before, decoder) = self.stages();
        json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [mark(self.end())],
            "normalizer": normalizer, "pre_tokenizer": before, "post_processor": null, "decoder": decoder,
            "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": self.kind == Kind::SentencePiece,
                "vocab": vocabulary, "merges": self.merges},
        })
    }

    /// What happens to a text before and after.
    fn stages(&self) -> (Value, Value, Value) {
        match self.kind {
            Kind::ByteLevel => {
                let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
                (Value::Null, bytes.clone(), bytes)
            }
            Kind::SentencePiece => {
                let to = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
                let from = json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "});
                let prepend = json!({"type": "Prepend", "prepend": "▁"});
                let strip = json!({"type": "Strip", "content": " ", "start": 1, "stop": 0});
                (
                    json!({"type": "Sequence", "normalizers": [prepend, to]}),
                    Value::Null,
                    json!({"type": "Sequence", "decoders": [from, {"type": "ByteFallback"}, {"type": "Fuse"}, strip]}),
                )
            }
        }
    }

    /// A letter as it is written in the file.
    fn letter(&self, letter: u8) -> String {
        match (self.kind, letter) {
            (Kind::ByteLevel, letter) => disguised(&[letter]),
            (Kind::SentencePiece, b' ') => "▁".to_owned(),
            (Kind::SentencePiece, letter) => char::from(letter).to_string(),
        }
    }
}

fn mark(id: u32) -> Value {
    json!({"id": id, "content": END, "single_word": false, "lstrip": false, "rstrip": false,
        "normalized": false, "special": true})
}

/// Bytes as GPT-2's tokenizers write them: each is one letter that can be seen.
fn disguised(bytes: &[u8]) -> String {
    let seen = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let letter = |byte: &u8| {
        if seen(*byte) {
            return char::from(*byte);
        }
        let unseen = (0..*byte).filter(|before| !seen(*before)).count();
        char::from_u32(0x100 + unseen as u32).unwrap_or(char::REPLACEMENT_CHARACTER)
    };
    bytes.iter().map(letter).collect()
}
