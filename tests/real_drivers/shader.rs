//! Contents that a shader has written survive: each live buffer and image is filled by a compute shader with words that
//! name it and the place, and read back later. Most live for some rounds; the elders through thousands of allocations
//! and frees around them.
//!
//! The fill and clear commands of `gpu.rs` write one word all over; here no two words of a thing are the same, so bytes
//! that were moved or swapped show too.

use ash::vk;
use freestone::{AllocationCreateInfo, CustomPool, DedicatedUse, Intent, PoolCreateInfo};

use crate::filler::{Filler, expected};
use crate::gpu::Gpu;
use crate::seed::chosen_seed;
use crate::world::{Random, Thing, World, image_info};
use crate::{KIB, MIB};

/// Rounds of allocating, and things made in each.
const ROUNDS: usize = 48;
/// Rounds where the layers watch each access.
const WATCHED_ROUNDS: usize = 8;
const FRESH: usize = 64;
/// Things of the first round that live to the end: every second one, so that each has neighbours that leave.
const ELDERS: usize = FRESH / 2;
/// Others alive after each round.
const KEPT: usize = 90;

/// Edge lengths of images.
const EDGES: [u32; 8] = [1, 2, 5, 16, 33, 64, 100, 256];

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
    // The shader is told of a half of the buffer and sent through all of it: too far for the layers, harmless for a
    // driver.
    filler.fill_described(&world, &gpu, core::slice::from_ref(&thing), 2 * KIB);
    let validation = world.headless.validation().expect("layers are required");
    let messages = validation.take();
    assert!(messages.iter().any(|message| message.text.contains("out of bounds")), "heard only {messages:?}");
    world.destroy(thing);
    drop((gpu, filler));
    world.finish();
}

/// Makes what a round begins with: images, things of the pool, one with memory of its own, buffers of every intent.
/// Each kind is found among the even numbers, so that there are elders of it.
fn fresh_things(world: &World, pool: &CustomPool, random: &mut Random) -> Vec<Thing> {
    let intents = [Intent::GpuOnly, Intent::Upload, Intent::Stream, Intent::Readback];
    let buffers = vk::BufferUsageFlags::STORAGE_BUFFER | vk::BufferUsageFlags::TRANSFER_SRC;
    let images = vk::ImageUsageFlags::STORAGE | vk::ImageUsageFlags::TRANSFER_SRC;
    let make = |number: usize| {
        let is_image = number % 6 == 2;
        let mut info = AllocationCreateInfo::new(if is_image { Intent::GpuOnly } else { intents[number / 2 % 4] });
        if number.is_multiple_of(5) {
            info = AllocationCreateInfo::gpu_only().pool(pool).name("of a pool");
        }
        if is_image {
            let [width, height] = [(); 2].map(|()| EDGES[random.index(EDGES.len())]);
            return world.image_for(&image_info(width, height, vk::ImageTiling::OPTIMAL).usage(images), &info);
        }
        if number == 4 {
            return world.buffer_for(MIB + 4 * KIB, buffers, &info.dedicated(DedicatedUse::Always));
        }
        let scale = random.below(12);
        world.buffer_for(4 * (1 + random.below(16 << scale)), buffers, &info)
    };
    (0..FRESH).map(make).collect()
}

/// Copies things out and compares every word.
#[track_caller]
fn assert_kept(world: &World, gpu: &Gpu<'_>, things: &[Thing], who: &str) {
    // The mock driver fills nothing, so its images are in no layout that they could be copied from.
    if world.is_mock() {
        return;
    }
    let copies = gpu.copy_out(&things.iter().collect::<Vec<_>>(), world);
    for (thing, copy) in things.iter().zip(copies) {
        let wrong = copy.iter().enumerate().find(|&(index, &word)| word != expected(thing, index));
        assert_eq!(wrong, None, "{who}: {thing:?} does not hold what the shader wrote");
    }
}

/// Lets a shader fill things that come and go, and compares each when it goes; the elders stay and are compared midway
/// and at the end.
fn fill_and_compare(world: World, rounds: usize) {
    let gpu = Gpu::new(&world.headless);
    // The mock driver executes nothing, and reports limits by which no layout is allowed.
    let filler = (!world.is_mock()).then(|| Filler::new(&world.headless, FRESH));
    if filler.is_none() {
        eprintln!("not compared: what a shader writes, since the mock driver executes nothing");
    }
    let pool = world.allocator.create_pool(&PoolCreateInfo::for_intent(Intent::GpuOnly)).expect("a pool");
    let (mut random, mut elders, mut live) = (Random(0xF111 + chosen_seed()), Vec::new(), Vec::new());
    for round in 0..rounds {
        let mut fresh = fresh_things(&world, &pool, &mut random);
        if let Some(filler) = &filler {
            filler.fill(&world, &gpu, &fresh);
        }
        if round == 0 {
            elders.extend((0..ELDERS).map(|place| fresh.remove(place)));
        } else if round == rounds / 2 {
            assert_kept(&world, &gpu, &elders, "an elder, midway");
        }
        live.extend(fresh);
        // What leaves was filled up to many rounds ago; whoever overlapped it since would have changed it.
        let leaving: Vec<Thing> = (KEPT..live.len()).map(|_| live.swap_remove(random.index(live.len()))).collect();
        assert_kept(&world, &gpu, &leaving, "one that leaves");
        world.destroy_all(leaving);
        world.allocator.tick();
        if round % 8 == 7 {
            world.allocator.trim();
        }
    }
    world.allocator.validate().expect("every invariant holds");
    assert_kept(&world, &gpu, &elders, "an elder, at the end");
    assert_kept(&world, &gpu, &live, "one that is left");
    world.destroy_all(elders.into_iter().chain(live));
    world.allocator.destroy_pool(pool).expect("nothing of it lives");
    drop((gpu, filler));
    world.finish();
}
