//! What a download knows of the other members, and whom it asks. Pure.
//!
//! Whoever fetches the same commit from the hub at the same time divides it by blocks: whose a block is follows from its place in
//! the file and from who they are, so that all say the same without a word. Where they do not for a moment, as when one comes or
//! goes, a block is fetched twice and nothing else is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use base::{HeldFile, HeldFiles, NodeId};
use tokio::time::Instant;

use super::listing::HubFile;

/// Bytes that one member fetches for all, and that are asked of one at once. Long enough that asking costs nothing, short
/// enough that each has something to do.
pub(super) const BLOCK_BYTES: u64 = 32 << 20;
/// A member that lent nothing, or less than it was asked for, is left alone for so long.
const REST: Duration = Duration::from_secs(5);
/// After the hub gave nothing, others are relied on for so long.
const HUB_REST: Duration = Duration::from_secs(20);

/// What is missing of a part of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) missing: Range<u64>,
    /// Bytes of a part of the file.
    pub(super) part_bytes: u64,
}

/// Whom to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// It has the next byte.
    Has(NodeId),
    /// It is fetching that from the hub, or is the one to do so.
    Awaited(NodeId),
    Nobody,
}

/// What is known of the members.
#[derive(Debug, Default)]
pub(super) struct Lenders {
    /// This computer, if it asks the hub.
    own: Option<NodeId>,
    hub_rests_until: Option<Instant>,
    held: BTreeMap<NodeId, HeldFiles>,
    /// How many streams each has under way.
    streams: BTreeMap<NodeId, usize>,
    rests_until: BTreeMap<NodeId, Instant>,
    never: BTreeSet<NodeId>,
}

impl Next {
    /// The rest of the block that begins it.
    pub(super) fn block(&self) -> Range<u64> {
        let Range { start, end } = self.missing;
        start..end.min((start / BLOCK_BYTES + 1) * BLOCK_BYTES)
    }

    /// Whose turn it is of those who take turns: blocks that are fetched at the same time, those at the same place of different
    /// parts, are different ones'. So are files of one block each.
    fn turn(&self, file: &HubFile) -> u64 {
        let start = self.missing.start;
        let block = start % self.part_bytes / BLOCK_BYTES;
        let salt = file.digest.to_text().bytes().last();
        start / self.part_bytes + block + u64::from(salt.unwrap_or(0))
    }
}

impl Lenders {
    /// Nobody is known. `own` is this computer, if it asks the hub.
    pub(super) fn new(own: Option<NodeId>) -> Self {
        Self {
            own,
            ..Self::default()
        }
    }

    /// Whether this computer asks the hub for what nobody has.
    pub(super) fn asks_hub(&self, now: Instant) -> bool {
        self.own.is_some() && self.hub_rests_until.is_none_or(|until| until <= now)
    }

    /// The hub gave nothing.
    pub(super) fn hub_fails(&mut self, now: Instant) {
        self.hub_rests_until = Some(now + HUB_REST);
    }

    /// What the members have now.
    pub(super) fn hold(&mut self, held: Vec<(NodeId, HeldFiles)>) {
        self.held = held.into_iter().collect();
    }

    /// Whether others fetch the same from a hub.
    pub(super) fn others_fetch(&self) -> bool {
        self.held.values().any(|held| held.fetches)
    }

    /// Whether somebody has all of it.
    pub(super) fn has_all(&self) -> bool {
        self.held.values().any(is_whole)
    }

    /// A stream from a member begins.
    pub(super) fn takes(&mut self, node: NodeId) {
        *self.streams.entry(node).or_default() += 1;
    }

    /// A stream from a member is over.
    pub(super) fn is_free(&mut self, node: NodeId) {
        if let Some(streams) = self.streams.get_mut(&node) {
            *streams -= 1;
        }
    }

    /// A member did not do what it was asked for.
    pub(super) fn rests(&mut self, node: NodeId, now: Instant) {
        self.rests_until.insert(node, now + REST);
    }

    /// Of these came bytes that were wrong.
    pub(super) fn never_ask_again(&mut self, members: &BTreeSet<NodeId>) {
        self.never.extend(members);
    }

    /// Of those that have the next byte and may be asked, the one with the fewest streams under way; else the one that is fetching
    /// it; else whoever's turn it is to fetch it, which may be nobody's but this computer's.
    pub(super) fn choose(&self, file: &HubFile, next: &Next, now: Instant) -> Choice {
        let (start, hash) = (next.missing.start, file.digest.to_text());
        let same = |held: &&HeldFile| held.hash == hash && held.size == file.size;
        let may = |node: &NodeId| {
            let rests = self.rests_until.get(node).is_some_and(|until| *until > now);
            !rests && !self.never.contains(node)
        };
        let asked: Vec<(NodeId, &HeldFiles, &HeldFile)> = self
            .held
            .iter()
            .filter(|(node, _)| may(node))
            .filter_map(|(node, held)| Some((*node, held, held.files.iter().find(same)?)))
            .collect();
        let streams = |node: NodeId| (self.streams.get(&node).copied().unwrap_or(0), node);
        let having = asked
            .iter()
            .filter(|(_, _, held)| includes(&held.here, start));
        if let Some((node, ..)) = having.min_by_key(|(node, ..)| streams(*node)) {
            return Choice::Has(*node);
        }
        let coming = asked
            .iter()
            .find(|(_, held, file)| held.fetches && includes(&file.coming, start));
        if let Some((node, ..)) = coming {
            return Choice::Awaited(*node);
        }
        let fetching = |node: NodeId| {
            let is_asked = asked
                .iter()
                .any(|(asked, held, file)| *asked == node && held.fetches && file.is_wanted);
            is_asked || Some(node) == self.own && self.asks_hub(now)
        };
        let turn = in_turn(&self.takers(&same), next.turn(file)).find(|node| fetching(*node));
        match turn {
            Some(node) if Some(node) != self.own => Choice::Awaited(node),
            _ => Choice::Nobody,
        }
    }

    /// Those who take turns at a file, whether they can or not: so the turns of the others stay the same when one cannot for a while.
    fn takers(&self, is_it: &impl Fn(&&HeldFile) -> bool) -> Vec<NodeId> {
        let wants = |held: &HeldFiles| {
            held.files
                .iter()
                .find(is_it)
                .is_none_or(|file| file.is_wanted)
        };
        let unfinished = self
            .held
            .iter()
            .filter(|(_, held)| !is_whole(held) && wants(held));
        let mut takers: Vec<NodeId> = unfinished.map(|(node, _)| *node).chain(self.own).collect();
        takers.sort_unstable();
        takers
    }
}

/// All of them, beginning with the one whose turn it is.
fn in_turn(takers: &[NodeId], turn: u64) -> impl Iterator<Item = NodeId> {
    let first = turn as usize % takers.len().max(1);
    takers
        .iter()
        .cycle()
        .skip(first)
        .take(takers.len())
        .copied()
}

fn includes(ranges: &[Range<u64>], place: u64) -> bool {
    ranges.iter().any(|range| range.contains(&place))
}

fn is_whole(held: &HeldFiles) -> bool {
    let whole = |file: &HeldFile| file.size == 0 || file.here.first() == Some(&(0..file.size));
    held.files.iter().all(whole)
}

#[cfg(test)]
mod tests {
    use super::super::digest::Digest;
    use super::*;

    const HASH: &str = "ce013625030ba8dba906f756967f9e9ca394464a";
    const PART: u64 = 8 * BLOCK_BYTES;
    const SIZE: u64 = 4 * PART;

    fn node(number: u8) -> NodeId {
        NodeId([number; 32])
    }

    fn file() -> HubFile {
        HubFile {
            name: "hello".to_owned(),
            size: SIZE,
            digest: Digest::git_blob(HASH).unwrap(),
        }
    }

    fn missing(missing: Range<u64>) -> Next {
        Next {
            missing,
            part_bytes: PART,
        }
    }

    fn held(here: Range<u64>) -> HeldFiles {
        HeldFiles {
            commit: String::new(),
            fetches: false,
            files: vec![HeldFile {
                name: "another".to_owned(),
                size: SIZE,
                hash: format!("git:{HASH}"),
                is_wanted: true,
                here: vec![here],
                coming: Vec::new(),
            }],
        }
    }

    fn fetching(here: Range<u64>) -> HeldFiles {
        HeldFiles {
            fetches: true,
            ..held(here)
        }
    }

    #[test]
    fn who_has_the_fewest_streams_is_asked_and_who_lied_never_again() {
        let now = Instant::now();
        let mut lenders = Lenders::new(None);
        let (all, middle) = (missing(0..PART), missing(PART..2 * PART));
        assert_eq!(lenders.choose(&file(), &all, now), Choice::Nobody);
        let members = [held(0..SIZE), held(0..SIZE), held(PART..SIZE)];
        lenders.hold((1..).map(node).zip(members).collect());
        lenders.takes(node(1));
        lenders.takes(node(1));
        lenders.takes(node(2));
        assert_eq!(lenders.choose(&file(), &all, now), Choice::Has(node(2)));
        assert_eq!(lenders.choose(&file(), &middle, now), Choice::Has(node(3)));
        lenders.rests(node(2), now);
        assert_eq!(lenders.choose(&file(), &all, now), Choice::Has(node(1)));
        lenders.is_free(node(2));
        let later = now + REST;
        assert_eq!(lenders.choose(&file(), &all, later), Choice::Has(node(2)));
        lenders.never_ask_again(&BTreeSet::from([node(2)]));
        assert_eq!(lenders.choose(&file(), &all, later), Choice::Has(node(1)));
        let mut other = file();
        other.size += 1;
        assert_eq!(lenders.choose(&other, &all, now), Choice::Nobody);
    }

    /// Who asks the hub for a block, as each of `nodes` sees it; the others wait for that one.
    fn agreed(nodes: &[NodeId], start: u64) -> NodeId {
        let now = Instant::now();
        let next = missing(start..SIZE);
        let fetcher = |own: &NodeId| {
            let mut lenders = Lenders::new(Some(*own));
            let others = nodes.iter().filter(|node| *node != own);
            lenders.hold(others.map(|node| (*node, fetching(0..0))).collect());
            match lenders.choose(&file(), &next, now) {
                Choice::Awaited(node) => node,
                Choice::Nobody => *own,
                Choice::Has(node) => panic!("{node:?} has nothing"),
            }
        };
        let fetchers: BTreeSet<NodeId> = nodes.iter().map(fetcher).collect();
        assert_eq!(fetchers.len(), 1, "{start}");
        *fetchers.first().unwrap()
    }

    #[test]
    fn each_block_is_fetched_by_one_and_everybody_has_some_at_any_time() {
        for count in 1..5 {
            let nodes: Vec<NodeId> = (0..count).map(node).collect();
            for block in 0..4 {
                let places = (0..4).map(|part| part * PART + block * BLOCK_BYTES);
                let at_once: BTreeSet<NodeId> = places.map(|place| agreed(&nodes, place)).collect();
                assert_eq!(at_once.len(), nodes.len());
            }
        }
    }

    #[test]
    fn whoever_began_goes_on_and_turns_stay_when_one_cannot() {
        let now = Instant::now();
        let nodes = [node(1), node(2), node(3)];
        let turn_of = |wanted: NodeId| {
            let mut blocks = (0..).map(|block| block * BLOCK_BYTES);
            let start = blocks
                .find(|start| agreed(&nodes, *start) == wanted)
                .unwrap();
            missing(start..PART)
        };
        let mut lenders = Lenders::new(Some(node(1)));
        let others = |second: HeldFiles| vec![(node(2), second), (node(3), fetching(0..0))];
        lenders.hold(others(fetching(0..0)));
        let choose = |lenders: &Lenders, next: &Next| lenders.choose(&file(), next, now);
        let (mine, third) = (turn_of(node(1)), turn_of(node(3)));
        assert_eq!(choose(&lenders, &mine), Choice::Nobody);
        let mut began = fetching(0..0);
        began.files[0].coming = vec![mine.missing.clone()];
        lenders.hold(others(began.clone()));
        assert_eq!(choose(&lenders, &mine), Choice::Awaited(node(2)));
        began.fetches = false;
        lenders.hold(others(began));
        assert_eq!(choose(&lenders, &mine), Choice::Nobody, "it has stopped");
        assert_eq!(choose(&lenders, &third), Choice::Awaited(node(3)));
        lenders.hub_fails(now);
        assert_eq!(choose(&lenders, &mine), Choice::Awaited(node(3)));
        assert!(!lenders.asks_hub(now) && lenders.asks_hub(now + HUB_REST));
        lenders.rests(node(3), now);
        assert_eq!(
            choose(&lenders, &mine),
            Choice::Nobody,
            "nobody else is left"
        );
    }
}
