//! Guesses change when tokens come, and never which.

use base::Grammar;

use super::*;
use crate::draft::LENGTH_MAX;
use crate::prefix::BLOCK_TOKENS;

/// As often as the model repeats itself in these tests.
const PERIOD: usize = 5;

const ROOMY: Limits = Limits {
    cache_tokens_max: 4000,
    context_tokens_max: 1000,
    ..LIMITS
};

/// Runs requests of a model that repeats itself; the scheduler's count at the end, and how many steps it took.
fn run(requests: &[TokenRequest], limits: Limits) -> (Rig, Load) {
    let mut rig = Rig::new(limits);
    rig.backend = model(Some(PERIOD));
    for request in requests {
        rig.submit(request.clone());
    }
    rig.run();
    let load = rig.scheduler.load();
    (rig, load)
}

/// What must come, whatever is guessed; and that guesses were right often, and wrong too.
fn check(requests: &[TokenRequest], limits: Limits) -> Rig {
    let (rig, load) = run(requests, limits);
    for request in requests {
        let expected = expected_of(&model(Some(PERIOD)), request);
        assert_eq!(joined(rig.of(request.id.0)), expected, "{request:?}");
    }
    assert!(load.accepted_tokens > 0, "{load:?}");
    assert!(load.guessed_tokens > load.accepted_tokens, "{load:?}");
    assert!(load.generated_tokens > load.accepted_tokens, "{load:?}");
    rig
}

/// Requests that differ in how they choose.
fn kinds() -> Vec<TokenRequest> {
    let of = |id: u64| request(id, &[3, 1, 4, 1, 5, 9, 2, 6], 120);
    let greedy = of(0);
    let sampled = TokenRequest {
        sampling: Sampling {
            seed: 7,
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
        logit_bias: vec![(3, 2.0), (4, -2.0)],
        ..of(2)
    };
    let scored = TokenRequest {
        logprobs: Some(0),
        prompt_logprobs: true,
        ..of(3)
    };
    vec![greedy, sampled, penalized, scored]
}

#[test]
fn a_text_that_repeats_itself_takes_few_steps() {
    let one = kinds().remove(0);
    let rig = check(std::slice::from_ref(&one), ROOMY);
    let steps = rig.backend.steps();
    assert!(steps < 60, "120 tokens in {steps} steps");
    let apart = Limits {
        speculates: false,
        ..ROOMY
    };
    let (plain, load) = run(&[one], apart);
    assert_eq!(plain.of(0), rig.of(0));
    assert_eq!((load.guessed_tokens, load.accepted_tokens), (0, 0));
    assert_eq!(plain.backend.steps(), 121);
}

#[test]
fn each_way_of_choosing_alone_and_beside_others() {
    for request in kinds() {
        check(&[request], ROOMY);
    }
    check(&kinds(), ROOMY);
}

#[test]
fn in_the_stages_of_a_pipeline() {
    for stages in [2, 3] {
        check(&kinds(), Limits { stages, ..ROOMY });
    }
}

#[test]
fn an_answer_ends_within_its_guesses() {
    for max_tokens in 1..60 {
        let mut cut = kinds().remove(0);
        cut.max_tokens = max_tokens;
        let (rig, _) = run(std::slice::from_ref(&cut), ROOMY);
        assert_eq!(rig.of(0), expected_of(&model(Some(PERIOD)), &cut));
    }
    let whole = tokens_of(&expected_of(&model(Some(PERIOD)), &kinds()[0]));
    let letter = |token: TokenId| char::from(b'a' + token as u8);
    for at in 20..60 {
        let mut stopped = kinds().remove(0);
        let words = whole[at..at + 3].iter().map(|token| letter(*token));
        stopped.stop = vec![words.collect()];
        let (rig, _) = run(std::slice::from_ref(&stopped), ROOMY);
        assert_eq!(rig.of(0), expected_of(&model(Some(PERIOD)), &stopped));
        stopped.stop.clear();
        stopped.stop_tokens = vec![whole[at]];
        let (rig, _) = run(std::slice::from_ref(&stopped), ROOMY);
        assert_eq!(rig.of(0), expected_of(&model(Some(PERIOD)), &stopped));
    }
}

#[test]
fn guesses_take_what_the_cache_has_left_and_set_nobody_back() {
    let requests: Vec<TokenRequest> = (0..4)
        .map(|id| request(id, &[id as TokenId; 8], 150))
        .collect();
    let full = Limits {
        cache_tokens_max: 200,
        ..LIMITS
    };
    check(&requests, full);
    // Exactly what four of them need.
    let enough = Limits {
        cache_tokens_max: 4 * 158,
        ..LIMITS
    };
    let rig = check(&requests, enough);
    assert_eq!(rig.scheduler.load().prompt_tokens, 4 * 8);
}

/// What was guessed wrong is no part of what the next one with the same beginning finds.
#[test]
fn what_is_found_of_an_answer_is_what_came() {
    let first = request(1, &[3; 40], 100);
    let mut rig = check(std::slice::from_ref(&first), ROOMY);
    let answer = tokens_of(&rig.of(1));
    let second = request(2, &[&first.prompt[..], &answer].concat(), 60);
    rig.submit(second.clone());
    rig.run();
    assert_eq!(rig.of(2), expected_of(&model(Some(PERIOD)), &second));
    // The last guesses were right, but no step says so.
    let sure = (139 - LENGTH_MAX) / BLOCK_TOKENS * BLOCK_TOKENS;
    assert!(rig.recalled(2) as usize >= sure, "{}", rig.recalled(2));
}

#[test]
fn an_answer_with_a_grammar_repeats_itself_too() {
    let mut accepted = 0;
    for (seed, late) in (0..6).flat_map(|seed| [(seed, false), (seed, true)]) {
        let mut constrained = request(1, &[0, 1, 2, 3, 4, 0, 1, 2, 3, 4], 90);
        constrained.grammar = Some(Grammar::Regex("([a-e]{5}|[p-z]{2,9}o)*".into()));
        constrained.logprobs = Some(1);
        constrained.sampling = Sampling {
            seed,
            temperature: 0.7,
            ..Sampling::PLAIN
        };
        let run = |speculates: bool| {
            let mut rig = Rig::new(Limits {
                speculates,
                ..ROOMY
            });
            rig.backend = model(Some(PERIOD));
            rig.late = late;
            rig.submit(constrained.clone());
            rig.run();
            (rig.of(1), rig.scheduler.load().accepted_tokens)
        };
        let (guessed, right) = run(true);
        assert_eq!(guessed, run(false).0);
        accepted += right;
    }
    assert!(accepted > 60, "{accepted}");
}

/// Time that a model takes whose every position costs as much as a step.
fn time_of(requests: &[TokenRequest], habit: Option<usize>, speculates: bool) -> (Duration, Load) {
    let mut rig = Rig::new(Limits {
        speculates,
        ..ROOMY
    });
    rig.backend = model(habit);
    rig.speed = (Duration::ZERO, Duration::from_millis(10));
    for request in requests {
        rig.submit(request.clone());
    }
    let mut time = Duration::ZERO;
    while rig.step() {
        time += rig.took;
    }
    (time, rig.scheduler.load())
}

#[test]
fn where_nothing_repeats_itself_next_to_nothing_is_lost() {
    let requests: Vec<TokenRequest> = (0..3).map(|id| request(id, &[7, 8], 800)).collect();
    let (guessing, load) = time_of(&requests, None, true);
    let (plain, _) = time_of(&requests, None, false);
    assert!(guessing < plain.mul_f64(1.03), "{guessing:?} {plain:?}");
    let wrong = load.guessed_tokens - load.accepted_tokens;
    assert!(wrong < load.generated_tokens / 30, "{load:?}");
    // Nor where it does, and a guess costs as much as it brings.
    let (guessing, _) = time_of(&requests, Some(PERIOD), true);
    let (plain, _) = time_of(&requests, Some(PERIOD), false);
    assert!(guessing < plain.mul_f64(1.03), "{guessing:?} {plain:?}");
}

/// The answers of many seeds are distributed as the model says: chi-squared over all answers of three tokens.
#[test]
fn answers_are_distributed_as_the_model_says() {
    const TOKENS: u32 = 4;
    const SEEDS: u64 = 8000;
    let limits = Limits {
        vocabulary_size: TOKENS,
        ..ROOMY
    };
    let model = || FakeBackend::new(TOKENS as usize).with_habit(PERIOD);
    let sampling = |seed| Sampling {
        seed,
        temperature: 3.0,
        ..Sampling::PLAIN
    };
    let prompt = [0, 1, 2, 3, 0, 0, 1, 2, 3, 0, 0];
    let mut rig = Rig::new(limits);
    rig.backend = model();
    let mut counts = [0_u32; 64];
    for seed in 0..SEEDS {
        let mut one = request(seed, &prompt, 3);
        one.sampling = sampling(seed);
        rig.submit(one);
        rig.run();
        let answer = tokens_of(&rig.of(seed));
        counts[answer.iter().fold(0, |at, token| at * 4 + *token as usize)] += 1;
        rig.events.clear();
    }
    let load = rig.scheduler.load();
    assert!(load.accepted_tokens > SEEDS / 10, "{load:?}");
    assert!(
        load.guessed_tokens - load.accepted_tokens > SEEDS / 10,
        "{load:?}"
    );
    let chi_squared = chi_squared(&model(), &prompt, 3.0, &counts);
    // Of 63 degrees of freedom one in a thousand is above 103, and one in a thousand below 34.
    assert!((34.0..103.0).contains(&chi_squared), "{chi_squared}");
}

/// How far the counts of all answers of three of four tokens are from what a model says at this temperature.
pub fn chi_squared(
    model: &FakeBackend,
    prompt: &[TokenId],
    temperature: f32,
    counts: &[u32; 64],
) -> f64 {
    let probability = |answer: [TokenId; 3]| {
        let mut tokens = prompt.to_vec();
        answer
            .map(|token| {
                let logits = model.logits_after(&tokens);
                let weights = logits
                    .iter()
                    .map(|logit| f64::from(logit / temperature).exp());
                let weights: Vec<f64> = weights.collect();
                tokens.push(token);
                weights[token as usize] / weights.iter().sum::<f64>()
            })
            .iter()
            .product::<f64>()
    };
    let all: u32 = counts.iter().sum();
    (0..64)
        .map(|at: u32| {
            let expected = f64::from(all) * probability([at / 16, at / 4 % 4, at % 4]);
            (f64::from(counts[at as usize]) - expected).powi(2) / expected
        })
        .sum()
}
