//! A pool's counters: written behind its lock, read by anyone without one.
//!
//! Identities, true whenever the lock is free:
//! - allocations alive = `allocated` - `freed`
//! - bytes reserved = `block_bytes` + `dedicated_bytes`
//! - bytes of blocks = used + free; `used_bytes` counts what suballocations occupy, their rounding included

use crate::sync::{AtomicU64, Ordering};

/// One counter with a single writer at a time: the holder of the pool's lock.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds to the counter. Only the holder of the pool's lock calls this, so load and store need not be one step.
    #[inline]
    pub(crate) fn add(&self, by: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
    }

    /// Takes one back that was counted a moment ago. Only the holder of the pool's lock calls this.
    pub(crate) fn take_back(&self) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_sub(1), Ordering::Relaxed);
    }

    /// Subtracts from the counter, with the same duty.
    #[inline]
    pub(crate) fn subtract(&self, by: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_sub(by), Ordering::Relaxed);
    }

    /// Replaces the value. Only the holder of the pool's lock calls this.
    #[inline]
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Reads the value, from any thread.
    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters of one pool.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Allocations ever made, dedicated ones included.
    pub allocated: Counter,
    /// Allocations ever freed, dedicated ones included.
    pub freed: Counter,
    /// Bytes that suballocations occupy, rounding included.
    pub used_bytes: Counter,
    /// Bytes of blocks.
    pub block_bytes: Counter,
    /// Number of blocks.
    pub block_count: Counter,
    /// Bytes of blocks that nothing is cut from.
    pub empty_bytes: Counter,
    /// Bytes of dedicated memory objects.
    pub dedicated_bytes: Counter,
    /// Number of dedicated memory objects.
    pub dedicated_count: Counter,
}

impl Counters {
    /// Returns how many allocations are alive.
    pub(crate) fn live_count(&self) -> u64 {
        // Freed is read first: a count read between the two is too high for a moment, never below zero.
        let freed = self.freed.get();
        self.allocated.get().saturating_sub(freed)
    }

    /// Returns the bytes alive: used ranges and dedicated memory.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.used_bytes.get() + self.dedicated_bytes.get()
    }
}
