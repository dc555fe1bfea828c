//! The device's view of contents: resources are filled by commands, and read back by copies into a buffer of our own.
//!
//! ```text
//!   fill   buffer: vkCmdFillBuffer      image: staging filled, copied into the image
//!   check  copied into staging, piece by piece, and compared there
//! ```
//!
//! Staging memory is allocated past the allocator under test, coherent, and mapped once. Every call waits until the
//! device is done. Invariant: images are in `TRANSFER_SRC_OPTIMAL` between two calls.

use ash::vk;

use super::pattern::first_difference;
use crate::stage::Stage;
use crate::vulkan::Unavailable;

/// Bytes of the staging buffer. It holds the largest image that a soak makes.
pub(crate) const STAGING_BYTES: u64 = 4 << 20;

/// The one part of the images here.
const COLOUR: vk::ImageSubresourceRange = vk::ImageSubresourceRange {
    aspect_mask: vk::ImageAspectFlags::COLOR,
    base_mip_level: 0,
    level_count: 1,
    base_array_layer: 0,
    layer_count: 1,
};

/// An image with its width and height, in texels of one word.
pub(crate) type Picture = (vk::Image, u32, u32);

/// An image's layout, and how it was or will be accessed.
type Access = (vk::ImageLayout, vk::AccessFlags);

const FRESH: Access = (vk::ImageLayout::UNDEFINED, vk::AccessFlags::empty());
const WRITTEN: Access = (vk::ImageLayout::TRANSFER_DST_OPTIMAL, vk::AccessFlags::TRANSFER_WRITE);
const READ: Access = (vk::ImageLayout::TRANSFER_SRC_OPTIMAL, vk::AccessFlags::TRANSFER_READ);

/// One queue, one command buffer, and staging memory that the host sees.
pub(crate) struct Gpu<'a> {
    device: &'a ash::Device,
    queue: vk::Queue,
    pool: vk::CommandPool,
    commands: vk::CommandBuffer,
    buffer: vk::Buffer,
    memory: vk::DeviceMemory,
    mapped: *const u32,
}

// SAFETY: the pointer leads to memory that this owns and that no thread is tied to; `&mut self` guards everything else.
unsafe impl Send for Gpu<'_> {}

impl<'a> Gpu<'a> {
    /// Makes what is needed, past the allocator.
    ///
    /// # Errors
    /// A call that the driver refused.
    pub(crate) fn new(stage: &'a Stage) -> Result<Self, Unavailable> {
        let (queue, queue_family_index) = stage.queue();
        let mut gpu = Self {
            device: stage.device(),
            queue,
            pool: vk::CommandPool::null(),
            commands: vk::CommandBuffer::null(),
            buffer: vk::Buffer::null(),
            memory: vk::DeviceMemory::null(),
            mapped: std::ptr::null(),
        };
        gpu.make_commands(queue_family_index)?;
        gpu.make_staging(stage)?;
        Ok(gpu)
    }

    /// Fills a whole buffer, whose size is in whole words.
    ///
    /// # Errors
    /// A call that the driver refused.
    pub(crate) fn fill_buffer(&mut self, buffer: vk::Buffer, size: u64, word: u32) -> Result<(), String> {
        // SAFETY: recording; the buffer is bound, whole words long and made for transfers.
        self.run(|device, commands, _| unsafe { device.cmd_fill_buffer(commands, buffer, 0, size, word) })
    }

    /// Fills an image that is new or whose contents are not needed.
    ///
    /// # Errors
    /// A call that the driver refused.
    pub(crate) fn fill_image(&mut self, (image, width, height): Picture, word: u32) -> Result<(), String> {
        let size = bytes_of(width, height);
        self.run(|device, commands, staging| {
            // SAFETY: recording; staging is bound, made for transfers and at least as large.
            unsafe { device.cmd_fill_buffer(commands, staging, 0, size, word) };
            let filled = vk::MemoryBarrier::default().src_access_mask(WRITTEN.1).dst_access_mask(READ.1);
            barrier(device, commands, vk::PipelineStageFlags::TRANSFER, (&[filled], &[]));
            change(device, commands, image, (FRESH, WRITTEN));
            let region = whole(width, height);
            // SAFETY: recording; the image is in this layout, staging holds the region.
            unsafe { device.cmd_copy_buffer_to_image(commands, staging, image, WRITTEN.0, &[region]) };
            change(device, commands, image, (WRITTEN, READ));
        })
    }

    /// Returns where a buffer first differs from a word, in bytes, and what is there.
    ///
    /// # Errors
    /// A call that the driver refused.
    pub(crate) fn difference_in_buffer(
        &mut self,
        (buffer, size): (vk::Buffer, u64),
        word: u32,
    ) -> Result<Option<(u64, u32)>, String> {
        let mut offset = 0;
        while offset < size {
            let length = (size - offset).min(STAGING_BYTES);
            self.run(|device, commands, staging| {
                let region = vk::BufferCopy { src_offset: offset, dst_offset: 0, size: length };
                // SAFETY: recording; both buffers are bound, made for transfers, and hold the region.
                unsafe { device.cmd_copy_buffer(commands, buffer, staging, &[region]) };
                show_to_host(device, commands);
            })?;
            if let Some((at, found)) = first_difference(&self.staged(length), word) {
                return Ok(Some((offset + at, found)));
            }
            offset += length;
        }
        Ok(None)
    }

    /// Returns where an image that was filled first differs from a word, in bytes, and what is there.
    ///
    /// # Errors
    /// A call that the driver refused.
    pub(crate) fn difference_in_image(
        &mut self,
        (image, width, height): Picture,
        word: u32,
    ) -> Result<Option<(u64, u32)>, String> {
        self.run(|device, commands, staging| {
            let region = whole(width, height);
            // SAFETY: recording; the image is in this layout, staging holds the region.
            unsafe { device.cmd_copy_image_to_buffer(commands, image, READ.0, staging, &[region]) };
            show_to_host(device, commands);
        })?;
        Ok(first_difference(&self.staged(bytes_of(width, height)), word))
    }

    fn make_commands(&mut self, queue_family_index: u32) -> Result<(), Unavailable> {
        let info = vk::CommandPoolCreateInfo::default()
            .queue_family_index(queue_family_index)
            .flags(vk::CommandPoolCreateFlags::RESET_COMMAND_BUFFER);
        // SAFETY: the device has a queue of this family.
        self.pool = unsafe { self.device.create_command_pool(&info, None) }.map_err(failed("vkCreateCommandPool"))?;
        let info = vk::CommandBufferAllocateInfo::default().command_pool(self.pool).command_buffer_count(1);
        // SAFETY: the pool is this device's and nobody else's.
        let commands = unsafe { self.device.allocate_command_buffers(&info) };
        self.commands = commands.map_err(failed("vkAllocateCommandBuffers"))?[0];
        Ok(())
    }

    fn make_staging(&mut self, stage: &Stage) -> Result<(), Unavailable> {
        let usage = vk::BufferUsageFlags::TRANSFER_SRC | vk::BufferUsageFlags::TRANSFER_DST;
        let info = vk::BufferCreateInfo::default().size(STAGING_BYTES).usage(usage);
        // SAFETY: the create-info is valid.
        self.buffer = unsafe { self.device.create_buffer(&info, None) }.map_err(failed("vkCreateBuffer"))?;
        // SAFETY: the buffer was created just now.
        let needs = unsafe { self.device.get_buffer_memory_requirements(self.buffer) };
        let memory_type_index = coherent_type(stage, needs.memory_type_bits);
        let info = vk::MemoryAllocateInfo::default().allocation_size(needs.size).memory_type_index(memory_type_index);
        // SAFETY: the memory type exists and suits the buffer.
        self.memory = unsafe { self.device.allocate_memory(&info, None) }.map_err(failed("vkAllocateMemory"))?;
        // SAFETY: both are new, and the memory is as large as the buffer requires.
        unsafe { self.device.bind_buffer_memory(self.buffer, self.memory, 0) }.map_err(failed("vkBindBufferMemory"))?;
        // SAFETY: the memory is host-visible and not mapped.
        let mapped = unsafe { self.device.map_memory(self.memory, 0, vk::WHOLE_SIZE, vk::MemoryMapFlags::empty()) };
        self.mapped = mapped.map_err(failed("vkMapMemory"))?.cast_const().cast();
        Ok(())
    }

    /// Copies the first bytes of staging, which the last command filled.
    fn staged(&self, bytes: u64) -> Vec<u32> {
        let length = usize::try_from(bytes.min(STAGING_BYTES) / 4).unwrap_or(0);
        // SAFETY: mapped, aligned by Vulkan to 64 bytes or more, and at least that long; the device has written the
        // bytes, made them visible to the host, and is done: `run` waits.
        unsafe { std::slice::from_raw_parts(self.mapped, length) }.to_vec()
    }

    /// Records, submits and waits.
    fn run(&mut self, record: impl FnOnce(&ash::Device, vk::CommandBuffer, vk::Buffer)) -> Result<(), String> {
        let fail = |result: vk::Result| format!("the soak's own commands failed: {result}");
        let Self { device, commands, .. } = *self;
        let info = vk::CommandBufferBeginInfo::default().flags(vk::CommandBufferUsageFlags::ONE_TIME_SUBMIT);
        // SAFETY: the device is done with the command buffer, whose pool allows it to be recorded again.
        unsafe { device.begin_command_buffer(commands, &info) }.map_err(fail)?;
        record(device, commands, self.buffer);
        // SAFETY: it is recording.
        unsafe { device.end_command_buffer(commands) }.map_err(fail)?;
        let commands = [commands];
        let submit = vk::SubmitInfo::default().command_buffers(&commands);
        // SAFETY: the command buffer is recorded; `&mut self` keeps others from the queue.
        unsafe { device.queue_submit(self.queue, &[submit], vk::Fence::null()) }.map_err(fail)?;
        // SAFETY: as above.
        unsafe { device.queue_wait_idle(self.queue) }.map_err(fail)
    }
}

impl Drop for Gpu<'_> {
    fn drop(&mut self) {
        // SAFETY: every call waits, so the device is done with the pool; destroying none is allowed.
        unsafe { self.device.destroy_command_pool(self.pool, None) };
        // SAFETY: as above.
        unsafe { self.device.destroy_buffer(self.buffer, None) };
        // SAFETY: as above; the mapping ends with the memory, and `self` alone knew it.
        unsafe { self.device.free_memory(self.memory, None) };
    }
}

/// Names the call that failed; for `map_err`.
fn failed(call: &'static str) -> impl FnOnce(vk::Result) -> Unavailable {
    move |result| Unavailable::Call { call, result }
}

fn bytes_of(width: u32, height: u32) -> u64 {
    4 * u64::from(width) * u64::from(height)
}

/// Returns a memory type that the host sees without flushes: Vulkan promises that buffers have one; cached if there is.
fn coherent_type(stage: &Stage, memory_type_bits: u32) -> u32 {
    use vk::MemoryPropertyFlags as Flags;
    // SAFETY: the physical device is one of this instance's, which `stage` keeps alive.
    let properties = unsafe { stage.instance().get_physical_device_memory_properties(stage.physical_device()) };
    let usual = Flags::HOST_VISIBLE | Flags::HOST_COHERENT | Flags::HOST_CACHED | Flags::DEVICE_LOCAL;
    let find = |wanted: Flags| {
        let types = (0..).zip(properties.memory_types_as_slice());
        let mut fitting = types.filter(|(index, _)| memory_type_bits & 1 << index != 0);
        let fits = |flags: Flags| flags.contains(wanted) && usual.contains(flags);
        fitting.find(|(_, memory_type)| fits(memory_type.property_flags)).map(|(index, _)| index)
    };
    let coherent = Flags::HOST_VISIBLE | Flags::HOST_COHERENT;
    find(coherent | Flags::HOST_CACHED).or_else(|| find(coherent)).unwrap_or(0)
}

fn whole(width: u32, height: u32) -> vk::BufferImageCopy {
    let subresource = vk::ImageSubresourceLayers {
        aspect_mask: COLOUR.aspect_mask,
        mip_level: 0,
        base_array_layer: 0,
        layer_count: 1,
    };
    vk::BufferImageCopy::default().image_subresource(subresource).image_extent(vk::Extent3D { width, height, depth: 1 })
}

/// Makes what the device has written visible to the host, once it is done.
fn show_to_host(device: &ash::Device, commands: vk::CommandBuffer) {
    let done = vk::MemoryBarrier::default()
        .src_access_mask(vk::AccessFlags::TRANSFER_WRITE)
        .dst_access_mask(vk::AccessFlags::HOST_READ);
    barrier(device, commands, vk::PipelineStageFlags::HOST, (&[done], &[]));
}

fn change(device: &ash::Device, commands: vk::CommandBuffer, image: vk::Image, (from, to): (Access, Access)) {
    let change = vk::ImageMemoryBarrier::default()
        .image(image)
        .subresource_range(COLOUR)
        .old_layout(from.0)
        .src_access_mask(from.1)
        .new_layout(to.0)
        .dst_access_mask(to.1)
        .src_queue_family_index(vk::QUEUE_FAMILY_IGNORED)
        .dst_queue_family_index(vk::QUEUE_FAMILY_IGNORED);
    barrier(device, commands, vk::PipelineStageFlags::TRANSFER, (&[], &[change]));
}

fn barrier(
    device: &ash::Device,
    commands: vk::CommandBuffer,
    before: vk::PipelineStageFlags,
    (memory, images): (&[vk::MemoryBarrier<'_>], &[vk::ImageMemoryBarrier<'_>]),
) {
    let (after, none) = (vk::PipelineStageFlags::TRANSFER, vk::DependencyFlags::empty());
    // SAFETY: recording, outside a render pass; the images are bound.
    unsafe { device.cmd_pipeline_barrier(commands, after, before, none, memory, &[], images) };
}
