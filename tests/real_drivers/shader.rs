//! Contents that a shader has written survive: each live buffer is filled by a compute shader with words that name the
//! buffer and the place, and read back after thousands of allocations and frees around it.
//!
//! The fill command of `gpu.rs` writes one word all over; here no two words of a buffer are the same, so bytes that were
//! moved or swapped show too.

use ash::vk;
use freestone::{AllocationCreateInfo, DedicatedUse, Intent, PoolCreateInfo};

use crate::filler::{Filler, expected};
use crate::gpu::Gpu;
use crate::world::{Random, Thing, World};
use crate::{KIB, MIB};

/// Rounds of allocating, and buffers made in each.
const ROUNDS: usize = 40;
/// Rounds where the layers watch each access.
const WATCHED_ROUNDS: usize = 8;
const FRESH: usize = 64;
/// Buffers alive after each round.
const KEPT: usize = 90;

/// Copies buffers out and compares every word.
#[track_caller]
fn assert_kept(world: &World, gpu: &Gpu<'_>, things: &[Thing]) {
    let copies = gpu.copy_out(&things.iter().collect::<Vec<_>>(), world);
    if world.is_mock() {
        return;
    }
    for (thing, copy) in things.iter().zip(copies) {
        let wrong = copy.iter().enumerate().find(|&(index, &word)| word != expected(thing, index));
        assert_eq!(wrong, None, "{thing:?} does not hold what the shader wrote");
    }
}

#[test]
fn what_a_shader_wrote_survives_thousands_of_steps() {
    if let Some(world) = World::open() {
        fill_and_compare(world, ROUNDS);
    }
}

#[test]
fn shaders_that_the_layers_watch_stay_inside_their_buffers() {
    if let Some(world) = World::open_watched() {
        fill_and_compare(world, WATCHED_ROUNDS);
    }
}

#[test]
fn a_shader_that_writes_too_far_is_heard() {
    let Some(world) = World::open_watched() else { return };
    let gpu = Gpu::new(&world.headless);
    let filler = Filler::new(&world.headless, 1);
    let usage = vk::BufferUsageFlags::STORAGE_BUFFER | vk::BufferUsageFlags::TRANSFER_SRC;
    let thing = world.buffer_for(4 * KIB, usage, &AllocationCreateInfo::gpu_only());
    // The shader is told of a half of the buffer and sent through all of it: too far for the layers, harmless for a driver.
    filler.fill_described(&world, &gpu, core::slice::from_ref(&thing), 2 * KIB);
    let validation = world.headless.validation().expect("layers are required");
    let messages = validation.take();
    assert!(messages.iter().any(|message| message.text.contains("out of bounds")), "heard only {messages:?}");
    world.destroy(thing);
    drop((gpu, filler));
    world.finish();
}

/// Lets a shader fill buffers that come and go, and compares each when it goes.
fn fill_and_compare(world: World, rounds: usize) {
    let gpu = Gpu::new(&world.headless);
    // The mock driver executes nothing, and reports limits by which no layout is allowed.
    let filler = (!world.is_mock()).then(|| Filler::new(&world.headless, FRESH));
    if filler.is_none() {
        eprintln!("not compared: what a shader writes, since the mock driver executes nothing");
    }
    let pool = world.allocator.create_pool(&PoolCreateInfo::for_intent(Intent::GpuOnly)).expect("a pool");
    let usage = vk::BufferUsageFlags::STORAGE_BUFFER | vk::BufferUsageFlags::TRANSFER_SRC;
    let (mut random, mut live) = (Random(0xF111), Vec::new());
    for round in 0..rounds {
        let fresh: Vec<Thing> = (0..FRESH)
            .map(|number| {
                let intents = [Intent::GpuOnly, Intent::Upload, Intent::Stream, Intent::Readback];
                let mut info = AllocationCreateInfo::new(intents[random.index(intents.len())]);
                let scale = random.below(12);
                let mut size = 4 * (1 + random.below(16 << scale));
                if number % 5 == 0 {
                    info = AllocationCreateInfo::gpu_only().pool(&pool).name("of a pool");
                } else if number == 1 {
                    (size, info) = (MIB + 4 * KIB, info.dedicated(DedicatedUse::Always));
                }
                world.buffer_for(size, usage, &info)
            })
            .collect();
        if let Some(filler) = &filler {
            filler.fill(&world, &gpu, &fresh);
        }
        live.extend(fresh);
        // What leaves was filled up to many rounds ago; whoever overlapped it since would have changed it.
        let leaving: Vec<Thing> = (KEPT..live.len()).map(|_| live.swap_remove(random.index(live.len()))).collect();
        assert_kept(&world, &gpu, &leaving);
        world.destroy_all(leaving);
        world.allocator.tick();
        if round % 8 == 7 {
            world.allocator.trim();
        }
    }
    world.allocator.validate().expect("every invariant holds");
    assert_kept(&world, &gpu, &live);
    world.destroy_all(live);
    world.allocator.destroy_pool(pool).expect("nothing of it lives");
    drop((gpu, filler));
    world.finish();
}
