//! Fine pieces of device memory, cut from coarse blocks: a suballocator for Vulkan.
#![cfg_attr(not(feature = "vulkan"), no_std)]

extern crate alloc;

#[cfg(feature = "vulkan")]
mod sync;

mod suballocator;

#[cfg(feature = "vulkan")]
mod device;

#[cfg(feature = "vulkan")]
mod memory_type;

#[cfg(feature = "vulkan")]
mod block;

#[cfg(feature = "vulkan")]
mod pool;

#[cfg(feature = "vulkan")]
mod allocator;

#[cfg(feature = "vulkan")]
mod resource;

#[cfg(feature = "cli")]
pub mod trace;

#[cfg(feature = "sim")]
pub mod sim;

#[cfg(feature = "vulkan")]
pub use ash;

#[cfg(feature = "vulkan")]
pub use allocator::{
    AccessError, AliasError, Allocation, AllocationCreateInfo, AllocationError, AllocationRange,
    AllocationRequirements, Allocator, AllocatorCreateInfo, AttemptKind, AttemptRecord, Attempts, BlockStatistics, BudgetAge,
    CreateError, CreatePoolError, CustomPool, DestroyPoolError, DestroyPoolReason, DetailedStatistics, DeviceAddress,
    FreeError, FreeErrorReason, HeapStatistics, Leak, LeakReport, Limits, MemoryTypeStatistics, Plan,
    PlannedPlacement, PoolCreateInfo, PoolStatistics, RangeStatistics, Reason, Statistics,
};
#[cfg(feature = "vulkan")]
pub use device::{
    DedicatedPreference, DeviceError, DriverError, Features, HeapBudget, MAX_HEAPS, MemoryCallbacks, MemoryEvent,
    MemoryHeap, MemoryType, Properties,
};
#[cfg(feature = "vulkan")]
pub use memory_type::{
    ExtraFlags, HeapUsage, Intent, Refused, Rejection, Topology, TypeVerdict, UnsupportedFlags, Verdict,
};
#[cfg(feature = "vulkan")]
pub use resource::{AllocatorRef, Buffer, Image};
#[cfg(feature = "vulkan")]
pub use pool::{DedicatedUse, Kind, MemoryPriority};
pub use suballocator::validate::Violation;
pub use suballocator::virtual_block::{
    VirtualAllocateError, VirtualAllocation, VirtualBlock, VirtualBlockCreateInfo, VirtualBlockError,
    VirtualFreeError, VirtualKey, VirtualRange, VirtualRangeState, VirtualStatistics,
};
pub use suballocator::{Algorithm, End, InvalidRequest, Request};
