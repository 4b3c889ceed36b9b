//! The other members of the cluster as a download asks them: who has which files, who is asked next, who is not asked any
//! more. What they say is believed no more than what a hub says: the hash of each file decides.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt;
use std::future::pending;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::{BytesAsked, FilesAsked, HeldFiles, NodeId};
use bytes::Bytes;
use futures::future::{BoxFuture, join_all};
use futures::stream::BoxStream;
use tokio::time::{Instant, sleep};

use super::listing::{HubFile, Listing};
use super::name::Wanted;

/// Between two looks at who has what: a member that comes, or has verified another file, is of use soon.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A member that lent nothing, or less than it was asked for, is left alone for so long.
const REST: Duration = Duration::from_secs(5);

/// The members that can be reached. Every answer comes within seconds.
pub trait Members: fmt::Debug + Send + Sync {
    /// Who they are.
    fn reachable(&self) -> Vec<NodeId>;

    /// What one of them has of a repository.
    fn files(&self, member: NodeId, asked: FilesAsked) -> BoxFuture<'static, Option<HeldFiles>>;

    /// Bytes of a file that one of them has. A stream that ends too early, within seconds also where nothing comes, is broken.
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
    lenders: Mutex<Lenders>,
}

/// A member that is lending, until this is dropped.
#[derive(Debug)]
pub(super) struct Lender<'a> {
    pub(super) node: NodeId,
    mirror: &'a Mirror<'a>,
    members: &'a dyn Members,
}

/// What is known of the members. Decides whom to ask.
#[derive(Debug, Default)]
struct Lenders {
    held: BTreeMap<NodeId, HeldFiles>,
    /// How many streams each has under way.
    streams: BTreeMap<NodeId, usize>,
    rests_until: BTreeMap<NodeId, Instant>,
    never: BTreeSet<NodeId>,
}

impl<'a> Mirror<'a> {
    pub(super) fn new(members: Option<&'a dyn Members>, wanted: &'a Wanted) -> Self {
        Self {
            members,
            wanted,
            lenders: Mutex::default(),
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

    /// Asks everybody what there is of a commit.
    pub(super) async fn look(&self, commit: &str) {
        let mut held = self.ask(commit).await;
        held.retain(|(_, held)| held.commit == commit);
        self.lenders().held = held.into_iter().collect();
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

    /// The member to ask for bytes of a file, if there is one.
    pub(super) fn take(&'a self, file: &HubFile, range: &Range<u64>) -> Option<Lender<'a>> {
        let members = self.members?;
        let mut lenders = self.lenders();
        let node = lenders.choose(file, range, Instant::now())?;
        *lenders.streams.entry(node).or_default() += 1;
        drop(lenders);
        Some(Lender {
            node,
            mirror: self,
            members,
        })
    }

    /// Of these came bytes that were wrong.
    pub(super) fn never_ask_again(&self, members: &BTreeSet<NodeId>) {
        self.lenders().never.extend(members);
    }

    async fn ask(&self, revision: &str) -> Vec<(NodeId, HeldFiles)> {
        let Some(members) = self.members else {
            return Vec::new();
        };
        let asking = members.reachable().into_iter().map(|member| {
            let asked = FilesAsked {
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
    /// Asks for bytes of a file.
    pub(super) async fn bytes(
        &self,
        file: &HubFile,
        range: Range<u64>,
    ) -> Option<BoxStream<'static, Bytes>> {
        let asked = BytesAsked {
            repository: self.mirror.wanted.repository.to_string(),
            hash: file.digest.to_text(),
            size: file.size,
            range,
        };
        self.members.bytes(self.node, asked).await
    }

    /// It did not do what it was asked for.
    pub(super) fn rests(&self) {
        let until = Instant::now() + REST;
        self.mirror.lenders().rests_until.insert(self.node, until);
    }
}

impl Drop for Lender<'_> {
    fn drop(&mut self) {
        if let Some(streams) = self.mirror.lenders().streams.get_mut(&self.node) {
            *streams -= 1;
        }
    }
}

impl Lenders {
    /// Of those that have the bytes and may be asked, the one with the fewest streams under way.
    fn choose(&self, file: &HubFile, range: &Range<u64>, now: Instant) -> Option<NodeId> {
        let may = |node: &NodeId| {
            let rests = self.rests_until.get(node).is_some_and(|until| *until > now);
            !rests && !self.never.contains(node)
        };
        let hash = file.digest.to_text();
        let has = |held: &HeldFiles| {
            let mut files = held.files.iter();
            let same = files.find(|held| held.hash == hash && held.size == file.size);
            same.is_some_and(|held| held.here.iter().any(|here| covers(here, range)))
        };
        let free = self
            .held
            .iter()
            .filter(|(node, held)| may(node) && has(held));
        let streams = |node: &NodeId| self.streams.get(node).copied().unwrap_or(0);
        free.map(|(node, _)| *node)
            .min_by_key(|node| (streams(node), *node))
    }
}

fn covers(here: &Range<u64>, range: &Range<u64>) -> bool {
    here.start <= range.start && range.end <= here.end
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
    use base::HeldFile;

    use super::super::digest::Digest;
    use super::*;

    const HASH: &str = "ce013625030ba8dba906f756967f9e9ca394464a";

    fn file() -> HubFile {
        HubFile {
            name: "hello".to_owned(),
            size: 6,
            digest: Digest::git_blob(HASH).unwrap(),
        }
    }

    fn held(here: Range<u64>) -> HeldFiles {
        HeldFiles {
            commit: String::new(),
            files: vec![HeldFile {
                name: "another".to_owned(),
                size: 6,
                hash: format!("git:{HASH}"),
                here: vec![here],
            }],
        }
    }

    #[test]
    fn who_has_the_fewest_streams_is_asked_and_who_lied_never_again() {
        let node = |number: u8| NodeId([number; 32]);
        let now = Instant::now();
        let mut lenders = Lenders::default();
        assert_eq!(lenders.choose(&file(), &(0..6), now), None);
        lenders.held.insert(node(1), held(0..6));
        lenders.held.insert(node(2), held(0..6));
        lenders.held.insert(node(3), held(0..4));
        lenders.streams.insert(node(1), 2);
        lenders.streams.insert(node(2), 1);
        assert_eq!(lenders.choose(&file(), &(0..6), now), Some(node(2)));
        assert_eq!(lenders.choose(&file(), &(1..3), now), Some(node(3)));
        lenders.rests_until.insert(node(2), now + REST);
        assert_eq!(lenders.choose(&file(), &(0..6), now), Some(node(1)));
        assert_eq!(lenders.choose(&file(), &(0..6), now + REST), Some(node(2)));
        lenders.never.insert(node(2));
        assert_eq!(lenders.choose(&file(), &(0..6), now + REST), Some(node(1)));
        let mut other = file();
        other.size = 7;
        assert_eq!(lenders.choose(&other, &(0..6), now), None);
    }

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
