//! Models that people cluster for, to choose from before anything of them is here: data, in `known_models.toml`.

use std::sync::OnceLock;

use serde::Deserialize;

/// A model, in one or several forms.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownModel {
    /// As people call it.
    pub name: String,
    /// A short name for its first repository; see [`known_repository`].
    pub alias: String,
    /// Its architecture's name, `model_type`.
    pub family: String,
    /// Transformer layers.
    pub layers: u32,
    /// Its longest sequence, in tokens.
    pub context: u32,
    /// Parameters, in thousands of millions.
    pub parameters: f64,
    /// Those that a token goes through.
    pub active: f64,
    /// Where it is on the hub, the usual choice first.
    pub repositories: Vec<KnownRepository>,
}

/// A form of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownRepository {
    /// `owner/name`.
    pub id: String,
    /// How its weights are stored, in words.
    pub format: String,
    /// Size of its weights.
    pub bytes: u64,
}

impl KnownModel {
    /// Bytes of a repository's weights that are read for one token, nearly.
    pub fn active_bytes(&self, repository: &KnownRepository) -> u64 {
        (repository.bytes as f64 * self.active / self.parameters) as u64
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    model: Vec<KnownModel>,
}

/// All of them.
#[expect(
    clippy::missing_panics_doc,
    reason = "a test reads the file, which is built in"
)]
pub fn known_models() -> &'static [KnownModel] {
    static ALL: OnceLock<Vec<KnownModel>> = OnceLock::new();
    ALL.get_or_init(|| {
        let file: File =
            toml::from_str(include_str!("../known_models.toml")).expect("what a test has read");
        file.model
    })
}

/// The repository that an alias stands for: `qwen3-30b` for the model's first one, `qwen3-30b:8bit` for the first with that in
/// its name.
pub fn known_repository(alias: &str) -> Option<&'static str> {
    let (alias, part) = alias.split_once(':').unwrap_or((alias, ""));
    let mut models = known_models().iter();
    let model = models.find(|model| model.alias.eq_ignore_ascii_case(alias))?;
    let part = part.to_ascii_lowercase();
    let mut repositories = model.repositories.iter();
    let found = repositories.find(|one| one.id.to_ascii_lowercase().contains(&part));
    found.map(|repository| repository.id.as_str())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::download::Wanted;

    #[test]
    fn all_are_there_once_and_make_sense() {
        let repositories = || known_models().iter().flat_map(|model| &model.repositories);
        assert!(repositories().count() >= 60);
        let ids: BTreeSet<&str> = repositories().map(|one| one.id.as_str()).collect();
        assert_eq!(ids.len(), repositories().count());
        let aliases: BTreeSet<&str> = known_models()
            .iter()
            .map(|one| one.alias.as_str())
            .collect();
        assert_eq!(aliases.len(), known_models().len());
        for model in known_models() {
            assert!(!model.alias.contains([':', '/', ' ']), "{model:?}");
            assert!(model.active <= model.parameters && model.context >= 4096);
            for repository in &model.repositories {
                assert!(Wanted::parse(&repository.id).is_ok(), "{repository:?}");
                // From 2 bits for each parameter to 16, with what is not quantized, other senses and half-parameters.
                let bits = repository.bytes as f64 * 8.0 / (model.parameters * 1e9);
                assert!((2.0..20.0).contains(&bits), "{repository:?}: {bits} bits");
            }
        }
    }

    #[test]
    fn an_alias_stands_for_a_repository() {
        let first = known_repository("deepseek-v3.1");
        assert_eq!(first, Some("mlx-community/DeepSeek-V3.1-4bit"));
        let other = known_repository("Qwen3-30B:8bit");
        assert_eq!(other, Some("mlx-community/Qwen3-30B-A3B-8bit"));
        assert_eq!(known_repository("qwen3-30b:7bit"), None);
        assert_eq!(known_repository("nothing"), None);
    }

    #[test]
    fn of_experts_few_bytes_are_active() {
        let models = known_models().iter();
        let model = models
            .clone()
            .find(|model| model.alias == "qwen3-235b")
            .unwrap();
        let active = model.active_bytes(&model.repositories[0]);
        assert!((11e9..14e9).contains(&(active as f64)), "{active}");
    }
}
