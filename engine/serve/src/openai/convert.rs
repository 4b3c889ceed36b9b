//! From a request's bytes to validated [`GenerateRequest`]s. Pure; the first fault found is the one reported.

mod chat;
mod completion;
mod format;
mod refuse;
mod sampling;
mod tools;

use base::{Failure, GenerateRequest, RequestId};

use super::custom::CallForms;
use super::model::{CompletionFields, SharedFields};

pub(super) use chat::{effort, with_one_system};
pub(super) use format::format;
pub(super) use refuse::{invalid, missing, unsupported};
pub(super) use sampling::{TOP_LOGPROBS_MAX, model, penalty, temperature, top_p};
pub(super) use tools::{Offered, allow, arguments_of, choice_word, custom_tool, tool};

/// A request as it was understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// One for each answer wanted: `n` of a chat, `n` for each prompt of a completion, in order. Never empty.
    pub requests: Vec<GenerateRequest>,
    /// How many of them in a row have the same prompt.
    pub answers: usize,
    /// Whether the answer is sent as it comes.
    pub stream: bool,
    /// Whether a streamed answer ends with what it took.
    pub include_usage: bool,
    /// How calls are written.
    pub forms: CallForms,
    /// Which of the answers to each prompt are given, if not all are.
    pub best: Option<Best>,
}

/// The likeliest answers to each prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Best {
    /// How many of them are given.
    pub given: usize,
    /// Whether with the log-probabilities by which they were chosen.
    pub scored: bool,
}

/// Random numbers for what a request leaves open: its ids and its seed. Derived from one number that is random, so
/// that parsing itself stays pure.
#[derive(Debug, Clone)]
pub struct Fresh(u64);

impl Fresh {
    /// From 64 random bits.
    pub const fn new(random: u64) -> Self {
        Self(random)
    }

    /// The next number (`SplitMix64`, Steele, Lea and Flood 2014).
    pub(crate) fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Names a request.
    pub(crate) fn request_id(&mut self) -> RequestId {
        RequestId(self.draw())
    }
}

/// Understands the body of `POST /v1/chat/completions`.
pub fn parse_chat(body: &[u8], mut fresh: Fresh) -> Result<Asked, Failure> {
    let shared: SharedFields = crate::json::parse(body)?;
    let fields = crate::json::parse(body)?;
    let streaming = streaming(&shared)?;
    let (forms, requests) = chat::requests(shared, fields, &mut fresh)?;
    Ok(Asked {
        forms,
        ..streaming.asked(requests.len(), requests)
    })
}

/// Understands the body of `POST /v1/completions`.
pub fn parse_completion(body: &[u8], mut fresh: Fresh) -> Result<Asked, Failure> {
    let shared: SharedFields = crate::json::parse(body)?;
    let fields: CompletionFields = crate::json::parse(body)?;
    let streaming = streaming(&shared)?;
    let wanted = completion::requests(shared, fields, &mut fresh)?;
    Ok(Asked {
        best: wanted.best,
        ..streaming.asked(wanted.answers, wanted.requests)
    })
}

struct Streaming {
    stream: bool,
    include_usage: bool,
}

impl Streaming {
    fn asked(self, answers: usize, requests: Vec<GenerateRequest>) -> Asked {
        Asked {
            requests,
            answers,
            stream: self.stream,
            include_usage: self.include_usage,
            forms: CallForms::default(),
            best: None,
        }
    }
}

fn streaming(shared: &SharedFields) -> Result<Streaming, Failure> {
    let stream = shared.stream.unwrap_or(false);
    if shared.stream_options.is_some() && !stream {
        let message = "stream_options is only allowed when stream is true";
        return Err(refuse::invalid(message, "stream_options"));
    }
    let options = shared.stream_options.as_ref();
    let include_usage = options.and_then(|options| options.0.include_usage);
    Ok(Streaming {
        stream,
        include_usage: include_usage.unwrap_or(false),
    })
}

#[cfg(test)]
mod tests;
