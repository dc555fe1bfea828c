//! What a custom pool is asked to be beside its algorithm and its blocks: of one kind, of a memory type with flags, at its
//! minimum, and counted by itself.

mod common;

use common::{Rig, linear};
use freestone::sim::{KIB, Profile};
use freestone::{Algorithm, Allocation, AllocationCreateInfo, CustomPool, PoolCreateInfo};

fn pool_of(rig: &Rig, info: &PoolCreateInfo) -> CustomPool {
    rig.create_pool(info).expect("a pool")
}

fn wishes(pool: &CustomPool) -> AllocationCreateInfo<'_> {
    AllocationCreateInfo::gpu_only().pool(pool)
}

fn free_all(rig: &Rig, allocations: impl IntoIterator<Item = Allocation>) {
    allocations.into_iter().for_each(|allocation| rig.free(allocation).expect("it is alive"));
}

#[test]
fn what_lies_behind_the_last_slot_is_no_free_slot() {
    let rig = Rig::new(Profile::discrete_rebar());
    let slots = Algorithm::Fixed { slot_size: 3 * KIB };
    let pool = pool_of(&rig, &PoolCreateInfo::for_memory_type(0).algorithm(slots).block_size(10 * KIB));
    let mut live: Vec<_> = (0..3).map(|_| rig.allocate(&linear(3 * KIB), &wishes(&pool)).expect("a slot")).collect();
    let ranges = rig.detailed_statistics().ranges;
    assert_eq!((ranges.free_slot_count, ranges.free_slot_bytes, ranges.unusable_bytes), (0, 0, KIB));
    free_all(&rig, live.pop());
    let ranges = rig.detailed_statistics().ranges;
    assert_eq!((ranges.free_slot_count, ranges.free_slot_bytes, ranges.unusable_bytes), (1, 3 * KIB, KIB));
    free_all(&rig, live);
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.finish();
}
