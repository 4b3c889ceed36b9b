//! Rules of a grammar in `llguidance`'s variant of Lark, with the marks of a model in them.

use serde_json::Value;

use crate::answer::AnswerFormat;

/// Rules so far.
pub struct Rules<'a> {
    /// Whose marks are in them.
    pub format: &'a AnswerFormat,
    rules: Vec<String>,
}

impl<'a> Rules<'a> {
    /// None yet.
    pub fn new(format: &'a AnswerFormat) -> Self {
        let rules = Vec::new();
        Self { format, rules }
    }

    /// One more.
    pub fn add(&mut self, name: &str, rule: &str) {
        self.rules.push(format!("{name}: {rule}"));
    }

    /// The one that the grammar begins with.
    pub fn begin(&mut self, rule: &str) {
        self.rules.insert(0, format!("start: {rule}"));
    }

    /// The whole grammar.
    pub fn text(&self) -> String {
        self.rules.join("\n")
    }

    /// A text as it must come: marks that are special tokens as such, in the place of `$index` a number and of `$key` a
    /// name.
    pub fn literal(&self, text: &str) -> String {
        let mut parts = Vec::new();
        let mut rest = text;
        // Each round takes the text up to the next mark, and the mark.
        while !rest.is_empty() {
            let (at, length, part) = self
                .next_mark(rest)
                .unwrap_or((rest.len(), 0, String::new()));
            if at > 0 {
                parts.push(quoted(&rest[..at]));
            }
            if length > 0 {
                parts.push(part);
            }
            rest = &rest[at + length..];
        }
        parts.join(" ")
    }

    /// Any text and what ends it, as a rule of this name. What comes in its place.
    pub fn until(&mut self, name: &str, close: &str) -> String {
        let Some((at, length, token)) = self.next_mark(close) else {
            self.rules
                .push(format!("{name}[suffix={}]: /(.|\\n)*/", quoted(close)));
            return name.to_owned();
        };
        // A text cannot have the token in it.
        let before = regex_of(&close[..at]);
        self.rules.push(format!("{name}: /(.|\\n)*{before}/"));
        format!("{name} {token} {}", self.literal(&close[at + length..]))
    }

    /// Whether there is a special token among the marks of a text.
    pub fn has_special(&self, text: &str) -> bool {
        self.next_mark(text).is_some()
    }

    /// The next mark: where it begins, its length, and what stands for it.
    fn next_mark(&self, text: &str) -> Option<(usize, usize, String)> {
        let special = self.format.marks.iter().filter(|mark| mark.is_special);
        let tokens = special.map(|mark| (mark.text, format!("<[{}]>", mark.token)));
        let named = [
            ("$index", "/[0-9]{1,3}/"),
            ("$key", "/[A-Za-z0-9_.-]{1,64}/"),
        ];
        let named = named.map(|(mark, part)| (mark, part.to_owned()));
        let found = tokens.chain(named).filter_map(|(mark, part)| {
            let at = text.find(mark)?;
            Some((at, mark.len(), part))
        });
        found.min_by_key(|(at, length, _)| (*at, usize::MAX - length))
    }
}

/// As a string of a grammar, which is written as in JSON.
pub fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// A regular expression for just this text.
pub fn regex_of(text: &str) -> String {
    let mut pattern = String::new();
    for character in text.chars() {
        match character {
            '\n' => pattern.push_str("\\n"),
            _ if r"\.+*?()|[]{}^$/".contains(character) => {
                pattern.push('\\');
                pattern.push(character);
            }
            _ => pattern.push(character),
        }
    }
    pattern
}
