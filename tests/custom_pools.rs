//! Pools of the user's own: each algorithm, the bounds on blocks, and how they come and go.

mod common;

use ash::vk;
use common::{Rig, linear, mib, non_linear, requirements, state_of};
use freestone::sim::{Function, KIB, Profile, SimDevice};
use freestone::{
    Algorithm, Allocation, AllocationCreateInfo, AllocationError, AllocationRequirements, CreatePoolError, CustomPool,
    DedicatedPreference, DedicatedUse, DestroyPoolReason, DeviceAddress, End, Features, Intent, Kind, PoolCreateInfo,
};

fn pool_of(rig: &Rig, info: &PoolCreateInfo) -> CustomPool {
    rig.create_pool(info).expect("a pool")
}

fn free_all(rig: &Rig, allocations: impl IntoIterator<Item = Allocation>) {
    for allocation in allocations {
        rig.free(allocation).expect("it is alive");
    }
}

#[test]
fn every_algorithm_serves_every_profile() {
    for profile in Profile::all() {
        let rig = Rig::new(profile);
        for algorithm in [Algorithm::Tlsf, Algorithm::Linear, Algorithm::Fixed { slot_size: 4096 }] {
            let info = PoolCreateInfo::for_intent(Intent::Stream).algorithm(algorithm).block_size(256 * KIB);
            let pool = pool_of(&rig, &info);
            let wishes = AllocationCreateInfo::stream().pool(&pool);
            let mut shadow = common::Shadow::default();
            let mut live: Vec<_> =
                (1..100).map(|n| rig.allocate(&linear(n * 40), &wishes).expect("there is memory")).collect();
            for allocation in &mut live {
                assert_eq!(allocation.memory_type_index(), pool.memory_type_index());
                shadow.enter(allocation, 1);
                allocation.fill(0, allocation.size(), 1).expect("it is mapped");
            }
            shadow.check(&rig.vulkan);
            rig.validate().expect("every invariant holds");
            live.reverse();
            free_all(&rig, live);
            rig.destroy_pool(pool).expect("nothing of it is alive");
            assert_eq!(rig.control().reserved_bytes(), 0, "{algorithm:?}");
        }
        rig.finish();
    }
}

#[test]
fn a_linear_pool_stacks_from_both_ends() {
    let rig = Rig::new(Profile::discrete_rebar());
    let info = PoolCreateInfo::for_intent(Intent::Upload).algorithm(Algorithm::Linear).block_size(mib(1));
    let pool = pool_of(&rig, &info.max_block_count(1));
    let wishes = AllocationCreateInfo::upload().pool(&pool);
    let take = |end| rig.allocate(&linear(256), &wishes.end(end)).expect("there is memory");
    let mut live: Vec<Allocation> = [End::Low, End::Low, End::High, End::High].map(take).into();
    let offsets: Vec<u64> = live.iter().map(Allocation::offset).collect();
    assert_eq!(offsets, [0, 256, mib(1) - 256, mib(1) - 512]);
    let error = rig.destroy_pool(pool).expect_err("four are alive");
    assert_eq!(error.reason, DestroyPoolReason::InUse { count: 4 });
    live.reverse();
    free_all(&rig, live);
    rig.destroy_pool(error.pool).expect("nothing of it is alive");
    rig.finish();
}

#[test]
fn fixed_slots_refuse_what_is_larger() {
    let rig = Rig::new(Profile::discrete_rebar());
    let algorithm = Algorithm::Fixed { slot_size: 1024 };
    let pool = pool_of(&rig, &PoolCreateInfo::for_memory_type(0).algorithm(algorithm).block_size(64 * KIB));
    let wishes = AllocationCreateInfo::gpu_only().pool(&pool);
    let live: Vec<_> = (0..64).map(|_| rig.allocate(&linear(1000), &wishes).expect("a slot")).collect();
    assert_eq!(rig.control().memory_object_count(), 1, "64 slots of 1 KiB");
    let before = state_of(&rig);
    let error = rig.allocate(&linear(1025), &wishes).expect_err("no slot is so large");
    assert!(matches!(error, AllocationError::OutOfMemory { .. }), "{error}");
    assert_eq!(state_of(&rig), before);
    free_all(&rig, live);
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.finish();
}

#[test]
fn a_block_that_could_not_be_opened_is_none_of_those_that_may_be() {
    let rig = Rig::new(Profile::discrete_rebar());
    let pool = pool_of(&rig, &PoolCreateInfo::for_memory_type(0).block_size(mib(1)).max_block_count(1));
    let wishes = AllocationCreateInfo::gpu_only().pool(&pool);
    rig.control().fail_when(|call| {
        (call.function == Function::AllocateMemory).then_some(vk::Result::ERROR_OUT_OF_DEVICE_MEMORY)
    });
    rig.allocate(&linear(64), &wishes).expect_err("no block can be opened");
    rig.control().clear_faults();
    let live = rig.allocate(&linear(64), &wishes).expect("one block may be");
    free_all(&rig, [live]);
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.finish();
}

#[test]
fn blocks_are_kept_between_the_bounds() {
    let rig = Rig::new(Profile::discrete_rebar());
    let info = PoolCreateInfo::for_memory_type(0).block_size(mib(1)).min_block_count(2).max_block_count(3);
    let pool = pool_of(&rig, &info);
    assert_eq!(rig.control().memory_object_count(), 2, "opened with the pool");
    let wishes = AllocationCreateInfo::gpu_only().pool(&pool);
    let live: Vec<_> = (0..3).map(|_| rig.allocate(&linear(mib(1)), &wishes).expect("a block")).collect();
    assert_eq!(rig.control().memory_object_count(), 3);
    rig.allocate(&linear(64), &wishes).expect_err("a fourth block is not allowed");
    free_all(&rig, live);
    rig.trim();
    assert_eq!(rig.control().memory_object_count(), 2, "a trim keeps the minimum");
    let statistics = rig.statistics();
    assert_eq!((statistics.total.block_count, statistics.total.empty_bytes), (2, mib(2)));
    // A small allocation leaves a cached slab behind, which a trim gives back to a block that it must keep.
    let large = rig.allocate(&linear(mib(1)), &wishes).expect("there is memory");
    let small = rig.allocate(&linear(64), &wishes).expect("there is memory");
    free_all(&rig, [small]);
    rig.trim();
    assert_eq!(rig.statistics().total.empty_bytes, mib(1));
    free_all(&rig, [large]);
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.finish();
}

#[test]
fn the_minimum_alignment_holds() {
    let rig = Rig::new(Profile::unified());
    let pool = pool_of(&rig, &PoolCreateInfo::for_intent(Intent::Upload).min_alignment(4096));
    let wishes = AllocationCreateInfo::upload().pool(&pool);
    let live: Vec<_> =
        (1..50).map(|n| rig.allocate(&requirements(n, 1, Kind::Linear), &wishes).expect("memory")).collect();
    assert!(live.iter().all(|allocation| allocation.offset() % 4096 == 0));
    free_all(&rig, live);
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.finish();
}

#[test]
fn kinds_never_share_a_page_of_a_custom_pool() {
    for profile in Profile::all() {
        let rig = Rig::new(profile);
        let pool = pool_of(&rig, &PoolCreateInfo::for_intent(Intent::GpuOnly).block_size(mib(4)));
        let wishes = AllocationCreateInfo::gpu_only().pool(&pool);
        let granularity = rig.properties().buffer_image_granularity;
        let mut shadow = common::Shadow::default();
        let live: Vec<_> = (1..40)
            .map(|n| if n % 2 == 0 { linear(n * 100) } else { non_linear(n * 100) })
            .map(|request| rig.allocate(&request, &wishes).expect("there is memory"))
            .collect();
        for allocation in &live {
            shadow.enter(allocation, granularity);
        }
        free_all(&rig, live);
        rig.destroy_pool(pool).expect("nothing of it is alive");
        rig.finish();
    }
}

fn wishes(pool: &CustomPool) -> AllocationCreateInfo<'_> {
    AllocationCreateInfo::gpu_only().pool(pool)
}

#[test]
fn a_pool_in_use_and_a_foreign_pool_are_handed_back() {
    let rig = Rig::new(Profile::unified());
    let other = Rig::new(Profile::unified());
    let mut pool = pool_of(&rig, &PoolCreateInfo::for_intent(Intent::GpuOnly));
    let allocation = rig.allocate(&linear(100), &wishes(&pool)).expect("there is memory");
    let error = rig.destroy_pool(pool).expect_err("it is in use");
    assert_eq!(error.reason, DestroyPoolReason::InUse { count: 1 });
    pool = error.pool;
    let error = other.destroy_pool(pool).expect_err("it is not its own");
    assert_eq!(error.reason, DestroyPoolReason::Foreign);
    pool = error.pool;
    let refused = other.allocate(&linear(100), &wishes(&pool));
    assert!(matches!(refused, Err(AllocationError::ForeignPool)), "{refused:?}");
    free_all(&rig, [allocation]);
    let again = rig.allocate(&linear(100), &wishes(&pool)).expect("the pool works on");
    free_all(&rig, [again]);
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.finish();
    other.finish();
}

#[test]
fn a_resource_that_does_not_allow_the_pools_type_is_refused() {
    let rig = Rig::new(Profile::discrete_rebar());
    let pool = pool_of(&rig, &PoolCreateInfo::for_memory_type(1));
    let request = AllocationRequirements { memory_type_bits: 0b1, ..linear(100) };
    let error = rig.allocate(&request, &AllocationCreateInfo::gpu_only().pool(&pool)).expect_err("type 0 only");
    assert!(matches!(error, AllocationError::PoolMismatch { .. }), "{error}");
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.finish();
}

#[test]
fn room_at_hand_changes_no_refusal_and_no_name() {
    let (rig, other) = (Rig::new(Profile::discrete_rebar()), Rig::new(Profile::discrete_rebar()));
    for algorithm in [Algorithm::Tlsf, Algorithm::Linear, Algorithm::Fixed { slot_size: 4096 }] {
        let info = PoolCreateInfo::for_intent(Intent::GpuOnly).algorithm(algorithm).block_size(mib(1));
        let pool = pool_of(&rig, &info);
        let (wishes, good) = (AllocationCreateInfo::gpu_only().pool(&pool), linear(256));
        let mut live: Vec<_> = (0..40).map(|_| rig.allocate(&good, &wishes).expect("there is memory")).collect();
        assert!(live.iter().all(|allocation| allocation.mapped_ptr().is_none()), "the type is not visible");
        let before = state_of(&rig);
        let refused = |requirements, wishes| rig.allocate(&requirements, &wishes).expect_err("no pool serves it");
        let elsewhere = !(1 << pool.memory_type_index());
        let empty = refused(AllocationRequirements { size: 0, ..good }, wishes);
        let crooked = refused(AllocationRequirements { alignment: 3, ..good }, wishes);
        let barred = refused(AllocationRequirements { memory_type_bits: elsewhere, ..good }, wishes);
        let hidden = refused(good, AllocationCreateInfo::upload().pool(&pool));
        let foreign = other.allocate(&good, &wishes).expect_err("another allocator's");
        assert!(matches!(empty, AllocationError::ZeroSize), "{empty}");
        assert!(matches!(crooked, AllocationError::BadAlignment { alignment: 3 }), "{crooked}");
        assert!(matches!(barred, AllocationError::PoolMismatch { .. }), "{barred}");
        assert!(matches!(hidden, AllocationError::PoolMismatch { .. }), "{hidden}");
        assert!(matches!(foreign, AllocationError::ForeignPool), "{foreign}");
        assert_eq!(state_of(&rig), before, "{algorithm:?}");
        live.push(rig.allocate(&good, &wishes.name("mesh")).expect("there is memory"));
        assert_eq!(rig.name_of(&live[40]).as_deref(), Some("mesh"));
        live.swap(3, 40);
        free_all(&rig, live);
        rig.destroy_pool(pool).expect("nothing of it is alive");
        rig.validate().expect("every invariant holds");
    }
    rig.finish();
    other.finish();
}

/// Neither is what must be dedicated shared because there is room, nor is memory without addresses lent to who needs
/// one.
#[test]
fn room_at_hand_is_no_substitute_for_what_was_asked() {
    let rig = Rig::with(SimDevice::new(Profile::discrete_rebar()), |info| info.features(Features::default()));
    for algorithm in [Algorithm::Tlsf, Algorithm::Linear, Algorithm::Fixed { slot_size: 4096 }] {
        let info = PoolCreateInfo::for_memory_type(0).algorithm(algorithm).block_size(mib(1));
        let pool = pool_of(&rig, &info);
        let (wishes, good) = (wishes(&pool), linear(256));
        let shared: Vec<_> = (0..2).map(|_| rig.allocate(&good, &wishes).expect("there is memory")).collect();
        assert!(shared.iter().all(|allocation| !allocation.is_dedicated()), "{algorithm:?}");
        let required = AllocationRequirements { dedicated: DedicatedPreference::Required, ..good };
        let own = [(required, wishes), (good, wishes.dedicated(DedicatedUse::Always))];
        let own = own.map(|(requirements, wishes)| rig.allocate(&requirements, &wishes).expect("there is memory"));
        assert!(own.iter().all(Allocation::is_dedicated), "{algorithm:?}");
        let addressed = AllocationRequirements { device_address: DeviceAddress::Needed, ..good };
        let refused = rig.allocate(&addressed, &wishes).expect_err("the device gives no addresses");
        assert!(matches!(refused, AllocationError::Unsupported { .. }), "{refused}");
        free_all(&rig, shared.into_iter().chain(own));
        rig.destroy_pool(pool).expect("nothing of it is alive");
    }
    rig.finish();
}

#[test]
fn create_infos_that_contradict_themselves_are_refused() {
    let rig = Rig::new(Profile::discrete_rebar());
    let before = (state_of(&rig), rig.control().total_calls());
    let base = || PoolCreateInfo::for_memory_type(0);
    let refused = |info: PoolCreateInfo| rig.create_pool(&info).map(drop).expect_err("it cannot be");
    assert!(matches!(
        refused(PoolCreateInfo::for_memory_type(8)),
        CreatePoolError::NoSuchMemoryType { memory_type_index: 8, count: 8 }
    ));
    assert!(matches!(refused(base().min_alignment(3)), CreatePoolError::BadAlignment { alignment: 3 }));
    assert!(matches!(refused(base().min_alignment(0)), CreatePoolError::BadAlignment { alignment: 0 }));
    assert!(matches!(refused(base().block_size(0)), CreatePoolError::BadBlockSize { .. }));
    assert!(matches!(refused(base().block_size(u64::MAX)), CreatePoolError::BadBlockSize { .. }));
    assert!(matches!(refused(base().max_block_count(0)), CreatePoolError::BadBlockCount { .. }));
    assert!(matches!(
        refused(base().min_block_count(3).max_block_count(2)),
        CreatePoolError::BadBlockCount { min: 3, max: 2 }
    ));
    let no_slots = base().algorithm(Algorithm::Fixed { slot_size: 0 });
    assert!(matches!(refused(no_slots), CreatePoolError::ZeroSlotSize));
    let nowhere = PoolCreateInfo::for_intent(Intent::Upload).memory_type_bits(0b1);
    assert!(matches!(refused(nowhere), CreatePoolError::Allocation(AllocationError::NoMemoryType { .. })));
    assert_eq!((state_of(&rig), rig.control().total_calls()), before);
    rig.finish();
}

#[test]
fn a_pool_by_intent_stays_within_the_types_it_is_for() {
    let rig = Rig::new(Profile::discrete_rebar());
    let pool = pool_of(&rig, &PoolCreateInfo::for_intent(Intent::GpuOnly).memory_type_bits(0b100));
    assert_eq!(pool.memory_type_index(), 2);
    let flags = rig.properties().memory_types[2].property_flags;
    assert!(flags.contains(vk::MemoryPropertyFlags::HOST_VISIBLE));
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.finish();
}

/// Memory that would raise the peak is made up for by an empty block of the same pool, and by no more than that.
#[test]
fn before_a_new_peak_the_pool_s_own_empty_block_goes_and_another_pool_s_stays() {
    let rig = Rig::new(Profile::discrete_rebar());
    let dedicated = AllocationCreateInfo::gpu_only().dedicated(DedicatedUse::Always);
    let peak = rig.allocate(&linear(mib(8)), &dedicated).expect("there is memory");
    free_all(&rig, [peak]);
    let anchor = rig.allocate(&linear(256), &dedicated).expect("there is memory");
    let pools = [(); 2].map(|()| pool_of(&rig, &PoolCreateInfo::for_memory_type(0).block_size(mib(1))));
    let small = |pool| rig.allocate(&linear(256), &AllocationCreateInfo::gpu_only().pool(pool)).expect("memory");
    let smalls = [small(&pools[0]), small(&pools[1])];
    free_all(&rig, smalls);
    assert_eq!(rig.statistics().total.empty_bytes, mib(2), "each keeps its block");
    // The two blocks and this are 1 MiB above the peak.
    let large = rig.allocate(&linear(mib(7) - 256), &dedicated.pool(&pools[1])).expect("there is memory");
    assert_eq!(rig.statistics().total.empty_bytes, mib(1), "one block is enough");
    let opened = rig.control().count(Function::AllocateMemory);
    let kept = small(&pools[0]);
    assert_eq!(rig.control().count(Function::AllocateMemory), opened, "the other pool's block is still there");
    free_all(&rig, [anchor, large, kept]);
    for pool in pools {
        rig.destroy_pool(pool).expect("nothing of it is alive");
    }
    rig.finish();
}

/// A block of slots is as large as a slot at least, however small the request and however large the slot.
#[test]
fn blocks_of_large_slots_hold_whole_slots() {
    for slot_mib in [40, 100, 33, 31, 20, 3] {
        let rig = Rig::new(common::two_heaps(mib(4096), mib(256)));
        let slot_size = mib(slot_mib);
        let pool = pool_of(&rig, &PoolCreateInfo::for_memory_type(0).algorithm(Algorithm::Fixed { slot_size }));
        let mut live = Vec::new();
        for _ in 0..5 {
            let plan = rig.plan(&linear(mib(1)), &wishes(&pool)).expect("there is memory");
            let before = rig.control().reserved_bytes();
            live.push(rig.allocate(&linear(mib(1)), &wishes(&pool)).expect("there is memory"));
            assert_eq!(rig.control().reserved_bytes() - before, plan.driver_bytes, "slots of {slot_mib} MiB");
        }
        for block in rig.vulkan.memory_objects() {
            assert!(block.size >= slot_size && block.size % slot_size == 0, "{slot_mib} MiB: {} bytes", block.size);
        }
        free_all(&rig, live);
        rig.destroy_pool(pool).expect("nothing of it is alive");
        rig.finish();
    }
}

/// Of a small BAR heap 32 MiB are left to others: blocks that would never fit what is left of it go to the next type.
#[test]
fn a_pool_by_intent_is_made_where_its_blocks_can_ever_be_opened() {
    for base in [250, 300].map(|size| PoolCreateInfo::for_intent(Intent::Stream).block_size(mib(size))) {
        for info in [base.clone(), base.min_block_count(1)] {
            let rig = Rig::new(Profile::discrete_bar256());
            let pool = pool_of(&rig, &info);
            let wishes = AllocationCreateInfo::stream().pool(&pool);
            let allocation = rig.allocate(&linear(4096), &wishes).expect("the heap has room for a block");
            free_all(&rig, [allocation]);
            rig.destroy_pool(pool).expect("nothing of it is alive");
            rig.finish();
        }
    }
}

#[test]
fn what_no_heap_of_an_intent_can_hold_is_no_pool() {
    let rig = Rig::with(SimDevice::new(Profile::discrete_bar256()), |info| info.heap_limit(2, mib(100)));
    let bar = rig.topology().small_bar_heap().expect("it has one");
    assert_eq!(bar, 2);
    let stream = || PoolCreateInfo::for_intent(Intent::Stream);
    let slots = |slot_size| stream().algorithm(Algorithm::Fixed { slot_size });
    for info in [stream().block_size(mib(101)), slots(mib(101))] {
        let pool = pool_of(&rig, &info);
        assert_ne!(
            rig.properties().memory_types[pool.memory_type_index() as usize].heap_index,
            bar,
            "the user's limit"
        );
        rig.destroy_pool(pool).expect("nothing of it is alive");
    }
    let refused = |info: PoolCreateInfo| rig.create_pool(&info).map(drop).expect_err("it cannot be");
    let most = rig.properties().memory_heaps.iter().map(|heap| heap.size).max().expect("it has heaps");
    let error = refused(stream().block_size(most + 1));
    assert!(matches!(error, CreatePoolError::BadBlockSize { max, .. } if max > mib(256)), "{error}");
    assert!(matches!(refused(slots(most + 1)), CreatePoolError::SlotTooLarge { .. }));
    rig.finish();
}

#[test]
fn a_pool_of_a_heap_without_room_is_refused_with_a_reason() {
    for (size, block_size) in [(100, None), (100, Some(64)), (255, None), (0, None), (0, Some(64))] {
        let mut profile = common::two_heaps(mib(64), mib(64));
        profile.heaps[1].size = size;
        let rig = Rig::new(profile);
        let base = PoolCreateInfo::for_memory_type(1);
        let info = block_size.map_or(base.clone(), |bytes| base.block_size(bytes));
        for info in [info.clone(), info.min_block_count(1)] {
            let made = rig.create_pool(&info);
            let pool = match made {
                Ok(pool) => pool,
                Err(CreatePoolError::Allocation(error @ AllocationError::NoMemoryType { .. })) if size == 0 => {
                    assert!(error.to_string().contains("memoryTypeBits 0x2: "), "{error}");
                    assert!(error.to_string().contains("heap 1, which"), "{error}");
                    continue;
                }
                Err(CreatePoolError::Allocation(AllocationError::OutOfMemory { .. })) if size > 0 => continue,
                Err(error) => panic!("{size} bytes, {info:?}: {error}"),
            };
            assert!(size > 0, "a heap of nothing has no pool");
            let small = linear(200);
            let refused = rig.allocate(&small, &AllocationCreateInfo::upload().pool(&pool));
            assert!(matches!(refused, Err(AllocationError::OutOfMemory { .. })), "{refused:?}");
            rig.destroy_pool(pool).expect("nothing of it is alive");
        }
        assert!(rig.statistics().pools.is_empty(), "none was kept");
        rig.finish();
    }
}

#[test]
fn a_pool_grows_as_far_as_the_user_s_limit_lets_it() {
    for (limit, algorithm, size) in [
        (mib(8), Algorithm::Linear, mib(5)),
        (mib(6), Algorithm::Tlsf, mib(7) / 2),
        (512 * KIB, Algorithm::Tlsf, 4 * KIB),
        (512 * KIB, Algorithm::Fixed { slot_size: 4 * KIB }, 4 * KIB),
    ] {
        let vulkan = SimDevice::new(common::two_heaps(mib(1024), mib(1024)));
        let rig = Rig::with(vulkan, |info| info.heap_limit(0, limit));
        let info = PoolCreateInfo::for_memory_type(0).algorithm(algorithm);
        for info in [info.clone(), info.min_block_count(1)] {
            let pool = rig.create_pool(&info).expect("the limit has room for a block");
            let wishes = AllocationCreateInfo::gpu_only().pool(&pool);
            rig.plan(&linear(size), &wishes).expect("the limit has room for it");
            let range = rig.allocate(&linear(size), &wishes).expect("the limit has room for it");
            rig.free(range).expect("it is alive");
            rig.destroy_pool(pool).expect("nothing of it is alive");
        }
        rig.finish();
    }
}

/// Of two reasons the one that time may mend is told: a driver that refuses now, rather than a heap that is ever too
/// small.
#[test]
fn a_pool_that_no_heap_serves_now_is_out_of_memory() {
    let rig = Rig::new(Profile::discrete_bar256());
    rig.control().fail_when(|call| {
        (call.function == Function::AllocateMemory).then_some(vk::Result::ERROR_OUT_OF_DEVICE_MEMORY)
    });
    let info = PoolCreateInfo::for_intent(Intent::Stream).block_size(mib(300)).min_block_count(1);
    let refused = rig.create_pool(&info).map(drop).expect_err("the small heap never holds it, the others do not now");
    let CreatePoolError::Allocation(AllocationError::OutOfMemory { attempts, .. }) = &refused else {
        panic!("{refused}")
    };
    assert!(!attempts.records().is_empty(), "{refused}");
    rig.control().clear_faults();
    rig.finish();
}

/// A pool that has as many blocks as it may have says so without asking the driver; memory of one's own is no block.
#[test]
fn a_full_pool_asks_the_driver_for_nothing_but_dedicated_memory() {
    let rig = Rig::new(Profile::discrete_rebar());
    let pool = pool_of(&rig, &PoolCreateInfo::for_memory_type(0).block_size(mib(1)).max_block_count(1));
    let whole = rig.allocate(&linear(mib(1)), &wishes(&pool)).expect("one block may be");
    rig.control().take_calls();
    let planned = rig.plan(&linear(64), &wishes(&pool)).expect_err("the block is full");
    let refused = rig.allocate(&linear(64), &wishes(&pool)).expect_err("the block is full");
    assert_eq!(planned.to_string(), refused.to_string());
    assert!(refused.to_string().contains("block"), "{refused}");
    assert!(rig.control().take_calls().is_empty(), "{refused}");
    let own = rig.allocate(&linear(64), &wishes(&pool).dedicated(DedicatedUse::Always)).expect("it is no block");
    free_all(&rig, [whole, own]);
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.finish();
}
