//! The pools that come and go, by number. Who looks one up holds the lock of its slot alone, so threads that free into
//! different pools share no cache line.
//!
//! ```text
//!   chunk 0   16 slots │ chunk 1   32 slots │ chunk 2   64 slots │ …       made when needed, never moved or given back
//!   slot      lock, pool or vacant; a cache line each
//! ```
//!
//! Invariants:
//! - T1: `len` is above the number of every slot that has ever had a pool.
//! - T2: slots change hands under the lock of [`Others`](super::Others), which is taken before that of a slot.

use std::sync::Arc;

use super::NumberedPool;
use crate::sync::{AtomicU32, BriefMutex, BriefMutexGuard, OnceLock, Ordering, brief_mutex};

/// Slots of the first chunk; each further one has twice as many.
const FIRST_CHUNK: usize = if cfg!(loom) { 1 } else { 16 };
/// Enough for 2^16 - 1,024 pools.
const CHUNK_COUNT: usize = if cfg!(loom) { 4 } else { 12 };

/// A place for a pool.
#[derive(Debug)]
#[repr(align(64))]
struct Slot(BriefMutex<Option<Arc<NumberedPool>>>);

/// A slot that has a pool, held. Nobody who has it calls the driver.
#[derive(Debug)]
pub(crate) struct HeldSlot<'a>(BriefMutexGuard<'a, Option<Arc<NumberedPool>>>);

impl HeldSlot<'_> {
    /// Returns the pool for as long as the slot is held.
    #[inline]
    pub(crate) fn pool(&self) -> Option<&NumberedPool> {
        self.0.as_deref()
    }

    /// Gives the slot back and returns the pool for longer.
    pub(crate) fn release(self) -> Option<Arc<NumberedPool>> {
        self.0.clone()
    }
}

/// The table.
#[derive(Debug)]
pub(super) struct PoolTable {
    chunks: [OnceLock<Box<[Slot]>>; CHUNK_COUNT],
    len: AtomicU32,
}

impl PoolTable {
    pub(super) fn new() -> Self {
        Self { chunks: core::array::from_fn(|_| OnceLock::new()), len: AtomicU32::new(0) }
    }

    /// Returns one more than the highest number so far.
    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire) as usize
    }

    /// Returns the pool of a number.
    pub(super) fn get(&self, number: usize) -> Option<Arc<NumberedPool>> {
        self.slot(number)?.0.lock().clone()
    }

    /// Returns the pool of a number, which stays meanwhile.
    #[inline]
    pub(super) fn hold(&self, number: usize) -> Option<HeldSlot<'_>> {
        let slot = self.slot(number)?.0.lock();
        if slot.is_some() { Some(HeldSlot(slot)) } else { None }
    }

    /// Goes through all pools.
    pub(super) fn all(&self) -> impl Iterator<Item = Arc<NumberedPool>> {
        (0..self.len()).filter_map(|number| self.get(number))
    }

    /// Puts a pool under the lowest free number, which is told to whom makes it; `None` where that makes none.
    pub(super) fn insert(&self, make: impl FnOnce(usize) -> Option<NumberedPool>) -> Option<Arc<NumberedPool>> {
        let len = self.len();
        let number = (0..len).find(|&number| self.get(number).is_none()).unwrap_or(len);
        let pool = Arc::new(make(number)?);
        let slot = self.slot_or_new(number)?;
        *slot.0.lock() = Some(Arc::clone(&pool));
        if number == len {
            self.len.fetch_add(1, Ordering::Release);
        }
        Some(pool)
    }

    /// Takes a pool out.
    pub(super) fn remove(&self, number: usize) -> Option<Arc<NumberedPool>> {
        self.slot(number)?.0.lock().take()
    }

    /// Fills the slots up to a number, or vacates them all: one pool stands for many.
    #[cfg(all(test, not(loom)))]
    pub(super) fn fill(&self, len: usize, pool: Option<&Arc<NumberedPool>>) {
        (0..len).for_each(|number| *self.slot_or_new(number).expect("there is a chunk").0.lock() = pool.cloned());
        self.len.store(u32::try_from(len).expect("the table is not as large"), Ordering::Release);
    }

    #[inline]
    fn slot(&self, number: usize) -> Option<&Slot> {
        let (chunk, index) = place(number);
        self.chunks.get(chunk)?.get()?.get(index)
    }

    fn slot_or_new(&self, number: usize) -> Option<&Slot> {
        let (chunk, index) = place(number);
        let vacant = || (0..FIRST_CHUNK << chunk).map(|_| Slot(brief_mutex(None))).collect();
        self.chunks.get(chunk)?.get_or_init(vacant).get(index)
    }
}

/// Returns the chunk of a number and its index there.
#[inline]
const fn place(number: usize) -> (usize, usize) {
    let from_first = number + FIRST_CHUNK;
    let chunk = (from_first.ilog2() - FIRST_CHUNK.ilog2()) as usize;
    (chunk, from_first - (FIRST_CHUNK << chunk))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn places_follow_each_other_through_all_chunks() {
        let mut expected = (0, 0);
        for number in 0..(1 << 16) - 1_024 {
            assert_eq!(place(number), expected, "number {number}");
            assert!(expected.0 < CHUNK_COUNT);
            expected = match expected {
                (chunk, index) if index + 1 == FIRST_CHUNK << chunk => (chunk + 1, 0),
                (chunk, index) => (chunk, index + 1),
            };
        }
    }
}
