//! Two threads at one allocator over the simulated driver, in every order that a few preemptions allow.

use std::sync::Arc;

use super::{
    Allocation, AllocationCreateInfo, AllocationRequirements, Allocator, AllocatorCreateInfo, CustomPool,
    DeviceAddress, PoolCreateInfo,
};
use crate::memory_type::Intent;
use crate::pool::{DedicatedUse, Kind};
use crate::sim::{Function, ObjectKind, Profile, SimDevice};
use crate::suballocator::Request;
use crate::sync::{explore, spawn};
use ash::vk;

/// Lets `threads` work on an allocator; checks that nothing is left after it.
fn model(name: &str, profile: fn() -> Profile, threads: fn(&Arc<Allocator>, &SimDevice)) {
    explore(name, Some(2), move || {
        let sim = SimDevice::new(profile());
        let info = AllocatorCreateInfo::new(sim.entry(), sim.instance(), sim.physical_device(), sim.device());
        #[expect(unsafe_code, reason = "makes an allocator of a simulated device")]
        // SAFETY: the objects belong together; `sim` goes last, and no allocation leaves `threads`.
        let allocator = Arc::new(unsafe { Allocator::new(info) }.expect("a simulated device serves an allocator"));
        threads(&allocator, &sim);
        allocator.trim();
        allocator.validate().expect("every invariant holds");
        let total = allocator.statistics().total;
        assert_eq!((total.allocation_count, total.reserved_bytes(), allocator.budget().object_count()), (0, 0, 0));
        assert_eq!(sim.control().live(ObjectKind::DeviceMemory), 0);
        drop(allocator);
        assert!(sim.finish().is_empty());
    });
}

fn request(size: u64) -> AllocationRequirements {
    let requirements = vk::MemoryRequirements { size, alignment: 256, memory_type_bits: !0 };
    AllocationRequirements::new(requirements, Kind::Linear, DeviceAddress::NotNeeded)
}

fn allocate(allocator: &Allocator, info: &AllocationCreateInfo<'_>) -> Allocation {
    allocator.allocate(&request(4096), info).expect("there is memory")
}

/// Lets two threads allocate 40 KiB each in a pool of one block of 64 KiB; one of them must be served, the other not.
fn share_one_place(allocator: &Arc<Allocator>) {
    let info = PoolCreateInfo::for_memory_type(0).block_size(64 << 10).max_block_count(1);
    let pool = Arc::new(allocator.create_pool(&info).expect("there is room for it"));
    let allocate = |allocator: &Allocator, pool: &CustomPool| {
        allocator.allocate(&request(40 << 10), &AllocationCreateInfo::gpu_only().pool(pool)).ok()
    };
    let (other, others_pool) = (Arc::clone(allocator), Arc::clone(&pool));
    let worker = spawn(move || allocate(&other, &others_pool));
    let own = allocate(allocator, &pool);
    let foreign = worker.join().expect("it does not panic");
    assert!(own.is_some() != foreign.is_some(), "{own:?} {foreign:?}");
    for allocation in [own, foreign].into_iter().flatten() {
        allocator.free(allocation).expect("it is alive");
    }
    let pool = Arc::into_inner(pool).expect("the other thread has ended");
    allocator.destroy_pool(pool).expect("nothing of it is alive");
}

#[test]
fn loom_two_threads_share_the_first_block() {
    model("allocator: two allocate from nothing", Profile::discrete_rebar, |allocator, sim| {
        let other = Arc::clone(allocator);
        let worker = spawn(move || allocate(&other, &AllocationCreateInfo::gpu_only()));
        let own = allocate(allocator, &AllocationCreateInfo::gpu_only());
        let foreign = worker.join().expect("it does not panic");
        assert_eq!(sim.control().count(Function::AllocateMemory), 1);
        assert!(own.memory() == foreign.memory() && own.offset() != foreign.offset());
        allocator.free(own).expect("it is alive");
        allocator.free(foreign).expect("it is alive");
    });
}

#[test]
fn loom_two_threads_free_the_last_of_a_block() {
    model("allocator: two free all that there is", Profile::discrete_rebar, |allocator, _| {
        let own = allocate(allocator, &AllocationCreateInfo::gpu_only());
        let foreign = allocate(allocator, &AllocationCreateInfo::gpu_only());
        let other = Arc::clone(allocator);
        let worker = spawn(move || other.free(foreign).expect("it is alive"));
        allocator.free(own).expect("it is alive");
        worker.join().expect("it does not panic");
    });
}

/// A block has aged while another thread counts on its room: it stays, or another is opened.
#[test]
fn loom_what_was_prewarmed_does_not_age() {
    model("allocator: a prewarming and a tick that gives aged blocks back", Profile::discrete_rebar, |allocator, _| {
        let own = allocate(allocator, &AllocationCreateInfo::gpu_only());
        allocator.free(own).expect("it is alive");
        let before = allocator.statistics().total.reserved_bytes();
        let other = Arc::clone(allocator);
        let worker = spawn(move || {
            for pool in other.pools().all() {
                pool.give_back_aged(other.backing(), 1);
            }
        });
        allocator.prewarm(Intent::GpuOnly, before).expect("there is memory");
        worker.join().expect("it does not panic");
        assert_eq!(allocator.statistics().total.reserved_bytes(), before, "the room is there");
    });
}

/// The owner frees a dedicated object while a tick looks at how much of it is committed: whoever is last gives it back.
#[test]
fn loom_dedicated_memory_is_handed_over() {
    model("allocator: a free and a charge of dedicated memory", Profile::noncoherent, |allocator, _| {
        let own = allocate(allocator, &AllocationCreateInfo::transient().dedicated(DedicatedUse::Always));
        assert!(
            allocator
                .properties()
                .flags_of(own.memory_type_index())
                .contains(vk::MemoryPropertyFlags::LAZILY_ALLOCATED)
        );
        let other = Arc::clone(allocator);
        let worker = spawn(move || other.pools().all().for_each(|pool| pool.charge_commitments(other.backing())));
        allocator.free(own).expect("it is alive");
        worker.join().expect("it does not panic");
    });
}

#[test]
fn loom_two_threads_at_a_block_limit() {
    model("allocator: two want the one block of a pool", Profile::discrete_rebar, |allocator, _| {
        share_one_place(allocator);
    });
}

/// Who is refused by the driver leaves the pool's one place to the other, whenever that has come.
#[test]
fn loom_a_block_that_never_comes_leaves_its_place() {
    model(
        "allocator: two want the one block of a pool, the first in vain",
        Profile::discrete_rebar,
        |allocator, sim| {
            sim.control().fail_nth_of(Function::AllocateMemory, 1, vk::Result::ERROR_OUT_OF_DEVICE_MEMORY);
            share_one_place(allocator);
        },
    );
}

/// While the memory of an idle allocator is chosen that goes back, another thread uses it: it goes when that one frees
/// it.
#[test]
fn loom_an_idle_allocator_keeps_no_large_block() {
    model("allocator: one frees all there is, another allocates and frees", Profile::discrete_rebar, |allocator, _| {
        let info = PoolCreateInfo::for_memory_type(0).block_size(4 << 20);
        let pool = Arc::new(allocator.create_pool(&info).expect("there is room for it"));
        let own = allocate(allocator, &AllocationCreateInfo::gpu_only().pool(&pool));
        let (other, others_pool) = (Arc::clone(allocator), Arc::clone(&pool));
        let worker = spawn(move || {
            let foreign = allocate(&other, &AllocationCreateInfo::gpu_only().pool(&others_pool));
            other.free(foreign).expect("it is alive");
        });
        allocator.free(own).expect("it is alive");
        worker.join().expect("it does not panic");
        assert_eq!(allocator.statistics().total.reserved_bytes(), 0);
        let pool = Arc::into_inner(pool).expect("the other thread has ended");
        allocator.destroy_pool(pool).expect("nothing of it is alive");
    });
}

/// Whoever frees the last of a pool has given its slot back when the rest is settled: the pool may be gone by then, and
/// another have its number.
#[test]
fn loom_a_pool_goes_while_its_last_allocation_is_freed() {
    model("allocator: one frees the last of a pool, another destroys it", Profile::discrete_rebar, |allocator, _| {
        let info = PoolCreateInfo::for_memory_type(0).block_size(64 << 10);
        let pool = allocator.create_pool(&info).expect("there is room for it");
        let index = pool.index();
        let one = allocate(allocator, &AllocationCreateInfo::gpu_only().pool(&pool));
        let other = Arc::clone(allocator);
        let worker = spawn(move || other.free(one).expect("it is alive"));
        let left = match allocator.destroy_pool(pool) {
            Ok(()) => {
                let next = allocator.create_pool(&info).expect("there is room for it");
                assert_eq!(next.index(), index);
                next
            }
            Err(in_use) => in_use.pool,
        };
        worker.join().expect("it does not panic");
        assert_eq!(left.pool.counts().live_count(), 0);
        allocator.destroy_pool(left).expect("nothing of it is alive");
    });
}

/// A pool that goes holds what another thread needs: it is given back in any case, and never overlooked.
#[test]
fn loom_a_pool_that_goes_is_room_for_others() {
    fn small() -> Profile {
        let mut profile = Profile::discrete_rebar();
        profile.heaps[0].size = 1 << 20;
        profile
    }
    model("allocator: a pool goes while its room is needed", small, |allocator, _| {
        let info = PoolCreateInfo::for_memory_type(0).block_size(512 << 10);
        let pool = allocator.create_pool(&info).expect("there is room for it");
        let one = allocator.allocate(&request(4096), &AllocationCreateInfo::gpu_only().pool(&pool));
        allocator.free(one.expect("there is memory")).expect("it is alive");
        let other = Arc::clone(allocator);
        let worker = spawn(move || other.destroy_pool(pool).expect("nothing of it is alive"));
        let info = AllocationCreateInfo::gpu_only().dedicated(DedicatedUse::Always).without_spilling();
        let own = allocator.allocate(&request(768 << 10), &info);
        worker.join().expect("it does not panic");
        allocator.free(own.expect("the pool's block is room")).expect("it is alive");
    });
}

/// A block moves from one pool to another while a third party trims: it is in one of them, or gone, and counted once.
#[test]
fn loom_an_empty_block_moves_or_goes() {
    model("allocator: an empty block moves, another thread trims", Profile::discrete_rebar, |allocator, sim| {
        let info = PoolCreateInfo::for_memory_type(0).block_size(64 << 10);
        let pools = [(); 2].map(|()| Arc::new(allocator.create_pool(&info).expect("there is room for it")));
        let one = allocate(allocator, &AllocationCreateInfo::gpu_only().pool(&pools[0]));
        allocator.free(one).expect("it is alive");
        let (other, [from, to]) = (Arc::clone(allocator), pools.clone());
        let worker = spawn(move || {
            let range = Request::new(4096, 256);
            to.pool.adopt_block_from(other.backing(), &from.pool, &range).map(|placement| placement.key)
        });
        allocator.trim();
        let moved = worker.join().expect("it does not panic");
        assert_eq!(sim.control().live(ObjectKind::DeviceMemory), u64::from(moved.is_some()));
        if let Some(key) = moved {
            pools[1].pool.free(allocator.backing(), key, 0).expect("it is alive");
        }
        for pool in pools {
            let pool = Arc::into_inner(pool).expect("the other thread has ended");
            allocator.destroy_pool(pool).expect("nothing of it is alive");
        }
    });
}
