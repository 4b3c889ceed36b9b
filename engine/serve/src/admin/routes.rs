//! The endpoints.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{self, Request};
use axum::response::IntoResponse;
use axum::response::sse::{KeepAlive, Sse};
use base::{Failure, InstanceId};
use futures::stream;
use http::StatusCode;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::convert::{models_here, no_instance, parse_instance_id, parse_opening, parse_wish};
use super::downloads::Downloads;
use super::error::Refused;
use super::events::{KEEP_ALIVE, Latest};
use super::membership::Membership;
use super::model::{Instance, Instances, Models, Opened, Placement, Placements, State, Wish};
use super::{calls, disk, downloads, hub, membership, settings, user_data};
use crate::app::App;
use crate::openapi::{Routes, shape};
use crate::uri::{Named, name};
use crate::{OpenInstance, body};

/// Between two states: progress of loading changes hundreds of times a second, and people see ten.
const PAUSE: Duration = Duration::from_millis(100);

type Shared = extract::State<Arc<App>>;

/// An event of `/admin/events`.
type Sent = shape::Event<Change>;

/// What it says.
#[expect(dead_code, reason = "described, never made")]
#[derive(ToSchema)]
#[serde(untagged)]
enum Change {
    /// Of an event named `state`.
    State(State),
    /// Of an event named `membership`.
    Membership(Membership),
    /// Of an event named `downloads`.
    Downloads(Downloads),
}

pub(crate) fn routes() -> Routes {
    Routes::default()
        .merge(settings::routes())
        .merge(calls::routes())
        .merge(membership::routes())
        .merge(disk::routes())
        .merge(downloads::routes())
        .merge(hub::routes())
        .merge(user_data::routes())
        .routes(routes!(state))
        .routes(routes!(events))
        .routes(routes!(models))
        .routes(routes!(delete_model))
        .routes(routes!(plan))
        .routes(routes!(instances, open))
        .routes(routes!(instance, close))
}

/// Everything there is to see.
#[utoipa::path(
    get,
    path = "/admin/state",
    responses((status = 200, description = "The cluster.", body = State)),
)]
async fn state(app: Shared) -> Json<State> {
    Json(State::from(&**app.gateway.changes().borrow()))
}

/// The same each time that it changes, who belongs to the cluster, and the downloads.
#[utoipa::path(
    get,
    path = "/admin/events",
    responses((status = 200, description = "Events named `state`, `membership` and `downloads`, without an end.", body = Sent, content_type = "text/event-stream")),
)]
async fn events(app: Shared) -> impl IntoResponse {
    let states = Latest {
        name: "state",
        pause: PAUSE,
        changes: app.gateway.changes(),
        stopping: app.stopping.clone(),
    };
    let states = states.events(|view| State::from(&**view));
    let members = membership::events(&app);
    let downloads = Latest {
        name: "downloads",
        pause: PAUSE,
        changes: app.gateway.downloads(),
        stopping: app.stopping.clone(),
    };
    let downloads = downloads.events(|list| Downloads::from(list.as_slice()));
    let all = stream::select(stream::select(states, members), downloads);
    Sse::new(all).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

/// The models that this node can open.
#[utoipa::path(
    get,
    path = "/admin/models",
    responses((status = 200, description = "The models.", body = Models)),
)]
async fn models(app: Shared) -> Json<Models> {
    let models = models_here(app.gateway.models().await);
    Json(Models { models })
}

/// Deletes a model whose files are the node's own, unless it is open; slashes in its name may stay as they are.
#[utoipa::path(
    delete,
    path = "/admin/models/{*id}",
    params(("id" = String, Path, description = "Its name.")),
    responses((status = 204, description = "It is deleted.")),
)]
async fn delete_model(app: Shared, id: Named) -> Result<StatusCode, Refused> {
    app.gateway.delete(&name(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The ways to run a model, best first.
#[utoipa::path(
    post,
    path = "/admin/plan",
    request_body = Wish,
    responses((status = 200, description = "The ways.", body = Placements)),
)]
async fn plan(app: Shared, request: Request) -> Result<Json<Placements>, Refused> {
    let wish = parse_wish(&body::read(request).await?)?;
    let placements = app.gateway.plan(wish).await?;
    let placements = placements.into_iter().map(Placement::from).collect();
    Ok(Json(Placements { placements }))
}

/// The models that are open.
#[utoipa::path(
    get,
    path = "/admin/instances",
    responses((status = 200, description = "The instances.", body = Instances)),
)]
async fn instances(app: Shared) -> Json<Instances> {
    let State { instances, .. } = State::from(&**app.gateway.changes().borrow());
    Json(Instances { instances })
}

/// Opens a model.
#[utoipa::path(
    post,
    path = "/admin/instances",
    request_body = Wish,
    responses((status = 202, description = "It is being opened.", body = Opened)),
)]
async fn open(app: Shared, request: Request) -> Result<(StatusCode, Json<Opened>), Refused> {
    let (wish, replicas) = parse_opening(&body::read(request).await?)?;
    let ids = open_all(&app, wish, replicas).await?;
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let id = ids.first().cloned().unwrap_or_default();
    Ok((StatusCode::ACCEPTED, Json(Opened { id, ids })))
}

/// All of them, or none and why.
async fn open_all(
    app: &App,
    wish: OpenInstance,
    replicas: u32,
) -> Result<Vec<InstanceId>, Failure> {
    let mut opened = Vec::new();
    for _ in 0..replicas {
        match app.gateway.open(wish.clone()).await {
            Ok(id) => opened.push(id),
            Err(mut failure) => {
                if !opened.is_empty() {
                    let count = opened.len();
                    failure.message =
                        format!("{count} of {replicas} replicas fit: {}", failure.message);
                }
                for id in opened {
                    // What is gone already needs no closing.
                    let _ = app.gateway.close(id).await;
                }
                return Err(failure);
            }
        }
    }
    Ok(opened)
}

/// An instance.
#[utoipa::path(
    get,
    path = "/admin/instances/{id}",
    params(("id" = String, Path, description = "The instance.")),
    responses((status = 200, description = "The instance.", body = Instance)),
)]
async fn instance(app: Shared, id: Named) -> Result<Json<Instance>, Refused> {
    let id = parse_instance_id(&name(id))?;
    let view = app.gateway.changes().borrow().clone();
    let found = view.instances.iter().find(|instance| instance.id == id);
    let instance = found.ok_or_else(|| no_instance(&id.to_string()))?;
    Ok(Json(instance.into()))
}

/// Closes an instance.
#[utoipa::path(
    delete,
    path = "/admin/instances/{id}",
    params(("id" = String, Path, description = "The instance.")),
    responses((status = 204, description = "It is closed.")),
)]
async fn close(app: Shared, id: Named) -> Result<StatusCode, Refused> {
    app.gateway.close(parse_instance_id(&name(id))?).await?;
    Ok(StatusCode::NO_CONTENT)
}
