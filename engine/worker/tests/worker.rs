//! Real worker processes, driven with frames over their pipes as a node drives them.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends with what it did not expect"
)]

#[path = "worker/checkpoint.rs"]
mod checkpoint;
#[path = "worker/drafts.rs"]
mod drafts;
#[path = "worker/embedding.rs"]
mod embedding;
#[path = "worker/grammar.rs"]
mod grammar;
#[path = "worker/hostile.rs"]
mod hostile;
#[path = "worker/kept.rs"]
mod kept;
#[path = "worker/process.rs"]
mod process;
#[path = "worker/speculation.rs"]
mod speculation;

use std::process::Stdio;
use std::time::{Duration, Instant};

use base::{
    ClientId, ErrorCode, FinishReason, Penalties, Priority, RequestId, Sampling, Sharding,
    TokenEvent, TokenId, TokenRequest,
};
use wire::worker::{FromWorker, Start, ToWorker};

use process::{Cluster, Worker};

/// For anything that a worker does, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_mins(1);

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

fn tokens(events: &[TokenEvent]) -> Vec<TokenId> {
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

fn sampled(mut request: TokenRequest) -> TokenRequest {
    request.sampling = Sampling {
        temperature: 0.9,
        top_p: 0.95,
        top_k: 12,
        min_p: 0.0,
        seed: 11,
        penalties: Penalties::NONE,
    };
    request
}

/// Requests of several kinds, with a long prompt among them.
fn requests() -> Vec<TokenRequest> {
    let long: Vec<TokenId> = (0..90).map(|n| n * 7 % 26).collect();
    vec![
        request(1, &[3, 1, 4, 1, 5], 24),
        request(2, &long, 16),
        sampled(request(3, &[9, 2, 6], 24)),
        sampled(request(4, &long[..40], 8)),
    ]
}

#[test]
fn a_card_is_the_answer_to_inspect() {
    let folder = checkpoint::llama();
    let mut worker = Worker::start(&[]);
    worker.send(&ToWorker::Start(Start::Inspect {
        folder: folder.path().into(),
        quantize: None,
        kv_bits: None,
    }));
    let FromWorker::Card(card) = worker.frame(PATIENCE) else {
        panic!("no card");
    };
    assert_eq!(card.layer_count(), checkpoint::LAYERS);
    assert_eq!(worker.ended(PATIENCE), Some(0));
}

#[test]
fn a_folder_that_is_no_model_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let mut worker = Worker::start(&[]);
    worker.send(&ToWorker::Start(Start::Inspect {
        folder: folder.path().into(),
        quantize: None,
        kv_bits: None,
    }));
    let failure = worker.fatal(PATIENCE);
    assert!(failure.hint.is_some(), "{failure:?}");
    assert_eq!(worker.ended(PATIENCE), Some(1));
}

#[test]
fn the_same_text_alone_batched_and_sharded() {
    let folder = checkpoint::llama();
    let mut single = Cluster::start(folder.path(), 1, Sharding::Pipeline);
    let alone: Vec<_> = requests()
        .into_iter()
        .map(|request| single.answer(request))
        .collect();
    for (request, events) in requests().iter().zip(&alone) {
        assert_eq!(tokens(events).len(), request.max_tokens as usize);
        assert_eq!(
            events.last(),
            Some(&TokenEvent::Finished(FinishReason::Length))
        );
    }
    // All of them at once. What was computed before is found and changes nothing.
    let again = single.answers(requests());
    let found = |events: &Vec<TokenEvent>| matches!(events[1], TokenEvent::Recalled { .. });
    assert!(again.iter().any(found), "{again:?}");
    let all_tokens = |answers: &[Vec<TokenEvent>]| -> Vec<_> {
        answers.iter().map(|events| tokens(events)).collect()
    };
    let alone = all_tokens(&alone);
    assert_eq!(all_tokens(&again), alone, "in one batch");
    for (world, sharding) in [
        (2, Sharding::Pipeline),
        (2, Sharding::Tensor),
        (3, Sharding::Pipeline),
    ] {
        let mut cluster = Cluster::start(folder.path(), world, sharding);
        assert_eq!(
            all_tokens(&cluster.answers(requests())),
            alone,
            "{sharding:?} over {world}"
        );
    }
}

#[test]
fn an_answer_goes_on_in_another_worker_where_it_stopped() {
    let folder = checkpoint::llama();
    let mut first = Cluster::start(folder.path(), 1, Sharding::Pipeline);
    let mut second = Cluster::start(folder.path(), 2, Sharding::Pipeline);
    for request in requests() {
        let whole = tokens(&first.answer(request.clone()));
        let known = whole.len() / 3;
        let resumed = TokenRequest {
            generated: whole[..known].to_vec(),
            ..request
        };
        assert_eq!(tokens(&second.answer(resumed)), whole[known..]);
    }
}

#[test]
fn prompts_are_scored_and_stop_strings_found() {
    let folder = checkpoint::llama();
    let mut cluster = Cluster::start(folder.path(), 1, Sharding::Pipeline);
    let mut scored = request(1, &[3, 1, 4, 1, 5, 9, 2, 6], 0);
    scored.prompt_logprobs = true;
    scored.logprobs = Some(2);
    let events = cluster.answer(scored);
    let count: usize = events
        .iter()
        .map(|event| match event {
            TokenEvent::Prompt(logprobs) => logprobs.len(),
            TokenEvent::Accepted { .. }
            | TokenEvent::Recalled { .. }
            | TokenEvent::Predicted { .. }
            | TokenEvent::Token { .. }
            | TokenEvent::Embedding(_)
            | TokenEvent::Finished(_)
            | TokenEvent::Failed(_) => 0,
        })
        .sum();
    assert_eq!(count, 7);
    let free = tokens(&cluster.answer(request(2, &[3, 1, 4], 12)));
    let stop: String = free[3..5]
        .iter()
        .map(|token| char::from(b'a' + *token as u8))
        .collect();
    let mut stopped = request(3, &[3, 1, 4], 12);
    stopped.stop = vec![stop];
    let events = cluster.answer(stopped);
    assert_eq!(
        events.last(),
        Some(&TokenEvent::Finished(FinishReason::Stop))
    );
    assert!(tokens(&events).len() <= 5);
}

#[test]
fn a_cancelled_answer_ends_and_others_do_not_notice() {
    let folder = checkpoint::llama();
    let mut cluster = Cluster::start(folder.path(), 2, Sharding::Pipeline);
    let undisturbed = cluster.answer(request(1, &[5, 6, 7], 60));
    cluster
        .lead()
        .send(&ToWorker::Submit(request(2, &[5, 6, 7], 60)));
    cluster
        .lead()
        .send(&ToWorker::Submit(request(3, &[1, 2, 3], 60)));
    cluster
        .lead()
        .events_until(PATIENCE, |events| events.len() > 10);
    cluster.lead().send(&ToWorker::Cancel(RequestId(3)));
    let events = cluster.lead().events_until(PATIENCE, |events| {
        events
            .iter()
            .any(|(_, event)| matches!(event, TokenEvent::Finished(_)))
    });
    let last = events.last().unwrap();
    assert_eq!(
        (last.0, &last.1),
        (RequestId(2), undisturbed.last().unwrap())
    );
    assert!(events.iter().filter(|(id, _)| id.0 == 3).count() < 55);
    // The slot is free and clean.
    assert_eq!(cluster.answer(request(3, &[5, 6, 7], 60)), undisturbed);
}

#[test]
fn when_one_rank_is_killed_the_other_says_so_at_once() {
    let folder = checkpoint::llama();
    for (victim, busy) in [(0, false), (1, false), (0, true), (1, true)] {
        let mut cluster = Cluster::start(folder.path(), 2, Sharding::Pipeline);
        if busy {
            cluster
                .lead()
                .send(&ToWorker::Submit(request(1, &[1, 2], 150)));
            cluster
                .lead()
                .events_until(PATIENCE, |events| events.len() > 5);
        }
        let began = Instant::now();
        cluster.workers[victim].kill();
        let survivor = &mut cluster.workers[1 - victim];
        let failure = survivor.fatal(Duration::from_secs(5));
        assert_eq!(failure.code, ErrorCode::WorkerLost, "{failure:?}");
        assert!(survivor.ended(Duration::from_secs(5)).is_some());
        let took = began.elapsed();
        assert!(
            took < Duration::from_secs(1),
            "rank {victim}, busy: {busy}: {took:?}"
        );
    }
}

#[test]
fn a_worker_ends_with_its_stdin_even_in_a_step() {
    let folder = checkpoint::llama();
    // Several times: it was a crash now and then, on the way out past threads that computed.
    for _ in 0..8 {
        let mut cluster = Cluster::start(folder.path(), 1, Sharding::Pipeline);
        let lead = cluster.lead();
        lead.send(&ToWorker::Submit(request(1, &[1, 2], 150)));
        lead.events_until(PATIENCE, |events| events.len() > 2);
        let began = Instant::now();
        lead.close();
        assert_eq!(lead.ended(PATIENCE), Some(0));
        let took = began.elapsed();
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
}

#[test]
fn test_reproduce_a_worker_outlives_a_node_that_was_killed() {
    // Its pipes close together, and what the worker says about it has nowhere to go.
    let mut worker = Worker::with_stderr(Stdio::piped(), &[]);
    worker.hang_up();
    let began = Instant::now();
    assert!(worker.ended(PATIENCE).is_some());
    assert!(began.elapsed() < Duration::from_secs(1));
    // It has something to say about a frame while stderr is closed: that was a panic in the panic hook's way.
    let mut worker = Worker::with_stderr(Stdio::piped(), &[]);
    worker.close_stderr();
    let began = Instant::now();
    let _ = worker.send_bytes(&[0xff; 64]);
    assert!(worker.ended(PATIENCE).is_some());
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_rank_that_never_comes_is_not_waited_for_for_ever() {
    // The other rank is started with another secret: each refuses the other, and both are told to stop meanwhile.
    let folder = checkpoint::llama();
    let mut cluster = Cluster::unlinked(folder.path());
    std::thread::sleep(Duration::from_millis(300));
    for worker in &mut cluster.workers {
        worker.send(&ToWorker::Stop);
        let began = Instant::now();
        assert!(worker.ended(PATIENCE).is_some());
        assert!(began.elapsed() < Duration::from_secs(1));
    }
}

#[test]
fn the_host_takes_little_of_a_step() {
    let folder = checkpoint::llama();
    let mut cluster = Cluster::start(folder.path(), 2, Sharding::Pipeline);
    // Counters come once a second.
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(2500) {
        cluster.answer(request(1, &[1, 2, 3], 200));
    }
    let stats = cluster.lead().stats;
    assert!(stats.steps > 10 && stats.generated_tokens > 10, "{stats:?}");
    let host_us = stats.host_us / stats.steps;
    let step_us = stats.step_us / stats.steps;
    println!("per step: {host_us} us on the host, {step_us} us on the device and the other rank");
    // Tens of microseconds on an idle machine; a busy one may take the processor away for a while.
    assert!(host_us < 5000, "{stats:?}");
}
