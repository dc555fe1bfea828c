//! Ranges of nothing, and ranges that begin where a resource ends.

use super::super::{Profile, SimDevice};
use super::command_rules::submit;
use super::{allocate, bind_buffer, bind_image, buffer, image, image_info, rules};
use ash::vk;

/// A buffer of 1024 bytes and an image of 8 x 8 texels of one word, two levels and two layers.
struct Scene {
    sim: SimDevice,
    buffer: vk::Buffer,
    picture: vk::Image,
}

impl Scene {
    fn new() -> Self {
        let sim = SimDevice::new(Profile::unified());
        let memory = allocate(&sim, 1 << 16, 0).unwrap();
        let info = image_info(8).format(vk::Format::R32_UINT).mip_levels(2).array_layers(2);
        let (buffer, picture) = (buffer(&sim, 1024), image(&sim, &info));
        bind_buffer(&sim, buffer, memory, 0).unwrap();
        bind_image(&sim, picture, memory, 1 << 15).unwrap();
        Self { sim, buffer, picture }
    }

    /// Copies a region in and out.
    fn copy(&self, region: vk::BufferImageCopy) -> Vec<&'static str> {
        let (device, layout, region) = (self.sim.device(), vk::ImageLayout::GENERAL, [region]);
        submit(&self.sim, |commands| {
            // SAFETY: what is wrong is the driver's to find; so it is below.
            unsafe { device.cmd_copy_buffer_to_image(commands, self.buffer, self.picture, layout, &region) };
            // SAFETY: as above.
            unsafe { device.cmd_copy_image_to_buffer(commands, self.picture, layout, self.buffer, &region) };
        });
        rules(&self.sim)
    }

    fn clear(&self, range: vk::ImageSubresourceRange) -> Vec<&'static str> {
        let (layout, color) = (vk::ImageLayout::GENERAL, vk::ClearColorValue { uint32: [7; 4] });
        // SAFETY: what is wrong is the driver's to find.
        submit(&self.sim, |commands| unsafe {
            self.sim.device().cmd_clear_color_image(commands, self.picture, layout, &color, &[range]);
        });
        rules(&self.sim)
    }
}

fn region() -> vk::BufferImageCopy {
    let layers = vk::ImageSubresourceLayers::default().aspect_mask(vk::ImageAspectFlags::COLOR).layer_count(1);
    let image_extent = vk::Extent3D { width: 8, height: 8, depth: 1 };
    vk::BufferImageCopy { image_subresource: layers, image_extent, ..Default::default() }
}

#[test]
fn regions_of_images_are_not_empty() {
    let scene = Scene::new();
    let extent = |width, height, depth| region().image_extent(vk::Extent3D { width, height, depth });
    assert_eq!(scene.copy(region()), [""; 0]);
    assert_eq!(scene.copy(extent(0, 8, 1)), ["VUID-VkBufferImageCopy-imageExtent-06659"; 2]);
    assert_eq!(scene.copy(extent(8, 0, 1)), ["VUID-VkBufferImageCopy-imageExtent-06660"; 2]);
    assert_eq!(scene.copy(extent(8, 8, 0)), ["VUID-VkBufferImageCopy-imageExtent-06661"; 2]);
    let mut none = region();
    none.image_subresource.layer_count = 0;
    assert_eq!(scene.copy(none), ["VUID-VkImageSubresourceLayers-layerCount-01700"; 2]);
}

#[test]
fn rows_in_buffers_are_no_shorter_than_in_images() {
    let scene = Scene::new();
    assert_eq!(scene.copy(region().buffer_row_length(8).buffer_image_height(8)), [""; 0]);
    assert_eq!(scene.copy(region().buffer_row_length(7)), ["VUID-VkBufferImageCopy-bufferRowLength-09101"; 2]);
    assert_eq!(scene.copy(region().buffer_image_height(7)), ["VUID-VkBufferImageCopy-bufferImageHeight-09102"; 2]);
}

#[test]
fn copies_of_buffers_are_not_empty() {
    let scene = Scene::new();
    let copy = |src_offset, dst_offset, size| {
        let region = [vk::BufferCopy { src_offset, dst_offset, size }];
        // SAFETY: what is wrong is the driver's to find.
        submit(&scene.sim, |commands| unsafe {
            scene.sim.device().cmd_copy_buffer(commands, scene.buffer, scene.buffer, &region);
        });
        rules(&scene.sim)
    };
    assert_eq!(copy(0, 1020, 4), [""; 0]);
    assert_eq!(copy(0, 512, 0), ["VUID-VkBufferCopy-size-01988"]);
    let outside = ["VUID-vkCmdCopyBuffer-srcOffset-00113", "VUID-vkCmdCopyBuffer-dstOffset-00114"];
    assert_eq!(copy(1024, 0, 4), [outside[0], "VUID-vkCmdCopyBuffer-size-00115"]);
    assert_eq!(copy(0, 1024, 4), [outside[1], "VUID-vkCmdCopyBuffer-size-00116"]);
}

#[test]
fn fills_begin_inside_and_are_not_empty() {
    let scene = Scene::new();
    let fill = |offset, size| {
        // SAFETY: what is wrong is the driver's to find.
        submit(&scene.sim, |commands| unsafe {
            scene.sim.device().cmd_fill_buffer(commands, scene.buffer, offset, size, 7);
        });
        rules(&scene.sim)
    };
    assert_eq!(fill(1020, 4), [""; 0]);
    assert_eq!(fill(1020, vk::WHOLE_SIZE), [""; 0]);
    assert_eq!(fill(1024, vk::WHOLE_SIZE), ["VUID-vkCmdFillBuffer-dstOffset-00024"]);
    assert_eq!(fill(0, 0), ["VUID-vkCmdFillBuffer-size-00026"]);
}

#[test]
fn images_are_cleared_where_they_have_something() {
    let scene = Scene::new();
    let range = vk::ImageSubresourceRange::default().aspect_mask(vk::ImageAspectFlags::COLOR);
    let range = range.level_count(2).layer_count(2);
    let rest = range.level_count(vk::REMAINING_MIP_LEVELS).layer_count(vk::REMAINING_ARRAY_LAYERS);
    assert_eq!(scene.clear(range), [""; 0]);
    assert_eq!(scene.clear(rest.base_mip_level(1).base_array_layer(1)), [""; 0]);
    assert_eq!(scene.clear(rest.base_mip_level(2)), ["VUID-vkCmdClearColorImage-baseMipLevel-01470"]);
    assert_eq!(scene.clear(range.level_count(3)), ["VUID-vkCmdClearColorImage-pRanges-01692"]);
    assert_eq!(scene.clear(rest.base_array_layer(2)), ["VUID-vkCmdClearColorImage-baseArrayLayer-01472"]);
    assert_eq!(scene.clear(range.layer_count(3)), ["VUID-vkCmdClearColorImage-pRanges-01693"]);
    assert_eq!(scene.clear(range.level_count(0)), ["VUID-VkImageSubresourceRange-levelCount-01720"]);
    assert_eq!(scene.clear(range.layer_count(0)), ["VUID-VkImageSubresourceRange-layerCount-01721"]);
}

#[test]
fn barriers_on_images_are_on_something() {
    let scene = Scene::new();
    let whole = vk::ImageSubresourceRange::default().aspect_mask(vk::ImageAspectFlags::COLOR);
    let whole = whole.level_count(1).layer_count(1);
    let barrier = |range| {
        let barrier = vk::ImageMemoryBarrier::default().image(scene.picture).new_layout(vk::ImageLayout::GENERAL);
        let (stage, none) = (vk::PipelineStageFlags::TRANSFER, vk::DependencyFlags::empty());
        let barriers = [barrier.subresource_range(range)];
        // SAFETY: what is wrong is the driver's to find.
        submit(&scene.sim, |commands| unsafe {
            scene.sim.device().cmd_pipeline_barrier(commands, stage, stage, none, &[], &[], &barriers);
        });
        rules(&scene.sim)
    };
    assert_eq!(barrier(whole), [""; 0]);
    assert_eq!(barrier(whole.level_count(0)), ["VUID-VkImageSubresourceRange-levelCount-01720"]);
    assert_eq!(barrier(whole.layer_count(0)), ["VUID-VkImageSubresourceRange-layerCount-01721"]);
}

#[test]
fn descriptors_of_buffers_are_of_some_bytes() {
    let scene = Scene::new();
    let write = |offset, range| {
        let infos = [vk::DescriptorBufferInfo { buffer: scene.buffer, offset, range }];
        let kind = vk::DescriptorType::STORAGE_BUFFER;
        let writes = [vk::WriteDescriptorSet::default().descriptor_type(kind).buffer_info(&infos)];
        // SAFETY: what is wrong is the driver's to find.
        unsafe { scene.sim.device().update_descriptor_sets(&writes, &[]) };
        rules(&scene.sim)
    };
    assert_eq!(write(256, 768), [""; 0]);
    assert_eq!(write(256, vk::WHOLE_SIZE), [""; 0]);
    assert_eq!(write(0, 0), ["VUID-VkDescriptorBufferInfo-range-00341"]);
    assert_eq!(write(1024, vk::WHOLE_SIZE), ["VUID-VkDescriptorBufferInfo-offset-00340"]);
}
