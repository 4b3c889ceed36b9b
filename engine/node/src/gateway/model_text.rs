//! Tokenizers and chat templates of the models in use, loaded once each.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use base::{ErrorCode, Failure, Fingerprint, Pooling, Sampling};
use text::answer::AnswerFormat;
use text::{ChatTemplate, InfillFormat, SpecialTokens, TemplateError, Tokenizer, TokenizerError};

use crate::words;

/// Models whose text side is kept: a large vocabulary takes some 50 MB, and few models are in use at once.
const MODELS_MAX: usize = 4;

/// The text side of a model.
#[derive(Debug)]
pub(crate) struct ModelText {
    /// Text to tokens and back.
    pub(crate) tokenizer: Arc<Tokenizer>,
    /// What a model has that was taught to chat.
    pub(crate) chat: Option<Chat>,
    /// How its makers recommend to sample it.
    pub(crate) recommended: Sampling,
    /// What templates know of the tokenizer.
    special: SpecialTokens,
    /// How a text becomes a vector; `None` if that is in a way not known here.
    pub(crate) pooling: Option<Pooling>,
    /// Whether its makers made it for vectors.
    pub(crate) embeds: bool,
    /// How it is asked to fill in; `None` if it was not taught to.
    pub(crate) infill: Option<InfillFormat>,
}

/// How a conversation becomes text, and an answer becomes more than that.
#[derive(Debug)]
pub(crate) struct Chat {
    pub(crate) template: ChatTemplate,
    pub(crate) format: AnswerFormat,
}

impl ModelText {
    /// Reads a model's folder. Blocks: files of some megabytes.
    pub(super) fn load(folder: &Path) -> Result<Self, Failure> {
        let tokenizer = Tokenizer::load(folder).map_err(|error| unreadable(&error))?;
        let template = ChatTemplate::load(folder).map_err(|error| bad_template(&error))?;
        let chat = template.map(|template| Chat {
            format: AnswerFormat::of(&template, &tokenizer),
            template,
        });
        Ok(Self {
            infill: InfillFormat::of(&tokenizer),
            embeds: text::is_for_embeddings(folder),
            tokenizer: Arc::new(tokenizer),
            chat,
            recommended: text::recommended_sampling(folder).map_err(|error| unreadable(&error))?,
            special: SpecialTokens::load(folder).map_err(|error| unreadable(&error))?,
            pooling: text::pooling(folder).map_err(|error| unreadable(&error))?,
        })
    }

    /// The same with another template than the model's own.
    pub(crate) fn chat_by(&self, template: &str) -> Result<Chat, Failure> {
        let template = ChatTemplate::new(template, self.special.clone());
        let template = template.map_err(|error| {
            words::failure(ErrorCode::InvalidRequest, &error.to_string()).param("template")
        })?;
        Ok(Chat {
            format: AnswerFormat::of(&template, &self.tokenizer),
            template,
        })
    }
}

/// The models last used, the latest at the end.
#[derive(Debug, Default)]
pub(crate) struct ModelTexts {
    recent: Mutex<Vec<(Fingerprint, Arc<ModelText>)>>,
}

impl ModelTexts {
    /// The text side of a model that was used before.
    pub(crate) fn known(&self, fingerprint: Fingerprint) -> Option<Arc<ModelText>> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let at = recent.iter().position(|(known, _)| *known == fingerprint)?;
        let entry = recent.remove(at);
        let found = Arc::clone(&entry.1);
        recent.push(entry);
        Some(found)
    }

    /// Reads the text side of a model whose files lie in `folder`.
    pub(crate) async fn load(
        &self,
        fingerprint: Fingerprint,
        folder: PathBuf,
    ) -> Result<Arc<ModelText>, Failure> {
        let loading = tokio::task::spawn_blocking(move || ModelText::load(&folder));
        let loaded = loading
            .await
            .map_err(|_| Failure::new(ErrorCode::Internal, "reading the tokenizer broke off"))??;
        let loaded = Arc::new(loaded);
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() >= MODELS_MAX {
            recent.remove(0);
        }
        recent.push((fingerprint, Arc::clone(&loaded)));
        Ok(loaded)
    }
}

fn unreadable(error: &TokenizerError) -> Failure {
    words::failure(ErrorCode::ModelDamaged, &error.to_string())
}

fn bad_template(error: &TemplateError) -> Failure {
    words::failure(ErrorCode::ModelDamaged, &error.to_string())
}
