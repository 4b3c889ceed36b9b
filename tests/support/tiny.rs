//! Tiny random `llama` checkpoints, weights and tokenizer written here: they say anything at all.

mod llama;
pub mod vocabulary;

use std::fs;

use anyhow::Result;
use serde_json::json;
use tempfile::TempDir;

use crate::random::Random;
use llama::Shape;
use vocabulary::Vocabulary;

/// Turns as a random model sees them.
const TURNS: &str = "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}<assistant>";

/// A random model over a vocabulary of its own. Heads and matrices divide by two and its layers too.
pub fn random(vocabulary: &Vocabulary, random: &mut Random) -> Result<TempDir> {
    // Models have more rows than their tokenizers have tokens.
    let shape = Shape {
        vocabulary: vocabulary.token_count() + random.below(40),
        hidden: 64,
        inner: 96,
        layers: 2,
        heads: 4,
        head_dim: 16,
        context: 4096,
    };
    let weights = shape.random(random);
    let folder = tempfile::Builder::new().prefix("tiny-").tempdir()?;
    let config = json!({
        "eos_token": vocabulary::END, "bos_token": null, "chat_template": TURNS,
        "tokenizer_class": "PreTrainedTokenizerFast",
    });
    let save = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes);
    save(
        "config.json",
        shape.config(vocabulary.end()).to_string().as_bytes(),
    )?;
    save(
        "tokenizer.json",
        vocabulary.tokenizer().to_string().as_bytes(),
    )?;
    save("tokenizer_config.json", config.to_string().as_bytes())?;
    save("model.safetensors", &weights)?;
    Ok(folder)
}
