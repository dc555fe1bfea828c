//! Frames of a ring on a real driver: what was pushed is what the GPU copies, frame after frame, while the ring grows
//! and shrinks; and the layers find every offset good for what the usage says.

use std::collections::BTreeMap;

use ash::vk;
use freestone::{
    Allocation, AllocationCreateInfo, Allocator, EndedFrame, FrameRing, FrameRingCreateInfo, FrameSlice, RetireQueue,
};

use crate::gpu::Gpu;
use crate::vulkan::Headless;
use crate::world::{Random, World, buffer_info, words_in};

const KIB: u64 = 1 << 10;

/// Slices with the words that were pushed.
type Pushed = Vec<(FrameSlice, Vec<u32>)>;

fn make<'a>(world: &'a World, info: &FrameRingCreateInfo) -> FrameRing<&'a Allocator> {
    // SAFETY: the usages are valid; `Gpu` waits for the device, and a frame is read between its end and its reclaiming.
    unsafe { FrameRing::new(&world.allocator, info) }.expect("a ring")
}

/// Pushes some thousand words, by copy and in place, at alignments of all kinds.
fn push_random(frame: &mut freestone::Frame<'_, &Allocator>, random: &mut Random, size: u64) -> Pushed {
    let mut pushed = Pushed::new();
    let mut left = size;
    while left > 0 {
        let words: Vec<u32> =
            (0..=random.below(300)).map(|_| u32::try_from(random.next() >> 32).expect("half")).collect();
        let alignment = [1, 4, 12, 16, 48, 256][random.index(6)];
        let slice = if random.below(2) == 0 {
            frame.push_aligned(&words, alignment).expect("there is room")
        } else {
            let reservation = frame.reserve(4 * words.len() as u64, alignment).expect("there is room");
            for (byte, value) in reservation.bytes.iter_mut().zip(words.iter().flat_map(|word| word.to_ne_bytes())) {
                byte.write(value);
            }
            reservation.slice
        };
        assert_eq!((slice.offset % alignment, slice.size), (0, 4 * words.len() as u64));
        left = left.saturating_sub(slice.size);
        pushed.push((slice, words));
    }
    pushed
}

/// Lets the GPU copy the buffers, and compares what was pushed with the copies.
fn assert_pushed(world: &World, gpu: &Gpu<'_>, pushed: &Pushed) {
    let mut ends = BTreeMap::new();
    for (slice, _) in pushed {
        let end: &mut u64 = ends.entry(slice.buffer).or_default();
        *end = (*end).max(slice.offset + slice.size);
    }
    let buffers: Vec<(vk::Buffer, u64)> = ends.into_iter().collect();
    let copies = gpu.copy_buffers(&buffers, world);
    if world.is_mock() {
        eprintln!("not compared: {} slices, since the mock driver executes nothing", pushed.len());
        return;
    }
    for (slice, words) in pushed {
        let buffer = buffers.iter().position(|(buffer, _)| *buffer == slice.buffer).expect("it was copied");
        let first = words_in(slice.offset);
        assert_eq!(copies[buffer][first..first + words.len()], words[..], "{slice:?}");
    }
}

#[test]
fn frames_hold_what_was_pushed_until_they_are_reclaimed() {
    let Some(world) = World::open() else { return };
    let gpu = Gpu::new(&world.headless);
    let usage = vk::BufferUsageFlags::TRANSFER_SRC | vk::BufferUsageFlags::VERTEX_BUFFER;
    for intent in [freestone::Intent::Stream, freestone::Intent::Upload] {
        let info = FrameRingCreateInfo::new(usage).frames_in_flight(3).initial_size(32 * KIB).intent(intent);
        let ring = make(&world, &info);
        let (mut random, mut in_flight) = (Random(0xF00D), Vec::new());
        for point in 1..=160_u64 {
            let mut frame = ring.begin_frame().expect("not too many");
            // A load that rises twentyfold and falls again.
            let load = if (40..60).contains(&point) { 200 * KIB } else { 10 * KIB };
            let pushed = push_random(&mut frame, &mut random, load);
            frame.end(point).expect("in order");
            in_flight.push((point, pushed));
            if in_flight.len() == 3 {
                let (point, pushed) = in_flight.remove(0);
                assert_pushed(&world, &gpu, &pushed);
                assert_eq!(ring.reclaim(point), 1);
            }
        }
        let statistics = ring.statistics();
        assert!(statistics.opened_count > 1 && statistics.closed_count > 0, "{statistics:?}");
        for (_, pushed) in &in_flight {
            assert_pushed(&world, &gpu, pushed);
        }
    }
    drop(gpu);
    world.finish();
}

#[test]
fn frames_and_buffers_retire_through_one_queue() {
    enum Garbage {
        Frame(EndedFrame, Pushed),
        Pair(vk::Buffer, Allocation),
    }

    let Some(world) = World::open() else { return };
    let gpu = Gpu::new(&world.headless);
    let ring = make(&world, &FrameRingCreateInfo::new(vk::BufferUsageFlags::TRANSFER_SRC).frames_in_flight(4));
    let (queue, mut random) = (RetireQueue::with_capacity(8), Random(0xBEEF));
    let release = |garbage| match garbage {
        Garbage::Frame(frame, pushed) => {
            assert_pushed(&world, &gpu, &pushed);
            ring.reclaim_frame(frame).expect("its own");
        }
        // SAFETY: `Gpu` waits for the device, which has never seen it.
        Garbage::Pair(buffer, memory) => unsafe { world.allocator.destroy_buffer(buffer, memory) }.expect("alive"),
    };
    for number in 1..=60_u64 {
        let mut frame = ring.begin_frame().expect("not too many");
        let pushed = push_random(&mut frame, &mut random, 20 * KIB);
        queue.retire(Garbage::Frame(frame.end_owned().expect("open"), pushed), number ^ 1);
        // SAFETY: the create-info is valid; the queue keeps it until nothing uses it.
        let made = unsafe { world.allocator.create_buffer(&buffer_info(KIB), &AllocationCreateInfo::gpu_only()) };
        let (buffer, memory) = made.expect("there is memory");
        queue.retire(Garbage::Pair(buffer, memory), number);
        queue.collect_with(number.saturating_sub(2), 8, release);
    }
    queue.collect_with(u64::MAX, usize::MAX, release);
    assert_eq!(ring.statistics().frames_in_flight, 0);
    drop((queue, ring));
    drop(gpu);
    world.finish();
}

/// The layers judge every offset: descriptors of uniforms and storage, and views of texels.
#[test]
fn offsets_are_good_for_what_the_usage_says() {
    use vk::BufferUsageFlags as Usage;
    let Some(world) = World::open() else { return };
    let limits = world.allocator.properties();
    let cases = [
        (Usage::UNIFORM_BUFFER, vk::DescriptorType::UNIFORM_BUFFER, limits.min_uniform_buffer_offset_alignment),
        (Usage::STORAGE_BUFFER, vk::DescriptorType::STORAGE_BUFFER, limits.min_storage_buffer_offset_alignment),
        (
            Usage::UNIFORM_TEXEL_BUFFER,
            vk::DescriptorType::UNIFORM_TEXEL_BUFFER,
            limits.min_texel_buffer_offset_alignment,
        ),
    ];
    for (usage, kind, alignment) in cases {
        let ring = make(&world, &FrameRingCreateInfo::new(usage));
        assert_eq!(ring.alignment(), alignment);
        let mut frame = ring.begin_frame().expect("the first");
        let slices: Vec<FrameSlice> =
            (1..40).map(|count| frame.push(&vec![7_u32; count]).expect("there is room")).collect();
        assert!(slices.iter().all(|slice| slice.offset % alignment == 0), "{slices:?}");
        if kind == vk::DescriptorType::UNIFORM_TEXEL_BUFFER {
            view(&world.headless, &slices);
        } else {
            describe(&world.headless, kind, &slices);
        }
    }
    world.finish();
}

/// Makes a view of each slice.
fn view(Headless { device, .. }: &Headless, slices: &[FrameSlice]) {
    for slice in slices {
        let info = vk::BufferViewCreateInfo::default()
            .buffer(slice.buffer)
            .format(vk::Format::R32_UINT)
            .offset(slice.offset)
            .range(slice.size);
        // SAFETY: the buffer is alive; a wrong offset is the layers' to find.
        let view = unsafe { device.create_buffer_view(&info, None) }.expect("a view");
        // SAFETY: the device has never seen it.
        unsafe { device.destroy_buffer_view(view, None) };
    }
}

/// Writes each slice to a descriptor.
fn describe(Headless { device, .. }: &Headless, kind: vk::DescriptorType, slices: &[FrameSlice]) {
    let binding = [vk::DescriptorSetLayoutBinding::default()
        .descriptor_type(kind)
        .descriptor_count(1)
        .stage_flags(vk::ShaderStageFlags::COMPUTE)];
    let info = vk::DescriptorSetLayoutCreateInfo::default().bindings(&binding);
    // SAFETY: the create-info is valid; so it is throughout.
    let layout = unsafe { device.create_descriptor_set_layout(&info, None) }.expect("a layout");
    let sizes = [vk::DescriptorPoolSize { ty: kind, descriptor_count: 1 }];
    let info = vk::DescriptorPoolCreateInfo::default().max_sets(1).pool_sizes(&sizes);
    // SAFETY: as above.
    let pool = unsafe { device.create_descriptor_pool(&info, None) }.expect("a pool");
    let layouts = [layout];
    let info = vk::DescriptorSetAllocateInfo::default().descriptor_pool(pool).set_layouts(&layouts);
    // SAFETY: the pool has room for the one set.
    let sets = unsafe { device.allocate_descriptor_sets(&info) }.expect("a set");
    for slice in slices {
        let buffers = [slice.descriptor()];
        let write = vk::WriteDescriptorSet::default().dst_set(sets[0]).descriptor_type(kind).buffer_info(&buffers);
        // SAFETY: set and buffer are alive and nothing uses them; a wrong offset is the layers' to find.
        unsafe { device.update_descriptor_sets(&[write], &[]) };
    }
    // SAFETY: the device has never seen the set.
    unsafe { device.destroy_descriptor_pool(pool, None) };
    // SAFETY: nothing is made from it any more.
    unsafe { device.destroy_descriptor_set_layout(layout, None) };
}
