//! Shows each step and how long it took, as the other tasks of `cargo xtask` do.

use std::time::Instant;

use anyhow::Result;

/// Runs a step and says that it is done.
pub fn step<T>(title: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    let outcome = work()?;
    eprintln!("  {title}: done in {:.1} s", start.elapsed().as_secs_f64());
    Ok(outcome)
}

/// Says what was left out, and what would bring it in.
pub fn skipped(what: &str, hint: &str) {
    eprintln!("  {what}: SKIPPED\n    hint: {hint}");
}
