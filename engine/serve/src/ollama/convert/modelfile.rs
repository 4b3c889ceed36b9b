//! The classic text of a model: one instruction after the other, as `ollama show --modelfile` prints them.

use std::collections::BTreeMap;

use base::{ErrorCode, Failure};
use serde_json::Value;

/// What a Modelfile says.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Modelfile {
    pub(super) from: Option<String>,
    pub(super) system: Option<String>,
    pub(super) template: Option<String>,
    pub(super) licenses: Vec<String>,
    /// By name, as JSON has them in a request.
    pub(super) parameters: BTreeMap<String, Value>,
    /// Who, and what.
    pub(super) messages: Vec<(String, String)>,
}

/// Opens and closes a value of several lines.
const FENCE: &str = "\"\"\"";

pub(super) fn parse(text: &str) -> Result<Modelfile, Failure> {
    let mut file = Modelfile::default();
    let mut rest = text.trim_start_matches('\u{feff}');
    let mut line = 1;
    // Ends: each round takes a line away, or more.
    while !rest.is_empty() {
        let begun = line;
        let (first, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let said = first.trim();
        if said.is_empty() || said.starts_with('#') {
            rest = after;
            line += 1;
            continue;
        }
        let (word, value) = split_word(rest.trim_start());
        let (value, after) = match word.to_ascii_lowercase().as_str() {
            // The value of these has a word before it.
            "parameter" | "message" => {
                let (name, value) = split_word(value);
                let (value, after) = self::value(value, begun)?;
                file.named(word, name, value, begun)?;
                (None, after)
            }
            _ => {
                let (value, after) = self::value(value, begun)?;
                (Some(value), after)
            }
        };
        if let Some(value) = value {
            file.plain(word, value, begun)?;
        }
        line += rest[..rest.len() - after.len()].matches('\n').count();
        rest = after;
    }
    Ok(file)
}

impl Modelfile {
    fn plain(&mut self, word: &str, value: String, line: usize) -> Result<(), Failure> {
        match word.to_ascii_lowercase().as_str() {
            "from" => self.from = Some(value),
            "system" => self.system = Some(value),
            "template" => self.template = Some(value),
            "license" => self.licenses.push(value),
            // What they choose is chosen by the template here.
            "renderer" | "parser" | "requires" => {}
            "adapter" | "draft" => {
                let what = format!("{} cannot be had here", word.to_ascii_uppercase());
                return Err(refused(line, &what).hint("leave it out"));
            }
            _ => {
                let what = "must begin with FROM, PARAMETER, SYSTEM, TEMPLATE, MESSAGE or LICENSE";
                return Err(refused(line, what));
            }
        }
        Ok(())
    }

    fn named(&mut self, word: &str, name: &str, value: String, line: usize) -> Result<(), Failure> {
        if name.is_empty() {
            return Err(refused(line, &format!("{word} lacks a name")));
        }
        if word.eq_ignore_ascii_case("message") {
            self.messages.push((name.to_owned(), value));
            return Ok(());
        }
        let name = name.to_ascii_lowercase();
        if name == "stop" {
            let list = self
                .parameters
                .entry(name)
                .or_insert(Value::Array(Vec::new()));
            list.as_array_mut()
                .into_iter()
                .for_each(|list| list.push(value.as_str().into()));
            return Ok(());
        }
        // What is no number is what it is: where a number must be, it is refused by its name.
        let read = serde_json::from_str(&value).unwrap_or(Value::String(value));
        self.parameters.insert(name, read);
        Ok(())
    }
}

/// A word and what follows it, in the same line as far as there is anything in it.
fn split_word(text: &str) -> (&str, &str) {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    (word, rest.trim_start_matches([' ', '\t']))
}

/// A value, and what follows its last line: fenced by three quotes it may have several lines, else it has one.
fn value(text: &str, line: usize) -> Result<(String, &str), Failure> {
    if let Some(fenced) = text.strip_prefix(FENCE) {
        let end = fenced
            .find(FENCE)
            .ok_or_else(|| refused(line, "opens three quotes that are never closed"))?;
        let after = &fenced[end + FENCE.len()..];
        return Ok((
            fenced[..end].to_owned(),
            after.split_once('\n').map_or("", |(_, rest)| rest),
        ));
    }
    let (first, after) = text.split_once('\n').unwrap_or((text, ""));
    let first = first.trim();
    let quoted = first
        .strip_prefix('"')
        .and_then(|inner| inner.strip_suffix('"'));
    let value = match quoted {
        // As JSON writes strings, where it is one.
        Some(inner) => serde_json::from_str(first).unwrap_or_else(|_| inner.to_owned()),
        None => first.to_owned(),
    };
    if value.is_empty() && quoted.is_none() {
        return Err(refused(line, "lacks a value"));
    }
    Ok((value, after))
}

fn refused(line: usize, what: &str) -> Failure {
    let message = format!("line {line} of the Modelfile {what}");
    Failure::new(ErrorCode::InvalidRequest, message).param("modelfile")
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[track_caller]
    fn check(text: &str, expected: &Expect) {
        let said = match parse(text) {
            Ok(file) => format!("{file:#?}"),
            Err(failure) => failure.to_string(),
        };
        expected.assert_eq(&said);
    }

    #[test]
    fn every_instruction_is_read() {
        check(
            "\u{feff}# Mario\nFROM sprout\n\nparameter temperature 0.5\nPARAMETER stop \"<|end|>\\n\"\nPARAMETER stop END\n\
             PARAMETER num_ctx 4096\nSYSTEM \"\"\"You are Mario.\nIt's \"me\".\n\"\"\"\nMESSAGE user Who are you?\n\
             MESSAGE assistant \"\"\"Mario\nBros.\"\"\"\nLICENSE \"free\"\nTEMPLATE {{ messages }}\nRENDERER x",
            &expect![[r#"
                Modelfile {
                    from: Some(
                        "sprout",
                    ),
                    system: Some(
                        "You are Mario.\nIt's \"me\".\n",
                    ),
                    template: Some(
                        "{{ messages }}",
                    ),
                    licenses: [
                        "free",
                    ],
                    parameters: {
                        "num_ctx": Number(4096),
                        "stop": Array [
                            String("<|end|>\n"),
                            String("END"),
                        ],
                        "temperature": Number(0.5),
                    },
                    messages: [
                        (
                            "user",
                            "Who are you?",
                        ),
                        (
                            "assistant",
                            "Mario\nBros.",
                        ),
                    ],
                }"#]],
        );
    }

    #[test]
    fn a_fault_is_told_with_its_line() {
        check(
            "FROM a\n\nCOOK it",
            &expect![
                "line 3 of the Modelfile must begin with FROM, PARAMETER, SYSTEM, TEMPLATE, MESSAGE or LICENSE"
            ],
        );
        check(
            "SYSTEM \"\"\"a\nb\"\"\"\nFROM",
            &expect!["line 3 of the Modelfile lacks a value"],
        );
        check(
            "FROM a\nSYSTEM \"\"\"x",
            &expect!["line 2 of the Modelfile opens three quotes that are never closed"],
        );
        check(
            "ADAPTER x",
            &expect!["line 1 of the Modelfile ADAPTER cannot be had here (hint: leave it out)"],
        );
        check(
            "PARAMETER",
            &expect!["line 1 of the Modelfile lacks a value"],
        );
    }

    #[test]
    fn anything_is_read_or_refused() {
        use proptest::prelude::*;
        proptest!(|(text in "(FROM|SYSTEM|PARAMETER stop|MESSAGE user|é|\"\"\"|\"| |\n|x){0,20}")| {
            let _ = parse(&text);
        });
    }
}
