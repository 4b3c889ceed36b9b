//! `espalier run`: one answer, or a conversation: typed in the terminal, or piped in line by line.
//!
//! Ctrl-C ends the answer that is being given; at the prompt it leaves, like Ctrl-D.

use std::io::IsTerminal;

use serde_json::{Value, json};

use super::RunArguments;
use super::chat::{self, Ended, Lines};
use super::client::Client;
use super::failure::CommandFailure;
use super::models::name_of;

pub(super) async fn run(arguments: RunArguments) -> Result<(), CommandFailure> {
    let client = Client::new(&arguments.target);
    let model = name_of(&client, &arguments.model).await?;
    let mut conversation = Conversation::new(model, &arguments);
    if let Some(question) = arguments.prompt {
        return match conversation.ask(&client, question).await? {
            Ended::Whole => Ok(()),
            Ended::Interrupted => Err(interrupted()),
        };
    }
    if std::io::stdin().is_terminal() {
        println!(
            "Talking to {}. Ctrl-C stops an answer; Ctrl-D leaves.",
            conversation.model
        );
        talk(&client, conversation, Lines::edited()?, Mishap::Told).await
    } else {
        talk(&client, conversation, Lines::piped(), Mishap::Final).await
    }
}

/// What a failed answer means.
#[derive(Clone, Copy)]
enum Mishap {
    /// A person is told and may ask again: the node may be back.
    Told,
    /// A script must not take silence for an answer.
    Final,
}

/// Questions until there are no more.
async fn talk(
    client: &Client,
    mut conversation: Conversation,
    mut lines: Lines,
    mishap: Mishap,
) -> Result<(), CommandFailure> {
    loop {
        let (back, line) = lines.next().await?;
        lines = back;
        let Some(question) = line else {
            return Ok(());
        };
        if question.trim().is_empty() {
            continue;
        }
        match (conversation.ask(client, question).await, mishap) {
            (Ok(Ended::Whole), _) | (Ok(Ended::Interrupted), Mishap::Told) => {}
            (Ok(Ended::Interrupted), Mishap::Final) => return Err(interrupted()),
            (Err(failure), Mishap::Told) => eprintln!("error: {failure}"),
            (Err(failure), Mishap::Final) => return Err(failure),
        }
    }
}

fn interrupted() -> CommandFailure {
    CommandFailure::other("the answer was interrupted")
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
