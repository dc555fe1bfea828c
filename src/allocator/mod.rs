//! The allocator: what a user calls.
//!
//! ```text
//!   allocate   request -> candidates (table lookup) -> pool -> range            the fast path, one lock
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

mod access;
#[expect(unsafe_code, reason = "lends mapped memory, whose validity ownership proves")]
mod allocation;
mod beforehand;
mod create_info;
mod custom_pool;
mod descent;
mod error;
mod first_pools;
mod free;
mod ladder;
mod ledger;
#[cfg(all(test, loom))]
mod loom_tests;
mod memory_map;
mod names;
mod plan;
mod pools;
mod request;
mod retention;
mod serve;
mod stamp;
mod statistics;
mod upkeep;

use core::fmt;

pub use self::access::AllocationRange;
pub use self::allocation::Allocation;
pub use self::create_info::AllocatorCreateInfo;
use self::create_info::LeakCallback;
pub use self::custom_pool::{CreatePoolError, CustomPool, DestroyPoolError, DestroyPoolReason, PoolCreateInfo};
pub use self::error::{
    AccessError, AliasError, AllocationError, AttemptKind, AttemptRecord, Attempts, CreateError, FreeError,
    FreeErrorReason, FreeManyError, Reason,
};
use self::first_pools::FirstPools;
use self::ledger::Ledger;
pub use self::ledger::{Leak, LeakReport};
pub use self::memory_map::{MemoryMap, MemoryMapObject, MemoryMapRange, RangeUse};
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
pub use self::upkeep::BudgetAge;
use crate::block::Backing;
use crate::device::{Device, Properties};
use crate::memory_type::{Budget, HeapUsage, Selector, Topology};
use crate::sync::{AtomicU64, Mutex, Ordering, StaticU32};

/// Numbers allocators, so that a key of one is foreign to every other. 0 is never given out.
static NEXT_OWNER: StaticU32 = StaticU32::new(1);

/// Suballocates device memory for buffers and images.
pub struct Allocator {
    device: Device,
    budget: Budget,
    selector: Selector,
    pools: Pools,
    /// Nothing where each allocation is tracked: then none is plain.
    first_pools: FirstPools,
    ledger: Ledger,
    idle: Mutex<IdleMemory>,
    /// How often `tick` was called.
    ticks: AtomicU64,
    /// How often memory was opened.
    openings: AtomicU64,
    /// `openings` as it was when an idle allocator last found nothing to release; `NEVER` after a trim.
    rested_at: AtomicU64,
    owner: u32,
    tracks_all: bool,
    leak_callback: Option<LeakCallback>,
}

impl Allocator {
    /// Creates an allocator for a device. Nothing is allocated yet.
    ///
    /// # Errors
    /// `Device` where the declared version is above what the Vulkan loader or the physical device offers
    /// (`UnsupportedVersion`), a declared version or feature lacks a function (`MissingFunction`), or no memory type is
    /// usable (`NoMemoryTypes`).
    ///
    /// # Safety
    /// 1. Entry, instance, physical device and device belong together and stay alive until the allocator **and every**
    ///    [`Allocation`], buffer, image and slice that came from it are gone.
    /// 2. The version and the features declared are those that instance and device were created with.
    /// 3. Allocation callbacks, if given, are valid for as long (Vulkan specification, "Host Memory").
    /// 4. The device was made of one physical device, or no heap with `MULTI_INSTANCE` has a host-visible memory type:
    ///    in a device group, memory of such a heap has an instance on each, and must not be mapped
    ///    (VUID-vkMapMemory-memory-00683). Vulkan does not say what a device was made of.
    #[expect(unsafe_code, reason = "takes over Vulkan handles")]
    pub unsafe fn new(mut info: AllocatorCreateInfo<'_>) -> Result<Self, CreateError> {
        let device_info = info.device_info();
        // SAFETY: the caller's duties 1 to 4 are those of `Device::new`.
        let device = unsafe { Device::new(&device_info) }?;
        let selector = Selector::new(device.properties(), device.features());
        let budget = Budget::new(device.properties(), &info.heap_limits);
        let owner = NEXT_OWNER.fetch_add(1, Ordering::Relaxed);
        let pools = Pools::new(&device, owner, info.block_sizes);
        let first_pools = if info.tracks_all { FirstPools::default() } else { FirstPools::new(&selector, &pools) };
        let allocator = Self {
            device,
            budget,
            selector,
            pools,
            first_pools,
            ledger: Ledger::new(info.records_backtraces),
            idle: Mutex::default(),
            ticks: AtomicU64::new(0),
            openings: AtomicU64::new(0),
            rested_at: AtomicU64::new(0),
            owner,
            tracks_all: info.tracks_all,
            leak_callback: info.leak_callback.take(),
        };
        allocator.update_budget();
        Ok(allocator)
    }

    /// Allocates memory for raw requirements.
    ///
    /// Kind and need of a device address are part of the requirements: a driver does not tell them. A range of an
    /// existing block is the first choice, then a new block, then the next memory type, and last, unless the request
    /// says [`within_budget`](AllocationCreateInfo::within_budget), memory above the driver's budget.
    ///
    /// # Errors
    /// - `ZeroSize`, `BadAlignment`, `DedicatedConflict`, `UnsupportedFlags`, `Unsupported`, `NoMemoryType`,
    ///   `ForeignPool`, `PoolMismatch`, `OtherKind`: the request cannot be served by any amount of memory.
    /// - `OutOfMemory`: every candidate refused; the error lists each attempt with its reason.
    /// - `Driver`: the driver reported something that no other attempt mends.
    ///
    /// # Complexity
    /// O(1) where an existing block has room. No driver call then, and no heap call unless the block's tables must grow
    /// or the allocation is named or tracked.
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
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the handle is written where it stays: a copy would wait for its stores")]
    pub fn allocate(
        &self,
        requirements: &AllocationRequirements,
        info: &AllocationCreateInfo<'_>,
    ) -> Result<Allocation, AllocationError> {
        let request = AllocationRequest::new(requirements, info);
        match self.allocate_fast(&request) {
            Ok(allocation) => Ok(allocation),
            Err(start) => self.allocate_slow(requirements, info, start),
        }
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

    /// Returns the device's memory types, heaps and limits as the allocator sees them.
    pub fn properties(&self) -> &Properties {
        self.device.properties()
    }

    /// Returns how host and device share memory on this device.
    pub fn topology(&self) -> Topology {
        self.selector.topology()
    }

    /// Returns usage, budget and limits of a heap; zeros for a heap that the device does not have. What the allocator
    /// holds is current; the budget, and what others use, are as of the last [`update_budget`](Self::update_budget).
    pub fn heap_usage(&self, heap_index: u32) -> HeapUsage {
        self.budget.heap(heap_index)
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
            .try_for_each(|pool| pool.validate().map_err(|violation| format!("pool {}: {violation}", pool.index())))
    }

    /// Returns whether this allocator made an allocation.
    #[inline]
    pub(crate) fn owns(&self, allocation: &Allocation) -> bool {
        allocation.stamp().owner() == self.owner
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
        self.properties().heap_index_of(memory_type_index)
    }

    #[inline]
    fn now(&self) -> u64 {
        self.ticks.load(Ordering::Relaxed)
    }
}

impl Allocator {
    /// Gives back what nobody uses, and reports what somebody does.
    fn end(&self) {
        let report = LeakReport {
            leaks: self.ledger.leaks(),
            allocation_count: self.pools.sum(|pool| pool.counts().live_count()),
            allocation_bytes: self.pools.sum(|pool| pool.counts().live_bytes()),
        };
        for pool in self.pools.all() {
            pool.abandon(self.backing());
        }
        if report.allocation_count == 0 || std::thread::panicking() {
            return;
        }
        match &self.leak_callback {
            Some(callback) => callback(&report),
            None => log::warn!("{report}"),
        }
    }
}

impl fmt::Debug for Allocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Allocator")
            .field("device_name", &self.properties().device_name)
            .field("owner", &self.owner)
            .field("reserved_bytes", &self.budget.reserved_bytes())
            .finish_non_exhaustive()
    }
}

impl Drop for Allocator {
    /// Gives back what nobody uses. What is still in use stays allocated and mapped for whoever holds it, and is
    /// reported; quietly while panicking.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return self.end();
        }
        // What panicked may have been a broken invariant, over which this panics too: a second panic that left a drop
        // would end the program.
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.end()));
        if ended.is_err() {
            log::error!("an allocator was dropped by a panic, and could not give back all that nobody uses");
        }
    }
}

#[cfg(all(test, debug_assertions, not(loom)))]
mod tests;
