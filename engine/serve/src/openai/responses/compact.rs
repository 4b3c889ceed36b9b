//! `POST /v1/responses/compact`: a conversation in short, by the model itself. Clients send what comes of it in the place of what
//! was said before.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use base::{
    ErrorCode, Failure, GenerateEvent, GenerateRequest, Message, Piece, Prompt, Role, ToolChoice,
};
use futures::StreamExt;
use serde_json::json;

use super::described;
use super::record::{encrypted, usage_of};
use super::routes::{asked, before};
use crate::app::App;
use crate::calls::Noted;
use crate::openai::routes::Refused;
use crate::shorten::fitting;

/// Enough for what matters of a long conversation.
const SUMMARY_TOKENS_MAX: u32 = 4096;

/// What the model is asked to do.
const ASKED: &str = "Write a summary of our conversation so far, for yourself: only it will be there when we go on. Keep what was \
    asked for and why, what was decided, found out and done, names, numbers and paths as they are, and what is still to be done. \
    Write nothing but the summary.";

/// Makes a conversation short. What comes of it stands for the conversation in later requests.
#[utoipa::path(
    post,
    path = "/v1/responses/compact",
    request_body = described::Request,
    responses((status = 200, description = "The conversation in short.", body = described::Compacted)),
)]
pub(super) async fn compact(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Refused> {
    let noted = Noted::of(&request);
    let asked = asked(&app, request).await?;
    let request = summary(asked.after(&before(&app, &asked)?)?);
    let id = request.id;
    let mut events = fitting(&app, request, true, noted).await?;
    let mut said = String::new();
    while let Some(event) = events.next().await {
        match event?.1 {
            GenerateEvent::Delta {
                piece: Piece::Text(text),
                ..
            } => said.push_str(&text),
            GenerateEvent::Finished { usage, .. } => {
                let short = json!({
                    "id": format!("resp_{id}"),
                    "object": "response.compaction",
                    "created_at": app.gateway.unix_milliseconds() / 1000,
                    "output": [{"id": format!("cmp_{id}"), "type": "compaction", "encrypted_content": encrypted(said.trim())}],
                    "usage": usage_of(usage),
                });
                return Ok(Json(short).into_response());
            }
            // What it thinks about a summary is no part of it.
            GenerateEvent::Started { .. }
            | GenerateEvent::Queued { .. }
            | GenerateEvent::Prompt(_)
            | GenerateEvent::Delta { .. } => {}
        }
    }
    let message = "the model did not come to the end of the summary";
    Err(Failure::new(ErrorCode::Internal, message).into())
}

/// The request for a summary of the conversation of another one.
fn summary(mut request: GenerateRequest) -> GenerateRequest {
    if let Prompt::Chat(conversation) = &mut request.prompt {
        conversation.tools.clear();
        conversation.tool_choice = ToolChoice::None;
        conversation.messages.push(Message::new(Role::User, ASKED));
    }
    request.grammar = None;
    request.logprobs = None;
    request.max_tokens = Some(SUMMARY_TOKENS_MAX);
    request
}
