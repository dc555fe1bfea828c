//! How an allocation is freed: the short way for a slot beside others, a longer one with the same lock for whatever else lies
//! in a default pool, and one with all checks for the rest.
//!
//! ```text
//!   a slot, others of its slab in use      stamp -> pool (table lookup) -> lock -> a bit is set
//!   of a default pool, other               the same lock goes on: a slab is kept or given back, a range merged
//!   of a custom pool                       the pool's table -> lock -> what stays in use beside others
//!   dedicated, named, the last of a block  all checks; the ledger; what is not kept goes back to the driver
//! ```

use super::Allocator;
use super::allocation::Allocation;
use super::error::{FreeError, FreeErrorReason};
use super::ledger::LedgerKey;
use super::pools::NumberedPool;
use crate::pool::{Held, Left};
use crate::suballocator::StaleKey;

impl Allocator {
    /// Frees an allocation.
    ///
    /// Blocks that become empty are kept within a bound, or go back to the driver. Freeing works after device loss.
    ///
    /// # Errors
    /// `Foreign` or `Stale`; the allocation is handed back and nothing has changed.
    ///
    /// # Complexity
    /// O(1); no driver call unless a block goes back, and no heap call unless a pool becomes empty.
    pub fn free(&self, allocation: Allocation) -> Result<(), FreeError> {
        let stamp = allocation.stamp();
        let Some(pool) = self.pools.get_default(stamp.pool()).filter(|_| stamp.is_plain_of(self.owner)) else {
            return self.free_of_other(allocation);
        };
        let mut held = pool.try_hold();
        if held.as_mut().is_some_and(|held| held.free_ready(allocation.key())) {
            return Ok(());
        }
        self.free_from(allocation, pool, held)
    }

    /// Frees what is of a custom pool, or needs all checks.
    #[inline(never)]
    fn free_of_other(&self, allocation: Allocation) -> Result<(), FreeError> {
        let (stamp, key) = (allocation.stamp(), allocation.key());
        if stamp.is_plain_of(self.owner) && self.pools.free_at_hand_in_other(stamp.pool(), key) {
            return Ok(());
        }
        self.free_checked(allocation)
    }

    /// Frees what is no slot, or the last one of its slab; with the lock of its pool, if that was had at once.
    #[inline(never)]
    fn free_from(&self, allocation: Allocation, pool: &NumberedPool, held: Option<Held<'_>>) -> Result<(), FreeError> {
        let held = held.unwrap_or_else(|| pool.hold());
        match pool.free_held(held, self.backing(), allocation.key(), self.now()) {
            Ok(Left::Live) => Ok(()),
            left => self.end_free(allocation, left),
        }
    }

    /// Frees what is dedicated, in the ledger, or the last of a custom pool's block.
    #[inline(never)]
    fn free_checked(&self, allocation: Allocation) -> Result<(), FreeError> {
        if !self.owns(&allocation) {
            return Err(FreeError { reason: FreeErrorReason::Foreign, allocation });
        }
        let stale = FreeErrorReason::Stale;
        let Some(pool) = self.pools.get(allocation.pool_index()) else {
            return Err(FreeError { reason: stale, allocation });
        };
        if allocation.is_in_ledger() {
            self.ledger.strike(LedgerKey::of(&allocation));
        }
        let key = allocation.key();
        let left = if allocation.is_dedicated() {
            pool.free_dedicated(self.backing(), key)
        } else {
            pool.free(self.backing(), key, self.now())
        };
        self.end_free(allocation, left)
    }

    /// Says how a free went, and rests where it left nothing.
    #[cold]
    fn end_free(&self, allocation: Allocation, left: Result<Left, StaleKey>) -> Result<(), FreeError> {
        match left {
            Ok(Left::Live) => Ok(()),
            Ok(Left::Nothing) => {
                self.release_if_idle();
                Ok(())
            }
            Err(StaleKey) => Err(FreeError { reason: FreeErrorReason::Stale, allocation }),
        }
    }

    /// Takes back what was made a moment ago, because the rest of an operation failed (I3): nothing of it counts, and a
    /// block that was opened for it goes back. Where others have freed all else meanwhile, the allocator rests.
    #[expect(clippy::needless_pass_by_value, reason = "the key ends here")]
    pub(crate) fn take_back(&self, allocation: Allocation) {
        if allocation.is_in_ledger() {
            self.ledger.strike(LedgerKey::of(&allocation));
        }
        let Some(pool) = self.pools.get(allocation.pool_index()) else { return };
        let taken = pool.take_back(self.backing(), (allocation.key(), allocation.making()), self.now());
        debug_assert!(taken.is_ok(), "I1: the allocator takes back what it has made");
        if taken == Ok(Left::Nothing) {
            self.release_if_idle();
        }
    }
}
