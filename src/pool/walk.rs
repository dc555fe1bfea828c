//! Looking at a pool: every range, the invariants, the bytes of bookkeeping.

use super::Pool;
use crate::device::Memory;
use crate::suballocator::{RangeKey, RangeView};

/// What a walk over a pool meets.
pub(crate) trait PoolVisitor {
    /// One block.
    fn block(&mut self, region: u32, memory: &Memory);
    /// One range of a block.
    fn range(&mut self, range: &RangeView);
    /// One dedicated memory object.
    fn dedicated(&mut self, key: RangeKey, memory: &Memory);
}

impl Pool {
    /// Returns the largest range that could be cut from an existing block now, in bytes.
    pub(crate) fn largest_free_range(&self) -> u64 {
        self.state.lock().blocks.largest_free_range()
    }

    /// Visits every range of every block, and every dedicated memory object.
    pub(crate) fn walk(&self, visitor: &mut dyn PoolVisitor) {
        let state = self.state.lock();
        for (region, memory) in state.blocks.blocks() {
            visitor.block(region, memory);
        }
        state.blocks.for_each_range(&mut |range| visitor.range(range));
        for (key, object) in state.dedicated.iter() {
            visitor.dedicated(key, &object.memory);
        }
    }

    /// Returns the bytes of bookkeeping on the host.
    pub(crate) fn host_bytes(&self) -> usize {
        size_of::<Self>() + self.state.lock().blocks.host_bytes()
    }

    /// Checks every invariant of the pool.
    pub(crate) fn validate(&self) -> Result<(), String> {
        let state = self.state.lock();
        state.blocks.validate()?;
        let counted = (self.counters.used_bytes.get(), self.counters.block_bytes.get());
        let held = (state.blocks.used_bytes(), state.blocks.reserved_bytes());
        if counted != held {
            return Err(format!("pool I2: (used, reserved) counted {counted:?}, held {held:?}"));
        }
        Ok(())
    }
}
