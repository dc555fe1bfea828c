//! Fine pieces of device memory, cut from coarse blocks: a suballocator for Vulkan.
#![cfg_attr(not(feature = "vulkan"), no_std)]

extern crate alloc;

#[cfg(feature = "vulkan")]
mod device;
#[cfg(feature = "vulkan")]
mod memory_type;
#[cfg(feature = "sim")]
pub mod sim;
#[cfg(feature = "vulkan")]
mod sync;

#[cfg(feature = "vulkan")]
pub use device::{
    DedicatedPreference, DeviceError, DriverError, Features, HeapBudget, MAX_HEAPS,
    MemoryCallbacks, MemoryEvent, MemoryHeap, MemoryType, Properties,
};
#[cfg(feature = "vulkan")]
pub use memory_type::{
    ExtraFlags, HeapUsage, Intent, Refused, Rejection, Topology, TypeVerdict, UnsupportedFlags,
    Verdict,
};
