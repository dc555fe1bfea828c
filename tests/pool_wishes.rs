//! What a custom pool is asked to be beside its algorithm and its blocks: of one kind, of a memory type with flags, at
//! its minimum, and counted by itself.

mod common;

use ash::vk;
use common::{Rig, attempts, buffer_info, image_info, linear, mib, non_linear, state_of};
use freestone::sim::{Function, KIB, Profile};
use freestone::{
    Algorithm, AliasError, Allocation, AllocationCreateInfo, AllocationError, AttemptRecord, CreatePoolError,
    CustomPool, DedicatedUse, Intent, Kind, PlannedPlacement, PoolCreateInfo, Reason,
};

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

#[test]
fn slots_of_one_kind_serve_it_on_every_device() {
    for profile in common::every_device() {
        let rig = Rig::new(profile);
        let info = PoolCreateInfo::for_intent(Intent::GpuOnly).algorithm(Algorithm::Fixed { slot_size: 8 * KIB });
        let pool = pool_of(&rig, &info.kind(Kind::NonLinear));
        rig.plan(&non_linear(8 * KIB), &wishes(&pool)).expect("a slot");
        let images = [(); 5].map(|()| rig.allocate(&non_linear(8 * KIB), &wishes(&pool)).expect("a slot"));
        assert_eq!(rig.statistics().total.allocation_bytes, 40 * KIB);
        free_all(&rig, images);
        rig.destroy_pool(pool).expect("nothing of it is alive");
        rig.finish();
    }
}

#[test]
fn slots_that_are_no_whole_pages_say_what_is_missing() {
    for (profile, slot_size, page) in
        [(Profile::noncoherent(), 8 * KIB, 64 * KIB), (Profile::discrete_bar256(), 2304, KIB)]
    {
        let rig = Rig::new(profile);
        let info = PoolCreateInfo::for_intent(Intent::GpuOnly).algorithm(Algorithm::Fixed { slot_size });
        for info in [info.clone(), info.block_size(20 * KIB)] {
            let pool = pool_of(&rig, &info);
            let (image, info) = (non_linear(slot_size), wishes(&pool));
            for outcome in [rig.allocate(&image, &info).map(drop), rig.plan(&image, &info).map(drop)] {
                let error = outcome.expect_err("no slot has whole pages");
                let is_page =
                    |reason: &Reason| matches!(reason, Reason::SharedPage { granularity } if *granularity == page);
                assert!(attempts(&error).last().is_some_and(|record| is_page(&record.reason)), "{error}");
            }
            let error = rig.allocate(&non_linear(slot_size + 1), &info).expect_err("no slot is so large");
            assert!(matches!(attempts(&error)[1].reason, Reason::TooLarge { limit } if limit == slot_size), "{error}");
            let apart = rig.allocate(&image, &info.dedicated(DedicatedUse::Always)).expect("memory of its own");
            let buffer = rig.allocate(&linear(slot_size), &info).expect("a slot");
            free_all(&rig, [apart, buffer]);
            rig.destroy_pool(pool).expect("nothing of it is alive");
        }
        rig.finish();
    }
}

#[test]
fn a_resource_of_the_other_kind_is_refused_on_every_device() {
    let (buffer, image) = (linear(100), non_linear(100));
    for profile in common::every_device() {
        let rig = Rig::new(profile);
        for (kind, own, other) in [(Kind::Linear, buffer, image), (Kind::NonLinear, image, buffer)] {
            let pool = pool_of(&rig, &PoolCreateInfo::for_intent(Intent::GpuOnly).kind(kind));
            assert_eq!(pool.kind(), Some(kind));
            let live = rig.allocate(&own, &wishes(&pool)).expect("there is memory");
            let (plain, before) = (wishes(&pool), state_of(&rig));
            for info in [plain, plain.name("stray"), plain.dedicated(DedicatedUse::Always)] {
                for refused in [rig.allocate(&other, &info).map(drop), rig.plan(&other, &info).map(drop)] {
                    let is_named = matches!(refused, Err(AllocationError::OtherKind { kind: named }) if named == kind);
                    assert!(is_named, "{refused:?}");
                }
            }
            assert_eq!(state_of(&rig), before);
            free_all(&rig, [live]);
            rig.destroy_pool(pool).expect("nothing of it is alive");
        }
        rig.finish();
    }
}

/// Images of 256 bytes on a device whose pages have 1024: the driver sees the neighbours, and would tell.
#[test]
fn a_pool_of_images_keeps_no_pages_apart() {
    let mut profile = Profile::discrete_bar256();
    profile.images.optimal_steps = vec![(0, 256)];
    let rig = Rig::new(profile);
    rig.control().allow_aliasing(true);
    let pool = pool_of(&rig, &PoolCreateInfo::for_memory_type(0).kind(Kind::NonLinear));
    // SAFETY: the create-infos are valid; nothing is submitted.
    let images = [(); 8].map(|()| unsafe { rig.create_image(&image_info(8), &wishes(&pool)) }.expect("an image"));
    assert_eq!(rig.statistics().total.allocation_bytes, 8 * 256);
    let (_, room) = &images[3];
    // SAFETY: as above.
    let buffer = unsafe { rig.create_aliasing_buffer(&buffer_info(256), room, 0) };
    let is_page = matches!(buffer, Err(AllocationError::Alias(AliasError::SharedPage { granularity: 1024 })));
    assert!(is_page, "{buffer:?}");
    // SAFETY: as above.
    let image = unsafe { rig.create_aliasing_image(&image_info(8), room, 0) }.expect("it is of the pool's kind");
    // SAFETY: the GPU has never seen it.
    unsafe { rig.vulkan.device().destroy_image(image, None) };
    for (image, memory) in images {
        // SAFETY: as above.
        unsafe { rig.destroy_image(image, memory) }.expect("it is alive");
    }
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.finish();
}

/// A pool that has as many blocks as it may have, and needs them all for its minimum.
#[test]
fn an_empty_block_makes_way_for_a_larger_one_at_the_minimum_too() {
    let rig = Rig::new(Profile::discrete_rebar());
    let pool = pool_of(&rig, &PoolCreateInfo::for_memory_type(0).min_block_count(1).max_block_count(1));
    let before = state_of(&rig);
    rig.control().fail_when(|call| {
        (call.function == Function::AllocateMemory).then_some(vk::Result::ERROR_OUT_OF_DEVICE_MEMORY)
    });
    let error = rig.allocate(&linear(mib(2)), &wishes(&pool)).expect_err("no block can be opened");
    let is_asked = attempts(&error).iter().any(|record| matches!(record.reason, Reason::Driver(_)));
    assert!(is_asked, "{error}");
    rig.control().clear_faults();
    assert_eq!(state_of(&rig), before, "the block that was to make way is there again");
    let plan = rig.plan(&linear(mib(2)), &wishes(&pool)).expect("the empty block makes way");
    assert_eq!(plan.placement, PlannedPlacement::NewBlock);
    let large = rig.allocate(&linear(mib(2)), &wishes(&pool)).expect("the empty block makes way");
    assert_eq!((rig.control().memory_object_count(), rig.control().reserved_bytes()), (1, plan.driver_bytes));
    let error = rig.allocate(&linear(plan.driver_bytes), &wishes(&pool)).expect_err("nothing is empty now");
    let has_reason = attempts(&error).iter().any(|record| matches!(record.reason, Reason::BlockLimit { max: 1 }));
    assert!(has_reason, "{error}");
    free_all(&rig, [large]);
    rig.trim();
    assert_eq!(rig.control().memory_object_count(), 1, "a trim keeps the minimum");
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.finish();
}

/// An empty block that is as large as the one to be opened has room for what comes.
#[test]
fn blocks_of_one_size_are_not_exchanged() {
    let rig = Rig::new(Profile::discrete_rebar());
    let info = PoolCreateInfo::for_memory_type(0).block_size(mib(1)).min_block_count(2).max_block_count(2);
    let pool = pool_of(&rig, &info);
    let opened = rig.control().count(Function::AllocateMemory);
    for _ in 0..20 {
        let live = [(); 2].map(|()| rig.allocate(&linear(mib(1)), &wishes(&pool)).expect("a block"));
        rig.allocate(&linear(64), &wishes(&pool)).expect_err("a third block is not allowed");
        free_all(&rig, live);
    }
    assert_eq!(rig.control().count(Function::AllocateMemory), opened);
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.finish();
}

/// Threads that need blocks of many sizes of a pool that may have two and needs both.
#[test]
fn threads_that_exchange_blocks_are_served_or_refused_by_the_limit() {
    let rig = Rig::new(Profile::discrete_rebar());
    let pool = pool_of(&rig, &PoolCreateInfo::for_memory_type(0).min_block_count(2).max_block_count(2));
    let work = &|seed: u64| {
        let mut random = common::Random(seed);
        let outcomes = (0..200).map(|_| match rig.allocate(&linear(random.size(22)), &wishes(&pool)) {
            Ok(allocation) => {
                std::thread::yield_now();
                free_all(&rig, [allocation]);
                assert!(rig.control().memory_object_count() <= 3, "one at a time is exchanged");
                1
            }
            Err(error) => {
                let is_limit = |record: &AttemptRecord| matches!(record.reason, Reason::BlockLimit { max: 2 });
                assert!(attempts(&error).iter().any(is_limit), "{error}");
                0
            }
        });
        outcomes.sum::<u32>()
    };
    let served: u32 = std::thread::scope(|scope| {
        let threads = [1, 2, 3, 4].map(|seed| scope.spawn(move || work(seed)));
        threads.into_iter().map(|thread| thread.join().expect("it has not panicked")).sum()
    });
    assert!(served > 0);
    assert_eq!(rig.control().memory_object_count(), 2);
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.finish();
}

#[test]
fn a_pool_is_counted_by_itself_and_named_by_its_index() {
    let (rig, other) = (Rig::new(Profile::discrete_rebar()), Rig::new(Profile::discrete_rebar()));
    let info = PoolCreateInfo::for_memory_type(1).block_size(mib(1));
    let pools = [(); 3].map(|()| pool_of(&rig, &info));
    let default = rig.allocate(&linear(300), &AllocationCreateInfo::gpu_only()).expect("there is memory");
    let live: Vec<_> =
        [0, 1, 1].map(|number| rig.allocate(&linear(256), &wishes(&pools[number])).expect("memory")).into();
    let (all, details) = (rig.statistics(), rig.detailed_statistics());
    for (pool, count) in pools.iter().zip([1, 2, 0]) {
        let counters = rig.pool_statistics(pool).expect("it is its own");
        assert_eq!((counters.allocation_count, counters.block_count), (count, count.min(1)));
        let mut named = all.pools.iter().filter(|(index, _)| *index == pool.index());
        assert!(named.next().is_some_and(|(_, of_pool)| of_pool.counters == counters) && named.next().is_none());
        let mut blocks = details.blocks.iter().filter(|block| block.pool_index == pool.index());
        assert_eq!(blocks.next().map_or(0, |block| block.ranges.used_count), count);
        assert_eq!(other.pool_statistics(pool), None, "it is another allocator's");
    }
    free_all(&rig, live.into_iter().chain([default]));
    let indices = pools.each_ref().map(CustomPool::index);
    for pool in pools {
        rig.destroy_pool(pool).expect("nothing of it is alive");
    }
    let next = pool_of(&rig, &info);
    assert!(indices.contains(&next.index()), "it is used again");
    rig.destroy_pool(next).expect("nothing of it is alive");
    rig.finish();
    other.finish();
}

#[test]
fn flags_choose_the_memory_type_of_a_pool() {
    let rig = Rig::new(Profile::discrete_rebar());
    let gpu_only = || PoolCreateInfo::for_intent(Intent::GpuOnly);
    let (visible, cached) = (vk::MemoryPropertyFlags::HOST_VISIBLE, vk::MemoryPropertyFlags::HOST_CACHED);
    let local = vk::MemoryPropertyFlags::DEVICE_LOCAL;
    for (info, expected) in [
        (gpu_only(), 0),
        (gpu_only().required_flags(visible), 2),
        (gpu_only().required_flags(visible).required_flags(cached), 3),
        (gpu_only().preferred_flags(visible), 2),
        (gpu_only().preferred_flags(visible).memory_type_bits(0b1010), 1),
        (gpu_only().avoided_flags(local), 1),
        (PoolCreateInfo::for_memory_type(3).required_flags(visible | cached), 3),
        (PoolCreateInfo::for_memory_type(0).preferred_flags(visible).avoided_flags(local), 0),
    ] {
        let pool = pool_of(&rig, &info);
        assert_eq!(pool.memory_type_index(), expected, "{info:?}");
        rig.destroy_pool(pool).expect("nothing of it is alive");
    }
    let (before, calls) = (state_of(&rig), rig.control().total_calls());
    for info in [gpu_only().required_flags(local | cached), PoolCreateInfo::for_memory_type(0).required_flags(visible)]
    {
        let error = rig.create_pool(&info).map(drop).expect_err("no type has them");
        assert!(matches!(error, CreatePoolError::Allocation(AllocationError::NoMemoryType { .. })), "{error}");
        assert!(error.to_string().contains("type 0 lacks"), "{error}");
    }
    for info in [gpu_only(), PoolCreateInfo::for_memory_type(0)] {
        let error = rig.create_pool(&info.required_flags(vk::MemoryPropertyFlags::PROTECTED)).map(drop);
        let is_named = matches!(error, Err(CreatePoolError::Allocation(AllocationError::UnsupportedFlags(_))));
        assert!(is_named, "{error:?}");
    }
    assert_eq!((state_of(&rig), rig.control().total_calls()), (before, calls));
    rig.finish();
}
