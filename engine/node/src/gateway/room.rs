//! Makes room for a model in the cluster's memory: closes instances that nobody uses, and waits until their memory is
//! back. Which ones, the cluster's rules say; whether somebody uses one, the node that drives it.

use std::time::Duration;

use base::{ErrorCode, Failure, InstanceId};
use cluster::{Asker, NoRoom, Placement, State, Wish};
use tokio::time::{Instant, sleep, sleep_until};

use crate::cluster_actor::ClusterHandle;

/// A worker ends within 3 s and its node measures its memory then; one that has not by now was used after all, or
/// held less than was planned.
const SETTLE_LIMIT: Duration = Duration::from_secs(6);
/// How often it is looked whether the memory is back, if nothing is heard of the cluster.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// Each round closes what should be enough. After so many, others take the memory as fast as it is freed.
const ROUNDS_MAX: usize = 4;

/// How a model could be placed now.
pub(super) async fn placements(
    cluster: &ClusterHandle,
    wish: &Wish,
) -> Result<Vec<Placement>, Failure> {
    let solved = work_out(cluster, wish, |state, wish| {
        cluster::solve(&state.problem(wish), None)
    });
    solved.await?.map_err(|error| error.failure())
}

/// Returns when a model can be placed, or says why it cannot.
pub(super) async fn make_room(
    cluster: &ClusterHandle,
    wish: &Wish,
    asker: Asker,
) -> Result<(), Failure> {
    for _ in 0..ROUNDS_MAX {
        let closing = room_for(cluster, wish, asker).await?;
        let closing = closing.map_err(|no_room| no_room.failure())?;
        if closing.is_empty() {
            return Ok(());
        }
        for id in &closing {
            tracing::info!(instance = %id, "unloading a model that nobody uses to make room");
            cluster.retire(*id).await?;
        }
        wait_for_room(cluster, wish, asker).await?;
    }
    let failure = Failure::new(
        ErrorCode::Overloaded,
        "other models take the memory as fast as it is freed",
    );
    Err(failure.hint("try again when fewer models are asked for at once, or add a node"))
}

/// Until the model fits; no longer than closing takes.
async fn wait_for_room(cluster: &ClusterHandle, wish: &Wish, asker: Asker) -> Result<(), Failure> {
    let deadline = Instant::now() + SETTLE_LIMIT;
    let mut changes = cluster.changes();
    loop {
        changes.mark_unchanged();
        if room_for(cluster, wish, asker).await? == Ok(Vec::new()) {
            return Ok(());
        }
        tokio::select! {
            news = changes.changed() => news.map_err(|_| crate::cluster_actor::Leaving)?,
            () = sleep(LOOK_INTERVAL) => {}
            () = sleep_until(deadline) => return Ok(()),
        }
    }
}

async fn room_for(
    cluster: &ClusterHandle,
    wish: &Wish,
    asker: Asker,
) -> Result<Result<Vec<InstanceId>, NoRoom>, Failure> {
    work_out(cluster, wish, move |state, wish| {
        state.room_for(wish, asker)
    })
    .await
}

/// Placements take milliseconds to find, and there may be many to try.
async fn work_out<T: Send + 'static>(
    cluster: &ClusterHandle,
    wish: &Wish,
    question: impl FnOnce(&State, &Wish) -> T + Send + 'static,
) -> Result<T, Failure> {
    let state = cluster.snapshot().await?;
    let wish = wish.clone();
    let answer = tokio::task::spawn_blocking(move || question(&state, &wish)).await;
    answer.map_err(|_| Failure::new(ErrorCode::Internal, "finding a placement broke off"))
}
