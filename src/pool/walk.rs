//! Looking at a pool: every range, the invariants, the bytes of bookkeeping.

use super::Pool;
#[cfg(all(test, debug_assertions, not(loom)))]
use super::State;
#[cfg(all(test, debug_assertions, not(loom)))]
use crate::block::block_list::BlockList;
use crate::device::Memory;
use crate::suballocator::{RangeKey, RangeView};

/// What a walk over a pool meets.
pub(crate) trait PoolVisitor {
    /// One block.
    fn block(&mut self, memory: &Memory);
    /// One range of the block met last.
    fn range(&mut self, range: &RangeView);
    /// One dedicated memory object.
    fn dedicated(&mut self, key: RangeKey, memory: &Memory);
}

impl Pool {
    /// Returns the largest range that could be cut from an existing block now, in bytes.
    pub(crate) fn largest_free_range(&self) -> u64 {
        self.state.lock().blocks.largest_free_range()
    }

    /// Returns the same if these blocks, empty now, were given back.
    pub(crate) fn largest_free_range_without(&self, regions: &[u32]) -> u64 {
        self.state.lock().blocks.largest_free_range_without(regions)
    }

    /// Returns the largest slot that a request of its size would be given now, in bytes; 0 for none.
    pub(crate) fn largest_free_slot(&self) -> u64 {
        self.state.lock().blocks.largest_free_slot()
    }

    /// Visits every range of every block, and every dedicated memory object.
    pub(crate) fn walk(&self, visitor: &mut dyn PoolVisitor) {
        let state = self.state.lock();
        let mut blocks = state.blocks.blocks().peekable();
        state.blocks.for_each_range(&mut |range| {
            // A block has a range at least, and both come in the order of their regions (block list I1).
            if let Some((_, memory)) = blocks.next_if(|&(region, _)| region == range.region) {
                visitor.block(memory);
            }
            visitor.range(&range);
        });
        for (key, object) in state.dedicated.iter() {
            visitor.dedicated(key, &object.memory);
        }
    }

    /// Returns the bytes of bookkeeping on the host.
    pub(crate) fn host_bytes(&self) -> usize {
        let state = self.state.lock();
        size_of::<Self>() + state.blocks.host_bytes() + state.dedicated.host_bytes()
    }

    /// Checks every invariant of the pool.
    pub(crate) fn validate(&self) -> Result<(), String> {
        let state = self.state.lock();
        state.blocks.validate()?;
        state.dedicated.validate()?;
        let live_count = state.live_count();
        if live_count > state.allocated {
            return Err(format!("pool I2: {live_count} allocations are alive, {} were ever made", state.allocated));
        }
        Ok(())
    }
}

#[cfg(all(test, debug_assertions, not(loom)))]
impl Pool {
    /// Lets a test break what the pool holds and counts, to see what is said of it.
    pub(crate) fn tamper(&self, change: impl FnOnce(&mut BlockList, &mut u64)) {
        let mut state = self.state.lock();
        let State { blocks, allocated, .. } = &mut *state;
        change(blocks, allocated);
    }
}
