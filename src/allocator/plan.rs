//! What an allocation would do, without doing it.
//!
//! A plan is the ladder of [`descent`](super::descent), rehearsed: the same candidates, the same attempts, the same
//! budget, up to the reservation. A driver may still refuse what a plan promises: it cannot be asked beforehand.

use super::Allocator;
use super::custom_pool::CustomPool;
use super::descent::{self, Descent, Rehearse};
use super::error::{AllocationError, Attempts};
use super::request::{AllocationCreateInfo, AllocationRequest, AllocationRequirements, DeviceAddress};
use crate::block::growth;
use crate::device::DedicatedPreference;
use crate::memory_type::{Bound, Candidates, HeapUsage, Intent, TypeVerdict};
use crate::pool::placement::Strategy;
use crate::pool::{Attempt, Kind, Pool};
use crate::suballocator::align::align_down;

/// Where an allocation would be placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PlannedPlacement {
    /// In a range of a block that exists; no driver call.
    ExistingBlock,
    /// In a range of a new block.
    NewBlock,
    /// In a block exactly as large as the resource.
    OwnBlock,
    /// In a memory object of the resource's own.
    Dedicated,
}

/// What an allocation would do.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Plan {
    /// The memory type that would serve.
    pub memory_type_index: u32,
    /// Its heap.
    pub heap_index: u32,
    /// Where the allocation would be placed.
    pub placement: PlannedPlacement,
    /// Bytes of the memory object that the driver would be asked for; 0 for a range of an existing block.
    pub driver_bytes: u64,
    /// The offset within the memory object, where it is known beforehand.
    pub offset: Option<u64>,
    /// Whether the driver's budget would be exceeded.
    pub exceeds_budget: bool,
    /// The heap's usage now; afterwards it has `driver_bytes` more.
    pub heap: HeapUsage,
    /// What was considered before, with the reason against it.
    pub attempts: Attempts,
    /// Every memory type, with its place in the order or the reason against it; of a custom pool only its own.
    pub verdicts: Vec<TypeVerdict>,
}

/// What an intent can get now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The memory type that serves the intent first.
    pub memory_type_index: u32,
    /// The largest single allocation that would succeed within the budget, in bytes; 0 if none would.
    pub largest_allocation: u64,
    /// A good size for pieces of something larger, in bytes: several fit into one of the largest blocks, and a piece
    /// that gets a block of its own, while little is alive, wastes nothing.
    pub suggested_chunk_size: u64,
}

impl Allocator {
    /// Returns the memory types that all wishes together allow, best first; at least one.
    ///
    /// # Errors
    /// `Unsupported`, `NoMemoryType` or `PoolMismatch` where the wishes allow none, `ForeignPool`.
    pub(crate) fn memory_types_for(&self, info: &AllocationCreateInfo<'_>) -> Result<Candidates, AllocationError> {
        // Of the kind that a custom pool may be for.
        let kind = info.pool.and_then(CustomPool::kind).unwrap_or(Kind::Linear);
        let requirements = AllocationRequirements { kind, ..any_bytes(1) };
        self.candidates_for(&AllocationRequest::new(&requirements, info))
    }

    /// Says what [`allocate`](Self::allocate) would do with the same arguments, and changes nothing.
    ///
    /// # Errors
    /// The error that `allocate` would return.
    pub fn plan(
        &self,
        requirements: &AllocationRequirements,
        info: &AllocationCreateInfo<'_>,
    ) -> Result<Plan, AllocationError> {
        self.plan_with(requirements, info, &mut Rehearse::default())
    }

    /// Says what each of several allocations would do if they were made one after another, as far as the budget goes:
    /// what the plans before it open is counted as used.
    ///
    /// Ranges of existing blocks are looked at as they are now: two plans may name the same range.
    ///
    /// # Errors
    /// The error of the first that would fail.
    pub fn plan_many(
        &self,
        requirements: &[AllocationRequirements],
        info: &AllocationCreateInfo<'_>,
    ) -> Result<Vec<Plan>, AllocationError> {
        let mut rehearsal = Rehearse::default();
        requirements.iter().map(|requirement| self.plan_with(requirement, info, &mut rehearsal)).collect()
    }

    /// Says how much an intent can get now.
    ///
    /// # Errors
    /// `NoMemoryType` where no memory type suits the intent.
    pub fn limits(&self, intent: Intent) -> Result<Limits, AllocationError> {
        let candidates = self.candidates(&intent.into(), u32::MAX)?;
        let memory_type_index = candidates.first().unwrap_or_default();
        let pool = self.pools().own_shard(memory_type_index, Kind::Linear);
        let mut trimmed = Rehearse::default();
        trimmed.trim(self, None);
        let mut sizes: Vec<u64> = candidates.iter().flat_map(|index| self.promising_sizes(index, &trimmed)).collect();
        sizes.sort_unstable_by(|one, other| other.cmp(one));
        let largest_allocation = sizes.into_iter().find(|&size| self.is_plannable(intent, size)).unwrap_or(0);
        let suggested_chunk_size = (pool.settings().growth.cap / 4).min(largest_allocation);
        Ok(Limits { memory_type_index, largest_allocation, suggested_chunk_size })
    }

    fn plan_with(
        &self,
        requirements: &AllocationRequirements,
        info: &AllocationCreateInfo<'_>,
        rehearsal: &mut Rehearse,
    ) -> Result<Plan, AllocationError> {
        let request = AllocationRequest::new(requirements, info);
        request.check()?;
        self.plan_request(&request, rehearsal)
    }

    pub(crate) fn plan_request(
        &self,
        request: &AllocationRequest<'_>,
        rehearsal: &mut Rehearse,
    ) -> Result<Plan, AllocationError> {
        let candidates = self.candidates_for(request)?;
        let found = descent::run(self, request, candidates, rehearsal)?;
        let heap_index = self.heap_of(found.memory_type_index);
        rehearsal.note_opening(self, heap_index, found.output.driver_bytes);
        Ok(Plan {
            memory_type_index: found.memory_type_index,
            heap_index,
            placement: planned(found.attempt, found.output.driver_bytes),
            driver_bytes: found.output.driver_bytes,
            offset: found.output.offset,
            exceeds_budget: found.bound == Bound::WithinHeap && found.output.driver_bytes > 0,
            heap: self.heap_usage(heap_index),
            attempts: found.attempts,
            verdicts: self.verdicts_for(request),
        })
    }

    fn verdicts_for(&self, request: &AllocationRequest<'_>) -> Vec<TypeVerdict> {
        let types = request.info.type_request();
        match request.info.pool {
            Some(pool) => vec![self.selector.explain_only(pool.memory_type_index(), &types)],
            None => self.selector.explain(&types, request.requirements.memory_type_bits),
        }
    }

    /// Returns candidate sizes, in bytes; the largest that a plan confirms is the answer for a memory type. A search
    /// looks at a few ranges of the largest class only: where it misses the largest, every range of the class serves a
    /// sixteenth less. A slot that is free is no range, but serves its size. What other shards have is within reach
    /// too. An empty block may be gone before the ladder comes to it: a memory type that it tries before has its heap
    /// trimmed.
    fn promising_sizes(&self, memory_type_index: u32, trimmed: &Rehearse) -> Vec<u64> {
        let pool = self.pools().own_shard(memory_type_index, Kind::Linear);
        let shards = || core::iter::once(pool).chain(self.pools().siblings(pool));
        let free = shards().flat_map(|shard| trimmed.largest_free_ranges(shard));
        let free = free.flat_map(|free| [free, free - free / 16]);
        let slots = shards().map(|shard| shard.largest_free_slot());
        core::iter::once(self.largest_opening(pool, trimmed)).chain(free).chain(slots).collect()
    }

    /// Returns the largest request that a memory object would serve, in bytes, if it were opened after a trim, to which
    /// the ladder comes before it gives up: a block is whole pages, an own block or a dedicated object is not.
    fn largest_opening(&self, pool: &Pool, trimmed: &Rehearse) -> u64 {
        let settings = pool.settings();
        let heap_index = self.heap_of(settings.memory_type_index);
        let available = self.budget().available(heap_index, Bound::WithinBudget, trimmed.change_on(heap_index));
        let exact = available.min(settings.max_object_size);
        let whole = align_down(exact, settings.suballocator.unit);
        match (strategy_for(pool, exact), strategy_for(pool, whole)) {
            (Some(Strategy::Dedicated { .. }), _) => exact,
            (_, Some(Strategy::Shared)) => align_down(whole, growth::PAGE),
            _ => whole,
        }
    }

    /// Returns whether an allocation of so many bytes would succeed within the budget.
    fn is_plannable(&self, intent: Intent, size: u64) -> bool {
        self.plan(&any_bytes(size), &AllocationCreateInfo::new(intent).within_budget()).is_ok()
    }
}

/// Returns how so many bytes would be placed in a pool; `None` for none.
fn strategy_for(pool: &Pool, size: u64) -> Option<Strategy> {
    let (requirements, info) = (any_bytes(size), AllocationCreateInfo::gpu_only());
    let request = AllocationRequest::new(&requirements, &info);
    let pool_request = request.for_pool(pool, Bound::WithinBudget)?;
    Some(request.strategies(pool, &pool_request).0)
}

/// Asks for linear bytes in any memory type.
fn any_bytes(size: u64) -> AllocationRequirements {
    AllocationRequirements {
        size,
        alignment: 1,
        memory_type_bits: u32::MAX,
        kind: Kind::Linear,
        device_address: DeviceAddress::NotNeeded,
        dedicated: DedicatedPreference::None,
    }
}

fn planned(attempt: Attempt, driver_bytes: u64) -> PlannedPlacement {
    match attempt {
        // Instead of a block, room of another shard may be found.
        _ if driver_bytes == 0 => PlannedPlacement::ExistingBlock,
        Attempt::Existing => PlannedPlacement::ExistingBlock,
        Attempt::Grow { .. } => PlannedPlacement::NewBlock,
        Attempt::Own => PlannedPlacement::OwnBlock,
        Attempt::Dedicated => PlannedPlacement::Dedicated,
    }
}
