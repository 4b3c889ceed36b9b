//! How an answer goes on: its next token, and those that were guessed.

use base::{Failure, FinishReason, TokenEvent, TokenId};

use super::{Outcome, Sequence, not_numbers};
use crate::backend::Logits;
use crate::constraint::{self, Constraint, Next};
use crate::draft::{Chances, Guesses, LENGTH_MAX, Origin};
use crate::sampler;

impl Sequence {
    /// How likely each guess at what comes after the token that its next step brings for certain is right with all before it.
    /// None if nobody guesses, or nothing is sampled then.
    pub fn chances(&self) -> Vec<f64> {
        let Some(guesses) = self.guesses.as_ref().filter(|_| self.samples_next()) else {
            return Vec::new();
        };
        let foreseen = self.constraint.as_ref().map(Constraint::foreseen);
        let most = self.guesses_max().min(foreseen.unwrap_or(LENGTH_MAX));
        guesses.chances(most).collect()
    }

    /// The same of a draft that a model would have to make first, where that would be the likelier to be right. None where it
    /// would come too late: what may follow was worked out for other guesses.
    pub fn worth_drafting(&self) -> Vec<f64> {
        let foresees = |constraint: &Constraint| constraint.foresees_anew();
        let in_time = self.constraint.as_ref().is_none_or(foresees);
        let guesses = self.guesses.as_ref();
        let guesses = guesses.filter(|_| in_time && self.samples_next());
        let drafts = guesses.and_then(|guesses| guesses.worth_drafting(self.guesses_max()));
        drafts.map(Iterator::collect).unwrap_or_default()
    }

    /// All of it so far.
    pub fn tokens(&self) -> &[TokenId] {
        &self.tokens
    }

    /// A model's draft of what comes next.
    pub fn put_draft(&mut self, tokens: Vec<TokenId>) {
        if let Some(guesses) = &mut self.guesses {
            guesses.put_draft(tokens);
        }
    }

    /// How often a draft model was right, if one drafts.
    pub fn draft_chances(&self) -> Option<Chances> {
        self.guesses.as_ref().and_then(Guesses::draft_chances)
    }

    fn samples_next(&self) -> bool {
        !self.is_reading() && self.to_compute() == self.tokens.len()
    }

    /// Guesses beyond the tokens that are wanted are of no use.
    fn guesses_max(&self) -> usize {
        let answered = self.tokens.len() - self.request.prompt.len();
        let left = self.request.max_tokens as usize - answered;
        left.saturating_sub(1).min(LENGTH_MAX)
    }

    /// Its next step computes so many guesses.
    pub fn guess(&mut self, count: usize) {
        let next = |guesses: &Guesses| guesses.guess(&self.tokens, count);
        self.guessed = self.guesses.as_ref().map(next).unwrap_or_default();
        self.origin = self.guesses.as_ref().and_then(Guesses::origin);
    }

    /// Says what came of guesses of the prediction, before what they brought.
    pub(super) fn tell_predicted(&self, outcome: &mut Outcome) {
        if self.origin == Some(Origin::Prediction) {
            let accepted = outcome.accepted_tokens as u32;
            let rejected = outcome.guessed_tokens as u32 - accepted;
            let told = TokenEvent::Predicted { accepted, rejected };
            outcome.events.insert(0, told);
        }
    }

    /// Samples as long as guesses are right, each token just as without them: what comes of it is what would have come. With
    /// the draws given by seed and position, this is speculative decoding (Leviathan and others 2023, arXiv 2211.17192) whose
    /// draft is held against the very token that the model draws, not against its probability.
    pub(super) fn verify(
        &mut self,
        guessed: &[TokenId],
        logits: &mut Logits,
        outcome: &mut Outcome,
    ) -> Result<(), Failure> {
        for position in 0..=guessed.len() {
            let before = self.tokens.len();
            self.sample(logits.at_mut(position), outcome)?;
            // No token comes of a grammar after its end.
            let came = self.tokens.get(before);
            let is_right = came.is_some() && came == guessed.get(position);
            outcome.accepted_tokens += u64::from(is_right);
            let foreseen = self.constraint.as_ref().is_none_or(Constraint::knows_next);
            if outcome.ended || !is_right || !foreseen {
                break;
            }
            // It is in the cache already.
            self.computed += 1;
        }
        Ok(())
    }

    pub(super) fn sample(
        &mut self,
        logits: &mut [f32],
        outcome: &mut Outcome,
    ) -> Result<(), Failure> {
        let mask = match self.constraint.as_ref().map(Constraint::next) {
            None => None,
            Some(Ok(Next::Allowed(mask))) => Some(mask),
            Some(Ok(Next::Nothing)) => {
                outcome.finish(FinishReason::Stop);
                return Ok(());
            }
            Some(Err(failure)) => return Err(failure.clone()),
        };
        // Log-probabilities are the model's own.
        let changes = mask.is_some() || self.adjustment.is_some();
        let own = (changes && self.request.logprobs.is_some()).then(|| logits.to_vec());
        if let Some(adjustment) = &self.adjustment {
            adjustment.apply(logits);
        }
        if let Some(mask) = mask {
            mask.apply(logits);
        }
        let position = self.tokens.len() - self.request.prompt.len();
        let token = sampler::sample(logits, &self.request.sampling, position as u32)
            .ok_or_else(|| self.nothing_to_choose(logits))?;
        let logprob = match self.request.logprobs {
            Some(_) => {
                let scored = self.score(own.as_deref().unwrap_or(logits), token);
                Some(scored.ok_or_else(not_numbers)?)
            }
            None => None,
        };
        outcome.generated_tokens += 1;
        outcome.events.push(TokenEvent::Token { token, logprob });
        if self.take(token)? {
            outcome.finish(FinishReason::Stop);
        } else if position + 1 == self.request.max_tokens as usize {
            outcome.finish(FinishReason::Length);
        }
        Ok(())
    }

    /// Goes on by a token. Whether the answer ends with it.
    fn take(&mut self, token: TokenId) -> Result<bool, Failure> {
        self.tokens.push(token);
        if let Some(guesses) = &mut self.guesses {
            guesses.came(&self.tokens);
        }
        if let Some(adjustment) = &mut self.adjustment {
            adjustment.push(token);
        }
        if self.request.stop_tokens.contains(&token) {
            return Ok(true);
        }
        let text = self.text.as_mut();
        if text.is_some_and(|text| text.push(token).stopped) {
            return Ok(true);
        }
        match &mut self.constraint {
            Some(constraint) => constraint.push(token),
            None => Ok(false),
        }
    }

    /// Why there is no likeliest token.
    fn nothing_to_choose(&self, logits: &[f32]) -> Failure {
        if self.constraint.is_some() && logits.iter().all(|logit| *logit == f32::NEG_INFINITY) {
            constraint::nothing_allowed()
        } else {
            not_numbers()
        }
    }
}
