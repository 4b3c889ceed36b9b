use super::*;
use crate::fake::FakeBackend;

const VOCABULARY: u32 = 26;

fn model() -> FakeBackend {
    FakeBackend::new(VOCABULARY as usize).taking_back(DRAFT_TOKENS_MAX)
}

fn drafter() -> Drafter<FakeBackend> {
    Drafter::new(model(), VOCABULARY, VOCABULARY)
}

/// What the model says greedily, by looking at all of it each time.
fn greedy(tokens: &[TokenId], count: usize) -> Vec<TokenId> {
    let mut all = tokens.to_vec();
    for _ in 0..count {
        let logits = model().logits_after(&all);
        let likeliest = (0..).zip(&logits).max_by(|(_, a), (_, b)| a.total_cmp(b));
        all.push(likeliest.map(|(token, _)| token).unwrap());
    }
    all.split_off(tokens.len())
}

fn ask(slot: u32, tokens: &[TokenId], count: usize) -> DraftAsk<'_> {
    DraftAsk {
        slot: SlotId(slot),
        tokens,
        count,
    }
}

fn text(seed: u32, count: u32) -> Vec<TokenId> {
    (0..count).map(|at| (at * at + seed) % VOCABULARY).collect()
}

#[test]
fn several_sequences_are_drafted_on_side_by_side() {
    let mut drafter = drafter();
    let texts = [text(1, 5), text(2, 30), text(3, 9)];
    let counts = [4, 1, 16];
    let asks = (0..).zip(&texts).zip(counts);
    let asks: Vec<_> = asks
        .map(|((slot, text), count)| ask(slot, text, count))
        .collect();
    let drafts = drafter.draft(&asks).unwrap();
    for ((text, count), drafted) in texts.iter().zip(counts).zip(&drafts.tokens) {
        assert_eq!(*drafted, greedy(text, count));
    }
    assert_eq!(drafts.steps, 16);
}

#[test]
fn what_was_wrong_is_taken_back() {
    let mut drafter = drafter();
    let mut tokens = text(1, 20);
    for (right, count) in [(0, 16), (1, 4), (4, 4), (3, 7), (16, 16), (2, 1)] {
        let drafts = drafter.draft(&[ask(0, &tokens, count)]).unwrap();
        let guesses = &drafts.tokens[0];
        assert_eq!(*guesses, greedy(&tokens, count));
        tokens.extend(&guesses[..right.min(count)]);
        // And one that is never what was drafted.
        let next = greedy(&tokens, 1)[0];
        tokens.push((next + 1) % VOCABULARY);
    }
    // Meanwhile others had their turns, and it had none.
    tokens.extend(text(9, 10));
    let drafts = drafter.draft(&[ask(0, &tokens, 3)]).unwrap();
    assert_eq!(drafts.tokens, [greedy(&tokens, 3)]);
}

#[test]
fn a_long_prompt_is_read_piece_by_piece() {
    let mut drafter = drafter();
    let (long, short) = (text(1, 3 * READ_TOKENS_MAX as u32), text(2, 10));
    let mut calls = 0;
    loop {
        let drafts = drafter
            .draft(&[ask(0, &short, 2), ask(1, &long, 2)])
            .unwrap();
        assert_eq!(drafts.tokens[0], greedy(&short, 2));
        calls += 1;
        if !drafts.tokens[1].is_empty() {
            assert_eq!(drafts.tokens[1], greedy(&long, 2));
            break;
        }
        assert!(drafts.caught_up > 0 && calls < 10);
    }
    assert!(calls > 3, "{calls}");
}

#[test]
fn a_slot_is_anothers_after_it_was_freed() {
    let mut drafter = drafter();
    let first = text(1, 70);
    drafter.draft(&[ask(0, &first, 8)]).unwrap();
    drafter.free(&[SlotId(0), SlotId(7)]).unwrap();
    assert_eq!(drafter.backend.slots(), 0);
    // It begins as the first did, which is remembered.
    let second = [&first[..64], &text(5, 9)].concat();
    let mut drafts = drafter.draft(&[ask(0, &second, 3)]).unwrap();
    while drafts.tokens[0].is_empty() {
        drafts = drafter.draft(&[ask(0, &second, 3)]).unwrap();
    }
    assert_eq!(drafts.tokens, [greedy(&second, 3)]);
}

#[test]
fn tokens_that_only_one_of_both_models_knows_do_no_harm() {
    let mut narrow = Drafter::new(model(), VOCABULARY, 4);
    let tokens = text(1, 12);
    let drafts = narrow.draft(&[ask(0, &tokens, 9)]).unwrap();
    assert!(drafts.tokens[0].iter().all(|token| *token < 4));
    let mut simple = Drafter::new(model(), 4, VOCABULARY);
    let drafts = simple.draft(&[ask(0, &tokens, 9)]).unwrap();
    assert_eq!(
        drafts,
        Drafts {
            tokens: vec![Vec::new()],
            ..Drafts::default()
        }
    );
    simple.free(&[SlotId(0)]).unwrap();
}
