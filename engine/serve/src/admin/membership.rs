//! `/admin/membership`, `/admin/pairing`, `/admin/members`: who belongs to the cluster, and letting others in.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::Request;
use axum::response::sse::Event;
use axum::{Json, extract};
use base::{ErrorCode, Failure, NodeId};
use futures::{Stream, StreamExt};
use http::StatusCode;
use serde::{Deserialize, Serialize};
#[cfg(test)]
use ts_rs::TS;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::error::Refused;
use super::model::ErrorOut;
use crate::app::App;
use crate::membership::{self, Ask};
use crate::openapi::Routes;
use crate::uri::{Named, name};
use crate::{body, json};

type Shared = extract::State<Arc<App>>;
type Done = Result<StatusCode, Refused>;

pub(super) fn routes() -> Routes {
    Routes::default()
        .routes(routes!(show))
        .routes(routes!(start))
        .routes(routes!(confirm))
        .routes(routes!(cancel))
        .routes(routes!(remove))
}

/// The same as events named `membership`, until the server stops.
pub(super) fn events(app: &App) -> impl Stream<Item = Result<Event, Infallible>> + Send + use<> {
    let mut stopping = app.stopping.clone();
    let stop = async move {
        // A server that is gone has stopped.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    };
    let shown = app.gateway.membership().map(|shown| {
        let json = serde_json::to_string(&Membership::from(shown)).unwrap_or_default();
        Ok(Event::default().event("membership").data(json))
    });
    shown.take_until(Box::pin(stop))
}

/// Who belongs to the cluster and who would like to.
#[utoipa::path(
    get,
    path = "/admin/membership",
    responses((status = 200, description = "They.", body = Membership)),
)]
async fn show(app: Shared) -> Result<Json<Membership>, Refused> {
    let shown = app.gateway.membership().next().await;
    let gone = || Failure::new(ErrorCode::Internal, "the node is shutting down");
    Ok(Json(shown.ok_or_else(gone)?.into()))
}

/// Begins to pair with a node nearby.
#[utoipa::path(
    post,
    path = "/admin/pairing",
    request_body = With,
    responses((status = 204, description = "It is being called.")),
)]
async fn start(app: Shared, request: Request) -> Done {
    ask(app, request, Ask::Start).await
}

/// Says that both show the same digits.
#[utoipa::path(
    post,
    path = "/admin/pairing/confirm",
    request_body = With,
    responses((status = 204, description = "It is confirmed here.")),
)]
async fn confirm(app: Shared, request: Request) -> Done {
    ask(app, request, Ask::Confirm).await
}

/// Ends a pairing.
#[utoipa::path(
    post,
    path = "/admin/pairing/cancel",
    request_body = With,
    responses((status = 204, description = "It is ended.")),
)]
async fn cancel(app: Shared, request: Request) -> Done {
    ask(app, request, Ask::Cancel).await
}

/// Removes a member of the cluster.
#[utoipa::path(
    delete,
    path = "/admin/members/{id}",
    params(("id" = String, Path, description = "The node.")),
    responses((status = 204, description = "It is removed.")),
)]
async fn remove(app: Shared, id: Named) -> Done {
    app.gateway.pairing(Ask::Remove(node(&name(id))?)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn ask(app: Shared, request: Request, ask: fn(NodeId) -> Ask) -> Done {
    let With { node_id } = json::parse(&body::read(request).await?)?;
    app.gateway.pairing(ask(node(&node_id)?)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn node(id: &str) -> Result<NodeId, Failure> {
    id.parse().map_err(|error| {
        let message = format!("node_id is {error}");
        Failure::new(ErrorCode::InvalidRequest, message).param("node_id")
    })
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PairingWith)]
struct With {
    node_id: String,
}

/// Who belongs to the cluster and who would like to.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct Membership {
    /// Nodes prove themselves with a shared key: there is nothing to pair.
    pub(crate) by_key: bool,
    /// This node among them; empty if it is in no cluster.
    pub(crate) members: Vec<Member>,
    pub(crate) nearby: Vec<Nearby>,
    /// Under way, or how the last one ended.
    pub(crate) pairing: Option<Pairing>,
    /// What happened to this node's membership that was not done here.
    pub(crate) notice: Option<String>,
}

/// A member of this node's cluster.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) added_by: String,
}

/// A node that is seen; all of it is its own word.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct Nearby {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) cluster_name: String,
    pub(crate) belongs: Belonging,
}

/// What a node is to this one.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(TS))]
pub(crate) enum Belonging {
    /// Not known yet.
    Unknown,
    /// It waits to be paired.
    Newcomer,
    /// A member of the same cluster.
    Ours,
    /// A member of another.
    Elsewhere,
}

/// A pairing.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct Pairing {
    pub(crate) node_id: String,
    pub(crate) name: String,
    pub(crate) started_here: bool,
    pub(crate) stage: Stage,
    /// While they are compared.
    pub(crate) digits: Option<String>,
    pub(crate) confirmed_here: bool,
    pub(crate) confirmed_there: bool,
    /// Why it ended.
    pub(crate) error: Option<ErrorOut>,
}

/// How far a pairing is.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(TS))]
#[schema(as = PairingStage)]
pub(crate) enum Stage {
    /// The other one is being called.
    Calling,
    /// People compare the digits.
    Compare,
    /// Both are in one cluster now.
    Done,
    /// It ended without that.
    Ended,
}

impl From<membership::Membership> for Membership {
    fn from(shown: membership::Membership) -> Self {
        let members = shown.members.into_iter().map(|member| Member {
            id: member.node.to_string(),
            name: member.name,
            added_by: member.added_by.to_string(),
        });
        let nearby = shown.nearby.into_iter().map(|near| Nearby {
            id: near.node.to_string(),
            name: near.name,
            cluster_name: near.cluster_name,
            belongs: match near.belongs {
                membership::Belonging::Unknown => Belonging::Unknown,
                membership::Belonging::Newcomer => Belonging::Newcomer,
                membership::Belonging::Ours => Belonging::Ours,
                membership::Belonging::Elsewhere => Belonging::Elsewhere,
            },
        });
        Self {
            by_key: shown.by_key,
            members: members.collect(),
            nearby: nearby.collect(),
            pairing: shown.pairing.map(Pairing::from),
            notice: shown.notice,
        }
    }
}

impl From<membership::Pairing> for Pairing {
    fn from(pairing: membership::Pairing) -> Self {
        let mut shown = Self {
            node_id: pairing.node.to_string(),
            name: pairing.name,
            started_here: pairing.started_here,
            stage: Stage::Calling,
            digits: None,
            confirmed_here: false,
            confirmed_there: false,
            error: None,
        };
        match pairing.stage {
            membership::Stage::Calling => {}
            membership::Stage::Compare {
                digits,
                confirmed_here,
                confirmed_there,
            } => {
                shown.stage = Stage::Compare;
                shown.digits = Some(digits);
                shown.confirmed_here = confirmed_here;
                shown.confirmed_there = confirmed_there;
            }
            membership::Stage::Done => shown.stage = Stage::Done,
            membership::Stage::Ended(why) => {
                shown.stage = Stage::Ended;
                shown.error = Some(why.into());
            }
        }
        shown
    }
}
