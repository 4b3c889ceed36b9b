//! The other members of the cluster as a download asks them for what they have, and as those who fetch the same files at the
//! same time: each fetches some blocks from the hub, and takes the others' as they arrive. What they say is believed no more than what a hub says: the hash of each file decides.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt;
use std::future::pending;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::{BytesAsked, HeldFiles, HubRevision, NodeId};
use bytes::Bytes;
use futures::future::{BoxFuture, join_all};
use futures::stream::BoxStream;
use tokio::time::{Instant, sleep};

use super::beacon::Beacon;
use super::lenders::{Choice, Lenders, Next};
use super::listing::{HubFile, Listing};
use super::name::Wanted;

/// Between two looks at who has what: a member that comes, or has more than before, is of use soon.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Who begins at the same time as others hears of them within this, and they of it.
const MEET: Duration = Duration::from_millis(300);

/// The members that can be reached. Every answer comes within seconds.
pub trait Members: fmt::Debug + Send + Sync {
    /// This computer, as they know it.
    fn own(&self) -> NodeId;

    /// Who they are.
    fn reachable(&self) -> Vec<NodeId>;

    /// What one of them has of a repository.
    fn files(&self, member: NodeId, asked: HubRevision) -> BoxFuture<'static, Option<HeldFiles>>;

    /// Bytes of a file that one of them has, or is fetching. A stream that ends too early, within seconds also where nothing
    /// comes, is broken.
    fn bytes(
        &self,
        member: NodeId,
        asked: BytesAsked,
    ) -> BoxFuture<'static, Option<BoxStream<'static, Bytes>>>;
}

/// Who lends what to one download.
#[derive(Debug)]
pub(super) struct Mirror<'a> {
    members: Option<&'a dyn Members>,
    wanted: &'a Wanted,
    /// Of a download that takes turns: lit while it does.
    beacon: Option<Beacon>,
    lenders: Mutex<Lenders>,
}

/// Where the next bytes of a file come from.
#[derive(Debug)]
pub(super) enum Source<'a> {
    Member(Lender<'a>),
    /// The hub, up to this place in the file: what follows may be another's to fetch.
    Hub(u64),
}

/// A member that is lending, until this is dropped.
#[derive(Debug)]
pub(super) struct Lender<'a> {
    pub(super) node: NodeId,
    /// What it is asked for.
    pub(super) range: Range<u64>,
    /// It does not have them yet, but is fetching them.
    pub(super) is_awaited: bool,
    mirror: &'a Mirror<'a>,
    members: &'a dyn Members,
}

impl<'a> Mirror<'a> {
    pub(super) fn new(members: Option<&'a dyn Members>, wanted: &'a Wanted) -> Self {
        Self {
            members,
            wanted,
            beacon: None,
            lenders: Mutex::default(),
        }
    }

    /// The same of a download that takes its turns at asking the hub for what nobody has.
    pub(super) fn taking_turns(self, beacon: Beacon) -> Self {
        Self {
            beacon: Some(beacon),
            lenders: Mutex::new(Lenders::new(self.members.map(Members::own))),
            ..self
        }
    }

    /// The files of the wanted revision, as most members know them.
    pub(super) async fn listing(&self) -> Option<Listing> {
        let held = self.ask(&self.wanted.revision).await;
        most_agreed(held.into_iter().filter_map(|(_, held)| {
            let listing = Listing::of_member(&held);
            listing.ok()
        }))
    }

    /// Begins with a commit: hears what others have of it, and lets them know that it is fetched here, before anybody fetches
    /// what another one is about to.
    pub(super) async fn meet(&self, commit: &str) {
        self.look(commit).await;
        let reachable = self.members.map_or_else(Vec::new, Members::reachable);
        if reachable.is_empty() || self.lenders().has_all() {
            return;
        }
        // Those who began before look every second.
        let others = self.lenders().others_fetch();
        sleep(if others { LOOK_EVERY + MEET } else { MEET }).await;
        self.look(commit).await;
    }

    /// Asks everybody what there is of a commit.
    async fn look(&self, commit: &str) {
        if let Some(beacon) = &self.beacon {
            beacon.light(self.lenders().asks_hub(Instant::now()));
        }
        let mut held = self.ask(commit).await;
        held.retain(|(_, held)| held.commit == commit);
        self.lenders().hold(held);
    }

    /// Goes on looking, for ever.
    pub(super) async fn keep_looking(&self, commit: &str) -> Infallible {
        if self.members.is_none() {
            return pending().await;
        }
        loop {
            sleep(LOOK_EVERY).await;
            self.look(commit).await;
        }
    }

    /// Where the next bytes of what is missing of a part come from. `may_wait` for a member that is fetching them, or is the
    /// one to do so.
    pub(super) fn source(&'a self, file: &HubFile, next: &Next, may_wait: bool) -> Source<'a> {
        let Some(members) = self.members else {
            return Source::Hub(next.missing.end);
        };
        let mut lenders = self.lenders();
        let (node, is_awaited) = match lenders.choose(file, next, Instant::now()) {
            Choice::Has(node) => (node, false),
            Choice::Awaited(node) if may_wait => (node, true),
            // Nobody could take the next block: it need not be asked for by itself.
            Choice::Nobody if members.reachable().is_empty() => {
                return Source::Hub(next.missing.end);
            }
            Choice::Awaited(_) | Choice::Nobody => return Source::Hub(next.block().end),
        };
        lenders.takes(node);
        drop(lenders);
        Source::Member(Lender {
            node,
            range: next.block(),
            is_awaited,
            mirror: self,
            members,
        })
    }

    /// The hub gave nothing: others may have more luck.
    pub(super) fn hub_fails(&self) {
        self.lenders().hub_fails(Instant::now());
    }

    /// Of these came bytes that were wrong.
    pub(super) fn never_ask_again(&self, members: &BTreeSet<NodeId>) {
        self.lenders().never_ask_again(members);
    }

    async fn ask(&self, revision: &str) -> Vec<(NodeId, HeldFiles)> {
        let Some(members) = self.members else {
            return Vec::new();
        };
        let asking = members.reachable().into_iter().map(|member| {
            let asked = HubRevision {
                repository: self.wanted.repository.to_string(),
                revision: revision.to_owned(),
            };
            let held = members.files(member, asked);
            async move { Some((member, held.await?)) }
        });
        join_all(asking).await.into_iter().flatten().collect()
    }

    fn lenders(&self) -> MutexGuard<'_, Lenders> {
        self.lenders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lender<'_> {
    /// Asks it for the bytes.
    pub(super) async fn bytes(&self, file: &HubFile) -> Option<BoxStream<'static, Bytes>> {
        let asked = BytesAsked {
            repository: self.mirror.wanted.repository.to_string(),
            hash: file.digest.to_text(),
            size: file.size,
            range: self.range.clone(),
        };
        self.members.bytes(self.node, asked).await
    }

    /// It did not do what it was asked for.
    pub(super) fn rests(&self) {
        self.mirror.lenders().rests(self.node, Instant::now());
    }
}

impl Drop for Lender<'_> {
    fn drop(&mut self) {
        self.mirror.lenders().is_free(self.node);
    }
}

/// The listing that most members have; of several, always the same one.
fn most_agreed(listings: impl Iterator<Item = Listing>) -> Option<Listing> {
    let mut by_commit: BTreeMap<String, (usize, Listing)> = BTreeMap::new();
    for listing in listings {
        let known = by_commit.entry(listing.commit.clone());
        known.or_insert((0, listing)).0 += 1;
    }
    let most = by_commit.into_values().max_by_key(|(count, _)| *count);
    most.map(|(_, listing)| listing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_files_is_that_of_most_members() {
        let listing = |commit: &str| Listing {
            commit: commit.to_owned(),
            files: Vec::new(),
        };
        let agreed = |commits: &[&str]| {
            let listings = commits.iter().map(|commit| listing(commit));
            most_agreed(listings).map(|listing| listing.commit)
        };
        assert_eq!(agreed(&["a", "b", "a"]).as_deref(), Some("a"));
        assert_eq!(agreed(&["b", "a"]), agreed(&["a", "b"]));
        assert_eq!(agreed(&[]), None);
    }
}
