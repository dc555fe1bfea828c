//! What went wrong in other allocators, each as a test: it passes here, and was seen to fail with a defect made by
//! hand.
//!
//! The doc comment of each test names the thread, what went wrong there, and the defect. What cannot be a test because
//! it must not compile stands in `does_not_compile.md`, which is run as doc tests. Of defragmentation, which this crate
//! has not got, `defragmentation` tests what can be asked without it.

#[path = "../common/mod.rs"]
mod common;
mod defragmentation;
mod gpu_alloc;
mod gpu_allocator;
mod vk_mem;
mod vma;
mod vulkano;
mod wgpu;

use ash::vk;
use common::Rig;
use freestone::sim::{Heap, MemoryType, Profile};
use freestone::{Allocation, AllocationCreateInfo, AllocationError, AllocationRequirements};

const DEVICE: vk::MemoryPropertyFlags = vk::MemoryPropertyFlags::DEVICE_LOCAL;
const VISIBLE: vk::MemoryPropertyFlags = vk::MemoryPropertyFlags::HOST_VISIBLE;
const COHERENT: vk::MemoryPropertyFlags = vk::MemoryPropertyFlags::HOST_COHERENT;
const CACHED: vk::MemoryPropertyFlags = vk::MemoryPropertyFlags::HOST_CACHED;

/// Makes a device with these heaps and memory types.
fn device(heaps: &[(u64, vk::MemoryHeapFlags)], types: &[(vk::MemoryPropertyFlags, u32)]) -> Profile {
    let mut profile = Profile::unified();
    "peers".clone_into(&mut profile.name);
    profile.heaps = heaps.iter().map(|&(size, flags)| Heap { size, flags, budget: None, foreign_usage: 0 }).collect();
    profile.memory_types =
        types.iter().map(|&(property_flags, heap_index)| MemoryType { property_flags, heap_index }).collect();
    profile
}

#[track_caller]
fn allocate(rig: &Rig, request: &AllocationRequirements, info: &AllocationCreateInfo<'_>) -> Allocation {
    rig.allocate(request, info).unwrap_or_else(|error| panic!("{error}"))
}

/// Allocates until it is refused, so many times at most.
fn allocate_up_to(
    rig: &Rig,
    limit: usize,
    request: &AllocationRequirements,
    info: &AllocationCreateInfo<'_>,
) -> (Vec<Allocation>, Option<AllocationError>) {
    let mut allocations = Vec::new();
    while allocations.len() < limit {
        match rig.allocate(request, info) {
            Ok(allocation) => allocations.push(allocation),
            Err(error) => return (allocations, Some(error)),
        }
    }
    (allocations, None)
}

#[track_caller]
fn free_all(rig: &Rig, allocations: impl IntoIterator<Item = Allocation>) {
    for allocation in allocations {
        rig.free(allocation).expect("it is alive");
    }
}

/// Returns where an allocation lies.
fn place(allocation: &Allocation) -> (vk::DeviceMemory, u64) {
    (allocation.memory(), allocation.offset())
}

/// Reads bytes that the test wrote through the mapping.
fn bytes_of(allocation: &Allocation, offset: u64, len: usize) -> Vec<u8> {
    // SAFETY: each caller wrote these bytes before; no device writes them.
    unsafe { allocation.slice::<u8>(offset, len) }.expect("it is mapped").to_vec()
}
