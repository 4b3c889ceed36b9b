//! What a client of one node sees when another node, or only a worker, is killed in the middle of its stream.

use anyhow::Result;
use tests::losses::{Division, Loss, pause_after};

/// Of a cluster of three nodes. Two tensor ranks leave a node to mend with; three leave none.
const DIVISIONS: [(&str, usize); 3] = [("pipeline", 3), ("tensor", 2), ("tensor", 3)];

pub fn measure(runs: usize) -> Result<()> {
    for (sharding, ranks) in DIVISIONS {
        for loss in [
            Loss::OtherNode,
            Loss::OwnWorker,
            Loss::OtherWorker,
            Loss::Owner,
        ] {
            let mut pauses = Vec::new();
            for _ in 0..runs {
                pauses.push(pause_after(loss, Division { sharding, ranks })?.as_secs_f64());
            }
            println!(
                "{ranks} {sharding} ranks, {loss:?} killed: same text, pause {} s (aim: under 5)",
                crate::spread(&pauses)
            );
        }
    }
    Ok(())
}
