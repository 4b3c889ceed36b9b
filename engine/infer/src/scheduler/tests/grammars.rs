//! Answers under a grammar: whatever the model would say, they are what was asked for.

use base::Grammar;
use serde_json::{Value, json};

use super::schemas::{END, Random, schema, tokenizer};
use super::*;

const ANSWER_TOKENS_MAX: u32 = 600;

fn limits(tokenizer: &Tokenizer) -> Limits {
    Limits {
        cache_tokens_max: 1500,
        context_tokens_max: 1000,
        vocabulary_size: tokenizer.token_bytes().token_count() + 3,
        ..LIMITS
    }
}

/// A request of a model that likes to come to an end, as one that has learned to speak does.
fn constrained(
    id: u64,
    grammar: Grammar,
    tokenizer: &Tokenizer,
    random: &mut Random,
) -> TokenRequest {
    let token = |text: &str| tokenizer.token(text).unwrap();
    let closing = [("\"", 7.0), ("}", 4.0), ("]", 4.0), ("n", 2.0), (END, 6.0)];
    let prompt: Vec<TokenId> = (0..=random.below(40))
        .map(|_| random.below(250) as TokenId)
        .collect();
    let mut request = request(id, &prompt, ANSWER_TOKENS_MAX);
    request.stop_tokens = vec![token(END)];
    request.grammar = Some(grammar);
    request.logit_bias = closing.map(|(text, bias)| (token(text), bias)).to_vec();
    request.sampling = match random.below(3) {
        // A greedy model of random numbers would say the same for ever.
        0 => Sampling {
            penalties: Penalties {
                frequency: 0.7,
                ..Penalties::NONE
            },
            ..Sampling::GREEDY
        },
        _ => Sampling {
            seed: random.below(1000) as u64,
            ..Sampling::PLAIN
        },
    };
    request
}

/// The text of an answer, and how it ended.
fn text_of(events: &[TokenEvent], tokenizer: &Tokenizer) -> (String, TokenEvent) {
    let bytes: Vec<u8> = tokens_of(events)
        .into_iter()
        .filter(|&token| Some(token) != tokenizer.token(END))
        .flat_map(|token| tokenizer.bytes_of(token).to_vec())
        .collect();
    let end = events.last().unwrap().clone();
    let text = match end {
        // Cut short perhaps within a character.
        TokenEvent::Finished(FinishReason::Length) => String::from_utf8_lossy(&bytes).into_owned(),
        _ => String::from_utf8(bytes).unwrap(),
    };
    (text, end)
}

/// Checks answers to `count` random schemas, many at once and each resumed too. Returns how many did not come to their
/// end.
fn check_schemas(seed: u64, count: u64) -> u64 {
    let mut random = Random(seed);
    let mut cut_short = 0;
    for round in 0..count.div_ceil(5) {
        let tokenizer = tokenizer(&mut random);
        let schemas: Vec<Value> = (0..5).map(|_| schema(&mut random)).collect();
        let requests: Vec<TokenRequest> = (0..)
            .zip(&schemas)
            .map(|(id, schema)| {
                let grammar = Grammar::JsonSchema(schema.to_string());
                constrained(id, grammar, &tokenizer, &mut random)
            })
            .collect();
        let mut rig = Rig::with(limits(&tokenizer), Arc::clone(&tokenizer));
        rig.late = round % 2 == 0;
        for request in &requests {
            rig.submit(request.clone());
        }
        rig.run();
        for (request, schema) in requests.iter().zip(&schemas) {
            let events = rig.of(request.id.0);
            let (text, end) = text_of(&events, &tokenizer);
            match end {
                TokenEvent::Finished(FinishReason::Stop) => {
                    let value: Value = serde_json::from_str(&text)
                        .unwrap_or_else(|e| panic!("{schema}: {text}: {e}"));
                    let judge = jsonschema::validator_for(schema).unwrap();
                    assert!(judge.is_valid(&value), "{schema}: {text}");
                }
                TokenEvent::Finished(FinishReason::Length) => cut_short += 1,
                end => panic!("{schema}: {text}: {end:?}"),
            }
            check_resumed(request, &events, &tokenizer, &mut random);
        }
    }
    cut_short
}

/// An answer that is cut anywhere and goes on somewhere else is the same.
fn check_resumed(
    request: &TokenRequest,
    events: &[TokenEvent],
    tokenizer: &Arc<Tokenizer>,
    random: &mut Random,
) {
    let tokens = tokens_of(events);
    let known = random.below(tokens.len() + 1);
    let mut resumed = request.clone();
    resumed.generated = tokens[..known].to_vec();
    let mut rig = Rig::with(limits(tokenizer), Arc::clone(tokenizer));
    rig.submit(resumed);
    rig.run();
    let rest = rig.of(request.id.0);
    assert_eq!(tokens_of(&rest), &tokens[known..]);
    assert_eq!(rest.last(), events.last());
}

/// Schemas in an ordinary run.
const SCHEMAS: u64 = 500;

#[test]
fn answers_are_valid_under_any_schema() {
    let cut_short = check_schemas(1, SCHEMAS);
    println!("{cut_short} of {SCHEMAS} did not come to their end");
    assert!(cut_short <= SCHEMAS / 50, "{cut_short}");
}

fn answer(grammar: Grammar, seed: u64) -> (String, TokenEvent) {
    let mut random = Random(seed);
    let tokenizer = tokenizer(&mut random);
    let mut rig = Rig::with(limits(&tokenizer), Arc::clone(&tokenizer));
    let request = constrained(1, grammar, &tokenizer, &mut random);
    rig.submit(request.clone());
    rig.run();
    check_resumed(&request, &rig.of(1), &tokenizer, &mut random);
    text_of(&rig.of(1), &tokenizer)
}

const STOP: TokenEvent = TokenEvent::Finished(FinishReason::Stop);

#[test]
fn answers_match_an_expression_or_a_grammar() {
    for seed in 0..20 {
        let (text, end) = answer(Grammar::Regex("(ja|nein)[!?]{1,3} [0-9]{2}".into()), seed);
        let (word, rest) = text.split_once(['!', '?']).unwrap();
        assert!(["ja", "nein"].contains(&word), "{text}");
        let digits = rest.trim_start_matches(['!', '?']).trim_start();
        assert!(digits.len() == 2 && digits.parse::<u32>().is_ok(), "{text}");
        // Nothing can follow, so no token was spent on saying so.
        assert_eq!(end, STOP);
        let lark = r#"
            start: "(" list ")"
            list: item (", " item)*
            item: /[a-c]/ | "[" list "]"
        "#;
        let (text, end) = answer(Grammar::Lark(lark.into()), seed);
        assert_eq!(end, STOP, "{text}");
        assert!(text.starts_with('(') && text.ends_with(')'), "{text}");
        assert_eq!(
            text.matches('[').count(),
            text.matches(']').count(),
            "{text}"
        );
    }
}

#[test]
fn a_complete_answer_ends_without_another_step() {
    let tokenizer = tokenizer(&mut Random(5));
    let mut rig = Rig::with(limits(&tokenizer), Arc::clone(&tokenizer));
    let mut yes = request(1, &[1, 2, 3], 50);
    yes.grammar = Some(Grammar::Regex("[ab]{3}".into()));
    rig.submit(yes.clone());
    rig.run();
    let events = rig.of(1);
    let tokens = tokens_of(&events);
    assert_eq!(events.last(), Some(&STOP));
    assert_eq!(text_of(&events, &tokenizer).0.len(), 3);
    // The last token that is allowed is the last of the grammar: it is complete all the same.
    yes.max_tokens = tokens.len() as u32;
    rig.submit(TokenRequest {
        id: RequestId(2),
        ..yes.clone()
    });
    rig.run();
    assert_eq!(rig.of(2), events);
    yes.max_tokens = tokens.len() as u32 - 1;
    rig.submit(TokenRequest {
        id: RequestId(3),
        ..yes.clone()
    });
    rig.run();
    assert_eq!(
        rig.of(3).last(),
        Some(&TokenEvent::Finished(FinishReason::Length))
    );
    // It was complete when its end was lost.
    yes.max_tokens = 50;
    yes.generated = tokens;
    rig.submit(TokenRequest {
        id: RequestId(4),
        ..yes
    });
    rig.run();
    assert_eq!(rig.of(4), [STOP]);
}

#[test]
fn probabilities_are_the_models_own() {
    let tokenizer = tokenizer(&mut Random(6));
    let limits = limits(&tokenizer);
    let mut rig = Rig::with(limits, Arc::clone(&tokenizer));
    let mut only = request(1, &[1, 2, 3], 50);
    only.grammar = Some(Grammar::Regex("[x]".into()));
    only.logprobs = Some(2);
    rig.submit(only);
    rig.run();
    let x = tokenizer.token("x").unwrap();
    let logits = FakeBackend::new(limits.vocabulary_size as usize).logits_after(&[1, 2, 3]);
    let logprob = logprobs::score(&logits, x, 2);
    assert!(logprob.as_ref().is_some_and(|p| p.logprob < -1.0));
    assert_eq!(rig.of(1), [TokenEvent::Token { token: x, logprob }, STOP]);
}

#[test]
fn a_grammar_that_cannot_be_obeyed_fails_its_request_alone() {
    let tokenizer = tokenizer(&mut Random(7));
    let mut narrow = limits(&tokenizer);
    // A model with fewer tokens than its tokenizer: it has no word for "z".
    narrow.vocabulary_size = 100;
    let mut rig = Rig::with(narrow, Arc::clone(&tokenizer));
    let free = request(1, &[1, 2], 8);
    rig.submit(free.clone());
    for (id, grammar, code) in [
        (2, Grammar::Regex("z".into()), ErrorCode::Internal),
        (
            3,
            Grammar::JsonSchema("{".into()),
            ErrorCode::InvalidRequest,
        ),
        (
            4,
            Grammar::Lark("start: nobody".into()),
            ErrorCode::InvalidRequest,
        ),
    ] {
        let mut asked = request(id, &[3, 4], 8);
        asked.grammar = Some(grammar);
        rig.submit(asked);
        rig.run();
        let events = rig.of(id);
        assert!(
            matches!(&events[..], [TokenEvent::Failed(failure)] if failure.code == code),
            "{events:?}"
        );
    }
    assert_eq!(tokens_of(&rig.of(1)).len(), 8);
}

#[test]
fn a_grammar_that_is_being_made_ready_holds_up_nobody() {
    let tokenizer = tokenizer(&mut Random(8));
    let mut rig = Rig::with(limits(&tokenizer), Arc::clone(&tokenizer));
    let mut asked = request(1, &[7; 40], 20);
    asked.grammar = Some(Grammar::JsonSchema(json!({"type": "boolean"}).to_string()));
    rig.submit(asked);
    rig.submit(request(2, &[1, 2], 30));
    let mut jobs = rig.scheduler.mask_jobs();
    assert_eq!(jobs.len(), 1);
    for _ in 0..12 {
        let plan = rig.scheduler.next().unwrap();
        assert!(!rig.scheduler.awaits_masks());
        let output = rig.backend.step(&plan).unwrap();
        rig.events
            .extend(rig.scheduler.complete(output, Duration::ZERO));
    }
    assert_eq!(tokens_of(&rig.of(2)).len(), 12);
    // All of its prompt but the last token was read meanwhile.
    assert_eq!(rig.scheduler.load().prompt_tokens, 39 + 2);
    rig.scheduler.take_back(jobs.remove(0).run());
    rig.run();
    assert!(["true", "false"].contains(&&*text_of(&rig.of(1), &tokenizer).0));
}

#[test]
fn a_request_cancelled_while_its_job_is_out_leaves_nothing() {
    let tokenizer = tokenizer(&mut Random(9));
    let mut rig = Rig::with(limits(&tokenizer), Arc::clone(&tokenizer));
    let mut asked = request(1, &[7; 3], 20);
    asked.grammar = Some(Grammar::Regex("no".into()));
    rig.submit(asked.clone());
    let jobs = rig.scheduler.mask_jobs();
    rig.scheduler.cancel(RequestId(1));
    // The same id with another grammar: the old job is not taken for its own.
    asked.grammar = Some(Grammar::Regex("yes".into()));
    rig.submit(asked);
    for job in jobs {
        rig.scheduler.take_back(job.run());
    }
    rig.run();
    assert_eq!(text_of(&rig.of(1), &tokenizer), ("yes".to_owned(), STOP));
}

#[test]
fn a_prompt_that_is_only_scored_needs_no_grammar() {
    let mut rig = Rig::new(LIMITS);
    let mut scored = request(1, &[3, 1, 4, 1, 5], 0);
    scored.prompt_logprobs = true;
    rig.submit(scored.clone());
    scored.id = RequestId(2);
    scored.grammar = Some(Grammar::Regex("a".into()));
    rig.submit(scored);
    rig.run();
    assert_eq!(joined(rig.of(2)), joined(rig.of(1)));
}
