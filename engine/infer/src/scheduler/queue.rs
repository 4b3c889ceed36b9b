//! Requests that wait, and whose turn is next: fair between clients, first come first served for each of them.
//!
//! Every client has a line (one for each priority), and every line a tally of what it was given: the tokens that were read
//! and generated for it, divided by its weight. The line with the smallest tally is next. A line begins with the tally of
//! the hour, which grows with all that is given to anybody, so that nobody saves up turns while asking for nothing.
//!
//! Nobody waits for ever. What is given to others raises their tallies and that of the hour without bound, and a line that
//! is given nothing keeps its own: sooner or later it is the smallest, whoever comes meanwhile. What it is given while some
//! of its requests run is bounded by what they may take.

use std::collections::VecDeque;

use base::{ClientId, Priority, RequestId};

use super::sequence::Sequence;

/// A tally counts in this part of a token, so that small shares of a weight are not lost in rounding.
const TOKEN: u64 = 1 << 16;

/// Of the places in the queue one client leaves so many (one in four) to others.
const LEFT_TO_OTHERS: usize = 4;

/// Whose turn a request takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineKey {
    client: ClientId,
    priority: Priority,
}

/// Waiting sequences in the order of their turns.
#[derive(Default)]
pub struct Queue {
    /// Those that ran already and gave their slot back; they go first, the longest running one before the others.
    set_back: VecDeque<Sequence>,
    /// A line for every client that has requests here, running ones included.
    lines: Vec<Line>,
    /// The tally of the hour.
    hour: u64,
    /// Sequences in all lines.
    in_lines: usize,
}

struct Line {
    key: LineKey,
    tally: u64,
    waiting: VecDeque<Sequence>,
    /// Sequences that left it for a slot and have not ended.
    running: usize,
}

impl LineKey {
    /// That of a sequence.
    pub fn of(sequence: &Sequence) -> Self {
        let (client, priority) = sequence.asked_by();
        Self { client, priority }
    }

    /// The share of an urgent request next to others.
    const fn weight(self) -> u64 {
        match self.priority {
            Priority::Urgent => 16,
            Priority::Usual => 4,
            Priority::Patient => 1,
        }
    }
}

impl Queue {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.set_back.len() + self.in_lines
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a client's request may wait too, of at most `most` in all. The last places are for those who have few here,
    /// so that one alone cannot close the door.
    pub fn has_place(&self, key: LineKey, most: usize) -> bool {
        let own: usize = self
            .lines
            .iter()
            .filter(|line| line.key.client == key.client)
            .map(|line| line.waiting.len())
            .sum();
        self.len() < most && own < (most - most / LEFT_TO_OTHERS).max(1)
    }

    /// Takes in what has never run.
    pub fn push(&mut self, sequence: Sequence) {
        let key = LineKey::of(&sequence);
        let at = self.line(key).unwrap_or_else(|| {
            let tally = self.hour;
            self.lines.push(Line {
                key,
                tally,
                waiting: VecDeque::new(),
                running: 0,
            });
            self.lines.len() - 1
        });
        self.lines[at].waiting.push_back(sequence);
        self.in_lines += 1;
    }

    /// Takes back what gave its slot up; it counts as running for its client.
    pub fn set_back(&mut self, sequence: Sequence) {
        self.set_back.push_front(sequence);
    }

    /// The one whose turn it is.
    pub fn first(&self) -> Option<&Sequence> {
        self.set_back
            .front()
            .or_else(|| self.lines[self.next_line()?].waiting.front())
    }

    /// The same, to run now.
    pub fn take_first(&mut self) -> Option<Sequence> {
        if let Some(sequence) = self.set_back.pop_front() {
            return Some(sequence);
        }
        let line = self.next_line()?;
        let line = &mut self.lines[line];
        let sequence = line.waiting.pop_front()?;
        line.running += 1;
        let key = line.key;
        self.in_lines -= 1;
        // At once and not as it is read, so that one line does not take every free slot.
        self.served(key, sequence.cache_tokens());
        Some(sequence)
    }

    /// A client was given so many tokens; those of its prompts are counted when they are taken.
    pub fn served(&mut self, key: LineKey, tokens: u64) {
        let Some(at) = self.line(key) else {
            return;
        };
        let weights: u64 = self.lines.iter().map(|line| line.key.weight()).sum();
        self.lines[at].tally += tokens * TOKEN / key.weight();
        self.hour += tokens * TOKEN / weights;
    }

    /// A sequence that was taken has ended.
    pub fn ended(&mut self, key: LineKey) {
        if let Some(at) = self.line(key) {
            self.lines[at].running = self.lines[at].running.saturating_sub(1);
            self.forget_idle();
        }
    }

    /// Drops a request. Whether it was here.
    pub fn remove(&mut self, id: RequestId) -> bool {
        if let Some(at) = self.set_back.iter().position(|it| it.id() == id) {
            let sequence = self.set_back.remove(at);
            if let Some(sequence) = &sequence {
                self.ended(LineKey::of(sequence));
            }
            return true;
        }
        for line in &mut self.lines {
            let Some(at) = line.waiting.iter().position(|it| it.id() == id) else {
                continue;
            };
            line.waiting.remove(at);
            self.in_lines -= 1;
            self.forget_idle();
            return true;
        }
        false
    }

    /// A request's place as things stand, from 1; `None` if it does not wait. What is given meanwhile may change it.
    pub fn position(&self, id: RequestId) -> Option<usize> {
        if let Some(at) = self.set_back.iter().position(|it| it.id() == id) {
            return Some(at + 1);
        }
        let line = |line: &Line| line.waiting.iter().position(|it| it.id() == id);
        let (own, before) = self
            .lines
            .iter()
            .enumerate()
            .find_map(|(at, it)| Some((at, line(it)?)))?;
        // Each of the others gets about as many turns as this line does until then.
        let others = self.lines.iter().enumerate().filter(|(at, _)| *at != own);
        let others = others.map(|(at, other)| {
            let sooner = self.turn(at) < self.turn(own);
            other.waiting.len().min(before + usize::from(sooner))
        });
        Some(self.set_back.len() + before + others.sum::<usize>() + 1)
    }

    /// All that wait.
    pub fn iter(&self) -> impl Iterator<Item = &Sequence> {
        let lines = self.lines.iter().flat_map(|line| &line.waiting);
        self.set_back.iter().chain(lines)
    }

    /// The same, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Sequence> {
        let lines = self.lines.iter_mut().flat_map(|line| &mut line.waiting);
        self.set_back.iter_mut().chain(lines)
    }

    fn next_line(&self) -> Option<usize> {
        let waits = |at: &usize| !self.lines[*at].waiting.is_empty();
        (0..self.lines.len())
            .filter(waits)
            .min_by_key(|at| self.turn(*at))
    }

    /// Of two lines with the same tally the more urgent one goes first, then the one that is here longer.
    fn turn(&self, at: usize) -> (u64, Priority, usize) {
        let line = &self.lines[at];
        (line.tally, line.key.priority, at)
    }

    fn line(&self, key: LineKey) -> Option<usize> {
        self.lines.iter().position(|line| line.key == key)
    }

    /// There are never more lines than requests.
    fn forget_idle(&mut self) {
        self.lines
            .retain(|line| line.running > 0 || !line.waiting.is_empty());
    }
}
