//! Which sequence stands where. Pure: no arrays, so that every rank comes to the same places from the same plans.

use std::collections::BTreeMap;

use infer::SlotId;

/// The shortest shelf, and the steps by which one of a sequence's own grows: rarely enough that copying is cheap, finely
/// enough that little lies idle.
const GROWTH_POSITIONS: i32 = 256;
/// Longer sequences stand alone. Up to here, shelves double in length.
const SHARED_POSITIONS_MAX: i32 = 2048;
/// Rows are added to a shelf in such numbers that they have so many positions together, or one by one. Adding copies it.
const ROWS_GROWTH_POSITIONS: i32 = 4096;

/// Names a shelf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ShelfId {
    /// Of all sequences that fit so many positions and no fewer.
    Shared(i32),
    /// Of one long sequence.
    Own(SlotId),
}

/// Where a sequence stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) shelf: ShelfId,
    pub(crate) row: i32,
}

/// How large a shelf is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) rows: i32,
    /// Of each row.
    pub(crate) positions: i32,
    /// The same in layers that see a window: no more, and whole blocks of beginnings. Position `p` is at `p` modulo that.
    pub(crate) ring: i32,
}

/// How long a sequence is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) positions: i32,
    /// The last of them that layers which see a window must hold at once.
    pub(crate) recent: i32,
}

#[derive(Debug)]
struct Shelf {
    positions: i32,
    ring: i32,
    /// Whether each row is taken.
    rows: Vec<bool>,
}

/// All shelves; none of them is empty.
#[derive(Debug)]
pub(crate) struct Shelves {
    all: BTreeMap<ShelfId, Shelf>,
    /// Positions that layers which see a window hold of a row where it stands beside others.
    ring_max: i32,
}

impl Shelves {
    /// None. Layers that see a window hold so many positions of a row where it stands beside others.
    pub(crate) const fn new(ring_max: i32) -> Self {
        Self {
            all: BTreeMap::new(),
            ring_max,
        }
    }

    /// A place for a sequence.
    pub(crate) fn enter(&mut self, slot: SlotId, extent: Extent) -> Place {
        let id = self.shelf_for(slot, extent);
        let positions = capacity(extent.positions);
        let ring = match id {
            ShelfId::Own(_) => own_ring(positions, extent),
            ShelfId::Shared(_) => positions.min(self.ring_max),
        };
        let found = self.all.entry(id).or_insert_with(|| Shelf {
            positions,
            ring,
            rows: Vec::new(),
        });
        let row = found.rows.iter().position(|taken| !taken);
        let row = row.unwrap_or_else(|| {
            let rows = found.rows.len();
            let more = (ROWS_GROWTH_POSITIONS / found.positions).clamp(1, rows.max(1) as i32);
            found.rows.resize(rows + more as usize, false);
            rows
        });
        found.rows[row] = true;
        Place {
            shelf: id,
            row: row as i32,
        }
    }

    /// Gives a place back. A shelf that is mostly free becomes smaller, one that is empty is gone.
    pub(crate) fn leave(&mut self, place: Place) {
        let Some(found) = self.all.get_mut(&place.shelf) else {
            return;
        };
        found.rows[place.row as usize] = false;
        let used = found.rows.iter().rposition(|taken| *taken);
        match used.map(|last| last + 1) {
            None => {
                self.all.remove(&place.shelf);
            }
            Some(used) if used * 4 <= found.rows.len() => found.rows.truncate(used * 2),
            Some(_) => {}
        }
    }

    /// Makes room for a sequence to become so long. If it must move for that, where to; its old place stays its own.
    pub(crate) fn grow(&mut self, slot: SlotId, place: Place, extent: Extent) -> Option<Place> {
        let fits = self.fits_beside_others(extent);
        let found = self.all.get_mut(&place.shelf)?;
        match place.shelf {
            ShelfId::Own(_) => {
                found.positions = found.positions.max(capacity(extent.positions));
                found.ring = own_ring(found.positions, extent);
                None
            }
            ShelfId::Shared(_) if fits && extent.positions <= found.positions => None,
            ShelfId::Shared(_) => Some(self.enter(slot, extent)),
        }
    }

    /// Whether there is such a shelf.
    pub(crate) fn has(&self, id: ShelfId) -> bool {
        self.all.contains_key(&id)
    }

    /// How large a shelf is; nothing if there is none.
    pub(crate) fn size(&self, id: ShelfId) -> Size {
        let found = self.all.get(&id);
        Size {
            rows: found.map_or(0, |found| found.rows.len() as i32),
            positions: found.map_or(0, |found| found.positions),
            ring: found.map_or(0, |found| found.ring),
        }
    }

    fn shelf_for(&self, slot: SlotId, extent: Extent) -> ShelfId {
        if self.fits_beside_others(extent) {
            ShelfId::Shared(capacity(extent.positions))
        } else {
            ShelfId::Own(slot)
        }
    }

    /// Whether a sequence is short, and nothing of it that is needed comes round to where something else is that is needed.
    fn fits_beside_others(&self, extent: Extent) -> bool {
        let Extent { positions, recent } = extent;
        positions <= SHARED_POSITIONS_MAX && positions.min(recent) <= self.ring_max
    }
}

/// Positions that layers which see a window hold of a sequence with a shelf of its own.
fn own_ring(positions: i32, extent: Extent) -> i32 {
    positions.min(in_growths(extent.recent))
}

fn in_growths(positions: i32) -> i32 {
    (positions + GROWTH_POSITIONS - 1) / GROWTH_POSITIONS * GROWTH_POSITIONS
}

/// Positions of a shelf for sequences of so many.
fn capacity(positions: i32) -> i32 {
    if positions > SHARED_POSITIONS_MAX {
        return in_growths(positions);
    }
    let mut capacity = GROWTH_POSITIONS;
    while capacity < positions {
        capacity *= 2;
    }
    capacity
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of which all is needed.
    fn long(positions: i32) -> Extent {
        Extent {
            positions,
            recent: positions,
        }
    }

    fn enter(shelves: &mut Shelves, slot: u32, positions: i32) -> Place {
        shelves.enter(SlotId(slot), long(positions))
    }

    #[test]
    fn sequences_of_a_length_stand_side_by_side() {
        let mut shelves = Shelves::new(i32::MAX);
        let first = enter(&mut shelves, 0, 10);
        let second = enter(&mut shelves, 1, 200);
        let longer = enter(&mut shelves, 2, 257);
        assert_eq!((first.shelf, first.row), (ShelfId::Shared(256), 0));
        assert_eq!((second.shelf, second.row), (ShelfId::Shared(256), 1));
        assert_eq!(longer.shelf, ShelfId::Shared(512));
        shelves.leave(first);
        assert_eq!(enter(&mut shelves, 3, 1), first, "the lowest free row");
    }

    #[test]
    fn who_outgrows_a_shelf_moves_and_who_is_long_stands_alone() {
        let mut shelves = Shelves::new(i32::MAX);
        let slot = SlotId(0);
        let mut place = shelves.enter(slot, long(256));
        assert_eq!(shelves.grow(slot, place, long(256)), None);
        for (positions, shelf) in [(257, ShelfId::Shared(512)), (3000, ShelfId::Own(slot))] {
            let next = shelves.grow(slot, place, long(positions)).unwrap();
            shelves.leave(place);
            assert_eq!(next.shelf, shelf);
            place = next;
        }
        assert_eq!(shelves.size(place.shelf).positions, 3072);
        assert_eq!(
            shelves.grow(slot, place, long(3073)),
            None,
            "it grows in place"
        );
        assert_eq!(shelves.size(place.shelf).positions, 3328);
        assert!(!shelves.has(ShelfId::Shared(256)), "nothing empty is kept");
    }

    #[test]
    fn a_shelf_shrinks_when_most_have_left() {
        let mut shelves = Shelves::new(i32::MAX);
        let places: Vec<Place> = (0..16).map(|slot| enter(&mut shelves, slot, 9)).collect();
        assert_eq!(shelves.size(ShelfId::Shared(256)).rows, 16);
        for place in &places[2..] {
            shelves.leave(*place);
        }
        assert_eq!(shelves.size(ShelfId::Shared(256)).rows, 4);
    }

    #[test]
    fn windows_hold_what_is_recent() {
        let mut shelves = Shelves::new(768);
        let slot = SlotId(0);
        let after = |positions, recent| Extent { positions, recent };
        let mut place = shelves.enter(slot, after(300, 300));
        assert_eq!(
            shelves.size(place.shelf).ring,
            512,
            "no more than the others"
        );
        place = shelves.grow(slot, place, after(1025, 700)).unwrap();
        assert_eq!(place.shelf, ShelfId::Shared(2048));
        assert_eq!(shelves.size(place.shelf).ring, 768);
        place = shelves.grow(slot, place, after(9000, 129)).unwrap();
        assert_eq!(shelves.size(place.shelf).ring, 256);
        assert_eq!(shelves.grow(slot, place, after(9600, 727)), None);
        assert_eq!(
            shelves.size(place.shelf).ring,
            768,
            "for so long as it is needed"
        );
    }

    #[test]
    fn who_needs_more_than_there_is_beside_others_stands_alone() {
        let mut shelves = Shelves::new(768);
        let all = long(700);
        let place = shelves.enter(SlotId(0), all);
        assert_eq!(place.shelf, ShelfId::Shared(1024));
        let recent = Extent {
            positions: 1000,
            recent: 800,
        };
        let place = shelves.grow(SlotId(0), place, recent).unwrap();
        assert_eq!(place.shelf, ShelfId::Own(SlotId(0)));
        assert_eq!(shelves.size(place.shelf).ring, 1024);
    }
}
