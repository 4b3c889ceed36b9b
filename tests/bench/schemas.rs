//! Answers to random schemas: all must be what the schema wants, and how long their masks took.

use anyhow::{Result, ensure};
use tests::structured::{Trial, run};

pub fn measure(trial: &Trial<'_>) -> Result<()> {
    println!(
        "seed {}, {} schemas, {} nodes, {}",
        trial.seed, trial.count, trial.nodes, trial.sharding
    );
    let outcome = run(trial, |line| println!("{line}"))?;
    for wrong in &outcome.wrong {
        println!("WRONG {wrong}");
    }
    println!(
        "{} of {} valid, {} without an end, {} wrong; {} tokens",
        outcome.valid,
        trial.count,
        outcome.cut_short,
        outcome.wrong.len(),
        outcome.tokens
    );
    let share = 100.0 * outcome.mask_wait_s / outcome.mask_s.max(f64::MIN_POSITIVE);
    println!(
        "masks: {:.2} s on their threads, {:.0} us for a token; {share:.1} % of it not hidden behind the device",
        outcome.mask_s,
        1e6 * outcome.mask_s / outcome.tokens.max(1) as f64,
    );
    ensure!(outcome.wrong.is_empty(), "not every answer was valid");
    Ok(())
}
