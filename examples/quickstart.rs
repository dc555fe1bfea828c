//! The README's example, in full: a staging buffer, a buffer and an image that only the GPU touches, and the way back.
//!
//! Bytes go from the CPU through all of them and must arrive unchanged.
//!
//! ```text
//!   cargo run --features sim --example quickstart [-- --require-validation]
//! ```
//!
//! It runs on the first Vulkan device of the machine, under the validation layers where they are installed; without a
//! driver it runs on the simulated one, and says so. `--require-validation` makes a missing layer an error.

#![expect(clippy::print_stdout, reason = "an example speaks to its user")]

mod headless;

use std::error::Error;
use std::process::ExitCode;

use freestone::ash::{self, vk};
use freestone::sim::{Profile, SimDevice};
use freestone::{AllocationCreateInfo, Allocator, Buffer, Image};

use headless::vulkan::{Headless, Layers, Program, Unavailable};
use headless::{Vulkan, memory_barrier, move_layout};

const SIDE: u32 = 256;
const BYTES: u64 = SIDE as u64 * SIDE as u64 * 4;

fn run(vulkan: &Vulkan<'_>) -> Result<(), Box<dyn Error>> {
    // SAFETY: the device is destroyed after everything in this function; what is declared was enabled on it.
    let allocator = unsafe { Allocator::new(vulkan.allocator_info()) }?;
    println!("on {}", allocator.properties().device_name);

    let (from, to) = (vk::BufferUsageFlags::TRANSFER_SRC, vk::BufferUsageFlags::TRANSFER_DST);
    let buffer = |usage| vk::BufferCreateInfo::default().size(BYTES).usage(usage);

    // A buffer that the CPU fills: bounds checked, and flushed where memory is not coherent.
    // SAFETY: here and below, the create-info is valid, and `submit` waits for the GPU before anything is dropped.
    let mut staging = unsafe { Buffer::new(&allocator, &buffer(from), &AllocationCreateInfo::upload()) }?;
    let pixels: Vec<u32> = (0..SIDE * SIDE).map(|index| index.wrapping_mul(0x9E37_79B9)).collect();
    staging.write(0, &pixels)?;

    // A buffer and an image that only the GPU touches.
    let gpu_only = AllocationCreateInfo::gpu_only();
    // SAFETY: as above.
    let vertices = unsafe { Buffer::new(&allocator, &buffer(from | to), &gpu_only.name("vertices")) }?;
    // SAFETY: as above.
    let texture = unsafe { Image::new(&allocator, &texture_info(), &gpu_only.name("texture")) }?;

    // A buffer that the CPU reads.
    // SAFETY: as above.
    let result = unsafe { Buffer::new(&allocator, &buffer(to), &AllocationCreateInfo::readback()) }?;

    vulkan.submit(|device, commands| {
        let journey = Journey { device, commands };
        journey.copy_buffer(staging.handle(), vertices.handle());
        journey.copy_to_image(vertices.handle(), texture.handle());
        journey.copy_from_image(texture.handle(), result.handle());
    })?;

    let mut arrived = vec![0_u32; pixels.len()];
    allocator.invalidate(result.allocation(), 0, BYTES)?;
    // SAFETY: the GPU has written every byte, the last barrier showed them to the host, and they were invalidated.
    unsafe { result.allocation().read(0, &mut arrived) }?;
    if arrived != pixels {
        return Err("the bytes that came back are not those that were sent".into());
    }

    let statistics = allocator.statistics();
    println!("{BYTES} bytes went through 3 buffers and an image, and came back unchanged.");
    println!("{} allocations, {} memory objects", statistics.total.allocation_count, statistics.object_count);
    Ok(())
}

fn texture_info() -> vk::ImageCreateInfo<'static> {
    vk::ImageCreateInfo::default()
        .image_type(vk::ImageType::TYPE_2D)
        .format(vk::Format::R8G8B8A8_UNORM)
        .extent(vk::Extent3D { width: SIDE, height: SIDE, depth: 1 })
        .mip_levels(1)
        .array_layers(1)
        .samples(vk::SampleCountFlags::TYPE_1)
        .usage(vk::ImageUsageFlags::TRANSFER_SRC | vk::ImageUsageFlags::TRANSFER_DST)
}

/// Records the copies. Each shows what it has written to whoever comes next.
struct Journey<'a> {
    device: &'a ash::Device,
    commands: vk::CommandBuffer,
}

impl Journey<'_> {
    fn copy_buffer(&self, from: vk::Buffer, to: vk::Buffer) {
        let whole = [vk::BufferCopy::default().size(BYTES)];
        // SAFETY: recording; both buffers are alive, made for it and of this size.
        unsafe { self.device.cmd_copy_buffer(self.commands, from, to, &whole) };
        self.show(vk::PipelineStageFlags::TRANSFER, vk::AccessFlags::TRANSFER_READ);
    }

    fn copy_to_image(&self, from: vk::Buffer, image: vk::Image) {
        let writable = vk::ImageLayout::TRANSFER_DST_OPTIMAL;
        let readable = vk::ImageLayout::TRANSFER_SRC_OPTIMAL;
        move_layout(self.device, self.commands, image, (vk::ImageLayout::UNDEFINED, writable));
        // SAFETY: recording; buffer and image are alive, made for it and of this size.
        unsafe { self.device.cmd_copy_buffer_to_image(self.commands, from, image, writable, &[whole_image()]) };
        move_layout(self.device, self.commands, image, (writable, readable));
    }

    fn copy_from_image(&self, image: vk::Image, to: vk::Buffer) {
        let readable = vk::ImageLayout::TRANSFER_SRC_OPTIMAL;
        // SAFETY: recording; image and buffer are alive, made for it and of this size.
        unsafe { self.device.cmd_copy_image_to_buffer(self.commands, image, readable, to, &[whole_image()]) };
        self.show(vk::PipelineStageFlags::HOST, vk::AccessFlags::HOST_READ);
    }

    fn show(&self, stage: vk::PipelineStageFlags, access: vk::AccessFlags) {
        let written = (vk::PipelineStageFlags::TRANSFER, vk::AccessFlags::TRANSFER_WRITE);
        memory_barrier(self.device, self.commands, written, (stage, access));
    }
}

fn whole_image() -> vk::BufferImageCopy {
    let layers = vk::ImageSubresourceLayers::default().aspect_mask(vk::ImageAspectFlags::COLOR).layer_count(1);
    vk::BufferImageCopy::default().image_subresource(layers).image_extent(vk::Extent3D {
        width: SIDE,
        height: SIDE,
        depth: 1,
    })
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let layers = headless::layers_wanted(&arguments);
    match Headless::load(Program::Quickstart, layers) {
        Ok(device) => headless::run_on(device, layers, |device| run(&Vulkan::of(device))),
        Err(reason @ (Unavailable::NoLoader(_) | Unavailable::NoDriver)) if layers != Layers::Required => {
            println!("{reason}; so this runs on the simulated driver, which has no hardware");
            run_simulated()
        }
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn run_simulated() -> ExitCode {
    let simulated = SimDevice::new(Profile::discrete_rebar());
    let outcome = run(&Vulkan::of_simulated(&simulated));
    let violations = simulated.finish();
    for violation in &violations {
        eprintln!("simulated driver: {violation:?}");
    }
    if let Err(error) = &outcome {
        eprintln!("error: {error}");
    }
    if outcome.is_ok() && violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
