//! What a program cannot know, for want of a version or extension, it is not judged by; nor is it answered what is not there.

use super::super::{GIB, Profile, SimDevice};
use super::{allocate, bind_buffer, bind_image, buffer, destroy_buffer, free, image, image_info, rules};
use ash::vk;

const OUT: vk::Result = vk::Result::ERROR_OUT_OF_DEVICE_MEMORY;

#[test]
fn unknown_limits_refuse_and_accuse_nobody() {
    let create = |sim: &SimDevice, size| {
        let info = vk::BufferCreateInfo::default().size(size).usage(vk::BufferUsageFlags::TRANSFER_DST);
        // SAFETY: the device and the create-info are valid; a size too large is the driver's to find.
        unsafe { sim.device().create_buffer(&info, None) }
    };
    let sim = SimDevice::new(Profile::unified().vulkan_1_0());
    assert_eq!(allocate(&sim, 5 * GIB, 0), Err(OUT));
    assert_eq!(create(&sim, 5 * GIB), Err(OUT));
    assert_eq!(sim.finish(), []);
    let mut profile = Profile::unified().vulkan_1_0();
    profile.device_extensions.extend([c"VK_KHR_maintenance3", c"VK_KHR_maintenance4"]);
    let sim = SimDevice::new(profile);
    assert_eq!(allocate(&sim, 5 * GIB, 0), Err(OUT));
    destroy_buffer(&sim, create(&sim, 5 * GIB).unwrap());
    assert_eq!(rules(&sim), ["SIM-allocation-above-maxMemoryAllocationSize", "VUID-VkBufferCreateInfo-size-06409"]);
}

#[test]
fn nobody_must_dedicate_what_he_cannot_ask_about() {
    let mut profile = Profile::unified();
    (profile.dedicated.require_buffers_from, profile.dedicated.require_images_from) = (Some(16), Some(16));
    let bind = |profile| {
        let sim = SimDevice::new(profile);
        let memory = allocate(&sim, 1 << 16, 0).unwrap();
        bind_buffer(&sim, buffer(&sim, 16), memory, 0).unwrap();
        bind_image(&sim, image(&sim, &image_info(8)), memory, 1 << 15).unwrap();
        rules(&sim)
    };
    assert_eq!(bind(profile.clone().vulkan_1_0()), [""; 0]);
    assert_eq!(bind(profile), ["VUID-vkBindBufferMemory-buffer-01444", "VUID-vkBindImageMemory-image-01445"]);
}

#[test]
fn usages_of_64_bits_stand_for_those_of_32() {
    let sim = SimDevice::new(Profile::unified());
    let usage = vk::BufferUsageFlags2KHR::SHADER_DEVICE_ADDRESS | vk::BufferUsageFlags2KHR::UNIFORM_BUFFER;
    let mut usages = vk::BufferUsageFlags2CreateInfoKHR::default().usage(usage);
    let info = vk::BufferCreateInfo::default().size(16).push_next(&mut usages);
    // SAFETY: the device and the create-info are valid.
    let addressed = unsafe { sim.device().create_buffer(&info, None) }.unwrap();
    assert_eq!(rules(&sim), [""; 0], "the usage is given");
    // SAFETY: the buffer is alive.
    assert_eq!(unsafe { sim.device().get_buffer_memory_requirements(addressed) }.alignment, 256);
    let memory = allocate(&sim, 4096, 0).unwrap();
    bind_buffer(&sim, addressed, memory, 0).unwrap();
    assert_eq!(rules(&sim), ["VUID-vkBindBufferMemory-bufferDeviceAddress-03339"]);
    free(&sim, memory);
}
