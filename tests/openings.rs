//! Which memory objects are opened, which make way, and who is refused: what a reading of ladder, pools and plans found
//! wrong, each with the case that showed it.

mod common;

use common::{Rig, linear, mib, two_heaps};
use freestone::{Allocation, AllocationCreateInfo, AllocationError, CreatePoolError, Intent, PoolCreateInfo};

fn free_all(rig: &Rig, allocations: impl IntoIterator<Item = Allocation>) {
    allocations.into_iter().for_each(|allocation| rig.free(allocation).expect("it is alive"));
}

/// A block ends at 2^42 units; a driver may name no largest object.
#[test]
fn no_object_is_larger_than_what_a_block_can_count() {
    const HUGE: u64 = 1 << 48;
    let mut profile = two_heaps(1 << 50, mib(64));
    profile.max_memory_allocation_size = 0;
    let rig = Rig::new(profile);
    let info = AllocationCreateInfo::gpu_only();
    let limits = rig.limits(Intent::GpuOnly).expect("there is a type");
    assert_eq!(limits.largest_allocation, HUGE - 64);
    let largest = rig.allocate(&linear(HUGE - 64), &info).expect("it was promised");
    free_all(&rig, [largest]);
    let made = rig.create_pool(&PoolCreateInfo::for_memory_type(0).block_size(HUGE));
    assert!(matches!(made, Err(CreatePoolError::BadBlockSize { .. })), "{made:?}");
    rig.plan(&linear(HUGE), &info).expect_err("no object is so large");
    let made = rig.allocate(&linear(HUGE), &info);
    assert!(matches!(made, Err(AllocationError::OutOfMemory { .. })), "{made:?}");
    rig.finish();
}
