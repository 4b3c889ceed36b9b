//! JSON as Python writes it, which has numbers that JSON has not.

/// The words for them.
const WORDS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];

/// The same with nothing in their place.
pub(super) fn without_infinities(text: &str) -> String {
    if !WORDS.iter().any(|word| text.contains(word)) {
        return text.to_string();
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    let (mut is_quoted, mut is_escaped) = (false, false);
    while let Some(next) = rest.chars().next() {
        let word = WORDS.iter().find(|word| rest.starts_with(**word));
        if let Some(word) = word.filter(|_| !is_quoted) {
            clean.push_str("null");
            rest = &rest[word.len()..];
            continue;
        }
        is_quoted ^= next == '"' && !is_escaped;
        is_escaped = is_quoted && next == '\\' && !is_escaped;
        clean.push(next);
        rest = &rest[next.len_utf8()..];
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_outside_of_strings_are_replaced() {
        let text = r#"{"a": [0.0, Infinity], "NaN \"Infinity": -Infinity, "b": "\\", "c": NaN}"#;
        assert_eq!(
            without_infinities(text),
            r#"{"a": [0.0, null], "NaN \"Infinity": null, "b": "\\", "c": null}"#
        );
    }
}
