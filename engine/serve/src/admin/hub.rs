//! `/admin/hub`: models that are on a hub and not here.

use std::sync::Arc;

use axum::{Json, extract};
use serde::Serialize;
#[cfg(test)]
use ts_rs::TS;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::downloads::{Repository, named};
use super::error::Refused;
use super::model::{ErrorOut, Placement};
use crate::app::App;
use crate::gateway;
use crate::openapi::Routes;

type Shared = extract::State<Arc<App>>;

pub(super) fn routes() -> Routes {
    Routes::default()
        .routes(routes!(known))
        .routes(routes!(look))
}

/// Models to choose from, with the repositories that hold them.
#[utoipa::path(
    get,
    path = "/admin/hub",
    responses((status = 200, description = "The models.", body = KnownModels)),
)]
async fn known(app: Shared) -> Json<KnownModels> {
    let models = app.gateway.known_models().into_iter();
    let models = models.map(KnownModel::from).collect();
    Json(KnownModels { models })
}

/// What a repository of the hub holds, and whether the cluster could run it. Only what describes it is fetched.
#[utoipa::path(
    get,
    path = "/admin/hub/{owner}/{name}",
    params(
        ("owner" = String, Path, description = "Of the repository."),
        ("name" = String, Path, description = "Of the repository; `name@revision` for a branch, a tag or a commit."),
    ),
    responses((status = 200, description = "The model.", body = HubModel)),
)]
async fn look(app: Shared, repository: Repository) -> Result<Json<HubModel>, Refused> {
    let found = app.gateway.look(&named(repository)?).await?;
    Ok(Json(found.into()))
}

/// Models to choose from.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct KnownModels {
    models: Vec<KnownModel>,
}

/// A model that people run, in one or several forms.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct KnownModel {
    /// As people call it.
    name: String,
    /// A short name to download its first repository by.
    alias: String,
    /// Its architecture's name.
    family: String,
    /// Transformer layers.
    layers: u32,
    /// The longest sequence that it takes, in tokens.
    context_tokens: u32,
    /// The usual choice first.
    repositories: Vec<KnownRepository>,
}

/// A form of it.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct KnownRepository {
    /// `owner/name` on the hub.
    id: String,
    /// How its weights are stored, in words.
    format: String,
    /// Size of its weights.
    bytes: u64,
    /// Those of them that are read for one token, nearly.
    active_bytes: u64,
}

impl From<gateway::KnownModel> for KnownModel {
    fn from(known: gateway::KnownModel) -> Self {
        let repositories = known.repositories.into_iter();
        Self {
            name: known.name,
            alias: known.alias,
            family: known.family,
            layers: known.layers,
            context_tokens: known.context_tokens,
            repositories: repositories
                .map(|one| KnownRepository {
                    id: one.id,
                    format: one.format,
                    bytes: one.bytes,
                    active_bytes: one.active_bytes,
                })
                .collect(),
        }
    }
}

/// A model that the hub has.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct HubModel {
    /// The commit that a download would fetch.
    commit: String,
    /// Size of all its files.
    bytes: u64,
    /// Its architecture's name.
    family: String,
    /// Transformer layers.
    layers: u32,
    /// The longest sequence that it takes, in tokens.
    context_tokens: u32,
    /// Size of its weights as they are held.
    weights_bytes: u64,
    /// Bytes of weights that are read for one token: of experts only a few.
    active_bytes: u64,
    /// The ways in which the cluster could run it now, best first.
    placements: Vec<Placement>,
    /// Why it could not, if there is none.
    refusal: Option<ErrorOut>,
}

impl From<gateway::HubModel> for HubModel {
    fn from(found: gateway::HubModel) -> Self {
        let (placements, refusal) = match found.placements {
            Ok(placements) => (placements, None),
            Err(failure) => (Vec::new(), Some(ErrorOut::from(failure))),
        };
        Self {
            commit: found.commit,
            bytes: found.bytes,
            family: found.family,
            layers: found.layers,
            context_tokens: found.context_tokens,
            weights_bytes: found.weights_bytes,
            active_bytes: found.active_bytes,
            placements: placements.into_iter().map(Placement::from).collect(),
            refusal,
        }
    }
}
