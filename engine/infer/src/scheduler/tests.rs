use super::*;
use crate::backend::{Backend, LayerPart, Logits, Row};
use crate::drafter::{DRAFT_TOKENS_MAX, Drafter};
use crate::fake::FakeBackend;
use crate::{logprobs, sampler};
use base::{ClientId, ErrorCode, FinishReason, Penalties, Pooling, Priority, Sampling, TokenId};
use proptest::prelude::*;
use text::{SpecialTokens, TextStart, TextStream};

mod beginnings;
mod drafts;
mod embeddings;
mod fairness;
mod grammars;
mod predictions;
mod prompts;
mod properties;
mod schemas;
mod speculation;

const VOCABULARY: u32 = 26;

const LIMITS: Limits = Limits {
    slots_max: 4,
    queue_max: 8,
    cache_tokens_max: 1000,
    window: None,
    context_tokens_max: 200,
    vocabulary_size: VOCABULARY,
    layers: 6,
    stages: 1,
    prefill_chunk_tokens: 16,
    scoring_chunk_tokens: 4,
    speculates: true,
    drafts: false,
};

/// Token n is the n-th letter.
fn letters() -> Arc<Tokenizer> {
    let vocabulary: Vec<String> = (0..VOCABULARY)
        .map(|id| format!("\"{}\":{id}", char::from(b'a' + id as u8)))
        .collect();
    let json = format!(
        r#"{{"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"normalizer":null,
        "pre_tokenizer":{{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":false}},
        "post_processor":null,
        "decoder":{{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":false}},
        "model":{{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,
        "end_of_word_suffix":null,"fuse_unk":false,"vocab":{{{}}},"merges":[]}}}}"#,
        vocabulary.join(",")
    );
    Arc::new(Tokenizer::from_json(json.as_bytes(), SpecialTokens::default()).unwrap())
}

fn request(id: u64, prompt: &[TokenId], max_tokens: u32) -> TokenRequest {
    TokenRequest {
        id: RequestId(id),
        client: ClientId(0),
        priority: Priority::Usual,
        prompt: prompt.to_vec(),
        generated: Vec::new(),
        sampling: Sampling::GREEDY,
        max_tokens,
        stop: Vec::new(),
        stop_tokens: Vec::new(),
        logprobs: None,
        prompt_logprobs: false,
        grammar: None,
        logit_bias: Vec::new(),
        pooling: None,
        prediction: Vec::new(),
    }
}

/// A scheduler with the backend it drives.
struct Rig {
    scheduler: Scheduler,
    backend: FakeBackend,
    events: Vec<(RequestId, TokenEvent)>,
    /// Steps that were planned and did not run yet.
    under_way: VecDeque<StepPlan>,
    /// Jobs that are out.
    jobs: Vec<MaskJob>,
    /// Whether jobs come back only when the step waits for them, or nothing else can run.
    late: bool,
    /// How long a step takes, and a token in it.
    speed: (Duration, Duration),
    /// How long the last one took.
    took: Duration,
    /// A model that drafts, how long its steps take, and how long they took in all.
    drafter: Option<Drafter<FakeBackend>>,
    draft_step: Duration,
    drafting: Duration,
}

impl Rig {
    fn new(limits: Limits) -> Self {
        Self::with(limits, letters())
    }

    fn with(limits: Limits, tokenizer: Arc<Tokenizer>) -> Self {
        Self {
            scheduler: Scheduler::new(limits, tokenizer),
            backend: FakeBackend::new(limits.vocabulary_size as usize),
            events: Vec::new(),
            under_way: VecDeque::new(),
            jobs: Vec::new(),
            late: false,
            speed: (Duration::ZERO, Duration::ZERO),
            took: Duration::ZERO,
            drafter: None,
            draft_step: Duration::ZERO,
            drafting: Duration::ZERO,
        }
    }

    fn draft(&mut self) {
        let asks = self.scheduler.drafts();
        if let Some(drafter) = self.drafter.as_mut().filter(|_| !asks.is_empty()) {
            let drafts = drafter.draft(&asks).unwrap();
            let took = self.draft_step * drafts.steps;
            self.drafting += took;
            self.scheduler.drafted(drafts, took);
        }
    }

    fn hand_out(&mut self) {
        self.jobs.extend(self.scheduler.mask_jobs());
        if !self.late {
            self.take_back();
        }
    }

    /// The last first.
    fn take_back(&mut self) {
        while let Some(job) = self.jobs.pop() {
            self.scheduler.take_back(job.run());
        }
    }

    fn submit(&mut self, request: TokenRequest) {
        let id = request.id;
        if let Submitted::Finished(reason) = self.scheduler.submit(request).unwrap() {
            self.events.push((id, TokenEvent::Finished(reason)));
        }
    }

    /// Runs one step; whether there was one. Each step keeps the limits.
    fn step(&mut self) -> bool {
        let limits = self.scheduler.limits;
        self.draft();
        self.hand_out();
        while let Some(plan) = self.scheduler.next() {
            check_limits(&plan, &limits);
            if let Some(drafter) = &mut self.drafter {
                drafter.free(&plan.free).unwrap();
            }
            self.under_way.push_back(plan);
            self.draft();
        }
        let Some(plan) = self.under_way.pop_front() else {
            let waits = !self.jobs.is_empty();
            self.take_back();
            return waits;
        };
        self.hand_out();
        let output = self.backend.step(&plan).unwrap();
        assert!(self.backend.slots() <= limits.slots_max as usize);
        assert!(self.backend.cached_tokens() as u64 <= limits.cache_tokens_max);
        assert!(self.scheduler.load().cache_tokens_reserved <= limits.cache_tokens_max);
        if self.scheduler.awaits_masks() {
            self.take_back();
        }
        assert!(!self.scheduler.awaits_masks());
        let part = |row: &Row| row.layers.map_or(1.0, LayerPart::share);
        let tokens = plan
            .rows
            .iter()
            .map(|row| row.tokens.len() as f64 * part(row));
        self.took = self.speed.0 + self.speed.1.mul_f64(tokens.sum());
        self.events
            .extend(self.scheduler.complete(output, self.took));
        true
    }

    fn run(&mut self) {
        // Every step computes a token of a bounded number, or frees a slot.
        while self.step() {}
        assert!(self.scheduler.is_idle());
        assert_eq!(self.backend.slots(), 0, "every cache was dropped");
        assert_eq!(self.scheduler.load().cache_tokens_reserved, 0);
    }

    /// What was reported of a request, but for what was found computed and its places in the queue.
    fn of(&self, id: u64) -> Vec<TokenEvent> {
        let aside = |event: &TokenEvent| {
            matches!(
                event,
                TokenEvent::Recalled { .. }
                    | TokenEvent::Accepted { .. }
                    | TokenEvent::Predicted { .. }
            )
        };
        let events = self.events.iter();
        let events = events.filter(|(request, event)| request.0 == id && !aside(event));
        events.map(|(_, event)| event.clone()).collect()
    }

    /// How much of a request's prompt was found computed.
    fn recalled(&self, id: u64) -> u32 {
        let recalled = |(request, event): &(RequestId, TokenEvent)| match event {
            TokenEvent::Recalled { tokens } if request.0 == id => Some(*tokens),
            _ => None,
        };
        let recalled: Vec<u32> = self.events.iter().filter_map(recalled).collect();
        assert!(recalled.len() <= 1, "it is said once");
        recalled.first().copied().unwrap_or(0)
    }
}

fn check_limits(plan: &StepPlan, limits: &Limits) {
    let reads = |row: &&Row| row.tokens.len() > 1 && row.outputs.guessed() == 0;
    let prompts = plan.rows.iter().filter(reads);
    let part = |row: &Row| row.layers.map_or(1.0, LayerPart::share);
    let tokens: f64 = prompts.map(|row| row.tokens.len() as f64 * part(row)).sum();
    // Each goes through one layer at least.
    let most = f64::from(limits.prefill_chunk_tokens) + plan.rows.len() as f64 * 16.0 / 6.0;
    assert!(tokens <= most, "{tokens}");
    let scored = plan.rows.iter().filter(|row| row.outputs == Outputs::All);
    let scored: usize = scored.map(|row| row.tokens.len()).sum();
    assert!(scored <= limits.scoring_chunk_tokens as usize);
}

/// What a request must yield, computed from whole prefixes without any batching, chunking or cache.
fn expected(request: &TokenRequest) -> Vec<TokenEvent> {
    expected_of(&model(None), request)
}

/// The same of another model.
fn expected_of(backend: &FakeBackend, request: &TokenRequest) -> Vec<TokenEvent> {
    let top = request.logprobs.unwrap_or(0) as usize;
    let score = |prefix: &[TokenId], token| {
        logprobs::score(&backend.logits_after(prefix), token, top).unwrap()
    };
    let mut events = Vec::new();
    if let Some(pooling) = request.pooling {
        return embeddings::expected(&request.prompt, pooling);
    }
    if request.prompt_logprobs && request.generated.is_empty() && request.prompt.len() > 1 {
        let scores = (1..request.prompt.len())
            .map(|at| score(&request.prompt[..at], request.prompt[at]))
            .collect();
        events.push(TokenEvent::Prompt(scores));
    }
    let mut text = TextStream::new(letters(), request.stop.clone(), TextStart::Continuation);
    let mut tokens = request.prompt.clone();
    for position in 0..request.max_tokens {
        let prefix = tokens.clone();
        let logits = adjusted(backend.logits_after(&prefix), request, &prefix);
        let token = sampler::sample(&logits, &request.sampling, position).unwrap();
        tokens.push(token);
        if let Some(known) = request.generated.get(position as usize) {
            assert_eq!(*known, token, "a resumed answer is what would have come");
        } else {
            let logprob = request.logprobs.map(|_| score(&prefix, token));
            events.push(TokenEvent::Token { token, logprob });
        }
        if request.stop_tokens.contains(&token) || text.push(token).stopped {
            events.push(TokenEvent::Finished(FinishReason::Stop));
            return events;
        }
    }
    events.push(TokenEvent::Finished(FinishReason::Length));
    events
}

/// A model that likes to repeat itself after so many tokens, or does not.
fn model(habit: Option<usize>) -> FakeBackend {
    let model = FakeBackend::new(VOCABULARY as usize);
    match habit {
        Some(period) => model.with_habit(period),
        None => model,
    }
}

/// Logits after biases and penalties, by their definitions.
fn adjusted(mut logits: Vec<f32>, request: &TokenRequest, prefix: &[TokenId]) -> Vec<f32> {
    let Penalties {
        repetition,
        frequency,
        presence,
    } = request.sampling.penalties;
    let answer = &prefix[request.prompt.len()..];
    for (token, logit) in (0..).zip(&mut logits) {
        let biases = request.logit_bias.iter().filter(|(of, _)| *of == token);
        *logit += biases.map(|(_, bias)| bias).sum::<f32>();
        if prefix.contains(&token) {
            *logit *= if *logit > 0.0 {
                1.0 / repetition
            } else {
                repetition
            };
        }
        let times = answer.iter().filter(|of| **of == token).count();
        *logit -= frequency * times as f32;
        *logit -= if times > 0 { presence } else { 0.0 };
    }
    logits
}

/// The same events with the prompt's scores in one piece.
fn joined(events: Vec<TokenEvent>) -> Vec<TokenEvent> {
    let mut joined = Vec::new();
    for event in events {
        match (joined.last_mut(), event) {
            (Some(TokenEvent::Prompt(scores)), TokenEvent::Prompt(more)) => scores.extend(more),
            (_, event) => joined.push(event),
        }
    }
    joined
}

fn tokens_of(events: &[TokenEvent]) -> Vec<TokenId> {
    let tokens = events.iter().filter_map(|event| match event {
        TokenEvent::Token { token, .. } => Some(*token),
        TokenEvent::Accepted { .. }
        | TokenEvent::Recalled { .. }
        | TokenEvent::Predicted { .. }
        | TokenEvent::Prompt(_)
        | TokenEvent::Embedding(_)
        | TokenEvent::Finished(_)
        | TokenEvent::Failed(_) => None,
    });
    tokens.collect()
}

#[test]
fn a_request_alone() {
    let mut rig = Rig::new(LIMITS);
    let request = request(1, &[3, 1, 4, 1, 5], 12);
    rig.submit(request.clone());
    rig.run();
    assert_eq!(rig.of(1), expected(&request));
    let load = rig.scheduler.load();
    assert_eq!((load.prompt_tokens, load.generated_tokens), (5, 12));
    // One step for the prompt, eleven for the tokens after the first, one to drop the cache.
    assert_eq!(rig.backend.steps(), 13);
}

#[test]
fn answers_go_on_while_a_long_prompt_is_read() {
    let mut rig = Rig::new(LIMITS);
    rig.submit(request(1, &[1, 2], 30));
    rig.step();
    rig.submit(request(2, &[7; 100], 3));
    // The first looks for its beginning.
    for n in 2..=9 {
        rig.step();
        assert_eq!(rig.of(1).len(), n, "a token in every step");
    }
    assert_eq!(rig.of(2).len(), 1, "100 tokens take seven chunks of 16");
    rig.run();
    assert_eq!(rig.of(2), expected(&request(2, &[7; 100], 3)));
}

#[test]
fn a_short_prompt_does_not_wait_for_a_long_one() {
    let mut rig = Rig::new(LIMITS);
    rig.submit(request(1, &[7; 150], 3));
    rig.step();
    rig.submit(request(2, &[1; 9], 30));
    rig.step();
    assert_eq!(rig.of(2).len(), 0, "they share the step");
    rig.step();
    assert_eq!(rig.of(2).len(), 1);
    rig.run();
    assert_eq!(rig.of(1), expected(&request(1, &[7; 150], 3)));
}

#[test]
fn prompts_that_are_only_scored_sample_nothing() {
    for length in 1..20 {
        let mut rig = Rig::new(LIMITS);
        let mut request = request(1, &(0..length).collect::<Vec<_>>(), 0);
        request.prompt_logprobs = true;
        request.logprobs = Some(3);
        rig.submit(request.clone());
        rig.run();
        assert_eq!(joined(rig.of(1)), expected(&request), "{length} tokens");
    }
}

#[test]
fn nothing_asked_for_is_finished_at_once() {
    let mut rig = Rig::new(LIMITS);
    rig.submit(request(1, &[1, 2, 3], 0));
    rig.run();
    assert_eq!(rig.of(1), [TokenEvent::Finished(FinishReason::Length)]);
    assert_eq!(rig.backend.steps(), 0);
}

#[test]
fn a_cancelled_request_leaves_with_the_next_plan() {
    let mut rig = Rig::new(LIMITS);
    rig.submit(request(1, &[1, 2], 100));
    rig.submit(request(2, &[3, 4], 100));
    for _ in 0..5 {
        rig.step();
    }
    rig.scheduler.cancel(RequestId(1));
    let plan = rig.scheduler.next().unwrap();
    assert_eq!(plan.free, [SlotId(0)]);
    assert_eq!(plan.rows.len(), 1);
    let output = rig.backend.step(&plan).unwrap();
    rig.scheduler.complete(output, Duration::ZERO);
    assert_eq!(rig.backend.slots(), 1);
    rig.scheduler.cancel(RequestId(2));
    rig.run();
    assert_eq!(rig.of(1).len(), 5);
}

#[test]
fn a_request_cancelled_in_its_first_step_leaves_its_slot_clean() {
    let mut rig = Rig::new(LIMITS);
    rig.submit(request(1, &[1, 2], 9));
    let plan = rig.scheduler.next().unwrap();
    rig.scheduler.cancel(RequestId(1));
    // The same id again, while the cancelled row still runs.
    rig.submit(request(1, &[8, 9], 4));
    let output = rig.backend.step(&plan).unwrap();
    assert_eq!(rig.scheduler.complete(output, Duration::ZERO), []);
    rig.run();
    assert_eq!(rig.of(1), expected(&request(1, &[8, 9], 4)));
}

#[test]
fn a_waiting_request_is_cancelled_without_a_step() {
    let limits = Limits {
        slots_max: 1,
        ..LIMITS
    };
    let mut rig = Rig::new(limits);
    rig.submit(request(1, &[1], 3));
    rig.submit(request(2, &[2], 3));
    rig.scheduler.cancel(RequestId(2));
    rig.run();
    assert_eq!(rig.of(2), []);
}

#[test]
fn the_queue_is_bounded() {
    let limits = Limits {
        slots_max: 1,
        queue_max: 1,
        ..LIMITS
    };
    let mut rig = Rig::new(limits);
    rig.submit(request(1, &[1], 3));
    rig.submit(request(2, &[2], 3));
    let failure = rig.scheduler.submit(request(3, &[3], 3)).unwrap_err();
    assert_eq!(failure.code, ErrorCode::Overloaded);
    rig.run();
    rig.submit(request(3, &[3], 3));
    rig.run();
}

#[test]
fn what_can_never_run_is_refused_at_once() {
    let limits = Limits {
        cache_tokens_max: 100,
        ..LIMITS
    };
    let mut scheduler = Scheduler::new(limits, letters());
    let mut refused = |request: TokenRequest| {
        let failure = scheduler.submit(request).unwrap_err();
        (failure.code, failure.hint.unwrap_or_default())
    };
    assert_eq!(
        refused(request(1, &[0; 150], 60)),
        (
            ErrorCode::ContextTooLong,
            "ask for at most 50 tokens".into()
        )
    );
    assert_eq!(
        refused(request(1, &[0; 60], 60)),
        (
            ErrorCode::NotEnoughMemory,
            "ask for at most 40 tokens".into()
        )
    );
    assert_eq!(
        refused(request(1, &[0; 250], 1)).1,
        "shorten the prompt to fewer than 200 tokens"
    );
    assert_eq!(refused(request(1, &[], 1)).0, ErrorCode::InvalidRequest);
    assert_eq!(
        refused(request(1, &[VOCABULARY], 1)),
        (
            ErrorCode::InvalidRequest,
            "token ids go from 0 to 25".into()
        )
    );
    scheduler.submit(request(1, &[1], 1)).unwrap();
    let twice = scheduler.submit(request(1, &[1], 1)).unwrap_err();
    assert_eq!(twice.code, ErrorCode::InvalidRequest);
}

#[test]
fn a_large_request_is_not_starved_by_small_ones() {
    let limits = Limits {
        cache_tokens_max: 100,
        ..LIMITS
    };
    let mut rig = Rig::new(limits);
    rig.submit(request(1, &[1; 10], 20));
    rig.submit(request(2, &[2; 50], 50));
    rig.submit(request(3, &[3; 10], 5));
    rig.run();
    let ends: Vec<u64> = rig
        .events
        .iter()
        .filter(|(_, event)| matches!(event, TokenEvent::Finished(_)))
        .map(|(id, _)| id.0)
        .collect();
    assert_eq!(ends, [1, 2, 3]);
}

/// Of a model with a window of one token, of which caches hold 768 at most: of 40,000 tokens they have room for 10,000 there.
#[test]
fn what_windows_hold_of_long_sequences_fits_too() {
    let limits = Limits {
        slots_max: 32,
        queue_max: 32,
        cache_tokens_max: 40_000,
        context_tokens_max: 40_000,
        window: base::CacheWindow::new(1),
        prefill_chunk_tokens: 4000,
        ..LIMITS
    };
    let running = |limits: Limits, count: u64, tokens: usize| {
        let mut rig = Rig::new(limits);
        for id in 0..count {
            rig.submit(request(id, &vec![1; tokens], 2));
        }
        rig.step();
        let running = rig.scheduler.load().running;
        rig.run();
        running
    };
    assert_eq!(running(limits, 20, 1000), 13);
    assert_eq!(
        running(limits, 30, 500),
        19,
        "and a little for what they say"
    );
    assert_eq!(running(limits, 1, 39_000), 1);
    let all_is_seen = Limits {
        window: None,
        ..limits
    };
    assert_eq!(running(all_is_seen, 20, 1000), 20);
}

#[test]
fn a_full_cache_sets_the_last_back_and_loses_nothing() {
    let limits = Limits {
        cache_tokens_max: 200,
        ..LIMITS
    };
    let mut rig = Rig::new(limits);
    let mut requests: Vec<TokenRequest> =
        (0..4).map(|id| request(id, &[id as u32; 8], 150)).collect();
    requests[1].prompt_logprobs = true;
    for request in &requests {
        rig.submit(request.clone());
    }
    // All that fits begins at once, although each may come to need most of the cache.
    rig.step();
    assert_eq!(rig.scheduler.load().running, 2);
    rig.run();
    for request in &requests {
        assert_eq!(joined(rig.of(request.id.0)), expected(request));
    }
    let load = rig.scheduler.load();
    assert!(load.prompt_tokens > 4 * 8, "a sequence was set back");
}

#[test]
fn logits_that_are_no_numbers_fail_their_request_alone() {
    let mut rig = Rig::new(LIMITS);
    rig.submit(request(1, &[1], 5));
    rig.submit(request(2, &[2], 5));
    let plan = rig.scheduler.next().unwrap();
    let mut output = rig.backend.step(&plan).unwrap();
    output.logits[0] = Logits {
        vocabulary: VOCABULARY as usize,
        values: vec![f32::NAN; VOCABULARY as usize],
    };
    let events = rig.scheduler.complete(output, Duration::ZERO);
    rig.events.extend(events);
    rig.run();
    assert!(
        matches!(&rig.of(1)[..], [TokenEvent::Failed(failure)] if failure.code == ErrorCode::Internal)
    );
    assert_eq!(rig.of(2), expected(&request(2, &[2], 5)));
}

#[test]
fn a_defect_that_one_request_meets_ends_it_alone() {
    let mut rig = Rig::new(LIMITS);
    rig.submit(request(1, &[1], 5));
    rig.submit(request(2, &[2], 5));
    let plan = rig.scheduler.next().unwrap();
    let mut output = rig.backend.step(&plan).unwrap();
    // No position: whoever samples from it reaches beyond the end.
    output.logits[0].values.clear();
    let events = rig.scheduler.complete(output, Duration::ZERO);
    rig.events.extend(events);
    rig.run();
    assert!(
        matches!(&rig.of(1)[..], [TokenEvent::Failed(failure)] if failure.code == ErrorCode::Internal)
    );
    assert_eq!(rig.of(2), expected(&request(2, &[2], 5)));
}

#[test]
fn biases_that_cannot_be_are_refused() {
    let mut rig = Rig::new(LIMITS);
    for bias in [
        vec![(VOCABULARY, 1.0)],
        vec![(3, 1.0), (4, 1.0), (3, 2.0)],
        vec![(3, f32::NAN)],
    ] {
        let mut biased = request(1, &[1], 5);
        biased.logit_bias = bias;
        let failure = rig.scheduler.submit(biased).unwrap_err();
        assert_eq!(failure.code, ErrorCode::InvalidRequest);
        assert_eq!(failure.param.as_deref(), Some("logit_bias"));
    }
}

#[test]
fn a_bias_decides_and_is_not_in_the_probabilities() {
    let mut rig = Rig::new(LIMITS);
    let mut biased = request(1, &[1, 2], 10);
    biased.logit_bias = vec![(7, 100.0), (8, f32::MAX), (9, f32::MIN)];
    biased.logprobs = Some(3);
    biased.sampling = Sampling::PLAIN;
    rig.submit(biased.clone());
    rig.run();
    let events = rig.of(1);
    assert_eq!(tokens_of(&events), [8; 10]);
    assert_eq!(events, expected(&biased));
}
