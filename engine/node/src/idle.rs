//! Tells the cluster what the models that this node drives are doing, and unloads those that nobody has asked anything
//! for as long as their clients or the user said.
//!
//! The node of rank 0 decides, because every request of an instance comes by there. It unloads only what nobody uses.

use std::sync::Arc;
use std::time::Duration;

use base::InstanceActivity;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::cluster_actor::{ClusterHandle, Leaving};
use crate::control::Switches;
use crate::models::LocalModels;
use crate::supervisor::Activity;
use crate::user_data::milliseconds_since_1970;

/// How often it looks at least: a computer that slept has passed times that no timer of it has counted.
const INTERVAL: Duration = Duration::from_secs(5);
/// How often it looks at most: what could not be unloaded just now has a request on its way.
const INTERVAL_MIN: Duration = Duration::from_millis(100);

/// Everything it works with.
pub(crate) struct Idle {
    pub(crate) cluster: ClusterHandle,
    pub(crate) models: LocalModels,
    pub(crate) activity: watch::Receiver<Vec<Activity>>,
    pub(crate) switches: watch::Receiver<Arc<Switches>>,
}

impl Idle {
    /// Runs as long as the node does.
    pub(crate) async fn run(mut self) {
        let mut told = Vec::new();
        loop {
            let limit = self.switches.borrow_and_update().settings.idle_limit();
            let activity = self.activity.borrow_and_update().clone();
            let telling: Vec<InstanceActivity> =
                activity.iter().map(|one| one.told(limit)).collect();
            if telling != told {
                told.clone_from(&telling);
                if self.cluster.active(telling).await.is_err() {
                    return;
                }
            }
            let now_ms = milliseconds_since_1970();
            for one in activity.iter().filter(|one| one.is_due(limit, now_ms)) {
                if self.unload(one).await.is_err() {
                    return;
                }
            }
            let ended = tokio::select! {
                changed = self.activity.changed() => changed.is_err(),
                changed = self.switches.changed() => changed.is_err(),
                () = sleep(pause(&told, now_ms)) => false,
            };
            if ended {
                return;
            }
        }
    }

    /// What no client has said anything about goes only if the next request can load it again.
    async fn unload(&self, activity: &Activity) -> Result<(), Leaving> {
        let view = self.cluster.view();
        let id = activity.instance;
        let Some(instance) = view.instances.iter().find(|instance| instance.id == id) else {
            return Ok(());
        };
        let asked = activity.keep_alive.is_some();
        if asked || self.models.by_name(&instance.model.0).await.is_ok() {
            tracing::info!(model = %instance.model, "nobody has asked it anything for as long as it stays; it is unloaded");
            self.cluster.retire(id).await?;
        }
        Ok(())
    }
}

/// Until the next instance is due.
fn pause(told: &[InstanceActivity], now_ms: u64) -> Duration {
    let ahead = told.iter().filter_map(|one| one.expires_ms);
    // What is due already was tried a moment ago.
    let ahead = ahead.filter(|at_ms| *at_ms > now_ms).min();
    let pause = ahead.map_or(INTERVAL, |at_ms| Duration::from_millis(at_ms - now_ms));
    pause.clamp(INTERVAL_MIN, INTERVAL)
}

#[cfg(test)]
mod tests {
    use base::InstanceId;

    use super::*;

    #[test]
    fn it_looks_when_the_next_is_due_and_now_and_then() {
        let expires = |expires_ms| InstanceActivity {
            instance: InstanceId(1),
            reading: 0,
            answering: 0,
            waiting: 0,
            tokens_per_1000_s: 0,
            idle_since_ms: Some(0),
            expires_ms,
        };
        assert_eq!(pause(&[], 0), INTERVAL);
        let all = [expires(None), expires(Some(1_900)), expires(Some(2_400))];
        assert_eq!(pause(&all, 1_000), Duration::from_millis(900));
        assert_eq!(pause(&all, 2_000), Duration::from_millis(400));
        assert_eq!(pause(&all, 2_399), INTERVAL_MIN);
        assert_eq!(pause(&all, 9_000), INTERVAL);
    }
}
