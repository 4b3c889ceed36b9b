//! Processes that are killed while they download or delete models, many of them.

use std::time::Instant;

use anyhow::Result;
use tests::hub::kills;

/// Kills so many; the first that leaves the store in disorder ends it.
pub fn measure(runs: usize, seed: u64) -> Result<()> {
    let start = Instant::now();
    let phases = kills::run_all(runs, seed)?;
    println!(
        "{runs} kills: the store was clean after each, {:.1} s",
        start.elapsed().as_secs_f64()
    );
    for (phase, count) in phases {
        println!("  {phase:?}: {count}");
    }
    Ok(())
}
