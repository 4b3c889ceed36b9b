//! The endpoint.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use base::Usage;
use utoipa_axum::routes;

use super::answer::Answer;
use super::convert::{EmbeddingsRequest, parse};
use crate::app::App;
use crate::calls::Noted;
use crate::openai::routes::Refused;
use crate::openapi::Routes;
use crate::standing;

pub(crate) fn routes() -> Routes {
    Routes::default().routes(routes!(embed))
}

/// Texts or tokens to vectors.
#[utoipa::path(
    post,
    path = "/v1/embeddings",
    request_body = EmbeddingsRequest,
    responses((status = 200, description = "The vectors.", body = Answer)),
)]
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
