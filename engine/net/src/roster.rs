//! Who belongs to a cluster: a set of statements that its members have signed with their node keys. Pure.
//!
//! **Statements.** One founds the cluster; its hash is the cluster's id. A member adds a node, or ends a membership. Each
//! statement holds the hash of the signer's one before it, the first the hash of the addition that made the signer a
//! member. So a membership is a chain of its own, every statement commits to all it builds on, and a node that is added
//! again begins a new chain.
//!
//! **Merging** is the union of two sets: commutative, associative, idempotent. Who is a member is a pure function of the
//! set (`judge`), so all who know the same statements agree, however they came.
//!
//! **Removal** names the membership it ends and the last statement of it that still counts. What else was, or will ever
//! be, signed under it is void, with all that builds on it: nothing can be slipped in later under an old date, because the
//! hash of the last statement stands for the whole chain before it. An addition that the remover has not seen is another
//! membership and stands (as in an observed-remove set).
//!
//! **Two who remove each other** at the same time cannot both be right, and a set has no clock. Removals are therefore
//! carried out in the order of their signers' seniority, and one that an earlier one has cut off is not: whoever was added
//! earlier stays. The price is known as the problem of the duelling admins (Dougal, "ERA: Epoch-Resolved Arbitration for
//! Duelling Admins in Group Management CRDTs", 2026): a removal made later and one made at the same time look alike, so
//! a removed member that is *senior to its remover* could answer with a removal of its own. [`Roster::hear`] closes the
//! door that such an answer would come in by: from a node that is no member here, nothing of its own is taken. What is
//! left is a member that has not yet heard of the removal and passes the answer on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use base::NodeId;
use thiserror::Error;
use wire::roster::{Action, BYTES_MAX, STATEMENTS_MAX};

use crate::Identity;

mod judge;
mod statement;

use judge::Verdict;
use statement::{Hash, Statement, name_of};

/// Statements that are kept free for removals: a full roster must still be able to lose members.
const RESERVED_FOR_REMOVALS: usize = STATEMENTS_MAX / 8;

/// Which cluster: the hash of the statement that founded it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClusterId(pub [u8; 32]);

/// A member of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub node: NodeId,
    /// Its name when it was added. Outside input: cleaned and at most 64 bytes.
    pub name: String,
    /// Who added it; the founder has itself.
    pub added_by: NodeId,
}

/// What a node is to a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It belongs to it.
    Member,
    /// It once did.
    Former,
    /// Never heard of it.
    Unknown,
}

/// Why a roster could not be read or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RosterError {
    /// The bytes are no roster, or a signature is wrong.
    #[error("that is no roster, or not all of it is signed (hint: pair this computer again)")]
    Malformed,
    /// It is another cluster's.
    #[error("that roster is of another cluster")]
    OtherCluster,
    /// Who signs, or sends, is no member.
    #[error("only a member of the cluster can change its roster")]
    NotMember,
    /// Who is to be removed is no member.
    #[error("that computer is not in the cluster")]
    NotThere,
    /// Who is to be added is one already.
    #[error("that computer is in the cluster already")]
    AlreadyMember,
    /// This node is about to stop.
    #[error("this computer is leaving")]
    Leaving,
    /// There is no room for another statement.
    #[error("the cluster's history is full (hint: leave it on every computer and pair them again)")]
    Full,
}

/// Who belongs to one cluster. Every statement in it has been verified.
#[derive(Clone)]
pub struct Roster {
    cluster: ClusterId,
    statements: BTreeMap<Hash, Statement>,
    verdict: Verdict,
}

impl Roster {
    /// A new cluster with one member. `salt` is random: it makes this cluster another one than any before.
    #[expect(
        clippy::missing_panics_doc,
        reason = "one statement that refers to nothing always makes sense"
    )]
    pub fn found(founder: &Identity, name: &str, salt: [u8; 16]) -> Self {
        let name = name_of(name);
        let first = Statement::sign(founder, [0; 32], 0, Action::Found { name, salt });
        let statements = BTreeMap::from([(first.hash, first)]);
        Self::of(statements).expect("a foundation alone makes sense")
    }

    /// Which cluster it is of.
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// The members, in the order in which they were added. One that was added more than once is there once.
    pub fn members(&self) -> Vec<Member> {
        let mut members: Vec<Member> = Vec::new();
        for began in self.verdict.holding(&self.statements) {
            let Some((node, name)) = began.welcomes() else {
                continue;
            };
            let added_by = began.signer();
            match members.iter_mut().find(|known| known.node == node) {
                Some(known) => known.name = name,
                None => members.push(Member {
                    node,
                    name,
                    added_by,
                }),
            }
        }
        members
    }

    /// Whether `node` belongs to the cluster.
    pub fn is_member(&self, node: NodeId) -> bool {
        self.membership(node).is_some()
    }

    /// Who removed `node`, if it is a member no longer and somebody did so by name.
    pub fn removed_by(&self, node: NodeId) -> Option<NodeId> {
        let removed = self.verdict.removed_by(&self.statements, node);
        removed.filter(|_| !self.is_member(node))
    }

    /// The name under which a node was added last, whether or not it still belongs to the cluster.
    pub fn name_of(&self, node: NodeId) -> Option<String> {
        let named = self.statements.values().filter_map(|one| {
            let (who, name) = one.welcomes()?;
            (who == node).then(|| (one.age(), name))
        });
        named.max().map(|(_, name)| name)
    }

    /// Adds a node in the name of `signer`.
    pub fn add(&mut self, signer: &Identity, node: NodeId, name: &str) -> Result<(), RosterError> {
        if self.is_member(node) {
            return Err(RosterError::AlreadyMember);
        }
        let action = Action::Add {
            node: node.0,
            name: name_of(name),
        };
        if self.statements.len() >= STATEMENTS_MAX - RESERVED_FOR_REMOVALS {
            return Err(RosterError::Full);
        }
        self.state(signer, action)
    }

    /// Removes a node in the name of `signer`, which may be the node itself. It need not be reachable.
    pub fn remove(&mut self, signer: &Identity, node: NodeId) -> Result<(), RosterError> {
        if !self.is_member(signer.node_id()) {
            return Err(RosterError::NotMember);
        }
        let mut changed = self.clone();
        if !changed.is_member(node) {
            return Err(RosterError::NotThere);
        }
        // Two members may have added it at the same time; one's own first membership goes last, it signs for the others.
        while let Some(began) = changed.last_membership(node) {
            let last = changed.verdict.newest(&changed.statements, began);
            changed.state(signer, Action::Remove { began, last })?;
        }
        *self = changed;
        Ok(())
    }

    /// Takes in what another roster of the same cluster knows; whether there was anything new.
    pub fn merge(&mut self, other: &Self) -> Result<bool, RosterError> {
        if other.cluster != self.cluster {
            return Err(RosterError::OtherCluster);
        }
        let new = |one: &&Statement| !self.statements.contains_key(&one.hash);
        let new: Vec<Statement> = other.statements.values().filter(new).cloned().collect();
        self.take(new)
    }

    /// Takes in a roster that `from` has sent. One that is no member here may show that others have made it one; what it
    /// says itself, and what builds on that, is not listened to.
    pub fn hear(&mut self, theirs: &Self, from: NodeId) -> Result<bool, RosterError> {
        if theirs.cluster != self.cluster {
            return Err(RosterError::OtherCluster);
        }
        if self.is_member(from) {
            return self.merge(theirs);
        }
        let mut believed: BTreeSet<Hash> = self.statements.keys().copied().collect();
        let mut by_age: Vec<&Statement> = theirs.statements.values().collect();
        by_age.sort_unstable_by_key(|one| one.age());
        let mut new = Vec::new();
        for one in by_age {
            let mut builds_on = vec![one.content.previous];
            builds_on.extend(
                one.cuts()
                    .into_iter()
                    .flat_map(|(began, last)| [began, last]),
            );
            let sound =
                one.signer() != from && builds_on.iter().all(|hash| believed.contains(hash));
            if sound && believed.insert(one.hash) {
                new.push(one.clone());
            }
        }
        let mut heard = self.clone();
        let changed = heard.take(new)?;
        if !heard.is_member(from) {
            return Err(RosterError::NotMember);
        }
        *self = heard;
        Ok(changed)
    }

    /// What `node` is to this cluster.
    pub fn standing(&self, node: NodeId) -> Standing {
        let named = |one: &Statement| one.welcomes().is_some_and(|(who, _)| who == node);
        if self.is_member(node) {
            Standing::Member
        } else if self.statements.values().any(named) {
            Standing::Former
        } else {
            Standing::Unknown
        }
    }

    /// Its bytes, for a file or a peer.
    #[expect(
        clippy::missing_panics_doc,
        reason = "a roster never has more than fits, and names are cut"
    )]
    pub fn to_bytes(&self) -> Vec<u8> {
        let statements = self.statements.values().map(Statement::to_wire).collect();
        wire::roster::to_bytes(statements).expect("as many of the longest statements fit")
    }

    /// The roster of these bytes, if every statement in it is signed and refers to others in it. Checking signatures
    /// takes some 50 µs each.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RosterError> {
        let read = wire::roster::from_bytes(bytes).map_err(|_| RosterError::Malformed)?;
        let mut statements = BTreeMap::new();
        for one in read {
            // The first wrong one ends it, so that a liar costs one check.
            let one = Statement::verify(one).ok_or(RosterError::Malformed)?;
            statements.insert(one.hash, one);
        }
        Self::of(statements)
    }

    /// The greatest number of bytes that a roster has.
    pub const BYTES_MAX: usize = BYTES_MAX;

    fn of(statements: BTreeMap<Hash, Statement>) -> Result<Self, RosterError> {
        let verdict = judge::judge(&statements).map_err(|_| RosterError::Malformed)?;
        let foundation = statements.values().min_by_key(|one| one.age());
        let cluster = ClusterId(foundation.ok_or(RosterError::Malformed)?.hash);
        Ok(Self {
            cluster,
            statements,
            verdict,
        })
    }

    /// The membership of `node` that holds longest.
    fn membership(&self, node: NodeId) -> Option<Hash> {
        self.memberships(node).next()
    }

    fn last_membership(&self, node: NodeId) -> Option<Hash> {
        self.memberships(node).last()
    }

    fn memberships(&self, node: NodeId) -> impl Iterator<Item = Hash> {
        self.verdict
            .holding(&self.statements)
            .filter(move |began| began.welcomes().is_some_and(|(who, _)| who == node))
            .map(|began| began.hash)
    }

    /// Makes a statement in the name of `signer`.
    fn state(&mut self, signer: &Identity, action: Action) -> Result<(), RosterError> {
        let began = self.membership(signer.node_id());
        let began = began.ok_or(RosterError::NotMember)?;
        let previous = self.verdict.newest(&self.statements, began);
        let height = self.verdict.height(&self.statements).checked_add(1);
        let height = height.ok_or(RosterError::Full)?;
        let new = Statement::sign(signer, previous, height, action);
        self.take(vec![new]).map(|_| ())
    }

    /// Takes in statements that refer only to each other and to what is here. If there is no room, what no longer counts
    /// makes room.
    fn take(&mut self, new: Vec<Statement>) -> Result<bool, RosterError> {
        if new.is_empty() {
            return Ok(false);
        }
        let mut all = self.statements.clone();
        all.extend(new.into_iter().map(|one| (one.hash, one)));
        let mut whole = Self::of(all)?;
        if whole.statements.len() > STATEMENTS_MAX {
            let needed = whole.verdict.needed(&whole.statements);
            let mut kept = whole.statements;
            kept.retain(|hash, _| needed.contains(hash));
            if kept.len() > STATEMENTS_MAX {
                return Err(RosterError::Full);
            }
            whole = Self::of(kept)?;
        }
        let changed = !whole.statements.keys().eq(self.statements.keys());
        *self = whole;
        Ok(changed)
    }
}

impl PartialEq for Roster {
    fn eq(&self, other: &Self) -> bool {
        self.statements.keys().eq(other.statements.keys())
    }
}

impl Eq for Roster {}

impl fmt::Debug for Roster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self
            .members()
            .into_iter()
            .map(|member| member.name)
            .collect();
        write!(f, "Roster({names:?}, {} statements)", self.statements.len())
    }
}

#[cfg(test)]
mod tests;
