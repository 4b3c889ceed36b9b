//! Who has been seen, and what is news about it. Bounded, because anyone on the network can be seen. Pure.

use std::collections::BTreeMap;

use crate::Sighting;
use crate::limits::SIGHTINGS_MAX;
use crate::session::call::Target;

/// No further node can be shown.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// What is known of everyone seen.
#[derive(Debug, Default)]
pub(crate) struct Sightings {
    seen: BTreeMap<Target, Sighting>,
}

impl Sightings {
    /// Takes in a sighting; gives it back if it is news.
    pub(crate) fn see(
        &mut self,
        target: &Target,
        sighting: Sighting,
    ) -> Result<Option<Sighting>, Full> {
        match self.seen.get(target) {
            Some(known) if *known == sighting => return Ok(None),
            None if self.seen.len() >= SIGHTINGS_MAX => return Err(Full),
            Some(_) | None => {}
        }
        self.seen.insert(target.clone(), sighting.clone());
        Ok(Some(sighting))
    }

    /// Notes why someone seen is not linked; gives the sighting if that is news.
    pub(crate) fn lock(&mut self, target: &Target, reason: String) -> Option<Sighting> {
        let known = self.seen.get_mut(target)?;
        if known.locked.as_ref() == Some(&reason) {
            return None;
        }
        known.locked = Some(reason);
        Some(known.clone())
    }

    pub(crate) fn lock_of(&self, target: &Target) -> Option<String> {
        self.seen.get(target)?.locked.clone()
    }

    /// Everyone seen.
    pub(crate) fn all(&self) -> Vec<(Target, Sighting)> {
        let seen = self.seen.iter();
        seen.map(|(target, sighting)| (target.clone(), sighting.clone()))
            .collect()
    }

    pub(crate) fn get(&self, target: &Target) -> Option<&Sighting> {
        self.seen.get(target)
    }

    pub(crate) fn remove(&mut self, target: &Target) -> Option<Sighting> {
        self.seen.remove(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sighting(name: &str) -> Sighting {
        Sighting {
            node: None,
            name: name.to_owned(),
            cluster_name: String::new(),
            address: name.to_owned(),
            belongs: crate::Belonging::Unknown,
            locked: None,
        }
    }

    #[test]
    fn only_news_is_told() {
        let mut sightings = Sightings::default();
        let target = Target::Given("a".into());
        assert_eq!(
            sightings.see(&target, sighting("a")),
            Ok(Some(sighting("a")))
        );
        assert_eq!(sightings.see(&target, sighting("a")), Ok(None));
        assert!(sightings.lock(&target, "no".into()).is_some());
        assert!(sightings.lock(&target, "no".into()).is_none());
        assert_eq!(
            sightings.see(&target, sighting("a")),
            Ok(Some(sighting("a"))),
            "open again"
        );
    }

    #[test]
    fn a_crowd_does_not_grow_it_without_end() {
        let mut sightings = Sightings::default();
        for number in 0..SIGHTINGS_MAX {
            assert!(
                sightings
                    .see(&Target::Given(number.to_string()), sighting("x"))
                    .is_ok()
            );
        }
        assert_eq!(
            sightings.see(&Target::Given("more".into()), sighting("x")),
            Err(Full)
        );
    }
}
