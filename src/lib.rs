//! Fine pieces of device memory, cut from coarse blocks: a suballocator for Vulkan.
#![cfg_attr(not(feature = "vulkan"), no_std)]

extern crate alloc;

mod suballocator;

pub use suballocator::validate::Violation;
pub use suballocator::virtual_block::{
    VirtualAllocateError, VirtualAllocation, VirtualBlock, VirtualBlockCreateInfo,
    VirtualBlockError, VirtualFreeError, VirtualKey, VirtualRange, VirtualRangeState,
    VirtualStatistics,
};
pub use suballocator::{Algorithm, End, InvalidRequest, Request};
