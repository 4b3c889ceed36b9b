//! A sequence's grammar: what it allows next, worked out elsewhere while the device computes.
//!
//! The scheduler hands the work out as jobs that another thread may run, and takes them back before it samples. The first
//! job of a sequence makes its grammar ready, which may take as long as many steps; until it is back the sequence reads
//! its prompt, but for the last token.

mod haste;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::containment::contain;
use base::{ErrorCode, Failure, Grammar, TokenId, TokenRequest};
use haste::Haste;
use text::Tokenizer;
use text::grammar::{self, GrammarError, Mask, Matcher};

/// What may come next.
pub(crate) enum Next {
    /// One of these tokens.
    Allowed(Mask),
    /// Nothing: the answer is complete.
    Nothing,
}

/// The grammar of one sequence.
pub(crate) struct Constraint {
    ticket: Ticket,
    /// `None` while a job has it.
    work: Option<Box<Work>>,
    /// The first job came back.
    ready: bool,
    /// So many tokens ahead of the next one the job looks that was given out last.
    foreseen: usize,
}

/// Names a constraint among all of a scheduler: a request's id may come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket(pub u64);

/// Works out what a sequence's grammar allows next. Takes from microseconds to some tens of milliseconds.
pub struct MaskJob {
    ticket: Ticket,
    work: Box<Work>,
}

/// A job that is done.
pub struct MaskDone {
    pub(crate) ticket: Ticket,
    work: Box<Work>,
}

struct Work {
    ends: Vec<TokenId>,
    haste: Haste,
    state: State,
    /// What may come next, and then as long as it is what is likely to come.
    known: VecDeque<Known>,
    /// The tokens that are likely to come.
    likely: VecDeque<TokenId>,
}

/// What may come at one place.
struct Known {
    next: Result<Next, Failure>,
    /// As it is there.
    haste: Haste,
}

enum State {
    /// As it came: the grammar and the tokens that the answer has already.
    Unread {
        tokenizer: Arc<Tokenizer>,
        grammar: Grammar,
        generated: Vec<TokenId>,
    },
    /// Followed so far.
    Followed(Box<Matcher>),
    /// It cannot be followed; `next` says why.
    Lost,
}

impl Constraint {
    /// The constraint of a request, if it has one.
    pub(crate) fn of(
        request: &TokenRequest,
        tokenizer: &Arc<Tokenizer>,
        ticket: Ticket,
    ) -> Option<Self> {
        let grammar = request.grammar.clone()?;
        let state = State::Unread {
            tokenizer: Arc::clone(tokenizer),
            grammar,
            generated: request.generated.clone(),
        };
        let ends = request.stop_tokens.clone();
        Some(Self {
            ticket,
            work: Some(Box::new(Work {
                ends,
                haste: Haste::new(request.max_tokens),
                state,
                known: VecDeque::new(),
                likely: VecDeque::new(),
            })),
            ready: false,
            foreseen: 0,
        })
    }

    /// Its name.
    pub(crate) fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// Whether its first job is back.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready
    }

    /// Whether it is known what may come next.
    pub(crate) fn knows_next(&self) -> bool {
        self.work
            .as_ref()
            .is_some_and(|work| !work.known.is_empty())
    }

    /// For how many tokens after the next one it is known, or being worked out, what may come, if they are what was likely.
    pub(crate) fn foreseen(&self) -> usize {
        match &self.work {
            Some(work) => work.known.len().saturating_sub(1),
            None => self.foreseen,
        }
    }

    /// Whether the next job is still to be given out, which looks ahead at what is likely by then.
    pub(crate) fn foresees_anew(&self) -> bool {
        let work = self.work.as_ref();
        self.ready && work.is_some_and(|work| work.known.is_empty())
    }

    /// What is to be worked out, if it is not known and no job has it: what may come next, and after what is `likely` to.
    pub(crate) fn job(&mut self, likely: impl FnOnce() -> Vec<TokenId>) -> Option<MaskJob> {
        let mut work = self.work.take_if(|work| work.known.is_empty())?;
        work.likely = likely().into();
        self.foreseen = work.likely.len();
        let ticket = self.ticket;
        Some(MaskJob { ticket, work })
    }

    /// Takes a job back.
    pub(crate) fn take_back(&mut self, done: MaskDone) {
        self.work = Some(done.work);
        self.ready = true;
    }

    /// What may come next.
    ///
    /// # Panics
    /// If that is not known: the job was not taken back.
    pub(crate) fn next(&self) -> &Result<Next, Failure> {
        let known = self.work.as_ref().and_then(|work| work.known.front());
        let known = known.expect("the jobs of sequences that are sampled were taken back");
        &known.next
    }

    /// Goes on by a token that was allowed. Whether the answer is complete with it and nothing can follow.
    pub(crate) fn push(&mut self, token: TokenId) -> Result<bool, Failure> {
        let work = self.work.as_mut().expect("it was asked what may come next");
        work.known.pop_front();
        if work.likely.pop_front() != Some(token) {
            work.known.clear();
        }
        let State::Followed(matcher) = &mut work.state else {
            unreachable!("a token was allowed by it");
        };
        matcher.push(token).map_err(|error| failure(&error))?;
        work.haste.push();
        if let Some(known) = work.known.front() {
            work.haste = known.haste;
        }
        Ok(matcher.is_complete())
    }
}

impl MaskJob {
    /// Does it.
    pub fn run(mut self) -> MaskDone {
        self.work.run();
        MaskDone {
            ticket: self.ticket,
            work: self.work,
        }
    }
}

impl Work {
    fn run(&mut self) {
        let next = contain(|| self.next());
        let next = next.and_then(|next| next.map_err(|error| failure(&error)));
        if next.is_err() {
            self.state = State::Lost;
        }
        let haste = self.haste;
        self.known.push_back(Known { next, haste });
        // What goes wrong ahead may never come.
        let _ = contain(|| self.look_ahead());
    }

    fn next(&mut self) -> Result<Next, GrammarError> {
        if let State::Unread {
            tokenizer,
            grammar,
            generated,
        } = &self.state
        {
            let mut matcher = grammar::compile(tokenizer, grammar)?;
            for &token in generated {
                self.haste.is_due(&matcher, &self.ends);
                matcher.push(token)?;
                self.haste.push();
            }
            self.state = State::Followed(Box::new(matcher));
        }
        let State::Followed(matcher) = &mut self.state else {
            unreachable!("what is lost has its last word already");
        };
        next(matcher, &mut self.haste, &self.ends)
    }

    /// The same after the tokens that are likely, as long as they are allowed.
    fn look_ahead(&mut self) -> Result<(), GrammarError> {
        let State::Followed(matcher) = &self.state else {
            return Ok(());
        };
        if self.likely.is_empty() {
            return Ok(());
        }
        let (mut matcher, mut haste) = (matcher.fork(), self.haste);
        for &token in &self.likely {
            let last = self.known.back().map(|known| &known.next);
            if !matches!(last, Some(Ok(Next::Allowed(mask))) if mask.allows(token)) {
                break;
            }
            matcher.push(token)?;
            haste.push();
            let next = Ok(next(&mut matcher, &mut haste, &self.ends)?);
            self.known.push_back(Known { next, haste });
        }
        Ok(())
    }
}

/// What may come where a matcher is.
fn next(matcher: &mut Matcher, haste: &mut Haste, ends: &[TokenId]) -> Result<Next, GrammarError> {
    if matcher.is_complete() {
        return Ok(Next::Nothing);
    }
    let mask = matcher.mask(ends)?;
    let hastens = haste.is_due(matcher, ends);
    Ok(Next::Allowed(if hastens {
        matcher.narrow(&mask, ends)
    } else {
        mask
    }))
}

fn failure(error: &GrammarError) -> Failure {
    match error {
        GrammarError::TooLong { .. }
        | GrammarError::Unusable { .. }
        | GrammarError::Vocabulary(_) => {
            Failure::new(ErrorCode::InvalidRequest, error.to_string()).param("response_format")
        }
        GrammarError::Stuck(_) => Failure::new(ErrorCode::Internal, error.to_string())
            .hint("ask for a simpler form of the answer"),
    }
}

/// The grammar allows only what the model can never say.
pub(crate) fn nothing_allowed() -> Failure {
    failure(&GrammarError::Stuck(
        "the model has no token that it allows here".to_owned(),
    ))
}
