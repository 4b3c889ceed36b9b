//! `espalier run`: one answer, or a conversation in the terminal.
//!
//! Ctrl-C ends the answer that is being given; at the prompt it leaves, like Ctrl-D.

use std::io::{IsTerminal, Read};

use serde_json::{Value, json};

use super::RunArguments;
use super::chat::{self, Ended};
use super::client::Client;
use super::failure::CommandFailure;
use super::models::name_of;

/// A question that comes from standard input: no model's context is larger.
const QUESTION_BYTES_MAX: u64 = 16 << 20;

pub(super) async fn run(arguments: RunArguments) -> Result<(), CommandFailure> {
    let client = Client::new(&arguments.target);
    let model = name_of(&client, &arguments.model).await?;
    let mut conversation = Conversation::new(model, &arguments);
    let question = match arguments.prompt {
        Some(prompt) => Some(prompt),
        None if std::io::stdin().is_terminal() => None,
        None => Some(read_question()?),
    };
    match question {
        Some(question) => match conversation.ask(&client, question).await? {
            Ended::Whole => Ok(()),
            Ended::Interrupted => Err(CommandFailure::other("the answer was interrupted")),
        },
        None => talk(&client, conversation).await,
    }
}

/// Questions from a person until they leave.
async fn talk(client: &Client, mut conversation: Conversation) -> Result<(), CommandFailure> {
    println!(
        "Talking to {}. Ctrl-C stops an answer; Ctrl-D leaves.",
        conversation.model
    );
    let mut editor = chat::Editor::new()?;
    loop {
        let (back, line) = editor.read().await?;
        editor = back;
        let Some(question) = line else {
            return Ok(());
        };
        if question.trim().is_empty() {
            continue;
        }
        match conversation.ask(client, question).await {
            Ok(Ended::Whole | Ended::Interrupted) => {}
            // The node may be back for the next question.
            Err(failure) => eprintln!("error: {failure}"),
        }
    }
}

/// What has been said so far, and how to ask for more.
struct Conversation {
    model: String,
    messages: Vec<Value>,
    max_tokens: Option<u32>,
    temperature: Option<f32>,
}

impl Conversation {
    fn new(model: String, arguments: &RunArguments) -> Self {
        let system = arguments.system.as_ref();
        Self {
            model,
            messages: system
                .map(|text| json!({"role": "system", "content": text}))
                .into_iter()
                .collect(),
            max_tokens: arguments.max_tokens,
            temperature: arguments.temperature,
        }
    }

    fn body(&self) -> Value {
        let mut body = json!({"model": self.model, "messages": self.messages, "stream": true});
        if let Some(tokens) = self.max_tokens {
            body["max_tokens"] = tokens.into();
        }
        if let Some(temperature) = self.temperature {
            body["temperature"] = temperature.into();
        }
        body
    }

    /// Asks and prints the answer as it comes. A question without any answer is not part of the conversation.
    async fn ask(&mut self, client: &Client, question: String) -> Result<Ended, CommandFailure> {
        self.messages
            .push(json!({"role": "user", "content": question}));
        let mut said = String::new();
        let outcome = chat::answer(client, &self.body(), &mut said).await;
        if said.is_empty() {
            self.messages.pop();
        } else {
            println!();
            self.messages
                .push(json!({"role": "assistant", "content": said}));
        }
        outcome
    }
}

fn read_question() -> Result<String, CommandFailure> {
    let mut question = String::new();
    let read = std::io::stdin()
        .take(QUESTION_BYTES_MAX)
        .read_to_string(&mut question);
    match read {
        Ok(_) if !question.trim().is_empty() => Ok(question.trim().to_string()),
        Ok(_) => Err(CommandFailure::with_hint(
            "there is no question",
            "give one as the second argument or on standard input",
        )),
        Err(error) => Err(CommandFailure::other(format!(
            "cannot read the question from standard input: {error}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_said_is_asked_for() {
        let conversation = Conversation {
            model: "sprout".into(),
            messages: vec![json!({"role": "user", "content": "hi"})],
            max_tokens: None,
            temperature: Some(0.5),
        };
        assert_eq!(
            conversation.body(),
            json!({"model": "sprout", "messages": [{"role": "user", "content": "hi"}], "stream": true, "temperature": 0.5})
        );
    }
}
