//! The blocks of a pool under one index.
//!
//! ```text
//!   suballocator   region 0 | region 1 | region 2 ...    free ranges of all regions in the same lists
//!   blocks         Memory 0 | Memory 1 |   none   ...    by region number
//! ```
//!
//! Invariants:
//! - I1: `blocks[r]` is some block exactly where the suballocator has region `r`, and they have the same size.
//! - I2: `block_bytes` is the sum of the blocks' sizes.
//! - I3: only a block whose region is empty is taken out.
//! - I4: `sites[r]` repeats handle and mapping of `blocks[r]`: a line of them serves four blocks.
//!
//! Choosing a block is no step of its own: the suballocator searches the ranges of all blocks at once.

use crate::device::{Memory, Site};
use crate::suballocator::{Freed, RangeKey, RangeView, Request, StaleKey, Suballocation, Suballocator};

/// One device-memory object that is suballocated.
#[derive(Debug)]
struct Block {
    memory: Memory,
    /// The tick at which the block became empty; meaningless while it is in use.
    emptied_at: u64,
}

/// A range cut from a block, with what a user needs to reach it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    pub site: Site,
    pub range: Suballocation,
}

/// All blocks of a pool.
#[derive(Debug)]
pub(crate) struct BlockList {
    suballocator: Suballocator,
    blocks: Vec<Option<Block>>,
    /// By region, as `blocks` (I4).
    sites: Vec<Site>,
    block_bytes: u64,
    count: u32,
}

impl BlockList {
    /// Creates a list without blocks.
    pub(crate) fn new(suballocator: Suballocator) -> Self {
        Self { suballocator, blocks: Vec::new(), sites: Vec::new(), block_bytes: 0, count: 0 }
    }

    /// Cuts a slot of a class that is at hand; `None` where [`allocate`](Self::allocate) must look further.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the hot path is one function: a call would cost as much as its work")]
    pub(crate) fn allocate_ready(&mut self, class: usize) -> Option<Cut> {
        let range = self.suballocator.allocate_ready(class)?;
        Some(self.cut(range))
    }

    /// Frees a slot where another of its slab stays in use; `false`, and nothing changed, where [`free`](Self::free)
    /// must look closer.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the hot path is one function: a call would cost as much as its work")]
    pub(crate) fn free_ready(&mut self, key: RangeKey) -> bool {
        self.suballocator.free_ready(key)
    }

    /// Cuts a range that is at hand in blocks without slabs; `None` where [`allocate`](Self::allocate) must look
    /// further.
    #[inline]
    pub(crate) fn allocate_at_hand(&mut self, request: &Request) -> Option<Cut> {
        let range = self.suballocator.allocate_at_hand(request)?;
        Some(self.cut(range))
    }

    /// Frees a slot beside others, or what no slab serves in a block that stays in use; `false`, and nothing changed,
    /// where [`free`](Self::free) must look closer.
    #[inline]
    pub(crate) fn free_at_hand(&mut self, key: RangeKey) -> bool {
        self.suballocator.free_at_hand(key)
    }

    /// Cuts a range from any block; `None` where none has room.
    pub(crate) fn allocate(&mut self, request: &Request) -> Option<Cut> {
        let range = self.suballocator.allocate(request)?;
        Some(self.cut(range))
    }

    /// Returns the offset that [`allocate`](Self::allocate) would cut at, and changes nothing.
    pub(crate) fn probe(&self, request: &Request) -> Option<u64> {
        self.suballocator.probe(request).map(|spot| spot.offset)
    }

    /// Returns what [`probe`](Self::probe) would answer if these blocks, empty now, and kept slabs were given back.
    ///
    /// # Complexity
    /// A copy of all bookkeeping: for plans that come to a trim.
    pub(crate) fn probe_without(&self, request: &Request, regions: &[u32]) -> Option<u64> {
        self.suballocator_without(regions).probe(request).map(|spot| spot.offset)
    }

    fn suballocator_without(&self, regions: &[u32]) -> Suballocator {
        let mut left = self.suballocator.clone();
        left.reclaim();
        for &region in regions {
            left.remove_region(region);
        }
        left
    }

    /// Publishes a new block after the opener's own range was cut from it.
    ///
    /// Where the range does not fit, the block is handed back unpublished.
    pub(crate) fn add_with(&mut self, memory: Memory, request: &Request) -> Result<Cut, Memory> {
        let region = self.add(memory, 0);
        match self.suballocator.allocate_in(region, request) {
            Some(range) => Ok(self.cut(range)),
            None => Err(self.take(region).expect("I3: a region that nothing was cut from is empty")),
        }
    }

    /// Publishes a block that has been empty since `now` and returns its region.
    pub(crate) fn add(&mut self, memory: Memory, now: u64) -> u32 {
        let size = memory.size();
        let region = self.suballocator.add_region(size);
        let index = region as usize;
        if self.blocks.len() <= index {
            self.blocks.resize_with(index + 1, || None);
            self.sites.resize(index + 1, Site::NOWHERE);
        }
        self.sites[index] = memory.site();
        debug_assert!(self.blocks[index].is_none(), "I1: a fresh region has no block yet");
        self.blocks[index] = Some(Block { memory, emptied_at: now });
        self.block_bytes += size;
        self.count += 1;
        region
    }

    /// Frees a range; `now` is the tick that an emptied block remembers.
    ///
    /// # Errors
    /// `StaleKey` where the key names no live range; nothing changes.
    pub(crate) fn free(&mut self, key: RangeKey, now: u64) -> Result<Freed, StaleKey> {
        let freed = self.suballocator.free(key)?;
        if freed.is_region_empty {
            self.note_emptied(freed.region, now);
        }
        Ok(freed)
    }

    #[inline]
    fn note_emptied(&mut self, region: u32, now: u64) {
        if let Some(Some(block)) = self.blocks.get_mut(region as usize) {
            block.emptied_at = now;
        }
    }

    /// Takes an empty block out of the list; `None` where it is in use or unknown.
    pub(crate) fn take(&mut self, region: u32) -> Option<Memory> {
        if !self.suballocator.remove_region(region) {
            return None;
        }
        let block = self.blocks[region as usize].take()?;
        self.sites[region as usize] = Site::NOWHERE;
        self.block_bytes -= block.memory.size();
        self.count -= 1;
        Some(block.memory)
    }

    /// Lists the empty blocks as (region, bytes), in an order that depends on the calls alone.
    pub(crate) fn empties(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.suballocator.empty_regions()
    }

    /// Gives ranges that the suballocator keeps in stock in empty blocks back to them: a block with such a stock would
    /// be used again sooner than one in use.
    pub(crate) fn reclaim_in_empty(&mut self) {
        self.suballocator.reclaim_in_empty();
    }

    /// Returns an empty block of at most so many bytes that has been empty since before `tick`.
    pub(crate) fn empty_since_before(&self, tick: u64, most_bytes: u64) -> Option<u32> {
        let is_old = |region: u32| self.blocks[region as usize].as_ref().is_some_and(|block| block.emptied_at < tick);
        self.empties().find(|&(region, size)| size <= most_bytes && is_old(region)).map(|(region, _)| region)
    }

    /// Gives ranges that the suballocator keeps in stock back to their blocks.
    pub(crate) fn reclaim(&mut self) {
        self.suballocator.reclaim();
    }

    /// Returns the bytes of all blocks.
    pub(crate) fn block_bytes(&self) -> u64 {
        self.block_bytes
    }

    /// Returns the bytes of one block; `None` where there is none.
    pub(crate) fn bytes_of(&self, region: u32) -> Option<u64> {
        self.blocks.get(region as usize)?.as_ref().map(|block| block.memory.size())
    }

    /// Returns the bytes of the blocks that nothing is cut from.
    pub(crate) fn empty_bytes(&self) -> u64 {
        self.suballocator.empty_region_bytes()
    }

    /// Returns the bytes of all live ranges.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.suballocator.used_bytes()
    }

    /// Returns the number of live ranges.
    pub(crate) fn range_count(&self) -> u64 {
        self.suballocator.range_count()
    }

    /// Returns the number of blocks.
    pub(crate) fn block_count(&self) -> u32 {
        self.count
    }

    /// Returns the largest range that could be cut now, in bytes.
    pub(crate) fn largest_free_range(&self) -> u64 {
        self.suballocator.largest_free_range()
    }

    /// Returns what [`largest_free_range`](Self::largest_free_range) would answer if these blocks, empty now, were
    /// given back.
    ///
    /// # Complexity
    /// A copy of all bookkeeping.
    pub(crate) fn largest_free_range_without(&self, regions: &[u32]) -> u64 {
        self.suballocator_without(regions).largest_free_range()
    }

    /// Returns the largest slot that is free in a slab in use, in bytes; 0 for none.
    pub(crate) fn largest_free_slot(&self) -> u64 {
        self.suballocator.largest_free_slot()
    }

    /// Visits every range of every block, in region and offset order.
    pub(crate) fn for_each_range(&self, visit: &mut dyn FnMut(RangeView)) {
        self.suballocator.for_each_range(visit);
    }

    /// Returns region and memory object of each block, in the order of regions.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = (u32, &Memory)> + '_ {
        (0u32..).zip(&self.blocks).filter_map(|(region, block)| Some((region, &block.as_ref()?.memory)))
    }

    /// Returns the bytes of bookkeeping on the host.
    pub(crate) fn host_bytes(&self) -> usize {
        self.suballocator.host_bytes()
            + self.blocks.capacity() * size_of::<Option<Block>>()
            + self.sites.capacity() * size_of::<Site>()
    }

    /// Checks every invariant of the list and of its suballocator.
    pub(crate) fn validate(&self) -> Result<(), String> {
        self.suballocator.validate().map_err(|violation| violation.to_string())?;
        let is_repeated = |(region, memory): (u32, &Memory)| self.sites[region as usize] == memory.site();
        if !self.blocks().all(is_repeated) {
            return Err("block list I4: a site is not its block's".into());
        }
        let sum: u64 = self.blocks().map(|(_, memory)| memory.size()).sum();
        if sum != self.block_bytes || sum != self.suballocator.region_bytes() {
            return Err(format!("block list I2: blocks hold {sum} bytes, {} are counted", self.block_bytes));
        }
        Ok(())
    }

    /// Empties the list of the blocks that are not in use, and leaves the others where they are.
    pub(crate) fn take_all_empty(&mut self) -> Vec<Memory> {
        self.reclaim();
        let regions: Vec<u32> = self.empties().map(|(region, _)| region).collect();
        regions.into_iter().filter_map(|region| self.take(region)).collect()
    }

    #[inline]
    fn cut(&self, range: Suballocation) -> Cut {
        // I1: region and memory have one size, so the offset lies inside the memory.
        Cut { site: self.sites[range.region as usize], range }
    }
}

#[cfg(all(test, debug_assertions, not(loom)))]
impl BlockList {
    /// Lets a test say something else of where the first block lies.
    pub(crate) fn tamper_with_site(&mut self, change: impl FnOnce(&mut Site)) {
        change(&mut self.sites[0]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suballocator::{Algorithm, Settings};

    #[test]
    fn the_host_pays_for_blocks_and_for_where_they_lie() {
        let mut list = BlockList::new(Suballocator::new(Algorithm::Linear, Settings::plain(64)));
        let before = list.host_bytes();
        list.blocks.reserve_exact(100);
        list.sites.reserve_exact(100);
        let paid = list.host_bytes() - before;
        let least = 100 * (size_of::<Option<Block>>() + size_of::<Site>());
        assert!((least..=2 * least).contains(&paid), "{paid} bytes, {least} at least");
    }

    #[test]
    fn bytes_of_no_block_are_a_broken_invariant() {
        let mut list = BlockList::new(Suballocator::new(Algorithm::Linear, Settings::plain(64)));
        assert_eq!(list.validate(), Ok(()));
        list.block_bytes = 64;
        assert!(list.validate().is_err_and(|violation| violation.contains("I2")));
    }
}
