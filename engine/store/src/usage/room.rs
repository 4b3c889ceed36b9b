//! Which models to delete for somebody who needs room: those that were not used for the longest time. Pure.

/// A model that may be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Of its files.
    pub bytes: u64,
    /// When it was last used, or else when it came, in seconds since 1970; 0 if neither is known.
    pub last_used_unix_seconds: u64,
}

/// Models that make room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Which of the candidates, those first that were not used for the longest time.
    pub chosen: Vec<usize>,
    /// What they take.
    pub bytes: u64,
    /// Whether that is as much as was needed; otherwise these are all that there are.
    pub is_enough: bool,
}

/// Chooses by age until there is room, and then leaves out what is not needed for it after all, the newest first: a large model
/// may make room alone where small older ones did not.
pub fn make_room(candidates: &[Candidate], needed_bytes: u64) -> Room {
    let mut by_age: Vec<usize> = (0..candidates.len()).collect();
    by_age.sort_by_key(|&index| candidates[index].last_used_unix_seconds);
    let (mut chosen, mut bytes) = (Vec::new(), 0_u64);
    for index in by_age {
        if bytes >= needed_bytes {
            break;
        }
        bytes = bytes.saturating_add(candidates[index].bytes);
        chosen.push(index);
    }
    let is_enough = bytes >= needed_bytes;
    let mut place = chosen.len();
    while is_enough && place > 0 {
        place -= 1;
        let without = bytes - candidates[chosen[place]].bytes;
        if without >= needed_bytes {
            chosen.remove(place);
            bytes = without;
        }
    }
    Room {
        chosen,
        bytes,
        is_enough,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(candidates: &[(u64, u64)], needed: u64) -> (Vec<usize>, u64, bool) {
        let candidate = |&(bytes, last_used_unix_seconds): &(u64, u64)| Candidate {
            bytes,
            last_used_unix_seconds,
        };
        let candidates: Vec<_> = candidates.iter().map(candidate).collect();
        let room = make_room(&candidates, needed);
        (room.chosen, room.bytes, room.is_enough)
    }

    #[test]
    fn what_was_not_used_for_the_longest_time_goes_first() {
        let all = [(10, 300), (10, 100), (10, 200)];
        assert_eq!(room(&all, 10), (vec![1], 10, true));
        assert_eq!(room(&all, 11), (vec![1, 2], 20, true));
        assert_eq!(room(&all, 0), (vec![], 0, true));
        assert_eq!(room(&all, 31), (vec![1, 2, 0], 30, false));
        assert_eq!(room(&[], 1), (vec![], 0, false));
    }

    #[test]
    fn nothing_goes_that_need_not() {
        assert_eq!(room(&[(1, 100), (100, 200)], 50), (vec![1], 100, true));
        assert_eq!(
            room(&[(30, 1), (5, 2), (30, 3)], 60),
            (vec![0, 2], 60, true)
        );
        assert_eq!(room(&[(u64::MAX, 1), (9, 2)], 9), (vec![0], u64::MAX, true));
    }
}
