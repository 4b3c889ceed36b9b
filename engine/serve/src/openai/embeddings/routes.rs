//! The endpoint.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use base::Usage;

use super::answer::Answer;
use super::convert::parse;
use crate::app::App;
use crate::calls::Noted;
use crate::openai::routes::Refused;
use crate::standing;

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new().route("/v1/embeddings", post(embed))
}

async fn embed(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refused> {
    let noted = Noted::of(&request);
    let (json, standing) = standing::read(request).await?;
    let mut asked = parse(&json, app.fresh()?.request_id())?;
    asked.request.standing = standing;
    if let Some(noted) = &noted {
        noted.model(&asked.request.model);
    }
    let embedded = app.gateway.embed(asked.request).await?;
    let usage = Usage {
        prompt_tokens: embedded.prompt_tokens,
        ..Usage::default()
    };
    app.metrics.tokens(usage);
    if let Some(noted) = &noted {
        noted.usage(usage);
        noted.model(&embedded.model);
    }
    let answer = Answer::new(embedded, asked.encoding, asked.dimensions)?;
    Ok(Json(answer).into_response())
}
