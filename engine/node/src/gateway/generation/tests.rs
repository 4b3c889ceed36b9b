//! A generation against drivers that lose it in every way there is.

use std::collections::VecDeque;
use std::sync::Mutex;

use base::{
    ClientId, Fingerprint, ModelId, Priority, Sampling, TensorSlice, TokenId, TokenLogprob,
};
use cluster::{NodeView, ShardView};
use futures::FutureExt;
use futures::stream;

use super::*;

const HERE: NodeId = NodeId([1; 32]);
const INSTANCE: InstanceId = InstanceId(7);
const ASKED: Asked = Asked {
    instance: INSTANCE,
    weights: Weights {
        fingerprint: Fingerprint([0; 32]),
        quantize: None,
        kv_bits: None,
    },
    keep_alive: Some(KeepAlive::Forever),
};
const PATIENCE: Duration = Duration::from_secs(5);

/// One attempt: what the worker says, and whether the stream then breaks.
type Attempt = Result<Vec<TokenEvent>, Failure>;

/// Plays attempts one after the other and keeps what was submitted.
struct Script {
    attempts: Mutex<VecDeque<Attempt>>,
    submitted: Mutex<Vec<TokenRequest>>,
    instances: Mutex<Vec<InstanceId>>,
    view: watch::Sender<Arc<ClusterView>>,
    reopened: Option<InstanceId>,
}

impl Drivers for Script {
    fn changes(&self) -> watch::Receiver<Arc<ClusterView>> {
        self.view.subscribe()
    }

    fn under_way(&self, _instance: InstanceId) -> u32 {
        0
    }

    fn submit(
        &self,
        route: Route,
        keep_alive: Option<KeepAlive>,
        request: TokenRequest,
    ) -> BoxFuture<'_, Submitted> {
        assert_eq!(keep_alive, ASKED.keep_alive);
        self.submitted.lock().unwrap().push(request);
        self.instances.lock().unwrap().push(route.instance);
        let attempt = self.attempts.lock().unwrap().pop_front().unwrap();
        let submitted: Submitted = attempt.map(|events| stream::iter(events).boxed());
        std::future::ready(submitted).boxed()
    }

    fn open_again(&self, _instance: InstanceId) -> BoxFuture<'_, Result<InstanceId, Failure>> {
        let opened = self
            .reopened
            .ok_or_else(|| Failure::new(ErrorCode::ModelNotFound, "gone"));
        std::future::ready(opened).boxed()
    }
}

fn view(instances: Vec<InstanceView>) -> Arc<ClusterView> {
    let here = NodeView {
        id: HERE,
        name: "here".into(),
        chip: String::new(),
        state: NodeState::Online,
        memory_total_bytes: 0,
        memory_available_bytes: 0,
        pressure: base::Pressure::default(),
    };
    Arc::new(ClusterView {
        node_id: HERE,
        nodes: vec![here],
        links: Vec::new(),
        instances,
    })
}

fn instance(id: InstanceId, node: NodeId, state: InstanceState) -> InstanceView {
    InstanceView {
        id,
        model: ModelId("m".into()),
        folder: "/m".into(),
        fingerprint: Fingerprint([0; 32]),
        origin: None,
        quantize: None,
        kv_bits: None,
        draft: None,
        context_tokens_max: 100,
        cache_tokens: 100,
        vocabulary_size: 100,
        on_demand: false,
        owner: node,
        generation: 1,
        sharding: None,
        state,
        failure: None,
        activity: None,
        shards: vec![ShardView {
            node,
            rank: 0,
            layers: 0..1,
            tensor: TensorSlice::WHOLE,
            bytes: 0,
            status: None,
        }],
    }
}

fn request() -> TokenRequest {
    TokenRequest {
        id: RequestId(u64::MAX),
        client: ClientId(0),
        priority: Priority::Usual,
        prompt: vec![10, 11, 12],
        generated: Vec::new(),
        sampling: Sampling::GREEDY,
        max_tokens: 4,
        stop: Vec::new(),
        stop_tokens: vec![99],
        logprobs: None,
        prompt_logprobs: false,
        grammar: None,
        logit_bias: Vec::new(),
        pooling: None,
        prediction: Vec::new(),
    }
}

fn token(token: TokenId) -> TokenEvent {
    TokenEvent::Token {
        token,
        logprob: None,
    }
}

fn scored(tokens: &[TokenId]) -> TokenEvent {
    let scored = tokens.iter().map(|token| TokenLogprob {
        token: *token,
        logprob: -1.0,
        top: Vec::new(),
    });
    TokenEvent::Prompt(scored.collect())
}

fn lost() -> Attempt {
    Err(Failure::new(ErrorCode::WorkerLost, "lost"))
}

fn unlimited() -> Limit {
    Limit::of(Duration::from_hours(1))
}

const STOP: TokenEvent = TokenEvent::Finished(FinishReason::Stop);
const LENGTH: TokenEvent = TokenEvent::Finished(FinishReason::Length);

/// Every event that comes, and every request that was submitted.
async fn play(
    request: TokenRequest,
    attempts: Vec<Attempt>,
) -> (Vec<TokenEvent>, Vec<TokenRequest>) {
    let ready = view(vec![instance(INSTANCE, HERE, InstanceState::Ready)]);
    let script = Arc::new(Script {
        attempts: Mutex::new(attempts.into()),
        submitted: Mutex::new(Vec::new()),
        instances: Mutex::default(),
        view: watch::Sender::new(ready),
        reopened: None,
    });
    let events = all(Generation::new(
        script.clone(),
        ASKED,
        request,
        PATIENCE,
        unlimited(),
    ))
    .await;
    let submitted = std::mem::take(&mut *script.submitted.lock().unwrap());
    (events, submitted)
}

async fn all(mut generation: Generation) -> Vec<TokenEvent> {
    let mut events = Vec::new();
    loop {
        let event = generation.next().await;
        let last = matches!(event, TokenEvent::Finished(_) | TokenEvent::Failed(_));
        events.push(event);
        if last {
            return events;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_stream_goes_on_with_what_it_has() {
    let attempts = vec![
        Ok(vec![token(1), token(2)]),
        lost(),
        lost(),
        Ok(vec![token(3), token(4), LENGTH]),
    ];
    let (events, submitted) = play(request(), attempts).await;
    assert_eq!(events, [token(1), token(2), token(3), token(4), LENGTH]);
    let had: Vec<_> = submitted
        .iter()
        .map(|request| request.generated.clone())
        .collect();
    assert_eq!(had, [vec![], vec![1, 2], vec![1, 2], vec![1, 2]]);
    let mut ids: Vec<_> = submitted.iter().map(|request| request.id).collect();
    ids.dedup();
    assert_eq!(ids.len(), 4, "every attempt has a name of its own");
}

#[tokio::test(start_paused = true)]
async fn a_lost_last_word_is_not_asked_for_again() {
    let (events, submitted) = play(request(), vec![Ok(vec![token(1), token(99)])]).await;
    assert_eq!(events, [token(1), token(99), STOP]);
    assert_eq!(submitted.len(), 1);
    let whole = Ok(vec![token(1), token(2), token(3), token(4)]);
    let (events, submitted) = play(request(), vec![whole]).await;
    assert_eq!(events.last(), Some(&LENGTH));
    assert_eq!(submitted.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_prompts_scores_are_handed_out_once() {
    let asked = TokenRequest {
        logprobs: Some(0),
        prompt_logprobs: true,
        ..request()
    };
    let attempts = vec![
        Ok(vec![scored(&[11])]),
        Ok(vec![scored(&[11, 12]), token(1), token(2), STOP]),
    ];
    let (events, submitted) = play(asked, attempts).await;
    assert_eq!(
        events,
        [scored(&[11]), scored(&[12]), token(1), token(2), STOP]
    );
    let again: Vec<_> = submitted
        .iter()
        .map(|request| request.prompt_logprobs)
        .collect();
    assert_eq!(again, [true, true]);
}

#[tokio::test(start_paused = true)]
async fn the_requests_own_fault_is_final() {
    let refused = Failure::new(ErrorCode::InvalidRequest, "no");
    let (events, submitted) = play(request(), vec![Err(refused.clone())]).await;
    assert_eq!(events, [TokenEvent::Failed(refused)]);
    assert_eq!(submitted.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_model_that_does_not_come_back_is_given_up() {
    let mending = view(vec![instance(INSTANCE, HERE, InstanceState::Mending)]);
    let script = Arc::new(Script {
        attempts: Mutex::default(),
        submitted: Mutex::default(),
        instances: Mutex::default(),
        view: watch::Sender::new(mending),
        reopened: None,
    });
    let start = Instant::now();
    let events = all(Generation::new(
        script,
        ASKED,
        request(),
        PATIENCE,
        unlimited(),
    ))
    .await;
    let TokenEvent::Failed(failure) = &events[0] else {
        panic!("{events:?}");
    };
    assert_eq!(failure.code, ErrorCode::TimedOut);
    assert_eq!(start.elapsed(), PATIENCE);
}

#[tokio::test(start_paused = true)]
async fn a_model_whose_nodes_are_all_gone_is_opened_again() {
    let other = InstanceId(8);
    let gone = instance(INSTANCE, NodeId([2; 32]), InstanceState::Failed);
    let fresh = instance(other, HERE, InstanceState::Ready);
    let script = Arc::new(Script {
        attempts: Mutex::new([Ok(vec![token(1), STOP])].into()),
        submitted: Mutex::default(),
        instances: Mutex::default(),
        view: watch::Sender::new(view(vec![gone, fresh])),
        reopened: Some(other),
    });
    let events = all(Generation::new(
        script,
        ASKED,
        request(),
        PATIENCE,
        unlimited(),
    ))
    .await;
    assert_eq!(events, [token(1), STOP]);
}

#[tokio::test(start_paused = true)]
async fn a_closed_model_ends_its_answers() {
    let script = Arc::new(Script {
        attempts: Mutex::default(),
        submitted: Mutex::default(),
        instances: Mutex::default(),
        view: watch::Sender::new(view(Vec::new())),
        reopened: None,
    });
    let events = all(Generation::new(
        script,
        ASKED,
        request(),
        PATIENCE,
        unlimited(),
    ))
    .await;
    assert!(
        matches!(&events[0], TokenEvent::Failed(failure) if failure.code == ErrorCode::Cancelled)
    );
}

#[tokio::test(start_paused = true)]
async fn what_two_workers_died_of_is_not_given_to_a_third() {
    let killer = vec![Ok(vec![token(1)]), Ok(Vec::new())];
    let (events, submitted) = play(request(), killer).await;
    let TokenEvent::Failed(failure) = &events[1] else {
        panic!("{events:?}");
    };
    assert_eq!(failure.code, ErrorCode::WorkerLost);
    assert_eq!(submitted.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_request_ends_in_time_and_frees_its_slot() {
    struct Endless;
    impl Drivers for Endless {
        fn changes(&self) -> watch::Receiver<Arc<ClusterView>> {
            let ready = vec![instance(INSTANCE, HERE, InstanceState::Ready)];
            watch::Sender::new(view(ready)).subscribe()
        }

        fn under_way(&self, _instance: InstanceId) -> u32 {
            0
        }

        fn submit(
            &self,
            _route: Route,
            _keep_alive: Option<KeepAlive>,
            _request: TokenRequest,
        ) -> BoxFuture<'_, Submitted> {
            let tokens = stream::unfold((), |()| async {
                sleep(Duration::from_secs(1)).await;
                Some((token(1), ()))
            });
            std::future::ready(Ok(tokens.boxed())).boxed()
        }

        fn open_again(&self, _: InstanceId) -> BoxFuture<'_, Result<InstanceId, Failure>> {
            unreachable!("it is there")
        }
    }
    let endless = TokenRequest {
        max_tokens: 1000,
        ..request()
    };
    let limit = Limit::of(Duration::from_millis(4500));
    let began = Instant::now();
    let mut generation = Generation::new(Arc::new(Endless), ASKED, endless, PATIENCE, limit);
    for _ in 0..4 {
        assert_eq!(generation.next().await, token(1));
    }
    let last = generation.next().await;
    assert!(matches!(last, TokenEvent::Failed(failure) if failure.code == ErrorCode::TimedOut));
    assert_eq!(began.elapsed(), Duration::from_millis(4500));
    assert!(generation.stream.is_none());
}
