//! The shortest way to the end of an answer in JSON, for one whose tokens are about to run out: half an answer is none.
//!
//! What is open is closed, what may be left out is left out, and of several kinds of values the shortest is taken. That is
//! a preference among the tokens that a grammar allows, so what comes out still is what was asked for.

use base::TokenId;

use super::Mask;

/// Which tokens to prefer, for one vocabulary.
pub(super) struct Endings {
    /// In a string: a quote, perhaps with `}` and `]` after it.
    in_string: Mask,
    /// Elsewhere, in this order: `}` and `]`; a quote; `,` and `:`, for where nothing can be closed something is still to
    /// come; values of one token or little more; all that opens no object and no array.
    elsewhere: [Mask; 5],
}

impl Endings {
    pub(super) fn new(words: &[Vec<u8>]) -> Self {
        let those = |is: &dyn Fn(&[u8]) -> bool| {
            let tokens = (0..).zip(words).filter(|(_, word)| !word.is_empty());
            let tokens = tokens.filter_map(|(token, word)| is(word).then_some(token));
            let mut mask = Mask::none(words.len() as u32);
            mask.allow(&tokens.collect::<Vec<TokenId>>());
            mask
        };
        let closes = |word: &[u8]| word.iter().all(|byte| b"}]".contains(byte));
        Self {
            in_string: those(&|word| word.strip_prefix(b"\"").is_some_and(closes)),
            elsewhere: [
                those(&closes),
                those(&|word| word == b"\""),
                those(&|word| word == b"," || word == b":"),
                those(&is_short),
                those(&|word| !word.iter().any(|byte| b"{[".contains(byte))),
            ],
        }
    }

    /// Those of the allowed tokens by which the answer ends soonest. `ends` are not among these masks.
    pub(super) fn narrow(&self, allowed: &Mask, ends: &[TokenId], in_string: bool) -> Mask {
        let mut ending = Mask::none(0);
        ending.allow(ends);
        let preferred = if in_string {
            std::slice::from_ref(&self.in_string)
        } else {
            &self.elsewhere
        };
        std::iter::once(&ending)
            .chain(preferred)
            .map(|preferred| allowed.and(preferred))
            .find(|both| both.first().is_some())
            .unwrap_or_else(|| allowed.clone())
    }
}

/// Digits, and what `null`, `true` and `false` begin with.
fn is_short(word: &[u8]) -> bool {
    let named = [&b"null"[..], b"true", b"false"];
    word.iter().all(u8::is_ascii_digit) || named.iter().any(|value| value.starts_with(word))
}

/// Where a text in JSON is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Inside {
    /// Of a string.
    pub(super) string: bool,
    escaped: bool,
}

impl Inside {
    pub(super) fn push(&mut self, text: &[u8]) {
        for byte in text {
            let escapes = self.string && !self.escaped && *byte == b'\\';
            if *byte == b'"' && !self.escaped {
                self.string = !self.string;
            }
            self.escaped = escapes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_followed() {
        let mut inside = Inside::default();
        for (text, string) in [
            (&br#"{"a"#[..], true),
            (br#"\""#, true),
            (br"\\", true),
            (br#"""#, false),
            (br#": \ ""#, true),
            (br#"",""#, true),
        ] {
            inside.push(text);
            assert_eq!(inside.string, string, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn the_end_comes_first() {
        let words =
            ["{", "}", "\"", "\"}", ",", "7", "n", "x", "a{"].map(|word| word.as_bytes().to_vec());
        let endings = Endings::new(&words);
        let narrowed = |tokens: &[TokenId], in_string: bool| {
            let mut allowed = Mask::none(9);
            allowed.allow(tokens);
            let narrow = endings.narrow(&allowed, &[20], in_string);
            (0..30)
                .filter(|token| narrow.allows(*token))
                .collect::<Vec<_>>()
        };
        assert_eq!(narrowed(&[0, 1, 3, 20], false), [20]);
        assert_eq!(narrowed(&[0, 1, 2, 3, 7], true), [2, 3]);
        assert_eq!(narrowed(&[0, 1, 2, 3, 7], false), [1]);
        assert_eq!(narrowed(&[2, 4, 7], true), [2]);
        assert_eq!(narrowed(&[4, 5, 7], true), [4, 5, 7]);
        assert_eq!(narrowed(&[4, 5, 7], false), [4]);
        assert_eq!(narrowed(&[0, 5, 6, 7], false), [5, 6]);
        assert_eq!(narrowed(&[0, 7, 8], false), [7]);
        assert_eq!(narrowed(&[0, 8], false), [0, 8]);
    }
}
