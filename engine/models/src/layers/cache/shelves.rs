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
}

#[derive(Debug)]
struct Shelf {
    positions: i32,
    /// Whether each row is taken.
    rows: Vec<bool>,
}

/// All shelves; none of them is empty.
#[derive(Debug, Default)]
pub(crate) struct Shelves(BTreeMap<ShelfId, Shelf>);

impl Shelves {
    /// A place for a sequence of so many positions.
    pub(crate) fn enter(&mut self, slot: SlotId, positions: i32) -> Place {
        let id = shelf_for(slot, positions);
        let found = self.0.entry(id).or_insert_with(|| Shelf {
            positions: capacity(positions),
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
        let Some(found) = self.0.get_mut(&place.shelf) else {
            return;
        };
        found.rows[place.row as usize] = false;
        let used = found.rows.iter().rposition(|taken| *taken);
        match used.map(|last| last + 1) {
            None => {
                self.0.remove(&place.shelf);
            }
            Some(used) if used * 4 <= found.rows.len() => found.rows.truncate(used * 2),
            Some(_) => {}
        }
    }

    /// Makes room for a sequence to have so many positions. If it must move for that, where to; its old place stays its own.
    pub(crate) fn grow(&mut self, slot: SlotId, place: Place, positions: i32) -> Option<Place> {
        let found = self.0.get_mut(&place.shelf)?;
        if positions <= found.positions {
            return None;
        }
        match place.shelf {
            ShelfId::Own(_) => {
                found.positions = capacity(positions);
                None
            }
            ShelfId::Shared(_) => Some(self.enter(slot, positions)),
        }
    }

    /// Whether there is such a shelf.
    pub(crate) fn has(&self, id: ShelfId) -> bool {
        self.0.contains_key(&id)
    }

    /// How large a shelf is; nothing if there is none.
    pub(crate) fn size(&self, id: ShelfId) -> Size {
        let found = self.0.get(&id);
        Size {
            rows: found.map_or(0, |found| found.rows.len() as i32),
            positions: found.map_or(0, |found| found.positions),
        }
    }
}

fn shelf_for(slot: SlotId, positions: i32) -> ShelfId {
    if positions > SHARED_POSITIONS_MAX {
        ShelfId::Own(slot)
    } else {
        ShelfId::Shared(capacity(positions))
    }
}

/// Positions of a shelf for sequences of so many.
fn capacity(positions: i32) -> i32 {
    if positions > SHARED_POSITIONS_MAX {
        return (positions + GROWTH_POSITIONS - 1) / GROWTH_POSITIONS * GROWTH_POSITIONS;
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

    fn enter(shelves: &mut Shelves, slot: u32, positions: i32) -> Place {
        shelves.enter(SlotId(slot), positions)
    }

    #[test]
    fn sequences_of_a_length_stand_side_by_side() {
        let mut shelves = Shelves::default();
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
        let mut shelves = Shelves::default();
        let slot = SlotId(0);
        let mut place = shelves.enter(slot, 256);
        assert_eq!(shelves.grow(slot, place, 256), None);
        for (positions, shelf) in [(257, ShelfId::Shared(512)), (3000, ShelfId::Own(slot))] {
            let next = shelves.grow(slot, place, positions).unwrap();
            shelves.leave(place);
            assert_eq!(next.shelf, shelf);
            place = next;
        }
        assert_eq!(shelves.size(place.shelf).positions, 3072);
        assert_eq!(shelves.grow(slot, place, 3073), None, "it grows in place");
        assert_eq!(shelves.size(place.shelf).positions, 3328);
        assert!(!shelves.has(ShelfId::Shared(256)), "nothing empty is kept");
    }

    #[test]
    fn a_shelf_shrinks_when_most_have_left() {
        let mut shelves = Shelves::default();
        let places: Vec<Place> = (0..16).map(|slot| enter(&mut shelves, slot, 9)).collect();
        assert_eq!(shelves.size(ShelfId::Shared(256)).rows, 16);
        for place in &places[2..] {
            shelves.leave(*place);
        }
        assert_eq!(shelves.size(ShelfId::Shared(256)).rows, 4);
    }
}
