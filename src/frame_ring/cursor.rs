//! Cutting pieces from a chunk: the short way of a push, without the ring's lock.
//!
//! ```text
//!   chunk  [ piece ][pad][ piece ][          left         ]
//!                                 ^ position              ^ end
//! ```
//!
//! Invariants:
//! - C1: what lies from `position` to `end` was given to this frame and to no piece yet.
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

/// Where a frame's next piece comes from.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    source: Option<Source>,
    position: u64,
    end: u64,
}

/// What a cursor has not given away, of which region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tail {
    pub(super) region: Option<u32>,
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
        Self { source: Some(grant.source), position: grant.offset, end: grant.offset + grant.size }
    }

    /// Cuts a piece off; `None` where what is left has no room for it.
    #[inline]
    pub(super) fn take(&mut self, want: &Want) -> Option<Piece> {
        let source = self.source?;
        let offset = alignment::align_up(self.position, want.alignment)?;
        let end = offset.checked_add(want.size as u64).filter(|end| *end <= self.end)?;
        self.position = end;
        Some(Piece { source, offset, size: want.size })
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
        if next.left() >= self.left() {
            *self = next;
        }
        piece
    }

    /// Returns what was not given away.
    pub(super) fn tail(&self) -> Tail {
        Tail { region: self.source.map(|source| source.region), position: self.position, end: self.end }
    }

    fn left(&self) -> u64 {
        self.end - self.position
    }

    fn continues_with(&self, grant: &Grant) -> bool {
        self.end == grant.offset && self.source.is_some_and(|source| source.region == grant.source.region)
    }
}
