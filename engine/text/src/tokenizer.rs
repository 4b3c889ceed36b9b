//! A model's tokenizer: text to tokens, and what each token stands for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use base::TokenId;
use serde_json::Value;
use tokenizers::{Encoding, PostProcessor, TruncationDirection};

use crate::grammar::{GrammarError, Vocabulary};
use crate::{SpecialTokens, TokenBytes, TokenBytesError};

/// A tokenizer with the table of its tokens' bytes. Cheap to share behind an `Arc`; nothing in it changes.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: Arc<tokenizers::Tokenizer>,
    table: TokenBytes,
    special: SpecialTokens,
    stop_tokens: Vec<TokenId>,
    /// For grammars: made when the first one comes, because it takes time and memory.
    vocabulary: OnceLock<Result<Arc<Vocabulary>, GrammarError>>,
}

/// Whether the tokenizer adds the marks (beginning of text and the like) that its model expects around a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// A text of its own, for example a raw prompt: marks are added.
    Whole,
    /// Text that has its marks already, like a rendered chat, or none, like a stop string.
    Bare,
}

/// Why a tokenizer could not be loaded or used.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// A file is missing or cannot be read.
    #[error("cannot read {}: {error} (hint: check that the model's folder is complete)", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A file is not the JSON it should be.
    #[error("{} is not valid: {reason} (hint: fetch the model's folder again)", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Larger than any real file of its kind.
    #[error("{} has {bytes} bytes, more than the {max} allowed (hint: it is not a tokenizer file)", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The cap.
        max: u64,
    },
    /// Its tokens' bytes are unknown.
    #[error(transparent)]
    TokenBytes(#[from] TokenBytesError),
    /// A text could not be tokenized.
    #[error(
        "the text cannot be tokenized: {0} (hint: the model's tokenizer.json is damaged or of a newer kind)"
    )]
    Encode(String),
}

/// Texts by which tokenizers are told apart that have the same tokens and join them otherwise.
const PROBES: [&str; 4] = [
    "The quick brown fox jumps over 12345 lazy dogs, doesn't it?",
    "fn main() {\n    let total: u64 = (0..100).map(|n| n * 7).sum();\n}\n",
    "Größe, naïveté, \u{4f60}\u{597d}, \u{41f}\u{440}\u{438}\u{432}\u{435}\u{442} \u{1f333}",
    "{\"name\": \"x_y\", \"values\": [1.5e-3, null, true]}\t\r\n  --flag=on",
];

/// Four times the largest tokenizer.json of a known model.
pub(crate) const FILE_BYTES_MAX: u64 = 128 << 20;

impl Tokenizer {
    /// Loads `tokenizer.json` and the configuration files beside it.
    pub fn load(folder: &Path) -> Result<Self, TokenizerError> {
        let path = folder.join("tokenizer.json");
        let Some(json) = read_capped(&path)? else {
            return Err(TokenizerError::Read {
                path,
                error: std::io::ErrorKind::NotFound.into(),
            });
        };
        Self::from_json(&json, SpecialTokens::load(folder)?).map_err(|error| match error {
            TokenizerError::Invalid { reason, .. } => TokenizerError::Invalid { path, reason },
            other => other,
        })
    }

    /// A tokenizer from the text of a `tokenizer.json`.
    pub fn from_json(json: &[u8], special: SpecialTokens) -> Result<Self, TokenizerError> {
        let mut inner =
            tokenizers::Tokenizer::from_bytes(json).map_err(|error| TokenizerError::Invalid {
                path: PathBuf::from("tokenizer.json"),
                reason: error.to_string(),
            })?;
        // Some files carry the padding and truncation of their model's training; a prompt must stay whole.
        inner.with_padding(None);
        inner
            .with_truncation(None)
            .map_err(|error| TokenizerError::Encode(error.to_string()))?;
        let table = TokenBytes::new(&inner)?;
        let eos = special
            .eos
            .as_deref()
            .and_then(|text| inner.token_to_id(text));
        let mut stop_tokens: Vec<TokenId> = special.end_ids.iter().copied().chain(eos).collect();
        stop_tokens.sort_unstable();
        stop_tokens.dedup();
        Ok(Self {
            inner: Arc::new(inner),
            table,
            special,
            stop_tokens,
            vocabulary: OnceLock::new(),
        })
    }

    /// The tokens of a text.
    pub fn encode(&self, text: &str, framing: Framing) -> Result<Vec<TokenId>, TokenizerError> {
        let encoding = self.encoding(text, framing == Framing::Whole)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Whether another one has the same tokens under the same numbers, as far as both have any, and makes the same of texts; if
    /// not, what differs, in words.
    pub fn same_tokens(&self, other: &Self) -> Result<(), String> {
        let both = self.table.token_count().min(other.table.token_count());
        let differs = |id: &TokenId| self.bytes_of(*id) != other.bytes_of(*id);
        if let Some(id) = (0..both).find(differs) {
            let text = |one: &Self| String::from_utf8_lossy(one.bytes_of(id)).into_owned();
            let (own, others) = (text(self), text(other));
            return Err(format!(
                "token {id} is {own:?} in one and {others:?} in the other"
            ));
        }
        let tokens = |one: &Self, text| one.encode(text, Framing::Bare).ok();
        match PROBES
            .iter()
            .find(|text| tokens(self, text) != tokens(other, text))
        {
            Some(text) => Err(format!("they make different tokens of {text:?}")),
            None => Ok(()),
        }
    }

    /// How many tokens a text of its own has besides those of its words.
    pub fn marks(&self) -> usize {
        let marks = self.inner.get_post_processor();
        marks.map_or(0, |processor| processor.added_tokens(false))
    }

    /// The first `tokens_max` tokens of a text of its own, marks included: what is cut off is cut from the text.
    pub fn encode_cut(
        &self,
        text: &str,
        tokens_max: usize,
    ) -> Result<Vec<TokenId>, TokenizerError> {
        let mut encoding = self.encoding(text, false)?;
        encoding.truncate(
            tokens_max.saturating_sub(self.marks()),
            0,
            TruncationDirection::Right,
        );
        let framed = self.inner.post_process(encoding, None, true);
        let framed = framed.map_err(|error| TokenizerError::Encode(error.to_string()))?;
        Ok(framed.get_ids().to_vec())
    }

    /// The library panics where a pattern of the file's takes more steps than Oniguruma allows.
    fn encoding(&self, text: &str, with_marks: bool) -> Result<Encoding, TokenizerError> {
        let encode = || self.inner.encode_fast(text, with_marks);
        catch_unwind(AssertUnwindSafe(encode))
            .map_err(|_| TokenizerError::Encode("a pattern takes too many steps".to_owned()))?
            .map_err(|error| TokenizerError::Encode(error.to_string()))
    }

    /// How many tokens a text has.
    pub fn count(&self, text: &str, framing: Framing) -> Result<usize, TokenizerError> {
        Ok(self.encode(text, framing)?.len())
    }

    /// The text of tokens, marks left out. Unknown ids stand for nothing.
    pub fn decode(&self, tokens: &[TokenId]) -> String {
        let known = tokens
            .iter()
            .filter(|&&token| !self.table.is_special(token));
        let bytes: Vec<u8> = known
            .flat_map(|&token| self.table.get(token).unwrap_or_default())
            .copied()
            .collect();
        let text = String::from_utf8_lossy(&bytes);
        match text.strip_prefix(' ') {
            Some(rest) if self.table.strips_leading_space() => rest.to_owned(),
            _ => text.into_owned(),
        }
    }

    /// The bytes of every token.
    pub fn token_bytes(&self) -> &TokenBytes {
        &self.table
    }

    /// The bytes of one token, possibly part of a character; empty for an id that does not exist.
    pub fn bytes_of(&self, token: TokenId) -> &[u8] {
        self.table.get(token).unwrap_or_default()
    }

    /// The id of a token by its exact text, for example `<|end|>`.
    pub fn token(&self, text: &str) -> Option<TokenId> {
        self.inner.token_to_id(text)
    }

    /// The model's own tokens that end an answer, ascending.
    pub fn stop_tokens(&self) -> &[TokenId] {
        &self.stop_tokens
    }

    /// What grammars are compiled against.
    pub(crate) fn vocabulary(&self) -> Result<Arc<Vocabulary>, GrammarError> {
        let made = self.vocabulary.get_or_init(|| {
            let vocabulary =
                Vocabulary::new(Arc::clone(&self.inner), &self.table, &self.stop_tokens)?;
            Ok(Arc::new(vocabulary))
        });
        made.clone()
    }

    /// Its marks, for chat templates.
    pub fn special_tokens(&self) -> &SpecialTokens {
        &self.special
    }
}

/// A file's bytes; `None` if there is no such file.
pub(crate) fn read_capped(path: &Path) -> Result<Option<Vec<u8>>, TokenizerError> {
    let read = |error| TokenizerError::Read {
        path: path.to_owned(),
        error,
    };
    let bytes = match std::fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(read(error)),
    };
    if bytes > FILE_BYTES_MAX {
        return Err(TokenizerError::TooLarge {
            path: path.to_owned(),
            bytes,
            max: FILE_BYTES_MAX,
        });
    }
    std::fs::read(path).map(Some).map_err(read)
}

/// A JSON file; `None` if there is no such file.
pub(crate) fn read_json(path: &Path) -> Result<Option<Value>, TokenizerError> {
    let Some(bytes) = read_capped(path)? else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| TokenizerError::Invalid {
            path: path.to_owned(),
            reason: error.to_string(),
        })
}

#[cfg(test)]
pub(crate) mod tests;
