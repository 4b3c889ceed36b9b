//! Text in and out of tokens: tokenizer, chat template, and the incremental way back with stop strings; and which tokens
//! a grammar allows; and what of an answer is thought, said or called.
//!
//! Everything is pure once loaded: the same tokens give the same text however they are divided into calls. Never: a
//! model, HTTP, a clock (the time of day that some templates print is an argument).

pub mod answer;
mod calendar;
mod chat_template;
pub mod grammar;
mod infill;
mod pooling;
mod recommended;
mod special_tokens;
mod stop_strings;
mod text_stream;
mod token_bytes;
mod tokenizer;
mod utf8;

pub use chat_template::{ChatTemplate, RenderError, TemplateError};
pub use infill::InfillFormat;
pub use pooling::{is_for_embeddings, pooling};
pub use recommended::recommended_sampling;
pub use special_tokens::SpecialTokens;
pub use stop_strings::StopStrings;
pub use text_stream::{Piece, TextStart, TextStream};
pub use token_bytes::{TokenBytes, TokenBytesError};
pub use tokenizer::{Framing, Tokenizer, TokenizerError};
pub use utf8::Utf8Decoder;
