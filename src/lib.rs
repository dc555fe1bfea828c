//! Fine pieces of device memory, cut from coarse blocks: a suballocator for Vulkan.
#![cfg_attr(not(feature = "vulkan"), no_std)]

extern crate alloc;

#[cfg(feature = "cli")]
pub mod trace;
