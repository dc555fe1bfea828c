//! *Policy*: how large chunks and blocks are, and when a ring takes another shape. Pure functions of plain data.
//!
//! ```text
//!   growth      a block is as large as all others together: n blocks hold 2^n times the first
//!   reshape     after 24 and 48 frames, then every 120, from the most that was in use in this window and the last:
//!                 several blocks   ─► one that is large enough; the others go when nothing of them is in use
//!                 one block, four times too large ─► a smaller one
//! ```
//!
//! Invariants, for every input:
//! - I1: a block holds the chunk that opens it, and all blocks together stay within the limit.
//! - I2: a smaller retry is strictly smaller and still holds the chunk.
//! - I3: the shape that a reshape leads to is kept by the next one, as long as demand stays: it cannot go to and fro.

/// How many frames are watched before the shape of a ring is judged. Taste: two seconds at 60 frames each second.
const WINDOW: u64 = 120;

/// The first windows are short, so that a ring that had to grow has settled before its 60th frame.
const FIRST_WINDOW: u64 = 24;
const FIRST_WINDOW_COUNT: u32 = 2;

/// Replaced blocks are whole multiples of this, in bytes. Taste: what `block::growth` steps in.
const PAGE: u64 = 64 << 10;

/// A frame takes its bytes from the ring in chunks, and the ring's lock is taken once for each. Taste: a 16th of a
/// frame's share of the ring may be left unused, by each writer. 1 MiB: a chunk costs 850 instructions to take and to
/// give back (callgrind, November 2026), so that pieces of 10 KiB pay 9 each.
const CHUNKS_PER_FRAME: u64 = 16;
const CHUNK_MIN: u64 = 1 << 10;
const CHUNK_MAX: u64 = 1 << 20;

/// A block that is this many times too large is replaced.
const TOO_LARGE: u64 = 4;

/// What never changes about a ring's sizes, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizing {
    /// Chunks and blocks begin and end at multiples of this: a power of two, and whole atoms.
    pub(super) unit: u64,
    /// The first block, and the smallest that a ring shrinks to.
    pub(super) first: u64,
    /// The most that all blocks may have.
    pub(super) limit: u64,
    /// The most that one block may have: the largest buffer and the largest memory object.
    pub(super) block_limit: u64,
    /// How many frames may be in flight.
    pub(super) frame_count: u64,
}

/// What was in use during the last windows, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Demand {
    peak: u64,
    largest: u64,
    earlier_peak: u64,
    earlier_largest: u64,
    frame_count: u64,
    window_count: u32,
}

/// What to do about the shape of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reshape {
    /// Nothing.
    Keep,
    /// Keep the block of this number, and let the others go.
    KeepOnly(u32),
    /// Open a block of so many bytes, and let all others go.
    Replace(u64),
}

impl Sizing {
    /// Returns the size of the chunk that a frame takes where it needs `needed` bytes of a ring of `capacity`.
    pub(super) fn chunk_size(&self, needed: u64, capacity: u64) -> u64 {
        let share = capacity / self.frame_count.saturating_mul(CHUNKS_PER_FRAME).max(1);
        needed.max(self.round_down(share.clamp(CHUNK_MIN, CHUNK_MAX)).max(self.unit))
    }

    /// Returns the size of the next block beside `capacity` bytes, for a chunk of `needed`; `None` where it would
    /// exceed the limit (I1).
    pub(super) fn block_size(&self, needed: u64, capacity: u64) -> Option<u64> {
        let left = self.limit.checked_sub(capacity)?;
        let wanted = needed.max(capacity).max(self.first);
        let size = self.round_down(wanted.min(left).min(self.block_limit));
        (size >= needed && size > 0).then_some(size)
    }

    /// Returns the next smaller block to ask for after a refusal; `None` where none would hold the chunk (I2).
    pub(super) fn smaller(&self, refused: u64, needed: u64) -> Option<u64> {
        let next = self.round_down(refused / 2).max(needed);
        (next < refused).then_some(next)
    }

    /// Judges the shape of a ring, by its blocks (number and size) and its demand.
    pub(super) fn reshape(&self, blocks: impl Iterator<Item = (u32, u64)> + Clone, demand: &Demand) -> Reshape {
        let target = self.target(demand);
        let capacity: u64 = blocks.clone().map(|(_, size)| size).sum();
        let is_allowed = capacity.checked_add(target).is_some_and(|sum| sum <= self.limit);
        let replace = if is_allowed { Reshape::Replace(target) } else { Reshape::Keep };
        let large_enough = blocks.clone().filter(|&(_, size)| size >= target).min_by_key(|&(_, size)| size);
        match (blocks.count(), large_enough) {
            (1, Some((_, size))) if size / TOO_LARGE >= target => replace,
            (0 | 1, _) => Reshape::Keep,
            (_, Some((number, _))) => Reshape::KeepOnly(number),
            (_, None) => replace,
        }
    }

    /// Returns the size of the one block that would serve a demand: half more than the peak, and room for the largest
    /// chunk beside it, which may not fit in front of the block's end.
    fn target(&self, demand: &Demand) -> u64 {
        let peak = demand.peak.max(demand.earlier_peak);
        let largest = demand.largest.max(demand.earlier_largest);
        let wanted = peak.saturating_add(peak / 2).saturating_add(largest);
        let pages = wanted.checked_next_multiple_of(PAGE.max(self.unit)).unwrap_or(u64::MAX);
        self.round_down(pages.max(self.first).min(self.limit).min(self.block_limit))
    }

    fn round_down(&self, bytes: u64) -> u64 {
        bytes & !(self.unit - 1)
    }
}

impl Demand {
    /// Records that a chunk was taken, and what is in use now.
    pub(super) fn note_chunk(&mut self, size: u64, in_use: u64) {
        self.peak = self.peak.max(in_use);
        self.largest = self.largest.max(size);
    }

    /// Counts a frame; returns whether a window has passed.
    pub(super) fn note_frame(&mut self) -> bool {
        self.frame_count += 1;
        self.frame_count >= if self.window_count < FIRST_WINDOW_COUNT { FIRST_WINDOW } else { WINDOW }
    }

    /// Begins another window, with so many bytes in use.
    pub(super) fn next_window(&mut self, in_use: u64) {
        let (earlier_peak, earlier_largest) = (self.peak, self.largest);
        let window_count = self.window_count.saturating_add(1);
        *self = Self { peak: in_use, largest: 0, earlier_peak, earlier_largest, frame_count: 0, window_count };
    }
}

#[cfg(test)]
mod tests;
