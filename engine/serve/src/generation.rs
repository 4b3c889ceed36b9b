//! Runs the generations of a request and counts what they take. Every dialect makes its answers from these events.

use std::sync::Arc;
use std::time::Instant;

use base::{ErrorCode, Failure, GenerateEvent, GenerateRequest};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};

use crate::app::App;
use crate::gateway::GenerateStream;
use crate::metrics::Metrics;

/// Prompts of one request that run at once: enough to fill a batch, few enough to leave others a place in the queue.
const PROMPTS_AT_ONCE: usize = 16;

/// What happens to the request's prompts, with the prompt's index. Ends when all are finished or one has failed.
/// Dropping it cancels all.
pub(crate) type Events = BoxStream<'static, Result<(usize, GenerateEvent), Failure>>;

/// Starts `requests`, in order and not all at once.
pub(crate) fn events(app: &Arc<App>, requests: Vec<GenerateRequest>) -> Events {
    let app = app.clone();
    let each = stream::iter(requests.into_iter().enumerate()).map(move |(index, request)| {
        let events = run(app.clone(), request);
        events.map_ok(move |event| (index, event)).boxed()
    });
    each.flatten_unordered(PROMPTS_AT_ONCE).boxed()
}

fn run(
    app: Arc<App>,
    request: GenerateRequest,
) -> impl futures::Stream<Item = Result<GenerateEvent, Failure>> + Send {
    let began = Instant::now();
    let starting = async move {
        let events = app.gateway.generate(request).await?;
        Ok(observed(Observed {
            events,
            metrics: app.metrics.clone(),
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
            Ok(GenerateEvent::Started { .. } | GenerateEvent::Prompt(_)) => {}
            Ok(GenerateEvent::Delta { .. }) => {
                if std::mem::take(&mut self.silent) {
                    self.metrics.first_token(self.began.elapsed());
                }
            }
            Ok(GenerateEvent::Finished { usage, .. }) => {
                self.over = true;
                self.metrics.tokens(*usage);
            }
            Err(_) => self.over = true,
        }
        Some(event)
    }
}

fn broken_off() -> Failure {
    Failure::new(ErrorCode::Internal, "the answer broke off").hint("send the request again")
}
