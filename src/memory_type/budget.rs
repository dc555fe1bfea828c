//! How much device memory may still be taken: one reservation point for bytes and objects.
//!
//! Every memory object is reserved here before the driver is asked for it, and nothing else counts them. The bytes of a
//! heap are seen as
//!
//! ```text
//! usage = own + foreign          own:     what this allocator holds, reserves or is about to free; exact, always
//!                                foreign: what else the process holds, as of the last refresh: driver usage - own then
//! ```
//!
//! which is the same as "the larger of the driver's usage and our own bytes at the last refresh, plus our growth
//! since".
//!
//! - I1: a reservation of at least a byte within the budget leaves `usage <= min(driver's budget, user's limit)` and
//!   `own <= cap`.
//! - I2: a reservation within the heap leaves `usage <= user's limit` and `own <= cap`: only the driver's budget, which
//!   is an estimate, is passed over. The *cap* is the heap's size; of a small BAR heap it is 7/8 of it.
//! - I3: `objects <= max`, where 1/16 of what the device allows is left to the application.
//! - I4: a reservation that is dropped, and a release that has ended, leave no trace; at rest all counts equal what
//!   is really held.
//! - I5: `foreign` is never estimated too low: bytes whose allocation or release was under way while the driver was
//!   asked count as if the driver had not seen them go, nor seen them come; lazily allocated memory as if the driver
//!   counted what it had committed at the last look ([`Charge`]).
//!
//! Reservations happen only when device memory is opened, so one mutex serves all heaps; it is never held during a call
//! to the driver.
//!
//! Not here: asking the driver (floor 1), when to ask (floor 5), and what to do about a refusal (the ladder).
//!
//! # Source
//! `VK_EXT_memory_budget`; Vulkan specification, `maxMemoryAllocationCount`.

mod charge;
mod guards;
mod heap;
mod refused;

use super::topology::Topology;
use crate::device::{HeapBudget, MAX_HEAPS, Properties};
use crate::sync::{AtomicU32, AtomicU64, Condvar, Mutex, Ordering, UnderWay};
use heap::{HeapFacts, HeapState};

pub(crate) use charge::Charge;
use guards::Reservation;
pub(crate) use guards::{Release, ReleaseInFlight};
pub(crate) use heap::Bound;
pub use heap::HeapUsage;
pub use refused::Refused;

/// One part in this many of the device's memory objects is left to the application and its libraries.
///
/// Taste: 256 of the 4096 that Vulkan guarantees.
const OBJECT_HEADROOM: u32 = 16;

/// What the mutex guards.
#[derive(Debug, Default)]
struct State {
    heaps: [HeapState; MAX_HEAPS],
    objects: u32,
    /// Sizes of all memory objects that are reserved, held, or about to be freed.
    reserved: u64,
    /// The most that this ever was when memory that the driver has given was reserved.
    peak: u64,
    /// Memory objects whose release is under way.
    objects_leaving: u32,
    releases: UnderWay,
    /// How many refreshes ever began; the number of the last one.
    refreshes_begun: u64,
    /// The number of the refresh whose answer is known.
    known_refresh: u64,
    /// How many memory objects were ever opened or given back.
    operations: u64,
    /// How many of them were before the driver was asked for the answer that is known.
    known_operations: u64,
}

/// What was so when the driver was asked.
#[derive(Debug)]
struct Question {
    number: u64,
    heaps: [HeapState; MAX_HEAPS],
    operations: u64,
}

/// Copies of a heap's numbers that can be read without the lock.
#[derive(Debug, Default)]
struct HeapMirror {
    own: AtomicU64,
    foreign: AtomicU64,
    budget: AtomicU64,
}

/// What a rehearsal has opened and given back: bytes of one heap, and objects of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) opened: u64,
    pub(crate) given_back: u64,
    pub(crate) objects_opened: u32,
    pub(crate) objects_given_back: u32,
}

/// The one place where device memory is counted. Shared by all threads.
#[derive(Debug)]
pub(crate) struct Budget {
    facts: [HeapFacts; MAX_HEAPS],
    max_objects: u32,
    state: Mutex<State>,
    release_ended: Condvar,
    mirrors: [HeapMirror; MAX_HEAPS],
    objects: AtomicU32,
    refreshes: AtomicU64,
    operations_since_refresh: AtomicU64,
}

impl Budget {
    /// Starts with nothing held, and no word from the driver.
    ///
    /// `user_limits` holds the user's limit of each heap, in bytes; heaps beyond its end have none.
    pub(crate) fn new(properties: &Properties, user_limits: &[Option<u64>]) -> Self {
        let small_bar = Topology::of(properties).small_bar_heap();
        let facts = core::array::from_fn(|index| {
            let heap = properties.memory_heaps.get(index).copied().unwrap_or_default();
            let is_small_bar = small_bar.is_some_and(|heap_index| heap_index as usize == index);
            HeapFacts::new(&heap, user_limits.get(index).copied().flatten(), is_small_bar)
        });
        let allowed = properties.max_memory_allocation_count;
        let budget = Self {
            facts,
            max_objects: (allowed - allowed / OBJECT_HEADROOM).max(1),
            state: Mutex::new(State::new(&facts)),
            release_ended: Condvar::new(),
            mirrors: core::array::from_fn(|_| HeapMirror::default()),
            objects: AtomicU32::new(0),
            refreshes: AtomicU64::new(0),
            operations_since_refresh: AtomicU64::new(0),
        };
        (0..MAX_HEAPS).for_each(|index| budget.publish(&budget.state.lock(), index));
        budget
    }

    /// Reserves bytes of a heap and one memory object, before the driver is asked for them.
    ///
    /// Where that is refused but releases under way would make room, it waits for those that have begun, once. A thread
    /// must therefore not hold a [`ReleaseInFlight`] while it reserves.
    ///
    /// # Errors
    /// [`Refused`], with the numbers.
    pub(crate) fn reserve(&self, heap_index: u32, bytes: u64, bound: Bound) -> Result<Reservation<'_>, Refused> {
        let mut state = self.state.lock();
        let last_awaited = state.releases.last();
        while let Err(refused) = self.check_now(&state, heap_index, bytes, bound) {
            if state.releases.have_ended(last_awaited)
                || self.check_after_releases(&state, heap_index, bytes, bound).is_err()
            {
                return Err(refused);
            }
            self.release_ended.wait(&mut state);
        }
        state.heaps[heap_index as usize].own += bytes;
        state.objects += 1;
        state.reserved += bytes;
        self.publish(&state, heap_index as usize);
        Ok(Reservation::new(self, (heap_index, bytes), state.reserved))
    }

    /// Says what [`Budget::reserve`] would answer after a change that is only thought of, without waiting and without
    /// reserving.
    ///
    /// # Errors
    /// [`Refused`], with the numbers.
    pub(crate) fn check(&self, heap_index: u32, bytes: u64, bound: Bound, change: Change) -> Result<(), Refused> {
        let (count, usage) = self.changed(&self.state.lock(), heap_index, change);
        self.check_objects(count)?;
        self.check_bytes(&usage, heap_index, bytes, bound)
    }

    /// Returns how many objects there would be after a change, and the use of a heap.
    fn changed(&self, state: &State, heap_index: u32, change: Change) -> (u32, HeapUsage) {
        let mut usage = self.usage_in(state, heap_index);
        usage.own = (usage.own + change.opened).saturating_sub(change.given_back);
        ((state.objects + change.objects_opened).saturating_sub(change.objects_given_back), usage)
    }

    /// Returns the largest reservation that the heap would grant after a change that is only thought of, in bytes; 0
    /// where there is no place for one more object.
    pub(crate) fn available(&self, heap_index: u32, bound: Bound, change: Change) -> u64 {
        let state = self.state.lock();
        let (count, usage) = self.changed(&state, heap_index, change);
        if self.check_objects(count).is_ok() { usage.remaining_within(bound) } else { 0 }
    }

    /// Announces that a memory object is about to be freed. Its bytes count until the guard is dropped, after the
    /// driver has freed them.
    pub(crate) fn begin_release(&self, heap_index: u32, charge: Charge) -> ReleaseInFlight<'_> {
        let mut state = self.state.lock();
        state.heaps[heap_index as usize].unsettle(charge);
        state.heaps[heap_index as usize].leaving += charge.own();
        state.objects_leaving += 1;
        let number = state.releases.begin();
        self.take_over(Release { heap_index, charge, number })
    }

    /// Guards a release that another thread has handed over.
    pub(crate) fn take_over(&self, release: Release) -> ReleaseInFlight<'_> {
        ReleaseInFlight::new(self, release)
    }

    /// Returns the bytes of each heap whose release ever ended, or that are charged no more; they wrap around.
    pub(crate) fn released_totals(&self) -> [u64; MAX_HEAPS] {
        self.state.lock().heaps.map(|heap| heap.released_total)
    }

    /// Waits for the releases under way, once, and returns the bytes of a heap, or of all, that have gone since
    /// [`released_totals`](Self::released_totals) was asked. As for [`reserve`](Self::reserve), a thread must not hold
    /// a [`ReleaseInFlight`] meanwhile.
    pub(crate) fn gone_since(&self, before: &[u64; MAX_HEAPS], heap_index: Option<u32>) -> u64 {
        let mut state = self.state.lock();
        let last_awaited = state.releases.last();
        while !state.releases.have_ended(last_awaited) {
            self.release_ended.wait(&mut state);
        }
        let by_heap = (0..).zip(&state.heaps).zip(before);
        let on_heap = by_heap.filter(|((index, _), _)| heap_index.is_none_or(|wanted| wanted == *index));
        on_heap.map(|((_, heap), before)| heap.released_total.wrapping_sub(*before)).sum()
    }

    /// Charges lazily allocated memory anew that is held: the driver was asked what it has committed. Nothing is
    /// refused, since the driver has committed it already.
    pub(crate) fn recharge(&self, heap_index: u32, before: Charge, now: Charge) {
        let mut state = self.state.lock();
        let heap = &mut state.heaps[heap_index as usize];
        // To a refresh under way all of it may be news; only what is charged no more is room.
        heap.unsettle(before);
        heap.settled += now.settled();
        heap.own = heap.own.saturating_sub(before.own()) + now.own();
        heap.released_total = heap.released_total.wrapping_add(before.own().saturating_sub(now.own()));
        self.publish(&state, heap_index as usize);
    }

    /// Takes over what `ask` learns from the driver; nothing changes where it answers `None`.
    ///
    /// It is called without the lock, since a driver may take milliseconds. Reservations and releases of other threads
    /// in the meantime are accounted for (I5), and an answer to a later question stays. Returns whether there was an
    /// answer.
    pub(crate) fn refresh(&self, ask: impl FnOnce() -> Option<[HeapBudget; MAX_HEAPS]>) -> bool {
        let question = self.begin_refresh();
        let Some(reports) = ask() else {
            return false;
        };
        self.refreshes.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state.lock();
        if question.number < state.known_refresh {
            return true;
        }
        state.known_refresh = question.number;
        state.known_operations = question.operations;
        for (index, report) in reports.iter().enumerate() {
            let (heap, before) = (&mut state.heaps[index], &question.heaps[index]);
            let unsettled_meanwhile = heap.unsettled_total.wrapping_sub(before.unsettled_total);
            let own_then = before.settled.saturating_sub(unsettled_meanwhile);
            heap.foreign = report.usage.saturating_sub(own_then);
            heap.budget = self.facts[index].budget(report.budget);
            self.publish(&state, index);
        }
        self.publish_age(&state);
        true
    }

    /// Notes what is held before the driver is asked.
    fn begin_refresh(&self) -> Question {
        let mut state = self.state.lock();
        state.refreshes_begun += 1;
        Question { number: state.refreshes_begun, heaps: state.heaps, operations: state.operations }
    }

    /// Returns the use of a heap, without a lock: each number is one that was true, but they may be of different
    /// moments. A heap that does not exist has no bytes.
    pub(crate) fn heap(&self, heap_index: u32) -> HeapUsage {
        let Some(facts) = self.facts.get(heap_index as usize) else {
            return HeapUsage::default();
        };
        let mirror = &self.mirrors[heap_index as usize];
        facts.usage(&HeapState {
            own: mirror.own.load(Ordering::Relaxed),
            foreign: mirror.foreign.load(Ordering::Relaxed),
            budget: mirror.budget.load(Ordering::Relaxed),
            ..HeapState::default()
        })
    }

    /// Returns how many memory objects are held, without a lock.
    pub(crate) fn object_count(&self) -> u32 {
        self.objects.load(Ordering::Relaxed)
    }

    /// Returns how many memory objects may be held.
    pub(crate) fn max_object_count(&self) -> u32 {
        self.max_objects
    }

    /// Returns the sizes of all memory objects together, in bytes: also of those that are being opened or freed.
    pub(crate) fn reserved_bytes(&self) -> u64 {
        self.state.lock().reserved
    }

    /// Returns the most bytes that were ever reserved at once.
    pub(crate) fn peak_bytes(&self) -> u64 {
        self.state.lock().peak
    }

    /// Returns how often the driver's numbers were taken over.
    pub(crate) fn refresh_count(&self) -> u64 {
        self.refreshes.load(Ordering::Relaxed)
    }

    /// Returns how old the driver's numbers are: memory objects opened and given back since they were asked for.
    pub(crate) fn operations_since_refresh(&self) -> u64 {
        self.operations_since_refresh.load(Ordering::Relaxed)
    }

    /// Checks a reservation against what is held.
    fn check_now(&self, state: &State, heap_index: u32, bytes: u64, bound: Bound) -> Result<(), Refused> {
        self.check_objects(state.objects)?;
        self.check_bytes(&self.usage_in(state, heap_index), heap_index, bytes, bound)
    }

    /// Checks a reservation against what will be held when all releases under way have ended.
    fn check_after_releases(&self, state: &State, heap_index: u32, bytes: u64, bound: Bound) -> Result<(), Refused> {
        self.check_objects(state.objects - state.objects_leaving)?;
        let mut usage = self.usage_in(state, heap_index);
        usage.own -= state.heaps[heap_index as usize].leaving;
        self.check_bytes(&usage, heap_index, bytes, bound)
    }

    /// One more memory object (I3).
    fn check_objects(&self, count: u32) -> Result<(), Refused> {
        if count < self.max_objects {
            return Ok(());
        }
        Err(Refused::TooManyObjects { count, max: self.max_objects })
    }

    /// So many more bytes of a heap; one that does not exist has none, not even for 0 bytes.
    fn check_bytes(&self, usage: &HeapUsage, heap_index: u32, asked: u64, bound: Bound) -> Result<(), Refused> {
        let (own, cap) = (usage.own, usage.cap);
        let no_heap = Refused::OverHeap { heap_index, is_device_local: false, asked, own, cap };
        let facts = self.facts.get(heap_index as usize).ok_or(no_heap)?;
        facts.check(heap_index, usage, asked, bound)
    }

    /// The exact use of a heap; a heap that does not exist has no bytes.
    fn usage_in(&self, state: &State, heap_index: u32) -> HeapUsage {
        let index = heap_index as usize;
        self.facts.get(index).map_or_else(HeapUsage::default, |facts| facts.usage(&state.heaps[index]))
    }

    /// Copies a heap's numbers to where they are read without the lock.
    fn publish(&self, state: &State, index: usize) {
        let (heap, mirror) = (&state.heaps[index], &self.mirrors[index]);
        mirror.own.store(heap.own, Ordering::Relaxed);
        mirror.foreign.store(heap.foreign, Ordering::Relaxed);
        mirror.budget.store(heap.budget, Ordering::Relaxed);
        self.objects.store(state.objects, Ordering::Relaxed);
    }

    /// Counts a memory object that was opened or given back.
    fn note_operation(&self, state: &mut State) {
        state.operations += 1;
        self.publish_age(state);
    }

    fn publish_age(&self, state: &State) {
        self.operations_since_refresh.store(state.operations - state.known_operations, Ordering::Relaxed);
    }
}

impl State {
    fn new(facts: &[HeapFacts; MAX_HEAPS]) -> Self {
        let heaps = facts.map(|facts| HeapState { budget: facts.budget(0), ..HeapState::default() });
        Self { heaps, ..Self::default() }
    }
}

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, not(loom)))]
mod tests;
