//! The life of a worker that holds a shard: link the ranks, join the group, read the weights, compute.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base::{ErrorCode, Failure};
use models::{Group, MlxBackend, PrefixFolder};
use text::Tokenizer;
use wire::step::PlanFrame;
use wire::worker::{FromWorker, Limits, PlanLink, ShardStart};

use crate::drafting::{self, Drafting};
use crate::inbox::Inbox;
use crate::outbox::Outbox;
use crate::plan_link::{self, Links};
use crate::{end, failure, follow, join, lead};

/// Between two reports of progress: what a progress bar can show.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// Runs a shard until the process ends, or says why it cannot.
pub fn run(
    start: &ShardStart,
    started: Instant,
    inbox: &Inbox,
    outbox: &Outbox,
) -> Result<(), Failure> {
    if start.spec.rank == 0 {
        run_lead(start, started, inbox, outbox)
    } else {
        run_other(start, started, inbox, outbox)
    }
}

fn run_lead(
    start: &ShardStart,
    started: Instant,
    inbox: &Inbox,
    outbox: &Outbox,
) -> Result<(), Failure> {
    let card = models::inspect(&start.folder, start.spec.quantize, start.spec.kv_bits)
        .map_err(|error| failure::load(&error))?;
    let tokenizer = Tokenizer::load(&start.folder)
        .map_err(|error| Failure::new(ErrorCode::ModelDamaged, error.to_string()))?;
    let mut links = match start.plan_link {
        Some(link) => {
            plan_link::listen(link.address, link.secret, start.spec.world).map_err(failure::link)?
        }
        None => Links::none(),
    };
    let lost = {
        let outbox = outbox.clone();
        move |rank| end::fatal(&outbox, failure::link(format!("rank {rank} is gone")))
    };
    links.watch(lost).map_err(failure::link)?;
    links.send(&PlanFrame::Go).map_err(failure::link)?;
    let backend = load(start, outbox)?;
    let limits = Limits {
        speculates: start.limits.speculates && backend.takes_back(),
        ..start.limits
    };
    let draft = start.draft.as_deref().filter(|_| limits.speculates);
    let drafter = draft
        .map(|folder| drafting::load(folder, card.vocabulary_size, start.limits.cache_tokens_max));
    let drafting = Drafting::of(drafter.transpose()?);
    ready(started, outbox);
    let drafts = drafting.is_there();
    let scheduler = lead::scheduler(limits, &start.spec, &card, Arc::new(tokenizer), drafts);
    lead::run(scheduler, backend, drafting, links, inbox, outbox)
}

fn run_other(
    start: &ShardStart,
    started: Instant,
    inbox: &Inbox,
    outbox: &Outbox,
) -> Result<(), Failure> {
    let spec = &start.spec;
    let Some(PlanLink { address, secret }) = start.plan_link else {
        return Err(failure::protocol("a rank without a link to rank 0"));
    };
    let stream =
        plan_link::connect(address, &secret, spec.rank, spec.world).map_err(failure::link)?;
    let lost = {
        let outbox = outbox.clone();
        move |error| end::fatal(&outbox, failure::link(format!("rank 0 is gone: {error}")))
    };
    let frames = plan_link::receive(stream, lost).map_err(failure::link)?;
    // The last rank may take as long to arrive as rank 0 waits for it.
    match frames.recv_timeout(plan_link::LINK_TIMEOUT) {
        Ok(PlanFrame::Go) => {}
        Ok(_) => return Err(failure::link("rank 0 did not begin with its go")),
        Err(_) => return Err(failure::link("rank 0 did not say go")),
    }
    let backend = load(start, outbox)?;
    ready(started, outbox);
    follow::run(backend, &frames, inbox)
}

/// Joins the group and reads the weights.
fn load(start: &ShardStart, outbox: &Outbox) -> Result<MlxBackend, Failure> {
    let spec = &start.spec;
    let group = if spec.world == 1 {
        Group::single()
    } else {
        join::join(spec, outbox)?
    };
    if (group.rank(), group.size()) != (spec.rank, spec.world) {
        return Err(failure::protocol(
            "a rank that is another one in MLX's ring",
        ));
    }
    let mut reported = Instant::now();
    let outbox = outbox.clone();
    let progress = move |bytes_done, bytes_total| {
        if bytes_done == bytes_total || reported.elapsed() >= PROGRESS_INTERVAL {
            reported = Instant::now();
            outbox.send(FromWorker::Progress {
                bytes_done,
                bytes_total,
            });
        }
    };
    let backend = models::load(&start.folder, spec, group, progress);
    let backend = backend.map_err(|error| failure::load(&error))?;
    let mut backend = backend.with_cache_tokens(start.limits.cache_tokens_max);
    if let Some(prefixes) = &start.prefixes {
        let place = PrefixFolder {
            root: prefixes.root.clone(),
            model: prefixes.model,
            bytes_max: prefixes.bytes_max,
        };
        if let Err(error) = backend.keep_in(place, spec) {
            // The model answers as well without.
            tracing::warn!(%error, "beginnings of prompts are not kept on disk");
        }
    }
    Ok(backend)
}

fn ready(started: Instant, outbox: &Outbox) {
    let load_ms = started.elapsed().as_millis() as u64;
    tracing::info!(load_ms, "ready");
    outbox.send(FromWorker::Ready { load_ms });
}
