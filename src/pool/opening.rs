//! Opening memory for a pool: the driver is called with no lock held, the block published after it.
//!
//! ```text
//!   opener     claim a place (lock) -> reserve, allocate (no lock) -> cut the opener's own range, publish (lock) -> wake
//!   refused by the block limit         look (lock): no room, but one is on its way -> wait ..................... look again
//!   refused by the budget          what is on its way has reserved it -> wait for all that is ................. look again
//! ```
//!
//! A block on its way may have room for who was refused, or never come and leave its place. Invariants of the wait:
//! - O1: ends are counted, and the count is read before the look: an opening that is seen there ends the wait.
//! - O2: who waits holds no lock, no ticket and no place: no opening waits for it in turn.

use super::MemoryPriority;
use super::{AtLimit, Attempt, HostAccess, Placement, Pool, PoolRequest, Refusal, State, placement};
use crate::block::{Backing, Retired};
use crate::device::{DedicatedFor, DriverError, Mapping, Memory, MemoryRequest};
use crate::memory_type::Bound;
use crate::suballocator::align::{align_up, is_aligned};
use crate::suballocator::{Algorithm, Request};
use crate::sync::{Condvar, Mutex, UnderWay};

impl Pool {
    /// Checks the limits of the driver and of the pool that an opening would meet before the budget.
    ///
    /// # Errors
    /// `TooLarge` or `BlockLimit`; `SharedPage` or `DoesNotFit` where no slot is so aligned.
    pub(crate) fn check_opening(&self, attempt: Attempt, request: &PoolRequest) -> Result<(), Refusal> {
        if attempt != Attempt::Dedicated {
            self.check_slot(request)?;
        }
        let bytes = self.opening_bytes(attempt, request);
        let settings = &self.settings;
        let is_growth = matches!(attempt, Attempt::Grow { .. });
        let largest = if is_growth { settings.growth.fixed_size.unwrap_or(settings.growth.limit) } else { u64::MAX };
        let limit = largest.min(settings.max_object_size);
        let is_too_large = bytes > settings.max_object_size || (is_growth && request.range.size > limit.min(bytes));
        if is_too_large {
            return Err(Refusal::TooLarge { limit });
        }
        if attempt != Attempt::Dedicated && self.is_full(bytes) {
            return Err(Refusal::BlockLimit { max: settings.max_block_count });
        }
        Ok(())
    }

    /// Checks that a slot would serve the request, in a pool of slots: no block would help otherwise.
    fn check_slot(&self, request: &PoolRequest) -> Result<(), Refusal> {
        let Algorithm::Fixed { slot_size } = self.settings.algorithm else { return Ok(()) };
        let page = self.page_of(request.kind);
        if request.exact_size <= slot_size && !is_aligned(slot_size, page) {
            return Err(Refusal::SharedPage { granularity: page });
        }
        if request.range.size > slot_size {
            return Err(Refusal::TooLarge { limit: slot_size });
        }
        if is_aligned(slot_size, request.range.alignment) { Ok(()) } else { Err(Refusal::DoesNotFit) }
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

    /// Opens an empty block of so many bytes, which waits for what comes: in host-visible memory it must be mapped.
    ///
    /// # Errors
    /// The refusal of a limit, the budget or the driver; then nothing has changed.
    pub(crate) fn open_empty(&self, backing: Backing<'_>, bytes: u64, bound: Bound, now: u64) -> Result<(), Refusal> {
        let mut opening = self.claim_block(backing, bytes)?;
        let memory = backing.open(&self.memory_request(bytes, None), bound)?;
        if let Some(error) = memory.mapping_error() {
            backing.retire(memory).finish();
            return Err(Refusal::Driver(error));
        }
        let mut state = self.state.lock();
        state.blocks.add(memory, now);
        let exchanged = opening.publish(backing, &mut state);
        drop(state);
        exchanged.map(Retired::finish);
        Ok(())
    }

    pub(super) fn open_block(
        &self,
        backing: Backing<'_>,
        bytes: u64,
        request: &PoolRequest,
    ) -> Result<Placement, Refusal> {
        let mut opening = self.claim_block(backing, bytes)?;
        let memory = self.open_memory(backing, request, (bytes, None))?;
        if let Some(error) = memory.mapping_error() {
            return self.keep_unmapped(backing, request, (memory, error));
        }
        let mut state = self.state.lock();
        match state.blocks.add_with(memory, &request.range) {
            Ok(cut) => {
                state.allocated += 1;
                let exchanged = opening.publish(backing, &mut state);
                drop(state);
                exchanged.map(Retired::finish);
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

    /// Moves an empty block of another pool with the same settings here, and cuts a range from it; `None` where that
    /// has none that holds it. Counts as an opening meanwhile, so that who is refused waits for it.
    pub(crate) fn adopt_block_from(&self, backing: Backing<'_>, from: &Self, range: &Request) -> Option<Placement> {
        let least_bytes = self.need_of(range);
        if !from.has_spare(least_bytes) {
            return None;
        }
        let mut opening = self.claim_block(backing, least_bytes).ok()?;
        let memory = from.take_out_to_move(least_bytes)?;
        let mut state = self.state.lock();
        let cut = match state.blocks.add_with(memory, range) {
            Ok(cut) => {
                state.allocated += 1;
                Some(cut)
            }
            // Long enough, but not at this alignment: it stays here, empty.
            Err(memory) => {
                state.blocks.add(memory, 0);
                None
            }
        };
        let exchanged = opening.publish(backing, &mut state);
        drop(state);
        exchanged.map(Retired::finish);
        Some(placement(&cut?))
    }

    pub(super) fn open_dedicated(&self, backing: Backing<'_>, request: &PoolRequest) -> Result<Placement, Refusal> {
        let memory = self.open_memory(backing, request, (request.exact_size, request.dedicated_for))?;
        Ok(self.store_dedicated(backing, memory))
    }

    /// Keeps what could not be mapped for its opener alone, which does not need the host, and no larger than that (I4).
    /// A pool that counts its blocks refuses it: it would be one more, of which nobody else has anything.
    fn keep_unmapped(
        &self,
        backing: Backing<'_>,
        request: &PoolRequest,
        (memory, error): (Memory, DriverError),
    ) -> Result<Placement, Refusal> {
        if self.settings.max_block_count < u32::MAX {
            backing.retire(memory).finish();
            return Err(Refusal::Driver(error));
        }
        if memory.size() <= self.own_block_size(request) {
            return Ok(self.store_dedicated(backing, memory));
        }
        backing.retire(memory).finish();
        let exact = MemoryRequest { map: Mapping::None, ..self.memory_request(request.exact_size, None) };
        Ok(self.store_dedicated(backing, backing.open(&exact, request.bound)?))
    }

    /// Stores a memory object that serves one resource alone.
    fn store_dedicated(&self, backing: Backing<'_>, memory: Memory) -> Placement {
        let (site, charge) = (memory.site(), backing.first_charge(&memory));
        let mut state = self.state.lock();
        let key = state.dedicated.insert(memory, charge);
        state.allocated += 1;
        Placement { site, offset: 0, key, is_dedicated: true }
    }

    /// Opens memory; one that cannot be mapped though the request needs it counts as a refusal.
    fn open_memory(
        &self,
        backing: Backing<'_>,
        request: &PoolRequest,
        (bytes, dedicated): (u64, Option<DedicatedFor>),
    ) -> Result<Memory, Refusal> {
        let memory = backing.open(&self.memory_request(bytes, dedicated), request.bound)?;
        if request.access == HostAccess::Needed && memory.mapped_ptr().is_none() {
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
    pub(super) fn own_block_size(&self, request: &PoolRequest) -> u64 {
        let unit = self.settings.suballocator.unit;
        align_up(request.range.size, unit).unwrap_or(u64::MAX)
    }

    /// Returns whether a resource has memory of its own in any case: lazily allocated memory is never shared, and where
    /// the largest memory object is no multiple of the pool's unit, it is larger than the largest block.
    pub(crate) fn must_be_alone(&self, request: &PoolRequest) -> bool {
        let settings = &self.settings;
        let is_above_blocks = self.own_block_size(request) > settings.max_object_size;
        settings.is_lazy || (settings.may_own && is_above_blocks && request.exact_size <= settings.max_object_size)
    }

    /// Cuts a range for a thread that the block limit has refused, or waits for the end of an opening that is under
    /// way.
    pub(crate) fn allocate_at_limit(&self, range: &Request) -> AtLimit {
        // O1: before the look.
        let ended_count = self.openings.ended_count();
        let mut state = self.state.lock();
        if let Some(placement) = state.allocate(range) {
            return AtLimit::Placed(placement);
        }
        let opening_count = state.opening_count;
        let has_place = state.blocks.block_count() + opening_count < self.settings.max_block_count;
        drop(state);
        if opening_count > 0 && !has_place {
            self.openings.wait_beyond(ended_count);
        }
        if opening_count > 0 || has_place { AtLimit::Changed } else { AtLimit::Full }
    }

    /// Waits for the ends of the openings that are under way: they have reserved their bytes already.
    pub(crate) fn await_openings(&self) {
        self.openings.wait_for_all();
    }

    /// Counts a block of so many bytes as being opened, where the pool may have one more. An empty block, which was no
    /// use, makes way: at once where it is spare, else when the larger one is there (I3).
    fn claim_block(&self, backing: Backing<'_>, bytes: u64) -> Result<Opening<'_>, Refusal> {
        let mut state = self.state.lock();
        let max = self.settings.max_block_count;
        let (mut retired, mut exchanged) = (None, None);
        if state.blocks.block_count() + state.opening_count >= max {
            retired = self.take_out_largest_spare(backing, &mut state);
            exchanged = if retired.is_none() { self.take_out_for(&mut state, bytes) } else { None };
        }
        if state.blocks.block_count() + state.opening_count >= max {
            return Err(Refusal::BlockLimit { max });
        }
        state.opening_count += 1;
        drop(state);
        retired.map(Retired::finish);
        Ok(Opening { pool: self, number: self.openings.begin(), is_open: true, exchanged })
    }
}

/// The openings of a pool that are under way, for those who wait for them.
#[derive(Debug, Default)]
pub(super) struct Openings {
    under_way: Mutex<UnderWay>,
    one_ended: Condvar,
}

impl Openings {
    fn ended_count(&self) -> u64 {
        self.under_way.lock().ended_count()
    }

    /// Begins one; returns its number.
    fn begin(&self) -> u64 {
        self.under_way.lock().begin()
    }

    /// Ends one, whatever came of it, and wakes all who wait.
    fn end(&self, number: u64) {
        self.under_way.lock().end(number);
        self.one_ended.notify_all();
    }

    /// Waits until more have ended than `ended_count`.
    fn wait_beyond(&self, ended_count: u64) {
        let mut under_way = self.under_way.lock();
        while under_way.ended_count() == ended_count {
            self.one_ended.wait(&mut under_way);
        }
    }

    /// Waits until all have ended that are under way now.
    fn wait_for_all(&self) {
        let mut under_way = self.under_way.lock();
        let last_awaited = under_way.last();
        while !under_way.have_ended(last_awaited) {
            self.one_ended.wait(&mut under_way);
        }
    }
}

/// A block that is being opened; dropping it unpublished takes its count back. It is dropped after the lock behind
/// which it was published, so that those whom it wakes find that free.
struct Opening<'a> {
    pool: &'a Pool,
    number: u64,
    is_open: bool,
    /// An empty block that goes when the opened one is there, and comes back where that never is.
    exchanged: Option<Memory>,
}

impl Opening<'_> {
    /// Ends the opening behind a lock that is held already; returns the block that goes for it.
    fn publish<'b>(&mut self, backing: Backing<'b>, state: &mut State) -> Option<Retired<'b>> {
        state.opening_count -= 1;
        self.is_open = false;
        self.exchanged.take().map(|memory| backing.retire(memory))
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        if self.is_open {
            let mut state = self.pool.state.lock();
            state.opening_count -= 1;
            // Its age is of no account: the pool needs it for its minimum.
            if let Some(memory) = self.exchanged.take() {
                state.blocks.add(memory, 0);
            }
        }
        self.pool.openings.end(self.number);
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::{AtomicBool, Ordering};
    use core::time::Duration;

    use super::Openings;

    /// Checks that a wait ends no sooner than an opening.
    fn lasts_until_the_end_of(number: u64, openings: &Openings, wait: impl FnOnce() + Send) {
        let has_ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                wait();
                assert!(has_ended.load(Ordering::Relaxed), "the opening is under way still");
            });
            std::thread::sleep(Duration::from_millis(20));
            has_ended.store(true, Ordering::Relaxed);
            openings.end(number);
            waiter.join().expect("it waits long enough");
        });
    }

    #[test]
    fn who_waits_for_an_end_that_has_not_come_sleeps_until_it_has() {
        let openings = Openings::default();
        for _ in 0..2 {
            let (ended_count, number) = (openings.ended_count(), openings.begin());
            lasts_until_the_end_of(number, &openings, || openings.wait_beyond(ended_count));
            let number = openings.begin();
            lasts_until_the_end_of(number, &openings, || openings.wait_for_all());
        }
    }

    #[test]
    fn who_looked_before_an_end_does_not_wait_for_the_next() {
        let openings = Openings::default();
        for _ in 0..2 {
            let (ended_count, number) = (openings.ended_count(), openings.begin());
            openings.end(number);
            openings.wait_beyond(ended_count);
            openings.wait_for_all();
        }
    }
}
