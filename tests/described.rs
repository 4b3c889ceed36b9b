//! The `OpenAPI` document against a real node.

use anyhow::Result;
use tests::fuzzed::{Fuzzing, run};

/// `cargo run -p tests --bin measure -- openapi` asks thousands.
#[test]
fn a_few_hundred_random_requests_are_answered_as_described() -> Result<()> {
    let fuzzing = Fuzzing {
        requests: 300,
        random_alone: true,
        seed: 1,
    };
    let answered = run(fuzzing, |_| {})?;
    assert!(answered >= 200, "{answered}");
    Ok(())
}
