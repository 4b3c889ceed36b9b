//! The loop of every rank but 0: take a plan, compute, and again.

use std::sync::mpsc::Receiver;

use base::Failure;
use infer::{Backend, LayerPart, Outputs, Recall, Row, SlotId, StepPlan};
use wire::step::{PlanFrame, StepFrame, StepOutputs, StepRecall, StepRow};

use crate::failure;
use crate::inbox::Inbox;
use crate::rest;

/// Runs until the process ends. Requests are rank 0's: a frame from the node is an error, noticed before the next step.
pub fn run(
    mut backend: impl Backend,
    frames: &Receiver<PlanFrame>,
    inbox: &Inbox,
) -> Result<(), Failure> {
    loop {
        if let Some(frame) = inbox.try_next() {
            return Err(failure::protocol(&format!(
                "{frame:?} came to a rank other than 0"
            )));
        }
        // Waits for ever; a link that ends, and a stdin that ends, end the process from their own threads.
        let frame = rest::wait(|limit| match limit {
            Some(limit) => frames.recv_timeout(limit).ok(),
            None => frames.recv().ok(),
        });
        let frame = frame.ok_or_else(|| failure::link("rank 0 is gone"))?;
        let PlanFrame::Step(step) = frame else {
            return Err(failure::link("rank 0 sent something other than a step"));
        };
        backend
            .step(&plan(step))
            .map_err(|error| failure::step(&error))?;
    }
}

fn plan(step: StepFrame) -> StepPlan {
    let row = |row: StepRow| Row {
        slot: SlotId(row.slot),
        start: row.start,
        tokens: row.tokens,
        layers: row.layers.map(|part| LayerPart {
            from: part.from,
            to: part.to,
            of: part.of,
        }),
        outputs: match row.outputs {
            StepOutputs::None => Outputs::None,
            StepOutputs::Last => Outputs::Last,
            StepOutputs::All => Outputs::All,
            StepOutputs::Guessed(count) => Outputs::Guessed(count),
            StepOutputs::HiddenLast => Outputs::HiddenLast,
            StepOutputs::HiddenSum => Outputs::HiddenSum,
        },
    };
    let recall = |recall: StepRecall| Recall {
        slot: SlotId(recall.slot),
        tokens: recall.tokens,
    };
    StepPlan {
        recalls: step.recalls.into_iter().map(recall).collect(),
        free: step.free.into_iter().map(SlotId).collect(),
        rows: step.rows.into_iter().map(row).collect(),
    }
}
