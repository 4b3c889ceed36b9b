//! One request while it runs: what is in its cache, what comes next, when it ends.

use std::sync::Arc;

use base::{
    ErrorCode, Failure, FinishReason, RequestId, TokenEvent, TokenId, TokenLogprob, TokenRequest,
};
use text::{TextStart, TextStream, Tokenizer};

use super::admission;
use crate::backend::{Logits, Outputs, Row, SlotId};
use crate::{logprobs, sampler};

/// What a step has left for prompts.
pub struct Budget {
    /// Tokens of prompts.
    pub prefill_tokens: usize,
    /// Of these, tokens whose log-probabilities are asked for.
    pub scoring_tokens: usize,
}

/// A request that waits or runs.
pub struct Sequence {
    request: TokenRequest,
    /// Prompt, then answer.
    tokens: Vec<TokenId>,
    /// How many of them are in the cache.
    computed: usize,
    /// How many of them were there when it began: they are computed in chunks, those that follow one by one.
    given: usize,
    /// Prompt tokens whose log-probabilities were reported.
    scored: usize,
    /// Watches for stop strings; `None` if there are none.
    text: Option<TextStream>,
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
    let complete = request.generated.len() == request.max_tokens as usize;
    (complete && !(scores && request.max_tokens == 0)).then_some(FinishReason::Length)
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
    pub fn new(request: TokenRequest, tokenizer: &Arc<Tokenizer>) -> Self {
        let mut text = watch(&request, tokenizer);
        if let Some(text) = &mut text {
            for &token in &request.generated {
                text.push(token);
            }
        }
        let tokens = [&request.prompt[..], &request.generated[..]].concat();
        Self {
            request,
            given: tokens.len(),
            tokens,
            computed: 0,
            scored: 0,
            text,
        }
    }

    /// Its id.
    pub fn id(&self) -> RequestId {
        self.request.id
    }

    /// Tokens of cache that it needs for its next step.
    pub fn cache_tokens(&self) -> u64 {
        self.tokens.len() as u64
    }

    /// Tokens of cache that it needs to go on for `more` steps, or to its end if that comes first.
    pub fn cache_tokens_after(&self, more: u64) -> u64 {
        admission::cache_tokens(&self.request).min(self.cache_tokens() + more)
    }

    /// Its cache is gone. What it has computed so far will be computed again, in chunks; nothing is reported twice.
    pub fn lose_cache(&mut self) {
        self.computed = 0;
        self.given = self.tokens.len();
    }

    /// Whether what was given at its beginning is not all in the cache yet.
    pub fn is_reading(&self) -> bool {
        self.computed < self.given
    }

    /// Whether a completed step has put something into the slot.
    pub fn has_cache(&self) -> bool {
        self.computed > 0
    }

    /// Its part of the next step, or `None` if the step's budget for prompts is spent.
    pub fn row(&self, slot: SlotId, budget: &mut Budget) -> Option<Row> {
        let left = self.to_compute() - self.computed;
        let scores = self.scores_next();
        let count = if self.computed >= self.given {
            left
        } else if self.computed < self.scored {
            (self.scored - self.computed).min(budget.prefill_tokens)
        } else if scores {
            left.min(budget.prefill_tokens).min(budget.scoring_tokens)
        } else {
            left.min(budget.prefill_tokens)
        };
        if count == 0 {
            return None;
        }
        if self.computed < self.given {
            budget.prefill_tokens -= count;
            budget.scoring_tokens -= if scores { count } else { 0 };
        }
        let end = self.computed + count;
        let outputs = if scores {
            Outputs::All
        } else if end == self.tokens.len() {
            Outputs::Last
        } else {
            Outputs::None
        };
        Some(Row {
            slot,
            start: self.computed as u32,
            tokens: self.tokens[self.computed..end].to_vec(),
            outputs,
        })
    }

    /// Takes in a step that computed `count` tokens.
    pub fn advance(&mut self, count: usize, logits: Option<&Logits>) -> Outcome {
        let start = self.computed;
        let scored = self.scores_next();
        self.computed += count;
        let mut outcome = Outcome {
            prompt_tokens: self.computed.min(self.given).saturating_sub(start) as u64,
            ..Outcome::default()
        };
        let done = match logits {
            Some(logits) => self.read(start, scored, logits, &mut outcome),
            None => Some(()),
        };
        if done.is_none() {
            outcome.events = vec![TokenEvent::Failed(not_numbers())];
            outcome.ended = true;
        }
        outcome
    }

    /// How many tokens must be in the cache before something can be sampled, or the prompt is scored. The last token
    /// of a prompt that is only scored predicts nothing that was asked for.
    fn to_compute(&self) -> usize {
        if self.request.max_tokens == 0 {
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

    /// Scores prompt tokens and samples. `None` if the logits are not numbers.
    fn read(
        &mut self,
        start: usize,
        scored: bool,
        logits: &Logits,
        outcome: &mut Outcome,
    ) -> Option<()> {
        if scored {
            let end = self.computed.min(self.request.prompt.len() - 1);
            let logprobs = (start..end)
                .map(|at| self.score(logits.at(at - start), self.tokens[at + 1]))
                .collect::<Option<Vec<_>>>()?;
            outcome.events.push(TokenEvent::Prompt(logprobs));
            self.scored = end;
        }
        if self.request.max_tokens == 0 {
            if self.computed == self.to_compute() {
                outcome.finish(FinishReason::Length);
            }
        } else if self.computed == self.tokens.len() {
            self.sample(logits.at(logits.positions() - 1), outcome)?;
        }
        Some(())
    }

    fn sample(&mut self, logits: &[f32], outcome: &mut Outcome) -> Option<()> {
        let position = self.tokens.len() - self.request.prompt.len();
        let token = sampler::sample(logits, &self.request.sampling, position as u32)?;
        let logprob = match self.request.logprobs {
            Some(_) => Some(self.score(logits, token)?),
            None => None,
        };
        self.tokens.push(token);
        outcome.generated_tokens += 1;
        outcome.events.push(TokenEvent::Token { token, logprob });
        let stopped = self.request.stop_tokens.contains(&token)
            || self
                .text
                .as_mut()
                .is_some_and(|text| text.push(token).stopped);
        if stopped {
            outcome.finish(FinishReason::Stop);
        } else if position + 1 == self.request.max_tokens as usize {
            outcome.finish(FinishReason::Length);
        }
        Some(())
    }

    fn score(&self, logits: &[f32], token: TokenId) -> Option<TokenLogprob> {
        let top = self.request.logprobs.unwrap_or(0);
        logprobs::score(logits, token, top as usize)
    }
}

impl Outcome {
    fn finish(&mut self, reason: FinishReason) {
        self.events.push(TokenEvent::Finished(reason));
        self.ended = true;
    }
}

fn not_numbers() -> Failure {
    Failure::new(ErrorCode::Internal, "the model's output is not a number")
        .hint("its weights are damaged or their type overflows; try the model in another precision")
}
