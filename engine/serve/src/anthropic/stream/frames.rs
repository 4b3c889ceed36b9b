//! A stream's server-sent events: those of the answer, then its end; or those so far, then an error.

use base::{Failure, GenerateEvent};

use super::blocks::{Beginning, Blocks, Kind, Step};
use super::whole::no_arguments;
use super::{AnswerHead, SIGNATURE};
use crate::anthropic::error::Envelope;
use crate::anthropic::model::{Block, Delta, EventOut};

/// A server-sent event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::anthropic) struct Frame {
    pub(in crate::anthropic) event: &'static str,
    pub(in crate::anthropic) data: String,
}

impl Frame {
    /// Says that the line is alive.
    pub(in crate::anthropic) fn ping() -> Self {
        Self::of(&EventOut::Ping)
    }

    fn of(event: &EventOut) -> Self {
        match serde_json::to_string(event) {
            Ok(data) => Self {
                event: event.name(),
                data,
            },
            Err(error) => Self::error(&Failure::new(
                base::ErrorCode::Internal,
                format!("an event cannot be written: {error}"),
            )),
        }
    }

    fn error(failure: &Failure) -> Self {
        Self {
            event: "error",
            // An envelope is strings alone, which are always JSON.
            data: serde_json::to_string(&Envelope::new(failure)).unwrap_or_default(),
        }
    }
}

/// Makes server-sent events.
pub(in crate::anthropic) struct Frames {
    head: AnswerHead,
    blocks: Blocks,
    /// Blocks that have begun.
    begun: usize,
    failed: bool,
}

impl Frames {
    pub(in crate::anthropic) fn new(head: AnswerHead) -> Self {
        Self {
            head,
            blocks: Blocks::new(&head),
            begun: 0,
            failed: false,
        }
    }

    /// What an event adds to the stream; nothing follows an error.
    pub(in crate::anthropic) fn next(
        &mut self,
        event: Result<GenerateEvent, Failure>,
    ) -> Option<Vec<Frame>> {
        if self.failed {
            return None;
        }
        match event {
            Ok(event) => Some(self.tell(event).iter().map(Frame::of).collect()),
            Err(failure) => {
                self.failed = true;
                Some(vec![Frame::error(&failure)])
            }
        }
    }

    fn tell(&mut self, event: GenerateEvent) -> Vec<EventOut> {
        match event {
            GenerateEvent::Started {
                model,
                prompt_tokens,
            } => {
                let mut message = self.head.message();
                message.model = model;
                // What of it need not be computed is not known yet; the end has the true numbers.
                message.usage.input_tokens = prompt_tokens;
                vec![EventOut::MessageStart { message }, EventOut::Ping]
            }
            // Never asked for.
            GenerateEvent::Prompt(_) | GenerateEvent::Queued { .. } => Vec::new(),
            GenerateEvent::Delta { piece, .. } => {
                let steps = self.blocks.tell(piece);
                self.steps(steps)
            }
            GenerateEvent::Finished {
                reason,
                stop,
                usage,
            } => {
                let steps = self.blocks.end();
                let mut events = self.steps(steps);
                events.push(EventOut::MessageDelta {
                    delta: self.head.stop(reason, stop, self.blocks.called),
                    usage: usage.into(),
                });
                events.push(EventOut::MessageStop);
                events
            }
        }
    }

    fn steps(&mut self, steps: Vec<Step>) -> Vec<EventOut> {
        steps.into_iter().flat_map(|step| self.step(step)).collect()
    }

    fn step(&mut self, step: Step) -> Vec<EventOut> {
        if matches!(step, Step::Begins(_)) {
            self.begun += 1;
        }
        let index = self.begun.saturating_sub(1);
        match step {
            Step::Begins(beginning) => vec![EventOut::ContentBlockStart {
                index,
                content_block: empty(beginning),
            }],
            Step::Grows(kind, more) => {
                let delta = delta(kind, more);
                vec![EventOut::ContentBlockDelta { index, delta }]
            }
            Step::Ends(kind) => {
                let end = EventOut::ContentBlockStop { index };
                signature(kind, index).into_iter().chain([end]).collect()
            }
        }
    }
}

fn delta(kind: Kind, more: String) -> Delta {
    match kind {
        Kind::Thinking => Delta::Thinking { thinking: more },
        Kind::Text => Delta::Text { text: more },
        Kind::Call => Delta::InputJson { partial_json: more },
    }
}

fn signature(kind: Kind, index: usize) -> Option<EventOut> {
    let delta = Delta::Signature {
        signature: SIGNATURE,
    };
    (kind == Kind::Thinking).then_some(EventOut::ContentBlockDelta { index, delta })
}

fn empty(beginning: Beginning) -> Block {
    match beginning {
        Beginning::Thinking => Block::Thinking {
            thinking: String::new(),
            signature: "",
        },
        Beginning::Text => Block::Text {
            text: String::new(),
        },
        Beginning::Call { id, name } => Block::ToolUse {
            id,
            name,
            input: no_arguments(),
        },
    }
}
