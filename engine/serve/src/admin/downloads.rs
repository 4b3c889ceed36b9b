//! `/admin/downloads`: models that come from a hub.

use std::sync::Arc;

use axum::extract::Request;
use axum::extract::rejection::PathRejection;
use axum::{Json, extract};
use base::{ErrorCode, Failure};
use http::StatusCode;
use serde::{Deserialize, Serialize};
#[cfg(test)]
use ts_rs::TS;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::error::Refused;
use super::model::ErrorOut;
use crate::app::App;
use crate::downloads::{self, Ask};
use crate::openapi::Routes;
use crate::{body, json};

type Shared = extract::State<Arc<App>>;
type Done = Result<StatusCode, Refused>;
/// The repository in a path.
pub(super) type Repository = Result<extract::Path<(String, String)>, PathRejection>;

pub(super) fn routes() -> Routes {
    Routes::default()
        .routes(routes!(list, start))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(cancel))
}

/// The downloads, in the order in which they were asked for.
#[utoipa::path(
    get,
    path = "/admin/downloads",
    responses((status = 200, description = "The downloads.", body = Downloads)),
)]
async fn list(app: Shared) -> Json<Downloads> {
    let list = app.gateway.downloads().borrow().clone();
    Json(Downloads::from(list.as_slice()))
}

/// Fetches a model from the hub; goes on with it if it was paused or gave up.
#[utoipa::path(
    post,
    path = "/admin/downloads",
    request_body = DownloadWish,
    responses((status = 204, description = "It is fetched when its turn comes.")),
)]
async fn start(app: Shared, request: Request) -> Done {
    let wish: DownloadWish = json::parse(&body::read(request).await?)?;
    let wanted = match wish.revision {
        Some(revision) => format!("{}@{revision}", wish.model),
        None => wish.model,
    };
    if wish.everywhere {
        app.gateway.download_everywhere(wanted).await?;
    } else {
        app.gateway.download(Ask::Start(wanted)).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Stops a download and keeps what is there, also over the node's next start.
#[utoipa::path(
    post,
    path = "/admin/downloads/{owner}/{name}/pause",
    params(
        ("owner" = String, Path, description = "Of the repository."),
        ("name" = String, Path, description = "Of the repository."),
    ),
    responses((status = 204, description = "It is paused.")),
)]
async fn pause(app: Shared, repository: Repository) -> Done {
    ask(app, repository, Ask::Pause).await
}

/// Goes on with a download that was paused or gave up.
#[utoipa::path(
    post,
    path = "/admin/downloads/{owner}/{name}/resume",
    params(
        ("owner" = String, Path, description = "Of the repository."),
        ("name" = String, Path, description = "Of the repository."),
    ),
    responses((status = 204, description = "It goes on when its turn comes.")),
)]
async fn resume(app: Shared, repository: Repository) -> Done {
    ask(app, repository, Ask::Resume).await
}

/// Takes a download from the list and deletes what was fetched. A model that is whole stays.
#[utoipa::path(
    delete,
    path = "/admin/downloads/{owner}/{name}",
    params(
        ("owner" = String, Path, description = "Of the repository."),
        ("name" = String, Path, description = "Of the repository."),
    ),
    responses((status = 204, description = "Nothing of it is left.")),
)]
async fn cancel(app: Shared, repository: Repository) -> Done {
    ask(app, repository, Ask::Cancel).await
}

async fn ask(app: Shared, repository: Repository, ask: fn(String) -> Ask) -> Done {
    app.gateway.download(ask(named(repository)?)).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) fn named(repository: Repository) -> Result<String, Failure> {
    let named = repository.map(|extract::Path((owner, name))| format!("{owner}/{name}"));
    named.map_err(|_| Failure::new(ErrorCode::NotFound, "the path names no repository"))
}

/// What to fetch. A field that is not known is an error.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS), ts(optional_fields))]
pub(crate) struct DownloadWish {
    /// The repository on the hub: `owner/name`, or `owner/name@revision`.
    model: String,
    /// A branch, a tag or a commit of it; `main` if it is left out.
    revision: Option<String>,
    /// All members of the cluster that can be reached fetch it too. Together they take it from the hub once, and each other's
    /// bytes as they arrive. One that refuses makes this an error; the others fetch it nevertheless.
    #[serde(default)]
    everywhere: bool,
}

/// The downloads, in the order in which they were asked for.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct Downloads {
    pub(crate) downloads: Vec<Download>,
}

/// A model that somebody wants here.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct Download {
    /// Its repository, `owner/name`: also the name of the model once it is here.
    pub(crate) model: String,
    /// The branch, tag or commit that was asked for.
    pub(crate) revision: String,
    /// The commit that is fetched, once it is known.
    pub(crate) commit: Option<String>,
    pub(crate) state: DownloadState,
    /// Why it waits, or what went wrong and is tried again.
    pub(crate) reason: Option<String>,
    /// Why it gave up.
    pub(crate) error: Option<ErrorOut>,
    /// Bytes that are on the disk.
    pub(crate) bytes_done: u64,
    /// Bytes of all its files; 0 until that is known.
    pub(crate) bytes_total: u64,
    /// Bytes that other members of the cluster sent, and no hub, since it last began or went on.
    pub(crate) bytes_from_members: u64,
    /// How fast bytes come, while they do.
    pub(crate) bytes_per_s: Option<u64>,
    /// How long the rest takes at that speed.
    pub(crate) seconds_left: Option<u64>,
}

/// How a download goes.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(TS))]
pub(crate) enum DownloadState {
    /// It goes on by itself, once something is over.
    Waiting,
    /// Bytes come, or are about to.
    Running,
    /// Something went wrong, and is tried again.
    Retrying,
    /// Files are held against their hashes.
    Verifying,
    /// Somebody stopped it.
    Paused,
    /// The model is here.
    Done,
    /// It gave up.
    Failed,
}

impl From<&[downloads::Download]> for Downloads {
    fn from(list: &[downloads::Download]) -> Self {
        Self {
            downloads: list.iter().map(Download::from).collect(),
        }
    }
}

impl From<&downloads::Download> for Download {
    fn from(download: &downloads::Download) -> Self {
        let (mut reason, mut error) = (None, None);
        let state = match &download.state {
            downloads::State::Waiting(why) => {
                reason.clone_from(why);
                DownloadState::Waiting
            }
            downloads::State::Running => DownloadState::Running,
            downloads::State::Retrying(why) => {
                reason = Some(why.clone());
                DownloadState::Retrying
            }
            downloads::State::Verifying => DownloadState::Verifying,
            downloads::State::Paused => DownloadState::Paused,
            downloads::State::Done => DownloadState::Done,
            downloads::State::Failed(failure) => {
                error = Some(failure.clone().into());
                DownloadState::Failed
            }
        };
        Self {
            model: download.model.clone(),
            revision: download.revision.clone(),
            commit: download.commit.clone(),
            state,
            reason,
            error,
            bytes_done: download.bytes_done,
            bytes_total: download.bytes_total,
            bytes_from_members: download.bytes_from_members,
            bytes_per_s: download.bytes_per_s,
            seconds_left: download.seconds_left,
        }
    }
}
