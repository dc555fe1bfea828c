//! `plan` says what `allocate` then does: over generated requests, budgets and limits, and over every recorded event.

mod common;

use common::program::{self, Step};
use common::{Rig, linear, mib, state_of};
use freestone::sim::{Function, KIB, Profile, SimDevice};
use freestone::{
    Allocation, AllocationCreateInfo, AllocationError, AllocationRequirements, DedicatedUse, Intent, Plan,
    PlannedPlacement, PoolCreateInfo,
};
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, proptest};

/// Plans, allocates, and compares. Returns what was allocated.
#[track_caller]
fn plan_and_allocate(
    rig: &Rig,
    request: &AllocationRequirements,
    info: &AllocationCreateInfo<'_>,
) -> Result<Allocation, AllocationError> {
    let before = (state_of(rig), rig.control().total_calls());
    let planned = rig.plan(request, info);
    assert!((state_of(rig), rig.control().total_calls()) == before, "a plan changes nothing");
    rig.control().take_calls();
    let made = rig.allocate(request, info);
    let calls = rig.control().take_calls();
    let opened: Vec<u64> =
        calls.iter().filter(|call| call.function == Function::AllocateMemory).map(|call| call.size).collect();
    match (&planned, &made) {
        (Ok(plan), Ok(allocation)) => assert_as_planned(plan, allocation, &opened),
        (Err(planned), Err(error)) => {
            assert_eq!(planned.to_string(), error.to_string(), "the same error, with the same attempts");
            assert!(opened.is_empty(), "{error}");
        }
        _ => panic!("planned {planned:?}\nmade {made:?}\nfor {request:?} {info:?}"),
    }
    made
}

#[track_caller]
fn assert_as_planned(plan: &Plan, allocation: &Allocation, opened: &[u64]) {
    assert_eq!(plan.memory_type_index, allocation.memory_type_index(), "{plan:?}");
    let expected: &[u64] = match plan.placement {
        PlannedPlacement::ExistingBlock => &[],
        _ => &[plan.driver_bytes],
    };
    assert_eq!(opened, expected, "{plan:?}");
    assert_eq!(plan.placement == PlannedPlacement::Dedicated, allocation.is_dedicated(), "{plan:?}");
    assert!(plan.placement != PlannedPlacement::ExistingBlock || plan.driver_bytes == 0);
    if let Some(offset) = plan.offset {
        assert_eq!(offset, allocation.offset(), "{plan:?}");
    }
    assert!(plan.offset.is_some() || opened.len() == 1, "the offset in an existing block is known: {plan:?}");
}

/// Carries a program out, with each allocation planned first.
fn run(rig: &Rig, steps: &[Step]) {
    let mut live = Vec::new();
    for step in steps {
        take(rig, &mut live, step);
    }
    for allocation in live {
        rig.free(allocation).expect("it is alive");
    }
}

/// Carries one step out on what lives, an allocation planned first.
fn take(rig: &Rig, live: &mut Vec<Allocation>, step: &Step) {
    match step {
        Step::Allocate(wish) => live.extend(plan_and_allocate(rig, &wish.requirements(), &wish.info()).ok()),
        Step::Free(number) if !live.is_empty() => {
            let allocation = live.swap_remove(number % live.len());
            rig.free(allocation).expect("it is alive");
        }
        Step::FreeMost(keep) => {
            for (number, allocation) in std::mem::take(live).into_iter().enumerate() {
                if number % keep == 0 { live.push(allocation) } else { rig.free(allocation).expect("it is alive") }
            }
        }
        Step::Trim => drop(rig.trim()),
        Step::Prewarm(intent, bytes) => drop(rig.prewarm(*intent, *bytes)),
        Step::Tick(count) => (0..*count).for_each(|_| rig.tick()),
        Step::Budget { heap_index, bytes } => {
            rig.control().set_budget(*heap_index, Some(*bytes));
            rig.update_budget();
        }
        Step::Foreign { heap_index, bytes } => {
            rig.control().set_foreign_usage(*heap_index, *bytes);
            rig.update_budget();
        }
        _ => {}
    }
}

/// No failure of the driver's own may come in between: it cannot be planned.
fn roomy(mut profile: Profile) -> Profile {
    for heap in &mut profile.heaps {
        heap.size = heap.size.max(mib(512));
    }
    profile
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn allocate_does_what_was_planned(profile in program::profile_name(), steps in vec(program::step(), 1..60)) {
        let rig = Rig::new(roomy(program::profile(&profile)));
        run(&rig, &steps);
        rig.finish();
    }

    #[test]
    fn allocate_does_what_was_planned_under_limits(
        profile in program::profile_name(),
        limits in [mib(1)..mib(64), mib(1)..mib(64), mib(1)..mib(64)],
        steps in vec(program::step(), 1..60),
    ) {
        let rig = Rig::with(SimDevice::new(roomy(program::profile(&profile))), |info| {
            (0..).zip(limits).fold(info, |info, (heap_index, bytes)| info.heap_limit(heap_index, bytes))
        });
        run(&rig, &steps);
        for (heap_index, limit) in (0..).zip(limits) {
            let peak = rig.control().heap(heap_index).map_or(0, |heap| heap.peak_bytes);
            assert!(peak <= limit, "heap {heap_index}: {peak} bytes of {limit}");
        }
        rig.finish();
    }

    #[test]
    fn limits_promise_what_can_be_had(profile in program::profile_name(), steps in vec(program::step(), 1..40)) {
        let rig = Rig::new(roomy(program::profile(&profile)));
        let mut live = Vec::new();
        for step in &steps {
            take(&rig, &mut live, step);
            for intent in Intent::ALL {
                assert_limits_hold(&rig, intent);
            }
        }
        for allocation in live {
            rig.free(allocation).expect("it is alive");
        }
        rig.finish();
    }
}

/// Checks that the largest allocation promised is had within the budget, that its suggestion is no larger, and that
/// more is not had.
#[track_caller]
fn assert_limits_hold(rig: &Rig, intent: Intent) {
    let limits = rig.limits(intent).expect("every profile serves every intent");
    assert!(limits.suggested_chunk_size <= limits.largest_allocation);
    let info = AllocationCreateInfo::new(intent).within_budget();
    let plan = |size| rig.plan(&AllocationRequirements { alignment: 1, ..linear(size) }, &info);
    let largest = limits.largest_allocation;
    if largest > 0 {
        for size in [largest, limits.suggested_chunk_size.max(1)] {
            let planned = plan(size);
            assert!(planned.is_ok(), "{intent}: {limits:?} promises {size}: {}", planned.expect_err("it is none"));
        }
    }
    let more = plan(largest + 256);
    assert!(more.is_err(), "{intent}: {limits:?} is not the largest: {more:?}");
}

#[test]
fn limits_are_what_an_allocation_gets() {
    for profile in Profile::all() {
        let rig = Rig::new(profile);
        for intent in Intent::ALL {
            let limits = rig.limits(intent).expect("every profile serves every intent");
            let info = AllocationCreateInfo::new(intent).within_budget();
            // Real bytes stand behind host-visible memory here: the largest is taken where nothing is mapped.
            let size = if intent.needs_host_access() { limits.suggested_chunk_size } else { limits.largest_allocation };
            let allocation = rig.allocate(&linear(size), &info).expect("it was promised");
            rig.free(allocation).expect("it is alive");
            let more = rig.plan(&linear(limits.largest_allocation + 256), &info);
            assert!(more.is_err(), "{intent}: {limits:?} is not the largest: {more:?}");
        }
        rig.finish();
    }
}

/// Nothing is free but one slot of a slab whose other slots are in use.
#[test]
fn limits_promise_a_slot_that_is_free() {
    let rig = Rig::new(common::two_heaps(mib(1024), mib(1024)));
    let info = AllocationCreateInfo::gpu_only().within_budget();
    let allocate = |size| rig.allocate(&linear(size), &info).ok();
    let size = 4 * KIB;
    let mut made: Vec<Allocation> = (0..400).filter_map(|_| allocate(size)).collect();
    for heap_index in 0..2 {
        rig.control().set_budget(heap_index, Some(1));
    }
    rig.update_budget();
    let halves = core::iter::successors(Some(mib(8)), |&size| (size > 64).then_some(size / 2));
    made.extend(halves.flat_map(|size| core::iter::from_fn(move || allocate(size))));
    assert_eq!(rig.limits(Intent::GpuOnly).map(|limits| limits.largest_allocation).ok(), Some(0));
    rig.free(made.swap_remove(201)).expect("it is alive");
    assert_limits_hold(&rig, Intent::GpuOnly);
    assert_eq!(rig.limits(Intent::GpuOnly).map(|limits| limits.largest_allocation).ok(), Some(size));
    made.extend(Some(allocate(size).expect("it was promised")));
    rig.free_many(&mut made).expect("all are alive");
    rig.finish();
}

/// Of many free ranges of one class a search may miss the largest: what it surely finds is promised, a sixteenth less.
#[test]
fn limits_promise_a_sixteenth_less_where_a_search_misses_the_largest() {
    let rig = Rig::new(common::two_heaps(mib(1024), mib(1024)));
    let info = AllocationCreateInfo::gpu_only().within_budget();
    let allocate = |size| rig.allocate(&linear(size), &info);
    // Of one class and above all slots, each between two that stay; the one freed first lies deepest in its list.
    let largest = 536 * KIB;
    let sizes = [largest].into_iter().chain([512 * KIB; 160]);
    let made: Vec<Allocation> = sizes.map(|size| allocate(size).expect("there is memory")).collect();
    for heap_index in 0..2 {
        rig.control().set_budget(heap_index, Some(1));
    }
    rig.update_budget();
    let halves = core::iter::successors(Some(mib(8)), |&size| (size > 256).then_some(size / 2));
    let fill: Vec<Allocation> = halves.flat_map(|size| core::iter::from_fn(move || allocate(size).ok())).collect();
    let (holes, walls): (Vec<_>, Vec<_>) = made.into_iter().enumerate().partition(|(index, _)| index % 2 == 0);
    for (_, hole) in holes {
        rig.free(hole).expect("it is alive");
    }
    assert_eq!(rig.detailed_statistics().ranges.largest_free_bytes, largest);
    rig.plan(&AllocationRequirements { alignment: 1, ..linear(largest) }, &info).expect_err("it is missed");
    let limits = rig.limits(Intent::GpuOnly).expect("there is a type");
    assert_eq!(limits.largest_allocation, largest - largest / 16);
    rig.plan(&linear(limits.largest_allocation), &info).expect("it is promised");
    for allocation in walls.into_iter().map(|(_, wall)| wall).chain(fill) {
        rig.free(allocation).expect("it is alive");
    }
    rig.finish();
}

#[test]
fn plan_many_counts_what_the_plans_before_have_opened() {
    let rig = Rig::new(common::two_heaps(mib(1024), mib(1024)));
    rig.control().set_budget(0, Some(mib(20)));
    rig.update_budget();
    let info = AllocationCreateInfo::gpu_only().within_budget();
    let requests = [linear(mib(8)), linear(mib(8)), linear(mib(8))];
    let plans = rig.plan_many(&requests, &info).expect("the host's heap takes the third");
    assert_eq!(plans.iter().map(|plan| plan.memory_type_index).collect::<Vec<_>>(), [0, 0, 1]);
    let allocations = rig.allocate_many(&requests, &info).expect("as planned");
    assert_eq!(allocations.iter().map(Allocation::memory_type_index).collect::<Vec<_>>(), [0, 0, 1]);
    let error = rig.plan_many(&requests, &info.without_spilling()).expect_err("4 MiB are left");
    assert!(error.to_string().contains("left of the budget of 20971520"), "{error}");
    for allocation in allocations {
        rig.free(allocation).expect("it is alive");
    }
    rig.finish();
}

/// Plans that open memory count against what a device has of objects, and those that do not, do not.
#[test]
fn plan_many_counts_the_objects_that_the_plans_before_have_opened() {
    let mut profile = common::two_heaps(mib(1024), mib(1024));
    profile.max_memory_allocation_count = 16;
    let rig = Rig::new(profile);
    let info = AllocationCreateInfo::gpu_only();
    let held = rig.allocate(&linear(256), &info).expect("there is memory");
    let left = (rig.statistics().max_object_count - rig.statistics().object_count) as usize;
    let mut few: Vec<_> = (0..2 * left).map(|_| linear(256)).collect();
    few.extend((0..left).map(|_| linear(mib(40))));
    let plans = rig.plan_many(&few, &info).expect("what exists takes the small ones");
    assert_eq!(plans.iter().filter(|plan| plan.driver_bytes > 0).count(), left);
    few.push(linear(mib(40)));
    let refused = rig.plan_many(&few, &info).expect_err("there is one object too many");
    assert!(refused.to_string().contains("objects"), "{refused}");
    rig.free(held).expect("it is alive");
    rig.finish();
}

#[test]
fn a_plan_says_when_the_budget_is_exceeded() {
    let rig = Rig::new(Profile::unified());
    rig.control().set_budget(0, Some(64 * KIB));
    rig.update_budget();
    let plan = rig.plan(&linear(mib(8)), &AllocationCreateInfo::gpu_only()).expect("the heap has room");
    assert!(plan.exceeds_budget && plan.heap.budget == 64 * KIB, "{plan:?}");
    assert!(!plan.attempts.records().is_empty() && plan.verdicts.len() == 2, "{plan:?}");
    rig.plan(&linear(mib(8)), &AllocationCreateInfo::gpu_only().within_budget()).expect_err("the budget has not");
    rig.finish();
}

/// The block that makes way at a pool's limit is gone before the next is counted.
#[test]
fn at_a_pool_s_block_limit_the_block_that_makes_way_is_planned() {
    let vulkan = SimDevice::new(common::two_heaps(mib(1024), mib(1024)));
    let rig = Rig::with(vulkan, |info| info.heap_limit(0, 3584 * KIB));
    let always = AllocationCreateInfo::upload().dedicated(DedicatedUse::Always);
    let peak = rig.allocate(&linear(mib(64)), &always).expect("there is memory");
    rig.free(peak).expect("it is alive");
    let pool = rig.create_pool(&PoolCreateInfo::for_memory_type(0).max_block_count(1)).expect("a pool");
    let info = AllocationCreateInfo::gpu_only().pool(&pool);
    let small = rig.allocate(&linear(100), &info).expect("there is memory");
    rig.free(small).expect("it is alive");
    let large = plan_and_allocate(&rig, &linear(1536 * KIB), &info).expect("the empty block makes way");
    rig.free(large).expect("it is alive");
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.finish();
}

/// A trim gives kept slots back to their blocks; what it would leave is where a plan looks then.
#[test]
fn after_a_trim_a_plan_finds_the_offset_that_a_range_then_has() {
    let rig = Rig::new(Profile::unified());
    let upload = AllocationCreateInfo::upload();
    rig.prewarm(Intent::Upload, mib(4)).expect("there is memory");
    let [first, between, last, small] =
        [300 * KIB, 300 * KIB, 300 * KIB, 256].map(|size| rig.allocate(&linear(size), &upload).expect("room"));
    let kept = small.offset();
    rig.free(small).expect("it is alive");
    rig.free(between).expect("it is alive");
    rig.control().set_budget(0, Some(mib(4)));
    rig.update_budget();
    let made = plan_and_allocate(&rig, &linear(256), &AllocationCreateInfo::gpu_only().within_budget());
    let made = made.expect("the next type's block has room");
    assert_ne!(made.offset(), kept, "the hole is smaller than what the slots went back to");
    for allocation in [first, last, made] {
        rig.free(allocation).expect("it is alive");
    }
    rig.finish();
}

/// Every event of every recorded application on every built-in profile.
#[cfg(feature = "cli")]
mod traces {
    use std::collections::HashMap;
    use std::path::Path;

    use super::{Allocation, AllocationCreateInfo, AllocationRequirements, Intent, Profile, Rig, plan_and_allocate};
    use freestone::trace::{Class, Dedicated, Kind, Model, Operation, Resource, Trace};
    use freestone::{DedicatedPreference, DeviceAddress};

    fn requirements(model: &Model, resource: &Resource) -> AllocationRequirements {
        let asked = model.requirements(resource).expect("recorded sizes are small");
        AllocationRequirements {
            size: asked.size,
            alignment: asked.alignment,
            memory_type_bits: asked.memory_type_bits,
            kind: if resource.kind() == Kind::ImageOptimal {
                freestone::Kind::NonLinear
            } else {
                freestone::Kind::Linear
            },
            device_address: DeviceAddress::NotNeeded,
            dedicated: match resource.dedicated {
                Dedicated::Requires => DedicatedPreference::Required,
                Dedicated::Prefers => DedicatedPreference::Preferred,
                Dedicated::None | Dedicated::App => DedicatedPreference::None,
            },
        }
    }

    fn intent(class: Class) -> Intent {
        match class {
            Class::Device => Intent::GpuOnly,
            Class::Upload => Intent::Upload,
            Class::DeviceUpload => Intent::Stream,
            Class::Readback => Intent::Readback,
        }
    }

    fn replay(trace: &Trace, profile: Profile) {
        let rig = Rig::new(profile);
        // SAFETY: the physical device is the instance's.
        let limits =
            unsafe { rig.vulkan.instance().get_physical_device_properties(rig.vulkan.physical_device()) }.limits;
        let count = u32::try_from(rig.properties().memory_types.len()).expect("few");
        let model = Model::new(&limits, count);
        let mut live: HashMap<u64, Allocation> = HashMap::new();
        for event in &trace.events {
            match &event.operation {
                Operation::Allocate(resource) => {
                    let info = AllocationCreateInfo::new(intent(resource.class));
                    let made = plan_and_allocate(&rig, &requirements(&model, resource), &info);
                    live.insert(event.id, made.expect("there is memory"));
                }
                Operation::Free => {
                    let allocation = live.remove(&event.id).expect("the reader has checked the ids");
                    rig.free(allocation).expect("it is alive");
                }
            }
        }
        for allocation in live.into_values() {
            rig.free(allocation).expect("it is alive");
        }
        rig.finish();
    }

    #[test]
    fn allocate_does_what_was_planned_at_every_event_of_every_trace() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces");
        let entries = std::fs::read_dir(folder).expect("the traces are here");
        let mut files: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
        files.retain(|file| file.extension().is_some_and(|ending| ending == "zst"));
        files.sort();
        assert!(files.len() >= 14, "{files:?}");
        std::thread::scope(|scope| {
            for part in files.chunks(files.len().div_ceil(2)) {
                scope.spawn(move || {
                    for file in part {
                        let trace = Trace::read(file).expect("a good trace");
                        for profile in Profile::all() {
                            replay(&trace, profile);
                        }
                    }
                });
            }
        });
    }
}

#[test]
fn several_pieces_of_the_suggested_size_share_a_block_within_the_budget() {
    let rig = Rig::new(Profile::discrete_rebar());
    let info = AllocationCreateInfo::gpu_only();
    let size = rig.limits(Intent::GpuOnly).expect("there is a type").suggested_chunk_size;
    let plan = rig.plan(&linear(size), &info).expect("there is room");
    assert!(plan.driver_bytes >= size && !plan.exceeds_budget, "{plan:?}");
    // From 1 GiB on a 32nd of what lives is no less than two pieces.
    let pieces: Vec<_> = (0..72).map(|_| rig.allocate(&linear(size), &info).expect("there is memory")).collect();
    let beside = |one: &Allocation| pieces.iter().filter(|piece| piece.memory() == one.memory()).count();
    assert!(pieces.iter().map(beside).max() >= Some(2), "{size} bytes");
    for piece in pieces {
        rig.free(piece).expect("it is alive");
    }
    rig.finish();
}
