//! Who may ask for a pairing now: one at a time, and not many in a minute, so that nobody gets many of the tries of which
//! one in a million succeeds, and nobody fills a screen with requests. Pure.

use std::collections::VecDeque;
use std::time::Instant;

use super::{PairingEnd, Role};
use crate::limits::{PAIRINGS_ASKED_MAX, PAIRINGS_ASKED_WINDOW};

/// When others asked lately.
#[derive(Debug, Default)]
pub(crate) struct Door {
    asked: VecDeque<Instant>,
}

/// What this node is, as far as pairing goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Household {
    /// In no cluster.
    Newcomer,
    /// In a cluster with a roster.
    Member,
    /// It has a cluster key.
    Keyed,
}

impl Household {
    /// The role that this node takes if it starts with `other`. Of two newcomers the one that starts founds the cluster.
    pub(crate) fn start_with(self, other: Self) -> Result<Role, PairingEnd> {
        match (self, other) {
            (Self::Keyed, _) => Err(PairingEnd::KeyHere),
            (_, Self::Keyed) => Err(PairingEnd::KeyThere),
            (Self::Member, Self::Member) => Err(PairingEnd::TwoClusters),
            (Self::Newcomer | Self::Member, Self::Newcomer) => Ok(Role::LetsIn),
            (Self::Newcomer, Self::Member) => Ok(Role::Joins),
        }
    }

    /// The role that this node takes if the other starts and takes `starter`.
    pub(crate) fn asked_by(self, starter: Role) -> Result<Role, PairingEnd> {
        match (self, starter) {
            (Self::Keyed, _) => Err(PairingEnd::KeyHere),
            (Self::Newcomer, Role::LetsIn) => Ok(Role::Joins),
            (Self::Member, Role::Joins) => Ok(Role::LetsIn),
            (Self::Member, Role::LetsIn) => Err(PairingEnd::TwoClusters),
            // It took this node for a member.
            (Self::Newcomer, Role::Joins) => Err(PairingEnd::Changed),
        }
    }
}

impl Door {
    /// Whether another one may ask, while `busy` says whether a pairing runs. Asking while one runs counts too.
    pub(crate) fn knock(&mut self, busy: bool, now: Instant) -> Result<(), PairingEnd> {
        while self
            .asked
            .front()
            .is_some_and(|asked| now.duration_since(*asked) >= PAIRINGS_ASKED_WINDOW)
        {
            self.asked.pop_front();
        }
        if self.asked.len() >= PAIRINGS_ASKED_MAX {
            return Err(PairingEnd::TooMany);
        }
        self.asked.push_back(now);
        if busy {
            return Err(PairingEnd::BusyHere);
        }
        Ok(())
    }
}
