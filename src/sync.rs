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

pub(crate) use self::brief_lock::{BriefMutex, BriefMutexGuard};
pub(crate) use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
pub(crate) use parking_lot::{Condvar, Mutex, RwLock};
pub(crate) use std::sync::OnceLock;
