//! What a shard does that has no room: it borrows, takes over, opens a block; and plans say so.

use std::time::Duration;

use super::{
    allocate, allocator, best_type, further_bytes, in_the_second_shard, info, pin_a_large_block, put_away, request,
    while_busy,
};
use crate::allocator::{Allocation, AllocationRequirements};
use crate::device::DedicatedPreference;
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

/// The one memory object that the driver grants is there: what room it has is all that there is.
#[test]
fn a_shard_that_keeps_away_takes_room_where_nothing_can_be_opened() {
    let mut profile = Profile::unified();
    profile.max_memory_allocation_count = 1;
    let sim = SimDevice::new(profile);
    let allocator = allocator(&sim, 64 * MIB);
    let pinned = pin_a_large_block(&allocator);
    let wanted = AllocationRequirements { dedicated: DedicatedPreference::Preferred, ..request(2 * MIB) };
    let placed = in_the_second_shard(&allocator, || {
        leave(&allocator, pinned.memory_type_index());
        let plan = allocator.plan(&wanted, &info()).expect("a sibling has room");
        assert_eq!(plan.placement, PlannedPlacement::ExistingBlock);
        allocator.allocate(&wanted, &info()).expect("a sibling has room")
    });
    assert_eq!(placed.memory(), pinned.memory());
    put_away(sim, allocator, [placed, pinned]);
}

#[test]
fn an_idle_allocator_keeps_no_block_that_has_moved() {
    let sim = SimDevice::new(Profile::unified());
    let allocator = allocator(&sim, 64 * MIB);
    let come_and_go = || allocator.free(allocate(&allocator, 512).expect("there is memory")).expect("it is alive");
    (0..3).for_each(|_| come_and_go());
    in_the_second_shard(&allocator, || {
        leave(&allocator, best_type(&allocator));
        come_and_go();
    });
    assert_eq!(further_bytes(&allocator), 0);
    put_away(sim, allocator, []);
}

/// Plans several allocations of a shard that keeps away from the first one's room, and makes them; returns which open a
/// memory object, as planned and as it was.
fn openings_of_many(allocator: &Allocator, pinned: Allocation, sizes: &[u64]) -> [Vec<bool>; 2] {
    let wanted: Vec<_> = sizes.iter().map(|&size| request(size)).collect();
    let mut live = vec![pinned];
    let openings = in_the_second_shard(allocator, || {
        leave(allocator, live[0].memory_type_index());
        let plans = allocator.plan_many(&wanted, &info()).expect("there is memory");
        let memories: Vec<_> = wanted.iter().map(|wanted| allocator.allocate(wanted, &info())).collect();
        let made = memories.into_iter().map(|made| made.expect("there is memory"));
        let is_new = made.map(|made| {
            let is_new = live.iter().all(|old| old.memory() != made.memory());
            live.push(made);
            is_new
        });
        [is_new.collect(), plans.iter().map(|plan| plan.driver_bytes > 0).collect()]
    });
    for allocation in live {
        allocator.free(allocation).expect("it is alive");
    }
    openings
}

#[test]
fn plans_of_many_know_what_those_before_them_change() {
    let cases: [(u64, u64, &[u64], &[bool]); 2] = [
        // The first is refused and finds room: its shard borrows again.
        (8, 0, &[5 * MIB, 512], &[false, false]),
        // The first has all trimmed: nothing is prewarmed any more.
        (40, 16, &[18 * MIB, 512], &[true, true]),
    ];
    for (limit, prewarmed, sizes, expected) in cases {
        let sim = SimDevice::new(Profile::unified());
        let allocator = allocator(&sim, limit * MIB);
        let pinned = pin_a_large_block(&allocator);
        allocator.trim();
        assert_eq!(allocator.prewarm(Intent::GpuOnly, prewarmed * MIB).ok(), Some(prewarmed * MIB));
        let openings = openings_of_many(&allocator, pinned, sizes);
        assert_eq!(openings, [expected, expected], "{limit} MiB");
        put_away(sim, allocator, []);
    }
}
