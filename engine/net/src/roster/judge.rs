//! Which of a roster's statements count, and who is a member by them. A pure function of the set of statements, so the
//! order in which they arrived cannot matter.

use std::collections::{BTreeMap, BTreeSet};

use base::NodeId;

use super::statement::{Hash, Statement};

/// What a set of statements comes to.
#[derive(Debug, Clone, Default)]
pub(super) struct Verdict {
    /// The membership under which each statement was made, named by the statement that began it.
    membership_of: BTreeMap<Hash, Hash>,
    /// Statements that count.
    counted: BTreeSet<Hash>,
    /// Removals that were carried out: the membership each ended, in order.
    removals: Vec<(Hash, Hash)>,
}

/// Why a set of statements is no roster.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Senseless;

/// Judges a set in which every reference is checked here: to a statement that is there, is older, and fits.
pub(super) fn judge(statements: &BTreeMap<Hash, Statement>) -> Result<Verdict, Senseless> {
    let mut by_age: Vec<&Statement> = statements.values().collect();
    by_age.sort_unstable_by_key(|statement| statement.age());
    let mut verdict = Verdict {
        membership_of: memberships(statements, &by_age)?,
        ..Verdict::default()
    };
    // Statements that a removal left to a membership; the others of it do not count.
    let mut left: BTreeMap<Hash, BTreeSet<Hash>> = BTreeMap::new();
    let mut done = BTreeSet::new();
    // Ends because each turn but the last carries out one more of finitely many removals.
    loop {
        verdict.count(&by_age, &left);
        let next = by_age
            .iter()
            .filter(|one| verdict.counted.contains(&one.hash) && !done.contains(&one.hash))
            .filter_map(|one| Some((one, one.cuts()?)))
            .min_by_key(|(one, _)| (verdict.seniority(statements, one), one.age()));
        let Some((removal, (began, last))) = next else {
            return Ok(verdict);
        };
        let until = chain(statements, began, last);
        left.entry(began)
            .and_modify(|left| left.retain(|hash| until.contains(hash)))
            .or_insert(until);
        done.insert(removal.hash);
        verdict.removals.push((removal.hash, began));
    }
}

/// Checks each statement's references, and finds the membership it was made under.
fn memberships(
    statements: &BTreeMap<Hash, Statement>,
    by_age: &[&Statement],
) -> Result<BTreeMap<Hash, Hash>, Senseless> {
    let mut found = BTreeMap::new();
    for (place, one) in by_age.iter().enumerate() {
        if place == 0 {
            // The oldest is the foundation, and its own membership.
            let alone = one.content.previous == [0; 32] && one.content.height == 0;
            if !alone
                || one.cuts().is_some()
                || one.welcomes().map(|new| new.0) != Some(one.signer())
            {
                return Err(Senseless);
            }
            found.insert(one.hash, one.hash);
            continue;
        }
        let older = |hash: &Hash| {
            let other = statements.get(hash)?;
            (other.content.height < one.content.height).then_some(other)
        };
        let previous = older(&one.content.previous).ok_or(Senseless)?;
        let membership = if previous.signer() == one.signer() {
            *found.get(&previous.hash).ok_or(Senseless)?
        } else if previous.welcomes().map(|new| new.0) == Some(one.signer()) {
            previous.hash
        } else {
            return Err(Senseless);
        };
        let fits = match (one.cuts(), one.welcomes()) {
            (Some((began, last)), _) => {
                let begins = older(&began).is_some_and(|began| began.welcomes().is_some());
                begins
                    && older(&last).is_some()
                    && (last == began || found.get(&last) == Some(&began))
            }
            // Nobody adds itself, and there is one foundation.
            (None, Some((node, _))) => node != one.signer(),
            (None, None) => false,
        };
        if !fits {
            return Err(Senseless);
        }
        found.insert(one.hash, membership);
    }
    Ok(found)
}

impl Verdict {
    /// A statement counts if what it continues does, and no removal has cut it off.
    fn count(&mut self, by_age: &[&Statement], left: &BTreeMap<Hash, BTreeSet<Hash>>) {
        let mut counted = BTreeSet::new();
        for one in by_age {
            let membership = &self.membership_of[&one.hash];
            let first = *membership == one.hash;
            let stands = left
                .get(membership)
                .is_none_or(|left| left.contains(&one.hash));
            if first || (counted.contains(&one.content.previous) && stands) {
                counted.insert(one.hash);
            }
        }
        self.counted = counted;
    }

    /// How early its signer became a member.
    fn seniority(&self, statements: &BTreeMap<Hash, Statement>, one: &Statement) -> (u32, Hash) {
        statements[&self.membership_of[&one.hash]].age()
    }

    /// The statements that began a membership which holds, oldest first.
    pub(super) fn holding<'a>(
        &'a self,
        statements: &'a BTreeMap<Hash, Statement>,
    ) -> impl Iterator<Item = &'a Statement> {
        let ended: BTreeSet<&Hash> = self.removals.iter().map(|(_, began)| began).collect();
        let mut holding: Vec<_> = self
            .counted
            .iter()
            .filter(|hash| !ended.contains(hash))
            .map(|hash| &statements[hash])
            .filter(|one| one.welcomes().is_some())
            .collect();
        holding.sort_unstable_by_key(|one| one.age());
        holding.into_iter()
    }

    /// The newest counted statement made under a membership, or its beginning.
    pub(super) fn newest(&self, statements: &BTreeMap<Hash, Statement>, began: Hash) -> Hash {
        self.counted
            .iter()
            .filter(|hash| self.membership_of[*hash] == began)
            .map(|hash| statements[hash].age())
            .max()
            .map_or(began, |(_, hash)| hash)
    }

    /// The greatest height that counts.
    pub(super) fn height(&self, statements: &BTreeMap<Hash, Statement>) -> u32 {
        let heights = self
            .counted
            .iter()
            .map(|hash| statements[hash].content.height);
        heights.max().unwrap_or(0)
    }

    /// Who ended the latest of `node`'s memberships that were ended by name.
    pub(super) fn removed_by(
        &self,
        statements: &BTreeMap<Hash, Statement>,
        node: NodeId,
    ) -> Option<NodeId> {
        let ended = self.removals.iter().rev().find(|(_, began)| {
            statements[began]
                .welcomes()
                .is_some_and(|(who, _)| who == node)
        });
        ended.map(|(removal, _)| statements[removal].signer())
    }

    /// What must be kept for the same verdict to come out again: all that counts or was carried out, and what that
    /// refers to.
    pub(super) fn needed(&self, statements: &BTreeMap<Hash, Statement>) -> BTreeSet<Hash> {
        let mut needed = BTreeSet::new();
        let carried_out = self.removals.iter().map(|(removal, _)| *removal);
        let mut next: Vec<Hash> = self.counted.iter().copied().chain(carried_out).collect();
        while let Some(hash) = next.pop() {
            let Some(one) = statements.get(&hash) else {
                continue; // what comes before the foundation
            };
            if needed.insert(hash) {
                next.push(one.content.previous);
                next.extend(
                    one.cuts()
                        .into_iter()
                        .flat_map(|(began, last)| [began, last]),
                );
            }
        }
        needed
    }
}

/// The statements from a membership's beginning to `last`.
fn chain(statements: &BTreeMap<Hash, Statement>, began: Hash, last: Hash) -> BTreeSet<Hash> {
    let mut chain = BTreeSet::from([began]);
    let mut at = last;
    // Ends because heights only go down and the beginning is below all others.
    while at != began {
        chain.insert(at);
        at = statements[&at].content.previous;
    }
    chain
}
