//! The pools that come and go, by number. Who looks one up holds the lock of its entry alone, so threads that free into
//! different pools share no cache line.
//!
//! Invariants:
//! - T1: entries change hands, and `len` and `first_vacant` with them, under the lock of [`Departed`] alone, which is
//!   taken before that of an entry; an entry's before its pool's.
//! - T2: no entry from `len` on has a pool, and none below `first_vacant` is without.

use std::sync::Arc;

use super::chunks::Chunks;
use super::{Departed, NumberedPool};
use crate::sync::{AtomicU32, Ordering, SpinMutex, SpinMutexGuard, spin_mutex};

/// A place for a pool.
#[derive(Debug)]
#[repr(align(64))]
struct Entry(SpinMutex<Option<Arc<NumberedPool>>>);

impl Entry {
    fn vacant() -> Self {
        Self(spin_mutex(None))
    }
}

/// An entry that has a pool, held. Nobody who has it calls the driver.
#[derive(Debug)]
pub(crate) struct HeldEntry<'a>(SpinMutexGuard<'a, Option<Arc<NumberedPool>>>);

impl HeldEntry<'_> {
    /// Returns the pool for as long as the entry is held.
    #[inline]
    pub(crate) fn pool(&self) -> Option<&NumberedPool> {
        self.0.as_deref()
    }

    /// Gives the entry back and returns the pool for longer.
    pub(crate) fn release(self) -> Option<Arc<NumberedPool>> {
        self.0.clone()
    }
}

/// The table.
#[derive(Debug)]
pub(super) struct PoolTable {
    entries: Chunks<Entry>,
    len: AtomicU32,
    first_vacant: AtomicU32,
}

impl PoolTable {
    pub(super) fn new() -> Self {
        Self { entries: Chunks::new(), len: AtomicU32::new(0), first_vacant: AtomicU32::new(0) }
    }

    /// Returns one more than the highest number in use.
    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire) as usize
    }

    /// Returns the pool of a number.
    pub(super) fn get(&self, number: usize) -> Option<Arc<NumberedPool>> {
        self.entries.get(number)?.0.lock().clone()
    }

    /// Returns the pool of a number, which stays meanwhile.
    #[inline]
    pub(super) fn hold(&self, number: usize) -> Option<HeldEntry<'_>> {
        let entry = self.entries.get(number)?.0.lock();
        if entry.is_some() { Some(HeldEntry(entry)) } else { None }
    }

    /// Goes through all pools.
    pub(super) fn all(&self) -> impl Iterator<Item = Arc<NumberedPool>> {
        (0..self.len()).filter_map(|number| self.get(number))
    }

    /// Adds a counter up over all pools.
    pub(super) fn sum(&self, counter: impl Fn(&NumberedPool) -> u64) -> u64 {
        let entries = (0..self.len()).filter_map(|number| self.hold(number));
        entries.filter_map(|entry| entry.pool().map(&counter)).sum()
    }

    /// Inserts the pool that `make` returns for the lowest free number; `None` where it returns none or the table is
    /// full. `_proof` shows that the caller holds T1's lock; nothing of it is read.
    pub(super) fn insert(
        &self,
        _proof: &mut Departed,
        make: impl FnOnce(usize) -> Option<NumberedPool>,
    ) -> Option<Arc<NumberedPool>> {
        let (len, first) = (self.len(), self.first_vacant.load(Ordering::Relaxed) as usize);
        let number = (first..len).find(|&number| self.hold(number).is_none()).unwrap_or(len);
        let pool = Arc::new(make(number)?);
        let entry = self.entries.get_or_make(number, Entry::vacant)?;
        *entry.0.lock() = Some(Arc::clone(&pool));
        self.note(len.max(number + 1), number + 1);
        Some(pool)
    }

    /// Takes a pool out. `_proof` as for [`insert`](Self::insert).
    pub(super) fn remove(&self, _proof: &mut Departed, number: usize) -> Option<Arc<NumberedPool>> {
        let pool = self.entries.get(number)?.0.lock().take()?;
        let len = (0..self.len()).rev().find(|&number| self.hold(number).is_some()).map_or(0, |last| last + 1);
        self.note(len, number.min(self.first_vacant.load(Ordering::Relaxed) as usize).min(len));
        Some(pool)
    }

    fn note(&self, len: usize, first_vacant: usize) {
        let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        self.first_vacant.store(small(first_vacant), Ordering::Relaxed);
        self.len.store(small(len), Ordering::Release);
    }

    /// Fills the entries up to a number, or vacates them all: one pool stands for many.
    #[cfg(all(test, not(loom)))]
    pub(super) fn fill(&self, len: usize, pool: Option<&Arc<NumberedPool>>) {
        for number in 0..len {
            *self.entries.get_or_make(number, Entry::vacant).expect("the table is as long").0.lock() = pool.cloned();
        }
        let filled = if pool.is_some() { len } else { 0 };
        self.note(filled, filled);
    }
}
