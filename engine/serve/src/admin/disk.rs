//! `/admin/disk`: what models take of this computer's disks, what to delete for room, and removing what is left over.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::Request;
use axum::{Json, extract};
use serde::{Deserialize, Serialize};
#[cfg(test)]
use ts_rs::TS;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::error::Refused;
use crate::app::App;
use crate::openapi::Routes;
use crate::uri::{Asked, query};
use crate::{body, disk, json};

type Shared = extract::State<Arc<App>>;

pub(super) fn routes() -> Routes {
    Routes::default()
        .routes(routes!(usage))
        .routes(routes!(room))
        .routes(routes!(clean))
}

/// The folders of models and what is in them.
#[utoipa::path(
    get,
    path = "/admin/disk",
    responses((status = 200, description = "What there is.", body = DiskUsage)),
)]
async fn usage(app: Shared) -> Result<Json<DiskUsage>, Refused> {
    Ok(Json(app.gateway.disk().await?.into()))
}

/// Which models to delete for room: those that were not used for the longest time, and are neither open nor needed by others.
#[utoipa::path(
    get,
    path = "/admin/disk/room",
    params(Needed),
    responses((status = 200, description = "Models whose deletion would make room.", body = Room)),
)]
async fn room(app: Shared, needed: Asked<Needed>) -> Result<Json<Room>, Refused> {
    let Needed { bytes, folder } = query(needed)?;
    let room = app.gateway.room(bytes, folder.map(PathBuf::from)).await?;
    Ok(Json(room.into()))
}

/// Removes what is left over, as far as it was shown to whoever wants that and may still go.
#[utoipa::path(
    post,
    path = "/admin/disk/clean",
    request_body = CleanWish,
    responses((status = 200, description = "What was removed; of what was not, `stays` says why.", body = Cleaned)),
)]
async fn clean(app: Shared, request: Request) -> Result<Json<Cleaned>, Refused> {
    let wish: CleanWish = json::parse(&body::read(request).await?)?;
    let paths = wish.paths.into_iter().map(PathBuf::from).collect();
    let leftovers = app.gateway.clean(paths).await?.into_iter();
    let leftovers = leftovers.map(Leftover::from).collect();
    Ok(Json(Cleaned { leftovers }))
}

/// How much room somebody needs.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Needed {
    /// So much.
    bytes: u64,
    /// In this folder of models alone; in any if it is left out.
    folder: Option<String>,
}

/// What models take of the disks.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct DiskUsage {
    /// In the order in which they count: of a model in several of them that of the first.
    folders: Vec<Folder>,
    /// Models that can be used.
    models: Vec<Held>,
    /// Downloads that are not whole and go on.
    downloads: Vec<Begun>,
    /// What nobody needs any more.
    leftovers: Vec<Leftover>,
}

/// A folder of models.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct Folder {
    path: String,
    kind: FolderKind,
    /// Whether it is there now: its disk may not be connected.
    available: bool,
    /// Null if that is not known.
    free_bytes: Option<u64>,
}

/// What a folder of models is to the node.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(TS))]
pub(crate) enum FolderKind {
    /// The data folder's.
    Own,
    /// Downloads may go there, and models there may be deleted.
    Writable,
    /// Nothing is changed there.
    ReadOnly,
    /// The cache of Hugging Face's own tools. Nothing is changed there.
    HuggingFaceCache,
}

/// A model in a folder.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct Held {
    /// The name to use in requests.
    model: String,
    /// Its files are there.
    path: String,
    /// The folder of models in which they lie.
    folder: String,
    bytes: u64,
    /// When it was last open, milliseconds since 1970; null if it was not since this is noted.
    last_used_unix_ms: Option<u64>,
    is_open: bool,
    /// Whether it may be deleted: also not while it is open.
    may_delete: bool,
}

/// A download that is not whole.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
#[schema(as = BegunDownload)]
pub(crate) struct Begun {
    /// `owner/name`.
    model: String,
    /// The folder of models to which it goes.
    folder: String,
    bytes: u64,
}

/// Something that nobody needs any more.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct Leftover {
    path: String,
    bytes: u64,
    /// What it is, in words.
    what: String,
    /// Why cleaning up leaves it, in words; null if it removes it.
    stays: Option<String>,
}

/// Models whose deletion would make room.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct Room {
    /// Those first that were not used for the longest time.
    models: Vec<Held>,
    bytes: u64,
    /// Whether that is as much as was needed; otherwise there are no others.
    is_enough: bool,
}

/// What to remove.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct CleanWish {
    /// Of leftovers, as `GET /admin/disk` tells them; others are not touched.
    paths: Vec<String>,
}

/// What came of it.
#[derive(Debug, Serialize, ToSchema)]
#[cfg_attr(test, derive(TS))]
pub(crate) struct Cleaned {
    leftovers: Vec<Leftover>,
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn all<T, U: From<T>>(values: Vec<T>) -> Vec<U> {
    values.into_iter().map(U::from).collect()
}

impl From<disk::DiskUsage> for DiskUsage {
    fn from(usage: disk::DiskUsage) -> Self {
        Self {
            folders: all(usage.folders),
            models: all(usage.models),
            downloads: all(usage.downloads),
            leftovers: all(usage.leftovers),
        }
    }
}

impl From<disk::Folder> for Folder {
    fn from(folder: disk::Folder) -> Self {
        Self {
            path: text(&folder.path),
            kind: match folder.kind {
                disk::FolderKind::Own => FolderKind::Own,
                disk::FolderKind::Writable => FolderKind::Writable,
                disk::FolderKind::ReadOnly => FolderKind::ReadOnly,
                disk::FolderKind::HuggingFaceCache => FolderKind::HuggingFaceCache,
            },
            available: folder.available,
            free_bytes: folder.free_bytes,
        }
    }
}

impl From<disk::Held> for Held {
    fn from(held: disk::Held) -> Self {
        Self {
            model: held.model,
            path: text(&held.path),
            folder: text(&held.folder),
            bytes: held.bytes,
            last_used_unix_ms: held.last_used_unix_seconds.map(|seconds| seconds * 1000),
            is_open: held.is_open,
            may_delete: held.may_delete,
        }
    }
}

impl From<disk::Begun> for Begun {
    fn from(begun: disk::Begun) -> Self {
        Self {
            model: begun.model,
            folder: text(&begun.folder),
            bytes: begun.bytes,
        }
    }
}

impl From<disk::Leftover> for Leftover {
    fn from(leftover: disk::Leftover) -> Self {
        Self {
            path: text(&leftover.path),
            bytes: leftover.bytes,
            what: leftover.what,
            stays: leftover.stays,
        }
    }
}

impl From<disk::Room> for Room {
    fn from(room: disk::Room) -> Self {
        Self {
            models: all(room.models),
            bytes: room.bytes,
            is_enough: room.is_enough,
        }
    }
}
