//! Upkeep: flush and invalidate, trim, prewarm, budget refresh, the frame's tick.

use ash::vk;
use bytemuck::NoUninit;

use super::allocation::Allocation;
use super::error::{AccessError, AllocationError, AttemptKind, AttemptRecord, Attempts};
use super::pools::{NumberedPool, PoolRef};
use super::retention::AGED_AFTER;
use super::{Allocator, LeakReport, ladder};
use crate::block::growth;
use crate::device::{DriverError, MemoryRange};
use crate::memory_type::{Bound, Intent};
use crate::pool::{Kept, Kind, Pool};
use crate::sync::Ordering;

/// A range of an allocation, for [`Allocator::flush_many`] and [`Allocator::invalidate_many`].
#[derive(Clone, Copy, Debug)]
pub struct AllocationRange<'a> {
    /// The allocation.
    pub allocation: &'a Allocation,
    /// Where the range begins within it, in bytes.
    pub offset: u64,
    /// How long it is, in bytes.
    pub size: u64,
}

/// So many ranges are flushed or invalidated without a heap call. Taste: half a KiB of stack, and what
/// one driver call carries.
const RANGES_ON_STACK: usize = 16;

/// How old the allocator's knowledge of the driver's budgets is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetAge {
    /// Memory objects opened or given back since the last refresh.
    pub operations: u64,
    /// Refreshes that the driver has answered; 0 without `VK_EXT_memory_budget`.
    pub refreshes: u64,
}

impl<'a> AllocationRange<'a> {
    /// Names a whole allocation.
    pub fn whole(allocation: &'a Allocation) -> Self {
        Self { allocation, offset: 0, size: allocation.size() }
    }
}

impl Allocator {
    /// Writes values and makes them visible to the device: [`Allocation::write`], then a flush where memory is not
    /// coherent.
    ///
    /// # Errors
    /// `NotMapped` or `OutOfBounds`: nothing was written. `Foreign`, `Driver`: nothing was flushed.
    pub fn write<T: NoUninit>(
        &self,
        allocation: &mut Allocation,
        offset: u64,
        values: &[T],
    ) -> Result<(), AccessError> {
        if !self.owns(allocation) {
            return Err(AccessError::Foreign);
        }
        allocation.write(offset, values)?;
        self.flush(allocation, offset, size_of_val(values) as u64)
    }

    /// Makes host writes to a range visible to the device. Does nothing on coherent memory.
    ///
    /// The range is rounded outward to whole atoms, none of which another allocation shares.
    ///
    /// # Errors
    /// `OutOfBounds`, `NotMapped`, `Foreign`, or the driver's error.
    ///
    /// # Source
    /// VUID-VkMappedMemoryRange-offset-00687, -size-01390.
    pub fn flush(&self, allocation: &Allocation, offset: u64, size: u64) -> Result<(), AccessError> {
        self.flush_many(&[AllocationRange { allocation, offset, size }])
    }

    /// Makes device writes to a range visible to the host. Does nothing on coherent memory.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn invalidate(&self, allocation: &Allocation, offset: u64, size: u64) -> Result<(), AccessError> {
        self.invalidate_many(&[AllocationRange { allocation, offset, size }])
    }

    /// Flushes several ranges, in as few driver calls as can be.
    ///
    /// # Errors
    /// As [`flush`](Self::flush); a range that is refused is found before the driver is called.
    pub fn flush_many(&self, ranges: &[AllocationRange<'_>]) -> Result<(), AccessError> {
        self.with_memory_ranges(ranges, |ranges| self.device().flush(ranges))
    }

    /// Invalidates several ranges, in as few driver calls as can be.
    ///
    /// # Errors
    /// As [`flush_many`](Self::flush_many).
    pub fn invalidate_many(&self, ranges: &[AllocationRange<'_>]) -> Result<(), AccessError> {
        self.with_memory_ranges(ranges, |ranges| self.device().invalidate(ranges))
    }

    fn with_memory_ranges(
        &self,
        ranges: &[AllocationRange<'_>],
        call: impl Fn(&[MemoryRange<'_>]) -> Result<(), DriverError>,
    ) -> Result<(), AccessError> {
        ranges.iter().try_for_each(|range| self.check_mapped_range(range))?;
        let needed = ranges.iter().filter(|range| range.allocation.is_non_coherent() && range.size > 0);
        let mut named = needed.map(|range| range.allocation.memory_range(range.offset, range.size));
        let Some(first) = named.next() else { return Ok(()) };
        if ranges.len() > RANGES_ON_STACK {
            let named: Vec<MemoryRange<'_>> = core::iter::once(first).chain(named).collect();
            return call(&named).map_err(AccessError::Driver);
        }
        let mut few = [first; RANGES_ON_STACK];
        let mut count = 1;
        for (place, range) in few[1..].iter_mut().zip(named) {
            *place = range;
            count += 1;
        }
        call(&few[..count]).map_err(AccessError::Driver)
    }

    fn check_mapped_range(&self, range: &AllocationRange<'_>) -> Result<(), AccessError> {
        if !self.owns(range.allocation) {
            return Err(AccessError::Foreign);
        }
        range.allocation.check_range(range.offset, range.size)?;
        range.allocation.mapped_ptr().map(|_| ()).ok_or(AccessError::NotMapped)
    }

    /// Gives every empty block back to the driver, prewarmed ones too; returns the bytes given back.
    ///
    /// Custom pools keep their `min_block_count`.
    pub fn trim(&self) -> u64 {
        self.idle.lock().forget();
        self.trim_pools(None)
    }

    /// Opens empty blocks, so that allocations of this intent find `bytes` of room without a driver call.
    ///
    /// The room is for what the calling thread allocates: linear resources, and others where they share blocks. Where
    /// threads have collided and have shards of their own, empty blocks of another thread's shard do not count, and
    /// another thread takes of this room only before it would open a block itself. They are kept until
    /// [`trim`](Self::trim), or until memory runs out. What other threads use of them, or give back, meanwhile is not
    /// opened once more. Returns the bytes opened now.
    ///
    /// # Errors
    /// - `NoMemoryType`; `Unsupported` where the memory type is lazily allocated.
    /// - `OutOfMemory` or `Driver` where the budget or the driver refuses; blocks opened before that stay.
    pub fn prewarm(&self, intent: Intent, bytes: u64) -> Result<u64, AllocationError> {
        let candidates = self.candidates(&intent.into(), u32::MAX)?;
        let memory_type_index = candidates.first().unwrap_or_default();
        let pool = self.pools.own_shard(memory_type_index, Kind::Linear);
        if pool.settings().is_lazy {
            return Err(AllocationError::Unsupported {
                what: "room for transient images beforehand",
                use_instead: "create the images: each has lazily allocated memory of its own",
            });
        }
        let mut opened = 0;
        loop {
            let empty_bytes = pool.keep_prewarmed(bytes);
            // What others took or gave back since it was opened counts, or this might never end.
            let missing = bytes.saturating_sub(empty_bytes.max(opened));
            if missing == 0 {
                return Ok(opened);
            }
            let block = growth::prewarm_block(missing, &pool.settings().growth);
            self.open_empty(pool, block)?;
            opened += block;
        }
    }

    /// Asks the driver for its budgets: one query, outside every lock. Does nothing without `VK_EXT_memory_budget`.
    ///
    /// Memory that others use shows only after this or [`tick`](Self::tick). Returns whether the driver answered.
    pub fn update_budget(&self) -> bool {
        self.budget.refresh(|| self.device.memory_budgets())
    }

    /// Returns how old the budgets are: how many memory objects were opened or given back since they were asked for, and
    /// how often the driver has answered in all.
    pub fn budget_age(&self) -> BudgetAge {
        let budget = self.budget();
        BudgetAge { operations: budget.operations_since_refresh(), refreshes: budget.refresh_count() }
    }

    /// Counts a frame: refreshes the budgets, and gives back blocks that have been empty for 300 ticks.
    pub fn tick(&self) {
        let now = self.ticks.fetch_add(1, Ordering::Relaxed) + 1;
        for pool in self.pools.all() {
            pool.charge_commitments(self.backing());
        }
        self.update_budget();
        let Some(before) = now.checked_sub(AGED_AFTER) else { return };
        for pool in self.pools.all() {
            pool.give_back_aged(self.backing(), before);
        }
    }

    /// Trims the pools of one heap, or all; returns the bytes given back.
    pub(crate) fn trim_pools(&self, heap_index: Option<u32>) -> u64 {
        self.pools_on(heap_index).iter().map(|pool| pool.trim(self.backing())).sum()
    }

    /// Returns the pools whose memory lies on a heap, or all.
    pub(crate) fn pools_on(&self, heap_index: Option<u32>) -> Vec<PoolRef<'_>> {
        let is_on = |pool: &Pool| heap_index.is_none_or(|heap| self.heap_of(pool.settings().memory_type_index) == heap);
        self.pools.all().into_iter().filter(|pool| is_on(pool)).collect()
    }

    /// Returns the bytes of all memory objects that the allocator holds.
    pub(crate) fn reserved_bytes(&self) -> u64 {
        self.pools.sum(|pool| pool.counts().reserved_bytes())
    }

    /// Hears that memory was opened: the peak may have risen.
    pub(crate) fn note_opening(&self) {
        self.openings.fetch_add(1, Ordering::Relaxed);
        self.peak_bytes.fetch_max(self.reserved_bytes(), Ordering::Relaxed);
        self.idle.lock().note_opening(self.allocation_clock());
    }

    /// Gives back what an idle allocator need not keep; called when a pool has become empty.
    #[cold]
    pub(crate) fn release_if_idle(&self) {
        let openings = self.openings.load(Ordering::Relaxed);
        if self.rested_at.load(Ordering::Relaxed) == openings || self.pools.sum(|pool| pool.counts().live_count()) > 0 {
            return;
        }
        if self.has_nothing_to_release() {
            self.rested_at.store(openings, Ordering::Relaxed);
            return;
        }
        if !self.idle.lock().should_release(self.allocation_clock()) {
            return;
        }
        for pool in self.pools.all() {
            let spare = pool.spare_blocks(Kept::Prewarmed);
            let keep = if pool.is_further_shard() { None } else { growth::choose_idle_keep(spare.iter().copied()) };
            for (region, _) in spare.into_iter().filter(|&(region, _)| Some(region) != keep) {
                pool.give_back(self.backing(), region);
            }
        }
    }

    /// Returns whether every pool holds no more than one small block, and a further shard none.
    fn has_nothing_to_release(&self) -> bool {
        let is_at_rest = |pool: &NumberedPool| {
            let counts = pool.counts();
            let most = u64::from(!pool.is_further_shard());
            counts.block_count <= most && counts.block_bytes <= growth::IDLE_BLOCK_MAX
        };
        self.pools.sum(|pool| u64::from(!is_at_rest(pool))) == 0
    }

    /// Counts allocations: the allocator's only clock beside the tick.
    fn allocation_clock(&self) -> u64 {
        self.pools.sum(|pool| pool.counts().allocated)
    }

    pub(super) fn open_empty(&self, pool: &Pool, bytes: u64) -> Result<(), AllocationError> {
        let opened = pool.open_empty(self.backing(), bytes, Bound::WithinBudget, self.now());
        let memory_type_index = pool.settings().memory_type_index;
        opened.map_err(|refusal| {
            let fatal = ladder::fatal_result(&refusal).filter(|&result| result != vk::Result::ERROR_TOO_MANY_OBJECTS);
            let record = AttemptRecord {
                attempt: AttemptKind::NewBlock,
                memory_type_index,
                heap_index: self.heap_of(memory_type_index),
                bytes,
                reason: refusal.into(),
            };
            let (size, attempts) = (bytes, Attempts(vec![record]));
            match fatal {
                Some(result) => AllocationError::Driver { result, size, attempts },
                None => AllocationError::OutOfMemory { size, attempts },
            }
        })?;
        self.note_opening();
        Ok(())
    }
}

impl LeakReport {
    /// Writes the report to the log, one line for each allocation that has a name.
    pub(crate) fn log(&self) {
        let Self { leaks, allocation_count, allocation_bytes } = self;
        log::warn!(
            "the allocator was dropped while {allocation_count} allocations ({allocation_bytes} bytes) were alive"
        );
        for leak in leaks {
            log::warn!("never freed: {:?}, {} bytes, memory type {}", leak.name, leak.size, leak.memory_type_index);
        }
    }
}
