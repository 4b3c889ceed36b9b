//! What a request changes in the logits before a token is chosen: biases first, then penalties for what was there before.
//!
//! Costs as much as there are different tokens in the sequence, not in the vocabulary.

use std::collections::HashMap;

use base::{Penalties, TokenId, TokenRequest};

/// The changes of one sequence.
pub(crate) struct Adjustment {
    bias: Vec<(TokenId, f32)>,
    penalties: Penalties,
    /// How many times each token is in the answer; 0 for those of the prompt alone.
    seen: HashMap<TokenId, u32>,
}

impl Adjustment {
    /// Those that a request asks for; `None` if it asks for none.
    pub(crate) fn of(request: &TokenRequest) -> Option<Self> {
        let penalties = request.sampling.penalties;
        if request.logit_bias.is_empty() && penalties == Penalties::NONE {
            return None;
        }
        let mut adjustment = Self {
            bias: request.logit_bias.clone(),
            penalties,
            seen: HashMap::new(),
        };
        if penalties != Penalties::NONE {
            adjustment
                .seen
                .extend(request.prompt.iter().map(|&token| (token, 0)));
        }
        for &token in &request.generated {
            adjustment.push(token);
        }
        Some(adjustment)
    }

    /// The answer goes on by a token.
    pub(crate) fn push(&mut self, token: TokenId) {
        if self.penalties != Penalties::NONE {
            *self.seen.entry(token).or_default() += 1;
        }
    }

    /// Changes the logits of the next token. Each stays a finite number if it was one.
    ///
    /// # Panics
    /// If a token is outside the vocabulary.
    pub(crate) fn apply(&self, logits: &mut [f32]) {
        for &(token, bias) in &self.bias {
            change(&mut logits[token as usize], |logit| logit + bias);
        }
        for (&token, &times) in &self.seen {
            change(&mut logits[token as usize], |logit| {
                self.penalized(logit, times)
            });
        }
    }

    fn penalized(&self, logit: f32, times: u32) -> f32 {
        let Penalties {
            repetition,
            frequency,
            presence,
        } = self.penalties;
        let logit = if logit > 0.0 {
            logit / repetition
        } else {
            logit * repetition
        };
        let presence = if times > 0 { presence } else { 0.0 };
        logit - frequency * times as f32 - presence
    }
}

/// A sum that is too large for its type would be taken for a defect of the model.
fn change(logit: &mut f32, by: impl Fn(f32) -> f32) {
    if logit.is_finite() {
        *logit = by(*logit).clamp(f32::MIN, f32::MAX);
    }
}

#[cfg(test)]
mod tests;
