//! Names from outside, made fit to be shown: one line, no control or direction characters, a cap. Pure.

use crate::limits::NAME_BYTES_MAX;

/// `text` without what could garble a screen or a log, cut at a character to [`NAME_BYTES_MAX`].
pub(crate) fn clean(text: &str) -> String {
    let mut name = String::new();
    for character in text.trim().chars().filter(|character| fit(*character)) {
        if name.len() + character.len_utf8() > NAME_BYTES_MAX {
            break;
        }
        name.push(character);
    }
    name
}

/// Neither a control character nor one of Unicode's invisible or direction marks, with which a name could
/// pretend to be another.
fn fit(character: char) -> bool {
    !character.is_control()
        && !matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_clean_short_line() {
        assert_eq!(clean("  Studio\u{1b}[31m\n "), "Studio[31m");
        assert_eq!(clean("a\u{202e}b\u{200b}c"), "abc");
        assert_eq!(clean(&"é".repeat(40)), "é".repeat(32));
        assert_eq!(clean("Benʼs Mac 🍏"), "Benʼs Mac 🍏");
    }
}
