//! Models are pulled: from the hub, line by line of how far that is. The node goes on with it when the client has gone.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use base::{ErrorCode, Failure};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use tokio::sync::watch;

use super::LINES;
use super::managing::{digest, done};
use crate::app::App;
use crate::downloads::{Ask, Download, State};
use crate::ollama::convert::Named;
use crate::ollama::error::{Envelope, Refused};
use crate::ollama::model::Progress;
use crate::ollama::stream::line;

/// How Ollama's clients name what is at Hugging Face.
const HUB_PREFIXES: [&str; 2] = ["hf.co/", "huggingface.co/"];

type Steps = BoxStream<'static, Result<Progress, Failure>>;

/// Brings a model here, or says that it is. A name with an owner is a repository's.
pub(super) async fn pull(app: &Arc<App>, named: &Named) -> Result<Response, Refused> {
    let mut prefixes = HUB_PREFIXES.iter();
    let bare = prefixes.find_map(|prefix| named.model.strip_prefix(prefix));
    let model = bare.unwrap_or(&named.model);
    let here = app.gateway.describe(model).await;
    if !model.contains('/') || here.as_ref().is_ok_and(|here| here.derived.is_some()) {
        let here = here.map_err(|failure| with_owner(failure, model))?;
        let verifying = format!("verifying sha256:{}", digest(&here));
        let steps = [
            "pulling manifest",
            &verifying,
            "writing manifest",
            "success",
        ];
        return Ok(done(&steps, named.stream));
    }
    app.gateway.download(Ask::Start(model.to_owned())).await?;
    let (repository, _) = model.split_once('@').unwrap_or((model, ""));
    let mut steps = steps(app, repository.to_owned());
    if named.stream {
        let lines = steps.map(|step| {
            let failed = |failure| line(&Envelope::new(&failure));
            Ok::<_, Infallible>(step.map_or_else(failed, |step| line(&step)))
        });
        return Ok((LINES, Body::from_stream(lines)).into_response());
    }
    let mut last = Progress::status("success");
    while let Some(step) = steps.try_next().await? {
        last = step;
    }
    Ok(Json(last).into_response())
}

/// Nothing is here under a name without an owner, and nothing at the hub can be.
fn with_owner(failure: Failure, model: &str) -> Failure {
    if failure.code != ErrorCode::ModelNotFound {
        return failure;
    }
    let message = format!("{model} is not here, and models come from Hugging Face");
    Failure::new(ErrorCode::ModelNotFound, message)
        .hint("pull one by its repository there, such as mlx-community/Qwen3-8B-4bit")
}

/// What happens to a download until its end.
fn steps(app: &App, model: String) -> Steps {
    let mut changes = app.gateway.downloads();
    changes.mark_changed();
    let pulling = Pulling {
        model,
        changes,
        stopping: app.stopping.clone(),
        unsaid: VecDeque::from([Progress::status("pulling manifest")]),
        last: None,
        is_over: false,
    };
    stream::unfold(pulling, Pulling::next).boxed()
}

/// A download as a client sees it. Who reads slowly misses steps in between.
struct Pulling {
    model: String,
    changes: watch::Receiver<Arc<Vec<Download>>>,
    stopping: watch::Receiver<bool>,
    unsaid: VecDeque<Progress>,
    last: Option<Progress>,
    is_over: bool,
}

impl Pulling {
    async fn next(mut self) -> Option<(Result<Progress, Failure>, Self)> {
        // Ends: each round says something, or waits until something else can be said.
        loop {
            if let Some(step) = self.unsaid.pop_front() {
                return Some((Ok(step), self));
            }
            if self.is_over {
                return None;
            }
            match self.news().await {
                Ok(steps) => self.unsaid = steps.into(),
                Err(failure) => {
                    self.is_over = true;
                    return Some((Err(failure), self));
                }
            }
        }
    }

    async fn news(&mut self) -> Result<Vec<Progress>, Failure> {
        let ending = || Failure::new(ErrorCode::WorkerLost, "this node is shutting down");
        tokio::select! {
            biased;
            _ = self.stopping.wait_for(|stopping| *stopping) => return Err(ending()),
            changed = self.changes.changed() => changed.map_err(|_| ending())?,
        }
        let list = Arc::clone(&self.changes.borrow_and_update());
        let found = list.iter().find(|download| download.model == self.model);
        let Some(download) = found else {
            return Err(Failure::new(
                ErrorCode::Cancelled,
                "the download was cancelled",
            ));
        };
        let steps = told(download)?;
        self.is_over = download.state == State::Done;
        let is_news = self.last.as_ref() != steps.last();
        self.last = steps.last().cloned();
        Ok(if is_news { steps } else { Vec::new() })
    }
}

/// A download in Ollama's words. Its clients show a bar for each digest, so there is one for the whole model: its commit.
fn told(download: &Download) -> Result<Vec<Progress>, Failure> {
    let in_words = |status: String| Progress {
        digest: download.commit.clone(),
        total: (download.bytes_total > 0).then_some(download.bytes_total),
        completed: (download.bytes_total > 0).then_some(download.bytes_done),
        status,
    };
    let step = match &download.state {
        State::Waiting(None) => Progress::status("waiting for other downloads"),
        State::Waiting(Some(why)) => Progress::status(&format!("waiting: {why}")),
        State::Running if download.bytes_total == 0 => Progress::status("pulling manifest"),
        State::Running => in_words(format!("pulling {}", download.model)),
        State::Retrying(why) => in_words(format!("trying again: {why}")),
        State::Verifying => in_words("verifying sha256 digest".to_owned()),
        State::Paused => {
            let failure = Failure::new(ErrorCode::Cancelled, "the download was paused");
            return Err(failure.hint("pull it again to go on"));
        }
        State::Failed(failure) => return Err(failure.clone()),
        State::Done => {
            let steps = ["writing manifest", "success"];
            return Ok(steps.map(Progress::status).to_vec());
        }
    };
    Ok(vec![step])
}
