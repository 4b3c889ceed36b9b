//! Guesses at what a sequence goes on with, made of texts that there are: its own, where what followed its last tokens before
//! is likely to follow again, since code, quotations and structured answers repeat much; and what whoever asks predicts. Or of
//! what a draft model says. Of those the likelier counts.
//!
//! The idea: "Inference with Reference" (Yang and others 2023, arXiv 2304.04487) and prompt lookup decoding (Saxena 2023).
//! Every token that comes is compared with the guess at it, whether or not a step computed that guess: so it is known at no
//! cost how likely guesses are right, and nothing need be tried where they are not.

mod chances;
mod drafted;
mod prediction;
mod repeats;

use base::TokenId;

pub(crate) use chances::Chances;
pub(crate) use drafted::DRAFTS_FIRST;
use drafted::Drafted;
use prediction::Prediction;
use repeats::Repeats;

/// So many last tokens are looked for: the longer is looked for first.
const LENGTHS: [usize; 2] = [3, 2];

/// How likely a sequence is held to repeat itself before it did.
const REPEATS_FIRST: Chances = Chances::new([0.5, 0.7, 0.9]);

/// How likely a prediction is held to be right: somebody took the trouble to send it.
const PREDICTS_FIRST: Chances = Chances::new([0.7, 0.9, 0.95]);

/// Most guesses at once at one sequence.
pub(crate) const LENGTH_MAX: usize = 16;

/// Where guesses are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The sequence itself.
    Repeats,
    /// What is predicted of the answer.
    Prediction,
    /// A draft model.
    Draft,
}

/// A text that guesses are taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Text {
    /// The sequence itself.
    Own,
    /// What is predicted of the answer.
    Predicted,
}

/// Where the token is that comes next, if the guess is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Source {
    of: Text,
    at: usize,
}

/// What is known of one sequence.
#[derive(Debug, Clone)]
pub(crate) struct Guesses {
    repeats: Repeats,
    prediction: Prediction,
    source: Option<Source>,
    /// So many guesses from there were right.
    right: usize,
    repeats_chances: Chances,
    predicts_chances: Chances,
    /// `None` where no model drafts.
    drafted: Option<Drafted>,
}

impl Guesses {
    /// At an answer that is predicted to be like this, of which so many tokens are there already. A draft model, if there is
    /// one, is held to be right so often.
    pub(crate) fn new(prediction: Vec<TokenId>, answered: usize, drafts: Option<Chances>) -> Self {
        let begins = answered == 0 && !prediction.is_empty();
        let mut prediction = Prediction::new(prediction);
        // About there: edits are small.
        prediction.leave(answered);
        Self {
            repeats: Repeats::default(),
            prediction,
            source: begins.then_some(Source {
                of: Text::Predicted,
                at: 0,
            }),
            right: 0,
            repeats_chances: REPEATS_FIRST,
            predicts_chances: PREDICTS_FIRST,
            drafted: drafts.map(Drafted::new),
        }
    }

    /// Takes in some more of a sequence.
    pub(crate) fn take_in(&mut self, tokens: &[TokenId]) {
        self.repeats.take_in(tokens);
    }

    /// The last of a sequence's `tokens` has just come.
    pub(crate) fn came(&mut self, tokens: &[TokenId]) {
        if let (Some(drafted), Some(last)) = (&mut self.drafted, tokens.last()) {
            drafted.came(*last);
        }
        if let Some(source) = self.source.take() {
            let guess = match source.of {
                Text::Own => tokens.get(source.at),
                Text::Predicted => self.prediction.from(source.at).first(),
            };
            let is_right = tokens.last() == guess;
            let right = self.right;
            self.chances_of(source.of).learn(right, is_right);
            if is_right {
                self.go_on(source);
            } else if source.of == Text::Predicted {
                self.prediction.leave(source.at);
            }
        }
        self.take_in(tokens);
        if self.source.is_none() {
            self.source = self.find(tokens);
            self.right = 0;
        }
    }

    /// How likely the next guess is right, and then each with all before it, descending; at most so many, none if there is
    /// no guess.
    pub(crate) fn chances(&self, most: usize) -> impl Iterator<Item = f64> {
        let (chances, right, left) = match self.origin() {
            None => (&self.repeats_chances, 0, 0),
            Some(Origin::Repeats) => (&self.repeats_chances, self.right, most),
            Some(Origin::Prediction) => {
                (&self.predicts_chances, self.right, self.predicted().len())
            }
            Some(Origin::Draft) => match &self.drafted {
                Some(drafted) => (&drafted.chances, drafted.right, drafted.len()),
                None => (&self.repeats_chances, 0, 0),
            },
        };
        chances.together(right, most.min(left))
    }

    /// The next guesses that are more likely right than not.
    pub(crate) fn likely(&self, tokens: &[TokenId]) -> Vec<TokenId> {
        let chances = self.chances(LENGTH_MAX);
        let likely = chances.take_while(|chance| *chance > 0.5);
        self.guess(tokens, likely.count())
    }

    /// What comes next, so many tokens if there are `chances` of so many; none if there is no guess. Where they reach beyond
    /// the end of `tokens` they repeat themselves.
    pub(crate) fn guess(&self, tokens: &[TokenId], count: usize) -> Vec<TokenId> {
        match (self.origin(), self.source) {
            (Some(Origin::Draft), _) => {
                let drafted = self.drafted.as_ref();
                drafted.map_or_else(Vec::new, |drafted| drafted.guess(count))
            }
            (Some(Origin::Repeats), Some(source)) => repeated(tokens, source.at, count),
            (Some(Origin::Prediction), _) => self.predicted().iter().take(count).copied().collect(),
            (Some(Origin::Repeats) | None, _) => Vec::new(),
        }
    }

    /// Where the next guess is from: what is the likelier to be right.
    pub(crate) fn origin(&self) -> Option<Origin> {
        let drafted = self.drafted.as_ref().filter(|drafted| drafted.len() > 0);
        let chance = drafted.map(|drafted| drafted.chances.after(drafted.right));
        match (self.source, chance) {
            (Some(source), chance) if chance.is_none_or(|drafts| self.chance(source) >= drafts) => {
                Some(match source.of {
                    Text::Own => Origin::Repeats,
                    Text::Predicted => Origin::Prediction,
                })
            }
            (_, chance) => chance.map(|_| Origin::Draft),
        }
    }

    /// How likely a draft of so many would be right, where it would be more likely than what there is: as `chances` says it.
    pub(crate) fn worth_drafting(&self, most: usize) -> Option<impl Iterator<Item = f64>> {
        let drafted = self.drafted.as_ref().filter(|drafted| drafted.len() == 0)?;
        let drafts = drafted.chances.after(0);
        let is_better = self
            .source
            .is_none_or(|source| self.chance(source) < drafts);
        is_better.then(|| drafted.chances.together(0, most))
    }

    /// A model's draft of what comes next.
    pub(crate) fn put_draft(&mut self, tokens: Vec<TokenId>) {
        if let Some(drafted) = &mut self.drafted {
            drafted.put(tokens);
        }
    }

    /// How often a draft model was right, if there is one.
    pub(crate) fn draft_chances(&self) -> Option<Chances> {
        self.drafted.as_ref().map(|drafted| drafted.chances)
    }

    /// What was right goes on where it is, to the end of it.
    fn go_on(&mut self, source: Source) {
        self.right += 1;
        let next = Source {
            at: source.at + 1,
            ..source
        };
        match source.of {
            Text::Own => self.source = Some(next),
            Text::Predicted => {
                self.prediction.leave(next.at);
                let goes_on = !self.prediction.from(next.at).is_empty();
                self.source = goes_on.then_some(next);
            }
        }
    }

    /// How likely the next guess from there is right.
    fn chance(&self, source: Source) -> f64 {
        match source.of {
            Text::Own => self.repeats_chances.after(self.right),
            Text::Predicted => self.predicts_chances.after(self.right),
        }
    }

    const fn chances_of(&mut self, of: Text) -> &mut Chances {
        match of {
            Text::Own => &mut self.repeats_chances,
            Text::Predicted => &mut self.predicts_chances,
        }
    }

    /// What is predicted next; nothing where the answer has left that.
    fn predicted(&self) -> &[TokenId] {
        match self.source {
            Some(Source {
                of: Text::Predicted,
                at,
            }) => self.prediction.from(at),
            Some(_) | None => &[],
        }
    }

    /// Where what followed the last tokens is, when they were there before: more of them in common count most, then how
    /// often guesses from there were right.
    fn find(&self, tokens: &[TokenId]) -> Option<Source> {
        let found = |of: Text, length: usize| {
            let at = match of {
                Text::Own => self.repeats.find(tokens, length),
                Text::Predicted => self.prediction.find(tokens, length),
            };
            at.map(|at| Source { of, at })
        };
        let predicts_better = self.predicts_chances.after(0) >= self.repeats_chances.after(0);
        let texts = if predicts_better {
            [Text::Predicted, Text::Own]
        } else {
            [Text::Own, Text::Predicted]
        };
        let mut all = LENGTHS
            .into_iter()
            .flat_map(|length| texts.map(|of| (of, length)));
        all.find_map(|(of, length)| found(of, length))
    }
}

/// So many tokens from there on.
fn repeated(tokens: &[TokenId], from: usize, count: usize) -> Vec<TokenId> {
    let mut guessed = Vec::with_capacity(count);
    for at in from..from + count {
        let known = tokens.get(at).copied();
        guessed.push(known.unwrap_or_else(|| guessed[at - tokens.len()]));
    }
    guessed
}

#[cfg(test)]
mod tests;
