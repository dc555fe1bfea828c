//! What is kept of empty blocks, and that whoever needs memory finds it.

mod common;

use ash::vk;
use common::{Rig, linear, mib, steps, two_heaps};
use freestone::sim::{Function, Profile, SimDevice};
use freestone::{Allocation, AllocationCreateInfo, AttemptKind, DedicatedUse, Intent, PoolCreateInfo};

/// Allocates and frees.
fn use_once(rig: &Rig, bytes: u64, info: &AllocationCreateInfo<'_>) {
    let allocation = rig.allocate(&linear(bytes), info).expect("there is memory");
    rig.free(allocation).expect("it is alive");
}

fn free_all(rig: &Rig, allocations: impl IntoIterator<Item = Allocation>) {
    for allocation in allocations {
        rig.free(allocation).expect("it is alive");
    }
}

fn reserved(rig: &Rig) -> u64 {
    rig.statistics().total.reserved_bytes()
}

/// An allocator whose heap 0 is limited.
fn limited(profile: Profile, bytes: u64) -> Rig {
    Rig::with(SimDevice::new(profile), |info| info.heap_limit(0, bytes))
}

/// 50 MiB of 64 lie in empty blocks, and 256 bytes are alive.
fn mostly_empty() -> (Rig, Allocation) {
    let rig = limited(Profile::unified(), mib(64));
    let info = AllocationCreateInfo::gpu_only();
    let anchor = rig.allocate(&linear(256), &info).expect("there is memory");
    let live: Vec<_> = (0..10).map(|_| rig.allocate(&linear(mib(5)), &info).expect("there is memory")).collect();
    free_all(&rig, live);
    assert_eq!(rig.statistics().total.empty_bytes, mib(50));
    (rig, anchor)
}

#[test]
fn an_idle_moment_with_nothing_to_give_back_is_never_regretted() {
    let rig = Rig::new(Profile::discrete_rebar());
    let dedicated = AllocationCreateInfo::gpu_only().dedicated(DedicatedUse::Always);
    rig.prewarm(Intent::GpuOnly, mib(4)).expect("there is memory");
    (0..3).for_each(|_| use_once(&rig, mib(1), &dedicated));
    use_once(&rig, mib(6), &AllocationCreateInfo::upload());
    assert_eq!(reserved(&rig), mib(4), "what was prewarmed is kept, and no more");
    rig.finish();
}

#[test]
fn a_minimum_of_blocks_is_no_release() {
    let rig = Rig::new(Profile::discrete_rebar());
    let dedicated = AllocationCreateInfo::gpu_only().dedicated(DedicatedUse::Always);
    let pool = rig.create_pool(&PoolCreateInfo::for_memory_type(0).min_block_count(2)).expect("there is memory");
    let before = reserved(&rig);
    (0..3).for_each(|_| use_once(&rig, mib(1), &dedicated));
    use_once(&rig, mib(6), &AllocationCreateInfo::upload());
    assert_eq!(reserved(&rig), before);
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.finish();
}

/// Between a release and what is missed lie more allocations than make it a regret: memory goes back each time.
#[test]
fn what_is_missed_after_thousands_of_allocations_is_no_regret() {
    let rig = Rig::new(Profile::discrete_rebar());
    let info = AllocationCreateInfo::gpu_only();
    // Below the peak nothing makes way for what is opened.
    use_once(&rig, mib(64), &AllocationCreateInfo::upload().dedicated(DedicatedUse::Always));
    for round in 1..=4 {
        use_once(&rig, mib(6), &AllocationCreateInfo::upload());
        assert!(reserved(&rig) < mib(6), "round {round}: nothing is alive");
        (0..6000).for_each(|_| use_once(&rig, 256, &info));
    }
    rig.finish();
}

#[test]
fn a_destroyed_pool_does_not_turn_the_clock_back() {
    let rig = Rig::new(Profile::discrete_rebar());
    let info = AllocationCreateInfo::gpu_only();
    // Below the peak nothing makes way for what is opened.
    use_once(&rig, mib(64), &AllocationCreateInfo::upload().dedicated(DedicatedUse::Always));
    (0..6000).for_each(|_| use_once(&rig, 256, &info));
    for round in 1..=3 {
        let pool = rig.create_pool(&PoolCreateInfo::for_memory_type(0)).expect("there is room for pools");
        (0..10_000).for_each(|_| use_once(&rig, 256, &info.pool(&pool)));
        use_once(&rig, mib(6), &AllocationCreateInfo::upload());
        assert!(reserved(&rig) < mib(6), "round {round}: 10,000 allocations lie between a release and what is missed");
        rig.destroy_pool(pool).expect("nothing of it is alive");
        (0..6000).for_each(|_| use_once(&rig, 256, &info));
        assert_eq!(rig.statistics().total.allocated_count, 6001 + 16_001 * round);
    }
    let statistics = rig.statistics();
    let of_type = statistics.memory_types[0].counters;
    assert_eq!((of_type.allocated_count, of_type.freed_count), (54_000, 54_000));
    assert_eq!(statistics.heaps.iter().map(|heap| heap.counters.allocated_count).sum::<u64>(), 54_004);
    rig.finish();
}

#[test]
fn a_plan_gives_back_the_spare_blocks_that_a_trim_does() {
    let rig = limited(two_heaps(mib(1024), mib(1024)), mib(32));
    let info = AllocationCreateInfo::gpu_only();
    use_once(&rig, mib(64), &AllocationCreateInfo::upload().dedicated(DedicatedUse::Always));
    let anchor = rig.allocate(&linear(256), &info).expect("there is memory");
    let pool = rig.create_pool(&PoolCreateInfo::for_memory_type(0).min_block_count(1)).expect("there is memory");
    let large = rig.allocate(&linear(mib(8)), &info.pool(&pool)).expect("there is memory");
    let small = rig.allocate(&linear(256), &info.pool(&pool)).expect("there is memory");
    free_all(&rig, [large, small]);
    let within = AllocationCreateInfo::gpu_only().within_budget().without_spilling();
    let planned = rig.plan(&linear(mib(24)), &within);
    let made = rig.allocate(&linear(mib(24)), &within).expect("the large block goes, the small one is the minimum");
    assert!(planned.is_ok(), "{planned:?}");
    free_all(&rig, [anchor, made]);
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.finish();
}

/// What is kept goes by what is in use, not by what is reserved: empty blocks keep no others.
#[test]
fn an_eighth_of_what_is_in_use_is_kept_of_a_large_pool() {
    let rig = Rig::new(two_heaps(mib(4096), mib(64)));
    let pool = rig.create_pool(&PoolCreateInfo::for_memory_type(0).block_size(mib(16))).expect("there is room");
    let info = AllocationCreateInfo::gpu_only().pool(&pool);
    let mut live: Vec<_> = (0..42).map(|_| rig.allocate(&linear(mib(16)), &info).expect("there is memory")).collect();
    free_all(&rig, live.drain(35..));
    assert_eq!(
        rig.pool_statistics(&pool).map(|pool| pool.empty_bytes),
        Some(mib(64)),
        "of 560 MiB in use 70 are an eighth"
    );
    free_all(&rig, live);
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.finish();
}

/// A plan knows which blocks are a pool's minimum: they stay, however much is asked for.
#[test]
fn a_plan_counts_on_no_block_of_a_minimum() {
    let rig = limited(two_heaps(mib(1024), mib(1024)), mib(48));
    let info = AllocationCreateInfo::gpu_only();
    let anchor = rig.allocate(&linear(256), &AllocationCreateInfo::upload()).expect("there is memory");
    let pool = rig.create_pool(&PoolCreateInfo::for_memory_type(0).min_block_count(3)).expect("there is memory");
    let large = [(); 2].map(|()| rig.allocate(&linear(mib(8)), &info.pool(&pool)).expect("there is memory"));
    free_all(&rig, large);
    let minimum = mib(1 + 1 + 8);
    assert_eq!(reserved(&rig), minimum + mib(8 + 1), "one of four may go, the other is the anchor's");
    let within = info.dedicated(DedicatedUse::Always).without_spilling();
    // The first one that is refused has trimmed the pool by then.
    for (size, is_served) in [(mib(39), false), (mib(38), true)] {
        let (planned, made) = (rig.plan(&linear(size), &within), rig.allocate(&linear(size), &within));
        assert_eq!((planned.is_ok(), made.is_ok()), (is_served, is_served), "{size}: {planned:?}");
        free_all(&rig, made);
    }
    free_all(&rig, [anchor]);
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.finish();
}

#[test]
fn an_idle_pool_keeps_the_smallest_blocks_as_its_minimum() {
    let rig = Rig::new(Profile::discrete_rebar());
    let pool = rig.create_pool(&PoolCreateInfo::for_memory_type(0).min_block_count(1)).expect("there is memory");
    let info = AllocationCreateInfo::gpu_only().pool(&pool);
    let large = rig.allocate(&linear(mib(8)), &info).expect("there is memory");
    let small = rig.allocate(&linear(256), &info).expect("there is memory");
    free_all(&rig, [large, small]);
    assert_eq!(reserved(&rig), mib(1));
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.finish();
}

/// Allocates what `limits` names as the largest, and sees that nothing larger is planned.
fn allocate_the_largest(rig: &Rig, expected: u64, within: &AllocationCreateInfo<'_>) -> Allocation {
    let largest = rig.limits(Intent::GpuOnly).expect("there is a type").largest_allocation;
    assert_eq!(largest, expected);
    rig.plan(&linear(largest + 256), within).expect_err("it is the largest");
    rig.allocate(&linear(largest), within).expect("it was promised")
}

#[test]
fn limits_count_what_a_trim_would_give_back() {
    let (rig, anchor) = mostly_empty();
    let within = AllocationCreateInfo::gpu_only().within_budget();
    // All but the block that is in use.
    let made = allocate_the_largest(&rig, mib(63), &within);
    free_all(&rig, [anchor, made]);
    rig.finish();
}

#[test]
fn limits_count_the_objects_that_a_trim_would_give_back() {
    let mut profile = two_heaps(mib(1024), mib(512));
    profile.max_memory_allocation_count = 2;
    let rig = Rig::new(profile);
    let within = AllocationCreateInfo::gpu_only().within_budget();
    let anchor = rig.allocate(&linear(256), &within).expect("there is memory");
    rig.prewarm(Intent::GpuOnly, mib(8)).expect("there is memory");
    // The prewarmed block goes.
    let made = allocate_the_largest(&rig, mib(1023), &within);
    free_all(&rig, [anchor, made]);
    rig.finish();
}

/// The empty block is given back while another memory type is tried: what is left is promised, not nothing.
#[test]
fn limits_count_what_a_trim_leaves_to_another_memory_type() {
    let rig = Rig::new(Profile::by_name("steam-deck-one-heap").expect("it is in the corpus"));
    let anchor = rig.allocate(&linear(256), &AllocationCreateInfo::upload()).expect("there is memory");
    rig.prewarm(Intent::Upload, mib(8)).expect("there is memory");
    rig.control().set_budget(0, Some(1));
    rig.update_budget();
    let made = allocate_the_largest(&rig, mib(1) - 256, &AllocationCreateInfo::gpu_only().within_budget());
    free_all(&rig, [anchor, made]);
    rig.finish();
}

#[test]
fn first_blocks_and_prewarmed_ones_find_what_lies_empty_elsewhere() {
    let (rig, anchor) = mostly_empty();
    let info = PoolCreateInfo::for_memory_type(0).block_size(mib(32)).min_block_count(1);
    let pool = rig.create_pool(&info).expect("50 MiB lie empty in another pool");
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.free(anchor).expect("it is alive");
    rig.finish();

    let (rig, anchor) = mostly_empty();
    assert_eq!(rig.prewarm(Intent::GpuOnly, mib(62)).expect("50 MiB of them are there"), mib(12));
    assert_eq!(rig.statistics().total.empty_bytes, mib(62), "what counts is not given back for more of it");
    let error = rig.prewarm(Intent::GpuOnly, mib(65)).expect_err("no trim gives so much");
    let expected = [(AttemptKind::NewBlock, 0, mib(3)), (AttemptKind::TrimHeap, 0, 0)];
    assert_eq!(steps(&error), expected, "{error}");
    assert_eq!(rig.statistics().total.empty_bytes, mib(62));
    assert_eq!(rig.prewarm(Intent::Upload, mib(40)).expect("another pool holds it"), mib(40));
    rig.free(anchor).expect("it is alive");
    rig.finish();
}

#[test]
fn first_blocks_find_the_objects_that_lie_empty_elsewhere() {
    let mut profile = two_heaps(mib(1024), mib(1024));
    profile.max_memory_allocation_count = 2;
    let rig = Rig::new(profile);
    let anchor = rig.allocate(&linear(256), &AllocationCreateInfo::gpu_only()).expect("there is memory");
    rig.prewarm(Intent::Upload, mib(8)).expect("there is memory");
    let info = PoolCreateInfo::for_memory_type(0).min_block_count(1);
    let pool = rig.create_pool(&info).expect("the prewarmed block makes way");
    let error = rig.prewarm(Intent::Upload, mib(8)).expect_err("both objects are kept");
    assert_eq!(steps(&error), [(AttemptKind::NewBlock, 1, mib(8)), (AttemptKind::TrimAll, 1, 0)], "{error}");
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.free(anchor).expect("it is alive");
    rig.finish();
}

#[test]
fn first_blocks_and_prewarmed_ones_raise_no_peak_while_memory_lies_empty() {
    let rig = Rig::new(two_heaps(mib(1024), mib(1024)));
    let anchor = rig.allocate(&linear(256), &AllocationCreateInfo::gpu_only()).expect("there is memory");
    use_once(&rig, mib(8), &AllocationCreateInfo::upload());
    assert_eq!(reserved(&rig), mib(9));
    assert_eq!(rig.prewarm(Intent::GpuOnly, mib(8)).expect("there is memory"), mib(8));
    assert_eq!(rig.statistics().peak_reserved_bytes, mib(9));
    rig.trim();
    use_once(&rig, mib(8), &AllocationCreateInfo::upload());
    let info = PoolCreateInfo::for_memory_type(0).block_size(mib(4)).min_block_count(2);
    let pool = rig.create_pool(&info).expect("there is memory");
    assert_eq!((reserved(&rig), rig.statistics().peak_reserved_bytes), (mib(9), mib(9)));
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.free(anchor).expect("it is alive");
    rig.finish();
}

/// What goes back counts as room for the opening: no trim is needed, and what need not go stays.
#[test]
fn an_opening_that_fits_by_what_goes_back_leaves_the_rest() {
    let rig = limited(Profile::unified(), mib(17));
    let info = AllocationCreateInfo::gpu_only();
    let anchor = rig.allocate(&linear(256), &info).expect("there is memory");
    let blocks = [5, 5, 6].map(|size| rig.allocate(&linear(mib(size)), &info).expect("there is memory"));
    free_all(&rig, blocks);
    assert_eq!((reserved(&rig), rig.statistics().total.empty_bytes), (mib(17), mib(16)));
    let plan = rig.plan(&linear(mib(7)), &info).expect("two blocks make room");
    assert!(plan.attempts.records().iter().all(|record| record.attempt != AttemptKind::TrimHeap), "{plan:?}");
    let large = rig.allocate(&linear(mib(7)), &info).expect("two blocks make room");
    assert_eq!((reserved(&rig), rig.statistics().total.empty_bytes), (mib(13), mib(5)));
    free_all(&rig, [anchor, large]);
    rig.finish();
}

/// Above the budget as well.
#[test]
fn an_opening_above_the_budget_raises_no_peak_while_memory_lies_empty() {
    let rig = Rig::new(two_heaps(mib(1024), mib(1024)));
    let anchor = rig.allocate(&linear(256), &AllocationCreateInfo::gpu_only()).expect("there is memory");
    use_once(&rig, mib(8), &AllocationCreateInfo::upload());
    assert_eq!(reserved(&rig), mib(9));
    rig.control().set_budget(0, Some(1));
    rig.update_budget();
    let info = AllocationCreateInfo::gpu_only().without_spilling();
    let large = rig.allocate(&linear(mib(9)), &info).expect("the heap has room");
    assert_eq!((reserved(&rig), rig.statistics().peak_reserved_bytes), (mib(10), mib(10)));
    free_all(&rig, [anchor, large]);
    rig.finish();
}

#[test]
fn what_was_prewarmed_goes_back_at_the_idle_moment_after_a_trim() {
    let rig = Rig::new(Profile::discrete_rebar());
    let info = AllocationCreateInfo::gpu_only();
    rig.prewarm(Intent::GpuOnly, mib(32)).expect("there is memory");
    use_once(&rig, mib(1), &info);
    let held = rig.allocate(&linear(mib(1)), &info).expect("there is room");
    assert_eq!(rig.trim(), 0);
    rig.free(held).expect("it is alive");
    assert_eq!(reserved(&rig), 0);
    rig.finish();
}

#[test]
fn host_memory_that_is_short_once_refuses_no_opening() {
    let rig = Rig::new(Profile::discrete_rebar());
    rig.control().fail_nth_of(Function::AllocateMemory, 1, vk::Result::ERROR_OUT_OF_HOST_MEMORY);
    assert_eq!(rig.prewarm(Intent::GpuOnly, mib(4)).expect("the second time there is some"), mib(4));
    rig.control()
        .fail_when(|call| (call.function == Function::AllocateMemory).then_some(vk::Result::ERROR_OUT_OF_HOST_MEMORY));
    rig.prewarm(Intent::Upload, mib(4)).expect_err("there is none");
    rig.control().fail_when(|_| None);
    rig.finish();
}

/// Small resources come and go: they have slots where others live, so the block that is empty ages, and goes back.
#[test]
fn an_empty_block_is_not_used_while_another_has_a_slot() {
    let rig = Rig::new(Profile::unified());
    let info = AllocationCreateInfo::gpu_only();
    let small = || rig.allocate(&linear(1000), &info).expect("there is memory");
    let first = small();
    let memory = first.memory();
    let (mut early, mut late) = (vec![first], vec![]);
    while late.len() < 500 {
        let next = small();
        if next.memory() == memory { early.push(next) } else { late.push(next) }
    }
    let holes: Vec<_> = (0..late.len()).step_by(3).rev().map(|at| late.swap_remove(at)).collect();
    free_all(&rig, holes);
    free_all(&rig, early);
    let before = rig.statistics().total;
    assert_eq!((before.block_count, before.empty_bytes), (2, before.block_bytes / 2));
    for _ in 0..301 {
        let passing = small();
        assert_ne!(passing.memory(), memory, "others have room");
        rig.tick();
        rig.free(passing).expect("it is alive");
    }
    assert_eq!(reserved(&rig), before.block_bytes / 2, "the empty block has gone back");
    free_all(&rig, late);
    rig.finish();
}

/// The last that lies in a block is a slot of a slab that stays: that the block is kept is a matter of the bound all
/// the same.
#[test]
fn blocks_that_are_empty_but_for_slabs_are_kept_within_the_bound() {
    let rig = Rig::new(two_heaps(mib(4096), mib(64)));
    let pool = rig.create_pool(&PoolCreateInfo::for_memory_type(0).block_size(mib(16))).expect("there is room");
    let info = AllocationCreateInfo::gpu_only().pool(&pool);
    let allocate = |size| rig.allocate(&linear(size), &info).expect("there is memory");
    let elsewhere = rig.allocate(&linear(256), &AllocationCreateInfo::gpu_only()).expect("there is memory");
    let large = mib(16) - (192 << 10);
    // Each small one is of a class of its own, and has room in the block of its large one alone.
    let (larges, smalls): (Vec<_>, Vec<_>) =
        (8..13).map(|sixteenth| (allocate(large), allocate(sixteenth << 14))).unzip();
    free_all(&rig, larges);
    let empty_bytes = || rig.pool_statistics(&pool).map(|pool| pool.empty_bytes);
    let kept: Vec<_> = smalls.into_iter().map(|small| (free_all(&rig, [small]), empty_bytes()).1).collect();
    assert_eq!(kept, [16, 32, 48, 64, 64].map(|size| Some(mib(size))), "the fifth is one too many");
    free_all(&rig, [elsewhere]);
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.finish();
}

/// A block ages from when its last slot was freed, not from when it was opened.
#[test]
fn a_block_whose_last_slot_was_freed_ages_from_then() {
    let rig = Rig::new(Profile::discrete_rebar());
    let other = rig.allocate(&linear(256), &AllocationCreateInfo::upload()).expect("there is memory");
    // The one that a block is opened for is given a range of it; the next one has a slot.
    let [opener, last] = [256, 256].map(|size| rig.allocate(&linear(size), &AllocationCreateInfo::gpu_only()));
    free_all(&rig, opener);
    let before = reserved(&rig);
    (0..400).for_each(|_| rig.tick());
    free_all(&rig, last);
    (0..300).for_each(|_| rig.tick());
    assert_eq!(reserved(&rig), before);
    rig.tick();
    assert!(reserved(&rig) < before);
    free_all(&rig, [other]);
    rig.finish();
}

/// Slots that are kept in an empty block would be used again before room in a block that is in use, and it would never
/// age.
#[test]
fn a_tick_gives_up_the_slots_that_are_kept_in_empty_blocks() {
    for is_ticked in [false, true] {
        let rig = Rig::with(SimDevice::new(Profile::unified()), |info| info.max_block_size(mib(1)));
        let allocate =
            |bytes| rig.allocate(&linear(bytes), &AllocationCreateInfo::gpu_only()).expect("there is memory");
        (0..300).for_each(|_| rig.tick());
        let large: Vec<_> = (0..6).map(|_| allocate(300_000)).collect();
        let slot = allocate(10_000);
        let emptied = slot.memory();
        let (beside, large): (Vec<_>, Vec<_>) = large.into_iter().partition(|one| one.memory() == emptied);
        assert!(!beside.is_empty() && !large.is_empty(), "two blocks");
        free_all(&rig, beside.into_iter().chain([slot]));
        assert_eq!(rig.statistics().total.empty_bytes, mib(1), "the block stays");
        if is_ticked {
            rig.tick();
        }
        let slot = allocate(10_000);
        assert_eq!(slot.memory() == emptied, !is_ticked);
        free_all(&rig, large.into_iter().chain([slot]));
        rig.finish();
    }
}
