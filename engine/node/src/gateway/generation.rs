//! A generation that outlives the workers it runs on.
//!
//! It keeps the prompt and every token that came. When the stream breaks, because a worker, a node or a link is gone,
//! another instance of the model goes on at once, or it waits until this one answers again: it submits what it has, and
//! sampling depends on the seed and the position alone, so the text goes on as if nothing had happened. Never retries
//! what is the request's own fault.

use std::sync::Arc;
use std::time::Duration;

use base::{
    ErrorCode, Failure, FinishReason, InstanceId, KeepAlive, NodeId, RequestId, TokenEvent,
    TokenRequest,
};
use cluster::{ClusterView, InstanceState, InstanceView, NodeState};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

mod survival;

use survival::{Survival, Verdict};

use super::replicas::{Weights, choose};

/// From the loss of a stream to its going on elsewhere. A node's loss is noticed in about a second and a small model
/// is back in another; a large one has to be read again from disk by whoever takes the lost layers over.
const MEND_LIMIT: Duration = Duration::from_mins(1);
/// Longest silence of a running stream. A very long prompt on a slow machine takes minutes before its first token.
const SILENCE_LIMIT: Duration = Duration::from_mins(10);
/// A worker takes a request on or refuses it between two steps. Waiting for that gives the client a proper error instead
/// of a stream that breaks off, and costs nothing, for its first token does not come sooner. Longer than all but the
/// longest of steps.
const ACCEPTANCE_LIMIT: Duration = Duration::from_secs(5);
/// A request whose worker died soon after it got it is not given to the next one at once, so that those that may be
/// innocent get ahead of it.
const SUSPICION_PAUSE: Duration = Duration::from_secs(1);
/// After a worker turned out to be gone that the view still shows: the view is behind by a few milliseconds.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// What comes of handing a request over: its events, which end without a last one when whoever computes is lost.
pub(crate) type Submitted = Result<BoxStream<'static, TokenEvent>, Failure>;

/// The ways to whoever computes, as a generation needs them.
pub(crate) trait Drivers: Send + Sync {
    /// Follows the cluster.
    fn changes(&self) -> watch::Receiver<Arc<ClusterView>>;

    /// How many requests of this node an instance has.
    fn under_way(&self, instance: InstanceId) -> u32;

    /// Hands a request over. `WorkerLost` means that it should be tried again when the cluster has changed.
    fn submit(
        &self,
        route: Route,
        keep_alive: Option<KeepAlive>,
        request: TokenRequest,
    ) -> BoxFuture<'_, Submitted>;

    /// Opens the model of an instance that nobody is left to mend.
    fn open_again(&self, instance: InstanceId) -> BoxFuture<'_, Result<InstanceId, Failure>>;
}

/// Who is asked, and how long the model stays loaded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// The instance to wait for if no other one of the model answers.
    pub(crate) instance: InstanceId,
    /// The model.
    pub(crate) weights: Weights,
    /// What the client said about it.
    pub(crate) keep_alive: Option<KeepAlive>,
}

/// A request under way.
pub(crate) struct Generation {
    routes: Arc<dyn Drivers>,
    asked: Asked,
    /// The instance that lost it last.
    lost: Option<InstanceId>,
    /// What would have to be submitted now.
    request: TokenRequest,
    /// Log-probabilities of prompt tokens that were handed out.
    scored_prompt_tokens: usize,
    /// Of those, how many the current stream will report again.
    repeated_prompt_tokens: usize,
    stream: Option<BoxStream<'static, TokenEvent>>,
    /// An event that came before it was asked for.
    peeked: Option<TokenEvent>,
    /// When the attempt to get a stream must have succeeded.
    deadline: Instant,
    /// When the whole of it must have ended.
    limit: Limit,
    survival: Survival,
}

/// How long a request may take in all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    ends: Instant,
    length: Duration,
}

impl Limit {
    /// From now on.
    pub(crate) fn of(length: Duration) -> Self {
        let ends = Instant::now() + length;
        Self { ends, length }
    }
}

impl Generation {
    /// Submits a request as soon as the instance answers, within `patience`.
    pub(crate) fn new(
        routes: Arc<dyn Drivers>,
        asked: Asked,
        request: TokenRequest,
        patience: Duration,
        limit: Limit,
    ) -> Self {
        Self {
            routes,
            asked,
            lost: None,
            request,
            scored_prompt_tokens: 0,
            repeated_prompt_tokens: 0,
            stream: None,
            peeked: None,
            deadline: Instant::now() + patience,
            limit,
            survival: Survival::default(),
        }
    }

    /// Tokens of the answer so far.
    pub(crate) fn generated(&self) -> usize {
        self.request.generated.len()
    }

    /// Submits, and fails if the worker refuses. Without this the first `next` does it.
    pub(crate) async fn start(&mut self) -> Result<(), Failure> {
        let limit = self.limit;
        let connected = timeout_at(limit.ends, self.connect()).await;
        self.stream = Some(connected.map_err(|_| out_of_time(limit))??);
        match timeout(ACCEPTANCE_LIMIT, self.next()).await {
            Ok(TokenEvent::Failed(failure)) => Err(failure),
            Ok(event) => {
                self.peeked = Some(event);
                Ok(())
            }
            Err(_) => Ok(()),
        }
    }

    /// The next event; the last one is `Finished` or `Failed`, and always comes.
    pub(crate) async fn next(&mut self) -> TokenEvent {
        if let Some(event) = self.peeked.take() {
            return event;
        }
        let limit = self.limit;
        let next = timeout_at(limit.ends, self.next_in_time()).await;
        next.unwrap_or_else(|_| {
            // This frees its slot.
            self.stream = None;
            TokenEvent::Failed(out_of_time(limit))
        })
    }

    async fn next_in_time(&mut self) -> TokenEvent {
        loop {
            let Some(stream) = &mut self.stream else {
                match self.connect().await {
                    Ok(stream) => self.stream = Some(stream),
                    Err(failure) => return TokenEvent::Failed(failure),
                }
                continue;
            };
            match timeout(SILENCE_LIMIT, stream.next()).await {
                Ok(Some(TokenEvent::Failed(failure))) if is_loss(failure.code) => self.lost(),
                Ok(None) => self.lost(),
                Ok(Some(event)) => {
                    if let Some(event) = self.note(event) {
                        return event;
                    }
                }
                Err(_) => return TokenEvent::Failed(silent()),
            }
            if let (None, Some(reason)) = (&self.stream, self.complete()) {
                // Only the word that it is complete was lost.
                return TokenEvent::Finished(reason);
            }
        }
    }

    /// Remembers an event; `None` if it was handed out before.
    fn note(&mut self, event: TokenEvent) -> Option<TokenEvent> {
        match event {
            TokenEvent::Token { token, logprob } => {
                self.request.generated.push(token);
                self.survival.got_token();
                Some(TokenEvent::Token { token, logprob })
            }
            TokenEvent::Prompt(mut scored) => {
                let repeated = self.repeated_prompt_tokens.min(scored.len());
                self.repeated_prompt_tokens -= repeated;
                scored.drain(..repeated);
                self.scored_prompt_tokens += scored.len();
                (!scored.is_empty()).then_some(TokenEvent::Prompt(scored))
            }
            TokenEvent::Accepted { .. }
            | TokenEvent::Recalled { .. }
            | TokenEvent::Predicted { .. }
            | TokenEvent::Embedding(_)
            | TokenEvent::Finished(_)
            | TokenEvent::Failed(_) => Some(event),
        }
    }

    fn lost(&mut self) {
        tracing::info!(request = %self.request.id, tokens = self.generated(), "a stream broke; it goes on when the model is back");
        self.stream = None;
        self.survival.lost();
        self.lost = Some(self.asked.instance);
        self.deadline = Instant::now() + MEND_LIMIT;
        self.repeated_prompt_tokens = self.scored_prompt_tokens;
        if self.scored_prompt_tokens + 1 >= self.request.prompt.len() {
            self.request.prompt_logprobs = false;
            self.repeated_prompt_tokens = 0;
        }
    }

    /// Why the answer is complete already, if it is.
    fn complete(&self) -> Option<FinishReason> {
        let request = &self.request;
        let last = request.generated.last()?;
        if request.stop_tokens.contains(last) {
            return Some(FinishReason::Stop);
        }
        (request.generated.len() >= request.max_tokens as usize).then_some(FinishReason::Length)
    }

    /// Waits until the instance answers and submits.
    async fn connect(&mut self) -> Submitted {
        let mut changes = self.routes.changes();
        loop {
            let view = Arc::clone(&changes.borrow_and_update());
            let mut pause = MEND_LIMIT;
            match self.standing(&view) {
                Standing::Answers(route) => {
                    match self.survival.judge(|node| is_online(&view, node)) {
                        Verdict::GoesOn => {}
                        Verdict::Waits => {
                            sleep(SUSPICION_PAUSE).await;
                            continue;
                        }
                        Verdict::Ends(failure) => return Err(failure),
                    }
                    // A worker that had it before may not know yet that nobody listens: there the name is taken.
                    self.request.id = RequestId(self.request.id.0.wrapping_add(1));
                    let request = self.request.clone();
                    let keep_alive = self.asked.keep_alive;
                    match self.routes.submit(route, keep_alive, request).await {
                        Ok(stream) => {
                            self.survival.begins(nodes_of(&view, route.instance));
                            return Ok(stream);
                        }
                        Err(failure) if is_loss(failure.code) => {
                            tracing::debug!(%failure, "not submitted yet");
                            self.lost = Some(route.instance);
                            pause = RETRY_PAUSE;
                        }
                        Err(failure) => return Err(failure),
                    }
                }
                Standing::Coming => {}
                Standing::Orphaned => {
                    self.asked.instance = self.routes.open_again(self.asked.instance).await?;
                    continue;
                }
                Standing::Over(failure) => return Err(failure),
            }
            tokio::select! {
                news = changes.changed() => news.map_err(|_| crate::cluster_actor::Leaving)?,
                () = sleep(pause) => {}
                () = sleep_until(self.deadline) => return Err(self.not_back()),
            }
        }
    }

    /// How things stand with the best instance of the model.
    fn standing(&mut self, view: &ClusterView) -> Standing {
        let best = choose(
            view,
            self.asked.weights,
            self.lost,
            |instance| self.routes.under_way(instance),
            &self.request.prompt,
        );
        self.asked.instance = best.unwrap_or(self.asked.instance);
        standing(view, self.asked.instance)
    }

    fn not_back(&self) -> Failure {
        let changes = self.routes.changes();
        let view = changes.borrow();
        let waits_for = find(&view, self.asked.instance).and_then(|found| found.failure.clone());
        waits_for.unwrap_or_else(|| {
            Failure::new(ErrorCode::TimedOut, "the model was not ready in time")
                .hint("see what it waits for with `espalier status`")
        })
    }
}

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    /// The instance.
    pub(crate) instance: InstanceId,
    /// The generation of its plan.
    pub(crate) generation: u32,
    /// The node of rank 0.
    pub(crate) driver: NodeId,
}

/// How an instance stands for whoever wants an answer of it.
#[derive(Debug, PartialEq)]
enum Standing {
    Answers(Route),
    /// Wait for the view to change.
    Coming,
    /// All nodes that ran it are gone, its owner too: only somebody new can open it again.
    Orphaned,
    Over(Failure),
}

fn standing(view: &ClusterView, instance: InstanceId) -> Standing {
    let Some(found) = find(view, instance) else {
        let failure = Failure::new(ErrorCode::Cancelled, "the model was closed");
        return Standing::Over(failure.hint("send the request again to load it"));
    };
    match (found.state, found.driver()) {
        (InstanceState::Ready, Some(driver)) => Standing::Answers(Route {
            instance,
            generation: found.generation,
            driver,
        }),
        (InstanceState::Failed, _) if is_orphaned(view, found) => Standing::Orphaned,
        (InstanceState::Failed, _) => {
            let unsaid = || Failure::new(ErrorCode::WorkerLost, "the model could not be run");
            Standing::Over(found.failure.clone().unwrap_or_else(unsaid))
        }
        (InstanceState::Placing, _) if found.failure.is_some() => {
            // It has never run and does not fit: waiting would be waiting for somebody to add a node.
            found
                .failure
                .clone()
                .map_or(Standing::Coming, Standing::Over)
        }
        (
            InstanceState::Ready
            | InstanceState::Placing
            | InstanceState::Downloading
            | InstanceState::Loading
            | InstanceState::Mending,
            _,
        ) => Standing::Coming,
    }
}

/// Whether nobody is left who could mend an instance.
fn is_orphaned(view: &ClusterView, instance: &InstanceView) -> bool {
    let held = instance
        .shards
        .iter()
        .any(|shard| is_online(view, shard.node));
    !held && !is_online(view, instance.owner)
}

fn is_online(view: &ClusterView, id: NodeId) -> bool {
    let node = view.nodes.iter().find(|node| node.id == id);
    node.is_some_and(|node| node.state == NodeState::Online)
}

/// The nodes that compute an instance.
fn nodes_of(view: &ClusterView, instance: InstanceId) -> Vec<NodeId> {
    let shards = find(view, instance).map_or(&[][..], |found| &found.shards);
    shards.iter().map(|shard| shard.node).collect()
}

fn find(view: &ClusterView, instance: InstanceId) -> Option<&InstanceView> {
    view.instances.iter().find(|found| found.id == instance)
}

/// Whether a failure means that whoever computed is gone, rather than that the request is at fault.
fn is_loss(code: ErrorCode) -> bool {
    match code {
        ErrorCode::WorkerLost | ErrorCode::NotFound => true,
        ErrorCode::InvalidRequest
        | ErrorCode::ContextTooLong
        | ErrorCode::ModelNotFound
        | ErrorCode::ModelUnsupported
        | ErrorCode::ModelDamaged
        | ErrorCode::NotEnoughMemory
        | ErrorCode::PlacementImpossible
        | ErrorCode::Forbidden
        | ErrorCode::MethodNotAllowed
        | ErrorCode::Unauthenticated
        | ErrorCode::TooLarge
        | ErrorCode::Overloaded
        | ErrorCode::TimedOut
        | ErrorCode::Cancelled
        | ErrorCode::Internal => false,
    }
}

fn out_of_time(limit: Limit) -> Failure {
    let seconds = limit.length.as_secs_f64();
    Failure::new(
        ErrorCode::TimedOut,
        format!("the answer was not complete within {seconds} s"),
    )
    .hint("ask for a shorter answer, or set `timeout` to more seconds")
}

fn silent() -> Failure {
    Failure::new(ErrorCode::TimedOut, "the model stopped answering")
        .hint("close the instance and send the request again")
}

#[cfg(test)]
mod tests;
