//! A draft model beside rank 0's shard, on the same thread and the same device. No other rank knows of it: what it drafts is in
//! the step plans like any other guess.

use std::path::Path;
use std::time::Instant;

use base::{Failure, ShardSpec, Sharding, TensorSlice};
use infer::{Backend, DRAFT_TOKENS_MAX, Drafter, Scheduler, SlotId};
use models::{Group, MlxBackend};

use crate::failure;
use crate::stats::Counters;

/// Lets a draft model draft, if there is one.
pub struct Drafting<B>(Option<Drafter<B>>);

/// The draft model in a folder, for a large one with so many tokens in its vocabulary and in its caches.
pub fn load(
    folder: &Path,
    vocabulary: u32,
    cache_tokens_max: u64,
) -> Result<Drafter<MlxBackend>, Failure> {
    let of_draft = |error| failure::draft(&failure::load(&error));
    let card = models::inspect(folder, None, None).map_err(of_draft)?;
    let whole = ShardSpec {
        rank: 0,
        world: 1,
        sharding: Sharding::Pipeline,
        layers: 0..card.layer_count(),
        tensor: TensorSlice::WHOLE,
        quantize: None,
        kv_bits: None,
    };
    let backend = models::load(folder, &whole, Group::single(), |_, _| ()).map_err(of_draft)?;
    if !backend.takes_back() {
        return Err(failure::keeps_a_state());
    }
    let backend = backend
        .with_cache_tokens(cache_tokens_max)
        .taking_back(DRAFT_TOKENS_MAX);
    Ok(Drafter::new(backend, card.vocabulary_size, vocabulary))
}

impl<B: Backend> Drafting<B> {
    pub const fn of(drafter: Option<Drafter<B>>) -> Self {
        Self(drafter)
    }

    /// Whether there is one.
    pub const fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// Drafts what the scheduler would like before its next step.
    pub fn exchange(
        &mut self,
        scheduler: &mut Scheduler,
        counters: &mut Counters,
    ) -> Result<(), Failure> {
        let Some(drafter) = &mut self.0 else {
            return Ok(());
        };
        let asks = scheduler.drafts();
        if asks.is_empty() {
            return Ok(());
        }
        let began = Instant::now();
        let drafts = drafter
            .draft(&asks)
            .map_err(|error| failure::step(&error))?;
        scheduler.drafted(drafts, counters.draft(began));
        Ok(())
    }

    /// Forgets sequences that are gone.
    pub fn free(&mut self, slots: &[SlotId]) -> Result<(), Failure> {
        let freed = self.0.as_mut().map(|drafter| drafter.free(slots));
        freed
            .transpose()
            .map(|_| ())
            .map_err(|error| failure::step(&error))
    }
}
