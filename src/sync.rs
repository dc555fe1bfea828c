//! Locks, condition variables and atomics, through one alias.
//!
//! Every other module takes its synchronisation from here, so that a model checker can replace it in one place: with
//! `--cfg loom` it is loom's, and the tests named `loom_` go through the orders in which threads can meet.
//! A mutex never poisons: what it guards is kept whole at every point where a panic could start.
//!
//! [`Mutex`] parks those who wait. [`SpinMutex`] does not: it guards what is held for a hundred instructions, on the
//! path where the lock would else cost more than what it guards.

#![deny(unsafe_code)]

#[cfg(loom)]
mod model;
#[expect(unsafe_code, reason = "promises mutual exclusion to `lock_api`")]
mod spin_lock;
#[cfg(not(loom))]
mod thread_number;
mod under_way;

#[cfg(loom)]
pub(crate) use self::model::{
    AtomicU32, AtomicU64, Condvar, Mutex, OnceBox, OnceLock, RwLock, known_thread_number, most_threads, thread_number,
};
#[cfg(all(test, loom))]
pub(crate) use self::model::{explore, spawn};
pub(crate) use self::spin_lock::{SpinMutex, SpinMutexGuard, spin_mutex};
#[cfg(not(loom))]
pub(crate) use self::thread_number::{known_thread_number, most_threads, thread_number};
pub(crate) use self::under_way::UnderWay;
#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicU32, AtomicU64};
/// What no model replaces: counters in statics, which give out numbers, and marks. They order nothing.
pub(crate) use core::sync::atomic::{AtomicU32 as StaticU32, AtomicU64 as StaticU64, Ordering};
/// A box that is filled once. Who races for it may make a value that nobody sees; looking costs one load.
#[cfg(not(loom))]
pub(crate) use once_cell::race::OnceBox;
#[cfg(not(loom))]
pub(crate) use parking_lot::{Condvar, Mutex, RwLock};
#[cfg(not(loom))]
pub(crate) use std::sync::OnceLock;
