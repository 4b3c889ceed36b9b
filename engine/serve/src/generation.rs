//! Runs the generations of a request and counts what they take. Every dialect makes its answers from these events.

use std::sync::Arc;
use std::time::Instant;

use base::{ErrorCode, Failure, GenerateEvent, GenerateRequest};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};

use crate::app::App;
use crate::calls::Noted;
use crate::gateway::GenerateStream;
use crate::metrics::Metrics;

/// Prompts of one request that run at once: enough to fill a batch, few enough to leave others a place in the queue.
const PROMPTS_AT_ONCE: usize = 16;

/// What happens to the request's prompts, with the prompt's index. Ends when all are finished or one has failed.
/// Dropping it cancels all.
pub(crate) type Events = BoxStream<'static, Result<(usize, GenerateEvent), Failure>>;

/// Starts `requests`, in order and not all at once; what is learned of them is noted for the list of calls.
pub(crate) fn events(
    app: &Arc<App>,
    requests: Vec<GenerateRequest>,
    noted: Option<Noted>,
) -> Events {
    let app = app.clone();
    if let (Some(noted), Some(first)) = (&noted, requests.first()) {
        noted.model(&first.model);
    }
    let each = stream::iter(requests.into_iter().enumerate()).map(move |(index, request)| {
        let events = run(app.clone(), request, noted.clone());
        events.map_ok(move |event| (index, event)).boxed()
    });
    each.flatten_unordered(PROMPTS_AT_ONCE).boxed()
}

fn run(
    app: Arc<App>,
    request: GenerateRequest,
    noted: Option<Noted>,
) -> impl futures::Stream<Item = Result<GenerateEvent, Failure>> + Send {
    let began = Instant::now();
    let starting = async move {
        let events = app.gateway.generate(request).await?;
        Ok(observed(Observed {
            events,
            metrics: app.metrics.clone(),
            noted,
            began,
            silent: true,
            over: false,
        }))
    };
    stream::once(starting).try_flatten()
}

struct Observed {
    events: GenerateStream,
    metrics: Metrics,
    noted: Option<Noted>,
    began: Instant,
    /// No token has come yet.
    silent: bool,
    over: bool,
}

fn observed(
    observed: Observed,
) -> impl futures::Stream<Item = Result<GenerateEvent, Failure>> + Send {
    stream::unfold(observed, |mut observed| async move {
        let event = observed.next().await?;
        Some((event, observed))
    })
}

impl Observed {
    async fn next(&mut self) -> Option<Result<GenerateEvent, Failure>> {
        if self.over {
            return None;
        }
        let event = self
            .events
            .next()
            .await
            .unwrap_or_else(|| Err(broken_off()));
        match &event {
            Ok(GenerateEvent::Prompt(_)) => {}
            Ok(GenerateEvent::Queued { position }) => {
                self.noted.iter().for_each(|noted| noted.queued(*position));
            }
            Ok(GenerateEvent::Started { model, .. }) => {
                self.noted.iter().for_each(|noted| noted.model(model));
            }
            Ok(GenerateEvent::Delta { .. }) => {
                if std::mem::take(&mut self.silent) {
                    self.metrics.first_token(self.began.elapsed());
                }
            }
            Ok(GenerateEvent::Finished { usage, .. }) => {
                self.over = true;
                self.metrics.tokens(*usage);
                self.noted.iter().for_each(|noted| noted.usage(*usage));
            }
            Err(failure) => {
                self.over = true;
                self.noted.iter().for_each(|noted| noted.failed(failure));
            }
        }
        Some(event)
    }
}

fn broken_off() -> Failure {
    Failure::new(ErrorCode::Internal, "the answer broke off").hint("send the request again")
}
