//! Calls as chat has them: of functions, of tools that take text, and the one call in the form that came before tools.

use base::{FinishReason, Piece};

use super::finish_reason;
use crate::openai::custom::{CallForms, input_of};
use crate::openai::model::{
    Called, ChatDelta, ChatMessageOut, CustomOut, FunctionOut, ToolCallDelta, ToolCallOut,
};

/// Names a call, for the tool's answer to it. Unique as the answer's own id is.
fn call_id(answer: &str, choice: usize, call: u32) -> String {
    let unique = answer.rsplit('-').next().unwrap_or(answer);
    format!("call_{unique}{choice:02x}{call:02x}")
}

/// Why an answer ended, in the words of the form in which it called.
pub(super) fn end_of(reason: FinishReason, called: bool, forms: &CallForms) -> &'static str {
    match reason {
        FinishReason::Stop if called && forms.functions => "function_call",
        FinishReason::Stop if called => "tool_calls",
        reason => finish_reason(reason),
    }
}

fn begun(name: String, forms: &CallForms) -> Called {
    if forms.is_custom(&name) {
        return Called::Custom(CustomOut {
            name: Some(name),
            input: String::new(),
        });
    }
    Called::Function(FunctionOut {
        name: Some(name),
        arguments: String::new(),
    })
}

/// The calls of one choice of a stream.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// It has called.
    pub(super) called: bool,
    /// The call with text that is under way: its number, and its arguments so far.
    open: Option<(u32, String)>,
}

impl Calls {
    /// What a piece of an answer adds, of the answer `id` and its choice `choice`.
    pub(super) fn deltas(
        &mut self,
        piece: Piece,
        (id, choice): (&str, usize),
        forms: &CallForms,
    ) -> Vec<ChatDelta> {
        match piece {
            Piece::Arguments { index, text } => match &mut self.open {
                // The text is within JSON, and is known when that is whole.
                Some((open, arguments)) if *open == index => {
                    arguments.push_str(&text);
                    Vec::new()
                }
                Some(_) | None => vec![arguments(index, text, forms)],
            },
            piece => {
                let before = self.end();
                let next = match piece {
                    Piece::ToolCall { index, name } => {
                        self.called = true;
                        if forms.is_custom(&name) {
                            self.open = Some((index, String::new()));
                        }
                        call(index, call_id(id, choice, index), name, forms)
                    }
                    Piece::Reasoning(text) => ChatDelta {
                        reasoning: Some(text.clone()),
                        reasoning_content: Some(text),
                        ..ChatDelta::default()
                    },
                    Piece::Text(text) | Piece::Arguments { text, .. } => said(text),
                };
                before.into_iter().chain([next]).collect()
            }
        }
    }

    /// Ends the call that is under way.
    pub(super) fn end(&mut self) -> Option<ChatDelta> {
        let (index, arguments) = self.open.take()?;
        let called = Called::Custom(CustomOut {
            name: None,
            input: input_of(&arguments),
        });
        Some(of_call(index, None, called))
    }
}

/// More words.
pub(super) fn said(text: String) -> ChatDelta {
    ChatDelta {
        content: Some(text),
        ..ChatDelta::default()
    }
}

fn call(index: u32, id: String, name: String, forms: &CallForms) -> ChatDelta {
    match begun(name, forms) {
        Called::Function(function) if forms.functions => ChatDelta {
            function_call: Some(function),
            ..ChatDelta::default()
        },
        called => of_call(index, Some(id), called),
    }
}

fn arguments(index: u32, arguments: String, forms: &CallForms) -> ChatDelta {
    let function = FunctionOut {
        name: None,
        arguments,
    };
    if forms.functions {
        return ChatDelta {
            function_call: Some(function),
            ..ChatDelta::default()
        };
    }
    of_call(index, None, Called::Function(function))
}

fn of_call(index: u32, id: Option<String>, called: Called) -> ChatDelta {
    let call = ToolCallDelta {
        index,
        kind: id.is_some().then_some(called.kind()),
        id,
        called,
    };
    ChatDelta {
        tool_calls: Some([call]),
        ..ChatDelta::default()
    }
}

/// Adds a piece to a whole answer's message.
pub(super) fn add_piece(
    message: &mut ChatMessageOut,
    piece: Piece,
    (id, choice): (&str, usize),
    forms: &CallForms,
) {
    match piece {
        Piece::Text(text) if text.is_empty() => {}
        Piece::Text(text) => message.content.get_or_insert_default().push_str(&text),
        Piece::Reasoning(text) => message.reasoning_content.push_str(&text),
        Piece::ToolCall { index, name } => {
            let called = begun(name, forms);
            message.tool_calls.push(ToolCallOut {
                id: call_id(id, choice, index),
                kind: called.kind(),
                called,
            });
        }
        Piece::Arguments { index, text } => {
            match message
                .tool_calls
                .get_mut(index as usize)
                .map(|call| &mut call.called)
            {
                Some(Called::Function(function)) => function.arguments.push_str(&text),
                // As JSON, until it is whole.
                Some(Called::Custom(custom)) => custom.input.push_str(&text),
                None => {}
            }
        }
    }
}

/// Puts a whole answer's message into its last form.
pub(super) fn finish(message: &mut ChatMessageOut, forms: &CallForms) {
    message.reasoning.clone_from(&message.reasoning_content);
    for call in &mut message.tool_calls {
        if let Called::Custom(custom) = &mut call.called {
            custom.input = input_of(&custom.input);
        }
    }
    if message.tool_calls.is_empty() {
        // Only who calls tools may say nothing at all.
        message.content.get_or_insert_default();
    }
    if forms.functions
        && let Some(call) = message.tool_calls.pop()
        && let Called::Function(function) = call.called
    {
        message.function_call = Some(function);
    }
}
