//! What went wrong in VMA's defragmentation. This crate has none: each test asks for what its users missed, of `trim`
//! and `tick`, which are what this crate does behind an owner's back.

use std::collections::BTreeMap;
use std::sync::{Arc, Barrier};

use ash::vk;
use freestone::sim::{Function, KIB, Profile};
use freestone::{
    Algorithm, Allocation, AllocationCreateInfo, CustomPool, DedicatedUse, DestroyPoolReason, Intent, PoolCreateInfo,
    RetireQueue,
};

use super::common::{Rig, Shadow, buffer_info, linear, mib, two_heaps};
use super::{allocate, allocate_up_to, bytes_of, free_all, place};

/// The algorithms that a pool may have.
const ALGORITHMS: [Algorithm; 3] = [Algorithm::Tlsf, Algorithm::Linear, Algorithm::Fixed { slot_size: 64 << 10 }];

/// How many bytes of each allocation are filled and compared.
const FILLED: usize = 256;

/// What an allocation says of itself.
type Facts = ((vk::DeviceMemory, u64), u64, Option<core::ptr::NonNull<u8>>);

fn facts(of: &Allocation) -> Facts {
    (place(of), of.size(), of.mapped_ptr())
}

fn fill(allocation: &mut Allocation, value: u8) {
    allocation.fill(0, FILLED as u64, value).expect("it is mapped");
}

#[track_caller]
fn destroy_all(rig: &Rig, pools: impl IntoIterator<Item = CustomPool>) {
    for pool in pools {
        rig.destroy_pool(pool).expect("nothing of it is alive");
    }
}

/// Panics unless the bytes are what they were filled with.
#[track_caller]
fn check(allocation: &Allocation, value: u8) {
    assert_eq!(bytes_of(allocation, 0, FILLED), [value; FILLED], "{allocation:?}");
}

/// Panics unless the memory object is the driver's still: whoever reads what is gone ends the program.
#[track_caller]
fn check_is_there(rig: &Rig, allocation: &Allocation) {
    let memory = allocation.memory();
    assert!(rig.vulkan.memory_objects().iter().any(|object| object.memory == memory), "{allocation:?} is gone");
}

/// #313, pull requests #529, #109, #249: a pass of defragmentation met allocations of other threads behind no lock, or
/// behind another one, and what the allocator knew of its blocks was broken.
///
/// No pass is made here, and nothing moves. While threads allocate, write and free in default and custom pools, and
/// make and destroy pools, others trim and tick all the while: nobody loses a byte, and every invariant holds.
///
/// Seen to fail with: `Pool::trim` that does its work without the pool's lock; with one that takes blocks in use too.
#[test]
fn vma_313_529_109_249_upkeep_beside_allocations_touches_nothing_that_lives() {
    let rig = Rig::new(Profile::discrete_rebar());
    let info = PoolCreateInfo::for_intent(Intent::Upload).block_size(mib(1));
    let pools = ALGORITHMS.map(|algorithm| rig.create_pool(&info.clone().algorithm(algorithm)).expect("a pool"));
    let mut held = hold(&rig, &pools);
    for (value, allocation) in (0..).zip(&mut held) {
        fill(allocation, value);
    }
    let before: Vec<Facts> = held.iter().map(facts).collect();
    rig.trim();
    for allocation in &held {
        check_is_there(&rig, allocation);
    }
    // Each thread at work holds one more, until it ends, be it by a panic.
    let working = Arc::new(());
    let start = Barrier::new(4);
    std::thread::scope(|scope| {
        for thread in [100, 101] {
            let (rig, pools, start, working) = (&rig, &pools, &start, Arc::clone(&working));
            scope.spawn(move || {
                start.wait();
                (0..200).for_each(|_| live_beside_upkeep(rig, pools, thread));
                drop(working);
            });
        }
        scope.spawn(|| {
            start.wait();
            while Arc::strong_count(&working) > 1 {
                rig.trim();
            }
        });
        start.wait();
        while Arc::strong_count(&working) > 1 {
            rig.tick();
            (0..).zip(&held).for_each(|(value, allocation)| check(allocation, value));
        }
    });
    assert_eq!(held.iter().map(facts).collect::<Vec<_>>(), before);
    free_all(&rig, held);
    destroy_all(&rig, pools);
    rig.finish();
}

/// Allocates a slot, a range, a block's worth and dedicated memory, and something of each pool.
fn hold(rig: &Rig, pools: &[CustomPool]) -> Vec<Allocation> {
    let info = AllocationCreateInfo::upload();
    let sizes = [4 * KIB, 300 * KIB, mib(5)];
    let shared = sizes.iter().map(|&size| allocate(rig, &linear(size), &info));
    let dedicated = [allocate(rig, &linear(64 * KIB), &info.dedicated(DedicatedUse::Always))];
    let of_pools = pools.iter().map(|pool| allocate(rig, &linear(64 * KIB), &info.pool(pool)));
    shared.chain(dedicated).chain(of_pools).collect()
}

/// Allocates everywhere, and finds in each what it wrote; makes a pool and destroys it.
fn live_beside_upkeep(rig: &Rig, pools: &[CustomPool], value: u8) {
    let own = PoolCreateInfo::for_intent(Intent::Upload).block_size(mib(1)).min_block_count(1);
    let own = [rig.create_pool(&own).expect("a pool")];
    let mut mine = hold(rig, pools);
    mine.extend(hold(rig, &own));
    for allocation in &mut mine {
        fill(allocation, value);
    }
    // Between these nobody asks the driver, whose own locks would keep the threads apart.
    for _ in 0..30 {
        let mut small: Vec<_> =
            (1..=32).map(|n| allocate(rig, &linear(n * 256), &AllocationCreateInfo::upload())).collect();
        for allocation in &mut small {
            fill(allocation, value);
        }
        for allocation in &small {
            check(allocation, value);
        }
        free_all(rig, small);
    }
    for allocation in &mine {
        check(allocation, value);
    }
    free_all(rig, mine);
    destroy_all(rig, own);
}

/// #156, #339, pull request #249: defragmentation of some memory never came to an end.
///
/// There is none here. Whoever trims fragmented memory until nothing comes back is done at the second time; ticks ask
/// the driver for nothing but its budgets; and a request that no gap holds is refused after a few calls.
///
/// Seen to fail with: `Pool::trim` that says it gave back what it has, not what went.
#[test]
fn vma_156_339_249_upkeep_of_fragmented_memory_ends() {
    let rig = Rig::new(two_heaps(mib(64), mib(64)));
    let info = AllocationCreateInfo::gpu_only().within_budget();
    let (all, error) = allocate_up_to(&rig, 2000, &linear(300 * KIB), &info);
    assert!(error.is_some() && all.len() > 300, "both heaps are full: {}", all.len());
    let (kept, gone): (Vec<_>, Vec<_>) = (0..).zip(all).partition(|(number, _)| number % 2 == 0);
    free_all(&rig, gone.into_iter().map(|(_, allocation)| allocation));
    let objects = || rig.control().count(Function::AllocateMemory) + rig.control().count(Function::FreeMemory);
    let trims = (0..10).take_while(|_| rig.trim() > 0).count();
    assert!(trims <= 1, "what could go went at once: {trims} trims gave something back");
    let (before, held_bytes) = (objects(), rig.control().reserved_bytes());
    (0..1000).for_each(|_| rig.tick());
    assert_eq!((objects(), rig.control().reserved_bytes()), (before, held_bytes), "all blocks are in use");
    let calls = rig.control().total_calls();
    assert!(rig.allocate(&linear(mib(20)), &info).is_err(), "no gap is as large");
    let calls = rig.control().total_calls() - calls;
    assert!(calls <= 20, "{calls} calls for a request that is refused");
    free_all(&rig, kept.into_iter().map(|(_, allocation)| allocation));
    let reserved_bytes = rig.control().reserved_bytes();
    assert_eq!((rig.trim(), rig.trim()), (reserved_bytes, 0), "each byte goes back once");
    rig.finish();
}

/// #232: what the GPU was about to use could not be left out of a pass of defragmentation.
///
/// There is none here to be left out of. What waits in a [`RetireQueue`] keeps its memory, contents and all, whatever
/// is trimmed, ages, is allocated or refused meanwhile, until its own point has passed; its pool is not destroyed under
/// it.
///
/// Seen to fail with: a `RetireQueue` that lets resources go one point early.
#[test]
fn vma_232_what_is_in_flight_keeps_its_memory() {
    let rig = Rig::new(two_heaps(mib(64), mib(64)));
    let pool = rig.create_pool(&PoolCreateInfo::for_intent(Intent::Upload).block_size(mib(1))).expect("a pool");
    let queue = RetireQueue::<(u64, vk::Buffer, Allocation)>::new();
    let (mut in_flight, mut shadow) = (BTreeMap::new(), Shadow::default());
    for point in 1..=32_u8 {
        let info =
            if point % 2 == 0 { AllocationCreateInfo::upload().pool(&pool) } else { AllocationCreateInfo::upload() };
        // SAFETY: the create-info is valid; nothing is submitted.
        let made = unsafe { rig.create_buffer(&buffer_info(u64::from(point) * 20 * KIB), &info) };
        let (buffer, mut memory) = made.expect("there is memory");
        fill(&mut memory, point);
        shadow.enter(&memory, 1);
        in_flight.insert(u64::from(point), facts(&memory));
        queue.retire((u64::from(point), buffer, memory), u64::from(point));
    }
    let error = rig.destroy_pool(pool).expect_err("something of it is in flight");
    assert_eq!(error.reason, DestroyPoolReason::InUse { count: 16 });
    for completed in 0..=32 {
        rig.trim();
        (0..400).for_each(|_| rig.tick());
        let (others, error) = allocate_up_to(&rig, 300, &linear(mib(1)), &AllocationCreateInfo::upload());
        assert!(error.is_some(), "memory runs out, and what nobody uses goes back");
        for other in &others {
            shadow.enter(other, 1);
        }
        for other in &others {
            shadow.strike(other);
        }
        free_all(&rig, others);
        queue.collect_with(completed, usize::MAX, |(point, buffer, memory)| {
            assert_eq!(in_flight.remove(&point), Some(facts(&memory)), "once, and where it lay");
            check_is_there(&rig, &memory);
            check(&memory, u8::try_from(point).expect("32 at most"));
            shadow.strike(&memory);
            // SAFETY: the GPU has never seen it.
            unsafe { rig.destroy_buffer(buffer, memory) }.expect("it is alive");
        });
        assert_eq!(in_flight.keys().min().copied(), (completed < 32).then_some(completed + 1), "up to {completed}");
        shadow.check(&rig.vulkan);
    }
    rig.destroy_pool(error.pool).expect("nothing of it is alive");
    rig.finish();
}

/// No thread (found by reading): an empty pool of two blocks was divided by the number of its allocations.
///
/// Two empty blocks can be looked at, planned with, kept, trimmed and destroyed: by a pool that needs both, and by one
/// that had allocations.
///
/// Seen to fail with: `Allocator::detailed_statistics` that takes an average over a pool's allocations.
#[test]
fn vma_an_empty_pool_of_two_blocks_is_divided_by_nothing() {
    for (profile, algorithm) in
        Profile::all().into_iter().flat_map(|profile| ALGORITHMS.map(|one| (profile.clone(), one)))
    {
        let rig = Rig::new(profile);
        let info = PoolCreateInfo::for_intent(Intent::Upload).block_size(128 * KIB).algorithm(algorithm);
        let pools = [2, 0].map(|count| rig.create_pool(&info.clone().min_block_count(count)).expect("a pool"));
        let upload = AllocationCreateInfo::upload().pool(&pools[1]);
        // An idle allocator would keep one block of each pool.
        let alive = allocate(&rig, &linear(KIB), &AllocationCreateInfo::upload());
        let (filling, _) = allocate_up_to(&rig, 4, &linear(64 * KIB), &upload);
        free_all(&rig, filling);
        for _ in 0..2 {
            look_at_empty(&rig, &pools);
            rig.tick();
        }
        assert_eq!(rig.trim(), 256 * KIB, "of the pool that needs none");
        look_at_empty(&rig, &pools[..1]);
        assert_eq!(rig.trim(), 0);
        free_all(&rig, [alive]);
        destroy_all(&rig, pools);
        rig.trim();
        assert_eq!(rig.control().memory_object_count(), 0);
        rig.finish();
    }
}

/// Asks for all that is said of pools that have two empty blocks each.
fn look_at_empty(rig: &Rig, pools: &[CustomPool]) {
    for pool in pools {
        let counters = rig.pool_statistics(pool).expect("it is this allocator's");
        assert_eq!((counters.block_count, counters.empty_bytes, counters.allocation_count), (2, 256 * KIB, 0));
        let of_pool = |index: u16| index == pool.index();
        let detailed = rig.detailed_statistics();
        let blocks: Vec<_> = detailed.blocks.iter().filter(|block| of_pool(block.pool_index)).collect();
        assert!(blocks.len() == 2 && blocks.iter().all(|block| block.ranges.used_count == 0), "{blocks:?}");
        assert_eq!(rig.memory_map().objects.iter().filter(|object| of_pool(object.pool_index)).count(), 2);
        let plan = rig.plan(&linear(64 * KIB), &AllocationCreateInfo::upload().pool(pool)).expect("there is room");
        assert_eq!(plan.driver_bytes, 0);
    }
    assert!(rig.limits(Intent::Upload).expect("some memory suits").largest_allocation > 0);
    assert!(!rig.memory_map().to_string().is_empty());
    rig.validate().expect("every invariant holds");
}
