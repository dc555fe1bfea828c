//! Locks, condition variables and atomics, through one alias.
//!
//! Every other module takes its synchronisation from here, so that a model checker can replace it in one place.
//! A mutex never poisons: what it guards is kept whole at every point where a panic could start.
//!
//! [`Mutex`] parks those who wait. [`BriefMutex`] does not: it guards what is held for a hundred instructions, on the
//! path where the lock would else cost more than what it guards.

#![deny(unsafe_code)]

#[expect(unsafe_code, reason = "promises mutual exclusion to `lock_api`")]
mod brief_lock;

use core::cell::Cell;

pub(crate) use self::brief_lock::{BriefMutex, BriefMutexGuard};
pub(crate) use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
pub(crate) use parking_lot::{Condvar, Mutex, RwLock};
pub(crate) use std::sync::OnceLock;

/// Threads that have asked for a number.
static THREADS: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// One more than the thread's number; 0 before it asks.
    static NUMBER: Cell<u32> = const { Cell::new(0) };
}

/// Returns the number of the calling thread: 0 for the first that asks, then 1, and so on.
#[inline]
pub(crate) fn thread_number() -> u32 {
    NUMBER.with(|number| {
        if number.get() == 0 {
            number.set(THREADS.fetch_add(1, Ordering::Relaxed).wrapping_add(1).max(1));
        }
        number.get() - 1
    })
}

/// Returns the number of the calling thread if it has asked before.
#[inline]
pub(crate) fn known_thread_number() -> Option<u32> {
    NUMBER.with(Cell::get).checked_sub(1)
}

/// Returns how many threads have asked for a number so far.
pub(crate) fn threads_seen() -> u32 {
    THREADS.load(Ordering::Relaxed)
}
