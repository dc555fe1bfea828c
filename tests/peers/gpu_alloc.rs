//! gpu-alloc: `zakarumych/gpu-alloc`.

use ash::vk;
use freestone::AllocationCreateInfo;
use freestone::sim::{Function, Profile};

use super::common::{Rig, Shadow, linear, mib, requirements, state_of};
use super::{allocate, free_all};

/// #51: the buffer-image granularity was ignored.
///
/// Seen to fail with: non-linear requests that are treated like linear ones.
#[test]
fn gpu_alloc_51_kinds_never_share_a_page() {
    for profile in Profile::all() {
        let rig = Rig::new(profile);
        let granularity = rig.properties().buffer_image_granularity;
        let (mut shadow, mut live) = (Shadow::default(), Vec::new());
        for n in 1..200 {
            let kind = if n % 3 == 0 { freestone::Kind::NonLinear } else { freestone::Kind::Linear };
            let allocation = allocate(&rig, &requirements(n * 37, 64, kind), &AllocationCreateInfo::gpu_only());
            shadow.enter(&allocation, granularity);
            live.push(allocation);
        }
        free_all(&rig, live);
        rig.finish();
    }
}

/// No thread (found by reading): where mapping failed, the memory object was neither kept nor freed.
///
/// Seen to fail with: `Pool::open_memory` that forgets what it could not map.
#[test]
fn gpu_alloc_a_mapping_that_fails_leaks_nothing() {
    for profile in Profile::all() {
        let rig = Rig::new(profile);
        for size in [1000, mib(6)] {
            let before = state_of(&rig);
            rig.control().fail_nth_of(Function::MapMemory, 1, vk::Result::ERROR_MEMORY_MAP_FAILED);
            let info = AllocationCreateInfo::upload().without_spilling();
            // It may succeed with a smaller block: then nothing but that block is left.
            match rig.allocate(&linear(size), &info) {
                Ok(allocation) => free_all(&rig, [allocation]),
                Err(_) => assert_eq!(state_of(&rig), before),
            }
            rig.control().clear_faults();
            rig.trim();
            assert_eq!(rig.control().memory_object_count(), 0);
            assert_eq!(rig.statistics().object_count, 0);
            let heaps = (0..).zip(rig.properties().memory_heaps.iter());
            assert!(heaps.into_iter().all(|(heap_index, _)| rig.heap_usage(heap_index).own == 0));
        }
        rig.finish();
    }
}

/// No thread (measured): one resource that is allocated and freed in turn made a driver call each time.
///
/// Seen to fail with: an idle pool that keeps no block.
#[test]
fn gpu_alloc_one_resource_in_turn_calls_the_driver_once() {
    for profile in Profile::all() {
        let rig = Rig::new(profile);
        for _ in 0..100 {
            free_all(&rig, [allocate(&rig, &linear(65_536), &AllocationCreateInfo::gpu_only())]);
        }
        assert_eq!(rig.control().count(Function::AllocateMemory), 1);
        assert_eq!(rig.control().count(Function::FreeMemory), 0);
        rig.finish();
    }
}
