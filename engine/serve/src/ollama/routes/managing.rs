//! Models are made from others and copied.

use std::sync::Arc;

use axum::Json;
use axum::response::{IntoResponse, Response};
use base::DerivedModel;

use super::lines;
use crate::ModelDescription;
use crate::app::App;
use crate::ollama::convert::Create;
use crate::ollama::error::Refused;
use crate::ollama::model::Progress;

/// Keeps a new model.
pub(super) async fn create(app: &Arc<App>, create: Create) -> Result<Response, Refused> {
    let from = app.gateway.describe(&create.from).await?;
    let (name, stream) = (create.name.clone(), create.stream);
    let layer = digest(&from);
    let model = create.model(base_of(&from), from.derived);
    app.gateway.derive(&name, model).await?;
    let layer = format!("using existing layer sha256:{layer}");
    Ok(done(&[&layer, "writing manifest", "success"], stream))
}

/// Keeps a model under a second name.
pub(super) async fn copy(app: &Arc<App>, source: &str, copy: &str) -> Result<Response, Refused> {
    let source = app.gateway.describe(source).await?;
    let model = DerivedModel {
        base: base_of(&source),
        ..source.derived.unwrap_or_default()
    };
    app.gateway.derive(copy, model).await?;
    Ok(().into_response())
}

/// The model with files that is run.
fn base_of(model: &ModelDescription) -> String {
    let derived = model.derived.as_ref().map(|derived| derived.base.clone());
    derived.unwrap_or_else(|| model.info.id.clone())
}

pub(super) fn digest(model: &ModelDescription) -> String {
    let fingerprint = model.info.fingerprint;
    fingerprint.map_or_else(String::new, |digest| digest.to_string())
}

/// All steps as lines, or the last alone.
pub(super) fn done(steps: &[&str], stream: bool) -> Response {
    let steps: Vec<Progress> = steps.iter().map(|step| Progress::status(step)).collect();
    match steps.last() {
        Some(last) if !stream => Json(last).into_response(),
        Some(_) | None => lines(&steps),
    }
}
