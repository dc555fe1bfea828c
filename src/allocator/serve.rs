//! How a request is served: the fast path for a plain one that a slot is at hand for, the slow path for any other,
//! which ends in a descent of the ladder where no existing block serves.
//!
//! ```text
//!   fast path   plain, a slot at hand      first pool (table lookup) -> lock -> slot -> handle     one function without a call
//!   slow path   plain, other               the same lock goes on: a slab is made, or a range cut
//!               of a custom pool           the pool is in the request -> lock -> what is at hand -> handle
//!               with a wish                name, end, flags, a priority, a short life; or another memory type than the best of all
//!               no room                    checks -> candidates -> descent of the ladder -> handle
//! ```

use super::Allocator;
use super::allocation::Allocation;
use super::custom_pool::CustomPool;
use super::descent::{self, Perform};
use super::error::AllocationError;
use super::ledger::{LedgerKey, NewEntry};
use super::pools::NumberedPool;
use super::request::{AllocationCreateInfo, AllocationRequest, AllocationRequirements, DeviceAddress};
use super::stamp::{Stamp, Trait};
use crate::memory_type::{Candidates, TypeRequest};
use crate::pool::{Attempt, Busy, Held, Kind, Placement};
use crate::suballocator::Request;

/// Where the slow path goes on for what has found nothing at hand.
#[derive(Debug)]
pub(super) struct Start<'a> {
    pool: &'a NumberedPool,
    /// The pool's lock; `None` where another thread is at work in it.
    held: Option<Held<'a>>,
}

impl Allocator {
    /// Serves a request for a resource.
    pub(crate) fn allocate_request(&self, request: AllocationRequest<'_>) -> Result<Allocation, AllocationError> {
        match self.allocate_fast(&request) {
            Ok(allocation) => Ok(allocation),
            Err(Some(start)) => self.continue_in(request, start),
            Err(None) => self.existing_or_descend(request),
        }
    }

    /// The fast path: serves a plain request by a slot at hand.
    ///
    /// # Errors
    /// Where the slow path goes on.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the hot path is one function: a call would cost as much as its work")]
    pub(super) fn allocate_fast(&self, request: &AllocationRequest<'_>) -> Result<Allocation, Option<Start<'_>>> {
        let Some(pool) = self.first_pool(request) else { return Err(None) };
        let Some(mut held) = pool.try_hold() else { return Err(Some(Start { pool, held: None })) };
        let AllocationRequirements { size, alignment, kind, .. } = *request.requirements;
        match pool.allocate_ready(&mut held, kind, size, alignment) {
            Some(placement) => Ok(stamped(request, &placement, pool)),
            None => Err(Some(Start { pool, held: Some(held) })),
        }
    }

    /// Returns the pool that serves a plain request best; `None` for any other request.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the hot path is one function: a call would cost as much as its work")]
    fn first_pool(&self, request: &AllocationRequest<'_>) -> Option<&NumberedPool> {
        if !request.is_plain() {
            return None;
        }
        let AllocationRequirements { memory_type_bits, kind, .. } = *request.requirements;
        self.pools.own_shard_if_ready(self.first_pools.get(request.info.intent, kind, memory_type_bits)?)
    }

    /// The slow path: serves what no slot at hand can serve. Takes a request in parts: one that is lent would be stored
    /// before it is known whether it is needed.
    #[inline(never)]
    pub(super) fn allocate_slow(
        &self,
        requirements: &AllocationRequirements,
        info: &AllocationCreateInfo<'_>,
        start: Option<Start<'_>>,
    ) -> Result<Allocation, AllocationError> {
        let request = AllocationRequest::new(requirements, info);
        match (start, info.pool) {
            (Some(start), _) => self.continue_in(request, start),
            (None, Some(custom)) => self.allocate_from_custom(custom, requirements, info),
            (None, None) => self.existing_or_descend(request),
        }
    }

    /// Serves what names a custom pool: by what that has at hand, else as what needs another look.
    #[inline(never)]
    fn allocate_from_custom(
        &self,
        custom: &CustomPool,
        requirements: &AllocationRequirements,
        info: &AllocationCreateInfo<'_>,
    ) -> Result<Allocation, AllocationError> {
        let (request, pool) = (AllocationRequest::new(requirements, info), &*custom.pool);
        let is_own = custom.is_of(self) && !self.tracks_all;
        if !is_own || !request.is_plain_in_pool() || !custom.suits(&request) {
            return self.existing_or_descend(request);
        }
        let AllocationRequirements { kind, size, alignment, .. } = *requirements;
        let mut held = pool.hold();
        match pool.allocate_at_hand(&mut held, kind, size, alignment) {
            Some(placement) => Ok(stamped(&request, &placement, pool)),
            // Where the ways part again, so that this one saves no registers for it.
            None => self.allocate_slow(requirements, info, Some(Start { pool, held: Some(held) })),
        }
    }

    /// Serves what has found nothing at hand in its first pool: a plain request, or one whose only wish is a pool.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a call would pass the request through memory")]
    fn continue_in(&self, request: AllocationRequest<'_>, start: Start<'_>) -> Result<Allocation, AllocationError> {
        let Start { pool, held } = start;
        let Some(held) = held else { return self.existing_or_descend(request) };
        // What is wrong with an alignment is told by the checks of the descent.
        let range = request.range_in(pool).filter(|_| request.requirements.alignment.is_power_of_two());
        match range.and_then(|range| held.allocate(&range)) {
            Some(placement) => Ok(stamped(&request, &placement, pool)),
            None => self.descend(request),
        }
    }

    /// Serves what has no lock to go on with: by a range of an existing block, else by a descent.
    #[inline(never)]
    fn existing_or_descend(&self, request: AllocationRequest<'_>) -> Result<Allocation, AllocationError> {
        match self.place_in_existing(&request) {
            Some((placement, stamp)) => Ok(self.hand_out(&request, &placement, stamp)),
            None => self.descend(request),
        }
    }

    /// Takes a range of an existing block, whatever the pool, the name, the end.
    fn place_in_existing(&self, request: &AllocationRequest<'_>) -> Option<(Placement, Stamp)> {
        if !request.prefers_sharing() || self.lacks_address(request) {
            return None;
        }
        let pool = self.best_pool(request)?;
        if pool.settings().is_lazy {
            return None;
        }
        let range = request.range_in(pool)?;
        match pool.try_allocate_existing(&range) {
            Ok(placement) => Some((placement?, pool.stamp())),
            Err(Busy) => self.place_in_other_shard(pool, request.requirements.kind, &range),
        }
    }

    /// Does the same when the thread's shard is busy, in another one if that has happened often.
    #[cold]
    fn place_in_other_shard(&self, busy: &NumberedPool, kind: Kind, range: &Request) -> Option<(Placement, Stamp)> {
        let pool = self.pools.own_shard_when_busy(busy, kind);
        Some((pool.allocate_existing(range)?, pool.stamp()))
    }

    /// Descends the ladder: for whatever does not prefer sharing, or needs a new block.
    #[cold]
    #[inline(never)]
    fn descend(&self, request: AllocationRequest<'_>) -> Result<Allocation, AllocationError> {
        request.check()?;
        let candidates = self.candidates_for(&request)?;
        let found = descent::run(self, &request, candidates, &mut Perform::default())?;
        let (placement, stamp) = found.output;
        let is_tied = found.attempt == Attempt::Dedicated && request.dedication().is_some();
        let stamp = stamp.with(Trait::Tied, is_tied);
        Ok(self.hand_out(&request, &placement, stamp))
    }

    /// Returns the pool that a request looks at first.
    fn best_pool<'a>(&'a self, request: &AllocationRequest<'a>) -> Option<&'a NumberedPool> {
        let info = request.info;
        if let Some(custom) = info.pool {
            let flags = self.properties().flags_of(custom.memory_type_index());
            let is_suitable = custom.is_of(self) && custom.suits(request) && flags.contains(info.flags.required);
            return is_suitable.then_some(&*custom.pool);
        }
        let best = self.selector.best(&info.type_request(), request.requirements.memory_type_bits)?;
        Some(self.pool_for(request, best))
    }

    fn hand_out(&self, request: &AllocationRequest<'_>, placement: &Placement, stamp: Stamp) -> Allocation {
        let is_in_ledger = request.info.name.is_some() || self.tracks_all;
        let stamp = stamp
            .with(Trait::NonLinear, request.requirements.kind == Kind::NonLinear)
            .with(Trait::Dedicated, placement.is_dedicated)
            .with(Trait::InLedger, is_in_ledger);
        if is_in_ledger {
            self.enter_ledger(request, LedgerKey::new(stamp.pool(), placement.is_dedicated, placement.key), stamp);
        }
        Allocation::new(placement, request.requirements.size, stamp)
    }

    #[cold]
    fn enter_ledger(&self, request: &AllocationRequest<'_>, key: LedgerKey, stamp: Stamp) {
        let (name, size) = (request.info.name.unwrap_or_default(), request.requirements.size);
        self.ledger.enter(key, &NewEntry { name, size, memory_type_index: stamp.memory_type_index() });
    }

    /// Returns whether a device address is needed that the device does not give.
    #[inline]
    fn lacks_address(&self, request: &AllocationRequest<'_>) -> bool {
        request.requirements.device_address == DeviceAddress::Needed && !self.device.features().buffer_device_address
    }

    /// Returns the memory types that may serve a request, best first.
    pub(super) fn candidates_for(&self, request: &AllocationRequest<'_>) -> Result<Candidates, AllocationError> {
        if self.lacks_address(request) {
            return Err(AllocationError::Unsupported {
                what: "memory with a device address",
                use_instead: "enable the feature bufferDeviceAddress and declare it to the allocator",
            });
        }
        if let Some(pool) = request.info.pool {
            return self.candidates_of_pool(pool, request);
        }
        self.candidates(&request.info.type_request(), request.requirements.memory_type_bits)
    }

    pub(super) fn candidates(&self, types: &TypeRequest, memory_type_bits: u32) -> Result<Candidates, AllocationError> {
        if !types.extra.required.is_empty() {
            self.selector.check_required(types.extra.required)?;
        }
        let candidates = self.selector.candidates(types, memory_type_bits);
        if candidates.is_empty() {
            let verdicts = self.selector.explain(types, memory_type_bits);
            return Err(AllocationError::NoMemoryType { memory_type_bits, verdicts });
        }
        Ok(candidates)
    }

    /// Returns the pool that serves a request in a memory type.
    pub(crate) fn pool_for<'a>(&'a self, request: &AllocationRequest<'a>, memory_type_index: u32) -> &'a NumberedPool {
        if let Some(custom) = request.info.pool {
            return &custom.pool;
        }
        let (info, kind) = (request.info, request.requirements.kind);
        let priority = info.priority.filter(|_| self.device.features().memory_priority).unwrap_or_default();
        let of_class = self.pools.own_shard_with(memory_type_index, kind, (priority, info.lifetime));
        of_class.unwrap_or_else(|| self.pools.own_shard(memory_type_index, kind))
    }
}

/// Makes the handle of a plain request.
#[inline]
fn stamped(request: &AllocationRequest<'_>, placement: &Placement, pool: &NumberedPool) -> Allocation {
    let AllocationRequirements { size, kind, .. } = *request.requirements;
    Allocation::new(placement, size, pool.stamp().with(Trait::NonLinear, kind == Kind::NonLinear))
}
