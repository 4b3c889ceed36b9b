//! What is guessed of a text, and how likely it is held to be.

use super::repeats::TAKEN_IN_MAX;
use super::*;
use proptest::prelude::*;

/// What is known when `tokens` have come, of which the first were `given`.
fn after(tokens: &[TokenId], given: usize) -> Guesses {
    let mut guesses = Guesses::new(Vec::new(), 0, None);
    guesses.take_in(&tokens[..given]);
    for end in given + 1..=tokens.len() {
        guesses.came(&tokens[..end]);
    }
    guesses
}

#[test]
fn what_followed_before_is_guessed() {
    let tokens = [5, 6, 7, 8, 9, 1, 6, 7];
    assert_eq!(after(&tokens, 6).guess(&tokens, 3), [8, 9, 1]);
    assert_eq!(after(&tokens, 6).guess(&tokens, 6), [8, 9, 1, 6, 7, 8]);
    let nothing = [1, 2, 3, 4];
    assert_eq!(after(&nothing, 2).chances(9).count(), 0);
    assert!(after(&nothing, 2).guess(&nothing, 3).is_empty());
}

#[test]
fn more_tokens_in_common_count_more_than_newer_ones() {
    let tokens = [1, 2, 3, 4, 9, 2, 3, 5, 1, 2, 3];
    assert_eq!(after(&tokens, 8).guess(&tokens, 1), [4]);
    let newest = [2, 3, 4, 9, 2, 3, 5, 8, 2, 3];
    assert_eq!(after(&newest, 8).guess(&newest, 1), [5]);
}

#[test]
fn a_loop_goes_on_beyond_what_there_is() {
    let tokens = [3, 7, 7, 7];
    assert_eq!(after(&tokens, 1).guess(&tokens, 5), [7; 5]);
}

#[test]
fn trust_follows_what_came() {
    let repeating: Vec<TokenId> = (0..10).cycle().take(40).collect();
    let chances: Vec<f64> = after(&repeating, 20).chances(9).collect();
    assert!(chances.is_sorted_by(|a, b| a > b));
    assert!(chances[0] > 0.95 && chances[8] > 0.8, "{chances:?}");
    // The same two tokens, and always another one after them.
    let deceiving: Vec<TokenId> = (10..40).flat_map(|other| [1, 2, other]).collect();
    let guesses = after(&deceiving[..89], 6);
    assert!(guesses.chances(1).all(|chance| chance < 0.02));
    assert!(guesses.likely(&deceiving[..89]).is_empty());
}

#[test]
fn a_long_prompt_is_taken_in_piece_by_piece() {
    let tokens: Vec<TokenId> = (0..3 * TAKEN_IN_MAX as TokenId).collect();
    let mut guesses = Guesses::new(Vec::new(), 0, None);
    guesses.take_in(&tokens);
    assert_eq!(guesses.repeats.taken_in, TAKEN_IN_MAX);
    guesses.take_in(&tokens);
    guesses.take_in(&tokens);
    assert_eq!(guesses.repeats.taken_in, tokens.len());
    let again = [&tokens[..], &tokens[7000..7002]].concat();
    guesses.came(&again);
    assert_eq!(guesses.guess(&again, 2), [7002, 7003]);
}

/// The last place before the end where what stands at the end stands too, by looking everywhere.
fn searched(tokens: &[TokenId]) -> Option<usize> {
    let ends = |length: &usize, at: usize| {
        at >= *length && tokens[at - length..at] == tokens[tokens.len() - length..]
    };
    let found = |length: &usize| (0..tokens.len()).rev().find(|&at| ends(length, at));
    let mut lengths = LENGTHS.iter().filter(|length| **length <= tokens.len());
    lengths.find_map(found)
}

proptest! {
    #[test]
    fn the_index_finds_what_a_search_does(
        tokens in prop::collection::vec(0_u32..4, 1..60),
    ) {
        let mut guesses = Guesses::new(Vec::new(), 0, None);
        for end in 1..=tokens.len() {
            guesses.take_in(&tokens[..end]);
            let found = guesses.find(&tokens[..end]).map(|source| source.at);
            prop_assert_eq!(found, searched(&tokens[..end]));
        }
    }
}

/// What is known when `answer` has come of one that was predicted, after a prompt of its own.
fn predicted(prediction: &[TokenId], answer: &[TokenId]) -> (Guesses, Vec<TokenId>) {
    let mut guesses = Guesses::new(prediction.to_vec(), 0, None);
    let mut tokens = vec![900, 901, 902];
    guesses.take_in(&tokens);
    for token in answer {
        tokens.push(*token);
        guesses.came(&tokens);
    }
    (guesses, tokens)
}

fn guessed(prediction: &[TokenId], answer: &[TokenId], count: usize) -> Vec<TokenId> {
    let (guesses, tokens) = predicted(prediction, answer);
    let count = guesses.chances(count).count();
    guesses.guess(&tokens, count)
}

#[test]
fn a_prediction_is_followed_from_its_beginning_to_its_end() {
    let prediction: Vec<TokenId> = (10..30).collect();
    for come in 0..20 {
        let rest = guessed(&prediction, &prediction[..come], 30);
        assert_eq!(rest, prediction[come..]);
    }
    let (guesses, _) = predicted(&prediction, &[]);
    assert_eq!(guesses.origin(), Some(Origin::Prediction));
    assert!(guesses.chances(1).all(|chance| chance > 0.5));
}

#[test]
fn an_edit_is_left_behind_after_two_tokens() {
    let prediction = [1, 2, 3, 4, 5, 6, 7, 8, 9];
    // Another token in the place of one, one more, and one less.
    assert_eq!(guessed(&prediction, &[1, 2, 50, 4, 5], 9), [6, 7, 8, 9]);
    assert_eq!(guessed(&prediction, &[1, 2, 50, 3, 4], 9), [5, 6, 7, 8, 9]);
    assert_eq!(guessed(&prediction, &[1, 2, 4, 5], 2), [6, 7]);
    assert!(guessed(&prediction, &[1, 2, 50], 9).is_empty());
    // Something else before it.
    assert_eq!(guessed(&prediction, &[60, 61, 1, 2], 2), [3, 4]);
}

#[test]
fn of_places_that_are_alike_the_next_one_is_meant() {
    let prediction = [7, 7, 1, 7, 7, 2, 7, 7, 3, 7, 7, 4];
    assert_eq!(guessed(&prediction, &[7, 7, 1, 50, 7, 7], 1), [2]);
    assert_eq!(guessed(&prediction, &[7, 7, 1, 7, 7, 2, 50, 7, 7], 1), [3]);
    // From the beginning, if there is none after that.
    let to_the_end = [&prediction[..], &[50, 7, 7]].concat();
    assert_eq!(guessed(&prediction, &to_the_end, 1), [1]);
}

#[test]
fn a_resumed_answer_goes_on_about_where_it_was() {
    let prediction = [7, 7, 1, 7, 7, 2, 7, 7, 3];
    let mut guesses = Guesses::new(prediction.to_vec(), 5, None);
    let tokens = [900, 7, 7, 50, 7, 7];
    guesses.came(&tokens);
    assert_eq!(guesses.guess(&tokens, 1), [2]);
}

#[test]
fn a_prediction_that_misleads_is_not_believed_for_long() {
    let prediction: Vec<TokenId> = (100..200).flat_map(|other| [1, 2, other]).collect();
    let answer: Vec<TokenId> = (300..330).flat_map(|other| [1, 2, other]).collect();
    let (guesses, tokens) = predicted(&prediction, &answer[..89]);
    assert!(guesses.likely(&tokens).is_empty());
}

#[test]
fn of_a_draft_and_a_text_the_likelier_counts() {
    let mut guesses = Guesses::new(Vec::new(), 0, Some(DRAFTS_FIRST));
    let mut tokens = vec![5, 6, 7, 8, 5];
    guesses.take_in(&tokens);
    tokens.push(6);
    guesses.came(&tokens);
    // It was there before, once.
    assert_eq!(guesses.guess(&tokens, 2), [7, 8]);
    assert_eq!(guesses.worth_drafting(4).map(Iterator::count), Some(4));
    guesses.put_draft(vec![20, 21, 22]);
    assert_eq!(guesses.origin(), Some(Origin::Draft));
    assert_eq!(guesses.guess(&tokens, 5), [20, 21, 22]);
    assert!(guesses.worth_drafting(4).is_none(), "there is a draft");
    // What is left of it holds as long as it is right.
    tokens.push(20);
    guesses.came(&tokens);
    assert_eq!(guesses.guess(&tokens, 5), [21, 22]);
    tokens.push(9);
    guesses.came(&tokens);
    assert_eq!(guesses.origin(), None);
}

#[test]
fn a_draft_that_is_wrong_is_asked_for_seldom() {
    let mut guesses = Guesses::new(Vec::new(), 0, Some(DRAFTS_FIRST));
    let chance = |guesses: &Guesses| guesses.worth_drafting(1).and_then(|mut all| all.next());
    let mut tokens = vec![0];
    let mut drafts = 0;
    for token in 1..2000 {
        if chance(&guesses).unwrap() > 0.3 {
            guesses.put_draft(vec![9999]);
            drafts += 1;
        }
        tokens.push(token);
        guesses.came(&tokens);
    }
    assert!((20..80).contains(&drafts), "{drafts}");
}
