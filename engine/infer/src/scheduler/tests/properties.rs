//! The text of a request is the same alone, in any company, cut into any chunks, joined late and resumed anywhere.

use super::*;
use crate::prefix::BLOCK_TOKENS;

fn any_request(id: u64) -> impl Strategy<Value = TokenRequest> {
    let sampling = prop_oneof![
        Just(Sampling::GREEDY),
        (0.2_f32..2.0, 0.3_f32..=1.0, 0_u32..10, any::<u64>()).prop_map(
            |(temperature, top_p, top_k, seed)| Sampling {
                temperature,
                top_p,
                top_k,
                min_p: 0.01,
                seed,
                penalties: Penalties::NONE,
            }
        ),
    ];
    let penalties = prop_oneof![
        Just(Penalties::NONE),
        // Powers of two, so that dividing and multiplying by the inverse round the same.
        (-2_i32..3, -2_f32..2.0, -2_f32..2.0).prop_map(|(power, frequency, presence)| Penalties {
            repetition: 2_f32.powi(power),
            frequency,
            presence,
        }),
    ];
    let sampling = (sampling, penalties).prop_map(|(sampling, penalties)| Sampling {
        penalties,
        ..sampling
    });
    let bias = prop::collection::btree_map(0..VOCABULARY, -5_f32..5.0, 0..3);
    // Beginnings that several have in common, and what is each one's own.
    let prompt = (
        prop::collection::vec(0_u32..2, 0..3),
        prop::collection::vec(0..VOCABULARY, 1..40),
    )
        .prop_map(|(blocks, own)| {
            let blocks = blocks.into_iter().flat_map(|block| [block; BLOCK_TOKENS]);
            let tokens: Vec<TokenId> = blocks.chain(own).collect();
            // With the longest answer it fits the context.
            tokens[..tokens.len().min(40)].to_vec()
        });
    // Right or wrong, it changes nothing.
    let prediction = prop::collection::vec(0..VOCABULARY, 0..20);
    let pooling = prop_oneof![
        4 => Just(None),
        1 => Just(Some(Pooling::Mean)),
        1 => Just(Some(Pooling::Last)),
    ];
    (
        (prompt, pooling, prediction),
        (sampling, bias),
        0_u32..150,
        prop::collection::vec("[a-z]{2,3}", 0..3),
        prop::collection::vec(0..VOCABULARY, 0..2),
        prop::option::of(0_u32..4),
        any::<bool>(),
    )
        .prop_map(
            move |(
                (prompt, pooling, prediction),
                (sampling, bias),
                max_tokens,
                stop,
                stop_tokens,
                logprobs,
                scored,
            )| {
                let answers = pooling.is_none();
                TokenRequest {
                    id: RequestId(id),
                    client: ClientId(id % 3),
                    priority: [Priority::Urgent, Priority::Usual, Priority::Patient]
                        [id as usize / 3 % 3],
                    prompt,
                    generated: Vec::new(),
                    sampling,
                    max_tokens: if answers { max_tokens } else { 0 },
                    stop,
                    stop_tokens,
                    logprobs,
                    prompt_logprobs: scored && answers,
                    grammar: None,
                    logit_bias: bias.into_iter().collect(),
                    pooling,
                    prediction,
                }
            },
        )
}

fn any_requests() -> impl Strategy<Value = Vec<(TokenRequest, u32)>> {
    // Each with the number of steps before it joins.
    (1_u64..8).prop_flat_map(|count| {
        (0..count)
            .map(|id| (any_request(id), 0_u32..20))
            .collect::<Vec<_>>()
    })
}

fn any_limits() -> impl Strategy<Value = Limits> {
    (1_u32..6, 190_u64..300, 1_u32..4, 1_u32..20, 1_u32..8).prop_map(
        |(slots_max, cache_tokens_max, stages, prefill_chunk_tokens, scoring_chunk_tokens)| {
            Limits {
                slots_max,
                cache_tokens_max,
                stages,
                prefill_chunk_tokens,
                scoring_chunk_tokens,
                ..LIMITS
            }
        },
    )
}

/// After how many tokens the model likes to repeat itself, if it does.
fn any_habit() -> impl Strategy<Value = Option<usize>> {
    prop::option::of(1_usize..9)
}

proptest! {
    #[test]
    fn company_and_chunks_change_nothing(
        requests in any_requests(),
        limits in any_limits(),
        habit in any_habit(),
    ) {
        let mut rig = Rig::new(limits);
        rig.backend = model(habit);
        for step in 0..20 {
            for (request, joins) in &requests {
                if *joins == step {
                    rig.submit(request.clone());
                }
            }
            rig.step();
        }
        rig.run();
        for (request, _) in &requests {
            prop_assert_eq!(joined(rig.of(request.id.0)), expected_of(&model(habit), request));
        }
    }

    #[test]
    fn an_answer_resumed_anywhere_goes_on_the_same(
        request in any_request(1),
        other in any_request(2),
        limits in any_limits(),
        habit in any_habit(),
    ) {
        let whole = expected_of(&model(habit), &request);
        let tokens = tokens_of(&whole);
        for known in (1..=tokens.len()).step_by(7) {
            let mut resumed = request.clone();
            resumed.generated = tokens[..known].to_vec();
            let mut rig = Rig::new(limits);
            rig.backend = model(habit);
            rig.submit(other.clone());
            rig.submit(resumed);
            rig.run();
            let rest = rig.of(1);
            prop_assert_eq!(tokens_of(&rest), &tokens[known..]);
            prop_assert_eq!(rest.last(), whole.last());
        }
    }

    #[test]
    fn cancelling_disturbs_nobody(
        requests in any_requests(),
        cancels in prop::collection::vec((0_u64..8, 0_u32..25), 0..6),
        limits in any_limits(),
        habit in any_habit(),
    ) {
        let mut rig = Rig::new(limits);
        rig.backend = model(habit);
        for step in 0..25 {
            for (request, _) in requests.iter().filter(|(_, joins)| *joins == step) {
                rig.submit(request.clone());
            }
            for (id, _) in cancels.iter().filter(|(_, at)| *at == step) {
                rig.scheduler.cancel(RequestId(*id));
            }
            rig.step();
        }
        rig.run();
        for (request, _) in &requests {
            let id = request.id.0;
            let (got, expected) = (joined(rig.of(id)), expected_of(&model(habit), request));
            if cancels.iter().any(|(cancelled, _)| *cancelled == id) {
                prop_assert!(tokens_of(&expected).starts_with(&tokens_of(&got)));
            } else {
                prop_assert_eq!(got, expected);
            }
        }
    }
}
