//! A pool: blocks and dedicated memory of one memory type and class, behind one lock.
//!
//! ```text
//!   Pool::attempt   Existing    lock -> BlockList -> range
//!                   Grow, Own   open a block (no lock) -> lock -> cut the opener's range, publish
//!                   Dedicated   open a memory object (no lock) -> lock -> store
//!   Pool::free      lock -> BlockList or table -> unlock -> what is not kept goes back to the driver
//! ```
//!
//! Default and custom pools are one type; they differ in their [`PoolSettings`]. One attempt is exactly one try: what
//! comes after a refusal is decided on the floor above.
//!
//! Invariants:
//! - I1: the driver is never called, and nobody waits, while the lock is held.
//! - I2: the counters are exact whenever the lock is free.
//! - I3: a pool never has more blocks than `max_block_count`, nor gives back below `min_block_count`.

#![forbid(unsafe_code)]

mod class;
mod counters;
mod dedicated;
pub(crate) mod placement;
mod ticket;

use core::ptr::NonNull;
use std::sync::Arc;

use ash::vk;

pub use self::class::{Kind, MemoryPriority};
pub(crate) use self::class::BlockClass;
pub(crate) use self::counters::Counters;
pub use self::placement::DedicatedUse;
use self::dedicated::{DedicatedMemory, DedicatedTable};
pub(crate) use self::ticket::{GrowthTicket, Joined};
use crate::block::block_list::{BlockList, Cut};
use crate::block::growth::{self, GrowthSettings};
use crate::block::{Backing, OpenError, Retired};
use crate::device::{DedicatedFor, DriverError, Mapping, Memory, MemoryRequest};
use crate::memory_type::{Bound, Refused};
use crate::suballocator::align::align_up;
use crate::suballocator::{self, Algorithm, RangeKey, RangeView, Request, StaleKey, Suballocator};
use crate::sync::{Mutex, MutexGuard};

/// What a pool is made of; never changes afterwards.
#[derive(Clone, Debug)]
pub(crate) struct PoolSettings {
    pub memory_type_index: u32,
    pub class: BlockClass,
    pub algorithm: Algorithm,
    pub suballocator: suballocator::Settings,
    pub growth: GrowthSettings,
    pub min_block_count: u32,
    pub max_block_count: u32,
    /// Every allocation is aligned to at least this many bytes.
    pub min_alignment: u64,
    /// The largest memory object that the driver gives, in bytes.
    pub max_object_size: u64,
    /// Whether blocks are mapped: once, when they are opened.
    pub mapping: Mapping,
    pub is_lazy: bool,
    /// Whether a resource that is too large for sharing may get a block of its own.
    pub may_own: bool,
    /// The priority that blocks carry, where they carry one.
    pub priority: Option<MemoryPriority>,
}

/// One request, rounded for the pool's memory type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolRequest {
    /// Bytes and alignment of the range, rounded to pages and atoms.
    pub range: Request,
    /// Bytes of a dedicated memory object: exactly what the driver requires.
    pub exact_size: u64,
    pub needs_mapping: bool,
    pub dedicated_for: Option<DedicatedFor>,
    pub bound: Bound,
}

/// One try to place a request in a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// Cut a range from a block that the pool has.
    Existing,
    /// Open a block of so many bytes and cut a range from it.
    Grow { bytes: u64 },
    /// Open a block exactly as large as the request.
    Own,
    /// Open a memory object for this resource alone.
    Dedicated,
}

/// Where a request was placed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement {
    pub memory: vk::DeviceMemory,
    pub offset: u64,
    pub mapped: Option<NonNull<u8>>,
    pub key: RangeKey,
    pub is_dedicated: bool,
}

/// Why one attempt did not place a request.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    /// No block has room.
    DoesNotFit,
    /// The request is larger than the largest object the pool may open.
    TooLarge { limit: u64 },
    /// The pool has as many blocks as it may have.
    BlockLimit { max: u32 },
    /// The budget refused; the driver was not asked.
    Budget(Refused),
    /// The driver refused.
    Driver(DriverError),
}

impl From<OpenError> for Refusal {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Refused(refused) => Self::Budget(refused),
            OpenError::Driver(error) => Self::Driver(error),
        }
    }
}

/// What a free left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// The pool still holds allocations.
    Live,
    /// The last allocation of the pool is gone.
    Nothing,
}

/// Blocks and dedicated memory of one memory type and class.
#[derive(Debug)]
pub(crate) struct Pool {
    settings: PoolSettings,
    state: Mutex<State>,
    growth: GrowthTicket,
    counters: Counters,
}

#[derive(Debug)]
struct State {
    blocks: BlockList,
    dedicated: DedicatedTable,
    /// Empty blocks are kept up to this many bytes, whatever the policy says, until `trim`.
    prewarmed_bytes: u64,
    /// Blocks that are being opened with no lock held, so that I3 holds meanwhile.
    opening_count: u32,
}

impl Pool {
    /// Creates a pool without blocks.
    pub(crate) fn new(settings: PoolSettings) -> Self {
        let blocks = BlockList::new(Suballocator::new(settings.algorithm, settings.suballocator));
        let state = State { blocks, dedicated: DedicatedTable::default(), prewarmed_bytes: 0, opening_count: 0 };
        Self { settings, state: Mutex::new(state), growth: GrowthTicket::default(), counters: Counters::default() }
    }

    pub(crate) fn settings(&self) -> &PoolSettings {
        &self.settings
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(crate) fn growth(&self) -> &GrowthTicket {
        &self.growth
    }

    /// Performs exactly one attempt.
    ///
    /// # Errors
    /// The reason why it placed nothing; then nothing has changed.
    pub(crate) fn attempt(
        &self,
        backing: Backing<'_>,
        attempt: Attempt,
        request: &PoolRequest,
    ) -> Result<Placement, Refusal> {
        match attempt {
            Attempt::Existing => self.allocate_existing(request).ok_or(Refusal::DoesNotFit),
            Attempt::Grow { bytes } => self.open_block(backing, bytes, request),
            Attempt::Own => self.open_block(backing, self.own_block_size(request), request),
            Attempt::Dedicated => self.open_dedicated(backing, request),
        }
    }

    /// Cuts a range from a block that the pool has.
    #[inline]
    pub(crate) fn allocate_existing(&self, request: &PoolRequest) -> Option<Placement> {
        let mut state = self.state.lock();
        let cut = state.blocks.allocate(&request.range)?;
        if request.needs_mapping && cut.mapped.is_none() {
            return self.put_back(&mut state, cut);
        }
        self.count_allocated(&state);
        Some(placement(&cut))
    }

    /// Returns the offset at which [`Attempt::Existing`] would place the request, and changes nothing.
    pub(crate) fn probe(&self, request: &PoolRequest) -> Option<u64> {
        let probed = self.state.lock().blocks.probe(&request.range)?;
        (probed.is_mapped || !request.needs_mapping).then_some(probed.offset)
    }

    /// Checks the limits of the driver and of the pool that an opening would meet before the budget.
    ///
    /// # Errors
    /// `TooLarge` or `BlockLimit`.
    pub(crate) fn check_opening(&self, attempt: Attempt, request: &PoolRequest) -> Result<(), Refusal> {
        let bytes = self.opening_bytes(attempt, request);
        let settings = &self.settings;
        let limit = settings.growth.fixed_size.unwrap_or(settings.max_object_size).min(settings.max_object_size);
        let is_too_large = bytes > settings.max_object_size
            || (matches!(attempt, Attempt::Grow { .. }) && request.range.size > limit.min(bytes));
        if is_too_large {
            return Err(Refusal::TooLarge { limit });
        }
        if attempt != Attempt::Dedicated && self.block_count() >= u64::from(settings.max_block_count) {
            return Err(Refusal::BlockLimit { max: settings.max_block_count });
        }
        Ok(())
    }

    /// Returns the bytes of the memory object that an attempt opens; 0 for one that opens none.
    pub(crate) fn opening_bytes(&self, attempt: Attempt, request: &PoolRequest) -> u64 {
        match attempt {
            Attempt::Existing => 0,
            Attempt::Grow { bytes } => bytes,
            Attempt::Own => self.own_block_size(request),
            Attempt::Dedicated => request.exact_size,
        }
    }

    /// Frees one allocation; blocks that are not kept go back to the driver.
    ///
    /// # Errors
    /// `StaleKey` where the key names nothing alive in this pool; then nothing has changed.
    #[inline]
    pub(crate) fn free(&self, backing: Backing<'_>, key: RangeKey, now: u64) -> Result<Left, StaleKey> {
        let mut state = self.state.lock();
        let freed = state.blocks.free(key, now)?;
        self.counters.freed.add(1);
        self.counters.used_bytes.set(state.blocks.used_bytes());
        let left = self.left();
        if freed.is_region_empty || left == Left::Nothing {
            self.retire_surplus(backing, state);
        }
        Ok(left)
    }

    /// Frees one dedicated allocation; its memory goes back to the driver.
    ///
    /// # Errors
    /// `StaleKey` where the key names nothing alive in this pool; then nothing has changed.
    pub(crate) fn free_dedicated(&self, backing: Backing<'_>, key: RangeKey) -> Result<Left, StaleKey> {
        let mut state = self.state.lock();
        let object = state.dedicated.remove(key).ok_or(StaleKey)?;
        self.counters.freed.add(1);
        self.counters.dedicated_bytes.set(self.counters.dedicated_bytes.get() - object.memory.size());
        self.counters.dedicated_count.set(self.counters.dedicated_count.get() - 1);
        let retired = retire_last(backing, object);
        drop(state);
        retired.map(Retired::finish);
        Ok(self.left())
    }

    /// Opens an empty block of so many bytes, which waits for what comes.
    ///
    /// # Errors
    /// The refusal of a limit, the budget or the driver; then nothing has changed.
    pub(crate) fn open_empty(&self, backing: Backing<'_>, bytes: u64, bound: Bound, now: u64) -> Result<(), Refusal> {
        let slot = self.claim_block()?;
        let memory = backing.open(&self.memory_request(bytes, None), bound)?;
        let mut state = self.state.lock();
        state.blocks.add(memory, now);
        slot.publish(&mut state);
        self.count_blocks(&state);
        Ok(())
    }

    /// Keeps at least so many bytes of empty blocks until the next `trim`.
    pub(crate) fn keep_prewarmed(&self, bytes: u64) {
        let mut state = self.state.lock();
        state.prewarmed_bytes = state.prewarmed_bytes.max(bytes);
    }

    /// Gives every empty block back, but for the pool's minimum; returns the bytes given back.
    pub(crate) fn trim(&self, backing: Backing<'_>) -> u64 {
        let mut state = self.state.lock();
        state.prewarmed_bytes = 0;
        state.blocks.reclaim();
        let mut retired = Vec::new();
        while let Some(region) = self.largest_spare(&state) {
            retired.extend(self.take_out(backing, &mut state, region));
        }
        drop(state);
        retired.into_iter().map(Retired::finish).sum()
    }

    /// Lists the empty blocks that may be given back, as (region, bytes).
    pub(crate) fn spare_blocks(&self) -> Vec<(u32, u64)> {
        let mut state = self.state.lock();
        state.blocks.reclaim();
        self.count_blocks(&state);
        let mut left = self.spare_count(&state);
        let mut spare_bytes = state.blocks.empty_bytes().saturating_sub(state.prewarmed_bytes);
        let mut spare = Vec::new();
        for (region, size) in state.blocks.empties() {
            if left > 0 && size <= spare_bytes {
                left -= 1;
                spare_bytes -= size;
                spare.push((region, size));
            }
        }
        spare
    }

    /// Gives one empty block back; returns its bytes, 0 where it is in use by now.
    pub(crate) fn give_back(&self, backing: Backing<'_>, region: u32) -> u64 {
        let mut state = self.state.lock();
        if self.spare_count(&state) == 0 {
            return 0;
        }
        let retired = self.take_out(backing, &mut state, region);
        drop(state);
        retired.map_or(0, Retired::finish)
    }

    /// Gives one block back that has been empty since before a tick; returns its bytes, 0 where there is none.
    pub(crate) fn give_back_aged(&self, backing: Backing<'_>, tick: u64) -> u64 {
        if self.counters.empty_bytes.get() == 0 {
            return 0;
        }
        let state = self.state.lock();
        let is_spare = state.blocks.empty_bytes() > state.prewarmed_bytes;
        let Some(region) = state.blocks.empty_since_before(tick).filter(|_| is_spare) else { return 0 };
        drop(state);
        self.give_back(backing, region)
    }

    /// Charges the budget with what lazily allocated memory has committed by now.
    pub(crate) fn charge_commitments(&self, backing: Backing<'_>) {
        if !self.settings.is_lazy || self.counters.dedicated_count.get() == 0 {
            return;
        }
        let objects: Vec<_> =
            self.state.lock().dedicated.iter().map(|(key, object)| (key, Arc::clone(object))).collect();
        for (key, object) in objects {
            let committed = backing.device.commitment(&object.memory);
            let state = self.state.lock();
            if state.dedicated.get(key).is_some() {
                let before = object.recharge(committed);
                backing.budget.recharge(backing.heap_of(self.settings.memory_type_index), before, committed);
            }
            let retired = retire_last(backing, object);
            drop(state);
            retired.map(Retired::finish);
        }
    }

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

    /// Empties the pool of all that nobody uses. What is in use stays, never to be freed: its owner may still read it.
    pub(crate) fn abandon(&self, backing: Backing<'_>) {
        let mut state = self.state.lock();
        let retired: Vec<Retired<'_>> =
            state.blocks.take_all_empty().into_iter().map(|memory| backing.retire(memory)).collect();
        self.count_blocks(&state);
        drop(state);
        for retired in retired {
            retired.finish();
        }
    }

    fn open_block(&self, backing: Backing<'_>, bytes: u64, request: &PoolRequest) -> Result<Placement, Refusal> {
        let slot = self.claim_block()?;
        let memory = self.open_memory(backing, request, (bytes, None))?;
        let mut state = self.state.lock();
        let cut = state.blocks.add_with(memory, &request.range);
        slot.publish(&mut state);
        self.count_blocks(&state);
        match cut {
            Ok(cut) => {
                self.count_allocated(&state);
                Ok(placement(&cut))
            }
            Err(memory) => {
                let retired = backing.retire(memory);
                drop(state);
                retired.finish();
                Err(Refusal::TooLarge { limit: bytes })
            }
        }
    }

    fn open_dedicated(&self, backing: Backing<'_>, request: &PoolRequest) -> Result<Placement, Refusal> {
        let memory = self.open_memory(backing, request, (request.exact_size, request.dedicated_for))?;
        let (handle, mapped, size) = (memory.handle(), memory.mapped_ptr(), memory.size());
        let mut state = self.state.lock();
        let key = state.dedicated.insert(memory);
        self.counters.allocated.add(1);
        self.counters.dedicated_bytes.add(size);
        self.counters.dedicated_count.add(1);
        drop(state);
        Ok(Placement { memory: handle, offset: 0, mapped, key, is_dedicated: true })
    }

    /// Opens memory; one that cannot be mapped though the request needs it counts as a refusal.
    fn open_memory(
        &self,
        backing: Backing<'_>,
        request: &PoolRequest,
        (bytes, dedicated): (u64, Option<DedicatedFor>),
    ) -> Result<Memory, Refusal> {
        let memory = backing.open(&self.memory_request(bytes, dedicated), request.bound)?;
        if request.needs_mapping && memory.mapped_ptr().is_none() {
            let error = memory.mapping_error();
            backing.retire(memory).finish();
            return Err(error.map_or(Refusal::DoesNotFit, Refusal::Driver));
        }
        Ok(memory)
    }

    fn memory_request(&self, size: u64, dedicated: Option<DedicatedFor>) -> MemoryRequest {
        let settings = &self.settings;
        MemoryRequest {
            dedicated,
            device_address: settings.class.device_address,
            priority: settings.priority.map(MemoryPriority::value),
            map: settings.mapping,
            ..MemoryRequest::new(size, settings.memory_type_index)
        }
    }

    /// Returns the size of a block for this request alone, in bytes.
    fn own_block_size(&self, request: &PoolRequest) -> u64 {
        let unit = self.settings.suballocator.unit;
        align_up(request.range.size, unit).unwrap_or(u64::MAX)
    }

    /// Counts a block as being opened, where the pool may have one more.
    fn claim_block(&self) -> Result<BlockSlot<'_>, Refusal> {
        let mut state = self.state.lock();
        let max = self.settings.max_block_count;
        if state.blocks.block_count() + state.opening_count >= max {
            return Err(Refusal::BlockLimit { max });
        }
        state.opening_count += 1;
        Ok(BlockSlot { pool: self, is_open: true })
    }

    /// Gives back the empty blocks that the policy does not keep, after the lock is dropped.
    #[cold]
    fn retire_surplus(&self, backing: Backing<'_>, mut state: MutexGuard<'_, State>) {
        if state.blocks.used_bytes() == 0 {
            state.blocks.reclaim();
        }
        let mut retired = Vec::new();
        while surplus_bytes(&state) > 0 {
            let Some(region) = self.largest_spare(&state) else { break };
            retired.extend(self.take_out(backing, &mut state, region));
        }
        self.count_blocks(&state);
        drop(state);
        for retired in retired {
            retired.finish();
        }
    }

    fn largest_spare(&self, state: &State) -> Option<u32> {
        if self.spare_count(state) == 0 {
            return None;
        }
        growth::choose_give_back(state.blocks.empties(), u64::MAX).map(|(region, _)| region)
    }

    /// Returns how many blocks lie above the pool's minimum.
    fn spare_count(&self, state: &State) -> u32 {
        state.blocks.block_count().saturating_sub(self.settings.min_block_count)
    }

    fn take_out<'a>(&self, backing: Backing<'a>, state: &mut State, region: u32) -> Option<Retired<'a>> {
        let memory = state.blocks.take(region)?;
        self.count_blocks(state);
        Some(backing.retire(memory))
    }

    /// Puts a range back that turned out not to be reachable by the host.
    #[cold]
    fn put_back(&self, state: &mut State, cut: Cut) -> Option<Placement> {
        let freed = state.blocks.free(cut.range.key, 0);
        debug_assert!(freed.is_ok(), "the range was cut a moment ago, behind the same lock");
        self.counters.used_bytes.set(state.blocks.used_bytes());
        None
    }

    #[inline]
    fn count_allocated(&self, state: &State) {
        self.counters.allocated.add(1);
        self.counters.used_bytes.set(state.blocks.used_bytes());
        self.counters.empty_bytes.set(state.blocks.empty_bytes());
    }

    fn count_blocks(&self, state: &State) {
        self.counters.block_bytes.set(state.blocks.reserved_bytes());
        self.counters.block_count.set(u64::from(state.blocks.block_count()));
        self.counters.empty_bytes.set(state.blocks.empty_bytes());
    }

    #[inline]
    fn left(&self) -> Left {
        if self.counters.live_count() == 0 { Left::Nothing } else { Left::Live }
    }

    fn block_count(&self) -> u64 {
        self.counters.block_count.get()
    }
}

/// What a walk over a pool meets.
pub(crate) trait PoolVisitor {
    /// One block.
    fn block(&mut self, region: u32, memory: &Memory);
    /// One range of a block.
    fn range(&mut self, range: &RangeView);
    /// One dedicated memory object.
    fn dedicated(&mut self, key: RangeKey, memory: &Memory);
}

/// A block that is being opened; dropping it unpublished takes its count back.
struct BlockSlot<'a> {
    pool: &'a Pool,
    is_open: bool,
}

impl BlockSlot<'_> {
    /// Ends the opening behind a lock that is held already.
    fn publish(mut self, state: &mut State) {
        state.opening_count -= 1;
        self.is_open = false;
    }
}

impl Drop for BlockSlot<'_> {
    fn drop(&mut self) {
        if self.is_open {
            self.pool.state.lock().opening_count -= 1;
        }
    }
}

/// Returns the bytes of empty blocks above what the policy keeps.
fn surplus_bytes(state: &State) -> u64 {
    let empty = state.blocks.empty_bytes();
    let in_use = state.blocks.reserved_bytes() - empty;
    empty.saturating_sub(growth::retained_bound(in_use).max(state.prewarmed_bytes))
}

/// Retires a dedicated object unless somebody else still looks at it, who will then retire it.
fn retire_last(backing: Backing<'_>, object: Arc<DedicatedMemory>) -> Option<Retired<'_>> {
    let object = Arc::into_inner(object)?;
    let charged = object.charged();
    Some(backing.retire_charged(object.memory, charged))
}

fn placement(cut: &Cut) -> Placement {
    let Cut { memory, mapped, range } = *cut;
    Placement { memory, offset: range.offset, mapped, key: range.key, is_dedicated: false }
}
