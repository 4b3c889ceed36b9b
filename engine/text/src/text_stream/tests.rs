use proptest::prelude::*;

use super::*;
use crate::Framing;
use crate::tokenizer::tests::{byte_level, sentence_piece};

/// The pieces of an answer, its end included, and whether a stop string ended it.
fn stream(
    tokenizer: Tokenizer,
    tokens: &[TokenId],
    stop: &[&str],
    start: TextStart,
) -> (Vec<String>, bool) {
    let stop = stop.iter().map(ToString::to_string).collect();
    let mut stream = TextStream::new(Arc::new(tokenizer), stop, start);
    let mut stopped = false;
    let mut texts = Vec::new();
    for &token in tokens {
        let piece = stream.push(token);
        stopped = piece.stopped;
        texts.push(piece.text);
    }
    texts.push(stream.finish());
    (texts, stopped)
}

fn encode(tokenizer: &Tokenizer, text: &str) -> Vec<TokenId> {
    tokenizer.encode(text, Framing::Bare).unwrap()
}

#[test]
fn whole_characters_only() {
    let tokenizer = byte_level();
    let tokens = encode(&tokenizer, "é node");
    let (texts, _) = stream(tokenizer, &tokens, &[], TextStart::OfText);
    assert_eq!(texts, ["", "é", " ", "node", ""]);
}

#[test]
fn special_tokens_are_no_text() {
    let tokenizer = byte_level();
    let tokens = encode(&tokenizer, "no<|end|>de");
    assert_eq!(tokens.len(), 3);
    let (texts, _) = stream(tokenizer, &tokens, &[], TextStart::OfText);
    assert_eq!(texts, ["no", "", "de", ""]);
}

#[test]
fn a_stop_string_across_tokens_ends_the_answer() {
    let tokenizer = byte_level();
    let tokens = encode(&tokenizer, "node the node");
    let (texts, stopped) = stream(tokenizer, &tokens, &["e th"], TextStart::OfText);
    assert_eq!(texts.concat(), "nod");
    assert!(stopped);
}

#[test]
fn the_added_space_is_dropped_at_the_start_of_a_text_only() {
    let tokens = encode(&sentence_piece(), "ab a");
    let text = |start| stream(sentence_piece(), &tokens, &[], start).0.concat();
    assert_eq!(text(TextStart::OfText), "ab a");
    assert_eq!(text(TextStart::Continuation), " ab a");
}

proptest! {
    #[test]
    fn a_stream_is_the_decoded_whole(tokens in prop::collection::vec(0u32..300, 0..60)) {
        for tokenizer in [byte_level(), sentence_piece()] {
            let whole = tokenizer.decode(&tokens);
            let (texts, _) = stream(tokenizer, &tokens, &[], TextStart::OfText);
            prop_assert_eq!(texts.concat(), whole);
        }
    }

    #[test]
    fn a_stop_string_cuts_the_decoded_whole(text in "[ab ]{0,20}", stop in "[ab ]{1,3}") {
        let tokenizer = byte_level();
        let tokens = encode(&tokenizer, &text);
        let (texts, stopped) = stream(tokenizer, &tokens, &[&stop], TextStart::Continuation);
        prop_assert_eq!(stopped, text.contains(&stop));
        prop_assert_eq!(texts.concat(), text.split(&stop).next().unwrap_or_default());
    }
}

#[test]
fn a_special_token_is_text_only_where_it_is_shown() {
    let tokenizer = byte_level();
    let mark = tokenizer.token("<|end|>").unwrap();
    let tokenizer = Arc::new(tokenizer);
    let stream = || TextStream::new(tokenizer.clone(), vec![], TextStart::OfText);
    assert_eq!(stream().push(mark).text, "");
    let shown = stream().showing(vec![mark]).push(mark).text;
    assert_eq!(shown.as_bytes(), tokenizer.bytes_of(mark));
    assert!(!shown.is_empty());
}
