//! The allocator on a real driver, under the validation layers: what is written to a buffer or an image is what is read
//! back, whatever was allocated and freed around it; nothing leaks; the layers have nothing to say.
//!
//! Runs on whatever driver and layers the environment names (`scripts/with-driver`). Where there is none it says so and
//! passes, unless `FREESTONE_REQUIRE_DRIVERS` is set. The Khronos mock driver executes nothing, so contents that the
//! device should have written are not compared there; that is said too.

mod arena;
mod filler;
mod frame_ring;
mod gpu;
#[path = "../common/seed.rs"]
mod seed;
mod shader;
mod transient;
mod upload;
#[path = "../../src/bin/freestone/vulkan/mod.rs"]
mod vulkan;
mod world;

use ash::vk;
use freestone::{
    AccessError, AliasError, AllocationCreateInfo, AllocationError, Buffer, DedicatedUse, DestroyPoolReason, Image,
    Intent, PoolCreateInfo,
};
use gpu::Gpu;
use seed::chosen_seed;
use world::{Random, Thing, World, buffer_info, image_info};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

const INTENTS: [Intent; 5] = [Intent::GpuOnly, Intent::Upload, Intent::Stream, Intent::Readback, Intent::Transient];

/// Fills everything with its own pattern first, and reads it back afterwards: an overlap would show.
fn assert_contents(world: &World, gpu: &Gpu<'_>, things: &[Thing]) {
    gpu.fill(things);
    world.assert_filled(gpu, things);
}

#[test]
fn every_intent_kind_and_size_holds_what_is_written() {
    let Some(world) = World::open() else { return };
    let gpu = Gpu::new(&world.headless);
    let mut things = Vec::new();
    for intent in INTENTS {
        for size in [4, 100, 4 * KIB, 64 * KIB, 300 * KIB, MIB, 5 * MIB] {
            things.push(world.buffer(size, intent));
        }
    }
    for (width, height) in [(1, 1), (16, 16), (100, 60), (128, 128), (512, 300), (1024, 1024)] {
        things.push(world.image(width, height, vk::ImageTiling::OPTIMAL, Intent::GpuOnly));
        if world.can_copy_linear_images() {
            things.push(world.image(width, height, vk::ImageTiling::LINEAR, Intent::Upload));
        }
    }
    assert_contents(&world, &gpu, &things);
    world.destroy_all(things);
    drop(gpu);
    world.finish();
}

#[test]
fn thousands_of_steps_keep_every_pattern() {
    let Some(world) = World::open() else { return };
    let gpu = Gpu::new(&world.headless);
    let mut random = Random(0x5EED + chosen_seed());
    let mut live: Vec<Thing> = Vec::new();
    for round in 0..30 {
        let fresh: Vec<Thing> = (0..128).map(|_| world.random_thing(&mut random)).collect();
        gpu.fill(&fresh);
        live.extend(fresh);
        let leaving: Vec<Thing> = (0..110).map(|_| live.swap_remove(random.index(live.len()))).collect();
        // What leaves was filled up to many rounds ago; whoever overlapped it since would have changed it.
        world.assert_filled(&gpu, &leaving);
        world.destroy_all(leaving);
        world.allocator.tick();
        if round % 10 == 9 {
            world.allocator.trim();
        }
    }
    world.allocator.validate().expect("every invariant holds");
    world.assert_filled(&gpu, &live);
    world.destroy_all(live);
    drop(gpu);
    world.finish();
}

#[test]
fn what_the_host_writes_the_device_copies_and_the_host_reads() {
    let Some(world) = World::open() else { return };
    let gpu = Gpu::new(&world.headless);
    for memory_type_index in world.host_visible_types() {
        let pool = world.allocator.create_pool(&PoolCreateInfo::for_memory_type(memory_type_index)).expect("a pool");
        // Odd sizes, so that neighbours share atoms unless the allocator keeps them apart.
        let mut written: Vec<_> = (1..40_u8)
            .map(|n| {
                let info = AllocationCreateInfo::upload().pool(&pool);
                let mut thing = world.buffer_in(52 * u64::from(n), &info);
                let values = vec![u32::from(n) * 0x0101_0101; 13 * usize::from(n)];
                world.allocator.write(thing.memory_mut(), 0, &values).expect("mapped");
                (thing, values)
            })
            .collect();
        world.allocator.validate().expect("every invariant holds");
        let copies = gpu.copy_out(&written.iter().map(|(thing, _)| thing).collect::<Vec<_>>(), &world);
        for ((thing, values), copy) in written.iter().zip(copies) {
            assert!(world.is_mock() || copy == *values, "type {memory_type_index}: {thing:?}");
        }
        // The host's own view, which is real on every driver.
        for (thing, values) in &written {
            assert_eq!(world.read_mapped(thing), *values, "type {memory_type_index}");
        }
        let last = written.pop().expect("39 were made").0;
        let refused = world.allocator.destroy_pool(pool).expect_err("allocations are alive");
        assert_eq!(refused.reason, DestroyPoolReason::InUse { count: 39 });
        world.destroy(last);
        world.destroy_all(written.into_iter().map(|(thing, _)| thing));
        world.allocator.destroy_pool(refused.pool).expect("nothing is alive");
    }
    drop(gpu);
    world.finish();
}

#[test]
fn pools_of_every_algorithm() {
    let Some(world) = World::open() else { return };
    let gpu = Gpu::new(&world.headless);
    let algorithms =
        [freestone::Algorithm::Tlsf, freestone::Algorithm::Linear, freestone::Algorithm::Fixed { slot_size: 16 * KIB }];
    for algorithm in algorithms {
        for intent in [Intent::GpuOnly, Intent::Upload, Intent::Readback] {
            let info = PoolCreateInfo::for_intent(intent).algorithm(algorithm).block_size(MIB).min_block_count(1);
            let pool = world.allocator.create_pool(&info).expect("a pool");
            let info = AllocationCreateInfo::new(intent).pool(&pool);
            let mut things: Vec<Thing> = (1..=48).map(|n| world.buffer_in(n * 256, &info)).collect();
            assert_contents(&world, &gpu, &things);
            for _ in 0..24 {
                world.destroy(things.pop().expect("48 were made"));
            }
            things.extend((1..=24).map(|n| world.buffer_in(n * 512, &info)));
            assert_contents(&world, &gpu, &things);
            world.destroy_all(things);
            world.allocator.destroy_pool(pool).expect("nothing is alive");
        }
    }
    drop(gpu);
    world.finish();
}

#[test]
fn prewarmed_memory_is_used_and_trimmed() {
    let Some(world) = World::open() else { return };
    for intent in [Intent::GpuOnly, Intent::Upload, Intent::Readback] {
        let opened = world.allocator.prewarm(intent, 8 * MIB).expect("8 MiB");
        assert!(opened >= 8 * MIB, "{opened}");
        let before = world.memory_objects();
        let things: Vec<Thing> = (0..100).map(|_| world.buffer(64 * KIB, intent)).collect();
        assert_eq!(world.memory_objects(), before, "prewarmed memory serves {intent:?}");
        world.destroy_all(things);
        assert!(world.allocator.trim() >= 8 * MIB);
        assert_eq!((world.memory_objects(), world.allocator.statistics().total.reserved_bytes()), (0, 0));
    }
    world.finish();
}

#[test]
fn dedicated_memory_serves_one_resource() {
    let Some(world) = World::open() else { return };
    let gpu = Gpu::new(&world.headless);
    let info = AllocationCreateInfo::gpu_only().dedicated(DedicatedUse::Always).name("alone");
    let things = [world.buffer_in(2 * MIB, &info), world.image_in(1024, 600, vk::ImageTiling::OPTIMAL, &info)];
    for thing in &things {
        assert!(thing.memory().is_dedicated());
        assert_eq!(thing.memory().offset(), 0);
        assert_eq!(world.allocator.name_of(thing.memory()).as_deref(), Some("alone"));
    }
    assert_eq!(world.memory_objects(), 2);
    assert_contents(&world, &gpu, &things);
    world.destroy_all(things);
    assert_eq!(world.memory_objects(), 0);
    drop(gpu);
    world.finish();
}

#[test]
fn resources_alias_inside_an_allocation() {
    let Some(world) = World::open() else { return };
    let gpu = Gpu::new(&world.headless);
    let info = AllocationCreateInfo::gpu_only().can_alias();
    let owner = world.image_in(512, 512, vk::ImageTiling::OPTIMAL, &info);
    assert_contents(&world, &gpu, std::slice::from_ref(&owner));
    let half = owner.memory().size() / 2;
    let buffers = [0, half].map(|offset| {
        // SAFETY: the create-info is valid; the buffer is destroyed below, before the allocation is freed; its use is
        // ordered by a fence after the image's.
        unsafe { world.allocator.create_aliasing_buffer(&buffer_info(half), owner.memory(), offset) }
    });
    let buffers = buffers.map(|buffer| buffer.expect("it fits and is aligned"));
    let patterns = [0xAAAA_0001, 0xBBBB_0002];
    gpu.fill_buffers(&[(buffers[0], half, patterns[0]), (buffers[1], half, patterns[1])]);
    for (buffer, pattern) in buffers.into_iter().zip(patterns) {
        let copy = gpu.copy_buffers(&[(buffer, half)], &world).remove(0);
        assert!(world.is_mock() || copy.iter().all(|&word| word == pattern), "{pattern:#x}");
        // SAFETY: it is alive, and the device is done with it.
        unsafe { world.headless.device.destroy_buffer(buffer, None) };
    }
    let too_large = buffer_info(owner.memory().size() + 4);
    // SAFETY: the create-info is valid, and the call is refused.
    let refused = unsafe { world.allocator.create_aliasing_buffer(&too_large, owner.memory(), 0) };
    assert!(matches!(refused, Err(AllocationError::Alias(AliasError::DoesNotFit { .. }))), "{refused:?}");
    world.destroy(owner);
    drop(gpu);
    world.finish();
}

#[test]
fn owned_handles_go_when_they_are_dropped() {
    let Some(world) = World::open() else { return };
    {
        let upload = AllocationCreateInfo::upload();
        // SAFETY: the create-info is valid, the device is never asked to use the buffer, and outlives it.
        let mut buffer = unsafe { Buffer::new(&world.allocator, &buffer_info(1000), &upload) }.expect("a buffer");
        buffer.write(0, &[7_u32; 250]).expect("mapped");
        let info = image_info(64, 64, vk::ImageTiling::OPTIMAL);
        // SAFETY: as above.
        let image =
            unsafe { Image::new(&world.allocator, &info, &AllocationCreateInfo::gpu_only()) }.expect("an image");
        assert_eq!(world.allocator.statistics().total.allocation_count, 2);
        assert!(buffer.handle() != vk::Buffer::null() && image.handle() != vk::Image::null());
    }
    assert_eq!(world.allocator.statistics().total.allocation_count, 0);
    world.finish();
}

#[test]
fn budget_and_statistics_agree_with_the_driver() {
    let Some(world) = World::open() else { return };
    let things: Vec<Thing> = (1..60).map(|n| world.buffer(n * 10 * KIB, Intent::GpuOnly)).collect();
    world.allocator.update_budget();
    let statistics = world.allocator.statistics();
    assert_eq!(u64::from(statistics.object_count), world.memory_objects());
    assert_eq!(statistics.total.reserved_bytes(), world.memory_bytes());
    for heap in &statistics.heaps {
        assert_eq!(heap.usage.own, heap.counters.reserved_bytes(), "heap {}", heap.heap_index);
        assert!(heap.usage.budget > 0 && heap.usage.budget <= 2 * heap.usage.size, "{:?}", heap.usage);
    }
    let found = world.allocator.detailed_statistics();
    assert_eq!(found.ranges.used_count, statistics.total.allocation_count);
    world.destroy_all(things);
    world.finish();
}

#[test]
fn memory_that_the_host_cannot_reach_says_so() {
    let Some(world) = World::open() else { return };
    let mut thing = world.buffer(4 * KIB, Intent::GpuOnly);
    let written = world.allocator.write(thing.memory_mut(), 0, &[1_u32]);
    let is_mapped = thing.memory().mapped_ptr().is_some();
    assert_eq!(written.is_ok(), is_mapped);
    assert!(is_mapped || matches!(written, Err(AccessError::NotMapped)), "{written:?}");
    world.destroy(thing);
    world.finish();
}

#[test]
fn threads_share_the_allocator() {
    let Some(world) = World::open() else { return };
    std::thread::scope(|scope| {
        for seed in 1..=4 {
            let world = &world;
            scope.spawn(move || {
                let (mut random, mut live) = (Random(seed), Vec::new());
                for _ in 0..400 {
                    live.push(world.random_thing(&mut random));
                    if live.len() > 40 {
                        world.destroy(live.swap_remove(random.index(40)));
                    }
                }
                world.destroy_all(live);
            });
        }
    });
    world.allocator.validate().expect("every invariant holds");
    world.finish();
}
