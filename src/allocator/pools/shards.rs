//! The shards of a pool: pools of one memory type and class that share nothing but their settings.
//!
//! ```text
//!   one thread       open = 1   every thread -> first
//!   8 collisions     open = 2   thread 0, 2, 4 ... -> first,  thread 1, 3 ... -> the second
//!   8 more           open = 4   thread number modulo 4
//! ```
//!
//! A shard that has no room takes some of its siblings', as long as it seldom finds them at work ([`Borrowing`]).
//!
//! A thread stays with its shard: threads that moved on when a lock is busy would scatter their allocations, and
//! collide when they free them. Without contention nothing opens, so one thread has one pool and the same placement on
//! every run. An allocation is freed into the shard that its stamp names, whoever frees it.
//!
//! Invariants:
//! - H1: `open` is a power of two, never falls, and is at most [`SHARD_COUNT`] and the threads that have had numbers at
//!   once, rounded up: up to 16 threads that live at once come apart.
//! - H2: a shard is made before anybody is sent to it, or by the first who is.

use core::array;
use core::borrow::Borrow;

use super::NumberedPool;
use crate::sync::{AtomicU32, OnceLock, Ordering, known_thread_number, most_threads, thread_number};

/// How many shards a default pool can have: one for each core of most machines, and ten times the throughput of one.
pub(crate) const SHARD_COUNT: usize = 16;

/// The same, as `open` counts.
const MOST_OPEN: u32 = 16;
const _: () = assert!(MOST_OPEN as usize == SHARD_COUNT, "one constant in two types");

/// Collisions between two openings: few enough that threads which load side by side come apart while they do, and do
/// not fill one shard for all of them; more than a thread has that comes by once. Models need fewer steps.
pub(super) const COLLISIONS_TO_OPEN: u32 = if cfg!(loom) { 2 } else { 8 };

/// So many collisions in the room of siblings, and a shard opens blocks of its own though they have room: more than
/// threads that meet once in a while have, and few enough that borrowing among threads at work ends at once.
const COLLISIONS_TO_LEAVE: u32 = if cfg!(loom) { 1 } else { 4 };

/// A pool and, once threads collide in it, its further shards.
#[derive(Debug)]
pub(crate) struct Shards<P = NumberedPool> {
    first: P,
    open: AtomicU32,
    collisions: AtomicU32,
    more: OnceLock<Box<[OnceLock<P>; SHARD_COUNT - 1]>>,
}

impl<P: Borrow<NumberedPool>> Shards<P> {
    pub(super) fn new(first: P) -> Self {
        Self { first, open: AtomicU32::new(1), collisions: AtomicU32::new(0), more: OnceLock::new() }
    }

    /// Returns the shard that serves everybody as long as nobody collides.
    #[inline]
    pub(super) const fn first(&self) -> &P {
        &self.first
    }

    /// Returns the shard of the calling thread, if thread and shard have met before.
    #[inline]
    pub(super) fn own_if_ready(&self) -> Option<&P> {
        let open = self.open.load(Ordering::Relaxed);
        if open == 1 { Some(&self.first) } else { self.get((known_thread_number()? & (open - 1)) as usize) }
    }

    /// Returns the shard of the calling thread. `make` makes the pool of a shard that nobody has used yet.
    pub(super) fn own(&self, make: impl FnOnce(usize) -> P) -> &P {
        let open = self.open.load(Ordering::Relaxed);
        let shard = (thread_number() & (open - 1)) as usize;
        let Some(index) = shard.checked_sub(1) else { return &self.first };
        let more = self.more.get_or_init(|| Box::new(array::from_fn(|_| OnceLock::new())));
        more[index].get_or_init(|| make(shard))
    }

    /// Returns a shard that there is.
    #[inline]
    pub(super) fn get(&self, shard: usize) -> Option<&P> {
        match shard.checked_sub(1) {
            None => Some(&self.first),
            Some(index) => self.more.get()?.get(index)?.get(),
        }
    }

    /// Returns all shards that there are, in order.
    pub(super) fn all(&self) -> impl Iterator<Item = &NumberedPool> {
        let more = self.more.get().into_iter().flat_map(|more| more.iter());
        core::iter::once(&self.first).chain(more.filter_map(OnceLock::get)).map(Borrow::borrow)
    }

    /// Records that the calling thread found its shard busy. A thread that collides has a number from then on.
    #[cold]
    pub(super) fn note_collision(&self) {
        thread_number();
        let (open, threads) = (self.open.load(Ordering::Relaxed), most_threads());
        // What cannot open a shard is not counted: old collisions would open one for a thread that merely comes by, and
        // the sum would overflow.
        if next_open(open, u32::MAX, threads).is_none() {
            return;
        }
        let collisions = self.collisions.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if let Some(wider) = next_open(open, collisions, threads)
            && self.open.compare_exchange(open, wider, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            self.collisions.store(0, Ordering::Relaxed);
        }
    }
}

/// How often a shard without room has found its siblings busy, which decides whether it takes some of theirs.
#[derive(Debug)]
pub(crate) struct Borrowing {
    /// How often a sibling was busy that was asked for room.
    collisions: AtomicU32,
}

impl Borrowing {
    pub(super) fn new() -> Self {
        Self { collisions: AtomicU32::new(0) }
    }

    /// Returns whether the shard looks for room at its siblings before it opens a block.
    pub(crate) fn is_welcome(&self) -> bool {
        may_borrow(self.collisions.load(Ordering::Relaxed))
    }

    /// Records that a sibling was busy.
    #[cold]
    pub(crate) fn note_collision(&self) {
        // Not counted any more once it has left, so it does not overflow.
        self.collisions.fetch_add(1, Ordering::Relaxed);
    }

    /// Records that the shard can have no block.
    pub(crate) fn begin_anew(&self) {
        self.collisions.store(0, Ordering::Relaxed);
    }
}

/// *Policy*: whether a shard without room takes some of its siblings', after so many collisions there. Once they are
/// too many it opens blocks, as long as it can have any.
///
/// What is borrowed saves memory, and costs a collision whenever its user and the sibling's thread are at work at once:
/// when it is cut, and when it is freed.
const fn may_borrow(collisions: u32) -> bool {
    collisions < COLLISIONS_TO_LEAVE
}

/// *Policy*: how many shards are open after so many collisions since the last opening; `None` for as many as before.
fn next_open(open: u32, collisions: u32, threads: u32) -> Option<u32> {
    let most = threads.checked_next_power_of_two().unwrap_or(u32::MAX).min(MOST_OPEN);
    (collisions >= COLLISIONS_TO_OPEN && open < most).then_some(open * 2)
}

#[cfg(all(test, loom))]
mod loom_tests;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn shards_double_after_8_collisions_up_to_the_threads_seen() {
        assert_eq!(next_open(1, 7, 2), None);
        assert_eq!(next_open(1, 8, 2), Some(2));
        assert_eq!(next_open(2, 500, 2), None);
        assert_eq!(next_open(2, 8, 3), Some(4));
        assert_eq!(next_open(8, 8, 1_000), Some(16));
        assert_eq!(next_open(16, 8, u32::MAX), None);
        assert_eq!(next_open(1, 8, 1), None, "a thread does not collide with itself");
    }

    #[test]
    fn a_shard_borrows_until_the_4th_collision() {
        assert_eq!([0, 3, 4, u32::MAX].map(may_borrow), [true, true, false, false]);
    }
}
