//! Copies of images whose aspects lie apart are judged, though not carried out.

use super::super::{Profile, SimDevice};
use super::command_rules::submit;
use super::{allocate, bind_buffer, bind_image, buffer, image, image_info, map, rules};
use ash::vk;

/// A buffer, and an image of 8 x 8 texels with depth and stencil, each on memory of its own.
struct Scene {
    sim: SimDevice,
    memory: vk::DeviceMemory,
    buffer: vk::Buffer,
    picture: vk::Image,
}

impl Scene {
    fn new(format: vk::Format, buffer_size: u64) -> Self {
        let sim = SimDevice::new(Profile::noncoherent());
        let (memory, other) = (allocate(&sim, 4096, 1).unwrap(), allocate(&sim, 1 << 20, 0).unwrap());
        let (buffer, picture) = (buffer(&sim, buffer_size), image(&sim, &image_info(8).format(format)));
        bind_buffer(&sim, buffer, memory, 0).unwrap();
        bind_image(&sim, picture, other, 0).unwrap();
        Self { sim, memory, buffer, picture }
    }

    /// Copies a square of one aspect in and out, and returns what was found.
    fn copy(&self, aspect: vk::ImageAspectFlags, mip_level: u32, side: u32) -> Vec<&'static str> {
        let (device, layout) = (self.sim.device(), vk::ImageLayout::GENERAL);
        let layers = vk::ImageSubresourceLayers::default().aspect_mask(aspect).mip_level(mip_level).layer_count(1);
        let extent = vk::Extent3D { width: side, height: side, depth: 1 };
        let region = [vk::BufferImageCopy::default().image_subresource(layers).image_extent(extent)];
        submit(&self.sim, |commands| {
            // SAFETY: what is wrong is the driver's to find; so it is below.
            unsafe { device.cmd_copy_buffer_to_image(commands, self.buffer, self.picture, layout, &region) };
            // SAFETY: as above.
            unsafe { device.cmd_copy_image_to_buffer(commands, self.picture, layout, self.buffer, &region) };
        });
        rules(&self.sim)
    }
}

const DEPTH: vk::ImageAspectFlags = vk::ImageAspectFlags::DEPTH;
const STENCIL: vk::ImageAspectFlags = vk::ImageAspectFlags::STENCIL;
const OUTSIDE_BUFFER: [&str; 2] =
    ["VUID-vkCmdCopyBufferToImage-pRegions-00171", "VUID-vkCmdCopyImageToBuffer-pRegions-00183"];

#[test]
fn every_aspect_has_its_own_bytes_in_a_buffer() {
    for (format, depth) in
        [(vk::Format::D16_UNORM_S8_UINT, 2), (vk::Format::D24_UNORM_S8_UINT, 4), (vk::Format::D32_SFLOAT_S8_UINT, 4)]
    {
        for (aspect, bytes) in [(DEPTH, 64 * depth), (STENCIL, 64)] {
            assert_eq!(Scene::new(format, bytes).copy(aspect, 0, 8), [""; 0], "{format:?}, {aspect:?}");
            assert_eq!(Scene::new(format, bytes - 1).copy(aspect, 0, 8), OUTSIDE_BUFFER, "{format:?}, {aspect:?}");
        }
    }
}

#[test]
fn copies_of_aspects_lie_inside_the_image() {
    let scene = Scene::new(vk::Format::D24_UNORM_S8_UINT, 1024);
    let no_level =
        ["VUID-vkCmdCopyBufferToImage-imageSubresource-07967", "VUID-vkCmdCopyImageToBuffer-imageSubresource-07967"];
    assert_eq!(scene.copy(STENCIL, 1, 1), no_level);
    let outside =
        ["VUID-vkCmdCopyBufferToImage-imageSubresource-07970", "VUID-vkCmdCopyImageToBuffer-imageSubresource-07970"];
    assert_eq!(scene.copy(DEPTH, 0, 9), outside);
}

#[test]
#[cfg_attr(miri, ignore = "the cache model is off under Miri")]
fn the_device_misses_unflushed_bytes_of_aspects_too() {
    let scene = Scene::new(vk::Format::D24_UNORM_S8_UINT, 256);
    let bytes = map(&scene.sim, scene.memory, 0, vk::WHOLE_SIZE).unwrap();
    // SAFETY: the byte is mapped.
    unsafe { bytes.write(7) };
    assert_eq!(scene.copy(DEPTH, 0, 8), ["SIM-device-read-of-unflushed-write"]);
    let range = [vk::MappedMemoryRange::default().memory(scene.memory).size(vk::WHOLE_SIZE)];
    // SAFETY: the memory is mapped.
    unsafe { scene.sim.device().flush_mapped_memory_ranges(&range) }.unwrap();
    assert_eq!(scene.copy(DEPTH, 0, 8), [""; 0]);
}
