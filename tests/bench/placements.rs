//! The same placement again and again, for whatever leaks, races or never gets ready.

use std::time::{Duration, Instant};

use anyhow::Result;
use tests::nodes::start_cluster;

/// A placement that takes longer counts as one that never gets ready.
const READY_LIMIT: Duration = Duration::from_secs(30);

pub fn measure(runs: usize) -> Result<()> {
    let cluster = start_cluster(2)?;
    let api = cluster[0].api();
    let mut seconds = Vec::new();
    let mut failed = 0;
    for run in 0..runs {
        let sharding = if run % 2 == 0 { "pipeline" } else { "tensor" };
        let start = Instant::now();
        let id = api.place("sprout", sharding, 2)?;
        match api.wait_ready(&id, READY_LIMIT) {
            Ok(_) => seconds.push(start.elapsed().as_secs_f64()),
            Err(error) => {
                failed += 1;
                eprintln!("placement {run} ({sharding}): {error}");
            }
        }
        api.close(&id)?;
    }
    println!(
        "placements ready: {} of {runs}, in {} s",
        seconds.len(),
        crate::spread(&seconds)
    );
    anyhow::ensure!(failed == 0, "{failed} of {runs} placements never got ready");
    Ok(())
}
