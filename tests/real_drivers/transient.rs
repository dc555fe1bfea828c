//! Transients that share memory, written and read in the order of their passes, with the barriers that the plan asks
//! for.

use ash::vk;
use freestone::{AllocationCreateInfo, Allocator, Intent, TransientMemory, TransientPlan, TransientRequest};

use crate::MIB;
use crate::gpu::{Gpu, clear, copy, show_to_host};
use crate::world::{Shape, World, buffer_info, image_info, words_in};

/// How often the frame is played, without a wait in between.
const FRAME_COUNT: u32 = 3;

/// What a frame uses: the edge of an image, or a buffer of 1 MiB; the first and the last pass.
const FRAME: [(Option<u32>, u32, u32); 7] = [
    (Some(512), 0, 1),
    (Some(256), 1, 2),
    (Some(512), 2, 3),
    (None, 3, 4),
    (Some(300), 3, 5),
    (None, 5, 6),
    (Some(640), 6, 6),
];

fn word_of(resource: usize, frame: u32) -> u32 {
    (u32::try_from(resource).expect("few") * 1000 + frame + 1).wrapping_mul(0x9E37_79B9)
}

fn requests(transients: &TransientMemory<&Allocator>) -> Vec<TransientRequest> {
    let request = |&(edge, first, last): &(Option<u32>, u32, u32)| match edge {
        // SAFETY: the create-info is valid.
        Some(edge) => unsafe {
            transients.image_request(&image_info(edge, edge, vk::ImageTiling::OPTIMAL), first..=last)
        },
        // SAFETY: as above.
        None => unsafe { transients.buffer_request(&buffer_info(MIB), first..=last) },
    };
    FRAME.iter().map(request).collect::<Result<_, _>>().expect("supported")
}

fn shapes(transients: &TransientMemory<&Allocator>) -> Vec<Shape> {
    let image = |index, edge| {
        let info = image_info(edge, edge, vk::ImageTiling::OPTIMAL);
        // SAFETY: the create-info is valid; the image is destroyed before its memory; the test records the barriers.
        let image = unsafe { transients.create_image(index, &info) }.expect("it was planned");
        Shape::Image { image, width: edge, height: edge }
    };
    let buffer = |index| {
        // SAFETY: as above.
        let buffer = unsafe { transients.create_buffer(index, &buffer_info(MIB)) }.expect("it was planned");
        Shape::Buffer { buffer, size: MIB }
    };
    let shape = |(index, &(edge, ..)): (usize, &(Option<u32>, u32, u32))| {
        edge.map_or_else(|| buffer(index), |edge| image(index, edge))
    };
    FRAME.iter().enumerate().map(shape).collect()
}

fn bytes_of(shape: &Shape) -> u64 {
    match *shape {
        Shape::Buffer { size, .. } => size,
        Shape::Image { width, height, .. } => 4 * u64::from(width) * u64::from(height),
    }
}

/// Lets what follows wait for all transfers before it: reads of what is taken over, and writes of what is read.
fn wait(device: &ash::Device, commands: vk::CommandBuffer) {
    let barrier = vk::MemoryBarrier::default()
        .src_access_mask(vk::AccessFlags::TRANSFER_WRITE)
        .dst_access_mask(vk::AccessFlags::TRANSFER_READ | vk::AccessFlags::TRANSFER_WRITE);
    let transfer = vk::PipelineStageFlags::TRANSFER;
    // SAFETY: recording, outside a render pass.
    unsafe {
        device.cmd_pipeline_barrier(commands, transfer, transfer, vk::DependencyFlags::empty(), &[barrier], &[], &[]);
    }
}

/// Records the frame several times: what begins in a pass is written, what ends in it is copied out. Returns the bytes
/// and the word of each copy.
fn play(
    device: &ash::Device,
    commands: vk::CommandBuffer,
    (plan, shapes): (&TransientPlan, &[Shape]),
    into: vk::Buffer,
) -> Vec<(u64, u32)> {
    let (mut copied, mut offset) = (Vec::new(), 0);
    for (frame, pass) in (0..FRAME_COUNT).flat_map(|frame| (0..=6).map(move |pass| (frame, pass))) {
        for (index, shape) in shapes.iter().enumerate().filter(|&(index, _)| FRAME[index].1 == pass) {
            if !plan.takeovers(index).is_empty() {
                wait(device, commands);
            }
            match *shape {
                Shape::Image { image, .. } => clear(device, commands, image, word_of(index, frame)),
                // SAFETY: recording; the buffer is bound, whole words long and made for transfers.
                Shape::Buffer { buffer, size } => unsafe {
                    device.cmd_fill_buffer(commands, buffer, 0, size, word_of(index, frame));
                },
            }
        }
        wait(device, commands);
        for (index, shape) in shapes.iter().enumerate().filter(|&(index, _)| FRAME[index].2 == pass) {
            copy(device, commands, shape, (into, offset));
            copied.push((bytes_of(shape), word_of(index, frame)));
            offset += bytes_of(shape);
        }
    }
    show_to_host(device, commands);
    copied
}

#[test]
fn aliased_transients_hold_what_is_written_while_they_live() {
    let Some(world) = World::open() else { return };
    let gpu = Gpu::new(&world.headless);
    let mut transients = TransientMemory::new(&world.allocator, AllocationCreateInfo::gpu_only());
    let requests = requests(&transients);
    let change = transients.plan(&requests).expect("there is memory");
    assert!(change.outdated.allocations.is_empty());
    let plan = transients.layout();
    let apart: u64 = plan.placements().iter().map(|place| place.size).sum();
    assert!(plan.bytes() < apart, "memory is shared: {} of {apart} bytes", plan.bytes());
    let shapes = shapes(&transients);
    let frame_bytes: u64 = shapes.iter().map(bytes_of).sum();
    let target = world.buffer(frame_bytes * u64::from(FRAME_COUNT), Intent::Readback);
    let Shape::Buffer { buffer: into, .. } = target.shape else { unreachable!("made as a buffer") };
    let objects = world.memory_objects();
    let mut copied = Vec::new();
    gpu.run(|device, commands| copied = play(device, commands, (plan, &shapes), into));
    assert_eq!(copied.len(), FRAME.len() * FRAME_COUNT as usize);
    if !world.is_mock() {
        let words = world.read_mapped(&target);
        let mut rest = &words[..];
        for (bytes, word) in copied {
            let (mine, others) = rest.split_at(words_in(bytes));
            assert!(mine.iter().all(|&found| found == word), "{word:#x} of {bytes} bytes");
            rest = others;
        }
    }
    assert!(transients.plan(&requests).expect("as before").is_same);
    assert_eq!(world.memory_objects(), objects);
    for shape in shapes {
        match shape {
            // SAFETY: it is alive, and the device is done with it.
            Shape::Image { image, .. } => unsafe { world.headless.device.destroy_image(image, None) },
            // SAFETY: as above.
            Shape::Buffer { buffer, .. } => unsafe { world.headless.device.destroy_buffer(buffer, None) },
        }
    }
    world.destroy(target);
    drop((transients, gpu));
    world.finish();
}
