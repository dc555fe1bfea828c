//! What a pool holds, counted: read behind its lock from what is there, so there is nothing that could drift.
//!
//! Identities:
//! - allocations alive = `allocated` - `freed`
//! - bytes reserved = `block_bytes` + `dedicated_bytes`
//! - bytes of blocks = used + free + empty; `used_bytes` counts what suballocations occupy, their rounding included

use super::{Left, Pool, State};

/// A snapshot of one pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Allocations ever made, dedicated ones included.
    pub allocated: u64,
    /// Allocations ever freed, dedicated ones included.
    pub freed: u64,
    /// Allocations that were taken back: neither made nor freed.
    pub taken_back: u64,
    /// Bytes that suballocations occupy, rounding included.
    pub used_bytes: u64,
    /// Bytes of blocks.
    pub block_bytes: u64,
    /// Number of blocks.
    pub block_count: u64,
    /// Bytes of blocks that nothing is cut from.
    pub empty_bytes: u64,
    /// Bytes of dedicated memory objects.
    pub dedicated_bytes: u64,
    /// Number of dedicated memory objects.
    pub dedicated_count: u64,
}

impl Counts {
    /// Returns how many allocations are alive.
    pub(crate) const fn live_count(&self) -> u64 {
        self.allocated - self.freed
    }

    /// Returns how often something was allocated, whatever became of it: it never falls.
    pub(crate) const fn use_count(&self) -> u64 {
        self.allocated + self.taken_back
    }

    /// Returns the bytes alive: used ranges and dedicated memory.
    pub(crate) const fn live_bytes(&self) -> u64 {
        self.used_bytes + self.dedicated_bytes
    }

    /// Returns the bytes that nothing occupies in blocks in use: the same before and after empty blocks are given back.
    pub(crate) const fn free_bytes(&self) -> u64 {
        self.block_bytes - self.empty_bytes - self.used_bytes
    }
}

impl Pool {
    /// Counts what the pool holds.
    pub(crate) fn counts(&self) -> Counts {
        let state = self.state.lock();
        let (blocks, dedicated) = (&state.blocks, &state.dedicated);
        Counts {
            allocated: state.allocated,
            freed: state.allocated - state.live_count(),
            taken_back: state.taken_back,
            used_bytes: blocks.used_bytes(),
            block_bytes: blocks.block_bytes(),
            block_count: u64::from(blocks.block_count()),
            empty_bytes: blocks.empty_bytes(),
            dedicated_bytes: dedicated.bytes(),
            dedicated_count: dedicated.count(),
        }
    }
}

impl State {
    pub(super) fn live_count(&self) -> u64 {
        self.blocks.range_count() + self.dedicated.count()
    }

    pub(super) fn left(&self) -> Left {
        if self.live_count() == 0 { Left::Nothing } else { Left::Live }
    }
}

#[cfg(test)]
mod tests {
    use super::Counts;

    #[test]
    fn what_is_free_is_the_same_when_empty_blocks_have_gone() {
        let counts = Counts { used_bytes: 5, block_bytes: 32, empty_bytes: 16, ..Counts::default() };
        let trimmed = Counts { block_bytes: 16, empty_bytes: 0, ..counts };
        assert_eq!((counts.free_bytes(), trimmed.free_bytes()), (11, 11));
    }
}
