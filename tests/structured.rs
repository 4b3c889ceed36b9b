//! Answers that must be of a shape are of that shape, whatever the model and however it is divided. Many more with
//! `measure schemas`.

use anyhow::Result;
use tests::structured::{Trial, run};

#[track_caller]
fn check(seed: u64, count: usize, nodes: usize, sharding: &str) -> Result<()> {
    let trial = Trial {
        seed,
        count,
        per_model: count.div_ceil(2),
        nodes,
        sharding,
    };
    let outcome = run(&trial, |line| println!("{line}"))?;
    assert!(outcome.wrong.is_empty(), "{:#?}", outcome.wrong);
    assert_eq!(outcome.valid + outcome.cut_short, count);
    assert!(outcome.cut_short <= count / 20, "{outcome:?}");
    Ok(())
}

#[test]
fn answers_are_valid_under_random_schemas() -> Result<()> {
    check(1, 40, 1, "auto")
}

#[test]
fn answers_are_valid_over_two_pipeline_ranks() -> Result<()> {
    check(2, 16, 2, "pipeline")
}

#[test]
fn answers_are_valid_over_two_tensor_ranks() -> Result<()> {
    check(3, 16, 2, "tensor")
}
