//! A tokenizer's vocabulary in the form in which grammars are compiled against it.

use std::fmt;
use std::sync::Arc;

use base::TokenId;
use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{TokEnv, TokRxInfo, TokTrie, TokenizerEnv};
use llguidance::{ParserFactory, TokenParser};

use super::GrammarError;
use super::ending::Endings;
use crate::TokenBytes;

/// A longer token can not come out under a grammar: the trie of tokens is at most 1024 deep.
const TOKEN_BYTES_MAX: usize = 1000;

/// All tokens together; the trie has room for four million nodes.
const VOCABULARY_BYTES_MAX: usize = 4_000_000;

/// One to two kilobytes each, per answer. Real schemas have hundreds of states, at most some thousands.
const LEXER_STATES_MAX: usize = 50_000;

/// The library counts symbols in sixteen bits.
const GRAMMAR_SYMBOLS_MAX: usize = 60_000;

/// Compiles grammars for one tokenizer.
pub(crate) struct Vocabulary {
    factory: ParserFactory,
    pub(super) endings: Endings,
}

impl Vocabulary {
    /// Of a tokenizer whose answers `ends` end. Takes a second for a large one.
    pub(crate) fn new(
        tokenizer: Arc<tokenizers::Tokenizer>,
        table: &TokenBytes,
        ends: &[TokenId],
    ) -> Result<Self, GrammarError> {
        let words = words(table)?;
        let known = |token: &TokenId| (*token as usize) < words.len();
        let ends: Vec<TokenId> = ends.iter().copied().filter(known).collect();
        let first = ends.first().copied();
        let info = TokRxInfo::new(
            words.len() as u32,
            first.unwrap_or(llguidance::toktrie::INVALID_TOKEN),
        );
        let mut trie = TokTrie::from(&info, &words);
        if !ends.is_empty() {
            trie = trie.with_eos_tokens(&ends);
        }
        let environment: TokEnv = Arc::new(Environment {
            tokenizer,
            is_canonical: !table.strips_leading_space(),
            trie,
        });
        let mut factory = ParserFactory::new_simple(&environment)
            .map_err(|error| GrammarError::Vocabulary(error.to_string()))?;
        factory.quiet();
        let limits = factory.limits_mut();
        limits.max_grammar_size = GRAMMAR_SYMBOLS_MAX;
        limits.max_lexer_states = LEXER_STATES_MAX;
        limits.verbose_errors = false;
        let endings = Endings::new(&words);
        Ok(Self { factory, endings })
    }

    /// The bytes of a token; none for one that no grammar allows.
    pub(super) fn text(&self, token: TokenId) -> &[u8] {
        let trie = self.factory.tok_env().tok_trie();
        if (token as usize) < trie.vocab_size() {
            trie.token(token)
        } else {
            &[]
        }
    }

    /// What follows a grammar from its beginning, or what is wrong with it.
    pub(crate) fn parser(&self, grammar: TopLevelGrammar) -> Result<TokenParser, String> {
        let parser = self.factory.create_parser(grammar);
        parser.map_err(|error| format!("{error:#}"))
    }
}

impl fmt::Debug for Vocabulary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vocabulary")
    }
}

/// The bytes of every token, as `llguidance` wants them: marks begin with a byte that no text has, so that they match
/// nothing but their names. A token that can not be used has none.
fn words(table: &TokenBytes) -> Result<Vec<Vec<u8>>, GrammarError> {
    let mut words = Vec::with_capacity(table.token_count() as usize);
    let mut bytes = 0;
    for token in 0..table.token_count() {
        let text = table.get(token).unwrap_or_default();
        let word = if text.is_empty() || text.len() > TOKEN_BYTES_MAX {
            Vec::new()
        } else if table.is_special(token) {
            [&[TokTrie::SPECIAL_TOKEN_MARKER], text].concat()
        } else if text[0] == TokTrie::SPECIAL_TOKEN_MARKER {
            // A byte that is in no UTF-8.
            Vec::new()
        } else {
            text.to_vec()
        };
        bytes += word.len();
        words.push(word);
    }
    if words.is_empty() || bytes == 0 || bytes > VOCABULARY_BYTES_MAX {
        let reason = format!("its {} tokens have {bytes} bytes", words.len());
        return Err(GrammarError::Vocabulary(reason));
    }
    Ok(words)
}

/// What `llguidance` asks of a tokenizer.
struct Environment {
    tokenizer: Arc<tokenizers::Tokenizer>,
    /// Whether a piece of a text has the same tokens as it has within the text, so that text which has to come can be
    /// written with the tokens that the model itself would use. A tokenizer that puts a space before a text has not.
    is_canonical: bool,
    trie: TokTrie,
}

impl Environment {
    /// The model's own tokens of a text, if they stand for just this text: a mark that is written out in it would become
    /// one, and some tokenizers change the text before.
    fn own_tokens(&self, text: &str) -> Option<Vec<TokenId>> {
        let encoding = self.tokenizer.encode_fast(text, false).ok()?;
        let tokens = encoding.get_ids();
        let mut bytes = Vec::with_capacity(text.len());
        for &token in tokens {
            bytes.extend_from_slice(self.trie.token(token));
        }
        (bytes == text.as_bytes()).then(|| tokens.to_vec())
    }
}

impl TokenizerEnv for Environment {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        self.trie.tokenize_with_greedy_fallback(bytes, |text| {
            self.own_tokens(text)
                .unwrap_or_else(|| self.trie.greedy_tokenize(text.as_bytes()))
        })
    }

    fn tokenize_is_canonical(&self) -> bool {
        self.is_canonical
    }
}
