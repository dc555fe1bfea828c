//! Entry points that record commands.

use super::barrier::{BufferBarrier, ImageBarrier};
use super::command::{Command, Stage, with_buffer};
use super::function::Function;
use super::object::CommandBufferObject;
use super::pnext::array;
use ash::vk;
use ash::vk::Handle;

/// Records a command.
pub(super) fn record(shell: &CommandBufferObject, function: Function, rule: &'static str, command: Option<Command>) {
    let _ = with_buffer(shell, function, |buffer| {
        buffer.commands.extend(command);
        if buffer.state == Stage::Recording { Ok(()) } else { Err(rule) }
    });
}

pub(super) extern "system" fn copy_buffer(
    shell: &CommandBufferObject,
    source: vk::Buffer,
    destination: vk::Buffer,
    count: u32,
    regions: *const vk::BufferCopy,
) {
    // SAFETY: the application gives `count` valid regions.
    let regions = unsafe { array(regions, count) }.to_vec();
    let command = Command::CopyBuffer { source: source.as_raw(), destination: destination.as_raw(), regions };
    record(shell, Function::CmdCopyBuffer, "VUID-vkCmdCopyBuffer-commandBuffer-recording", Some(command));
}

pub(super) extern "system" fn fill_buffer(
    shell: &CommandBufferObject,
    destination: vk::Buffer,
    offset: u64,
    size: u64,
    word: u32,
) {
    let command = Command::FillBuffer { destination: destination.as_raw(), offset, size, word };
    record(shell, Function::CmdFillBuffer, "VUID-vkCmdFillBuffer-commandBuffer-recording", Some(command));
}

pub(super) extern "system" fn update_buffer(
    shell: &CommandBufferObject,
    destination: vk::Buffer,
    offset: u64,
    size: u64,
    data: *const u8,
) {
    let size = u32::try_from(size).unwrap_or(0);
    // SAFETY: the application gives `size` initialised bytes, at most 65536.
    let bytes = unsafe { array(data, size) }.to_vec();
    let command = Command::UpdateBuffer { destination: destination.as_raw(), offset, bytes };
    record(shell, Function::CmdUpdateBuffer, "VUID-vkCmdUpdateBuffer-commandBuffer-recording", Some(command));
}

pub(super) extern "system" fn copy_buffer_to_image(
    shell: &CommandBufferObject,
    buffer: vk::Buffer,
    image: vk::Image,
    _: vk::ImageLayout,
    count: u32,
    regions: *const vk::BufferImageCopy,
) {
    // SAFETY: the application gives `count` valid regions.
    let regions = unsafe { array(regions, count) }.to_vec();
    let command = Command::CopyBufferToImage { buffer: buffer.as_raw(), image: image.as_raw(), regions };
    record(shell, Function::CmdCopyBufferToImage, "VUID-vkCmdCopyBufferToImage-commandBuffer-recording", Some(command));
}

pub(super) extern "system" fn copy_image_to_buffer(
    shell: &CommandBufferObject,
    image: vk::Image,
    _: vk::ImageLayout,
    buffer: vk::Buffer,
    count: u32,
    regions: *const vk::BufferImageCopy,
) {
    // SAFETY: the application gives `count` valid regions.
    let regions = unsafe { array(regions, count) }.to_vec();
    let command = Command::CopyImageToBuffer { image: image.as_raw(), buffer: buffer.as_raw(), regions };
    record(shell, Function::CmdCopyImageToBuffer, "VUID-vkCmdCopyImageToBuffer-commandBuffer-recording", Some(command));
}

pub(super) extern "system" fn clear_color_image(
    shell: &CommandBufferObject,
    image: vk::Image,
    _: vk::ImageLayout,
    color: &vk::ClearColorValue,
    count: u32,
    ranges: *const vk::ImageSubresourceRange,
) {
    // SAFETY: the application gives `count` valid ranges.
    let ranges = unsafe { array(ranges, count) }.to_vec();
    // SAFETY: the three ways to read the colour have the same bytes, and all bits are valid.
    let [word, ..] = unsafe { color.uint32 };
    let command = Command::ClearImage { image: image.as_raw(), word, ranges };
    record(shell, Function::CmdClearColorImage, "VUID-vkCmdClearColorImage-commandBuffer-recording", Some(command));
}

#[rustfmt::skip]
pub(super) extern "system" fn pipeline_barrier(
    shell: &CommandBufferObject,
    _: vk::PipelineStageFlags, _: vk::PipelineStageFlags, _: vk::DependencyFlags,
    _: u32, _: *const vk::MemoryBarrier<'_>,
    buffer_count: u32, buffers: *const vk::BufferMemoryBarrier<'_>,
    image_count: u32, images: *const vk::ImageMemoryBarrier<'_>,
) {
    let function = Function::CmdPipelineBarrier;
    // SAFETY: the application gives that many valid barriers.
    let buffers = unsafe { array(buffers, buffer_count) }.iter().map(BufferBarrier::from).collect();
    // SAFETY: as above.
    let images = unsafe { array(images, image_count) }.iter().map(ImageBarrier::from).collect();
    let command = Command::Barriers { function, buffers, images };
    record(shell, function, "VUID-vkCmdPipelineBarrier-commandBuffer-recording", Some(command));
}

pub(super) extern "system" fn pipeline_barrier2(shell: &CommandBufferObject, info: &vk::DependencyInfo<'_>) {
    let function = Function::CmdPipelineBarrier2;
    // SAFETY: the application gives that many valid barriers.
    let buffers = unsafe { array(info.p_buffer_memory_barriers, info.buffer_memory_barrier_count) };
    // SAFETY: as above.
    let images = unsafe { array(info.p_image_memory_barriers, info.image_memory_barrier_count) };
    let (buffers, images) = (buffers.iter().map(BufferBarrier::from), images.iter().map(ImageBarrier::from));
    let command = Command::Barriers { function, buffers: buffers.collect(), images: images.collect() };
    record(shell, function, "VUID-vkCmdPipelineBarrier2-commandBuffer-recording", Some(command));
}
