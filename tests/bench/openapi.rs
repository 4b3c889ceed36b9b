//! Requests that schemathesis makes of the `OpenAPI` document: none is answered by a 5xx or by what is not described.

use std::time::Instant;

use anyhow::{Result, ensure};
use tests::fuzzed::{Fuzzing, run};

pub fn measure(requests: u64, seed: u64) -> Result<()> {
    let start = Instant::now();
    let fuzzing = Fuzzing {
        requests,
        random_alone: false,
        seed,
    };
    let answered = run(fuzzing, |line| println!("{line}"))?;
    let seconds = start.elapsed().as_secs_f64();
    println!("{answered} requests in {seconds:.0} s, all answered as described, none by a 5xx");
    ensure!(answered >= requests, "{requests} were asked for");
    Ok(())
}
