//! From items to turns of a conversation. What a model thought, said and called in a row is one turn, as templates have it.

use base::{Failure, Message, Role, ToolCall};

use super::model::{Input, Item};
use crate::json::Object;
use crate::openai::convert::{invalid, missing, unsupported};
use crate::openai::model::{Content, Part};

/// The turns of `input`.
pub(super) fn messages(input: Input) -> Result<Vec<Message>, Failure> {
    let items = match input {
        Input::Text(text) => return Ok(vec![Message::new(Role::User, text)]),
        Input::Items(items) => items,
    };
    let mut turns = Turns::default();
    for (index, Object(item)) in items.into_iter().enumerate() {
        turns.add(item, &format!("input[{index}]"))?;
    }
    Ok(turns.end())
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
            "function_call_output" => self.output(item, at),
            "item_reference" => Err(unsupported("items by reference are", at)
                .hint("send the item itself, or previous_response_id")),
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
        self.begin().reasoning = text;
        Ok(())
    }

    fn call(&mut self, item: Item, at: &str) -> Result<(), Failure> {
        let id = item.call_id.or(item.id);
        let call = ToolCall {
            id: id.ok_or_else(|| missing(&format!("{at}.call_id")))?,
            name: item.name.ok_or_else(|| missing(&format!("{at}.name")))?,
            arguments: crate::openai::convert::arguments_of(
                item.arguments,
                &format!("{at}.arguments"),
            )?,
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
        "refusal" => Ok(part.text.unwrap_or_default()),
        "input_image" => Err(unsupported("images are", at)),
        "input_audio" => Err(unsupported("audio is", at)),
        "input_file" => Err(unsupported("files are", at)),
        _ => Err(unsupported("content other than text is", at)),
    }
}
