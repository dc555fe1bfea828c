//! A pool's lock, held: the fast path takes it once, and the slow one goes on with it where no slot is at hand.
//!
//! Whoever holds it neither waits nor calls the driver (I1 of [`pool`](super)).

use super::{Kind, Left, Placement, Pool, State, placement};
use crate::block::Backing;
use crate::suballocator::{Algorithm, RangeKey, Request, StaleKey};
use crate::sync::SpinMutexGuard;

/// The lock of a pool.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    pub(super) state: SpinMutexGuard<'a, State>,
}

/// What became of the lock with a free.
#[derive(Debug)]
pub(crate) enum Freed<'a> {
    /// Still held: the block is in use.
    Held(Held<'a>),
    /// Given back: a block has become empty, and what was due is done.
    Settled(Left),
}

impl Held<'_> {
    /// Frees a slot where another of its slab stays in use; `false`, and nothing changed, where
    /// [`Pool::free_held`] must look closer.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the hot path is one function: a call would cost as much as its work")]
    pub(crate) fn free_ready(&mut self, key: RangeKey) -> bool {
        self.state.blocks.free_ready(key)
    }

    /// Lets those in who wait, between two of many steps.
    #[inline]
    pub(crate) fn let_others_in(&mut self) {
        SpinMutexGuard::bump(&mut self.state);
    }

    /// Frees what [`free_ready`](Self::free_ready) does, or a linear range or fixed slot where others beside it stay in
    /// use; `false`, and nothing changed, where [`free`](Self::free) must look closer.
    #[inline]
    pub(crate) fn free_at_hand(&mut self, key: RangeKey) -> bool {
        self.state.blocks.free_at_hand(key)
    }

    /// Frees a range, and tells whether its block has become empty: then [`Pool::settle_emptied`] is due.
    ///
    /// # Errors
    /// `StaleKey` where the key names nothing alive in this pool; then nothing has changed.
    #[inline(never)]
    pub(crate) fn free(mut self, key: RangeKey, now: u64) -> Result<bool, StaleKey> {
        Ok(self.state.blocks.free(key, now)?.is_region_empty)
    }

    /// Cuts a range from a block that the pool has.
    pub(crate) fn allocate(mut self, range: &Request) -> Option<Placement> {
        self.state.allocate(range)
    }
}

impl Pool {
    /// Takes the lock; `None` where another thread is at work in the pool.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the hot path is one function: a call would cost as much as its work")]
    pub(crate) fn try_hold(&self) -> Option<Held<'_>> {
        Some(Held { state: self.state.try_lock()? })
    }

    /// Takes the lock.
    pub(crate) fn hold(&self) -> Held<'_> {
        Held { state: self.state.lock() }
    }

    /// Tells whether a lock is that of this pool.
    fn is_held_by(&self, held: &Held<'_>) -> bool {
        core::ptr::eq(SpinMutexGuard::mutex(&held.state), &raw const self.state)
    }

    /// Cuts a slot that is at hand; `None` where [`Held::allocate`] must look further, and for a size or an alignment
    /// that is wrong.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the hot path is one function: a call would cost as much as its work")]
    pub(crate) fn allocate_ready(
        &self,
        held: &mut Held<'_>,
        kind: Kind,
        size: u64,
        alignment: u64,
    ) -> Option<Placement> {
        debug_assert!(self.is_held_by(held), "the lock is this pool's");
        let class = self.class_for(kind, size, alignment)?;
        let cut = held.state.blocks.allocate_ready(class)?;
        held.state.allocated += 1;
        Some(placement(&cut))
    }

    /// Does what [`allocate_ready`](Self::allocate_ready) does, for linear blocks and fixed slots too. That the
    /// alignment is a power of two is the caller's to know.
    #[inline]
    pub(crate) fn allocate_at_hand(
        &self,
        held: &mut Held<'_>,
        kind: Kind,
        size: u64,
        alignment: u64,
    ) -> Option<Placement> {
        debug_assert!(self.is_held_by(held), "the lock is this pool's");
        if self.settings.algorithm == Algorithm::Tlsf {
            return self.allocate_ready(held, kind, size, alignment);
        }
        let (size, alignment) = self.round(kind, size, alignment)?;
        let cut = held.state.blocks.allocate_at_hand(&Request::new(size, alignment))?;
        held.state.allocated += 1;
        Some(placement(&cut))
    }

    /// Frees one allocation; blocks that are not kept go back to the driver, after the lock.
    ///
    /// # Errors
    /// `StaleKey` where the key names nothing alive in this pool; then nothing has changed.
    pub(crate) fn free_held(
        &self,
        held: Held<'_>,
        backing: Backing<'_>,
        key: RangeKey,
        now: u64,
    ) -> Result<Left, StaleKey> {
        match self.free_and_hold(held, backing, key, now)? {
            // Where a block is still in use, the pool is too.
            Freed::Held(_) => Ok(Left::Live),
            Freed::Settled(left) => Ok(left),
        }
    }

    /// Does the same, and goes on holding the lock where the block stays in use.
    ///
    /// # Errors
    /// As [`free_held`](Self::free_held).
    #[inline]
    pub(crate) fn free_and_hold<'a>(
        &self,
        mut held: Held<'a>,
        backing: Backing<'_>,
        key: RangeKey,
        now: u64,
    ) -> Result<Freed<'a>, StaleKey> {
        debug_assert!(self.is_held_by(&held), "the lock is this pool's");
        let freed = held.state.blocks.free(key, now)?;
        Ok(if freed.is_region_empty { Freed::Settled(self.settle(backing, held.state)) } else { Freed::Held(held) })
    }
}
