//! The endpoints.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{self, Path, Request};
use axum::response::IntoResponse;
use axum::response::sse::{KeepAlive, Sse};
use axum::routing::{get, post};
use axum::{Json, Router};
use base::{Failure, InstanceId};
use futures::stream;
use http::StatusCode;

use super::convert::{models_here, no_instance, parse_instance_id, parse_opening, parse_wish};
use super::error::Refused;
use super::events::{KEEP_ALIVE, Latest};
use super::model::{Instance, Instances, Models, Opened, Placement, Placements, State};
use super::{calls, membership, settings, user_data};
use crate::app::App;
use crate::{OpenInstance, body};

/// Between two states: progress of loading changes hundreds of times a second, and people see ten.
const PAUSE: Duration = Duration::from_millis(100);

type Shared = extract::State<Arc<App>>;

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .merge(settings::routes())
        .merge(calls::routes())
        .merge(membership::routes())
        .merge(user_data::routes())
        .route("/admin/state", get(state))
        .route("/admin/events", get(events))
        .route("/admin/models", get(models))
        .route("/admin/plan", post(plan))
        .route("/admin/instances", get(instances).post(open))
        .route("/admin/instances/{id}", get(instance).delete(close))
}

async fn state(app: Shared) -> Json<State> {
    Json(State::from(&**app.gateway.changes().borrow()))
}

async fn events(app: Shared) -> impl IntoResponse {
    let states = Latest {
        name: "state",
        pause: PAUSE,
        changes: app.gateway.changes(),
        stopping: app.stopping.clone(),
    };
    let states = states.events(|view| State::from(&**view));
    let members = membership::events(&app);
    Sse::new(stream::select(states, members)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

async fn models(app: Shared) -> Json<Models> {
    let models = models_here(app.gateway.models().await);
    Json(Models { models })
}

async fn plan(app: Shared, request: Request) -> Result<Json<Placements>, Refused> {
    let wish = parse_wish(&body::read(request).await?)?;
    let placements = app.gateway.plan(wish).await?;
    let placements = placements.into_iter().map(Placement::from).collect();
    Ok(Json(Placements { placements }))
}

async fn instances(app: Shared) -> Json<Instances> {
    let State { instances, .. } = State::from(&**app.gateway.changes().borrow());
    Json(Instances { instances })
}

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

async fn instance(
    app: Shared,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Instance>, Refused> {
    let id = parse_instance_id(&text(id))?;
    let view = app.gateway.changes().borrow().clone();
    let found = view.instances.iter().find(|instance| instance.id == id);
    let instance = found.ok_or_else(|| no_instance(&id.to_string()))?;
    Ok(Json(instance.into()))
}

async fn close(
    app: Shared,
    id: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Refused> {
    app.gateway.close(parse_instance_id(&text(id))?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What is no text names nothing either.
fn text(id: Result<Path<String>, PathRejection>) -> String {
    id.map_or_else(|_| String::new(), |Path(id)| id)
}
