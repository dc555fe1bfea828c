//! What a shard does that has no room: it borrows, takes over, opens a block; and plans say so.

use std::time::Duration;

use super::{
    allocate, allocator, best_type, further_bytes, in_the_second_shard, info, pin_a_large_block, put_away, request,
    while_busy,
};
use crate::allocator::Allocation;
use crate::memory_type::Intent;
use crate::pool::Kind;
use crate::sim::{MIB, Profile, SimDevice};
use crate::{Allocator, PlannedPlacement};

/// Pretends that the threads of the calling thread's shard have met those of its siblings too often.
fn leave(allocator: &Allocator, type_index: u32) {
    let own = allocator.pools().own_shard(type_index, Kind::Linear);
    assert!(own.borrowing().is_welcome());
    (0..4).for_each(|_| own.borrowing().note_collision());
    assert!(!own.borrowing().is_welcome());
}

/// Checks that a plan tells where an allocation goes, and makes it.
fn allocate_as_planned(allocator: &Allocator, size: u64, expected: PlannedPlacement) -> Allocation {
    let plan = allocator.plan(&request(size), &info()).expect("there is memory");
    assert_eq!(plan.placement, expected);
    let calls = allocator.budget().object_count();
    let placed = allocate(allocator, size).expect("there is memory");
    let opened = allocator.budget().object_count() - calls;
    assert_eq!(opened, u32::from(expected != PlannedPlacement::ExistingBlock));
    assert!(plan.offset.is_none_or(|offset| offset == placed.offset()), "{plan:?} {placed:?}");
    placed
}

#[test]
fn a_shard_that_met_its_siblings_too_often_opens_a_block_though_they_have_room() {
    let sim = SimDevice::new(Profile::unified());
    let allocator = allocator(&sim, 64 * MIB);
    let first = allocate(&allocator, 512).expect("there is memory");
    let type_index = first.memory_type_index();
    let [borrowed, own] = in_the_second_shard(&allocator, || {
        let borrowed = allocate_as_planned(&allocator, 512, PlannedPlacement::ExistingBlock);
        leave(&allocator, type_index);
        [borrowed, allocate_as_planned(&allocator, 512, PlannedPlacement::NewBlock)]
    });
    assert_eq!((first.memory() == borrowed.memory(), first.memory() == own.memory()), (true, false));
    put_away(sim, allocator, [first, borrowed, own]);
}

#[test]
fn a_busy_sibling_counts_as_met() {
    let sim = SimDevice::new(Profile::unified());
    let allocator = allocator(&sim, 64 * MIB);
    let pinned = pin_a_large_block(&allocator);
    let type_index = pinned.memory_type_index();
    let first = allocator.pools().own_shard(type_index, Kind::Linear);
    let (is_welcome, mut live) = in_the_second_shard(&allocator, || {
        let small = || while_busy(first, Duration::from_millis(5), || allocate(&allocator, 512));
        let live: Vec<_> = (0..4).map(|_| small().expect("there is memory")).collect();
        (allocator.pools().own_shard(type_index, Kind::Linear).borrowing().is_welcome(), live)
    });
    assert!(!is_welcome);
    assert!(live.iter().all(|small| small.memory() == pinned.memory()), "what was prewarmed is for all");
    live.push(pinned);
    put_away(sim, allocator, live);
}

#[test]
fn a_shard_takes_an_empty_block_over_before_it_opens_one() {
    let sim = SimDevice::new(Profile::unified());
    let allocator = allocator(&sim, 64 * MIB);
    let [small, large] = [512, 2 * MIB].map(|size| allocate(&allocator, size).expect("there is memory"));
    let (type_index, empty) = (large.memory_type_index(), large.memory());
    assert_ne!(small.memory(), empty);
    allocator.free(large).expect("it is alive");
    let [moved, new] = in_the_second_shard(&allocator, || {
        leave(&allocator, type_index);
        let moved = allocate_as_planned(&allocator, 3 * MIB, PlannedPlacement::ExistingBlock);
        assert_eq!(further_bytes(&allocator), 6 * MIB);
        [moved, allocate_as_planned(&allocator, 4 * MIB, PlannedPlacement::OwnBlock)]
    });
    assert_eq!((moved.memory() == empty, new.memory() == empty), (true, false));
    allocator.validate().expect("every invariant holds");
    put_away(sim, allocator, [small, moved, new]);
}

/// Who prewarmed keeps what is left: others cut what they need, and move no block of it.
#[test]
fn room_that_was_prewarmed_serves_all_and_stays_where_it_is() {
    let sim = SimDevice::new(Profile::unified());
    let allocator = allocator(&sim, 64 * MIB);
    assert_eq!(allocator.prewarm(Intent::GpuOnly, 7 * MIB).ok(), Some(7 * MIB));
    let theirs = in_the_second_shard(&allocator, || {
        leave(&allocator, best_type(&allocator));
        allocate_as_planned(&allocator, 512, PlannedPlacement::ExistingBlock)
    });
    assert_eq!(further_bytes(&allocator), 0);
    let mine = allocate_as_planned(&allocator, 6 * MIB, PlannedPlacement::ExistingBlock);
    assert_eq!(mine.memory(), theirs.memory());
    put_away(sim, allocator, [mine, theirs]);
}

#[test]
fn a_shard_that_can_open_no_block_is_welcome_again() {
    let sim = SimDevice::new(Profile::unified());
    let allocator = allocator(&sim, 4 * MIB);
    let [first, large] = [512, 3 * MIB].map(|size| allocate(&allocator, size).expect("there is memory"));
    let (type_index, small) = (first.memory_type_index(), 512);
    let theirs = in_the_second_shard(&allocator, || {
        leave(&allocator, type_index);
        let theirs = allocate_as_planned(&allocator, small, PlannedPlacement::ExistingBlock);
        assert!(allocator.pools().own_shard(type_index, Kind::Linear).borrowing().is_welcome());
        theirs
    });
    assert_eq!(theirs.memory(), first.memory());
    put_away(sim, allocator, [first, large, theirs]);
}
