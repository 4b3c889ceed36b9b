//! Names of models. Ollama's have a tag after a colon; one that says nothing is `latest`.

use base::Failure;

use super::{invalid, missing};
use crate::ollama::model::{CopyFields, NameFields};

/// A name is repeated in messages.
const NAME_BYTES_MAX: usize = 4096;
const LATEST: &str = ":latest";

/// A request about one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ollama) struct Named {
    /// As the node knows it.
    pub(in crate::ollama) model: String,
    /// Whether more is wanted than fits a screen.
    pub(in crate::ollama) verbose: bool,
    /// Whether the answer is sent as it comes.
    pub(in crate::ollama) stream: bool,
}

/// The name without a tag that says nothing: as the node knows it.
pub(in crate::ollama) fn canonical(name: &str) -> &str {
    let tag = name.len().checked_sub(LATEST.len());
    match tag.and_then(|at| name.split_at_checked(at)) {
        Some((bare, tag)) if tag.eq_ignore_ascii_case(LATEST) && !bare.is_empty() => bare,
        Some(_) | None => name,
    }
}

/// The name with its tag: as Ollama lists it.
pub(in crate::ollama) fn shown(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    let tag = if last.contains(':') { "" } else { LATEST };
    format!("{name}{tag}")
}

/// The name in a request, as the client wrote it.
pub(super) fn model(model: Option<String>, name: Option<String>) -> Result<String, Failure> {
    let mut given = [model, name].into_iter().flatten();
    let name = given.find(|name| !name.is_empty());
    let name =
        name.ok_or_else(|| missing("model").hint("GET /api/tags lists the models there are"))?;
    if name.len() > NAME_BYTES_MAX {
        let what = format!("may have at most {NAME_BYTES_MAX} bytes");
        return Err(invalid("model", &what));
    }
    Ok(name)
}

/// Understands the bodies of `show`, `pull`, `push` and `delete`.
pub(in crate::ollama) fn parse_name(body: &[u8]) -> Result<Named, Failure> {
    let fields: NameFields = crate::json::parse(body)?;
    let model = model(fields.model, fields.name)?;
    Ok(Named {
        model: canonical(&model).to_owned(),
        verbose: fields.verbose.unwrap_or(false),
        stream: fields.stream.unwrap_or(true),
    })
}

/// Understands the body of `POST /api/copy`: what to copy, and the copy's name.
pub(in crate::ollama) fn parse_copy(body: &[u8]) -> Result<(String, String), Failure> {
    let fields: CopyFields = crate::json::parse(body)?;
    let part = |name: Option<String>, at: &str| {
        let name = name.filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| missing(at))?;
        Ok::<_, Failure>(canonical(&name).to_owned())
    };
    Ok((
        part(fields.source, "source")?,
        part(fields.destination, "destination")?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_that_says_nothing_is_no_part_of_the_name() {
        for (written, known, listed) in [
            ("sprout", "sprout", "sprout:latest"),
            ("sprout:latest", "sprout", "sprout:latest"),
            ("acme/Big:LATEST", "acme/Big", "acme/Big:latest"),
            ("mario:v2", "mario:v2", "mario:v2"),
            (":latest", ":latest", ":latest"),
            ("é:latest", "é", "é:latest"),
            ("ééé", "ééé", "ééé:latest"),
        ] {
            assert_eq!(canonical(written), known);
            assert_eq!(shown(known), listed);
        }
    }
}
