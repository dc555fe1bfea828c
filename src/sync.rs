//! Locks, condition variables and atomics, through one alias.
//!
//! Every other module takes its synchronisation from here, so that a model checker can replace it in one place.
//! A mutex never poisons: what it guards is kept whole at every point where a panic could start.

#![forbid(unsafe_code)]

pub(crate) use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
pub(crate) use std::sync::OnceLock;
