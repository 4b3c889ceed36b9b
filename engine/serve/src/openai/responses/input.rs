//! From items to turns of a conversation. What a model thought, said and called in a row is one turn, as templates have it.

use base::{Failure, Message, Role, ToolCall};
use serde_json::Value;

use super::model::{Input, Item};
use super::record::decrypted;
use crate::json::Object;
use crate::openai::convert::{arguments_of, invalid, missing, unsupported};
use crate::openai::custom::arguments_of_input;
use crate::openai::model::{Content, Part};

/// The turns of `input`. `kept` has the items that a client names instead of sending them again.
pub(super) fn messages(
    input: Input,
    kept: &dyn Fn(&str) -> Option<Value>,
) -> Result<Vec<Message>, Failure> {
    let items = match input {
        Input::Text(text) => return Ok(vec![Message::new(Role::User, text)]),
        Input::Items(items) => items,
    };
    let mut turns = Turns::default();
    for (index, Object(item)) in items.into_iter().enumerate() {
        let at = format!("input[{index}]");
        let item = if is_reference(&item) {
            referred(item.id.as_deref(), kept, &at)?
        } else {
            item
        };
        turns.add(item, &at)?;
    }
    Ok(turns.end())
}

/// Without a type an item that says nothing but an id is a reference too.
fn is_reference(item: &Item) -> bool {
    match item.kind.as_deref() {
        Some(kind) => kind == "item_reference",
        None => item.id.is_some() && item.role.is_none() && item.content.is_none(),
    }
}

fn referred(
    id: Option<&str>,
    kept: &dyn Fn(&str) -> Option<Value>,
    at: &str,
) -> Result<Item, Failure> {
    let at = format!("{at}.id");
    let id = id.ok_or_else(|| missing(&at))?;
    let found = kept(id).and_then(|item| serde_json::from_value(item).ok());
    found.ok_or_else(|| {
        let failure = invalid(format!("there is no item {id} here"), at);
        failure.hint("the newest responses are kept until the node ends; send the item itself")
    })
}

#[derive(Default)]
struct Turns {
    done: Vec<Message>,
    /// The model's turn, while it may go on.
    open: Option<Message>,
}

impl Turns {
    fn add(&mut self, item: Item, at: &str) -> Result<(), Failure> {
        // A message needs no type.
        match item.kind.as_deref().unwrap_or("message") {
            "message" => self.message(item, at),
            "reasoning" => self.reasoning(item, at),
            "function_call" => self.call(item, at),
            "custom_tool_call" => self.custom_call(item, at),
            "function_call_output" | "custom_tool_call_output" => self.output(item, at),
            "compaction" => {
                self.compaction(item);
                Ok(())
            }
            // Of tools that nobody here has run: they say nothing to this model.
            _ => Ok(()),
        }
    }

    fn message(&mut self, item: Item, at: &str) -> Result<(), Failure> {
        let role = match item.role.as_deref() {
            Some("user") => Role::User,
            Some("system" | "developer") => Role::System,
            Some("assistant") => Role::Assistant,
            Some(_) => {
                let message = format!("{at}.role must be user, assistant, system or developer");
                return Err(invalid(message, format!("{at}.role")));
            }
            None => return Err(missing(&format!("{at}.role"))),
        };
        let content = item
            .content
            .ok_or_else(|| missing(&format!("{at}.content")))?;
        let content = text_of(content, &format!("{at}.content"))?;
        if role != Role::Assistant {
            self.close();
            self.done.push(Message::new(role, content));
            return Ok(());
        }
        let goes_on = |turn: &&mut Message| turn.content.is_empty() && turn.tool_calls.is_empty();
        if let Some(turn) = self.open.as_mut().filter(goes_on) {
            turn.content = content;
        } else {
            self.begin().content = content;
        }
        Ok(())
    }

    fn reasoning(&mut self, item: Item, at: &str) -> Result<(), Failure> {
        let said = item
            .content
            .map(|content| text_of(content, &format!("{at}.content")));
        let mut text = said.transpose()?.unwrap_or_default();
        if text.is_empty() {
            let summary = item.summary.unwrap_or_default().into_iter();
            let parts = summary.filter_map(|Object(part)| part.text);
            text = parts.collect::<Vec<_>>().join("\n");
        }
        if text.is_empty() {
            let again = item.encrypted_content.unwrap_or_default();
            decrypted(&again).unwrap_or_default().clone_into(&mut text);
        }
        self.begin().reasoning = text;
        Ok(())
    }

    /// What was said before, in short; one that another server made says nothing here.
    fn compaction(&mut self, item: Item) {
        let again = item.encrypted_content.unwrap_or_default();
        if let Some(summary) = decrypted(&again) {
            self.close();
            let told = format!("The conversation before, in short:\n{summary}");
            self.done.push(Message::new(Role::System, told));
        }
    }

    fn call(&mut self, mut item: Item, at: &str) -> Result<(), Failure> {
        let arguments = arguments_of(item.arguments.take());
        self.called(item, arguments, at)
    }

    fn custom_call(&mut self, mut item: Item, at: &str) -> Result<(), Failure> {
        let input = item.input.take().unwrap_or_default();
        self.called(item, arguments_of_input(&input), at)
    }

    fn called(&mut self, item: Item, arguments: String, at: &str) -> Result<(), Failure> {
        let id = item.call_id.or(item.id);
        let call = ToolCall {
            id: id.ok_or_else(|| missing(&format!("{at}.call_id")))?,
            name: item.name.ok_or_else(|| missing(&format!("{at}.name")))?,
            arguments,
        };
        if self.open.is_none() {
            self.begin();
        }
        if let Some(turn) = &mut self.open {
            turn.tool_calls.push(call);
        }
        Ok(())
    }

    fn output(&mut self, item: Item, at: &str) -> Result<(), Failure> {
        let id = item
            .call_id
            .ok_or_else(|| missing(&format!("{at}.call_id")))?;
        let output = item
            .output
            .ok_or_else(|| missing(&format!("{at}.output")))?;
        let mut message = Message::new(Role::Tool, text_of(output, &format!("{at}.output"))?);
        message.tool_call_id = Some(id);
        self.close();
        self.done.push(message);
        Ok(())
    }

    /// A new turn of the model.
    fn begin(&mut self) -> &mut Message {
        self.close();
        self.open.insert(Message::new(Role::Assistant, ""))
    }

    fn close(&mut self) {
        self.done.extend(self.open.take());
    }

    fn end(mut self) -> Vec<Message> {
        self.close();
        self.done
    }
}

fn text_of(content: Content, at: &str) -> Result<String, Failure> {
    let parts = match content {
        Content::Text(text) => return Ok(text),
        Content::Parts(parts) => parts,
    };
    let numbered = parts.into_iter().enumerate();
    let texts = numbered.map(|(index, Object(part))| part_text(part, &format!("{at}[{index}]")));
    Ok(texts.collect::<Result<Vec<String>, Failure>>()?.join("\n"))
}

fn part_text(part: Part, at: &str) -> Result<String, Failure> {
    let kind = part.kind.ok_or_else(|| missing(&format!("{at}.type")))?;
    match kind.as_str() {
        "input_text" | "output_text" | "text" | "reasoning_text" | "summary_text" => {
            part.text.ok_or_else(|| missing(&format!("{at}.text")))
        }
        "refusal" => Ok(part.refusal.or(part.text).unwrap_or_default()),
        "input_image" => Err(unsupported("images are", at)),
        "input_audio" => Err(unsupported("audio is", at)),
        "input_file" => Err(unsupported("files are", at)),
        _ => Err(unsupported("content other than text is", at)),
    }
}
