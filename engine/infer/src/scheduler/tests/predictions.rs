//! A prediction of the answer: where it is right fewer steps are needed, and nothing else changes.

use super::*;

const ROOMY: Limits = Limits {
    cache_tokens_max: 4000,
    context_tokens_max: 1000,
    ..LIMITS
};

const ANSWER: usize = 120;

fn asked(prediction: &[TokenId]) -> TokenRequest {
    TokenRequest {
        prediction: prediction.to_vec(),
        sampling: Sampling {
            seed: 11,
            ..Sampling::PLAIN
        },
        ..request(1, &[3, 1, 4, 1, 5], ANSWER as u32)
    }
}

/// The answer, the steps that it took, and how many guesses of the prediction were right and wrong.
fn answered(request: &TokenRequest) -> (Vec<TokenEvent>, u64, [u32; 2]) {
    let mut rig = Rig::new(ROOMY);
    rig.submit(request.clone());
    rig.run();
    let mut told = [0, 0];
    for (_, event) in &rig.events {
        if let TokenEvent::Predicted { accepted, rejected } = event {
            told[0] += accepted;
            told[1] += rejected;
        }
    }
    let load = rig.scheduler.load();
    let counted = [load.accepted_tokens, load.guessed_tokens].map(|count| count as u32);
    assert!(told[0] <= counted[0] && told[0] + told[1] <= counted[1]);
    let last = rig.events.last().map(|(_, event)| event.is_last());
    assert_eq!(last, Some(true), "nothing is told after the end");
    (rig.of(1), rig.backend.steps(), told)
}

#[test]
fn an_answer_that_equals_its_prediction_takes_few_steps() {
    let (plain, steps, told) = answered(&asked(&[]));
    assert_eq!((steps, told), (ANSWER as u64, [0, 0]));
    let (same, steps, [accepted, rejected]) = answered(&asked(&tokens_of(&plain)));
    assert_eq!(same, plain);
    assert!(steps < 25, "{steps} steps");
    assert!(accepted > 100 && rejected == 0, "{accepted} {rejected}");
}

#[test]
fn an_answer_with_edits_takes_few_steps_too() {
    let (plain, ..) = answered(&asked(&[]));
    let mut prediction = tokens_of(&plain);
    prediction[40] = (prediction[40] + 1) % VOCABULARY;
    prediction.remove(60);
    prediction.splice(80..80, [1, 2, 3]);
    let (same, steps, [accepted, rejected]) = answered(&asked(&prediction));
    assert_eq!(same, plain);
    assert!(steps < 50, "{steps} steps");
    assert!(accepted > 70 && rejected > 0, "{accepted} {rejected}");
}

/// Where a position costs as much as a step.
#[test]
fn a_prediction_that_is_wrong_costs_little() {
    let took = |prediction: &[TokenId]| {
        let mut rig = Rig::new(ROOMY);
        rig.speed = (Duration::ZERO, Duration::from_millis(10));
        rig.submit(asked(prediction));
        let mut time = Duration::ZERO;
        while rig.step() {
            time += rig.took;
        }
        (rig.of(1), time)
    };
    let (plain, without) = took(&[]);
    let other = tokens_of(&answered(&request(1, &[9, 9, 9], 200)).0);
    let (same, with) = took(&other);
    assert_eq!(same, plain);
    assert!(with < without.mul_f64(1.05), "{with:?} {without:?}");
}

#[test]
fn a_resumed_answer_is_predicted_too() {
    let (plain, ..) = answered(&asked(&[]));
    let tokens = tokens_of(&plain);
    let mut resumed = asked(&tokens);
    resumed.generated = tokens[..50].to_vec();
    let (rest, steps, _) = answered(&resumed);
    assert_eq!(tokens_of(&rest), tokens[50..]);
    assert!(steps < 25, "{steps} steps");
}

#[test]
fn a_prediction_in_words_unknown_is_refused() {
    let mut scheduler = Scheduler::new(ROOMY, letters());
    let failure = scheduler.submit(asked(&[VOCABULARY])).unwrap_err();
    assert_eq!(failure.param.as_deref(), Some("prediction"));
}
