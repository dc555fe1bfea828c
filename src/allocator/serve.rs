//! How a request is served: the short way for a plain one that an existing block has room for, a longer one for a wish
//! that needs a closer look, the long way for what no existing block can serve.
//!
//! ```text
//!   plain           best pool (table lookup) -> lock -> range -> handle          one inlined function
//!   with a wish     custom pool, name, end of a range: the same in separate steps
//!   otherwise       checks -> candidates -> descent of the ladder -> handle
//! ```

use super::Allocator;
use super::allocation::Allocation;
use super::descent::{self, Perform};
use super::error::AllocationError;
use super::ledger::{LedgerKey, NewEntry};
use super::pools::{NumberedPool, PoolRef};
use super::request::{AllocationRequest, DeviceAddress};
use super::stamp::{Stamp, Trait};
use crate::device::Mapping;
use crate::memory_type::{Candidates, TypeRequest};
use crate::pool::{Attempt, Busy, Kind, Placement};
use crate::suballocator::Request;

impl Allocator {
    /// Serves a request for a resource.
    pub(crate) fn allocate_request(&self, request: AllocationRequest<'_>) -> Result<Allocation, AllocationError> {
        self.serve(request)
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the hot path is one function: a call would cost as much as its work")]
    pub(super) fn serve(&self, request: AllocationRequest<'_>) -> Result<Allocation, AllocationError> {
        match self.place_plainly(&request) {
            Some((placement, stamp)) => Ok(Allocation::new(&placement, request.requirements.size, stamp)),
            None => self.serve_otherwise(request),
        }
    }

    /// The short way: a range of an existing block, for a plain request.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the hot path is one function: a call would cost as much as its work")]
    fn place_plainly(&self, request: &AllocationRequest<'_>) -> Option<(Placement, Stamp)> {
        if !request.is_plain() || self.tracks_all || self.lacks_address(request) {
            return None;
        }
        let requirements = request.requirements;
        let memory_type_index = self.selector.best(request.info.intent, requirements.memory_type_bits)?;
        let pool = self.pools.own_shard(memory_type_index, requirements.kind);
        if pool.settings().is_lazy {
            return None;
        }
        let (size, alignment) = pool.round(requirements.kind, requirements.size, requirements.alignment)?;
        let range = Request::new(size, alignment);
        let stamp = pool.stamp().with(Trait::NonLinear, requirements.kind == Kind::NonLinear);
        match pool.try_allocate_existing(&range) {
            Ok(placement) => Some((placement?, stamp)),
            Err(Busy) => self.place_in_another((memory_type_index, requirements.kind), &range),
        }
    }

    /// Does the same when the thread's shard is busy, in another one if that has happened often.
    #[cold]
    #[inline(never)]
    fn place_in_another(&self, (memory_type_index, kind): (u32, Kind), range: &Request) -> Option<(Placement, Stamp)> {
        let pool = self.pools.own_shard_when_busy(memory_type_index, kind);
        let placement = pool.allocate_existing(range)?;
        Some((placement, pool.stamp().with(Trait::NonLinear, kind == Kind::NonLinear)))
    }

    #[cold]
    #[inline(never)]
    fn serve_otherwise(&self, request: AllocationRequest<'_>) -> Result<Allocation, AllocationError> {
        match self.place_with_wishes(&request) {
            Some((placement, stamp)) => Ok(self.hand_out(&request, &placement, stamp)),
            None => self.descend(request),
        }
    }

    /// The longer way: a range of an existing block of a custom pool, with a name, or at one end.
    fn place_with_wishes(&self, request: &AllocationRequest<'_>) -> Option<(Placement, Stamp)> {
        if !request.prefers_sharing() || self.lacks_address(request) {
            return None;
        }
        let pool = self.best_pool(request)?;
        if pool.settings().is_lazy {
            return None;
        }
        Some((pool.allocate_existing(&request.range_in(pool)?)?, pool.stamp()))
    }

    /// The long way: whatever does not prefer sharing, or needs a new block.
    fn descend(&self, request: AllocationRequest<'_>) -> Result<Allocation, AllocationError> {
        request.check()?;
        let candidates = self.candidates_for(&request)?;
        let found = descent::run(self, &request, candidates, &mut Perform)?;
        let (placement, stamp) = found.output;
        let opener = matches!(found.attempt, Attempt::Grow { .. } | Attempt::Own);
        Ok(self.hand_out(&request, &placement, stamp.with(Trait::Opener, opener && !placement.is_dedicated)))
    }

    /// Returns the pool that a request looks at first.
    fn best_pool<'a>(&'a self, request: &AllocationRequest<'a>) -> Option<&'a NumberedPool> {
        let requirements = request.requirements;
        let Some(custom) = request.info.pool else {
            let memory_type_index = self.selector.best(request.info.intent, requirements.memory_type_bits)?;
            return Some(self.pools.own_shard(memory_type_index, requirements.kind));
        };
        let is_allowed = requirements.memory_type_bits & (1 << custom.memory_type_index()) != 0;
        let is_reachable =
            custom.pool.settings().mapping == Mapping::Persistent || !request.info.intent.needs_host_access();
        let is_own = custom.pool.stamp().owner() == self.owner;
        (is_own && is_allowed && is_reachable).then_some(&*custom.pool)
    }

    fn hand_out(&self, request: &AllocationRequest<'_>, placement: &Placement, stamp: Stamp) -> Allocation {
        let is_in_ledger = request.info.name.is_some() || self.tracks_all;
        let stamp = stamp
            .with(Trait::NonLinear, request.requirements.kind == Kind::NonLinear)
            .with(Trait::Dedicated, placement.is_dedicated)
            .with(Trait::Tied, placement.is_dedicated && request.dedication().is_some())
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
    pub(crate) fn pool_for(&self, request: &AllocationRequest<'_>, memory_type_index: u32) -> PoolRef<'_> {
        if let Some(custom) = request.info.pool {
            return PoolRef::Shared(custom.pool.clone());
        }
        let kind = request.requirements.kind;
        let declared = self.device.features().memory_priority;
        if let Some(priority) = request.info.priority.filter(|_| declared) {
            if let Some(pool) = self.pools.with_priority(memory_type_index, kind, priority) {
                return PoolRef::Shared(pool);
            }
        }
        PoolRef::Borrowed(self.pools.own_shard(memory_type_index, kind))
    }
}
