//! Cutting pieces from a chunk: the short way of a push, without a lock.
//!
//! ```text
//!   chunk  [ piece ][pad][ piece ][          left         ]
//!                                 ^ position              ^ end
//! ```
//!
//! Whoever writes has a cursor alone: to cut is to align, to compare and to add.
//!
//! Invariants:
//! - C1: what lies from `position` to `end` was given to this frame, and to no piece and no other cursor.
//! - C2: a piece never overlaps another, and lies inside its chunk.

use super::alignment;
use super::block::{Piece, Source};
use super::error::FrameRingError;
use super::sizing::Sizing;

/// What a push asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Want {
    /// Bytes; above 0.
    pub(super) size: usize,
    /// The offset is a multiple of this; above 0, and any number.
    pub(super) alignment: u64,
    /// A chunk of so many bytes has room for it wherever it lies: whole units.
    pub(super) chunk: u64,
}

/// A range of a block that was given to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) source: Source,
    pub(super) offset: u64,
    pub(super) size: u64,
}

/// Where the next piece comes from. By default it has nothing to give.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    source: Source,
    position: u64,
    end: u64,
}

/// What a cursor has not given away, of which region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tail {
    pub(super) region: u32,
    pub(super) position: u64,
    pub(super) end: u64,
}

impl Want {
    /// Checks a push and finds the chunk that would hold it.
    ///
    /// # Errors
    /// `ZeroSize`, `BadAlignment`, `TooLarge`.
    pub(super) fn new(size: u64, asked: u64, (usage, sizing): (u64, &Sizing)) -> Result<Self, FrameRingError> {
        if size == 0 {
            return Err(FrameRingError::ZeroSize);
        }
        let limit = sizing.limit.min(sizing.block_limit);
        let alignment = alignment::combine(usage, asked).ok_or(FrameRingError::BadAlignment { asked, usage })?;
        // A chunk begins at a multiple of the unit, which may be none of the alignment.
        let padding = alignment::padding(sizing.unit, alignment);
        let padded = size.checked_add(padding).and_then(|bytes| bytes.checked_next_multiple_of(sizing.unit));
        let too_large = FrameRingError::TooLarge { size, alignment, limit };
        match (padded.filter(|chunk| *chunk <= limit), usize::try_from(size)) {
            (Some(chunk), Ok(size)) => Ok(Self { size, alignment, chunk }),
            _ => Err(too_large),
        }
    }
}

impl Cursor {
    fn of(grant: &Grant) -> Self {
        Self { source: grant.source, position: grant.offset, end: grant.offset + grant.size }
    }

    /// Cuts a piece off at a multiple of both alignments, of which that of the usage is a power of two. `None` where
    /// what is left has no room for it, and for whatever [`Want::new`] must look at: no bytes, or an alignment that is
    /// no power of two.
    #[inline]
    pub(super) fn cut(&mut self, size: u64, alignment: u64, usage: u64) -> Option<Piece> {
        if !alignment.is_power_of_two() {
            return None;
        }
        let mask = (alignment - 1) | (usage - 1);
        // No sum of a place in a block (below 2^45) and less than 2^63 overflows.
        let offset = (self.position + mask) & !mask;
        let room = self.end.checked_sub(offset)?;
        // Nothing is as good as too much.
        if size.wrapping_sub(1) >= room {
            return None;
        }
        self.position = offset + size;
        #[expect(clippy::cast_possible_truncation, reason = "part of a mapped block, which fits the address space")]
        let size = size as usize;
        Some(Piece { source: self.source, offset, size })
    }

    /// Cuts off a piece of any kind; `None` where what is left has no room for it.
    pub(super) fn take(&mut self, want: &Want) -> Option<Piece> {
        let offset = alignment::align_up(self.position, want.alignment)?;
        let end = offset.checked_add(want.size as u64).filter(|end| *end <= self.end)?;
        self.position = end;
        Some(Piece { source: self.source, offset, size: want.size })
    }

    /// Cuts a piece off a chunk that was taken for it, and goes on with what is left of the larger of the two.
    ///
    /// A chunk that continues the present one is joined to it: then nothing is left behind.
    pub(super) fn refill(&mut self, grant: &Grant, want: &Want) -> Piece {
        let mut next = Self::of(grant);
        if self.continues_with(grant) {
            (next.position, self.position) = (self.position, self.end);
        }
        let piece = next.take(want).expect("C2: a chunk has room for the push that it was taken for");
        self.keep_larger(next);
        piece
    }

    /// Goes on with another one's chunk where more is left of that.
    pub(super) fn keep_larger(&mut self, other: Self) {
        if other.left() >= self.left() {
            *self = other;
        }
    }

    /// Returns what was not given away.
    pub(super) fn tail(&self) -> Tail {
        Tail { region: self.source.region, position: self.position, end: self.end }
    }

    fn left(&self) -> u64 {
        self.end - self.position
    }

    fn continues_with(&self, grant: &Grant) -> bool {
        self.end == grant.offset && self.source.region == grant.source.region
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_goes_on_with_the_larger_rest() {
        let cursor = |offset, size| Cursor::of(&Grant { source: Source::default(), offset, size });
        let rest = |cursor: &Cursor| (cursor.position, cursor.end);
        let mut own = cursor(0, 100);
        own.keep_larger(cursor(1000, 99));
        assert_eq!(rest(&own), (0, 100));
        own.keep_larger(cursor(1000, 101));
        assert_eq!(rest(&own), (1000, 1101));
    }

    /// What a chunk continues is lost to nobody: a piece may begin in the one and end in the other.
    #[test]
    fn a_chunk_that_continues_another_is_joined_to_it() {
        let grant = |offset| Grant { source: Source::default(), offset, size: 100 };
        let want = Want { size: 90, alignment: 1, chunk: 100 };
        for (offset, begins_at) in [(100, 40), (200, 200)] {
            let mut own = Cursor::of(&grant(0));
            own.cut(40, 1, 1).expect("there is room");
            assert_eq!(own.refill(&grant(offset), &want).offset, begins_at, "a chunk at {offset}");
        }
    }

    /// The short way cuts what the longer one would.
    #[test]
    fn a_piece_is_cut_at_a_multiple_of_both_alignments() {
        for (size, alignment, usage, offset) in [(10, 1, 1, 7), (10, 8, 1, 8), (10, 1, 16, 16), (10, 32, 4, 32)] {
            let mut own = Cursor { source: Source::default(), position: 7, end: 64 };
            let piece = own.cut(size, alignment, usage).expect("there is room");
            assert_eq!((piece.offset, piece.size, own.position), (offset, 10, offset + size));
        }
        let mut own = Cursor { source: Source::default(), position: 7, end: 64 };
        assert!(
            [(0, 1), (58, 1), (10, 3), (1, 64)].iter().all(|&(size, alignment)| own.cut(size, alignment, 1).is_none())
        );
        assert_eq!(own.cut(57, 1, 1).map(|piece| piece.offset), Some(7), "what just fits");
    }
}
