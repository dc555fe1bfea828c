//! A steady state costs nothing but its work: frames of a ring, and a queue that they retire through, make no heap call
//! and no driver call once they have run for a while. Every heap call of a thread is counted, in a binary of its own.

mod common;
#[path = "../examples/renderer/heap.rs"]
mod heap;

use std::time::Instant;

use ash::vk;
use common::{Rig, buffer_info};
use freestone::sim::{Function, Profile};
use freestone::{AllocationCreateInfo, Allocator, Buffer, EndedFrame, FrameRing, FrameRingCreateInfo, RetireQueue};

/// Returns the heap calls of this thread, and the driver's calls, while something runs.
fn calls_of(world: &Rig, run: impl FnOnce()) -> (u64, u64) {
    let before = (heap::calls(), world.control().total_calls());
    run();
    (heap::calls() - before.0, world.control().total_calls() - before.1)
}

/// One frame: uniforms, vertices in place, one larger push, sizes that go up and down.
fn frame(ring: &FrameRing<&Allocator>, number: u64) {
    ring.reclaim(number.saturating_sub(2));
    let mut frame = ring.begin_frame().expect("not too many");
    for draw in 0..200_u64 {
        frame.push(&[[draw; 8]; 4]).expect("there is room");
    }
    for _ in 0..=number % 7 {
        frame.reserve(12 * 100, 12).expect("there is room").bytes.fill(std::mem::MaybeUninit::new(1));
    }
    frame.reserve(60_000, 1).expect("there is room");
    frame.end(number).expect("in order");
}

#[test]
fn the_count_counts() {
    let world = Rig::new(Profile::unified());
    let (heap, driver) = calls_of(&world, || {
        // SAFETY: the create-info is valid; nothing is submitted.
        let made = unsafe { Buffer::new(&*world, &buffer_info(64), &AllocationCreateInfo::gpu_only()) };
        drop(std::hint::black_box(Box::new(made.expect("a buffer"))));
    });
    assert!(heap >= 2 && driver >= 4, "{heap}, {driver}");
    world.finish();
}

#[test]
fn frames_make_no_heap_call_and_no_driver_call() {
    let world = Rig::new(Profile::unified());
    // SAFETY: the usage is valid; nothing is submitted.
    let ring = unsafe { FrameRing::new(&*world, &FrameRingCreateInfo::new(vk::BufferUsageFlags::UNIFORM_BUFFER)) };
    let ring = ring.expect("a ring");
    // Two short windows: whatever the ring grew to, its shape is settled.
    (1..=60).for_each(|number| frame(&ring, number));
    let settled = ring.statistics();
    assert!(settled.opened_count > 1, "it had to grow");
    let calls = calls_of(&world, || (61..=1500).for_each(|number| frame(&ring, number)));
    assert_eq!(calls, (0, 0));
    assert_eq!((ring.statistics().block_count, ring.statistics().opened_count), (1, settled.opened_count));
    drop(ring);
    world.finish();
}

#[test]
fn frames_in_memory_that_is_not_coherent_are_flushed_and_no_more() {
    let mut profile = Profile::noncoherent();
    profile.memory_types.retain(|kind| !kind.property_flags.contains(vk::MemoryPropertyFlags::HOST_COHERENT));
    let world = Rig::new(profile);
    // SAFETY: the usage is valid; nothing is submitted.
    let ring = unsafe { FrameRing::new(&*world, &FrameRingCreateInfo::new(vk::BufferUsageFlags::UNIFORM_BUFFER)) };
    let ring = ring.expect("a ring");
    (1..=300).for_each(|number| frame(&ring, number));
    let before = world.control().count(Function::FlushMappedMemoryRanges);
    // The simulated driver keeps a log of calls, so the heap is not counted here.
    let (_, driver) = calls_of(&world, || (301..=700).for_each(|number| frame(&ring, number)));
    assert_eq!((driver, world.control().count(Function::FlushMappedMemoryRanges) - before), (400, 400));
    drop(ring);
    world.finish();
}

#[test]
fn a_queue_makes_no_heap_call_where_as_much_waits_as_before() {
    let world = Rig::new(Profile::unified());
    let info = FrameRingCreateInfo::new(vk::BufferUsageFlags::UNIFORM_BUFFER).frames_in_flight(4);
    // SAFETY: the usage is valid; nothing is submitted.
    let ring = unsafe { FrameRing::new(&*world, &info) }.expect("a ring");
    let queue: RetireQueue<EndedFrame> = RetireQueue::with_capacity(4);
    let run = |number: u64| {
        let mut frame = ring.begin_frame().expect("not too many");
        frame.push(&[number; 100]).expect("there is room");
        // Out of order: 2, 1, 4, 3, ...
        queue.retire(frame.end_owned().expect("open"), number + 1 - 2 * (number % 2));
        queue.collect_with(number.saturating_sub(2), 2, |frame| ring.reclaim_frame(frame).expect("its own"));
    };
    (2..300).for_each(run);
    assert_eq!(calls_of(&world, || (300..2000).for_each(run)), (0, 0));
    queue.collect_with(u64::MAX, 9, |frame| ring.reclaim_frame(frame).expect("its own"));
    drop((queue, ring));
    world.finish();
}

#[test]
fn a_tick_makes_no_heap_call() {
    let world = Rig::new(Profile::noncoherent());
    let pool = world.create_pool(&freestone::PoolCreateInfo::for_intent(freestone::Intent::Upload)).expect("a pool");
    let info = AllocationCreateInfo::upload().pool(&pool);
    let lazy = AllocationCreateInfo::transient();
    let kept = [AllocationCreateInfo::gpu_only(), info, lazy, lazy]
        .map(|info| world.allocate(&common::non_linear(4096), &info).expect("there is memory"));
    let flags = world.properties().flags_of(kept[3].memory_type_index());
    assert!(flags.contains(vk::MemoryPropertyFlags::LAZILY_ALLOCATED));
    let (heap, driver) = calls_of(&world, || (0..1000).for_each(|_| world.tick()));
    assert_eq!(driver, 3000, "one question about budgets each, and one about each lazy object");
    assert!(heap < 20, "{heap}: the simulated driver's list of calls grows, and nothing else");
    for one in kept {
        world.free(one).expect("it is alive");
    }
    world.destroy_pool(pool).expect("nothing is alive");
    world.finish();
}

#[test]
fn what_is_freed_together_makes_no_heap_call() {
    let world = Rig::new(Profile::unified());
    let mut batch = Vec::with_capacity(200);
    let mut run = |_| {
        batch.extend((1..=200).map(|number| {
            world.allocate(&common::linear(number * 100), &AllocationCreateInfo::gpu_only()).expect("there is memory")
        }));
        world.free_many(&mut batch).expect("all are alive");
    };
    let kept = world.allocate(&common::linear(64), &AllocationCreateInfo::gpu_only()).expect("there is memory");
    (0..20).for_each(&mut run);
    assert_eq!(calls_of(&world, || (0..100).for_each(&mut run)), (0, 0));
    assert_eq!((batch.len(), batch.capacity()), (0, 200), "storage that can be used again");
    world.free(kept).expect("it is alive");
    world.finish();
}

/// The next object is where the last one was, not as many slots from the first one.
#[test]
fn a_tick_costs_the_same_for_each_lazy_object_however_many_there_are() {
    let mut profile = Profile::noncoherent();
    profile.max_memory_allocation_count = u32::MAX;
    let world = Rig::new(profile);
    let mut held = Vec::new();
    let mut seconds_behind = |count: u32| {
        let more = held.len()..count as usize;
        held.extend(more.map(|_| {
            let info = AllocationCreateInfo::transient();
            world.allocate(&common::non_linear(4096), &info).expect("there is memory")
        }));
        let before = world.control().count(Function::GetDeviceMemoryCommitment);
        world.tick();
        assert_eq!(world.control().count(Function::GetDeviceMemoryCommitment) - before, u64::from(count));
        let seconds_of_tick = || {
            let start = Instant::now();
            world.tick();
            start.elapsed().as_secs_f64()
        };
        (0..5).map(|_| seconds_of_tick()).fold(f64::INFINITY, f64::min) / f64::from(count)
    };
    let (few, many) = (seconds_behind(100), seconds_behind(20_000));
    assert!(many < 20.0 * few, "{few} s, then {many} s");
    for one in held {
        world.free(one).expect("it is alive");
    }
    world.finish();
}
