//! Behaviour towards the driver, scenario by scenario: W1 to W9 of the project's goals.
//!
//! What matters is told by the simulated driver: the order of events, the calls counted, the bytes taken. No clock.

mod common;

use std::sync::Mutex;
use std::time::Duration;

use ash::vk;
use common::{Rig, linear, mib, non_linear, requirements};
use freestone::sim::{Function, KIB, Profile};
use freestone::{
    Allocation, AllocationCreateInfo, AllocationError, DedicatedUse, Kind, MemoryPriority, PlannedPlacement,
    PoolCreateInfo, Reason, Refused,
};

/// Only a test that fails waits so long.
const HANG: Duration = Duration::from_secs(20);

fn free_all(rig: &Rig, allocations: impl IntoIterator<Item = Allocation>) {
    for allocation in allocations {
        rig.free(allocation).expect("it is alive");
    }
}

/// Allocates until the allocator refuses, `limit` times at most.
fn allocate_up_to(
    rig: &Rig,
    limit: usize,
    size: u64,
    info: &AllocationCreateInfo<'_>,
) -> (Vec<Allocation>, Option<AllocationError>) {
    let mut allocations = Vec::new();
    for _ in 0..limit {
        match rig.allocate(&linear(size), info) {
            Ok(allocation) => allocations.push(allocation),
            Err(error) => return (allocations, Some(error)),
        }
    }
    (allocations, None)
}

#[test]
fn w1_a_small_allocation_does_not_wait_for_another_threads_driver_call() {
    let rig = Rig::new(Profile::discrete_rebar());
    let gpu_only = AllocationCreateInfo::gpu_only();
    let allocate = |size| rig.allocate(&linear(size), &gpu_only).expect("there is memory");
    let first = allocate(256);
    let events = Mutex::new(Vec::new());
    let note = |event: &'static str| events.lock().expect("nobody panics").push(event);
    let gate = rig.control().block(Function::AllocateMemory);
    let (sender, served) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let allocation = allocate(mib(2));
            note("A has its block");
            free_all(&rig, [allocation]);
        });
        assert!(gate.wait_for_arrivals(1, HANG), "thread A asks the driver");
        scope.spawn(|| {
            free_all(&rig, [allocate(256)]);
            note("B was served");
            sender.send(()).expect("the test waits");
        });
        let _ = served.recv_timeout(HANG);
        note("the driver answers A");
        gate.open();
    });
    assert_eq!(*events.lock().expect("nobody panics"), ["B was served", "the driver answers A", "A has its block"]);
    free_all(&rig, [first]);
    rig.finish();
}

#[test]
fn w2_within_budget_never_exceeds_it_and_the_error_names_it() {
    let rig = Rig::new(Profile::unified());
    rig.control().set_budget(0, Some(mib(64)));
    assert!(rig.update_budget());
    let (allocations, error) = allocate_up_to(&rig, 5000, 64 * KIB, &AllocationCreateInfo::gpu_only().within_budget());
    assert_eq!(allocations.len(), 1024, "64 MiB hold so many times 64 KiB, and none is lost");
    let error = error.expect("5,000 do not fit");
    let names_budget =
        |reason: &Reason| matches!(reason, Reason::Budget(Refused::OverBudget { budget, .. }) if *budget == mib(64));
    assert!(common::attempts(&error).iter().any(|record| names_budget(&record.reason)), "{error}");
    assert!(error.to_string().contains("67108864"), "{error}");
    let heap = rig.control().heap(0).expect("heap 0 exists");
    assert!(heap.peak_page_bytes <= mib(64), "{heap:?}");
    assert_eq!(heap.object_count, u32::try_from(rig.statistics().total.block_count).expect("few blocks"));
    assert_eq!(rig.statistics().total.dedicated_count, 0);
    free_all(&rig, allocations);
    rig.finish();
}

/// Empty blocks that wait for the next frame are in nobody's way: other sizes that the budget holds are all placed.
///
/// Seen to fail with: a pool that keeps all of what frames take again and again.
#[test]
fn what_frames_took_again_and_again_refuses_nothing_that_comes_after() {
    for (frame, next, budget) in [((8, 72), (16, 37), 651), ((12, 48), (24, 25), 660)] {
        let rig = Rig::new(Profile::discrete_rebar());
        let heap = rig.properties().memory_types[0].heap_index;
        rig.control().set_budget(heap, Some(mib(budget)));
        assert!(rig.update_budget());
        let info = AllocationCreateInfo::gpu_only().within_budget().without_spilling();
        let take = |(count, size): (usize, u64)| -> Vec<Allocation> {
            let take_one = |_| rig.allocate(&linear(mib(size)), &info).expect("the budget holds all of them");
            (0..count).map(take_one).collect()
        };
        let live = take((1, 1));
        (0..10).for_each(|_| free_all(&rig, take(frame)));
        let others = take(next);
        free_all(&rig, live.into_iter().chain(others));
        rig.finish();
    }
}

#[test]
fn w3_over_budget_takes_the_next_memory_type_and_no_driver_object_for_a_small_resource() {
    let rig = Rig::new(Profile::discrete_rebar());
    rig.control().set_budget(0, Some(mib(16)));
    rig.control().set_budget(1, Some(mib(64)));
    rig.update_budget();
    let (allocations, error) = allocate_up_to(&rig, 5000, 64 * KIB, &AllocationCreateInfo::gpu_only());
    assert!(error.is_none(), "{error:?}");
    let heap_of =
        |allocation: &Allocation| rig.properties().memory_types[allocation.memory_type_index() as usize].heap_index;
    let local = allocations.iter().take_while(|allocation| heap_of(allocation) == 0).count();
    assert_eq!(local, 256, "the device's budget of 16 MiB is used up first");
    let spilled = allocations[local..].iter().take_while(|allocation| heap_of(allocation) == 1).count();
    assert_eq!(spilled, 1024, "then the host's 64 MiB");
    assert_eq!(allocations.last().map(heap_of), Some(0), "then the best type again, over the budget");
    let statistics = rig.statistics();
    assert_eq!(statistics.total.dedicated_count, 0);
    let smallest = rig.vulkan.memory_objects().iter().map(|object| object.size).min();
    assert!(smallest > Some(64 * KIB) || statistics.total.block_count < 64, "{statistics:?}");
    assert!(statistics.object_count < 64, "{} objects for 5,000 buffers", statistics.object_count);
    free_all(&rig, allocations);
    rig.finish();
}

#[test]
fn w4_no_budget_query_on_the_path() {
    for profile in Profile::all() {
        let rig = Rig::new(profile);
        let queries = rig.control().budget_queries();
        for round in 0..3000 {
            let allocation = rig.allocate(&linear(1 + round * 500), &AllocationCreateInfo::upload());
            free_all(&rig, allocation);
        }
        assert_eq!(rig.control().budget_queries(), queries);
        rig.tick();
        assert_eq!(rig.control().budget_queries(), queries + 1, "the count counts");
        rig.finish();
    }
}

/// Opens `count` blocks of 64 KiB that are full but for 4 KiB, the last of which has 16 KiB; asks for 8 KiB.
fn last_of_nearly_full_blocks(count: usize) {
    let rig = Rig::new(Profile::discrete_rebar());
    let pool = rig.create_pool(&PoolCreateInfo::for_memory_type(0).block_size(64 * KIB)).expect("a pool");
    let info = AllocationCreateInfo::gpu_only().pool(&pool);
    let fill = |size| rig.allocate(&linear(size), &info).expect("there is memory");
    let mut allocations: Vec<Allocation> = (1..count).map(|_| fill(60 * KIB)).collect();
    allocations.push(fill(48 * KIB));
    let last = allocations.last().map(Allocation::memory).expect("there is one");
    assert_eq!(rig.statistics().total.block_count, count as u64);
    let calls = rig.control().total_calls();
    let found = fill(8 * KIB);
    assert_eq!(found.memory(), last, "only the last block has room");
    assert_eq!(rig.control().total_calls(), calls, "no driver call finds it");
    free_all(&rig, [found]);
    free_all(&rig, allocations);
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.finish();
}

#[test]
fn w5_the_only_block_with_room_is_found_among_any_number() {
    // That it takes the same time for both is the index's own test: the blocks of a pool share their lists.
    last_of_nearly_full_blocks(10);
    last_of_nearly_full_blocks(1000);
}

#[test]
fn w6_a_full_bar_heap_spills_at_once_and_the_plan_says_so() {
    const BAR: u32 = 2;
    let rig = Rig::new(Profile::discrete_bar256());
    let stream = AllocationCreateInfo::stream();
    let mut allocations = Vec::new();
    let plan = loop {
        let plan = rig.plan(&linear(256 * KIB), &stream).expect("there is memory");
        if plan.heap_index != BAR {
            break plan;
        }
        allocations.push(rig.allocate(&linear(256 * KIB), &stream).expect("there is memory"));
    };
    assert!(allocations.iter().all(|allocation| allocation.memory_type_index() == 4));
    assert!(allocations.len() > 4 * 220, "{} in the 224 MiB, 7/8 of the heap, that are for us", allocations.len());
    let calls = rig.control().count(Function::AllocateMemory);
    assert_eq!(plan.heap_index, 1, "{plan:?}");
    assert_eq!(plan.placement, PlannedPlacement::NewBlock);
    let bar_is_full = |reason: &Reason| matches!(reason, Reason::Budget(Refused::OverHeap { heap_index: BAR, .. }));
    assert!(plan.attempts.records().iter().any(|record| bar_is_full(&record.reason)), "{}", plan.attempts);
    let spilled = rig.allocate(&linear(256 * KIB), &stream).expect("system memory has room");
    assert_eq!(spilled.memory_type_index(), plan.memory_type_index);
    assert_eq!(rig.control().count(Function::AllocateMemory), calls + 1, "one block, no storm");
    assert!(rig.control().heap(BAR).is_some_and(|heap| heap.peak_bytes <= mib(224)));
    allocations.push(spilled);
    free_all(&rig, allocations);
    rig.finish();
}

#[test]
fn w7_a_driver_that_refuses_large_objects_gets_smaller_blocks() {
    let rig = Rig::new(Profile::discrete_rebar());
    rig.control().refuse_allocations_above(Some(mib(32)));
    let (allocations, error) = allocate_up_to(&rig, 2048, mib(1), &AllocationCreateInfo::gpu_only());
    assert!(error.is_none(), "{error:?}");
    assert!(allocations.iter().all(|allocation| allocation.memory_type_index() == 0), "none had to spill");
    let sizes: Vec<u64> = rig.vulkan.memory_objects().iter().map(|object| object.size).collect();
    let largest = sizes.iter().copied().max().unwrap_or(0);
    assert!((mib(24)..=mib(32)).contains(&largest), "growth came to the limit and stayed below: {largest}");
    assert!(rig.control().count(Function::AllocateMemory) > sizes.len() as u64, "and was refused there");
    free_all(&rig, allocations);
    rig.finish();
}

#[test]
fn w8_granularity_costs_no_byte_per_page() {
    let host_bytes = |block_size| {
        let rig = Rig::new(Profile::discrete_bar256());
        assert_eq!(rig.properties().buffer_image_granularity, 1024);
        let before = rig.detailed_statistics().host_bytes;
        let pool = rig.create_pool(&PoolCreateInfo::for_memory_type(1).block_size(block_size)).expect("a pool");
        let info = AllocationCreateInfo::gpu_only().pool(&pool);
        let allocations: Vec<_> = (0..64)
            .map(|n| if n % 2 == 0 { linear(500) } else { non_linear(500) })
            .map(|request| rig.allocate(&request, &info).expect("there is memory"))
            .collect();
        let bytes = rig.detailed_statistics().host_bytes - before;
        assert!(bytes > 1024, "{bytes} bytes: a pool, a block and 64 resources cost more");
        free_all(&rig, allocations);
        rig.destroy_pool(pool).expect("nothing of it is alive");
        rig.finish();
        bytes
    };
    let growth = host_bytes(mib(256)) - host_bytes(mib(1));
    assert!(growth < 1024, "{growth} bytes: list heads of larger sizes, not 255 * 1024 pages");
}

/// Frames that begin and end at a block boundary; returns the memory objects opened and closed in the last thousand.
fn calls_of_steady_frames(rig: &Rig, live: &[u64], frame: &[u64], ends_with: impl Fn(&Rig)) -> u64 {
    let info = AllocationCreateInfo::gpu_only();
    let allocate = |size: &u64| rig.allocate(&linear(*size), &info).expect("there is memory");
    let live: Vec<Allocation> = live.iter().map(allocate).collect();
    let calls = || rig.control().count(Function::AllocateMemory) + rig.control().count(Function::FreeMemory);
    let mut before = 0;
    for number in 0..1400 {
        if number == 400 {
            before = calls();
        }
        let allocations: Vec<Allocation> = frame.iter().map(allocate).collect();
        free_all(rig, allocations);
        ends_with(rig);
    }
    let during = calls() - before;
    free_all(rig, live);
    during
}

#[test]
fn w9_steady_frames_at_a_block_boundary_make_no_driver_call() {
    let frames: [(&[u64], &[u64]); 4] = [
        (&[MIB_LESS], &[4096]),
        (&[MIB_LESS, mib(2)], &[64 * KIB, mib(3), 100]),
        (&[], &[mib(1), mib(5), 300]),
        (&[mib(7)], &[mib(9), mib(20)]),
    ];
    for profile in Profile::all() {
        for (live, frame) in frames {
            let rig = Rig::new(profile.clone());
            let during = calls_of_steady_frames(&rig, live, frame, |_| ());
            assert_eq!(during, 0, "{}: {live:?} live, {frame:?} each frame", profile.name);
            rig.finish();
            let rig = Rig::new(profile.clone());
            let during = calls_of_steady_frames(&rig, live, frame, |rig| rig.tick());
            assert_eq!(during, 0, "{}: {live:?} live, {frame:?} and a tick each frame", profile.name);
            rig.finish();
        }
    }
}

/// Almost a first block.
const MIB_LESS: u64 = mib(1) - 256;

#[test]
fn w9_images_and_buffers_alike() {
    let rig = Rig::new(Profile::discrete_bar256());
    let info = AllocationCreateInfo::gpu_only();
    let live = rig.allocate(&linear(MIB_LESS), &info).expect("there is memory");
    let mut before = 0;
    for number in 0..200 {
        if number == 10 {
            before = rig.control().total_calls();
        }
        let image = rig.allocate(&requirements(700_000, 65_536, Kind::NonLinear), &info).expect("there is memory");
        free_all(&rig, [image]);
    }
    assert_eq!(rig.control().total_calls(), before);
    free_all(&rig, [live]);
    rig.finish();
}

#[test]
fn each_priority_has_blocks_of_its_own_that_carry_it() {
    let rig = Rig::new(Profile::discrete_rebar());
    let plain = AllocationCreateInfo::gpu_only();
    let wishes = [plain, plain.priority(MemoryPriority::new(1.0)), plain.priority(MemoryPriority::new(0.0))];
    let live: Vec<_> = wishes.iter().map(|info| rig.allocate(&linear(1000), info).expect("there is memory")).collect();
    let again = rig.allocate(&linear(1000), &wishes[1]).expect("its block has room");
    assert_eq!(again.memory(), live[1].memory());
    let pool = PoolCreateInfo::for_memory_type(0).block_size(mib(1)).priority(MemoryPriority::new(0.25));
    let pool = rig.create_pool(&pool).expect("a pool");
    let custom = rig.allocate(&linear(1000), &plain.pool(&pool)).expect("there is memory");
    let objects = rig.vulkan.memory_objects();
    let priority = |allocation: &Allocation| {
        let object = objects.iter().find(|object| object.memory == allocation.memory()).expect("it is alive");
        MemoryPriority::new(object.priority.expect("the extension is enabled"))
    };
    let expected = [MemoryPriority::default(), MemoryPriority::new(1.0), MemoryPriority::new(0.0)];
    assert_eq!(live.iter().map(priority).collect::<Vec<_>>(), expected);
    assert_eq!(priority(&custom), MemoryPriority::new(0.25));
    for allocation in live.into_iter().chain([again, custom]) {
        rig.free(allocation).expect("it is alive");
    }
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.finish();
}

#[test]
fn an_opening_gives_back_the_empty_blocks_that_would_raise_the_peak() {
    let rig = Rig::new(Profile::discrete_rebar());
    let take = |bytes| rig.allocate(&linear(bytes), &AllocationCreateInfo::gpu_only()).expect("there is memory");
    let kept = take(64);
    let small = take(mib(5));
    rig.free(small).expect("it is alive");
    assert_eq!(rig.statistics().total.empty_bytes, mib(5), "it is kept");
    let large = take(mib(6));
    assert_eq!((rig.statistics().total.empty_bytes, rig.control().peak_reserved_bytes()), (0, mib(7)));
    let (statistics, most) = (rig.statistics(), rig.properties().max_memory_allocation_count);
    assert_eq!((statistics.peak_reserved_bytes, statistics.max_object_count), (mib(7), most - most / 16));
    for allocation in [kept, large] {
        rig.free(allocation).expect("it is alive");
    }
    rig.finish();
}

#[test]
fn flags_that_a_request_adds_choose_another_memory_type() {
    let rig = Rig::new(Profile::discrete_rebar());
    let plain = AllocationCreateInfo::gpu_only();
    let visible = vk::MemoryPropertyFlags::HOST_VISIBLE;
    let flags_of = |info: AllocationCreateInfo<'_>| {
        let allocation = rig.allocate(&linear(1000), &info).expect("there is memory");
        let flags = rig.properties().memory_types[allocation.memory_type_index() as usize].property_flags;
        rig.free(allocation).expect("it is alive");
        flags
    };
    let is_visible = |info| flags_of(info).contains(visible);
    let none = vk::MemoryPropertyFlags::empty();
    assert!(!is_visible(plain) && !is_visible(plain.required_flags(none)));
    assert!(is_visible(plain.required_flags(visible)) && is_visible(plain.preferred_flags(visible)));
    let local = vk::MemoryPropertyFlags::DEVICE_LOCAL;
    assert!(flags_of(plain).contains(local) && !flags_of(plain.avoided_flags(local)).contains(local));
    rig.finish();
}

/// Something lives all along, so that the allocator is not idle.
#[test]
fn a_block_that_has_been_empty_for_300_ticks_goes_back() {
    let rig = Rig::new(Profile::discrete_rebar());
    let info = AllocationCreateInfo::gpu_only();
    let anchor = rig.allocate(&linear(256), &info.dedicated(DedicatedUse::Always)).expect("there is memory");
    let tick = |count: u32| (0..count).for_each(|_| rig.tick());
    let use_a_block = || rig.free(rig.allocate(&linear(100), &info).expect("there is memory")).expect("it is alive");
    use_a_block();
    tick(200);
    use_a_block();
    tick(300);
    assert_eq!(rig.statistics().total.empty_bytes, mib(1), "it was used in between");
    tick(1);
    assert_eq!((rig.statistics().total.empty_bytes, rig.control().count(Function::FreeMemory)), (0, 1));
    rig.free(anchor).expect("it is alive");
    rig.finish();
}

#[test]
fn of_64_mib_of_empty_blocks_only_what_is_above_goes_back() {
    let rig = Rig::new(Profile::discrete_rebar());
    let info = AllocationCreateInfo::gpu_only();
    let anchor = rig.allocate(&linear(256), &info.dedicated(DedicatedUse::Always)).expect("there is memory");
    let live: Vec<_> = (0..5).map(|_| rig.allocate(&linear(mib(20)), &info).expect("there is memory")).collect();
    for allocation in live {
        rig.free(allocation).expect("it is alive");
    }
    assert_eq!(rig.statistics().total.empty_bytes, mib(60), "three blocks of 20 MiB stay");
    assert_eq!(rig.control().count(Function::FreeMemory), 2);
    rig.free(anchor).expect("it is alive");
    rig.finish();
}

#[test]
fn large_resources_of_one_size_waste_no_block() {
    for tenths in [40, 55, 85, 90, 99, 120, 160] {
        let rig = Rig::new(Profile::discrete_rebar());
        let size = mib(tenths) / 10;
        let count = usize::try_from(mib(500) / size).expect("some hundred");
        let (allocations, refused) = allocate_up_to(&rig, count, size, &AllocationCreateInfo::gpu_only());
        assert!(refused.is_none(), "{refused:?}");
        let (live, reserved) = (size * allocations.len() as u64, rig.statistics().total.reserved_bytes());
        assert!(reserved * 100 <= live * 103, "{reserved} bytes for {live}, in pieces of {size}");
        for allocation in allocations {
            rig.free(allocation).expect("it is alive");
        }
        rig.finish();
    }
}
