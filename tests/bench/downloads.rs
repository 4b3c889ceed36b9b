//! Downloads with faults, many of them.

use std::time::Instant;

use anyhow::Result;
use tests::hub::trial;

/// Runs so many trials; the first that goes wrong ends it.
pub fn measure(runs: u64) -> Result<()> {
    let start = Instant::now();
    let seen = trial::run_all(runs)?;
    println!(
        "{runs} downloads: all ended with the right bytes, {} faults, {} interruptions, {:.1} s",
        seen.faults,
        seen.interruptions,
        start.elapsed().as_secs_f64()
    );
    Ok(())
}
