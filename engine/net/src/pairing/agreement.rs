//! What follows the digits: each side's yes reaches the other, and only then is the roster handed over. Pure.

use base::NodeId;

use super::{PairingEnd, Role};
use crate::Roster;

/// A message of one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// The person here says that the digits are the same.
    Yes,
    /// The person here says no.
    No,
    /// Nobody said anything in time.
    Late,
    /// The roster came and is good.
    Joined,
    /// The roster is not good, or there is none.
    NoRoster,
    /// The roster follows.
    Roster,
}

impl Word {
    const ALL: [Self; 6] = [
        Self::Yes,
        Self::No,
        Self::Late,
        Self::Joined,
        Self::NoRoster,
        Self::Roster,
    ];

    pub(crate) fn byte(self) -> u8 {
        self as u8 + 1
    }

    fn read(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|word| word.byte() == byte)
    }
}

/// What happens to an agreement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input {
    /// The person here confirmed.
    Confirm,
    /// The person here cancelled.
    Cancel,
    /// The time is over.
    TimeUp,
    /// A byte came.
    Word(u8),
    /// The connection is gone.
    Gone,
    /// The roster could not be extended here.
    CannotHandOver(PairingEnd),
    /// The roster came; whether it is good.
    Came { good: bool },
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// Send this.
    Send(Word),
    /// Sign the other one in and send it the roster, after the word that says so.
    HandOver,
    /// Read the roster, which comes now.
    TakeRoster,
    /// Done: the other one is in the cluster, or this one is.
    Finish,
    /// Over.
    End(PairingEnd),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Not both have said yes.
    Comparing {
        here: bool,
        there: bool,
    },
    /// Both have; the roster is on its way.
    HandingOver,
    Over,
}

/// One side of an agreement.
#[derive(Debug)]
pub(crate) struct Agreement {
    role: Role,
    phase: Phase,
}

impl Agreement {
    /// Both sides know the digits; nobody has said yes.
    pub(crate) fn new(role: Role) -> Self {
        let phase = Phase::Comparing {
            here: false,
            there: false,
        };
        Self { role, phase }
    }

    /// Whether this side has said yes, and whether the other has.
    pub(crate) fn yeses(&self) -> (bool, bool) {
        match self.phase {
            Phase::Comparing { here, there } => (here, there),
            Phase::HandingOver | Phase::Over => (true, true),
        }
    }

    /// What `input` leads to, in order. Nothing follows an end.
    pub(crate) fn on(&mut self, input: Input) -> Vec<Act> {
        match (self.phase, input) {
            (Phase::Over, _) => Vec::new(),
            (_, Input::Cancel) => self.end(Some(Word::No), PairingEnd::CancelledHere),
            (_, Input::TimeUp) => self.end(Some(Word::Late), PairingEnd::TimedOut),
            (_, Input::Gone) => self.end(None, PairingEnd::Broken),
            (phase, Input::Word(byte)) => match Word::read(byte) {
                Some(word) => self.word(phase, word),
                None => self.altered(),
            },
            (Phase::Comparing { here: false, there }, Input::Confirm) => {
                self.said(Some(Word::Yes), true, there)
            }
            // A second click.
            (Phase::Comparing { here: true, .. } | Phase::HandingOver, Input::Confirm) => {
                Vec::new()
            }
            (Phase::HandingOver, Input::CannotHandOver(why)) => self.end(Some(Word::NoRoster), why),
            (Phase::HandingOver, Input::Came { good: true }) => {
                self.phase = Phase::Over;
                vec![Act::Send(Word::Joined), Act::Finish]
            }
            (Phase::HandingOver, Input::Came { good: false }) => {
                self.end(Some(Word::NoRoster), PairingEnd::BadRoster)
            }
            (Phase::Comparing { .. }, Input::CannotHandOver(_) | Input::Came { .. }) => {
                self.altered()
            }
        }
    }

    fn word(&mut self, phase: Phase, word: Word) -> Vec<Act> {
        match (phase, word, self.role) {
            (_, Word::No, _) => self.end(None, PairingEnd::CancelledThere),
            (_, Word::Late, _) => self.end(None, PairingEnd::TimedOut),
            (Phase::Comparing { here, there: false }, Word::Yes, _) => self.said(None, here, true),
            (Phase::HandingOver, Word::Joined, Role::LetsIn) => {
                self.phase = Phase::Over;
                vec![Act::Finish]
            }
            (Phase::HandingOver, Word::Roster, Role::Joins) => vec![Act::TakeRoster],
            (Phase::HandingOver, Word::NoRoster, _) => self.end(None, PairingEnd::BadRoster),
            (Phase::Comparing { .. } | Phase::HandingOver | Phase::Over, _, _) => self.altered(),
        }
    }

    fn said(&mut self, word: Option<Word>, here: bool, there: bool) -> Vec<Act> {
        let mut acts: Vec<Act> = word.map(Act::Send).into_iter().collect();
        self.phase = Phase::Comparing { here, there };
        if here && there {
            self.phase = Phase::HandingOver;
            acts.extend((self.role == Role::LetsIn).then_some(Act::HandOver));
        }
        acts
    }

    fn altered(&mut self) -> Vec<Act> {
        self.end(Some(Word::No), PairingEnd::Altered)
    }

    fn end(&mut self, word: Option<Word>, why: PairingEnd) -> Vec<Act> {
        self.phase = Phase::Over;
        let word = word.map(Act::Send);
        word.into_iter().chain([Act::End(why)]).collect()
    }
}

/// The roster that was handed over, if it is one in which both sides of the pairing are members.
pub(crate) fn joinable(roster: Roster, here: NodeId, there: NodeId) -> Option<Roster> {
    [here, there]
        .into_iter()
        .all(|node| roster.is_member(node))
        .then_some(roster)
}
