//! How an allocation is freed: the fast path for a slot beside others, a slower one with the same lock for whatever
//! else lies in a default pool, and one with all checks for the rest.
//!
//! ```text
//!   a slot, others of its slab in use      stamp -> pool (table lookup) -> lock -> a bit is set
//!   of a default pool, other               the same lock goes on: a slab is kept or given back, a range merged
//!   of a custom pool or another class      its entry in the table -> lock -> a node is unlinked, a bit set, a range merged
//!   dedicated, named                       all checks; the ledger; what is not kept goes back to the driver
//!   many                                   one lock for those of a pool that follow each other
//! ```

use super::Allocator;
use super::allocation::Allocation;
use super::error::{FreeError, FreeErrorReason, FreeManyError};
use super::ledger::LedgerKey;
use super::pools::{HeldEntry, NumberedPool};
use crate::pool::{Freed, Held, Left};
use crate::suballocator::StaleKey;

/// After so many allocations that are freed under one lock, those who wait for it have their turn.
const TURN: usize = 32;

impl Allocator {
    /// Frees an allocation.
    ///
    /// Blocks that become empty are kept within a bound (64 MiB a pool, or an eighth of its blocks in use), or go back
    /// to the driver. Freeing works after device loss.
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

    /// Frees all allocations, from the last to the first, as [`free`](Self::free) would one by one. What is refused
    /// stays in the vector, in its order; the vector keeps its storage.
    ///
    /// Those that follow each other, share a pool, and are neither dedicated nor named (nor tracked) are freed under
    /// one lock. Where one thread allocates and another frees, each lock taken waits for cache lines of the other core:
    /// where these take long to cross, this is up to twice as fast. What alternates between pools, by memory type or
    /// kind, gains nothing: sort it.
    ///
    /// # Errors
    /// Names how many were refused, and why the last one was; all others are freed.
    ///
    /// # Complexity
    /// O(1) for each. Who waits for the pool has a turn after every 32 of them. No heap call of its own but for what is
    /// refused.
    ///
    /// # Examples
    /// ```
    /// # use freestone::{sim, Allocator, AllocatorCreateInfo, AllocationCreateInfo, AllocationRequirements};
    /// # use freestone::{ash::vk, DeviceAddress, Kind};
    /// # let vulkan = sim::SimDevice::new(sim::Profile::unified());
    /// # let info = AllocatorCreateInfo::new(vulkan.entry(), vulkan.instance(), vulkan.physical_device(), vulkan.device());
    /// # // SAFETY: the objects belong together and outlive the allocator.
    /// # let allocator = unsafe { Allocator::new(info) }?;
    /// # let requirements = vk::MemoryRequirements { size: 4096, alignment: 256, memory_type_bits: !0 };
    /// # let requirements = AllocationRequirements::new(requirements, Kind::Linear, DeviceAddress::NotNeeded);
    /// let mut allocations = allocator.allocate_many(&[requirements; 100], &AllocationCreateInfo::gpu_only())?;
    /// allocator.free_many(&mut allocations)?;
    /// assert!(allocations.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn free_many(&self, allocations: &mut Vec<Allocation>) -> Result<(), FreeManyError> {
        let mut refused = Vec::new();
        while let Some(last) = allocations.pop() {
            if let Err(error) = self.free_run(last, allocations) {
                refused.push(error);
            }
        }
        // The first that was refused is the last in the vector.
        let Some(reason) = refused.first().map(|error| error.reason) else { return Ok(()) };
        let refused_count = refused.len();
        allocations.extend(refused.into_iter().rev().map(|error| error.allocation));
        Err(FreeManyError { refused_count, reason })
    }

    /// Frees an allocation and, with the same lock, those of the same pool before it.
    fn free_run(&self, mut last: Allocation, before: &mut Vec<Allocation>) -> Result<(), FreeError> {
        let stamp = last.stamp();
        let Some(pool) = self.pools.get(stamp.pool()).filter(|_| stamp.is_plain_of(self.owner)) else {
            return self.free_checked(last);
        };
        let (mut held, now) = (pool.hold(), self.now());
        let mut freed_count = 0;
        loop {
            if !held.free_ready(last.key()) {
                match pool.free_and_hold(held, self.backing(), last.key(), now) {
                    Ok(Freed::Held(still)) => held = still,
                    Ok(Freed::Settled(left)) => return self.end_free(last, Ok(left)),
                    Err(stale) => return self.end_free(last, Err(stale)),
                }
            }
            let Some(next) = before.pop_if(|next| next.stamp().is_freed_as(stamp)) else { return Ok(()) };
            last = next;
            freed_count += 1;
            if freed_count % TURN == 0 {
                held.let_others_in();
            }
        }
    }

    /// Frees what is of a custom pool or of another class than the default ones, or needs all checks.
    #[inline(never)]
    fn free_of_other(&self, allocation: Allocation) -> Result<(), FreeError> {
        let (stamp, key) = (allocation.stamp(), allocation.key());
        if stamp.is_plain_of(self.owner)
            && let Some(entry) = self.pools.hold_other(stamp.pool())
            && let Some(pool) = entry.pool()
        {
            let mut held = pool.hold();
            if held.free_at_hand(key) {
                return Ok(());
            }
            let is_block_empty = held.free(key, self.now());
            return if is_block_empty == Ok(false) {
                Ok(())
            } else {
                self.settle_other(allocation, is_block_empty, entry)
            };
        }
        self.free_checked(allocation)
    }

    /// Does what is due where a block of such a pool has become empty: the driver may be called, so its entry is given
    /// back before.
    #[cold]
    #[inline(never)]
    fn settle_other(
        &self,
        allocation: Allocation,
        is_block_empty: Result<bool, StaleKey>,
        entry: HeldEntry<'_>,
    ) -> Result<(), FreeError> {
        let pool = entry.release();
        let settle = || pool.map_or(Left::Live, |pool| pool.settle_emptied(self.backing()));
        self.end_free(allocation, is_block_empty.map(|_| settle()))
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

    /// Frees what is dedicated or in the ledger.
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
