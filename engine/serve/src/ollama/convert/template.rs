//! Chat templates in requests. Those of models here are written in Jinja, as on Hugging Face; Ollama's own are not.

use base::Failure;

use super::invalid;

/// What begins an action of Go's templates, and no expression of Jinja.
const GO_WORDS: [&str; 8] = [
    "if", "else", "end", "range", "with", "define", "template", "block",
];

/// A template that can be rendered; an empty one is none.
pub(super) fn template(source: Option<String>) -> Result<Option<String>, Failure> {
    let source = source.filter(|source| !source.is_empty());
    if source.as_deref().is_some_and(is_go) {
        let failure = invalid("template", "is one of Go's, and templates here are Jinja");
        return Err(failure.hint(
            "leave it out to use the model's own, which POST /api/show tells, or write it in Jinja",
        ));
    }
    Ok(source)
}

fn is_go(source: &str) -> bool {
    let mut actions = source.split("{{").skip(1);
    actions.any(|action| {
        let action = action.trim_start_matches('-').trim_start();
        let word = action
            .split(|letter: char| !letter.is_ascii_alphabetic())
            .next();
        action.starts_with(['.', '$', '/'])
            || word.is_some_and(|word| {
                let after = &action[word.len()..];
                GO_WORDS.contains(&word) && after.starts_with([' ', '}', '-'])
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_and_jinja_are_told_apart() {
        for go in [
            "{{ .Prompt }}",
            "{{- if .System }}x{{ end }}",
            "{{ range $i, $m := .Messages }}",
            "a {{$last := 1}}",
        ] {
            assert!(is_go(go), "{go}");
        }
        for jinja in [
            "",
            "plain",
            "{% for m in messages %}{{ m.content }}{% endfor %}",
            "{{- bos_token }}{{ messages[0]['content'] }}",
            "{{ ending }}{{ 'if' }}",
        ] {
            assert!(!is_go(jinja), "{jinja}");
        }
    }
}
