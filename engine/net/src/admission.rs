//! Who may try to prove membership now: bounds guessing by address, and remembers who has proven it before. Pure.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::Instant;

use base::NodeId;

use crate::limits::{ADDRESSES_MAX, LINKS_MAX, WRONG_KEYS_MAX, WRONG_KEYS_WINDOW};

/// Wrong keys by address, and the nodes that once showed a right one.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    wrong: HashMap<IpAddr, Wrong>,
    members: HashSet<NodeId>,
}

#[derive(Debug)]
struct Wrong {
    since: Instant,
    count: u32,
}

impl Admission {
    /// Whether `node` at `address` may try. A node that proved itself before may, whatever its neighbours do.
    pub(crate) fn may_try(&self, node: NodeId, address: IpAddr, now: Instant) -> bool {
        self.members.contains(&node)
            || self.wrong.get(&address).is_none_or(|wrong| {
                wrong.count < WRONG_KEYS_MAX || now.duration_since(wrong.since) >= WRONG_KEYS_WINDOW
            })
    }

    /// A wrong key was shown at, or by, `address`.
    pub(crate) fn wrong_key(&mut self, address: IpAddr, now: Instant) {
        if let Some(wrong) = self.wrong.get_mut(&address) {
            if now.duration_since(wrong.since) >= WRONG_KEYS_WINDOW {
                *wrong = Wrong {
                    since: now,
                    count: 0,
                };
            }
            wrong.count = wrong.count.saturating_add(1);
            return;
        }
        if self.wrong.len() >= ADDRESSES_MAX {
            let oldest = self.wrong.iter().min_by_key(|(_, wrong)| wrong.since);
            if let Some(oldest) = oldest.map(|(address, _)| *address) {
                self.wrong.remove(&oldest);
            }
        }
        let first = Wrong {
            since: now,
            count: 1,
        };
        self.wrong.insert(address, first);
    }

    /// One of the wrong keys at `address` was none.
    pub(crate) fn forgive(&mut self, address: IpAddr) {
        if let Some(wrong) = self.wrong.get_mut(&address) {
            wrong.count = wrong.count.saturating_sub(1);
        }
    }

    /// `node` proved that it knows the key.
    pub(crate) fn proven(&mut self, node: NodeId) {
        if self.members.len() < LINKS_MAX {
            self.members.insert(node);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;

    fn address(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(number).into()
    }

    #[test]
    fn guessing_stops_for_a_while() {
        let (mut admission, now) = (Admission::default(), Instant::now());
        let (node, friend) = (NodeId([1; 32]), NodeId([2; 32]));
        admission.proven(friend);
        for _ in 0..WRONG_KEYS_MAX {
            assert!(admission.may_try(node, address(1), now));
            admission.wrong_key(address(1), now);
        }
        assert!(!admission.may_try(node, address(1), now));
        assert!(
            admission.may_try(friend, address(1), now),
            "known nodes may always"
        );
        assert!(
            admission.may_try(node, address(2), now),
            "others are not affected"
        );
        let later = now + WRONG_KEYS_WINDOW;
        assert!(admission.may_try(node, address(1), later));
        admission.wrong_key(address(1), later);
        assert!(
            admission.may_try(node, address(1), later),
            "the count begins anew"
        );
    }

    #[test]
    fn the_table_stays_small() {
        let (mut admission, now) = (Admission::default(), Instant::now());
        for number in 0..10 * ADDRESSES_MAX as u32 {
            admission.wrong_key(
                address(number),
                now + Duration::from_millis(u64::from(number)),
            );
        }
        assert_eq!(admission.wrong.len(), ADDRESSES_MAX);
        let last = address(10 * ADDRESSES_MAX as u32 - 1);
        assert!(
            admission.wrong.contains_key(&last),
            "the oldest are forgotten first"
        );
    }
}
