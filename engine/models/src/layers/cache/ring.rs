//! Where positions lie of which only the last are held: position `p` at `p` modulo what there is room for, so that a new one
//! takes the place of one that nobody sees any more. Where there is room for all, each is at its own.

use std::ops::Range;

use mlx_rs::error::Result;
use mlx_rs::{Array, ops};

use super::{POSITIONS, ROWS};
use crate::ops::{Along, slice, slice_update};

/// Where `positions` lie among `room`, in order: once, or in two pieces where they go beyond the end.
pub(super) fn pieces(positions: &Range<i32>, room: i32) -> impl Iterator<Item = Range<i32>> {
    let first = positions.start % room;
    let end = first + positions.len() as i32;
    let before = first..end.min(room);
    let after = 0..(end - room).max(0);
    [before, after]
        .into_iter()
        .filter(|piece| !piece.is_empty())
}

/// Which of so many blocks lie at each place where there is room for so many.
pub(super) fn blocks(count: usize, room: usize) -> impl Iterator<Item = usize> {
    let held = count.min(room);
    // The last of those that come to that place.
    (0..held).map(move |place| place + (count - 1 - place) / room * room)
}

/// For a query at `position`, the one that lies at each of the places of `room`; below 0 where there is none yet.
pub(super) fn held_at(position: i32, room: i32) -> impl Iterator<Item = i32> {
    (0..room).map(move |place| position - (position - place).rem_euclid(room))
}

/// These positions, in order, of some part of `[planes, rows, heads, room, dimensions]`. They are held.
pub(super) fn in_order(held: &Array, part: &[Along], positions: &Range<i32>) -> Result<Array> {
    let pieces = pieces(positions, held.dim(POSITIONS as i32));
    let pieces = pieces.map(|piece| slice(held, &[part, &[(POSITIONS, piece)]].concat()));
    let pieces: Vec<Array> = pieces.collect::<Result<_>>()?;
    match pieces.as_slice() {
        [only] => Ok(only.clone()),
        several => ops::concatenate(several, POSITIONS as i32),
    }
}

/// With `own [planes, 1, heads, positions, dimensions]` at these positions of a row. There is room for all of them.
pub(super) fn put(mut held: Array, own: &Array, row: i32, positions: &Range<i32>) -> Result<Array> {
    debug_assert!(positions.len() as i32 <= held.dim(POSITIONS as i32));
    let mut done = 0;
    for piece in pieces(positions, held.dim(POSITIONS as i32)) {
        let next = done + piece.len() as i32;
        let part = if piece.len() == positions.len() {
            own.clone()
        } else {
            slice(own, &[(POSITIONS, done..next)])?
        };
        held = slice_update(&held, &part, &[(ROWS, row..row + 1), (POSITIONS, piece)])?;
        done = next;
    }
    Ok(held)
}

/// The last of `count` positions of the one row of `[planes, 1, heads, room, dimensions]`, where there is another room.
pub(super) fn moved(held: &Array, count: i32, room: i32) -> Result<Array> {
    let mut shape = held.shape().to_vec();
    let last = (count - room.min(shape[POSITIONS])).max(0)..count;
    shape[POSITIONS] = room;
    let empty = ops::zeros_dtype(&shape, held.dtype())?;
    put(empty, &in_order(held, &[], &last)?, 0, &last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_beyond_the_end_goes_on_at_the_beginning() {
        let of = |positions: Range<i32>| {
            let pieces = pieces(&positions, 8).map(|piece| (piece.start, piece.end));
            pieces.collect::<Vec<_>>()
        };
        assert_eq!(of(2..5), [(2, 5)]);
        assert_eq!(of(0..8), [(0, 8)]);
        assert_eq!(of(13..16), [(5, 8)]);
        assert_eq!(of(14..19), [(6, 8), (0, 3)]);
    }

    #[test]
    fn the_last_blocks_lie_where_their_positions_do() {
        let of = |count, room| blocks(count, room).collect::<Vec<_>>();
        assert_eq!(of(2, 4), [0, 1]);
        assert_eq!(of(4, 4), [0, 1, 2, 3]);
        assert_eq!(of(6, 4), [4, 5, 2, 3]);
        assert_eq!(of(0, 4), [0; 0]);
    }

    #[test]
    fn each_place_holds_the_last_position_that_came_to_it() {
        let of = |position| held_at(position, 4).collect::<Vec<_>>();
        assert_eq!(of(1), [0, 1, -2, -1]);
        assert_eq!(of(3), [0, 1, 2, 3]);
        assert_eq!(of(9), [8, 9, 6, 7]);
    }
}
