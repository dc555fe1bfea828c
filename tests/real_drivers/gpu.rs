//! Fills and copies on the device. Every call waits until the device is done.

use ash::vk;
use freestone::Intent;

use crate::vulkan::Headless;
use crate::world::{Shape, Thing, World, words_in};

/// The one part of the images here.
pub(crate) const COLOUR: vk::ImageSubresourceRange = vk::ImageSubresourceRange {
    aspect_mask: vk::ImageAspectFlags::COLOR,
    base_mip_level: 0,
    level_count: 1,
    base_array_layer: 0,
    layer_count: 1,
};

/// Records and submits commands to the one queue.
pub(crate) struct Gpu<'a> {
    headless: &'a Headless,
    pool: vk::CommandPool,
}

/// What an image is used for: the layout, the stage and the access.
pub(crate) struct Use(pub(crate) vk::ImageLayout, pub(crate) vk::PipelineStageFlags, pub(crate) vk::AccessFlags);

/// For nothing yet, but after the transfers of whoever had its memory before.
pub(crate) const UNUSED: Use =
    Use(vk::ImageLayout::UNDEFINED, vk::PipelineStageFlags::TRANSFER, vk::AccessFlags::empty());
const CLEARED: Use =
    Use(vk::ImageLayout::TRANSFER_DST_OPTIMAL, vk::PipelineStageFlags::TRANSFER, vk::AccessFlags::TRANSFER_WRITE);
pub(crate) const COPIED: Use =
    Use(vk::ImageLayout::TRANSFER_SRC_OPTIMAL, vk::PipelineStageFlags::TRANSFER, vk::AccessFlags::TRANSFER_READ);

impl<'a> Gpu<'a> {
    pub(crate) fn new(headless: &'a Headless) -> Self {
        let info = vk::CommandPoolCreateInfo::default()
            .queue_family_index(headless.queue_family_index)
            .flags(vk::CommandPoolCreateFlags::TRANSIENT);
        // SAFETY: the device has a queue of this family.
        let pool = unsafe { headless.device.create_command_pool(&info, None) }.expect("a command pool");
        Self { headless, pool }
    }

    /// Fills everything with its pattern. Images end in the layout from which they are copied.
    pub(crate) fn fill(&self, things: &[Thing]) {
        self.run(|device, commands| {
            for thing in things {
                match thing.shape {
                    // SAFETY: recording; the buffer is bound, whole words long and made for transfers.
                    Shape::Buffer { buffer, size } => unsafe {
                        device.cmd_fill_buffer(commands, buffer, 0, size, thing.pattern);
                    },
                    Shape::Image { image, .. } => clear(device, commands, image, thing.pattern),
                }
            }
        });
    }

    /// Fills buffers of so many bytes with a word each.
    pub(crate) fn fill_buffers(&self, buffers: &[(vk::Buffer, u64, u32)]) {
        self.run(|device, commands| {
            for &(buffer, size, word) in buffers {
                // SAFETY: recording; the buffer is bound, whole words long and made for transfers.
                unsafe { device.cmd_fill_buffer(commands, buffer, 0, size, word) };
            }
        });
    }

    /// Returns the words of buffers of so many bytes.
    pub(crate) fn copy_buffers(&self, buffers: &[(vk::Buffer, u64)], world: &World) -> Vec<Vec<u32>> {
        let shapes: Vec<Shape> = buffers.iter().map(|&(buffer, size)| Shape::Buffer { buffer, size }).collect();
        self.copy_shapes(&shapes, world)
    }

    /// Returns the words of buffers, and of images that were filled.
    pub(crate) fn copy_out(&self, things: &[&Thing], world: &World) -> Vec<Vec<u32>> {
        let shapes: Vec<Shape> = things.iter().map(|thing| thing.shape).collect();
        self.copy_shapes(&shapes, world)
    }

    fn copy_shapes(&self, shapes: &[Shape], world: &World) -> Vec<Vec<u32>> {
        let lengths: Vec<u64> = shapes.iter().map(length).collect();
        let target = world.buffer(lengths.iter().sum::<u64>().max(4), Intent::Readback);
        let Shape::Buffer { buffer: into, .. } = target.shape else { unreachable!("made as a buffer") };
        self.run(|device, commands| {
            let mut offset = 0;
            for (shape, length) in shapes.iter().zip(&lengths) {
                copy(device, commands, shape, (into, offset));
                offset += length;
            }
            show_to_host(device, commands);
        });
        let words = world.read_mapped(&target);
        world.destroy(target);
        let mut rest = &words[..];
        let split = lengths.iter().map(|&length| {
            let (mine, others) = rest.split_at(words_in(length));
            rest = others;
            mine.to_vec()
        });
        split.collect()
    }

    /// Records, submits and waits.
    pub(crate) fn run(&self, record: impl FnOnce(&ash::Device, vk::CommandBuffer)) {
        let Headless { device, queue, .. } = self.headless;
        let info = vk::CommandBufferAllocateInfo::default().command_pool(self.pool).command_buffer_count(1);
        // SAFETY: the pool is this device's, and only this thread uses it.
        let commands = unsafe { device.allocate_command_buffers(&info) }.expect("a command buffer");
        let info = vk::CommandBufferBeginInfo::default().flags(vk::CommandBufferUsageFlags::ONE_TIME_SUBMIT);
        // SAFETY: the command buffer is new.
        unsafe { device.begin_command_buffer(commands[0], &info) }.expect("recording begins");
        record(device, commands[0]);
        // SAFETY: it is recording.
        unsafe { device.end_command_buffer(commands[0]) }.expect("recording ends");
        let submit = vk::SubmitInfo::default().command_buffers(&commands);
        // SAFETY: the command buffer is recorded; only this thread uses the queue.
        unsafe { device.queue_submit(*queue, &[submit], vk::Fence::null()) }.expect("submitted");
        // SAFETY: as above.
        unsafe { device.queue_wait_idle(*queue) }.expect("the device is done");
        // SAFETY: the device is done with it.
        unsafe { device.free_command_buffers(self.pool, &commands) };
    }
}

impl Drop for Gpu<'_> {
    fn drop(&mut self) {
        // SAFETY: nothing of the pool is in use: every call waits.
        unsafe { self.headless.device.destroy_command_pool(self.pool, None) };
    }
}

fn length(shape: &Shape) -> u64 {
    match *shape {
        Shape::Buffer { size, .. } => size,
        Shape::Image { width, height, .. } => 4 * u64::from(width) * u64::from(height),
    }
}

/// Makes what the device has written visible to the host, once it is done.
pub(crate) fn show_to_host(device: &ash::Device, commands: vk::CommandBuffer) {
    let done = vk::MemoryBarrier::default()
        .src_access_mask(vk::AccessFlags::TRANSFER_WRITE)
        .dst_access_mask(vk::AccessFlags::HOST_READ);
    let (after, before) = (vk::PipelineStageFlags::TRANSFER, vk::PipelineStageFlags::HOST);
    let none = vk::DependencyFlags::empty();
    // SAFETY: recording, outside a render pass.
    unsafe { device.cmd_pipeline_barrier(commands, after, before, none, &[done], &[], &[]) };
}

pub(crate) fn clear(device: &ash::Device, commands: vk::CommandBuffer, image: vk::Image, pattern: u32) {
    change(device, commands, image, &[UNUSED, CLEARED]);
    let colour = vk::ClearColorValue { uint32: [pattern, 0, 0, 0] };
    // SAFETY: recording; the image is bound, made for transfers and in this layout.
    unsafe { device.cmd_clear_color_image(commands, image, CLEARED.0, &colour, &[COLOUR]) };
    change(device, commands, image, &[CLEARED, COPIED]);
}

/// Records the barrier between two uses of an image.
pub(crate) fn change(device: &ash::Device, commands: vk::CommandBuffer, image: vk::Image, [from, to]: &[Use; 2]) {
    let barrier = vk::ImageMemoryBarrier::default()
        .image(image)
        .subresource_range(COLOUR)
        .old_layout(from.0)
        .src_access_mask(from.2)
        .new_layout(to.0)
        .dst_access_mask(to.2)
        .src_queue_family_index(vk::QUEUE_FAMILY_IGNORED)
        .dst_queue_family_index(vk::QUEUE_FAMILY_IGNORED);
    let none = vk::DependencyFlags::empty();
    // SAFETY: recording, outside a render pass; the image is bound.
    unsafe { device.cmd_pipeline_barrier(commands, from.1, to.1, none, &[], &[], &[barrier]) };
}

pub(crate) fn copy(
    device: &ash::Device,
    commands: vk::CommandBuffer,
    shape: &Shape,
    (into, offset): (vk::Buffer, u64),
) {
    match *shape {
        Shape::Buffer { buffer, size } => {
            let region = vk::BufferCopy { src_offset: 0, dst_offset: offset, size };
            // SAFETY: recording; both buffers are bound, made for transfers, and hold the region.
            unsafe { device.cmd_copy_buffer(commands, buffer, into, &[region]) };
        }
        Shape::Image { image, width, height } => {
            let subresource = vk::ImageSubresourceLayers {
                aspect_mask: vk::ImageAspectFlags::COLOR,
                mip_level: 0,
                base_array_layer: 0,
                layer_count: 1,
            };
            let region = vk::BufferImageCopy::default()
                .buffer_offset(offset)
                .image_subresource(subresource)
                .image_extent(vk::Extent3D { width, height, depth: 1 });
            // SAFETY: recording; the image is in this layout, the buffer holds the region.
            unsafe { device.cmd_copy_image_to_buffer(commands, image, COPIED.0, into, &[region]) };
        }
    }
}
