//! Runs step plans: the shard of one model on this rank, with the caches of the sequences in flight.

use std::ops::Range;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use base::{ShardSpec, Sharding};
use infer::prefix::{BLOCK_TOKENS, BlockKey};
use infer::{Backend, BackendError, Recall, Row, SlotId, StepOutput, StepPlan};
use mlx_rs::Array;
use mlx_rs::error::Exception;
use mlx_rs::transforms::async_eval;

use crate::ahead::{self, Ahead, Built, Leaving};
use crate::chunks::{Chunks, Passage};
use crate::distributed::Group;
use crate::error::{LoadError, said};
use crate::family::{CausalModel, Dimensions, load_shard, shard_bytes};
use crate::layers::{Caches, RowSpan};
use crate::load::Folder;
use crate::outputs::{self, Wanted};
use crate::prefixes::{Found, PrefixFolder, Prefixes};

/// One rank of a model, ready to compute.
pub struct MlxBackend {
    model: Box<dyn CausalModel>,
    dimensions: Dimensions,
    caches: Caches,
    chunks: Chunks,
    prefixes: Prefixes,
    /// Tokens in all caches together, those of sequences that run and those that are kept.
    cache_tokens_max: u64,
    group: Rc<Group>,
    pipeline: bool,
    /// Those of the model that this rank has.
    layers: Range<u32>,
    /// If the rows of the step before are followed by what was foreseen: the next ones.
    ahead: Option<Ahead>,
    /// Slots of the step before, if it may be followed by another one like it.
    before: Vec<SlotId>,
    looks_ahead: bool,
    built: Option<Box<dyn Fn(Duration)>>,
}

/// Loads the shard `spec` of the model in `folder`. `progress` hears bytes read and bytes to read, the last time equal.
pub fn load(
    folder: &Path,
    spec: &ShardSpec,
    group: Group,
    mut progress: impl FnMut(u64, u64),
) -> Result<MlxBackend, LoadError> {
    if group.rank() != spec.rank || group.size() != spec.world {
        return Err(LoadError::Shard(format!(
            "this is rank {} of {}, the plan says {} of {}",
            group.rank(),
            group.size(),
            spec.rank,
            spec.world
        )));
    }
    let folder = Folder::open(folder)?;
    let group = Rc::new(group);
    let bytes_total = shard_bytes(&folder, spec)?;
    let mut report = |bytes_done: u64| progress(bytes_done.min(bytes_total), bytes_total);
    let model = load_shard(&folder, spec, Rc::clone(&group), &mut report)?;
    report(bytes_total);
    let dimensions = model.dimensions();
    let caches = Caches::new(model.remembered());
    let prefixes = Prefixes::new(model.has_states());
    let pipeline = spec.sharding == Sharding::Pipeline;
    Ok(MlxBackend {
        model,
        dimensions,
        caches,
        chunks: Chunks::default(),
        prefixes,
        cache_tokens_max: 0,
        group,
        pipeline,
        layers: spec.layers.clone(),
        ahead: None,
        before: Vec::new(),
        looks_ahead: true,
        built: None,
    })
}

impl Backend for MlxBackend {
    fn step(&mut self, plan: &StepPlan) -> Result<StepOutput, BackendError> {
        let foreseen = self.foreseen(plan);
        let foreseen = foreseen.map_err(|error| self.failure(&error))?;
        for &slot in &plan.free {
            self.caches.remove(slot);
            self.chunks.take(slot);
            self.prefixes.forget(slot);
        }
        let recalled = self.recall(&plan.recalls, plan.rows.is_empty())?;
        let mut output = self.compute(&plan.rows, foreseen)?;
        if self.group.rank() == 0 {
            output.recalled = recalled;
        }
        Ok(output)
    }
}

impl MlxBackend {
    /// Keeps beginnings of sequences in what those that run leave of `cache_tokens_max`. Without this none is kept.
    #[must_use]
    pub fn with_cache_tokens(mut self, cache_tokens_max: u64) -> Self {
        self.cache_tokens_max = cache_tokens_max;
        self
    }

    /// Rows may begin so many tokens before the end of what their sequence holds, for a model that drafts: nobody knows yet
    /// which of its tokens come. To be said before the first step.
    #[must_use]
    pub fn taking_back(mut self, tokens: usize) -> Self {
        self.caches.taken_back = tokens;
        self
    }

    /// Whether rows may [guess](infer::Outputs::Guessed): a state that stands for all tokens so far gives none of them back.
    pub fn takes_back(&self) -> bool {
        !self.model.has_states()
    }

    /// Has `tell` called with the time that it took to build a step's graph.
    pub fn when_built(&mut self, tell: impl Fn(Duration) + 'static) {
        self.built = Some(Box::new(tell));
    }

    /// Whether steps are built while the one before is computed, as they are from the beginning.
    pub const fn look_ahead(&mut self, yes: bool) {
        self.looks_ahead = yes;
    }

    /// Keeps beginnings on disk too, beyond this process's life. `spec` is the one that was loaded.
    pub fn keep_in(&mut self, place: PrefixFolder, spec: &ShardSpec) -> std::io::Result<()> {
        self.prefixes.keep_in(place, spec)
    }

    /// Begins slots with what all ranks have kept. Returns how many tokens each has now; `None` while some rank still
    /// reads what the others have too.
    fn recall(&mut self, recalls: &[Recall], idle: bool) -> Result<Vec<Option<u32>>, BackendError> {
        if recalls.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(recall) = recalls
            .iter()
            .find(|recall| self.caches.get(recall.slot).is_some())
        {
            let slot = recall.slot.0;
            return Err(BackendError::Plan(format!(
                "slot {slot} has a cache already"
            )));
        }
        let recalled = self.begin(recalls, idle);
        recalled.map_err(|error| self.failure(&error))
    }

    fn begin(&mut self, recalls: &[Recall], idle: bool) -> Result<Vec<Option<u32>>, Exception> {
        let chains = recalls.iter();
        let chains: Vec<_> = chains
            .map(|recall| BlockKey::chain(&[], &recall.tokens))
            .collect();
        let found = self.found(recalls, &chains, idle)?;
        let mut recalled = Vec::with_capacity(recalls.len());
        for ((recall, chain), Found { now, soon }) in recalls.iter().zip(&chains).zip(found) {
            if soon > now {
                self.prefixes.read(recall.slot, chain, soon);
                recalled.push(None);
                continue;
            }
            let tokens = now * BLOCK_TOKENS;
            let beginning = self.prefixes.recall(recall.slot, &chain[..now]);
            if now > 0 {
                // It goes on with the rest of them, so it need not move for that.
                let positions = recall.tokens.len() + BLOCK_TOKENS;
                let tokens = &recall.tokens[..tokens];
                self.caches
                    .begin(recall.slot, &beginning, tokens, positions)?;
            }
            recalled.push(Some(tokens as u32));
        }
        Ok(recalled)
    }

    /// How much of each beginning all ranks have.
    fn found(
        &mut self,
        recalls: &[Recall],
        chains: &[Vec<BlockKey>],
        idle: bool,
    ) -> Result<Vec<Found>, Exception> {
        let ways_on = chains.iter().map(|chain| self.prefixes.ways_on(chain));
        if let Some(ways_on) = ways_on.collect::<Option<Vec<_>>>() {
            return self.found_with_states(&ways_on);
        }
        let room = self.room();
        let mut own = Vec::with_capacity(2 * recalls.len());
        for (recall, chain) in recalls.iter().zip(chains) {
            let found = self.prefixes.look(recall.slot, chain, room, idle)?;
            own.extend([found.now as i32, found.soon as i32]);
        }
        let least = self.least_of_all(&own)?;
        let both = least.chunks_exact(2).map(|both| Found {
            now: both[0],
            soon: both[1],
        });
        Ok(both.collect())
    }

    /// The same where sequences can go on only from some blocks: from the last from which they can on all ranks.
    fn found_with_states(&self, ways_on: &[Vec<bool>]) -> Result<Vec<Found>, Exception> {
        let own: Vec<i32> = ways_on.iter().flatten().copied().map(i32::from).collect();
        let all = self.least_of_all(&own)?;
        let mut all = all.as_slice();
        let found = ways_on.iter().map(|ways_on| {
            let own = all.split_off(..ways_on.len()).unwrap_or_default();
            let now = own.iter().rposition(|there| *there > 0);
            let now = now.map_or(0, |last| last + 1);
            Found { now, soon: now }
        });
        Ok(found.collect())
    }

    /// The least that any rank says, number by number.
    fn least_of_all(&self, own: &[i32]) -> Result<Vec<usize>, Exception> {
        let all = self
            .group
            .all_gather(&Array::from_slice(own, &[1, own.len() as i32]))?;
        let all = all.min_axis(0, None)?;
        all.eval()?;
        let least = all
            .try_as_slice::<i32>()
            .map_err(|error| Exception::custom(error.to_string()))?;
        Ok(least.iter().map(|&blocks| blocks.max(0) as usize).collect())
    }

    fn compute(
        &mut self,
        rows: &[Row],
        foreseen: Option<Built>,
    ) -> Result<StepOutput, BackendError> {
        if rows.is_empty() {
            return Ok(StepOutput::default());
        }
        let spans = self.check(rows)?;
        let output = self.run(rows, &spans, foreseen);
        let output = output.map_err(|error| self.failure(&error))?;
        let taken_back = self.caches.taken_back;
        for row in rows.iter().filter(|row| !row.goes_on()) {
            if let Some(slot) = self.caches.get_mut(row.slot) {
                let guessed = row.outputs.guessed().max(taken_back);
                slot.extend(row.start as usize, &row.tokens, guessed);
            }
        }
        self.keep(rows).map_err(|error| self.failure(&error))?;
        Ok(output)
    }

    /// Keeps what these rows have completed, in the room that running sequences leave.
    fn keep(&mut self, rows: &[Row]) -> Result<(), Exception> {
        let room = self.room();
        for row in rows.iter().filter(|row| !row.goes_on()) {
            self.prefixes
                .keep(&mut self.caches, row.slot, row.tokens.len(), room)?;
            self.prefixes.shrink_to(room);
        }
        Ok(())
    }

    /// Tokens that may be kept besides those of the sequences that run.
    fn room(&self) -> u64 {
        self.caches.room(self.cache_tokens_max)
    }

    /// Where each row lies in the step, if the plan fits the caches.
    fn check(&self, rows: &[Row]) -> Result<Vec<RowSpan>, BackendError> {
        let mut first = 0;
        let mut spans = Vec::with_capacity(rows.len());
        for (index, row) in rows.iter().enumerate() {
            let held = self.caches.get(row.slot);
            let follows =
                row.start == 0 || held.is_some_and(|slot| slot.ends_at(row.start as usize));
            let guessed = row.outputs.guessed();
            let wrongly_guessed = guessed > 0
                && (guessed >= row.tokens.len() || row.layers.is_some() || !self.takes_back());
            let twice = rows[..index].iter().any(|other| other.slot == row.slot);
            let unknown = row
                .tokens
                .iter()
                .any(|&token| token >= self.dimensions.vocabulary as u32);
            if row.tokens.is_empty() || twice || unknown || wrongly_guessed || !follows {
                return Err(BackendError::Plan(format!(
                    "slot {} holds {} positions, the row has {} tokens from {} and wants {:?}",
                    row.slot.0,
                    held.map_or(0, |slot| slot.tokens.len()),
                    row.tokens.len(),
                    row.start,
                    row.outputs
                )));
            }
            let is_part = row.layers.is_some();
            let own = span(row, if is_part { 0 } else { first });
            first += if is_part { 0 } else { own.tokens };
            spans.push(own);
        }
        Ok(spans)
    }

    /// The graph that was built for this plan, if it is the one that was foreseen.
    fn foreseen(&mut self, plan: &StepPlan) -> Result<Option<Built>, Exception> {
        let Some(ahead) = self.ahead.take() else {
            return Ok(None);
        };
        let is_other = !plan.free.is_empty() || !plan.recalls.is_empty();
        let rows: &[Row] = if is_other { &[] } else { &plan.rows };
        match ahead.of(rows) {
            Ok(built) => built.map(Some),
            Err(before) => {
                self.caches.put_back(before);
                // As long as steps come otherwise, none is foreseen.
                self.before.clear();
                Ok(None)
            }
        }
    }

    /// The rows that go through all layers, together; then each of the others.
    fn run(
        &mut self,
        rows: &[Row],
        spans: &[RowSpan],
        foreseen: Option<Built>,
    ) -> Result<StepOutput, Exception> {
        let (whole, parts): (Vec<_>, Vec<_>) = rows
            .iter()
            .zip(spans)
            .partition(|(row, _)| row.layers.is_none());
        let mut output = StepOutput::default();
        if !whole.is_empty() {
            let built = match foreseen {
                Some(built) => built,
                None => self.build(&whole)?.0,
            };
            built.start()?;
            self.ahead = self.build_ahead(rows)?;
            output = built.finish(&whole)?;
        }
        for (row, span) in parts {
            let passage = row.layers.and_then(|part| Passage::of(part, &self.layers));
            if let Some(passage) = passage {
                let own = self.run_part(row, *span, &passage)?;
                let before = rows.iter().take_while(|other| other.slot != row.slot);
                outputs::insert(&mut output, own, before);
            }
        }
        Ok(output)
    }

    /// The graph of rows that go through all layers, and the tokens it starts from, `[tokens]`.
    fn build(&mut self, rows: &[(&Row, &RowSpan)]) -> Result<(Built, Array), Exception> {
        let began = Instant::now();
        let tokens = rows.iter().flat_map(|(row, _)| row.tokens.iter().copied());
        let tokens: Vec<u32> = tokens.collect();
        let tokens = Array::from_slice(&tokens, &[tokens.len() as i32]);
        let input = self.input(&tokens)?;
        let placed = rows.iter().map(|(row, span)| (row.slot, **span));
        let mut caches = self.caches.step(&placed.collect::<Vec<_>>())?;
        let hidden = caches.arranged(input)?;
        let all = 0..self.model.layer_count();
        let hidden = self.model.layers(hidden, &mut caches, all)?;
        let states = caches.states();
        let hidden = caches.restored(hidden)?;
        let leaving = self.leaving(hidden, rows)?;
        if let Some(tell) = &self.built {
            tell(began.elapsed());
        }
        Ok((Built { leaving, states }, tokens))
    }

    /// The graph of what probably follows these rows, which are being computed: where they follow others like them, and no
    /// sequence has to be moved or kept before.
    fn build_ahead(&mut self, rows: &[Row]) -> Result<Option<Ahead>, Exception> {
        let slots: Vec<SlotId> = rows.iter().map(|row| row.slot).collect();
        let is_alike = slots == self.before;
        self.before = slots;
        let next = ahead::following(rows).filter(|_| is_alike && self.looks_ahead);
        let goes_on = |row: &Row| self.caches.goes_on(row.slot, row.start as usize);
        let Some(next) = next.filter(|next| next.iter().all(goes_on)) else {
            return Ok(None);
        };
        let spans: Vec<RowSpan> = (0..).zip(&next).map(|(at, row)| span(row, at)).collect();
        let before = self.caches.before();
        let (built, tokens) = self.build(&next.iter().zip(&spans).collect::<Vec<_>>())?;
        Ok(Some(Ahead::new(&next, tokens, before, built)))
    }

    /// A row that goes through some of the layers.
    fn run_part(
        &mut self,
        row: &Row,
        span: RowSpan,
        passage: &Passage,
    ) -> Result<StepOutput, Exception> {
        let mut hidden = if passage.enters {
            self.input(&Array::from_slice(&row.tokens, &[span.tokens]))?
        } else {
            let known = self.chunks.take(row.slot);
            known.ok_or_else(|| Exception::custom("a chunk that never came"))?
        };
        if !passage.layers.is_empty() {
            let span = RowSpan {
                goes_on: passage.goes_on(),
                ..span
            };
            let mut caches = self.caches.step(&[(row.slot, span)])?;
            let which = passage.layers.clone();
            hidden = self.model.layers(hidden, &mut caches, which)?;
            async_eval(&caches.states())?;
        }
        if passage.leaves {
            let rows = [(row, &span)];
            let states = Vec::new();
            let leaving = self.leaving(hidden, &rows)?;
            return Built { leaving, states }.finish(&rows);
        }
        hidden.eval()?;
        self.chunks.keep(row.slot, hidden);
        Ok(StepOutput::default())
    }

    /// What comes of the hidden states after this rank's last layer.
    fn leaving(&self, hidden: Array, rows: &[(&Row, &RowSpan)]) -> Result<Leaving, Exception> {
        if self.group.rank() == 0 {
            return Wanted::of(self.model.ends(), &hidden, rows).map(Leaving::Read);
        }
        if !self.pipeline {
            return Ok(Leaving::Sent(hidden));
        }
        // The next rank expects this type, whatever mixture of types the layers' weights have.
        let hidden = hidden.as_dtype(self.dimensions.dtype)?;
        let sent = self.group.send(&hidden, self.group.rank() - 1);
        sent.map(Leaving::Sent)
    }

    /// What this rank's first layer sees: the embedded tokens, or what the rank with the layers before sends.
    fn input(&self, tokens: &Array) -> Result<Array, Exception> {
        if self.pipeline && self.group.rank() + 1 < self.group.size() {
            let Dimensions { hidden, dtype, .. } = self.dimensions;
            let shape = [tokens.dim(0), hidden];
            return self.group.recv(&shape, dtype, self.group.rank() + 1);
        }
        self.model.ends().embed(tokens)
    }

    /// With other ranks in the group an error of MLX is taken for the loss of one: that is by far the likeliest, and
    /// in both cases this worker is done for.
    fn failure(&self, error: &Exception) -> BackendError {
        if self.group.size() > 1 {
            BackendError::Group(said(error).to_string())
        } else {
            BackendError::Device(said(error).to_string())
        }
    }
}

/// Of a row whose tokens begin there in the step.
fn span(row: &Row, first: i32) -> RowSpan {
    RowSpan {
        first,
        tokens: row.tokens.len() as i32,
        position: row.start as i32,
        goes_on: false,
    }
}
