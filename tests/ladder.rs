//! The steps of the out-of-memory ladder, in order, as the error itself lists them.

mod common;

use std::sync::Arc;

use ash::vk;
use common::{Rig, attempts, linear, mib, non_linear, state_of, steps, two_heaps};
use freestone::sim::{Function, KIB, ObjectKind, Profile, SimDevice};
use freestone::{
    Allocation, AllocationCreateInfo, AllocationError, AllocationRequirements, AttemptKind, DedicatedPreference,
    DedicatedUse, PlannedPlacement, PoolCreateInfo, Reason, Refused,
};

use AttemptKind::{Dedicated, ExistingBlock, NewBlock, OwnBlock, TrimAll, TrimHeap};

const REFUSED: vk::Result = vk::Result::ERROR_OUT_OF_DEVICE_MEMORY;

fn refuse_every_allocation(rig: &Rig, result: vk::Result) {
    rig.control().fail_when(move |call| (call.function == Function::AllocateMemory).then_some(result));
}

#[track_caller]
fn failure(rig: &Rig, request: &AllocationRequirements, info: &AllocationCreateInfo<'_>) -> AllocationError {
    let before = state_of(rig);
    let error = rig.allocate(request, info).expect_err("nothing is to be had");
    assert_eq!(state_of(rig), before, "a failed call leaves everything as it was");
    error
}

fn free_all(rig: &Rig, allocations: impl IntoIterator<Item = Allocation>) {
    for allocation in allocations {
        rig.free(allocation).expect("it is alive");
    }
}

/// Leaves an empty block of 1 MiB in the pool of the best memory type.
fn leave_an_empty_block(rig: &Rig, info: &AllocationCreateInfo<'_>) {
    let allocation = rig.allocate(&linear(256), info).expect("there is memory");
    let memory_type = allocation.memory_type_index() as usize;
    free_all(rig, [allocation]);
    assert_eq!(rig.statistics().memory_types[memory_type].counters.empty_bytes, mib(1));
}

#[test]
fn a_shared_block_existing_then_new_then_halved_then_trim_then_the_next_type() {
    let rig = Rig::new(two_heaps(mib(1024), mib(1024)));
    refuse_every_allocation(&rig, REFUSED);
    let error = failure(&rig, &linear(100 * KIB), &AllocationCreateInfo::gpu_only());
    let halves = |memory_type| {
        [
            (ExistingBlock, memory_type, 0),
            (NewBlock, memory_type, mib(1)),
            (NewBlock, memory_type, 512 * KIB),
            (NewBlock, memory_type, 256 * KIB),
            (NewBlock, memory_type, 128 * KIB),
            (TrimHeap, memory_type, 0),
        ]
    };
    assert_eq!(steps(&error), [halves(0), halves(1)].concat());
    assert!(matches!(error, AllocationError::OutOfMemory { size: 102_400, .. }));
    for record in attempts(&error).iter().filter(|record| record.attempt == NewBlock) {
        assert!(matches!(&record.reason, Reason::Driver(error) if error.result == REFUSED), "{record}");
        assert_eq!(record.heap_index, record.memory_type_index);
    }
    rig.finish();
}

#[test]
fn without_spilling_the_next_type_is_not_tried() {
    let rig = Rig::new(two_heaps(mib(1024), mib(1024)));
    refuse_every_allocation(&rig, REFUSED);
    let error = failure(&rig, &linear(mib(1)), &AllocationCreateInfo::gpu_only().without_spilling());
    assert!(attempts(&error).iter().all(|record| record.memory_type_index == 0), "{error}");
    rig.control().clear_faults();
    rig.finish();
}

#[test]
fn a_trim_that_gave_something_back_is_followed_by_one_more_attempt() {
    let rig = Rig::new(two_heaps(mib(1024), mib(1024)));
    let info = AllocationCreateInfo::gpu_only().without_spilling();
    // Raise the peak, so that nothing but the ladder itself gives the empty block back.
    let raised = rig.allocate(&linear(mib(30)), &AllocationCreateInfo::upload()).expect("there is memory");
    free_all(&rig, [raised]);
    leave_an_empty_block(&rig, &info);
    refuse_every_allocation(&rig, REFUSED);
    let error = rig.allocate(&linear(mib(3)), &info).expect_err("nothing is to be had");
    let expected = [
        (ExistingBlock, 0, 0),
        (NewBlock, 0, mib(9)),
        (NewBlock, 0, mib(9) / 2),
        (NewBlock, 0, mib(3)),
        (TrimHeap, 0, 0),
        (NewBlock, 0, mib(9)),
        (NewBlock, 0, mib(9) / 2),
        (NewBlock, 0, mib(3)),
    ];
    assert_eq!(steps(&error), expected, "{error}");
    assert!(matches!(attempts(&error)[4].reason, Reason::GaveBack { bytes } if bytes == mib(1)), "{error}");
    assert_eq!(rig.statistics().memory_types[0].counters.block_count, 0, "the empty block went back");
    rig.control().clear_faults();
    rig.finish();
}

#[test]
fn memory_that_a_trim_frees_serves_the_next_attempt() {
    let rig = Rig::new(two_heaps(mib(64), mib(64)));
    let info = AllocationCreateInfo::gpu_only().without_spilling();
    // A prewarmed block is kept until a trim, though it stands in the way.
    let kept = rig.allocate(&linear(mib(30)), &info).expect("there is memory");
    let empty = rig.prewarm(freestone::Intent::GpuOnly, mib(30)).expect("there is memory");
    assert!(empty >= mib(30));
    let served = rig.allocate(&linear(mib(33)), &info).expect("the trim makes room");
    assert_eq!(served.memory_type_index(), 0);
    assert!(rig.control().heap(0).is_some_and(|heap| heap.bytes <= mib(64)));
    free_all(&rig, [kept, served]);
    rig.finish();
}

#[test]
fn a_large_resource_gets_an_own_block_then_a_trim_then_the_next_type() {
    let rig = Rig::new(two_heaps(mib(1024), mib(1024)));
    refuse_every_allocation(&rig, REFUSED);
    let error = failure(&rig, &linear(mib(100)), &AllocationCreateInfo::gpu_only());
    let of_type =
        |memory_type| [(ExistingBlock, memory_type, 0), (OwnBlock, memory_type, mib(100)), (TrimHeap, memory_type, 0)];
    assert_eq!(steps(&error), [of_type(0), of_type(1)].concat());
    rig.finish();
}

#[test]
fn required_dedicated_memory_is_never_shared() {
    let rig = Rig::new(two_heaps(mib(1024), mib(1024)));
    refuse_every_allocation(&rig, REFUSED);
    let request = AllocationRequirements { dedicated: DedicatedPreference::Required, ..linear(4096) };
    let of_type = |memory_type| [(Dedicated, memory_type, 4096), (TrimHeap, memory_type, 0)];
    let error = failure(&rig, &request, &AllocationCreateInfo::gpu_only());
    assert_eq!(steps(&error), [of_type(0), of_type(1)].concat());
    let asked = AllocationCreateInfo::gpu_only().dedicated(DedicatedUse::Always);
    assert_eq!(steps(&failure(&rig, &linear(4096), &asked)), [of_type(0), of_type(1)].concat());
    rig.finish();
}

#[test]
fn a_preferred_dedicated_allocation_falls_back_to_blocks() {
    let rig = Rig::new(two_heaps(mib(1024), mib(1024)));
    let request = AllocationRequirements { dedicated: DedicatedPreference::Preferred, ..linear(mib(2)) };
    let info = AllocationCreateInfo::gpu_only().without_spilling();
    refuse_every_allocation(&rig, REFUSED);
    let expected = [
        (Dedicated, 0, mib(2)),
        (ExistingBlock, 0, 0),
        (NewBlock, 0, mib(6)),
        (NewBlock, 0, mib(3)),
        (NewBlock, 0, mib(2)),
        (TrimHeap, 0, 0),
    ];
    assert_eq!(steps(&failure(&rig, &request, &info)), expected);
    rig.control().clear_faults();
    let fired = rig.control().faults_fired().len();
    assert!(fired >= 3);
    rig.control().fail_nth_of(Function::AllocateMemory, 1, REFUSED);
    let shared = rig.allocate(&request, &info).expect("a block serves it");
    assert!(!shared.is_dedicated());
    let alone = rig.allocate(&request, &info).expect("a memory object of its own serves it");
    assert!(alone.is_dedicated() && alone.offset() == 0);
    free_all(&rig, [shared, alone]);
    rig.finish();
}

#[test]
fn a_small_resource_with_a_preference_shares() {
    let rig = Rig::new(two_heaps(mib(1024), mib(1024)));
    let request = AllocationRequirements { dedicated: DedicatedPreference::Preferred, ..linear(4096) };
    let allocation = rig.allocate(&request, &AllocationCreateInfo::gpu_only()).expect("there is memory");
    assert!(!allocation.is_dedicated());
    free_all(&rig, [allocation]);
    rig.finish();
}

#[test]
fn over_budget_the_next_type_comes_before_the_excess() {
    let rig = Rig::new(two_heaps(mib(1024), mib(1024)));
    rig.control().set_budget(0, Some(mib(1)));
    rig.control().set_budget(1, Some(mib(1)));
    rig.update_budget();
    let exact = rig.allocate(&linear(mib(2)), &AllocationCreateInfo::gpu_only()).expect("the heap has room");
    assert_eq!(exact.memory_type_index(), 0, "nobody has budget left: the best type is exceeded");
    free_all(&rig, [exact]);
    rig.trim();
    refuse_every_allocation(&rig, REFUSED);
    let error = failure(&rig, &linear(mib(8)), &AllocationCreateInfo::gpu_only());
    let of_type =
        |memory_type| [(ExistingBlock, memory_type, 0), (OwnBlock, memory_type, mib(8)), (TrimHeap, memory_type, 0)];
    assert_eq!(steps(&error), [of_type(0), of_type(1), of_type(0), of_type(1)].concat());
    let is_budget =
        |reason: &Reason| matches!(reason, Reason::Budget(Refused::OverBudget { budget, .. }) if *budget == mib(1));
    let opened: Vec<_> = attempts(&error).iter().filter(|record| record.attempt == OwnBlock).collect();
    assert!(is_budget(&opened[0].reason) && is_budget(&opened[1].reason), "{error}");
    assert!(opened[2..].iter().all(|record| matches!(record.reason, Reason::Driver(_))), "{error}");
    rig.finish();
}

/// The next type may have room in it.
#[test]
fn an_empty_block_does_not_go_back_for_an_opening_that_the_budget_refuses() {
    let rig = Rig::new(two_heaps(mib(1024), mib(1024)));
    let info = AllocationCreateInfo::gpu_only().within_budget();
    let budget = |heap_index, bytes| {
        rig.control().set_budget(heap_index, Some(bytes));
        rig.update_budget();
    };
    budget(0, 1);
    let spill = |bytes| rig.allocate(&linear(bytes), &info).expect("the other heap has room");
    let [kept, freed] = [spill(mib(15)), spill(mib(15))];
    assert_eq!((freed.memory_type_index(), kept.memory() == freed.memory()), (1, false));
    free_all(&rig, [freed]);
    assert_eq!(rig.statistics().total.empty_bytes, mib(15));
    budget(1, 1);
    let freed_before = rig.control().count(Function::FreeMemory);
    let plan = rig.plan(&linear(mib(8)), &info).expect("the empty block has room");
    let again = rig.allocate(&linear(mib(8)), &info).expect("the empty block has room");
    assert_eq!((again.memory_type_index(), plan.placement), (1, PlannedPlacement::ExistingBlock));
    assert_eq!(rig.control().count(Function::FreeMemory), freed_before);
    free_all(&rig, [again, kept]);
    rig.finish();
}

#[test]
fn within_budget_the_excess_is_never_tried() {
    let rig = Rig::new(two_heaps(mib(1024), mib(1024)));
    rig.control().set_budget(0, Some(mib(1)));
    rig.control().set_budget(1, Some(mib(1)));
    rig.update_budget();
    let calls = rig.control().total_calls();
    for info in [AllocationCreateInfo::gpu_only(), AllocationCreateInfo::gpu_only().dedicated(DedicatedUse::Always)] {
        let error = failure(&rig, &linear(mib(8)), &info.within_budget());
        assert!(attempts(&error).iter().all(|record| !matches!(record.reason, Reason::Driver(_))), "{error}");
    }
    assert_eq!(rig.control().total_calls(), calls, "the driver was not even asked");
    rig.finish();
}

#[test]
fn a_known_remainder_is_taken_in_one_step() {
    let rig = Rig::new(two_heaps(mib(1024), mib(1024)));
    rig.control().set_budget(0, Some(300 * KIB));
    rig.update_budget();
    let allocation = rig.allocate(&linear(100 * KIB), &AllocationCreateInfo::gpu_only()).expect("there is memory");
    assert_eq!(allocation.memory_type_index(), 0);
    assert_eq!(rig.control().heap(0).map(|heap| heap.bytes), Some(256 * KIB));
    assert_eq!(rig.control().count(Function::AllocateMemory), 1);
    free_all(&rig, [allocation]);
    rig.finish();
}

#[test]
fn too_many_objects_trims_all_pools_and_then_uses_existing_blocks_only() {
    let mut profile = two_heaps(mib(1024), mib(1024));
    profile.max_memory_allocation_count = 4;
    let rig = Rig::new(profile);
    let gpu_only = AllocationCreateInfo::gpu_only();
    let own = |info: &AllocationCreateInfo<'_>| rig.allocate(&linear(mib(8)), info).expect("there is memory");
    let shared = rig.allocate(&linear(256), &gpu_only).expect("there is memory");
    let mut live = vec![shared, own(&gpu_only), own(&gpu_only), own(&AllocationCreateInfo::upload())];
    assert_eq!(rig.statistics().object_count, 4);
    let error = failure(&rig, &linear(mib(8)), &gpu_only);
    let expected =
        [(ExistingBlock, 0, 0), (OwnBlock, 0, mib(8)), (TrimAll, 0, 0), (ExistingBlock, 0, 0), (ExistingBlock, 1, 0)];
    assert_same_but_repeats(&steps(&error), &expected, &error);
    let is_count = |reason: &Reason| matches!(reason, Reason::Budget(Refused::TooManyObjects { count: 4, max: 4 }));
    assert!(is_count(&attempts(&error)[1].reason), "{error}");
    live.push(rig.allocate(&linear(4096), &gpu_only).expect("an existing block has room"));
    // An empty block somewhere: the trim makes way for one more object.
    free_all(&rig, live.pop());
    let last = live.pop().expect("the upload buffer");
    free_all(&rig, [last]);
    live.push(own(&gpu_only));
    assert_eq!(rig.control().peak_memory_object_count(), 4);
    free_all(&rig, live);
    rig.finish();
}

/// Compares steps; an existing block that is looked at twice running counts once.
#[track_caller]
fn assert_same_but_repeats(
    found: &[(AttemptKind, u32, u64)],
    expected: &[(AttemptKind, u32, u64)],
    error: &AllocationError,
) {
    let squeeze = |steps: &[(AttemptKind, u32, u64)]| {
        let mut steps = steps.to_vec();
        steps.retain(|step| step.0 != ExistingBlock || step.1 > 0);
        steps
    };
    assert_eq!(squeeze(found), squeeze(expected), "{error}");
}

#[test]
fn the_drivers_own_refusal_of_objects_goes_the_same_way() {
    let rig = Rig::new(two_heaps(mib(1024), mib(1024)));
    refuse_every_allocation(&rig, vk::Result::ERROR_TOO_MANY_OBJECTS);
    let error = failure(&rig, &linear(4096), &AllocationCreateInfo::gpu_only());
    assert!(matches!(error, AllocationError::OutOfMemory { .. }), "{error}");
    let found = steps(&error);
    assert_eq!(found[..3], [(ExistingBlock, 0, 0), (NewBlock, 0, mib(1)), (TrimAll, 0, 0)], "{error}");
    assert!(found[3..].iter().all(|step| step.0 == ExistingBlock), "no further object is asked for: {error}");
    assert_eq!(found.last(), Some(&(ExistingBlock, 1, 0)));
    rig.control().clear_faults();
    rig.finish();
}

#[test]
fn out_of_host_memory_trims_once_retries_once_and_stops() {
    let rig = Rig::new(two_heaps(mib(1024), mib(1024)));
    let info = AllocationCreateInfo::gpu_only();
    let raised = rig.allocate(&linear(mib(30)), &AllocationCreateInfo::upload()).expect("there is memory");
    free_all(&rig, [raised]);
    leave_an_empty_block(&rig, &AllocationCreateInfo::upload());
    refuse_every_allocation(&rig, vk::Result::ERROR_OUT_OF_HOST_MEMORY);
    let calls = rig.control().count(Function::AllocateMemory);
    let error = rig.allocate(&linear(4096), &info).expect_err("nothing is to be had");
    let expected = [(ExistingBlock, 0, 0), (NewBlock, 0, mib(1)), (TrimAll, 0, 0), (NewBlock, 0, mib(1))];
    assert_eq!(steps(&error), expected, "{error}");
    assert!(matches!(error, AllocationError::Driver { result: vk::Result::ERROR_OUT_OF_HOST_MEMORY, .. }));
    assert_eq!(rig.control().count(Function::AllocateMemory), calls + 2);
    assert_eq!(rig.control().reserved_bytes(), 0, "the trim gave all back");
    rig.control().clear_faults();
    let allocation = rig.allocate(&linear(4096), &info).expect("the shortage is over");
    free_all(&rig, [allocation]);
    rig.finish();
}

#[test]
fn a_lost_device_stops_the_ladder_and_freeing_still_works() {
    let rig = Rig::new(two_heaps(mib(1024), mib(1024)));
    let info = AllocationCreateInfo::gpu_only();
    let live: Vec<_> = [256, mib(8)].map(|size| rig.allocate(&linear(size), &info).expect("there is memory")).into();
    for lost in [vk::Result::ERROR_DEVICE_LOST, vk::Result::ERROR_UNKNOWN, vk::Result::ERROR_VALIDATION_FAILED_EXT] {
        refuse_every_allocation(&rig, lost);
        let error = failure(&rig, &non_linear(mib(9)), &info);
        assert_eq!(steps(&error), [(ExistingBlock, 0, 0), (OwnBlock, 0, mib(9))]);
        assert!(matches!(error, AllocationError::Driver { result, .. } if result == lost), "{error}");
        rig.control().clear_faults();
    }
    refuse_every_allocation(&rig, vk::Result::ERROR_DEVICE_LOST);
    free_all(&rig, live);
    rig.trim();
    assert_eq!(rig.control().live(ObjectKind::DeviceMemory), 0);
    rig.finish();
}

#[test]
fn a_users_limit_is_never_exceeded() {
    const LIMIT: u64 = mib(10);
    let vulkan = SimDevice::new(two_heaps(mib(1024), mib(1024)));
    let rig = Rig::with(vulkan, |info| info.heap_limit(0, LIMIT));
    let info = AllocationCreateInfo::gpu_only();
    let live: Vec<_> =
        (0..400).map(|_| rig.allocate(&linear(100 * KIB), &info).expect("the host has memory")).collect();
    assert!(live.iter().filter(|allocation| allocation.memory_type_index() == 0).count() > 80);
    assert!(rig.control().heap(0).is_some_and(|heap| heap.peak_bytes <= LIMIT));
    let error = failure(&rig, &linear(mib(20)), &info.without_spilling());
    let is_limit = |reason: &Reason| matches!(reason, Reason::Budget(Refused::OverLimit { limit: LIMIT, .. }));
    assert!(attempts(&error).iter().any(|record| is_limit(&record.reason)), "{error}");
    assert!(error.to_string().contains("user's limit of 10485760"), "{error}");
    assert_eq!(rig.heap_usage(0).limit, Some(LIMIT));
    free_all(&rig, live);
    rig.finish();
}

#[test]
fn a_resource_larger_than_any_object_is_refused_without_asking() {
    let mut profile = two_heaps(mib(1024), mib(1024));
    profile.max_memory_allocation_size = mib(16);
    let rig = Rig::new(profile);
    let calls = rig.control().total_calls();
    let error = failure(&rig, &linear(mib(17)), &AllocationCreateInfo::gpu_only());
    let of_type = |memory_type| [(ExistingBlock, memory_type, 0), (OwnBlock, memory_type, mib(17))];
    assert_eq!(steps(&error), [of_type(0), of_type(1)].concat());
    assert!(matches!(attempts(&error)[1].reason, Reason::TooLarge { limit } if limit == mib(16)), "{error}");
    let huge = failure(&rig, &linear(u64::MAX), &AllocationCreateInfo::gpu_only());
    assert!(matches!(huge, AllocationError::OutOfMemory { .. }), "{huge}");
    assert_eq!(rig.control().total_calls(), calls);
    rig.finish();
}

#[test]
fn a_pool_with_all_its_blocks_says_so() {
    let rig = Rig::new(two_heaps(mib(1024), mib(1024)));
    let pool = rig
        .create_pool(&PoolCreateInfo::for_memory_type(0).block_size(mib(1)).max_block_count(2))
        .expect("a pool without blocks");
    let info = AllocationCreateInfo::gpu_only().pool(&pool);
    let live: Vec<_> = (0..2).map(|_| rig.allocate(&linear(mib(1)), &info).expect("there is memory")).collect();
    let error = failure(&rig, &linear(256), &info);
    assert_eq!(steps(&error), [(ExistingBlock, 0, 0), (NewBlock, 0, mib(1))]);
    assert!(matches!(attempts(&error)[1].reason, Reason::BlockLimit { max: 2 }), "{error}");
    let error = failure(&rig, &linear(mib(2)), &info);
    assert!(matches!(attempts(&error)[1].reason, Reason::TooLarge { limit } if limit == mib(1)), "{error}");
    free_all(&rig, live);
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.finish();
}

#[test]
fn a_mapping_that_fails_is_a_refusal_where_the_host_needs_it() {
    let rig = Rig::new(two_heaps(mib(1024), mib(1024)));
    let refused = vk::Result::ERROR_MEMORY_MAP_FAILED;
    rig.control().fail_when(move |call| (call.function == Function::MapMemory).then_some(refused));
    let error = failure(&rig, &linear(mib(8)), &AllocationCreateInfo::upload());
    assert_eq!(steps(&error), [(ExistingBlock, 1, 0), (OwnBlock, 1, mib(8)), (TrimHeap, 1, 0)]);
    assert!(matches!(&attempts(&error)[1].reason, Reason::Driver(error) if error.result == refused), "{error}");
    let host = 1 << 1;
    let unmapped = AllocationRequirements { memory_type_bits: host, ..linear(mib(8)) };
    let allocation = rig.allocate(&unmapped, &AllocationCreateInfo::gpu_only()).expect("no mapping is needed");
    assert!(allocation.mapped_ptr().is_none());
    rig.control().clear_faults();
    let mapped = rig.allocate(&linear(4096), &AllocationCreateInfo::upload()).expect("mapping works again");
    assert!(mapped.mapped_ptr().is_some() && mapped.memory() != allocation.memory());
    free_all(&rig, [allocation, mapped]);
    rig.finish();
}

#[test]
fn errors_are_shared_between_threads_and_read_by_people() {
    let rig = Rig::new(Profile::unified());
    refuse_every_allocation(&rig, REFUSED);
    let error = Arc::new(failure(&rig, &linear(mib(5)), &AllocationCreateInfo::gpu_only()));
    let text = error.to_string();
    let moved = std::thread::spawn(move || error.to_string()).join().expect("no panic");
    assert_eq!(text, moved);
    assert!(
        text.starts_with("no memory for 5242880 bytes: type 0 on heap 0, existing blocks: no block has room; "),
        "{text}"
    );
    assert!(text.contains("an own block of 5242880 bytes: vkAllocateMemory failed"), "{text}");
    rig.finish();
}
