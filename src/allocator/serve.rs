//! How a request is served: the short way for a plain one that an existing block has room for, the long way for all else.
//!
//! ```text
//!   plain      best pool (table lookup) -> lock -> range -> handle              one inlined function
//!   otherwise  checks -> candidates -> descent of the ladder -> handle
//! ```

use super::Allocator;
use super::allocation::{Allocation, Origin};
use super::descent::{self, IndexedPool, Perform};
use super::error::AllocationError;
use super::ledger::{LedgerKey, NewEntry};
use super::pools::PoolRef;
use super::request::{AllocationRequest, DeviceAddress};
use crate::device::Mapping;
use crate::memory_type::{Candidates, TypeRequest};
use crate::pool::{Attempt, Placement, Pool, PoolSettings};

impl Allocator {
    /// Serves a request for a resource.
    pub(crate) fn allocate_request(&self, request: AllocationRequest<'_>) -> Result<Allocation, AllocationError> {
        self.serve(request)
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the hot path is one function: a call would cost as much as its work")]
    pub(super) fn serve(&self, request: AllocationRequest<'_>) -> Result<Allocation, AllocationError> {
        match self.place_in_existing(&request) {
            Some((index, pool, placement)) => Ok(self.hand_out(&request, &placement, (index, pool.settings()))),
            None => self.descend(request),
        }
    }

    /// The short way: a range of an existing block, for a plain request.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the hot path is one function: a call would cost as much as its work")]
    fn place_in_existing<'a>(&'a self, request: &AllocationRequest<'a>) -> Option<(u16, &'a Pool, Placement)> {
        if !request.is_plain() || self.lacks_address(request) {
            return None;
        }
        let (index, pool) = self.best_pool(request)?;
        if pool.settings().is_lazy {
            return None;
        }
        let placement = pool.allocate_existing(&request.range_in(pool)?)?;
        Some((index, pool, placement))
    }

    /// The long way: whatever is not plain, or needs a new block.
    #[cold]
    #[inline(never)]
    fn descend(&self, request: AllocationRequest<'_>) -> Result<Allocation, AllocationError> {
        request.check()?;
        let candidates = self.candidates_for(&request)?;
        let found = descent::run(self, &request, candidates, &mut Perform)?;
        let (_, pool) = self.pool_for(&request, found.memory_type_index);
        let mut allocation = self.hand_out(&request, &found.output, (found.pool, pool.settings()));
        if matches!(found.attempt, Attempt::Grow { .. } | Attempt::Own) {
            allocation.mark_opener();
        }
        Ok(allocation)
    }

    /// Returns the pool that a plain request looks at first.
    #[inline]
    fn best_pool<'a>(&'a self, request: &AllocationRequest<'a>) -> Option<(u16, &'a Pool)> {
        let requirements = request.requirements;
        let Some(custom) = request.info.pool else {
            let memory_type_index = self.selector.best(request.info.intent, requirements.memory_type_bits)?;
            return Some(self.pools.default_pool(memory_type_index, requirements.kind));
        };
        let is_allowed = requirements.memory_type_bits & (1 << custom.memory_type_index()) != 0;
        let is_reachable =
            custom.pool.settings().mapping == Mapping::Persistent || !request.info.intent.needs_host_access();
        (custom.owner == self.owner && is_allowed && is_reachable).then_some((custom.index, &*custom.pool))
    }

    #[inline]
    fn hand_out(
        &self,
        request: &AllocationRequest<'_>,
        placement: &Placement,
        (pool, settings): (u16, &PoolSettings),
    ) -> Allocation {
        let is_in_ledger = request.info.name.is_some() || self.tracks_all;
        let origin = Origin {
            owner: self.owner,
            pool,
            memory_type_index: settings.memory_type_index,
            kind: request.requirements.kind,
            is_non_coherent: settings.is_non_coherent,
            is_tied: request.dedication().is_some(),
            is_in_ledger,
        };
        if is_in_ledger {
            self.enter_ledger(request, LedgerKey::new(pool, placement.is_dedicated, placement.key), settings);
        }
        Allocation::new(placement, request.requirements.size, &origin)
    }

    #[cold]
    fn enter_ledger(&self, request: &AllocationRequest<'_>, key: LedgerKey, settings: &PoolSettings) {
        let (name, size) = (request.info.name.unwrap_or_default(), request.requirements.size);
        self.ledger.enter(key, &NewEntry { name, size, memory_type_index: settings.memory_type_index });
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
    pub(crate) fn pool_for(&self, request: &AllocationRequest<'_>, memory_type_index: u32) -> IndexedPool<'_> {
        if let Some(custom) = request.info.pool {
            return (custom.index, PoolRef::Shared(custom.pool.clone()));
        }
        let kind = request.requirements.kind;
        let declared = self.device.features().memory_priority;
        if let Some(priority) = request.info.priority.filter(|_| declared) {
            if let Some((index, pool)) = self.pools.with_priority(memory_type_index, kind, priority) {
                return (index, PoolRef::Shared(pool));
            }
        }
        let (index, pool) = self.pools.default_pool(memory_type_index, kind);
        (index, PoolRef::Borrowed(pool))
    }
}
