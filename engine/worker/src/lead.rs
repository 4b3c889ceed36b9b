//! Rank 0's loop: take requests in, plan a step, send the plan, compute, report.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::{Failure, ModelCard, RequestId, ShardSpec, Sharding, TokenEvent};
use infer::{Backend, Outputs, Recall, Row, Scheduler, StepPlan, Submitted};
use text::Tokenizer;
use wire::step::{PlanFrame, StepFrame, StepLayers, StepOutputs, StepRecall, StepRow};
use wire::worker::{FromWorker, Limits, ToWorker};

use crate::drafting::Drafting;
use crate::failure;
use crate::inbox::Inbox;
use crate::masks::Masks;
use crate::outbox::Outbox;
use crate::plan_link::Links;
use crate::rest;
use crate::stats::Counters;

/// Between two looks at the inbox while nothing can run before a grammar is ready, so that other requests need not wait
/// for it.
const READY_POLL: Duration = Duration::from_millis(2);

/// The scheduler of a model that is divided as `spec` says, and may be drafted for.
pub fn scheduler(
    limits: Limits,
    spec: &ShardSpec,
    card: &ModelCard,
    tokenizer: Arc<Tokenizer>,
    drafts: bool,
) -> Scheduler {
    let stages = match spec.sharding {
        Sharding::Pipeline => spec.world,
        Sharding::Tensor => 1,
    };
    let limits = infer::Limits {
        slots_max: limits.slots_max,
        queue_max: limits.queue_max,
        cache_tokens_max: limits.cache_tokens_max,
        window: card.window(),
        context_tokens_max: card.context_tokens_max,
        vocabulary_size: card.vocabulary_size,
        layers: card.layers.len() as u32,
        stages,
        prefill_chunk_tokens: limits.prefill_chunk_tokens,
        scoring_chunk_tokens: limits.scoring_chunk_tokens,
        speculates: limits.speculates,
        drafts,
    };
    Scheduler::new(limits, tokenizer)
}

/// Runs until the process ends.
pub fn run(
    mut scheduler: Scheduler,
    mut backend: impl Backend,
    mut drafting: Drafting<impl Backend>,
    mut links: Links,
    inbox: &Inbox,
    outbox: &Outbox,
) -> Result<(), Failure> {
    let mut counters = Counters::default();
    let mut masks = Masks::default();
    // Sent, and not computed here yet.
    let mut under_way: VecDeque<StepPlan> = VecDeque::new();
    loop {
        if scheduler.is_idle() {
            // Counters that changed are told after a second; after that only the node can change anything.
            let frame = match counters.told_in() {
                Some(limit) => inbox.wait(Some(limit)),
                None => rest::wait(|limit| inbox.wait(limit)),
            };
            if let Some(frame) = frame {
                take(frame, &mut scheduler, outbox)?;
            }
            counters.resume();
        }
        while let Some(frame) = inbox.try_next() {
            take(frame, &mut scheduler, outbox)?;
        }
        drafting.exchange(&mut scheduler, &mut counters)?;
        masks.exchange(&mut scheduler);
        // The other stages begin with what comes next while this rank is at the step before.
        while let Some(plan) = scheduler.next() {
            links
                .send(&PlanFrame::Step(frame(&plan)))
                .map_err(failure::link)?;
            drafting.free(&plan.free)?;
            under_way.push_back(plan);
            drafting.exchange(&mut scheduler, &mut counters)?;
            // Some requests may have left the queue for these steps.
            masks.exchange(&mut scheduler);
        }
        if let Some(plan) = under_way.pop_front() {
            let before = Instant::now();
            let output = backend.step(&plan).map_err(|error| failure::step(&error))?;
            let took = counters.step(before);
            masks.finish_step(&mut scheduler);
            let events = scheduler.complete(output, took);
            if !events.is_empty() {
                outbox.send(FromWorker::Events(events));
            }
        } else {
            masks.wait(&mut scheduler, Some(READY_POLL));
        }
        if let Some(stats) = counters.due(&scheduler.load(), masks.time()) {
            outbox.send(FromWorker::Stats(stats));
        }
    }
}

/// Takes one frame of the node in.
fn take(frame: ToWorker, scheduler: &mut Scheduler, outbox: &Outbox) -> Result<(), Failure> {
    let tell = |id: RequestId, event| outbox.send(FromWorker::Events(vec![(id, event)]));
    match frame {
        ToWorker::Submit(request) => {
            let id = request.id;
            match scheduler.submit(request) {
                Ok(Submitted::Waiting { position }) => tell(id, TokenEvent::Accepted { position }),
                Ok(Submitted::Finished(reason)) => tell(id, TokenEvent::Finished(reason)),
                Err(failure) => tell(id, TokenEvent::Failed(failure)),
            }
            Ok(())
        }
        ToWorker::Cancel(id) => {
            scheduler.cancel(id);
            Ok(())
        }
        frame @ (ToWorker::Start(_) | ToWorker::Stop) => Err(failure::protocol(&format!(
            "{frame:?} came to a worker that runs"
        ))),
    }
}

/// The plan as it travels. A step's tokens are few next to what the step costs, so they are copied.
fn frame(plan: &StepPlan) -> StepFrame {
    let row = |row: &Row| StepRow {
        slot: row.slot.0,
        start: row.start,
        tokens: row.tokens.clone(),
        layers: row.layers.map(|part| StepLayers {
            from: part.from,
            to: part.to,
            of: part.of,
        }),
        outputs: match row.outputs {
            Outputs::None => StepOutputs::None,
            Outputs::Last => StepOutputs::Last,
            Outputs::All => StepOutputs::All,
            Outputs::Guessed(count) => StepOutputs::Guessed(count),
            Outputs::HiddenLast => StepOutputs::HiddenLast,
            Outputs::HiddenSum => StepOutputs::HiddenSum,
        },
    };
    let recall = |recall: &Recall| StepRecall {
        slot: recall.slot.0,
        tokens: recall.tokens.clone(),
    };
    StepFrame {
        recalls: plan.recalls.iter().map(recall).collect(),
        free: plan.free.iter().map(|slot| slot.0).collect(),
        rows: plan.rows.iter().map(row).collect(),
    }
}
