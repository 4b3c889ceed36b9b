//! A hub like huggingface.co on this machine: real HTTP, large files redirected to a second host, and faults when told so.
//!
//! What it speaks is what `huggingface_hub` documents of the real one: `GET /api/models/{id}/revision/{revision}?blobs=true`,
//! `HEAD` and `GET /{id}/resolve/{revision}/{path}` with ranges, `ETag`, `X-Linked-Etag`, `X-Linked-Size`, `X-Repo-Commit`.

mod answers;
mod faults;
pub mod kills;
pub mod large;
mod repository;
pub mod trial;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

pub use faults::{Fault, Faults, HARMLESS};
use repository::Published;
pub use repository::{RepositoryFile, Snapshot, model, model_of, of_folder};

/// What the hub holds and what it has seen, shared with the tests.
#[derive(Debug, Default)]
pub struct Contents {
    /// Snapshots by commit.
    commits: BTreeMap<String, Arc<Published>>,
    /// Where `main` is.
    pub main: String,
    /// What goes wrong.
    pub faults: Faults,
    /// How long each piece of a body waits for the one before it.
    pub piece_pause: Duration,
    /// Bytes of a header that the list of files has besides.
    pub more_header: usize,
    /// Where large files are said to be, if not at the second host.
    pub redirect: Option<String>,
    /// Bytes of bodies that were sent, by file.
    pub sent: BTreeMap<String, u64>,
    /// Requests to the first host that had the token, and those that had none.
    pub with_token: (usize, usize),
    /// Requests to the second host that had the token. It must not be there.
    pub leaked: usize,
}

/// A running hub; its two hosts go away when it is dropped.
#[derive(Debug)]
pub struct TestHub {
    contents: Shared,
    address: SocketAddr,
    _runtime: Runtime,
}

type Shared = Arc<Mutex<Contents>>;

/// What a handler needs.
#[derive(Debug, Clone)]
struct Host {
    contents: Shared,
    /// Where large files are.
    second: SocketAddr,
}

impl TestHub {
    /// A hub that holds one snapshot as its `main`.
    pub fn start(snapshot: Snapshot) -> Result<Self> {
        Self::start_at(Ipv4Addr::LOCALHOST, snapshot)
    }

    /// The same at an address of this machine, or of the network namespace that the calling thread is in.
    pub fn start_at(address: Ipv4Addr, snapshot: Snapshot) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let contents = Shared::default();
        let listen = || runtime.block_on(TcpListener::bind((address, 0)));
        let (first, second) = (listen()?, listen()?);
        let address = first.local_addr()?;
        let host = Host {
            contents: Arc::clone(&contents),
            second: second.local_addr()?,
        };
        let hub = Router::new()
            .route(
                "/api/models/{owner}/{name}/revision/{revision}",
                get(answers::listing),
            )
            .route(
                "/{owner}/{name}/resolve/{revision}/{*path}",
                get(answers::resolve),
            );
        let large = Router::new().route("/lfs/{commit}/{*path}", get(answers::large));
        for (listener, router) in [(first, hub), (second, large)] {
            let router = router.with_state(host.clone());
            runtime.spawn(async move { axum::serve(listener, router).await });
        }
        let hub = Self {
            contents,
            address,
            _runtime: runtime,
        };
        hub.publish(snapshot);
        Ok(hub)
    }

    /// Its address, for `HF_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Moves `main` on to a snapshot.
    pub fn publish(&self, snapshot: Snapshot) {
        self.contents().publish(snapshot);
    }

    /// What it holds and has seen, to look at and to change.
    pub fn contents(&self) -> MutexGuard<'_, Contents> {
        lock(&self.contents)
    }
}

impl Contents {
    /// The commit that a revision is: a branch's newest, or itself.
    fn commit_of(&self, revision: String) -> String {
        if revision == "main" {
            self.main.clone()
        } else {
            revision
        }
    }

    /// It holds nothing any more.
    pub fn forget_all(&mut self) {
        self.commits.clear();
    }

    fn publish(&mut self, snapshot: Snapshot) {
        let published = Arc::new(Published::new(snapshot));
        self.main.clone_from(&published.snapshot.commit);
        self.commits.insert(self.main.clone(), published);
    }

    /// Takes the next commit for `main`, which has the same small files and other weights, and forgets the old one.
    fn move_on(&mut self) {
        let Some(old) = self.commits.remove(&self.main) else {
            return;
        };
        let mut snapshot = old.snapshot.clone();
        snapshot.commit = repository::commit(snapshot.commit.as_bytes());
        for file in snapshot.files.values_mut().filter(|file| file.is_large) {
            // Never again what it was.
            let last = file.bytes.iter_mut().rev().take(1);
            last.for_each(|byte| *byte = byte.wrapping_add(1));
        }
        self.publish(snapshot);
    }
}

fn lock(contents: &Shared) -> MutexGuard<'_, Contents> {
    contents.lock().unwrap_or_else(PoisonError::into_inner)
}
