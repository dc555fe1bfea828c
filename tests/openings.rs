//! Which memory objects are opened, which make way, and who is refused: what a reading of ladder, pools and plans found
//! wrong, each with the case that showed it.

mod common;

use std::thread;
use std::time::Duration;

use ash::vk;
use common::{Rig, attempts, buffer_info, linear, mib, requirements, two_heaps};
use freestone::sim::{Function, KIB, Profile, SimDevice};
use freestone::{
    Allocation, AllocationCreateInfo, AllocationError, AllocationRequirements, CreatePoolError, DedicatedPreference,
    DedicatedUse, Intent, Kind, PoolCreateInfo, Reason, Verdict,
};

const REFUSED: vk::Result = vk::Result::ERROR_OUT_OF_DEVICE_MEMORY;
/// Only a test that fails waits so long.
const HANG: Duration = Duration::from_secs(20);

fn free_all(rig: &Rig, allocations: impl IntoIterator<Item = Allocation>) {
    allocations.into_iter().for_each(|allocation| rig.free(allocation).expect("it is alive"));
}

/// Lets every mapping fail.
fn fail_mappings(rig: &Rig) {
    rig.control()
        .fail_when(|call| (call.function == Function::MapMemory).then_some(vk::Result::ERROR_MEMORY_MAP_FAILED));
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

#[test]
fn after_a_trim_that_gave_an_object_back_other_types_may_open_memory() {
    let mut profile = two_heaps(mib(1024), mib(1024));
    profile.max_memory_allocation_count = 4;
    let rig = Rig::with(SimDevice::new(profile), |info| info.heap_limit(0, mib(10)));
    let (gpu_only, upload) = (AllocationCreateInfo::gpu_only(), AllocationCreateInfo::upload());
    let wishes = [gpu_only, upload, upload];
    let mut live: Vec<_> =
        wishes.iter().map(|info| rig.allocate(&linear(mib(8)), info).expect("there is memory")).collect();
    rig.prewarm(Intent::Upload, mib(1)).expect("a fourth object may be");
    assert_eq!(rig.control().memory_object_count(), 4);
    live.push(rig.allocate(&linear(mib(8)), &gpu_only).expect("the next type has room, and the trim made a place"));
    assert_eq!(live[3].memory_type_index(), 1);
    free_all(&rig, live);
    rig.finish();
}

/// Drivers name a largest object that is no multiple of any unit: 4 GiB less 4 bytes, for one.
#[test]
fn what_the_largest_memory_object_just_holds_is_served() {
    let mut profile = two_heaps(mib(1024), mib(1024));
    profile.max_memory_allocation_size = mib(16) - 4;
    let rig = Rig::new(profile);
    let info = AllocationCreateInfo::gpu_only();
    let limits = rig.limits(Intent::GpuOnly).expect("there is a type");
    assert_eq!(limits.largest_allocation, mib(16) - 4);
    for size in [mib(16) - 4, mib(16) - 20, mib(16) - 64] {
        for wishes in [info, info.can_alias(), info.dedicated(DedicatedUse::Never)] {
            let request = requirements(size, 4, Kind::Linear);
            let plan = rig.plan(&request, &wishes).expect("one object holds it");
            let large = rig.allocate(&request, &wishes).expect("one object holds it");
            assert_eq!((plan.driver_bytes, plan.memory_type_index), (size, large.memory_type_index()));
            free_all(&rig, [large]);
        }
    }
    let error = rig.allocate(&linear(mib(16)), &info).expect_err("no object is so large");
    let is_named = |reason: &Reason| matches!(reason, Reason::TooLarge { limit } if *limit == mib(16) - 4);
    assert!(attempts(&error).iter().any(|record| is_named(&record.reason)), "{error}");
    rig.finish();
}

/// As large as an object can be is no reason for memory that no other resource may have.
#[test]
fn a_block_may_be_as_large_as_the_largest_object() {
    let mut profile = two_heaps(mib(1024), mib(1024));
    profile.max_memory_allocation_size = mib(16);
    let rig = Rig::new(profile);
    let info = AllocationCreateInfo::gpu_only();
    let whole = rig.allocate(&linear(mib(16)), &info).expect("one object holds it");
    assert!(!whole.is_dedicated());
    free_all(&rig, [whole]);
    let small = rig.allocate(&linear(256), &info).expect("there is memory");
    assert_eq!(rig.control().memory_object_count(), 1, "the block that it left");
    free_all(&rig, [small]);
    rig.finish();
}

#[test]
fn a_pool_whose_mappings_fail_keeps_to_its_block_count() {
    let rig = Rig::new(Profile::unified());
    let pool = PoolCreateInfo::for_memory_type(1).block_size(mib(1)).max_block_count(1);
    let pool = rig.create_pool(&pool).expect("a pool");
    let info = AllocationCreateInfo::gpu_only().pool(&pool);
    fail_mappings(&rig);
    let live: Vec<_> = (0..4).filter_map(|_| rig.allocate(&linear(256), &info).ok()).collect();
    assert!(rig.control().memory_object_count() <= 1, "{live:?}");
    free_all(&rig, live);
    rig.control().clear_faults();
    let live: Vec<_> = (0..4).map(|_| rig.allocate(&linear(256), &info).expect("mapping works again")).collect();
    assert_eq!(rig.control().memory_object_count(), 1);
    free_all(&rig, live);
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.finish();
}

#[test]
fn what_cannot_be_mapped_is_no_larger_than_its_one_resource() {
    let rig = Rig::new(Profile::unified());
    fail_mappings(&rig);
    let host_visible = AllocationRequirements { memory_type_bits: 0b10, ..linear(256) };
    let info = AllocationCreateInfo::gpu_only();
    let live: Vec<_> = (0..4).map(|_| rig.allocate(&host_visible, &info).expect("the host is not needed")).collect();
    assert!(live.iter().all(|one| one.mapped_ptr().is_none() && one.offset() == 0));
    assert_eq!((rig.control().memory_object_count(), rig.control().reserved_bytes()), (4, 4 * 256));
    free_all(&rig, live);
    rig.finish();
}

#[test]
fn lazy_memory_has_no_blocks_that_a_pool_could_keep() {
    let rig = Rig::new(Profile::noncoherent());
    let lazy = || PoolCreateInfo::for_memory_type(4);
    let made = rig.create_pool(&lazy().min_block_count(2));
    assert_eq!(rig.control().memory_object_count(), 0, "{made:?}: each image has memory of its own");
    assert!(
        matches!(made, Err(CreatePoolError::Allocation(AllocationError::Unsupported { .. }))),
        "there will be no two blocks: {made:?}"
    );
    let pool = rig.create_pool(&lazy()).expect("a pool without blocks");
    let wishes = AllocationCreateInfo::transient().pool(&pool);
    let image = rig.allocate(&requirements(64 * KIB, 256, Kind::NonLinear), &wishes).expect("there is memory");
    assert!(image.is_dedicated());
    free_all(&rig, [image]);
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.finish();
}

/// A thread that is refused a block finds room in one that another has freed: that block is not its own to give back.
#[test]
fn a_block_that_a_failed_creation_did_not_open_stays() {
    let rig = Rig::new(two_heaps(mib(1024), mib(1024)));
    let kept = rig.allocate(&linear(256), &AllocationCreateInfo::upload()).expect("there is memory");
    let info = AllocationCreateInfo::gpu_only();
    rig.prewarm(Intent::GpuOnly, mib(8)).expect("there is memory");
    let full = rig.allocate(&linear(mib(8)), &info).expect("there is room");
    rig.control().fail_when(|call| (call.function == Function::AllocateMemory).then_some(REFUSED));
    rig.control().fail_nth_of(Function::BindBufferMemory, 1, REFUSED);
    thread::scope(|scope| {
        let gate = rig.control().block(Function::AllocateMemory);
        // SAFETY: the create-info is valid; nothing is submitted.
        let worker = scope.spawn(|| unsafe { rig.create_buffer(&buffer_info(mib(5)), &info) });
        assert!(gate.wait_for_arrivals(1, HANG), "it asks the driver");
        free_all(&rig, [full]);
        gate.open();
        let made = worker.join().expect("no panic");
        assert!(made.is_err(), "the driver does not bind: {made:?}");
    });
    assert_eq!(rig.statistics().memory_types[0].counters.empty_bytes, mib(8), "what was prewarmed is there");
    free_all(&rig, [kept]);
    rig.finish();
}

/// Other threads free all else while a creation is about to fail: what it takes back is the last.
#[test]
fn an_allocator_that_a_failed_creation_leaves_idle_rests() {
    let rig = Rig::new(two_heaps(mib(1024), mib(1024)));
    let info = AllocationCreateInfo::gpu_only();
    let others = [256, mib(20)].map(|size| rig.allocate(&linear(size), &info).expect("there is memory"));
    rig.control().fail_nth_of(Function::BindBufferMemory, 1, REFUSED);
    thread::scope(|scope| {
        let gate = rig.control().block(Function::BindBufferMemory);
        // SAFETY: the create-info is valid; nothing is submitted.
        let worker = scope.spawn(|| unsafe { rig.create_buffer(&buffer_info(256), &info) });
        assert!(gate.wait_for_arrivals(1, HANG), "it has memory and binds it");
        free_all(&rig, others);
        gate.open();
        let made = worker.join().expect("no panic");
        assert!(made.is_err(), "the driver does not bind: {made:?}");
    });
    assert_eq!(rig.statistics().total.reserved_bytes(), mib(1), "one small block is kept");
    rig.finish();
}

#[test]
fn a_plan_and_limits_leave_the_slots_where_they_are() {
    let rig = Rig::new(two_heaps(mib(1024), mib(1024)));
    let info = AllocationCreateInfo::gpu_only();
    let live = [512 * KIB, 256].map(|size| rig.allocate(&linear(size), &info).expect("there is memory"));
    rig.prewarm(Intent::GpuOnly, mib(8)).expect("there is memory");
    let before = rig.detailed_statistics();
    assert!(before.ranges.free_slot_count > 0, "beside the small one");
    rig.plan(&linear(mib(100)), &info).expect("there is memory");
    assert_eq!(rig.detailed_statistics().ranges, before.ranges, "a plan changes nothing");
    rig.limits(Intent::GpuOnly).expect("there is a type");
    assert_eq!(rig.detailed_statistics().ranges, before.ranges, "limits change nothing");
    free_all(&rig, live);
    rig.finish();
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

#[test]
fn a_plan_for_a_pool_names_the_pool_s_type_as_the_choice() {
    let rig = Rig::new(Profile::discrete_rebar());
    for memory_type_index in 1..3 {
        let pool = rig.create_pool(&PoolCreateInfo::for_memory_type(memory_type_index)).expect("a pool");
        let plan = rig.plan(&linear(256), &AllocationCreateInfo::gpu_only().pool(&pool)).expect("there is memory");
        let choices: Vec<_> =
            plan.verdicts.iter().filter(|one| matches!(one.verdict, Verdict::Candidate { .. })).collect();
        assert!(
            matches!(choices.as_slice(), [one] if one.memory_type_index == plan.memory_type_index
                && matches!(one.verdict, Verdict::Candidate { rank: 0, .. })),
            "{:?}",
            plan.verdicts
        );
        rig.destroy_pool(pool).expect("nothing of it is alive");
    }
    rig.finish();
}

#[test]
fn dedicated_objects_and_names_are_bookkeeping_too() {
    let rig = Rig::new(two_heaps(mib(1024), mib(1024)));
    let info = AllocationCreateInfo::gpu_only().dedicated(DedicatedUse::Always);
    let host_bytes = || rig.detailed_statistics().host_bytes;
    let first = rig.allocate(&linear(256), &info).expect("there is memory");
    let with_one = host_bytes();
    let mut live: Vec<_> = (0..100).map(|_| rig.allocate(&linear(256), &info).expect("there is memory")).collect();
    let with_all = host_bytes();
    assert!(with_all - with_one >= 100 * 32, "{with_one}, then {with_all}");
    live.push(rig.allocate(&linear(256), &info.name("a name of twenty-six bytes")).expect("there is memory"));
    assert!(host_bytes() - with_all >= 26 + 32, "{with_all}, then {}", host_bytes());
    free_all(&rig, live);
    free_all(&rig, [first]);
    rig.finish();
}

#[test]
fn a_prewarmed_block_is_asked_for_again_only_where_that_may_help() {
    for (result, calls) in [(REFUSED, 1), (vk::Result::ERROR_OUT_OF_HOST_MEMORY, 2)] {
        let rig = Rig::new(two_heaps(mib(1024), mib(1024)));
        rig.control().fail_when(move |call| (call.function == Function::AllocateMemory).then_some(result));
        let error = rig.prewarm(Intent::GpuOnly, mib(1)).expect_err("the driver refuses");
        assert!(error.is_out_of_memory(), "{error}");
        assert_eq!(rig.control().count(Function::AllocateMemory), calls, "nothing can be given back: {error}");
        rig.control().clear_faults();
        rig.finish();
    }
}

/// A heap may be one object.
#[test]
fn an_object_may_be_as_large_as_its_heap() {
    let rig = Rig::new(two_heaps(mib(64), mib(64)));
    let info = AllocationCreateInfo::gpu_only().dedicated(DedicatedUse::Always).without_spilling();
    let whole = rig.allocate(&linear(mib(64)), &info).expect("the heap has room for it");
    rig.free(whole).expect("it is alive");
    rig.finish();
}

/// A block that cannot be mapped makes way for memory of just the size, which nobody tries to map again.
#[test]
fn what_could_not_be_mapped_is_not_mapped_in_a_smaller_size() {
    let rig = Rig::new(two_heaps(mib(1024), mib(1024)));
    fail_mappings(&rig);
    let on_host = AllocationRequirements { memory_type_bits: 1 << 1, ..linear(256) };
    let alone = rig.allocate(&on_host, &AllocationCreateInfo::gpu_only()).expect("no mapping is needed");
    assert_eq!(rig.control().count(Function::MapMemory), 1);
    assert_eq!(rig.control().reserved_bytes(), 256, "nobody else has anything of it");
    free_all(&rig, [alone]);
    rig.finish();
}
