//! Filling in the middle: how models that were taught it are shown what stands before a gap and what after it.
//!
//! Each family has marks of its own, which are tokens of its vocabulary: by them it is known. Never: a model's name.

use base::TokenId;

use crate::{Framing, Tokenizer, TokenizerError};

/// Marks of a family, in the order in which a prompt has them.
struct Family {
    /// Before the first of the two texts.
    first: &'static str,
    /// Before the second.
    second: &'static str,
    /// After both, if there is one.
    last: Option<&'static str>,
    /// What comes after the gap stands first.
    suffix_first: bool,
    /// What ends what is filled in, besides the end of a text and these marks.
    ends: &'static [&'static str],
}

/// The usual order: what is before, what is after, the gap.
const fn usual(
    first: &'static str,
    second: &'static str,
    last: &'static str,
    ends: &'static [&'static str],
) -> Family {
    Family {
        first,
        second,
        last: Some(last),
        suffix_first: false,
        ends,
    }
}

/// From the technical reports and model cards of their makers.
const FAMILIES: [Family; 7] = [
    // Qwen2.5-Coder, Qwen3-Coder, CodeGemma.
    usual(
        "<|fim_prefix|>",
        "<|fim_suffix|>",
        "<|fim_middle|>",
        &[
            "<|fim_pad|>",
            "<|repo_name|>",
            "<|file_sep|>",
            "<|file_separator|>",
            "<|endoftext|>",
        ],
    ),
    // StarCoder, StarCoder2, Granite.
    usual(
        "<fim_prefix>",
        "<fim_suffix>",
        "<fim_middle>",
        &["<fim_pad>", "<file_sep>", "<repo_name>"],
    ),
    // DeepSeek-Coder, DeepSeek-V3.
    usual("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>", &[]),
    // CodeLlama.
    usual("▁<PRE>", "▁<SUF>", "▁<MID>", &["▁<EOT>"]),
    // GLM-4, CodeGeeX4.
    usual("<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>", &[]),
    // Codestral, Devstral.
    Family {
        first: "[SUFFIX]",
        second: "[PREFIX]",
        last: None,
        suffix_first: true,
        ends: &[],
    },
    // Seed-Coder.
    Family {
        first: "<[fim-suffix]>",
        second: "<[fim-prefix]>",
        last: Some("<[fim-middle]>"),
        suffix_first: true,
        ends: &[],
    },
];

/// How a model is asked to fill in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InfillFormat {
    first: TokenId,
    second: TokenId,
    last: Option<TokenId>,
    suffix_first: bool,
    ends: Vec<TokenId>,
}

impl InfillFormat {
    /// The format whose marks a vocabulary has; `None` for a model that was not taught it.
    pub fn of(tokenizer: &Tokenizer) -> Option<Self> {
        FAMILIES.iter().find_map(|family| {
            let (first, second) = (
                tokenizer.token(family.first)?,
                tokenizer.token(family.second)?,
            );
            let last = match family.last {
                Some(mark) => Some(tokenizer.token(mark)?),
                None => None,
            };
            let ends = family.ends.iter().filter_map(|end| tokenizer.token(end));
            Some(Self {
                first,
                second,
                last,
                suffix_first: family.suffix_first,
                ends: ends.chain([first, second]).chain(last).collect(),
            })
        })
    }

    /// The tokens that what stands in the gap between the texts goes on from.
    pub fn prompt(
        &self,
        tokenizer: &Tokenizer,
        prefix: &str,
        suffix: &str,
    ) -> Result<Vec<TokenId>, TokenizerError> {
        let texts = if self.suffix_first {
            [suffix, prefix]
        } else {
            [prefix, suffix]
        };
        // What any text of its own begins with.
        let mut tokens = tokenizer.encode("", Framing::Whole)?;
        for (mark, text) in [self.first, self.second].into_iter().zip(texts) {
            tokens.push(mark);
            tokens.extend(tokenizer.encode(text, Framing::Bare)?);
        }
        tokens.extend(self.last);
        Ok(tokens)
    }

    /// Tokens that end what is filled in, besides the model's own.
    pub fn ends(&self) -> &[TokenId] {
        &self.ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SpecialTokens;
    use serde_json::{Value, json};

    /// A tokenizer of letters, with these marks after them.
    fn with_marks(marks: &[&str]) -> Tokenizer {
        let vocabulary: serde_json::Map<String, Value> = ('a'..='e')
            .zip(0..)
            .map(|(letter, id)| (letter.to_string(), json!(id)))
            .collect();
        let added: Vec<Value> = marks
            .iter()
            .zip(5..)
            .map(|(mark, id)| {
                json!({"id": id, "content": mark, "special": true, "single_word": false, "lstrip": false,
                       "rstrip": false, "normalized": false})
            })
            .collect();
        let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
        let tokenizer = json!({
            "version": "1.0", "added_tokens": added, "pre_tokenizer": bytes, "decoder": bytes,
            "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
        });
        Tokenizer::from_json(tokenizer.to_string().as_bytes(), SpecialTokens::default()).unwrap()
    }

    #[test]
    fn each_family_is_known_by_its_marks() {
        let qwen = with_marks(&[
            "<|fim_middle|>",
            "<|fim_prefix|>",
            "<|fim_suffix|>",
            "<|file_sep|>",
        ]);
        let format = InfillFormat::of(&qwen).unwrap();
        assert_eq!(format.prompt(&qwen, "ab", "c").unwrap(), [6, 0, 1, 7, 2, 5]);
        assert_eq!(format.ends(), [8, 6, 7, 5]);
        let codestral = with_marks(&["[PREFIX]", "[SUFFIX]"]);
        let format = InfillFormat::of(&codestral).unwrap();
        assert_eq!(
            format.prompt(&codestral, "ab", "c").unwrap(),
            [6, 2, 5, 0, 1]
        );
        assert_eq!(InfillFormat::of(&with_marks(&["<fim_prefix>"])), None);
    }
}
