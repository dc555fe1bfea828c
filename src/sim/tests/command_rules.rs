//! Every rule about commands and command buffers fires.

use super::super::{Profile, SimDevice};
use super::{allocate, buffer, image, image_info, rules};
use ash::vk;

fn command_buffer(sim: &SimDevice) -> (vk::CommandPool, vk::CommandBuffer) {
    // SAFETY: the device is valid.
    let pool = unsafe { sim.device().create_command_pool(&vk::CommandPoolCreateInfo::default(), None) }.unwrap();
    let info = vk::CommandBufferAllocateInfo::default().command_pool(pool).command_buffer_count(1);
    // SAFETY: the pool is valid.
    (pool, unsafe { sim.device().allocate_command_buffers(&info) }.unwrap()[0])
}

/// Records one command of each kind.
fn record_all(sim: &SimDevice, commands: vk::CommandBuffer, one: vk::Buffer, picture: vk::Image) {
    let (device, layout) = (sim.device(), vk::ImageLayout::GENERAL);
    let (empty, bind_point) = (vk::PipelineLayout::null(), vk::PipelineBindPoint::COMPUTE);
    let layers = vk::ImageSubresourceLayers {
        aspect_mask: vk::ImageAspectFlags::COLOR,
        mip_level: 0,
        base_array_layer: 0,
        layer_count: 1,
    };
    let image_extent = vk::Extent3D { width: 1, height: 1, depth: 1 };
    let region = [vk::BufferImageCopy { image_subresource: layers, image_extent, ..Default::default() }];
    let stage = vk::PipelineStageFlags::TRANSFER;
    // SAFETY: wrong on purpose, the driver's to find; so it is below.
    unsafe {
        device.cmd_copy_buffer(commands, one, one, &[vk::BufferCopy { src_offset: 0, dst_offset: 8, size: 4 }]);
    };
    // SAFETY: as above.
    unsafe { device.cmd_fill_buffer(commands, one, 0, 16, 0) };
    // SAFETY: as above.
    unsafe { device.cmd_update_buffer(commands, one, 0, &[0; 4]) };
    // SAFETY: as above.
    unsafe { device.cmd_copy_buffer_to_image(commands, one, picture, layout, &region) };
    // SAFETY: as above.
    unsafe { device.cmd_copy_image_to_buffer(commands, picture, layout, one, &region) };
    let color = vk::ClearColorValue { uint32: [7; 4] };
    // SAFETY: as above.
    unsafe { device.cmd_clear_color_image(commands, picture, layout, &color, &[]) };
    // SAFETY: as above.
    unsafe {
        device.cmd_pipeline_barrier(commands, stage, stage, vk::DependencyFlags::empty(), &[], &[], &[]);
    };
    // SAFETY: as above.
    unsafe { device.cmd_pipeline_barrier2(commands, &vk::DependencyInfo::default()) };
    // SAFETY: as above.
    unsafe { device.cmd_bind_pipeline(commands, bind_point, vk::Pipeline::null()) };
    // SAFETY: as above.
    unsafe { device.cmd_bind_descriptor_sets(commands, bind_point, empty, 0, &[], &[]) };
    // SAFETY: as above.
    unsafe {
        device.cmd_push_constants(commands, empty, vk::ShaderStageFlags::COMPUTE, 0, &[0; 4]);
    };
    // SAFETY: as above.
    unsafe { device.cmd_dispatch(commands, 1, 1, 1) };
}

#[test]
fn commands_are_recorded_while_recording_only_and_their_resources_bound() {
    let sim = SimDevice::new(Profile::unified());
    let (device, (pool, commands)) = (sim.device(), command_buffer(&sim));
    let (one, picture) = (buffer(&sim, 16), image(&sim, &image_info(8)));
    record_all(&sim, commands, one, picture);
    let expected = [
        "VUID-vkCmdCopyBuffer-commandBuffer-recording",
        "VUID-vkCmdFillBuffer-commandBuffer-recording",
        "VUID-vkCmdUpdateBuffer-commandBuffer-recording",
        "VUID-vkCmdCopyBufferToImage-commandBuffer-recording",
        "VUID-vkCmdCopyImageToBuffer-commandBuffer-recording",
        "VUID-vkCmdClearColorImage-commandBuffer-recording",
        "VUID-vkCmdPipelineBarrier-commandBuffer-recording",
        "VUID-vkCmdPipelineBarrier2-commandBuffer-recording",
        "VUID-vkCmdBindPipeline-commandBuffer-recording",
        "VUID-vkCmdBindDescriptorSets-commandBuffer-recording",
        "VUID-vkCmdPushConstants-commandBuffer-recording",
        "VUID-vkCmdDispatch-commandBuffer-recording",
    ];
    assert_eq!(rules(&sim), expected);
    let infos = [vk::CommandBufferSubmitInfo::default().command_buffer(commands)];
    let submits = [vk::SubmitInfo2::default().command_buffer_infos(&infos)];
    // SAFETY: wrong on purpose, the driver's to find; so it is below.
    unsafe { device.queue_submit2(sim.queue(), &submits, vk::Fence::null()) }.unwrap();
    assert_eq!(rules(&sim), ["VUID-vkQueueSubmit2-commandBuffer-03874"]);
    // SAFETY: the command buffer is valid.
    unsafe { device.begin_command_buffer(commands, &vk::CommandBufferBeginInfo::default()) }.unwrap();
    record_all(&sim, commands, one, picture);
    // SAFETY: as above.
    unsafe { device.end_command_buffer(commands) }.unwrap();
    // SAFETY: as above.
    unsafe { device.queue_submit2(sim.queue(), &submits, vk::Fence::null()) }.unwrap();
    let expected = [
        "VUID-vkCmdCopyBuffer-srcBuffer-00119",
        "VUID-vkCmdCopyBuffer-dstBuffer-00121",
        "VUID-vkCmdFillBuffer-dstBuffer-00031",
        "VUID-vkCmdUpdateBuffer-dstBuffer-00035",
        "VUID-vkCmdCopyBufferToImage-srcBuffer-00176",
        "VUID-vkCmdCopyBufferToImage-dstImage-07966",
        "VUID-vkCmdCopyImageToBuffer-srcImage-07966",
        "VUID-vkCmdCopyImageToBuffer-dstBuffer-00192",
        "VUID-vkCmdClearColorImage-image-00003",
    ];
    assert_eq!(rules(&sim), expected);
    // SAFETY: as above.
    unsafe { device.reset_command_pool(pool, vk::CommandPoolResetFlags::empty()) }.unwrap();
    assert_eq!(rules(&sim), [""; 0]);
}

#[test]
fn pools_of_command_buffers() {
    let sim = SimDevice::new(Profile::unified());
    let (device, (pool, commands)) = (sim.device(), command_buffer(&sim));
    // SAFETY: nothing uses it.
    unsafe { device.free_command_buffers(pool, &[commands]) };
    // SAFETY: wrong on purpose, the driver's to find; so it is below.
    unsafe { device.free_command_buffers(pool, &[commands]) };
    // SAFETY: nothing uses it.
    unsafe { device.destroy_command_pool(pool, None) };
    // SAFETY: as above.
    unsafe { device.reset_command_pool(pool, vk::CommandPoolResetFlags::empty()) }.unwrap();
    let info = vk::CommandBufferAllocateInfo::default().command_pool(pool).command_buffer_count(1);
    // SAFETY: as above.
    let _ = unsafe { device.allocate_command_buffers(&info) };
    let expected = [
        "VUID-vkFreeCommandBuffers-pCommandBuffers-00048",
        "VUID-vkResetCommandPool-commandPool-parameter",
        "VUID-VkCommandBufferAllocateInfo-commandPool-parameter",
    ];
    assert_eq!(rules(&sim), expected);
}

#[test]
fn copies_out_of_images_have_rules_of_their_own() {
    let sim = SimDevice::new(Profile::unified());
    let (picture, target) = (image(&sim, &image_info(8)), buffer(&sim, 16));
    let memory = allocate(&sim, 2048, 0).unwrap();
    super::bind_image(&sim, picture, memory, 0).unwrap();
    super::bind_buffer(&sim, target, memory, 1024).unwrap();
    let (device, (_, commands)) = (sim.device(), command_buffer(&sim));
    let region = |mip_level, side| {
        let layers = vk::ImageSubresourceLayers {
            aspect_mask: vk::ImageAspectFlags::COLOR,
            mip_level,
            base_array_layer: 0,
            layer_count: 1,
        };
        let image_extent = vk::Extent3D { width: side, height: side, depth: 1 };
        vk::BufferImageCopy { image_subresource: layers, image_extent, ..Default::default() }
    };
    // SAFETY: the command buffer is valid.
    unsafe { device.begin_command_buffer(commands, &vk::CommandBufferBeginInfo::default()) }.unwrap();
    let regions = [region(1, 1), region(0, 9), region(0, 8)];
    // SAFETY: wrong on purpose, the driver's to find.
    unsafe {
        device.cmd_copy_image_to_buffer(commands, picture, vk::ImageLayout::GENERAL, target, &regions);
    };
    // SAFETY: the command buffer is valid.
    unsafe { device.end_command_buffer(commands) }.unwrap();
    let buffers = [commands];
    // SAFETY: as above.
    unsafe {
        device.queue_submit(sim.queue(), &[vk::SubmitInfo::default().command_buffers(&buffers)], vk::Fence::null())
    }
    .unwrap();
    let expected = [
        "VUID-vkCmdCopyImageToBuffer-imageSubresource-07967",
        "VUID-vkCmdCopyImageToBuffer-imageSubresource-07970",
        "VUID-vkCmdCopyImageToBuffer-pRegions-00183",
    ];
    assert_eq!(rules(&sim), expected);
}

/// Records commands and submits them, without waiting.
pub(super) fn submit(sim: &SimDevice, record: impl FnOnce(vk::CommandBuffer)) {
    let (device, (_, commands)) = (sim.device(), command_buffer(sim));
    // SAFETY: the command buffer is valid; so it is below.
    unsafe { device.begin_command_buffer(commands, &vk::CommandBufferBeginInfo::default()) }.unwrap();
    record(commands);
    // SAFETY: as above.
    unsafe { device.end_command_buffer(commands) }.unwrap();
    let buffers = [commands];
    let submits = [vk::SubmitInfo::default().command_buffers(&buffers)];
    // SAFETY: as above.
    unsafe { device.queue_submit(sim.queue(), &submits, vk::Fence::null()) }.unwrap();
}

#[test]
fn copies_need_the_usage_for_them() {
    let sim = SimDevice::new(Profile::unified());
    let info = vk::BufferCreateInfo::default().size(16).usage(vk::BufferUsageFlags::STORAGE_BUFFER);
    // SAFETY: the device and the create-info are valid.
    let one = unsafe { sim.device().create_buffer(&info, None) }.unwrap();
    let picture = image(&sim, &image_info(8).usage(vk::ImageUsageFlags::SAMPLED));
    let memory = allocate(&sim, 1 << 16, 0).unwrap();
    super::bind_buffer(&sim, one, memory, 0).unwrap();
    super::bind_image(&sim, picture, memory, 1 << 15).unwrap();
    submit(&sim, |commands| record_all(&sim, commands, one, picture));
    let expected = [
        "VUID-vkCmdCopyBuffer-srcBuffer-00118",
        "VUID-vkCmdCopyBuffer-dstBuffer-00120",
        "VUID-vkCmdFillBuffer-dstBuffer-00029",
        "VUID-vkCmdUpdateBuffer-dstBuffer-00034",
        "VUID-vkCmdCopyBufferToImage-srcBuffer-00174",
        "VUID-vkCmdCopyBufferToImage-dstImage-00177",
        "VUID-vkCmdCopyImageToBuffer-srcImage-00186",
        "VUID-vkCmdCopyImageToBuffer-dstBuffer-00191",
        "VUID-vkCmdClearColorImage-image-00002",
    ];
    assert_eq!(rules(&sim), expected);
}

#[test]
fn copies_begin_at_whole_texels() {
    let sim = SimDevice::new(Profile::unified());
    let device = sim.device();
    let (color, depth) = (image(&sim, &image_info(8)), image(&sim, &image_info(8).format(vk::Format::D16_UNORM)));
    let (one, memory) = (buffer(&sim, 1024), allocate(&sim, 1 << 16, 0).unwrap());
    super::bind_buffer(&sim, one, memory, 0).unwrap();
    super::bind_image(&sim, color, memory, 1 << 14).unwrap();
    super::bind_image(&sim, depth, memory, 1 << 15).unwrap();
    let region = |aspect_mask, buffer_offset| {
        let layers = vk::ImageSubresourceLayers::default().aspect_mask(aspect_mask).layer_count(1);
        let extent = vk::Extent3D { width: 8, height: 8, depth: 1 };
        [vk::BufferImageCopy::default().buffer_offset(buffer_offset).image_subresource(layers).image_extent(extent)]
    };
    let copy = |picture, aspect, offset| {
        let (region, layout) = (region(aspect, offset), vk::ImageLayout::GENERAL);
        submit(&sim, |commands| {
            // SAFETY: wrong on purpose, the driver's to find; so it is below.
            unsafe { device.cmd_copy_buffer_to_image(commands, one, picture, layout, &region) };
            // SAFETY: as above.
            unsafe { device.cmd_copy_image_to_buffer(commands, picture, layout, one, &region) };
        });
        rules(&sim)
    };
    assert_eq!(copy(color, vk::ImageAspectFlags::COLOR, 8), [""; 0]);
    assert_eq!(copy(depth, vk::ImageAspectFlags::DEPTH, 8), [""; 0]);
    let of_color = ["VUID-vkCmdCopyBufferToImage-dstImage-07975", "VUID-vkCmdCopyImageToBuffer-srcImage-07975"];
    assert_eq!(copy(color, vk::ImageAspectFlags::COLOR, 2), of_color);
    let of_depth = ["VUID-vkCmdCopyBufferToImage-dstImage-07978", "VUID-vkCmdCopyImageToBuffer-srcImage-07978"];
    assert_eq!(copy(depth, vk::ImageAspectFlags::DEPTH, 2), of_depth);
}

#[test]
fn updates_are_of_some_words() {
    let sim = SimDevice::new(Profile::unified());
    let (one, memory) = (buffer(&sim, 1 << 17), allocate(&sim, 1 << 17, 0).unwrap());
    super::bind_buffer(&sim, one, memory, 0).unwrap();
    let update = |offset, size: usize| {
        let bytes = vec![7; size];
        // SAFETY: wrong on purpose, the driver's to find.
        submit(&sim, |commands| unsafe { sim.device().cmd_update_buffer(commands, one, offset, &bytes) });
        rules(&sim)
    };
    assert_eq!(update(4, 65_536), [""; 0]);
    assert_eq!(update(2, 4), ["VUID-vkCmdUpdateBuffer-dstOffset-00036"]);
    assert_eq!(update(0, 0), ["VUID-vkCmdUpdateBuffer-dataSize-arraylength"]);
    assert_eq!(update(0, 65_540), ["VUID-vkCmdUpdateBuffer-dataSize-00037"]);
    assert_eq!(update(0, 6), ["VUID-vkCmdUpdateBuffer-dataSize-00038"]);
}
