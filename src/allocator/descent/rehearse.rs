//! A descent that changes nothing: pools are probed, the budget is asked, and what would be opened and given back is
//! noted, so that the next step finds it so.

use super::give_back::GiveBack;
use super::{Descent, Ended};
use crate::allocator::Allocator;
use crate::allocator::pools::NumberedPool;
use crate::device::MAX_HEAPS;
use crate::memory_type::Change;
use crate::pool::{Attempt, Kept, PoolRequest, Refusal};

/// Rehearses the steps: says what they would do, and changes nothing.
#[derive(Debug, Default)]
pub(crate) struct Rehearse {
    /// Bytes opened, by heap.
    opened: [u64; MAX_HEAPS],
    objects_opened: u32,
    /// Empty blocks that have been given back in the rehearsal.
    given_back: Vec<GiveBack>,
    /// Pools that have been trimmed in the rehearsal: their slabs without a used slot are gone, too.
    trimmed: Vec<u16>,
    /// Pools that were refused a block in the rehearsal, and found room at their siblings.
    welcome: Vec<u16>,
    /// The most bytes reserved at once in the rehearsal.
    pub(super) peak_bytes: u64,
}

/// What a rehearsed attempt would do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rehearsed {
    /// Bytes of the memory object it would open; 0 for a range of an existing block.
    pub driver_bytes: u64,
    /// The offset, where it is known beforehand.
    pub offset: Option<u64>,
}

impl Rehearsed {
    fn existing(offset: u64) -> Self {
        Self { driver_bytes: 0, offset: Some(offset) }
    }
}

impl Descent for Rehearse {
    type Output = Rehearsed;

    fn attempt(
        &mut self,
        allocator: &Allocator,
        pool: &NumberedPool,
        attempt: Attempt,
        request: &PoolRequest,
    ) -> Result<Rehearsed, Ended> {
        if attempt == Attempt::Existing {
            return Ok(self.find_existing(allocator, pool, request).ok_or(Refusal::DoesNotFit)?);
        }
        match self.open(allocator, pool, attempt, request) {
            // Any sibling's room is better than a refusal.
            Err(refusal) if attempt != Attempt::Dedicated => {
                let found = self.find_anywhere(allocator, pool, request).ok_or(refusal)?;
                self.welcome.push(pool.index());
                Ok(found)
            }
            outcome => Ok(outcome?),
        }
    }

    fn find_anywhere(
        &mut self,
        allocator: &Allocator,
        pool: &NumberedPool,
        request: &PoolRequest,
    ) -> Option<Rehearsed> {
        let mut shards = core::iter::once(pool).chain(allocator.pools().siblings(pool));
        shards.find_map(|shard| self.probe(shard, request)).map(Rehearsed::existing)
    }

    fn trim(&mut self, allocator: &Allocator, heap_index: Option<u32>) -> u64 {
        let pools = allocator.pools_on(heap_index);
        self.trimmed.extend(pools.iter().map(|pool| pool.index()));
        let spare = pools.iter().flat_map(|pool| allocator.spare_blocks_of(pool, Kept::Nothing, self));
        let spare: Vec<GiveBack> = spare.collect();
        self.given_back.extend_from_slice(&spare);
        spare.iter().map(|block| block.bytes).sum()
    }
}

impl Rehearse {
    /// Records that a plan ended with an opening: the next plan of the same rehearsal finds so much less.
    pub(crate) fn note_opening(&mut self, allocator: &Allocator, heap_index: u32, bytes: u64) {
        if bytes > 0 {
            self.opened[heap_index as usize] += bytes;
            self.objects_opened += 1;
            self.peak_bytes = self.peak_bytes.max(self.reserved_bytes(allocator));
        }
    }

    /// Says what would be opened, or serve instead, and notes what would go back for it.
    fn open(
        &mut self,
        allocator: &Allocator,
        pool: &NumberedPool,
        attempt: Attempt,
        request: &PoolRequest,
    ) -> Result<Rehearsed, Refusal> {
        pool.check_opening(attempt, request)?;
        if attempt != Attempt::Dedicated
            && let Some(found) = self.find_instead_of_a_block(allocator, pool, request)
        {
            return Ok(found);
        }
        let driver_bytes = pool.opening_bytes(attempt, request);
        let heap_index = allocator.heap_of(pool.settings().memory_type_index);
        self.given_back.extend(allocator.give_backs(pool, (driver_bytes, request.bound), self));
        if attempt != Attempt::Dedicated {
            self.make_place(allocator, pool);
        }
        let change = self.change_on(heap_index);
        allocator.budget().check(heap_index, driver_bytes, request.bound, change).map_err(Refusal::Budget)?;
        let offset = (attempt == Attempt::Dedicated).then_some(0);
        Ok(Rehearsed { driver_bytes, offset })
    }

    /// Gives back the block that makes way where a pool has as many as it may have.
    fn make_place(&mut self, allocator: &Allocator, pool: &NumberedPool) {
        let left = pool.counts().block_count.saturating_sub(self.gone_of(pool).len() as u64);
        if left >= u64::from(pool.settings().max_block_count) {
            self.given_back.extend(allocator.spare_blocks_of(pool, Kept::Nothing, self).into_iter().take(1));
        }
    }

    /// Looks for room in the blocks of a pool, and of its shards where it is welcome.
    fn find_existing(
        &mut self,
        allocator: &Allocator,
        pool: &NumberedPool,
        request: &PoolRequest,
    ) -> Option<Rehearsed> {
        if pool.borrowing().is_welcome() || self.welcome.contains(&pool.index()) {
            return self.find_anywhere(allocator, pool, request);
        }
        Some(Rehearsed::existing(self.probe(pool, request)?))
    }

    /// Looks at the other shards before a block is opened, as
    /// [`find_instead_of_a_block`](super::room::find_instead_of_a_block) does.
    fn find_instead_of_a_block(
        &self,
        allocator: &Allocator,
        pool: &NumberedPool,
        request: &PoolRequest,
    ) -> Option<Rehearsed> {
        let least_bytes = pool.need_of(&request.range);
        let has_spare = |sibling: &NumberedPool| {
            let spare = sibling.spare_blocks(Kept::Prewarmed, &self.gone_of(sibling));
            spare.iter().any(|&(_, bytes)| bytes >= least_bytes)
        };
        if allocator.pools().siblings(pool).any(has_spare) {
            return Some(Rehearsed { driver_bytes: 0, offset: None });
        }
        let is_prewarmed = |sibling: &&NumberedPool| sibling.is_prewarmed() && !self.trimmed.contains(&sibling.index());
        let mut prewarmed = allocator.pools().siblings(pool).filter(is_prewarmed);
        prewarmed.find_map(|sibling| self.probe(sibling, request)).map(Rehearsed::existing)
    }

    /// Looks for room in the blocks of a pool that are left.
    fn probe(&self, pool: &NumberedPool, request: &PoolRequest) -> Option<u64> {
        let gone = self.gone_of(pool);
        if self.is_as_ever(pool, &gone) { pool.probe(request) } else { pool.probe_without(request, &gone) }
    }

    /// Tells whether nothing of a pool has been given back: no block, and no slab that is kept.
    fn is_as_ever(&self, pool: &NumberedPool, gone: &[u32]) -> bool {
        gone.is_empty() && !self.trimmed.contains(&pool.index())
    }

    /// Returns the largest range free in a pool, in bytes, and the largest in the blocks that are left of it.
    pub(crate) fn largest_free_ranges(&self, pool: &NumberedPool) -> [u64; 2] {
        let (gone, largest) = (self.gone_of(pool), pool.largest_free_range());
        [largest, if self.is_as_ever(pool, &gone) { largest } else { pool.largest_free_range_without(&gone) }]
    }

    /// Returns what has been opened and given back: bytes of one heap, and objects of all.
    pub(crate) fn change_on(&self, heap_index: u32) -> Change {
        self.change_with(heap_index, &[])
    }

    /// Returns the same if these blocks went back as well.
    pub(super) fn change_with(&self, heap_index: u32, more: &[GiveBack]) -> Change {
        let given_back = || self.given_back.iter().chain(more);
        let on_heap = given_back().filter(|block| block.heap_index == heap_index);
        Change {
            opened: self.opened[heap_index as usize],
            given_back: on_heap.map(|block| block.bytes).sum(),
            objects_opened: self.objects_opened,
            objects_given_back: u32::try_from(given_back().count()).unwrap_or(u32::MAX),
        }
    }

    /// Returns what would be reserved by now, in bytes.
    pub(super) fn reserved_bytes(&self, allocator: &Allocator) -> u64 {
        let given_back: u64 = self.given_back.iter().map(|block| block.bytes).sum();
        (allocator.budget().reserved_bytes() + self.opened.iter().sum::<u64>()).saturating_sub(given_back)
    }

    /// Returns the blocks of a pool that have been given back in the rehearsal.
    pub(super) fn gone_of(&self, pool: &NumberedPool) -> Vec<u32> {
        let is_of_pool = |block: &&GiveBack| block.pool == pool.index();
        self.given_back.iter().filter(is_of_pool).map(|block| block.region).collect()
    }
}
