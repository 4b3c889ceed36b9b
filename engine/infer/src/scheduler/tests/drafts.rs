//! A draft model changes when tokens come, and never which.

use base::Grammar;

use super::*;

const ROOMY: Limits = Limits {
    cache_tokens_max: 8000,
    context_tokens_max: 1000,
    drafts: true,
    ..LIMITS
};

/// A rig whose draft model is like this; another habit makes it another model.
fn rig(limits: Limits, draft: Option<usize>) -> Rig {
    let mut rig = Rig::new(limits);
    let drafts = model(draft).taking_back(DRAFT_TOKENS_MAX);
    rig.drafter = Some(Drafter::new(drafts, VOCABULARY, VOCABULARY));
    rig.speed = (Duration::from_millis(10), Duration::from_micros(100));
    rig.draft_step = Duration::from_millis(1);
    rig
}

fn requests() -> Vec<TokenRequest> {
    let of = |id: u64| request(id, &[3, 1, 4, 1, 5, 9, 2, 6], 150);
    let sampled = TokenRequest {
        sampling: Sampling {
            seed: 7,
            temperature: 0.4,
            ..Sampling::PLAIN
        },
        logprobs: Some(2),
        ..of(1)
    };
    let penalized = TokenRequest {
        sampling: Sampling {
            penalties: Penalties {
                repetition: 1.0,
                frequency: 0.125,
                presence: 0.25,
            },
            temperature: 0.5,
            ..Sampling::PLAIN
        },
        logit_bias: vec![(3, 1.0)],
        ..of(2)
    };
    let long = request(3, &[7; 300], 60);
    vec![of(0), sampled, penalized, long]
}

/// What must come, whatever is drafted.
fn check(requests: &[TokenRequest], limits: Limits, draft: Option<usize>) -> Rig {
    let mut rig = rig(limits, draft);
    for request in requests {
        rig.submit(request.clone());
    }
    rig.run();
    for request in requests {
        let expected = expected_of(&model(None), request);
        assert_eq!(joined(rig.of(request.id.0)), expected, "{request:?}");
    }
    rig
}

#[test]
fn a_draft_that_is_right_takes_few_steps() {
    let rig = check(&requests()[..1], ROOMY, None);
    let load = rig.scheduler.load();
    assert!(rig.backend.steps() < 40, "{} steps", rig.backend.steps());
    assert!(load.accepted_tokens > 100, "{load:?}");
    assert_eq!(load.accepted_tokens, load.guessed_tokens);
}

#[test]
fn each_way_of_choosing_alone_and_beside_others() {
    for draft in [None, Some(3)] {
        for request in requests() {
            check(&[request], ROOMY, draft);
        }
        let rig = check(&requests(), ROOMY, draft);
        assert!(rig.scheduler.load().guessed_tokens > 0);
    }
}

#[test]
fn in_the_stages_of_a_pipeline_and_with_little_cache() {
    for stages in [2, 3] {
        let rig = check(&requests(), Limits { stages, ..ROOMY }, None);
        assert!(rig.scheduler.load().accepted_tokens > 100);
    }
    let scarce = Limits {
        cache_tokens_max: 400,
        ..ROOMY
    };
    check(&requests(), scarce, None);
}

#[test]
fn an_answer_with_a_grammar_is_drafted_on_too() {
    let mut accepted = 0;
    for (seed, late) in (0..4).flat_map(|seed| [(seed, false), (seed, true)]) {
        let mut constrained = request(1, &[0, 1, 2, 3, 4], 90);
        constrained.grammar = Some(Grammar::Regex("([a-y]{2,9}z?)*".into()));
        constrained.sampling = Sampling {
            seed,
            temperature: 0.3,
            ..Sampling::PLAIN
        };
        let answer = |drafts: bool| {
            let mut rig = rig(Limits { drafts, ..ROOMY }, None);
            rig.late = late;
            rig.submit(constrained.clone());
            rig.run();
            (rig.of(1), rig.scheduler.load().accepted_tokens)
        };
        let (drafted, right) = answer(true);
        assert_eq!(drafted, answer(false).0);
        accepted += right;
    }
    assert!(accepted > 100, "{accepted}");
}

/// Time of answers, that of drafts included.
fn time_of(draft: Option<usize>, drafts: bool, answers: u64) -> Duration {
    let mut rig = rig(Limits { drafts, ..ROOMY }, draft);
    for id in 0..answers {
        rig.submit(request(id, &[id as TokenId; 8], 800));
    }
    let mut time = Duration::ZERO;
    while rig.step() {
        time += rig.took;
    }
    time + rig.drafting
}

#[test]
fn a_draft_model_that_is_always_wrong_costs_little() {
    for answers in [1, 3] {
        let plain = time_of(None, false, answers);
        // It says again and again what it said once.
        let wrong = time_of(Some(1), true, answers);
        assert!(wrong < plain.mul_f64(1.05), "{wrong:?} {plain:?}");
        let right = time_of(None, true, answers);
        assert!(right < plain.mul_f64(0.5), "{right:?} {plain:?}");
    }
}

#[test]
fn the_next_sequence_knows_how_the_draft_model_was() {
    let mut rig = rig(ROOMY, Some(1));
    rig.draft_step = Duration::from_millis(3);
    let drafted = |rig: &mut Rig, id: u64| {
        let before = rig.drafting;
        rig.submit(request(id, &[id as TokenId; 8], 100));
        rig.run();
        rig.drafting.saturating_sub(before)
    };
    let first = drafted(&mut rig, 1);
    let later: Vec<Duration> = (2..8).map(|id| drafted(&mut rig, id)).collect();
    let last = later[5];
    assert!(last * 2 < first, "{first:?} {later:?}");
}

/// The answers of many seeds are distributed as the large model says, whatever a small one that is another drafts:
/// chi-squared over all answers of three tokens.
#[test]
fn answers_are_distributed_as_the_large_model_says() {
    const TOKENS: u32 = 4;
    const SEEDS: u64 = 8000;
    let large = || FakeBackend::new(TOKENS as usize).with_habit(5);
    let small = FakeBackend::new(TOKENS as usize).with_habit(4);
    let mut rig = Rig::new(Limits {
        vocabulary_size: TOKENS,
        ..ROOMY
    });
    rig.backend = large();
    rig.drafter = Some(Drafter::new(
        small.taking_back(DRAFT_TOKENS_MAX),
        TOKENS,
        TOKENS,
    ));
    let prompt = [0, 1, 2, 3, 3, 1, 0, 2, 2];
    let mut counts = [0_u32; 64];
    for seed in 0..SEEDS {
        let mut one = request(seed, &prompt, 3);
        one.sampling = Sampling {
            seed,
            temperature: 3.0,
            ..Sampling::PLAIN
        };
        rig.submit(one);
        rig.run();
        let answer = tokens_of(&rig.of(seed));
        counts[answer.iter().fold(0, |at, token| at * 4 + *token as usize)] += 1;
        rig.events.clear();
    }
    let load = rig.scheduler.load();
    let wrong = load.guessed_tokens - load.accepted_tokens;
    assert!(load.accepted_tokens > SEEDS / 20, "{load:?}");
    assert!(wrong > SEEDS / 20, "{load:?}");
    let chi_squared = super::speculation::chi_squared(&large(), &prompt, 3.0, &counts);
    // Of 63 degrees of freedom one in a thousand is above 103, and one in a thousand below 34.
    assert!((34.0..103.0).contains(&chi_squared), "{chi_squared}");
}
