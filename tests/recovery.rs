//! A loss in the middle of an answer is a pause, never an error and never another text.

use std::time::Duration;

use anyhow::{Result, ensure};
use tests::losses::{Division, Loss, pause_after};

/// The aim is 5 s on a machine of one's own; tests share theirs.
const PAUSE_LIMIT: Duration = Duration::from_secs(15);

const PIPELINE: Division = Division {
    sharding: "pipeline",
    ranks: 3,
};
/// Leaves a node to mend with.
const TENSOR: Division = Division {
    sharding: "tensor",
    ranks: 2,
};

fn survives(loss: Loss, division: Division) -> Result<()> {
    let pause = pause_after(loss, division)?;
    ensure!(pause < PAUSE_LIMIT, "{loss:?}: paused {pause:?}");
    Ok(())
}

#[test]
fn survives_the_loss_of_another_pipeline_node() -> Result<()> {
    survives(Loss::OtherNode, PIPELINE)
}

#[test]
fn survives_the_loss_of_another_tensor_node() -> Result<()> {
    survives(Loss::OtherNode, TENSOR)
}

#[test]
fn survives_the_loss_of_the_node_that_drives() -> Result<()> {
    survives(Loss::Owner, PIPELINE)
}

#[test]
fn survives_the_loss_of_a_worker_here_and_there() -> Result<()> {
    survives(Loss::OwnWorker, PIPELINE)?;
    survives(Loss::OtherWorker, TENSOR)
}

#[test]
fn survives_two_losses_down_to_one_node() -> Result<()> {
    survives(Loss::AllOthers, PIPELINE)
}
