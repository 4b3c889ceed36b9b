//! One request while it runs: what is in its cache, what comes next, when it ends.

mod answer;

use std::sync::Arc;

use base::{
    ClientId, ErrorCode, Failure, FinishReason, Pooling, Priority, RequestId, TokenEvent, TokenId,
    TokenLogprob, TokenRequest,
};
use text::{TextStart, TextStream, Tokenizer};

use super::admission;
use super::budget::{Budget, Chunk};
use crate::adjustment::Adjustment;
use crate::backend::{LayerPart, Logits, Outputs, Row, SlotId};
use crate::constraint::{Constraint, MaskJob, Ticket};
use crate::draft::{Chances, Guesses, Origin};
use crate::embedding::Embedding;
use crate::logprobs;
use crate::prefix::BLOCK_TOKENS;

/// A request that waits or runs.
pub struct Sequence {
    request: TokenRequest,
    /// Prompt, then answer.
    tokens: Vec<TokenId>,
    /// How many of them are in the cache.
    computed: usize,
    /// The next of them, where they are on their way through the layers.
    chunk: Option<Chunk>,
    /// Nobody has looked yet whether its beginning is kept.
    looks_back: bool,
    /// How many of them were there when it began: they are computed in chunks, those that follow one by one.
    given: usize,
    /// Prompt tokens whose log-probabilities were reported.
    scored: usize,
    /// Watches for stop strings; `None` if there are none.
    text: Option<TextStream>,
    /// What its answer must be; `None` if anything.
    constraint: Option<Constraint>,
    /// How it changes logits; `None` if it does not.
    adjustment: Option<Adjustment>,
    /// The prompt's vector as far as it is computed; `None` if an answer is wanted.
    embedding: Option<Embedding>,
    /// What it may go on with; `None` if nobody is to guess.
    guesses: Option<Guesses>,
    /// The guesses that its next step computes, or the one under way.
    guessed: Vec<TokenId>,
    /// Where they are from.
    origin: Option<Origin>,
    /// Tokens in its cache after the last step, wrong guesses included.
    held: usize,
}

/// What a step computed of a sequence.
pub enum Computed<'a> {
    /// Nothing that anybody needs.
    Nothing,
    /// Logits, for whoever samples or scores.
    Logits(&'a mut Logits),
    /// A hidden state, or the sum of several.
    Hidden(Vec<f32>),
}

/// What a step did for a sequence.
#[derive(Default)]
pub struct Outcome {
    /// To be reported, in order.
    pub events: Vec<TokenEvent>,
    /// The last event is the last of the request.
    pub ended: bool,
    /// Prompt tokens that the step computed.
    pub prompt_tokens: u64,
    /// Tokens that came out.
    pub generated_tokens: u64,
    /// Guesses that the step computed.
    pub guessed_tokens: u64,
    /// Those of them that were right, and came out.
    pub accepted_tokens: u64,
}

/// Why a request needs no step at all, if so: nothing was asked for, or a resumed answer was complete and only its end
/// was lost.
pub fn finished_already(
    request: &TokenRequest,
    tokenizer: &Arc<Tokenizer>,
) -> Option<FinishReason> {
    let last = request.generated.last();
    if last.is_some_and(|token| request.stop_tokens.contains(token)) {
        return Some(FinishReason::Stop);
    }
    if let Some(mut text) = watch(request, tokenizer) {
        let mut generated = request.generated.iter();
        if generated.any(|&token| text.push(token).stopped) {
            return Some(FinishReason::Stop);
        }
    }
    let scores = request.prompt_logprobs && request.prompt.len() > 1;
    let computes = scores || request.pooling.is_some();
    let complete = request.generated.len() == request.max_tokens as usize;
    (complete && !(computes && request.max_tokens == 0)).then_some(FinishReason::Length)
}

/// Whether its beginning may be left to what was computed before: not if something is wanted of each of its tokens.
fn looks_back(request: &TokenRequest) -> bool {
    !request.prompt_logprobs && request.pooling != Some(Pooling::Mean)
}

fn watch(request: &TokenRequest, tokenizer: &Arc<Tokenizer>) -> Option<TextStream> {
    let watched = !request.stop.is_empty();
    watched.then(|| {
        TextStream::new(
            Arc::clone(tokenizer),
            request.stop.clone(),
            TextStart::Continuation,
        )
    })
}

impl Sequence {
    /// A request at its beginning. It must not be finished already.
    pub fn new(request: TokenRequest, tokenizer: &Arc<Tokenizer>, ticket: Ticket) -> Self {
        let mut text = watch(&request, tokenizer);
        if let Some(text) = &mut text {
            for &token in &request.generated {
                text.push(token);
            }
        }
        let tokens = [&request.prompt[..], &request.generated[..]].concat();
        Self {
            looks_back: looks_back(&request),
            constraint: Constraint::of(&request, tokenizer, ticket),
            adjustment: Adjustment::of(&request),
            embedding: request.pooling.map(Embedding::new),
            request,
            given: tokens.len(),
            tokens,
            computed: 0,
            chunk: None,
            scored: 0,
            text,
            guesses: None,
            guessed: Vec::new(),
            origin: None,
            held: 0,
        }
    }

    /// It may be guessed what comes next, if more than one token is asked for; by a draft model too that was right so often.
    #[must_use]
    pub fn with_guesses(mut self, drafts: Option<Chances>) -> Self {
        let answers = self.request.max_tokens > 1;
        let answered = self.request.generated.len();
        let prediction = std::mem::take(&mut self.request.prediction);
        self.guesses = answers.then(|| Guesses::new(prediction, answered, drafts));
        self
    }

    /// For whom it is, and how urgent.
    pub fn asked_by(&self) -> (ClientId, Priority) {
        (self.request.client, self.request.priority)
    }

    /// Its id.
    pub fn id(&self) -> RequestId {
        self.request.id
    }

    /// Tokens of cache that it needs for its next step.
    pub fn cache_tokens(&self) -> u64 {
        (self.tokens.len() + self.guessed.len()).max(self.held) as u64
    }

    /// Tokens of cache that it needs to go on for `more` steps, or to its end if that comes first.
    pub fn cache_tokens_after(&self, more: u64) -> u64 {
        admission::cache_tokens(&self.request).min(self.cache_tokens() + more)
    }

    /// Its cache is gone. What it has computed so far will be computed again, in chunks; nothing is reported twice.
    pub fn lose_cache(&mut self) {
        self.computed = 0;
        self.held = 0;
        self.guessed.clear();
        self.chunk = None;
        self.given = self.tokens.len();
        self.looks_back = looks_back(&self.request);
        self.embedding = self.request.pooling.map(Embedding::new);
    }

    /// The beginning that is to be looked for before anything is computed: all that may be found, which leaves out the
    /// last token, whose logits are wanted.
    pub fn recall(&self) -> Option<Vec<TokenId>> {
        let tokens = (self.tokens.len() - 1) / BLOCK_TOKENS * BLOCK_TOKENS;
        let begins = self.looks_back && self.computed == 0;
        (begins && tokens > 0).then(|| self.tokens[..tokens].to_vec())
    }

    /// So many tokens of its beginning are in the cache now. Something to report if its answer begins with that.
    pub fn recalled(&mut self, found: u32) -> Option<TokenEvent> {
        self.looks_back = false;
        self.computed = found as usize;
        self.held = self.computed;
        let begins = self.tokens.len() == self.request.prompt.len();
        (begins && found > 0).then_some(TokenEvent::Recalled { tokens: found })
    }

    /// Whether what was given at its beginning is not all in the cache yet.
    pub fn is_reading(&self) -> bool {
        self.computed < self.given
    }

    /// Whether a completed step has put something into the slot.
    pub fn has_cache(&self) -> bool {
        self.computed > 0 || self.chunk.is_some()
    }

    /// Its grammar.
    pub fn constraint(&mut self) -> Option<&mut Constraint> {
        self.constraint.as_mut()
    }

    /// What is to be worked out before it can be sampled. Nothing if it only scores its prompt.
    pub fn mask_job(&mut self) -> Option<MaskJob> {
        let samples = self.request.max_tokens > 0;
        let (tokens, guesses) = (&self.tokens, &self.guesses);
        let likely = || guesses.as_ref().map(|guesses| guesses.likely(tokens));
        let constraint = self.constraint.as_mut().filter(|_| samples)?;
        constraint.job(|| likely().unwrap_or_default())
    }

    /// Whether the next of its tokens are on their way through the layers.
    pub fn is_half_read(&self) -> bool {
        self.chunk.is_some()
    }

    /// Whether a step that computes `count` tokens samples it, and it is not known yet what may come.
    pub fn awaits_mask(&self, count: usize) -> bool {
        let samples = self.request.max_tokens > 0 && self.computed + count >= self.tokens.len();
        let constraint = self.constraint.as_ref();
        samples && constraint.is_some_and(|constraint| !constraint.knows_next())
    }

    /// Its part of the next step, or `None` if the step's budget for prompts is spent.
    pub fn row(&self, slot: SlotId, budget: &mut Budget) -> Option<Row> {
        let scores = self.scores_next();
        let (count, layers) = if self.is_reading() {
            budget.part(self.chunk, self.wanted(budget))
        } else {
            (self.to_compute() - self.computed, None)
        };
        if count == 0 {
            return None;
        }
        if self.is_reading() {
            budget.scoring_tokens -= if scores { count } else { 0 };
        }
        let end = self.computed + count;
        let outputs = if layers.is_some_and(LayerPart::goes_on) {
            Outputs::None
        } else if let Some(embedding) = &self.embedding {
            embedding.outputs(end == self.tokens.len())
        } else if scores {
            Outputs::All
        } else if !self.guessed.is_empty() {
            Outputs::Guessed(self.guessed.len() as u32)
        } else if end == self.tokens.len() {
            Outputs::Last
        } else {
            Outputs::None
        };
        Some(Row {
            slot,
            start: self.computed as u32,
            tokens: [&self.tokens[self.computed..end], &self.guessed].concat(),
            layers,
            outputs,
        })
    }

    /// How many tokens could be read next.
    fn wanted(&self, budget: &Budget) -> usize {
        let left = self.to_compute() - self.computed;
        if self.computed < self.scored {
            self.scored - self.computed
        } else if self.scores_next() {
            left.min(budget.scoring_tokens)
        } else {
            left
        }
    }

    /// Takes in a step in which `tokens` went through the layers before `through`, which are not all.
    pub fn goes_through(&mut self, tokens: usize, through: u32) {
        self.chunk = Some(Chunk { tokens, through });
    }

    /// Takes in a step that computed `count` tokens.
    pub fn advance(&mut self, count: usize, computed: Computed<'_>) -> Outcome {
        let start = self.computed;
        let scored = self.scores_next();
        let guessed = std::mem::take(&mut self.guessed);
        self.chunk = None;
        self.held = start + count;
        self.computed = self.held - guessed.len();
        if let Some(guesses) = &mut self.guesses {
            guesses.take_in(&self.tokens[..self.computed]);
        }
        let mut outcome = Outcome {
            prompt_tokens: self.computed.min(self.given).saturating_sub(start) as u64,
            guessed_tokens: guessed.len() as u64,
            ..Outcome::default()
        };
        let done = match computed {
            Computed::Logits(logits) if !guessed.is_empty() => {
                let verified = self.verify(&guessed, logits, &mut outcome);
                self.tell_predicted(&mut outcome);
                verified
            }
            Computed::Logits(logits) => self.read(start, scored, logits, &mut outcome),
            Computed::Hidden(hidden) => self.pool(&hidden, &mut outcome),
            Computed::Nothing => Ok(()),
        };
        if let Err(failure) = done {
            outcome.events.push(TokenEvent::Failed(failure));
            outcome.ended = true;
        }
        outcome
    }

    /// How many tokens must be in the cache before something can be sampled, or the prompt is scored. The last token
    /// of a prompt that is only scored predicts nothing that was asked for, and that of an answer whose grammar is not
    /// ready nothing that could be used.
    fn to_compute(&self) -> usize {
        let is_ready = self.constraint.as_ref().is_none_or(Constraint::is_ready);
        if self.embedding.is_some() {
            self.tokens.len()
        } else if self.request.max_tokens == 0 || !is_ready {
            self.tokens.len() - 1
        } else {
            self.tokens.len()
        }
    }

    /// Whether the next token to compute predicts a prompt token to be scored. A resumed answer's prompt was scored by
    /// whoever began it.
    fn scores_next(&self) -> bool {
        self.request.prompt_logprobs
            && self.request.generated.is_empty()
            && self.computed >= self.scored
            && self.computed + 1 < self.request.prompt.len()
    }

    /// Takes a hidden state into the prompt's vector, and hands that out if it is whole.
    fn pool(&mut self, hidden: &[f32], outcome: &mut Outcome) -> Result<(), Failure> {
        let Some(embedding) = &mut self.embedding else {
            return Ok(());
        };
        embedding.add(hidden);
        if self.computed == self.tokens.len() {
            let vector = embedding.normalized().ok_or_else(not_numbers)?;
            outcome.events.push(TokenEvent::Embedding(vector));
            outcome.finish(FinishReason::Stop);
        }
        Ok(())
    }

    /// Scores prompt tokens and samples.
    fn read(
        &mut self,
        start: usize,
        scored: bool,
        logits: &mut Logits,
        outcome: &mut Outcome,
    ) -> Result<(), Failure> {
        if scored {
            let end = self.computed.min(self.request.prompt.len() - 1);
            let logprobs = (start..end)
                .map(|at| self.score(logits.at(at - start), self.tokens[at + 1]))
                .collect::<Option<Vec<_>>>()
                .ok_or_else(not_numbers)?;
            outcome.events.push(TokenEvent::Prompt(logprobs));
            self.scored = end;
        }
        if self.request.max_tokens == 0 {
            if self.computed == self.to_compute() {
                outcome.finish(FinishReason::Length);
            }
        } else if self.computed == self.tokens.len() {
            let last = logits.positions() - 1;
            self.sample(logits.at_mut(last), outcome)?;
        }
        Ok(())
    }

    fn score(&self, logits: &[f32], token: TokenId) -> Option<TokenLogprob> {
        let top = self.request.logprobs.unwrap_or(0);
        logprobs::score(logits, token, top as usize)
    }
}

impl Outcome {
    /// The end, by a failure.
    pub fn failed(failure: Failure) -> Self {
        Self {
            events: vec![TokenEvent::Failed(failure)],
            ended: true,
            ..Self::default()
        }
    }

    fn finish(&mut self, reason: FinishReason) {
        self.events.push(TokenEvent::Finished(reason));
        self.ended = true;
    }
}

fn not_numbers() -> Failure {
    Failure::new(ErrorCode::Internal, "the model's output is not a number")
        .hint("its weights are damaged or their type overflows; try the model in another precision")
}
