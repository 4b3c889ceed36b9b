//! Unloads models that nobody has asked anything for a while, as the user set it.

use std::sync::Arc;
use std::time::Duration;

use base::InstanceId;
use tokio::sync::watch;
use tokio::time::{Instant, interval};

use crate::cluster_actor::ClusterHandle;
use crate::control::Switches;
use crate::models::LocalModels;
use crate::supervisor::Activity;

/// How often it looks. The limit is in minutes, so nobody notices.
const INTERVAL: Duration = Duration::from_secs(5);

/// Runs for ever. The node that drives an instance unloads it, and only if the next request can load it again.
pub(crate) async fn unload_idle(
    cluster: ClusterHandle,
    models: LocalModels,
    activity: watch::Receiver<Vec<Activity>>,
    switches: watch::Receiver<Arc<Switches>>,
) {
    let mut ticks = interval(INTERVAL);
    loop {
        ticks.tick().await;
        let Some(limit) = switches.borrow().settings.idle_limit() else {
            continue;
        };
        let idle = idle_longer_than(limit, &activity.borrow(), Instant::now());
        for id in idle {
            let view = cluster.view();
            let Some(instance) = view.instances.iter().find(|instance| instance.id == id) else {
                continue;
            };
            if models.by_name(&instance.model.0).await.is_ok() {
                tracing::info!(model = %instance.model, "unloaded after {limit:?} without a request");
                if cluster.close(id).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn idle_longer_than(limit: Duration, activity: &[Activity], now: Instant) -> Vec<InstanceId> {
    let idle = |activity: &&Activity| activity.idle_since.is_some_and(|at| now - at >= limit);
    let ids = activity
        .iter()
        .filter(idle)
        .map(|activity| activity.instance);
    ids.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_idle_long_enough_goes() {
        let now = Instant::now() + Duration::from_hours(1);
        let one = |id, idle_since| Activity {
            instance: InstanceId(id),
            running: 0,
            reading: 0,
            waiting: 0,
            tokens_per_s: 0.0,
            idle_since,
        };
        let minutes = Duration::from_mins;
        let all = [
            one(1, Some(now - minutes(31))),
            one(2, Some(now - minutes(29))),
            one(3, None),
        ];
        assert_eq!(idle_longer_than(minutes(30), &all, now), [InstanceId(1)]);
    }
}
