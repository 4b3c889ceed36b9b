//! A version as people read it, and as macOS and the updater compare it.

use std::fmt;

use anyhow::{Context, Result, bail, ensure};
use semver::Version as Semantic;

/// How a version before its release is named, here and in Apple's form.
const STAGES: [(&str, &str); 3] = [("alpha", "a"), ("beta", "b"), ("rc", "fc")];
/// Apple's own limit.
const STAGE_NUMBER_MAX: u8 = 255;

/// For example `1.2.3`, or `1.2.3-beta.4` for those who try it before.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    semantic: Semantic,
    compared: String,
}

impl Version {
    /// Reads a version as Cargo.toml has it.
    pub fn parse(text: &str) -> Result<Self> {
        let hint = "hint: 1.2.3, or before its release 1.2.3-alpha.1, -beta.1 or -rc.1";
        let semantic =
            Semantic::parse(text).with_context(|| format!("{text:?} is no version\n{hint}"))?;
        ensure!(
            semantic.build.is_empty(),
            "{text:?} has a part that nobody compares\n{hint}"
        );
        let compared =
            compared(&semantic).with_context(|| format!("{text:?} cannot be compared\n{hint}"))?;
        Ok(Self { semantic, compared })
    }

    /// Apple's form of it (`1.2.3b4`): of the two, the one that Sparkle puts before `1.2.3`.
    pub fn compared(&self) -> &str {
        &self.compared
    }

    /// Whether it is offered only to those who have such a version already.
    pub fn is_beta(&self) -> bool {
        !self.semantic.pre.is_empty()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.semantic.fmt(to)
    }
}

fn compared(version: &Semantic) -> Result<String> {
    let Semantic {
        major,
        minor,
        patch,
        ..
    } = version;
    let release = format!("{major}.{minor}.{patch}");
    if version.pre.is_empty() {
        return Ok(release);
    }
    let (stage, number) = version.pre.split_once('.').context("it has no number")?;
    let number: u8 = number
        .parse()
        .with_context(|| format!("{number:?} is not 1 to {STAGE_NUMBER_MAX}"))?;
    ensure!(number > 0, "counting begins with 1");
    let Some((_, letters)) = STAGES.iter().find(|(name, _)| *name == stage) else {
        bail!("{stage:?} is not one of the known stages");
    };
    Ok(format!("{release}{letters}{number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apples_form_names_the_stage_in_letters() {
        for (text, compared, is_beta) in [
            ("1.2.3", "1.2.3", false),
            ("1.2.3-alpha.7", "1.2.3a7", true),
            ("1.2.3-beta.12", "1.2.3b12", true),
            ("10.0.0-rc.255", "10.0.0fc255", true),
        ] {
            let version = Version::parse(text).unwrap();
            assert_eq!(version.compared(), compared);
            assert_eq!(version.is_beta(), is_beta);
            assert_eq!(version.to_string(), text);
        }
    }

    #[test]
    fn what_could_not_be_compared_is_refused() {
        for text in [
            "1.2",
            "1.2.3-beta",
            "1.2.3-beta.0",
            "1.2.3-beta.256",
            "1.2.3-gamma.1",
            "1.2.3+4",
        ] {
            let error = format!("{:#}", Version::parse(text).unwrap_err());
            assert!(error.contains(text) && error.contains("hint"), "{error}");
        }
    }

    #[test]
    fn stages_come_before_the_release() {
        let texts = [
            "1.2.2",
            "1.2.3-alpha.2",
            "1.2.3-beta.2",
            "1.2.3-beta.10",
            "1.2.3-rc.1",
            "1.2.3",
        ];
        let versions = texts.map(|text| Version::parse(text).unwrap());
        assert!(versions.is_sorted());
    }
}
