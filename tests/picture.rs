//! What the dashboard's picture is made of, beside who holds what: links and what is going on, from every node alike.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tests::desktop::wait_for;
use tests::nodes::start_cluster;

const LIMIT: Duration = Duration::from_secs(15);

#[test]
fn every_node_shows_what_links_carry_and_what_models_do() -> Result<()> {
    let nodes = start_cluster(2)?;
    let (here, other) = (nodes[0].api(), nodes[1].api());
    for api in [&here, &other] {
        api.wait_for("measured link", LIMIT, |state| {
            let link = &state["links"][0];
            link["kind"] == "loopback" && link["bandwidth_bytes_per_s"].as_u64() > Some(1_000_000)
        })?;
    }

    let id = here.place("sprout", "pipeline", 2)?;
    here.wait_ready(&id, LIMIT)?;
    assert_eq!(other.state()?["instances"][0]["activity"], Value::Null);
    let asked = here.clone();
    let seen_by_both = Arc::new(AtomicBool::new(false));
    let enough = Arc::clone(&seen_by_both);
    // One after the other: how fast the machine is must not matter.
    let asking = std::thread::spawn(move || -> Result<()> {
        while !enough.load(Ordering::Relaxed) {
            asked.complete("sprout", &json!("Count to 100."), 400)?;
        }
        Ok(())
    });
    // From the node that is asked and does not drive, or from the one that drives: both know.
    wait_for("both see the answer grow", || {
        let seen = |api: &tests::api::Api| -> Result<bool> {
            let activity = api.state()?["instances"][0]["activity"].clone();
            Ok(activity["answering"] == 1 && activity["tokens_per_s"].as_f64() > Some(0.0))
        };
        Ok(seen(&here)? && seen(&other)?)
    })?;
    seen_by_both.store(true, Ordering::Relaxed);
    asking.join().ok().context("the asking thread")??;
    wait_for("both see that it is over", || {
        let idle = |state: &Value| state["instances"][0]["activity"].is_null();
        Ok(idle(&here.state()?) && idle(&other.state()?))
    })?;
    Ok(())
}
