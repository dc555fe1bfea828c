//! The allocator: what a user calls.
//!
//! ```text
//!   allocate   request -> candidates (table lookup) -> pool -> range            the short way, one lock
//!                      -> descent: the ladder over pools, budget and driver     when no existing block has room
//!   free       owner and pool checked -> pool -> what is not kept goes back
//! ```
//!
//! Invariants:
//! - I1: an `Allocation` is freed only by the allocator that made it: anything else is handed back.
//! - I2: no driver call is made with a lock held, and none at all on a path that existing blocks can serve.
//! - I3: a failed call leaves every counter as it was.
//!
//! `Allocator` is `Send + Sync`; every method takes `&self`.

#![deny(unsafe_code)]

#[expect(unsafe_code, reason = "lends mapped memory, whose validity ownership proves")]
mod allocation;
mod create_info;
mod custom_pool;
mod descent;
mod error;
mod ladder;
mod ledger;
mod plan;
mod pools;
mod request;
mod retention;
mod statistics;
mod upkeep;

use core::fmt;

pub use self::allocation::Allocation;
use self::allocation::Origin;
pub use self::create_info::AllocatorCreateInfo;
use self::create_info::LeakCallback;
pub use self::custom_pool::{CreatePoolError, CustomPool, DestroyPoolError, DestroyPoolReason, PoolCreateInfo};
use self::descent::{IndexedPool, Perform};
pub use self::error::{
    AccessError, AliasError, AllocationError, AttemptKind, AttemptRecord, Attempts, CreateError, FreeError,
    FreeErrorReason, Reason,
};
pub use self::ledger::{Leak, LeakReport};
use self::ledger::{Ledger, LedgerKey, NewEntry};
pub use self::plan::{Limits, Plan, PlannedPlacement};
pub(crate) use self::pools::PoolRef;
use self::pools::Pools;
pub(crate) use self::request::AllocationRequest;
pub use self::request::{AllocationCreateInfo, AllocationRequirements, DeviceAddress};
use self::retention::IdleMemory;
pub use self::statistics::{
    BlockStatistics, DetailedStatistics, HeapStatistics, MemoryTypeStatistics, PoolStatistics, RangeStatistics,
    Statistics,
};
pub use self::upkeep::{AllocationRange, BudgetAge};
use crate::block::Backing;
use crate::device::{Device, Mapping, Properties};
use crate::memory_type::{Budget, Candidates, HeapUsage, Selector, Topology, TypeRequest};
use crate::pool::{Attempt, Left, Placement, Pool, PoolSettings};
use crate::suballocator::StaleKey;
use crate::sync::{AtomicU32, AtomicU64, Mutex, Ordering};

/// Numbers allocators, so that a key of one is foreign to every other. 0 is never given out.
static NEXT_OWNER: AtomicU32 = AtomicU32::new(1);

/// Suballocates device memory for buffers and images.
pub struct Allocator {
    device: Device,
    budget: Budget,
    selector: Selector,
    pools: Pools,
    ledger: Ledger,
    idle: Mutex<IdleMemory>,
    /// The most bytes ever reserved at once.
    peak_bytes: AtomicU64,
    /// How often `tick` was called.
    ticks: AtomicU64,
    owner: u32,
    tracks_all: bool,
    leak_callback: Option<LeakCallback>,
}

impl Allocator {
    /// Creates an allocator for a device. Nothing is allocated yet.
    ///
    /// # Errors
    /// `Device` where a declared version or feature lacks a function, or the driver fails to answer.
    ///
    /// # Safety
    /// 1. Entry, instance, physical device and device belong together and stay alive until the allocator **and every**
    ///    [`Allocation`], buffer, image and slice that came from it are gone.
    /// 2. The version and the features declared are those that instance and device were created with.
    /// 3. Allocation callbacks, if given, are valid for as long (Vulkan specification, "Host Memory").
    #[expect(unsafe_code, reason = "takes over Vulkan handles")]
    pub unsafe fn new(mut info: AllocatorCreateInfo<'_>) -> Result<Self, CreateError> {
        let device_info = info.device_info();
        // SAFETY: the caller's duties 1 to 3 are those of `Device::new`.
        let device = unsafe { Device::new(&device_info) }?;
        let selector = Selector::new(device.properties(), device.features());
        let budget = Budget::new(device.properties(), &info.heap_limits);
        let pools = Pools::new(&device);
        let allocator = Self {
            device,
            budget,
            selector,
            pools,
            ledger: Ledger::new(info.records_backtraces),
            idle: Mutex::default(),
            peak_bytes: AtomicU64::new(0),
            ticks: AtomicU64::new(0),
            owner: NEXT_OWNER.fetch_add(1, Ordering::Relaxed),
            tracks_all: info.tracks_all,
            leak_callback: info.leak_callback.take(),
        };
        allocator.update_budget();
        Ok(allocator)
    }

    /// Allocates memory for raw requirements.
    ///
    /// Kind and need of a device address are part of the requirements: a driver does not tell them. A range of an
    /// existing block is the first choice; see the crate's ladder for what comes after.
    ///
    /// # Errors
    /// - `ZeroSize`, `BadAlignment`, `DedicatedConflict`, `UnsupportedFlags`, `Unsupported`, `NoMemoryType`: the request
    ///   cannot be served by any amount of memory.
    /// - `OutOfMemory`: every candidate refused; the error lists each attempt with its reason.
    /// - `Driver`: the driver reported something that no other attempt mends.
    ///
    /// # Complexity
    /// O(1) where an existing block has room; no driver call and no heap call then.
    ///
    /// # Examples
    /// ```
    /// # use freestone::{sim, ash::vk};
    /// use freestone::{AllocationCreateInfo, AllocationRequirements, Allocator, DeviceAddress, Kind};
    ///
    /// # let vulkan = sim::SimDevice::new(sim::Profile::unified());
    /// # let info = freestone::AllocatorCreateInfo::new(vulkan.entry(), vulkan.instance(), vulkan.physical_device(), vulkan.device());
    /// # // SAFETY: the objects belong together and outlive the allocator.
    /// # let allocator = unsafe { Allocator::new(info) }?;
    /// let requirements = vk::MemoryRequirements { size: 65_536, alignment: 256, memory_type_bits: !0 };
    /// let requirements = AllocationRequirements::new(requirements, Kind::Linear, DeviceAddress::NotNeeded);
    /// let mut allocation = allocator.allocate(&requirements, &AllocationCreateInfo::upload())?;
    /// allocation.write(0, &[1.0_f32, 2.0, 3.0])?;
    /// allocator.free(allocation)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn allocate(
        &self,
        requirements: &AllocationRequirements,
        info: &AllocationCreateInfo<'_>,
    ) -> Result<Allocation, AllocationError> {
        self.serve(AllocationRequest { requirements, info, dedicated_for: None })
    }

    /// Allocates for several requirements, all or none.
    ///
    /// # Errors
    /// As [`allocate`](Self::allocate), for the first that fails; those before it have been taken back by then.
    pub fn allocate_many(
        &self,
        requirements: &[AllocationRequirements],
        info: &AllocationCreateInfo<'_>,
    ) -> Result<Vec<Allocation>, AllocationError> {
        let mut allocations = Vec::with_capacity(requirements.len());
        for requirement in requirements {
            match self.allocate(requirement, info) {
                Ok(allocation) => allocations.push(allocation),
                Err(error) => {
                    allocations.into_iter().rev().for_each(|allocation| self.take_back(allocation));
                    return Err(error);
                }
            }
        }
        Ok(allocations)
    }

    /// Frees an allocation.
    ///
    /// Blocks that become empty are kept within a bound, or go back to the driver. Freeing works after device loss.
    ///
    /// # Errors
    /// `Foreign` or `Stale`; the allocation is handed back and nothing has changed.
    ///
    /// # Complexity
    /// O(1); no heap call, and no driver call unless a block goes back.
    pub fn free(&self, allocation: Allocation) -> Result<(), FreeError> {
        match self.pools.get_default(allocation.pool_index()) {
            Some(pool) if self.owns(&allocation) && allocation.is_plain() => {
                let left = pool.free(self.backing(), allocation.key(), self.now());
                if left == Ok(Left::Live) { Ok(()) } else { self.end_free(allocation, left) }
            }
            _ => self.free_checked(allocation),
        }
    }

    /// Frees what is dedicated, of a custom pool, or in the ledger.
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
            self.ledger.strike(ledger_key(&allocation));
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

    /// Returns the device's memory types, heaps and limits as the allocator sees them.
    pub fn properties(&self) -> &Properties {
        self.device.properties()
    }

    /// Returns how host and device share memory on this device.
    pub fn topology(&self) -> Topology {
        self.selector.topology()
    }

    /// Returns usage, budget and limits of a heap, as of the last [`update_budget`](Self::update_budget).
    pub fn heap_usage(&self, heap_index: u32) -> HeapUsage {
        self.budget.heap(heap_index)
    }

    /// Returns the name that an allocation was given, while it is alive.
    pub fn name_of(&self, allocation: &Allocation) -> Option<String> {
        let is_own = allocation.owner() == self.owner && allocation.is_in_ledger();
        is_own.then(|| self.ledger.name(ledger_key(allocation))).flatten()
    }

    /// Checks every invariant of every pool: for tests and for finding bugs.
    ///
    /// # Errors
    /// The first invariant that does not hold, in words.
    ///
    /// # Complexity
    /// Linear in all ranges.
    pub fn validate(&self) -> Result<(), String> {
        self.pools
            .all()
            .iter()
            .try_for_each(|(index, pool)| pool.validate().map_err(|violation| format!("pool {index}: {violation}")))
    }

    /// Serves a request for a resource.
    pub(crate) fn allocate_request(&self, request: AllocationRequest<'_>) -> Result<Allocation, AllocationError> {
        self.serve(request)
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the hot path is one function: a call would cost as much as its work")]
    fn serve(&self, request: AllocationRequest<'_>) -> Result<Allocation, AllocationError> {
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
    fn candidates_for(&self, request: &AllocationRequest<'_>) -> Result<Candidates, AllocationError> {
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

    fn candidates(&self, types: &TypeRequest, memory_type_bits: u32) -> Result<Candidates, AllocationError> {
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

    /// Takes back what was made a moment ago, because the rest of an operation failed (I3): nothing of it counts, and a
    /// block that was opened for it goes back.
    #[expect(clippy::needless_pass_by_value, reason = "the key ends here")]
    pub(crate) fn take_back(&self, allocation: Allocation) {
        if allocation.is_in_ledger() {
            self.ledger.strike(ledger_key(&allocation));
        }
        let Some(pool) = self.pools.get(allocation.pool_index()) else { return };
        let taken = pool.take_back(self.backing(), (allocation.key(), allocation.making()), self.now());
        debug_assert!(taken.is_ok(), "I1: the allocator takes back what it has made");
    }

    /// Returns whether this allocator made an allocation.
    #[inline]
    pub(crate) fn owns(&self, allocation: &Allocation) -> bool {
        allocation.owner() == self.owner
    }

    #[inline]
    pub(crate) fn backing(&self) -> Backing<'_> {
        Backing { device: &self.device, budget: &self.budget }
    }

    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    pub(crate) fn pools(&self) -> &Pools {
        &self.pools
    }

    #[inline]
    pub(crate) fn granularity(&self) -> u64 {
        self.device.properties().buffer_image_granularity
    }

    pub(crate) fn heap_of(&self, memory_type_index: u32) -> u32 {
        self.properties().memory_type(memory_type_index).map_or(0, |memory_type| memory_type.heap_index)
    }

    pub(crate) fn peak_bytes(&self) -> u64 {
        self.peak_bytes.load(Ordering::Relaxed)
    }

    #[inline]
    fn now(&self) -> u64 {
        self.ticks.load(Ordering::Relaxed)
    }
}

fn ledger_key(allocation: &Allocation) -> LedgerKey {
    LedgerKey::new(allocation.pool_index(), allocation.is_dedicated(), allocation.key())
}

impl fmt::Debug for Allocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Allocator")
            .field("device_name", &self.properties().device_name)
            .field("owner", &self.owner)
            .field("reserved_bytes", &self.reserved_bytes())
            .finish_non_exhaustive()
    }
}

impl Drop for Allocator {
    /// Gives back what nobody uses. What is still in use stays allocated and mapped for whoever holds it, and is
    /// reported; quietly while panicking.
    fn drop(&mut self) {
        let report = LeakReport {
            leaks: self.ledger.leaks(),
            allocation_count: self.pools.sum(|pool| pool.counters().live_count()),
            allocation_bytes: self.pools.sum(|pool| pool.counters().live_bytes()),
        };
        for pool in self.pools.drain() {
            pool.abandon(Backing { device: &self.device, budget: &self.budget });
        }
        if report.allocation_count == 0 || std::thread::panicking() {
            return;
        }
        match &self.leak_callback {
            Some(callback) => callback(&report),
            None => report.log(),
        }
    }
}
