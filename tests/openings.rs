//! Which memory objects are opened, which make way, and who is refused: what a reading of ladder, pools and plans found
//! wrong, each with the case that showed it.

mod common;

use ash::vk;
use common::{Rig, linear, mib, two_heaps};
use freestone::sim::Function;
use freestone::{Allocation, AllocationCreateInfo, AllocationRequirements, DedicatedPreference};

const REFUSED: vk::Result = vk::Result::ERROR_OUT_OF_DEVICE_MEMORY;

fn free_all(rig: &Rig, allocations: impl IntoIterator<Item = Allocation>) {
    allocations.into_iter().for_each(|allocation| rig.free(allocation).expect("it is alive"));
}

fn preferred(size: u64) -> AllocationRequirements {
    AllocationRequirements { dedicated: DedicatedPreference::Preferred, ..linear(size) }
}

/// The driver answers its first calls for memory with these, and then as it can.
fn answer_allocations(rig: &Rig, results: &'static [vk::Result]) {
    let mut results = results.iter();
    rig.control()
        .fail_when(move |call| if call.function == Function::AllocateMemory { results.next().copied() } else { None });
}

#[test]
fn a_preferred_dedicated_allocation_comes_to_existing_blocks_after_all_pools_were_trimmed() {
    const NO_HOST_MEMORY: vk::Result = vk::Result::ERROR_OUT_OF_HOST_MEMORY;
    for results in [&[NO_HOST_MEMORY, REFUSED], &[NO_HOST_MEMORY, NO_HOST_MEMORY]] {
        let rig = Rig::new(two_heaps(mib(1024), mib(1024)));
        let info = AllocationCreateInfo::gpu_only().without_spilling();
        let with_room = rig.allocate(&linear(mib(3)), &info).expect("there is memory");
        answer_allocations(&rig, results);
        let shared = rig.allocate(&preferred(mib(2)), &info).expect("the block has room");
        assert_eq!(shared.memory(), with_room.memory(), "{results:?}");
        free_all(&rig, [with_room, shared]);
        rig.finish();
    }
}
