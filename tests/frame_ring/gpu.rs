//! Copies on the simulated device: what the GPU sees of a slice.

use ash::vk;
use freestone::{AllocationCreateInfo, Buffer, FrameSlice};

use crate::common::Rig;

/// Returns the bytes of slices as the device reads them. The simulated driver also complains of a read that misses what
/// the host wrote and did not flush.
pub(crate) fn read(world: &Rig, slices: &[FrameSlice]) -> Vec<Vec<u8>> {
    read_ranges(world, &slices.iter().map(|slice| (slice.buffer, slice.offset, slice.size)).collect::<Vec<_>>())
}

/// Does the same for ranges of buffers: handle, offset and size.
pub(crate) fn read_ranges(world: &Rig, ranges: &[(vk::Buffer, u64, u64)]) -> Vec<Vec<u8>> {
    let total: u64 = ranges.iter().map(|range| range.2).sum();
    if total == 0 {
        return Vec::new();
    }
    let info = vk::BufferCreateInfo::default().size(total).usage(vk::BufferUsageFlags::TRANSFER_DST);
    // SAFETY: the create-info is valid; `submit` waits for the device.
    let target = unsafe { Buffer::new(&**world, &info, &AllocationCreateInfo::readback()) }.expect("there is memory");
    submit(world, |device, commands| {
        let mut offset = 0;
        for &(buffer, src_offset, size) in ranges {
            let region = vk::BufferCopy { src_offset, dst_offset: offset, size };
            // SAFETY: recording; a wrong copy is the driver's to find.
            unsafe { device.cmd_copy_buffer(commands, buffer, target.handle(), &[region]) };
            offset += size;
        }
    });
    let mut bytes = vec![0_u8; usize::try_from(total).expect("what a test pushes")];
    // SAFETY: the copies are complete.
    unsafe { target.read(0, &mut bytes) }.expect("it is mapped");
    let mut rest = &bytes[..];
    let split = ranges.iter().map(|range| {
        let (mine, others) = rest.split_at(usize::try_from(range.2).expect("what a test pushes"));
        rest = others;
        mine.to_vec()
    });
    split.collect()
}

/// Records commands, submits them, waits, and cleans up.
fn submit(world: &Rig, record: impl FnOnce(&ash::Device, vk::CommandBuffer)) {
    let device = world.vulkan.device();
    // SAFETY: the device is alive; so it is throughout.
    let pool = unsafe { device.create_command_pool(&vk::CommandPoolCreateInfo::default(), None) }.expect("a pool");
    let info = vk::CommandBufferAllocateInfo::default().command_pool(pool).command_buffer_count(1);
    // SAFETY: the pool is alive.
    let commands = unsafe { device.allocate_command_buffers(&info) }.expect("a command buffer");
    // SAFETY: the command buffer is new.
    unsafe { device.begin_command_buffer(commands[0], &vk::CommandBufferBeginInfo::default()) }.expect("it begins");
    record(device, commands[0]);
    let done = vk::MemoryBarrier::default()
        .src_access_mask(vk::AccessFlags::TRANSFER_WRITE)
        .dst_access_mask(vk::AccessFlags::HOST_READ);
    let (after, before) = (vk::PipelineStageFlags::TRANSFER, vk::PipelineStageFlags::HOST);
    let none = vk::DependencyFlags::empty();
    // SAFETY: recording.
    unsafe { device.cmd_pipeline_barrier(commands[0], after, before, none, &[done], &[], &[]) };
    // SAFETY: it is recording.
    unsafe { device.end_command_buffer(commands[0]) }.expect("it ends");
    let submits = [vk::SubmitInfo::default().command_buffers(&commands)];
    // SAFETY: queue and command buffer are alive.
    unsafe { device.queue_submit(world.vulkan.queue(), &submits, vk::Fence::null()) }.expect("submitted");
    // SAFETY: the queue is alive.
    unsafe { device.queue_wait_idle(world.vulkan.queue()) }.expect("the device is done");
    // SAFETY: nothing uses it any more.
    unsafe { device.destroy_command_pool(pool, None) };
}
