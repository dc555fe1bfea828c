//! The pools that come and go, by number. Who looks one up holds the lock of its slot alone, so threads that free into
//! different pools share no cache line.
//!
//! Invariants:
//! - T1: `len` is above the number of every slot that has ever had a pool.
//! - T2: slots change hands under the lock of [`Others`](super::Others), which is taken before that of a slot.

use std::sync::Arc;

use super::NumberedPool;
use super::chunks::Chunks;
use crate::sync::{AtomicU32, BriefMutex, BriefMutexGuard, Ordering, brief_mutex};

/// A place for a pool.
#[derive(Debug)]
#[repr(align(64))]
struct Slot(BriefMutex<Option<Arc<NumberedPool>>>);

impl Slot {
    fn vacant() -> Self {
        Self(brief_mutex(None))
    }
}

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
    slots: Chunks<Slot>,
    len: AtomicU32,
}

impl PoolTable {
    pub(super) fn new() -> Self {
        Self { slots: Chunks::new(), len: AtomicU32::new(0) }
    }

    /// Returns one more than the highest number so far.
    fn len(&self) -> usize {
        self.len.load(Ordering::Acquire) as usize
    }

    /// Returns the pool of a number.
    pub(super) fn get(&self, number: usize) -> Option<Arc<NumberedPool>> {
        self.slots.get(number)?.0.lock().clone()
    }

    /// Returns the pool of a number, which stays meanwhile.
    #[inline]
    pub(super) fn hold(&self, number: usize) -> Option<HeldSlot<'_>> {
        let slot = self.slots.get(number)?.0.lock();
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
        let slot = self.slots.get_or_make(number, Slot::vacant)?;
        *slot.0.lock() = Some(Arc::clone(&pool));
        if number == len {
            self.len.fetch_add(1, Ordering::Release);
        }
        Some(pool)
    }

    /// Takes a pool out.
    pub(super) fn remove(&self, number: usize) -> Option<Arc<NumberedPool>> {
        self.slots.get(number)?.0.lock().take()
    }

    /// Fills the slots up to a number, or vacates them all: one pool stands for many.
    #[cfg(all(test, not(loom)))]
    pub(super) fn fill(&self, len: usize, pool: Option<&Arc<NumberedPool>>) {
        for number in 0..len {
            *self.slots.get_or_make(number, Slot::vacant).expect("the table is as long").0.lock() = pool.cloned();
        }
        self.len.store(u32::try_from(len).expect("the table is not as long"), Ordering::Release);
    }
}
