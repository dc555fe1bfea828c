//! Fine pieces of device memory, cut from coarse blocks: a suballocator for Vulkan.
//!
//! Start with [`Allocator`]: it is made from your Vulkan objects by an [`AllocatorCreateInfo`], and what memory is for
//! is said by an [`AllocationCreateInfo`]. [`Allocator::create_buffer`] and [`Allocator::create_image`] give a handle
//! and an [`Allocation`]; [`Buffer`] and [`Image`] own both. [`Allocator::plan`] says what would happen, and why.
//! [`VirtualBlock`] cuts anything that has offsets and needs no Vulkan. [`Uploader`], [`FrameRing`] and [`RetireQueue`]
//! are what a renderer takes next.
//!
//! ```
//! use freestone::{AllocationCreateInfo, Allocator, AllocatorCreateInfo, Buffer, ash::vk, sim};
//!
//! // A driver of no hardware; `entry`, `instance` and the others are what any Vulkan program has.
//! let vulkan = sim::SimDevice::new(sim::Profile::unified());
//! let info = AllocatorCreateInfo::new(vulkan.entry(), vulkan.instance(), vulkan.physical_device(), vulkan.device());
//! let info = info.api_version(vk::API_VERSION_1_3); // what instance and device offer; left out, it is 1.0
//! // Sound: the objects belong together and outlive the allocator; nothing is declared that is not enabled.
//! let allocator = unsafe { Allocator::new(info) }?;
//!
//! let info = vk::BufferCreateInfo::default().size(256).usage(vk::BufferUsageFlags::UNIFORM_BUFFER);
//! // Sound: the create-info is valid, and the GPU never sees the buffer.
//! let mut uniforms = unsafe { Buffer::new(&allocator, &info, &AllocationCreateInfo::stream()) }?;
//! uniforms.write(0, &[0.5_f32; 16])?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Inside, modules import only those below them:
//!
//! | floor | module | what it holds |
//! |---|---|---|
//! | 0 | `suballocator` | offsets only: TLSF with slabs, linear, fixed slots, [`VirtualBlock`] |
//! | 1 | `device` | the only place that calls Vulkan |
//! | 2 | `memory_type` | which memory type, and is there budget: [`Intent`], [`Topology`], [`HeapUsage`] |
//! | 3 | `block` | blocks of device memory under one index |
//! | 4 | `pool` | blocks and dedicated memory of one memory type |
//! | 5 | `allocator` | [`Allocator`], [`Allocation`], plans, statistics, errors |
//! | 6 | `resource` | buffers and images with their memory |
//! | 7 | `frame_ring` | [`FrameRing`]: what the CPU writes for one frame |
//! | 7 | `retire` | [`RetireQueue`]: what waits until the GPU is done with it |
//! | 7 | `upload` | staging: [`Uploader`], [`Readback`] |
//! | 7 | `arena` | [`Arena`]: many ranges inside a few large buffers |
//! | 7 | `transient` | [`TransientMemory`], [`TransientPlan`]: attachments that share memory |
//! | 8 | `trace` | recorded applications (feature `cli`) |
//! | apart | `sim` | a Vulkan driver of no hardware (feature `sim`) |
//!
//! `ARCHITECTURE.md` says why.
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

#[cfg(feature = "vulkan")]
mod frame_ring;

#[cfg(feature = "vulkan")]
mod retire;

#[cfg(feature = "vulkan")]
mod upload;

#[cfg(feature = "vulkan")]
mod arena;

#[cfg(feature = "vulkan")]
mod transient;

#[cfg(feature = "cli")]
pub mod trace;

#[cfg(feature = "sim")]
pub mod sim;

#[cfg(feature = "vulkan")]
pub use ash;

#[cfg(feature = "vulkan")]
pub use allocator::{
    AccessError, AliasError, Allocation, AllocationCreateInfo, AllocationError, AllocationRange,
    AllocationRequirements, Allocator, AllocatorCreateInfo, AttemptKind, AttemptRecord, Attempts, BlockStatistics,
    BudgetAge, CreateError, CreatePoolError, CustomPool, DestroyPoolError, DestroyPoolReason, DetailedStatistics,
    DeviceAddress, FreeError, FreeErrorReason, FreeManyError, HeapStatistics, Leak, LeakReport, Limits, MemoryMap,
    MemoryMapObject, MemoryMapRange, MemoryTypeStatistics, Plan, PlannedPlacement, PoolCreateInfo, PoolStatistics,
    RangeStatistics, RangeUse, Reason, Statistics,
};
#[cfg(feature = "vulkan")]
pub use arena::{Arena, ArenaCreateInfo, ArenaError, ArenaFreeError, ArenaFreeReason, ArenaRange, ArenaStatistics};
#[cfg(feature = "vulkan")]
pub use device::{
    DedicatedPreference, DeviceError, DriverError, Features, HeapBudget, MAX_HEAPS, MemoryCallbacks, MemoryEvent,
    MemoryHeap, MemoryType, Properties,
};
#[cfg(feature = "vulkan")]
pub use frame_ring::{
    EndFrameError, EndedFrame, ForeignFrame, Frame, FrameRing, FrameRingCreateInfo, FrameRingError,
    FrameRingStatistics, FrameSlice, FrameWriter, Reservation,
};
#[cfg(feature = "vulkan")]
pub use memory_type::{
    ExtraFlags, HeapUsage, Intent, Refused, Rejection, Topology, TypeVerdict, UnsupportedFlags, Verdict,
};
#[cfg(feature = "vulkan")]
pub use pool::{DedicatedUse, Kind, MemoryPriority};
#[cfg(feature = "vulkan")]
pub use resource::{AllocatorRef, Buffer, Image};
#[cfg(feature = "vulkan")]
pub use retire::{Collected, ReleasedByDrop, RetireLeak, RetireQueue, Retired};
pub use suballocator::validate::Violation;
pub use suballocator::virtual_block::{
    VirtualAllocateError, VirtualAllocation, VirtualBlock, VirtualBlockCreateInfo, VirtualBlockError, VirtualFreeError,
    VirtualKey, VirtualRange, VirtualRangeState, VirtualStatistics,
};
pub use suballocator::{Algorithm, End, InvalidRequest, Request};
#[cfg(feature = "vulkan")]
pub use transient::{
    OutdatedMemory, Takeover, TakeoverFrame, TransientChange, TransientError, TransientMemory, TransientPage,
    TransientPlacement, TransientPlan, TransientRequest,
};
#[cfg(feature = "vulkan")]
pub use upload::{
    Download, Full, ImageRegion, ImageTarget, Progress, QueueFamilies, Readback, Recorded, ResourceUse,
    StagingCreateInfo, Ticket, TicketError, TransferError, Upload, Uploader, Way,
};

/// The README's example, as a doc test.
#[cfg(doctest)]
#[cfg(feature = "sim")]
#[doc = include_str!("../README.md")]
pub struct Readme;

/// What must not compile, as doc tests.
#[cfg(doctest)]
#[cfg(feature = "vulkan")]
#[doc = include_str!("../tests/peers/does_not_compile.md")]
pub struct DoesNotCompile;
