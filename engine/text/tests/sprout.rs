//! The embedded model's own tokenizer and template, from its files: no crate edge to `store` is needed for that.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{Conversation, Message, Role};
use proptest::prelude::*;
use text::{ChatTemplate, Framing, TextStart, TextStream, Tokenizer};

fn folder() -> PathBuf {
    Path::new(env!("ESPALIER_CHECKOUT")).join("engine/store/sprout")
}

fn tokenizer() -> Tokenizer {
    Tokenizer::load(&folder()).expect("the embedded tokenizer is whole")
}

fn message(role: Role, content: &str) -> Message {
    Message::new(role, content)
}

#[test]
fn a_chat_becomes_one_text() {
    let template = ChatTemplate::load(&folder())
        .expect("the embedded template parses")
        .expect("there is one");
    let messages = vec![
        message(Role::System, "You are called Fern."),
        message(Role::User, " Hello "),
        message(Role::Assistant, "Hello! I am Fern."),
        message(Role::User, "Bye"),
    ];
    let conversation = Conversation {
        messages,
        ..Conversation::default()
    };
    let text = template
        .render(&conversation, 0)
        .expect("it takes these roles");
    assert_eq!(
        text,
        "<|system|>You are called Fern.<|end|><|user|>Hello<|end|><|assistant|>Hello! I am Fern.<|end|><|user|>Bye<|end|><|assistant|>"
    );
    let tokenizer = tokenizer();
    let tokens = tokenizer
        .encode(&text, Framing::Bare)
        .expect("any text has tokens");
    let marks = tokens
        .iter()
        .filter(|&&token| tokenizer.token_bytes().is_special(token))
        .count();
    assert_eq!(marks, 9);
}

#[test]
fn one_token_ends_an_answer() {
    let tokenizer = tokenizer();
    let end = tokenizer.token("<|end|>").expect("it is in the vocabulary");
    assert_eq!(tokenizer.stop_tokens(), [end]);
}

proptest! {
    #[test]
    fn any_text_round_trips(text: String) {
        prop_assume!(!text.contains("<|"));
        let tokenizer = Arc::new(tokenizer());
        let tokens = tokenizer.encode(&text, Framing::Whole).expect("any text has tokens");
        prop_assert_eq!(&tokenizer.decode(&tokens), &text);
        let mut stream = TextStream::new(Arc::clone(&tokenizer), vec![], TextStart::OfText);
        let mut streamed: String = tokens.iter().map(|&token| stream.push(token).text).collect();
        streamed.push_str(&stream.finish());
        prop_assert_eq!(streamed, text);
    }
}
