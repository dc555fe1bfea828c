//! Memory on its way: opened or given back by other threads, or committed lazily. It counts, and is waited for before a
//! refusal.

mod common;

use ash::vk;
use common::{Rig, linear, mib, requirements};
use freestone::sim::Profile;
use freestone::{AllocationCreateInfo, Kind};

/// Lazily allocated memory counts as a whole until the driver is asked for its commitment, though it commits nothing.
#[test]
fn lazy_memory_hides_nobody_else_s() {
    let rig = Rig::new(Profile::noncoherent());
    let info = vk::MemoryAllocateInfo::default().allocation_size(mib(150)).memory_type_index(0);
    // SAFETY: the memory type has a heap with room; it is freed below.
    let others = unsafe { rig.vulkan.device().allocate_memory(&info, None) }.expect("there is memory");
    let image = requirements(mib(64), 256, Kind::NonLinear);
    let lazy = rig.allocate(&image, &AllocationCreateInfo::transient()).expect("there is memory");
    rig.control().set_budget(0, Some(mib(200)));
    assert!(rig.update_budget());
    let usage = rig.heap_usage(0);
    assert_eq!((usage.own, usage.foreign), (0, mib(150)));
    rig.free(lazy).expect("it is alive");
    let info = AllocationCreateInfo::gpu_only().within_budget().without_spilling();
    let over = rig.allocate(&linear(mib(100)), &info);
    assert!(over.is_err(), "50 MiB are left of the budget: {over:?}");
    // SAFETY: it is alive, and nothing uses it.
    unsafe { rig.vulkan.device().free_memory(others, None) };
    rig.finish();
}

/// What it commits is its own: at the next look nobody else holds it.
#[test]
fn lazy_memory_that_is_committed_counts_once() {
    let rig = Rig::new(Profile::noncoherent());
    rig.control().set_lazy_commitment(50);
    let image = requirements(mib(64), 256, Kind::NonLinear);
    let lazy = rig.allocate(&image, &AllocationCreateInfo::transient()).expect("there is memory");
    assert_eq!(rig.heap_usage(0).own, mib(64), "it may commit all");
    assert!(rig.update_budget());
    let usage = rig.heap_usage(0);
    assert_eq!((usage.own, usage.foreign), (mib(64) / 100 * 50, 0));
    rig.free(lazy).expect("it is alive");
    rig.finish();
}
