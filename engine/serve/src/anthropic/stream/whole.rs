//! A whole answer.

use base::GenerateEvent;
use serde_json::value::RawValue;

use super::blocks::{Beginning, Blocks, Step};
use super::{AnswerHead, SIGNATURE};
use crate::anthropic::model::{Block, MessageOut};

/// Makes a whole answer.
pub(in crate::anthropic) struct Whole {
    head: AnswerHead,
    message: MessageOut,
    blocks: Blocks,
    /// The block that grows.
    growing: Option<(Beginning, String)>,
}

impl Whole {
    pub(in crate::anthropic) fn new(head: AnswerHead) -> Self {
        Self {
            message: head.message(),
            blocks: Blocks::new(&head),
            growing: None,
            head,
        }
    }

    /// Takes in an event.
    pub(in crate::anthropic) fn hear(&mut self, event: GenerateEvent) {
        match event {
            GenerateEvent::Started { model, .. } => self.message.model = model,
            // Never asked for.
            GenerateEvent::Prompt(_) | GenerateEvent::Queued { .. } => {}
            GenerateEvent::Delta { piece, .. } => {
                let steps = self.blocks.tell(piece);
                self.take(steps);
            }
            GenerateEvent::Finished {
                reason,
                stop,
                usage,
            } => {
                let steps = self.blocks.end();
                self.take(steps);
                self.message.stop = self.head.stop(reason, stop, self.blocks.called);
                self.message.usage = usage.into();
            }
        }
    }

    /// The answer, after its last event.
    pub(in crate::anthropic) fn answer(self) -> MessageOut {
        self.message
    }

    fn take(&mut self, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Begins(beginning) => self.growing = Some((beginning, String::new())),
                Step::Grows(_, more) => {
                    if let Some((_, text)) = &mut self.growing {
                        text.push_str(&more);
                    }
                }
                Step::Ends(_) => {
                    let block = self.growing.take();
                    let block = block.map(|(beginning, text)| block_of(beginning, text));
                    self.message.content.extend(block);
                }
            }
        }
    }
}

fn block_of(beginning: Beginning, text: String) -> Block {
    match beginning {
        Beginning::Thinking => Block::Thinking {
            thinking: text,
            signature: SIGNATURE,
        },
        Beginning::Text => Block::Text { text },
        Beginning::Call { id, name } => Block::ToolUse {
            id,
            name,
            input: arguments(text),
        },
    }
}

/// Arguments that were cut off by the limit of tokens are none: the reason why the answer ended says so.
fn arguments(text: String) -> Box<RawValue> {
    let whole = RawValue::from_string(text).ok();
    let object = whole.filter(|value| value.get().starts_with('{'));
    object.unwrap_or_else(no_arguments)
}

/// `{}`.
pub(super) fn no_arguments() -> Box<RawValue> {
    let empty = RawValue::from_string("{}".to_string());
    empty.unwrap_or_else(|_| RawValue::NULL.to_owned())
}
