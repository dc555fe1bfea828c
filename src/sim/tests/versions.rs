//! What a program cannot know, for want of a version or extension, it is not judged by; nor is it answered what is not
//! there.

use super::super::{Features, GIB, Profile, SimDevice};
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
fn properties_of_versions_that_are_not_there_are_not_answered() {
    for (profile, sizes, expected) in [
        (Profile::unified(), [4 * GIB; 2], &[][..]),
        (Profile::unified().vulkan_1_0(), [7; 2], &["VUID-VkPhysicalDeviceProperties2-pNext-pNext"; 2]),
    ] {
        let sim = SimDevice::builder(profile).api_version(vk::API_VERSION_1_3).build().unwrap();
        let mut objects = vk::PhysicalDeviceMaintenance3Properties::default().max_memory_allocation_size(7);
        let mut buffers = vk::PhysicalDeviceMaintenance4Properties { max_buffer_size: 7, ..Default::default() };
        let mut chain = vk::PhysicalDeviceProperties2::default().push_next(&mut objects).push_next(&mut buffers);
        // SAFETY: the physical device is of this instance, and the chain is valid.
        unsafe { sim.instance().get_physical_device_properties2(sim.physical_device(), &mut chain) };
        assert_eq!([objects.max_memory_allocation_size, buffers.max_buffer_size], sizes);
        assert_eq!(rules(&sim), expected);
    }
}

#[test]
fn a_feature_goes_with_its_extension() {
    let ask = |profile: Profile| {
        let features = profile.features.without(Features::MEMORY_PRIORITY | Features::OPT_IN);
        let sim = SimDevice::builder(profile).features(features).build().unwrap();
        let mut priority = vk::PhysicalDeviceMemoryPriorityFeaturesEXT::default();
        let mut chain = vk::PhysicalDeviceFeatures2::default().push_next(&mut priority);
        // SAFETY: the physical device is of this instance, and the chain is valid.
        unsafe { sim.instance().get_physical_device_features2(sim.physical_device(), &mut chain) };
        (priority.memory_priority, rules(&sim))
    };
    assert_eq!(ask(Profile::discrete_rebar()), (vk::TRUE, vec![]));
    let without = Profile::discrete_rebar().without_extension(c"VK_EXT_memory_priority");
    assert_eq!(ask(without.clone()), (vk::FALSE, vec!["VUID-VkPhysicalDeviceFeatures2-pNext-pNext"]));
    let refused = SimDevice::builder(without).with_features(Features::MEMORY_PRIORITY).build();
    assert_eq!(refused.err(), Some(vk::Result::ERROR_FEATURE_NOT_PRESENT));
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

/// The feature of the older extension knows no flag of memory.
#[test]
fn the_older_extension_of_addresses_is_not_the_newer_one() {
    let sim = SimDevice::new(Profile::unified());
    let mut older = vk::PhysicalDeviceBufferDeviceAddressFeaturesEXT::default().buffer_device_address(true);
    let info = vk::DeviceCreateInfo::default().push_next(&mut older);
    // SAFETY: the physical device and the create-info are valid.
    let second = unsafe { sim.instance().create_device(sim.physical_device(), &info, None) }.unwrap();
    let info = vk::BufferCreateInfo::default().size(16).usage(vk::BufferUsageFlags::SHADER_DEVICE_ADDRESS);
    // SAFETY: the device and the create-info are valid.
    let addressed = unsafe { second.create_buffer(&info, None) }.unwrap();
    // SAFETY: as above.
    let memory =
        unsafe { second.allocate_memory(&vk::MemoryAllocateInfo::default().allocation_size(16), None) }.unwrap();
    // SAFETY: both are alive.
    unsafe { second.bind_buffer_memory(addressed, memory, 0) }.unwrap();
    assert_eq!(rules(&sim), [""; 0]);
    // SAFETY: nothing uses it.
    unsafe { second.destroy_buffer(addressed, None) };
    // SAFETY: as above.
    unsafe { second.free_memory(memory, None) };
    // SAFETY: as above.
    unsafe { second.destroy_device(None) };
}

/// An extension that is listed and not enabled tells nothing: so nobody must dedicate what it would ask for.
#[test]
fn who_cannot_ask_need_not_dedicate() {
    let mut profile = Profile::unified().vulkan_1_0();
    profile.device_extensions.push(c"VK_KHR_dedicated_allocation");
    profile.dedicated.require_buffers_from = Some(16);
    let sim = SimDevice::new(profile);
    // SAFETY: the physical device and the create-info are valid.
    let second = unsafe { sim.instance().create_device(sim.physical_device(), &vk::DeviceCreateInfo::default(), None) };
    let second = second.unwrap();
    let info = vk::BufferCreateInfo::default().size(16).usage(vk::BufferUsageFlags::TRANSFER_SRC);
    // SAFETY: the device and the create-info are valid.
    let plain = unsafe { second.create_buffer(&info, None) }.unwrap();
    // SAFETY: as above.
    let memory =
        unsafe { second.allocate_memory(&vk::MemoryAllocateInfo::default().allocation_size(4096), None) }.unwrap();
    // SAFETY: both are alive.
    unsafe { second.bind_buffer_memory(plain, memory, 0) }.unwrap();
    assert_eq!(rules(&sim), [""; 0]);
    // SAFETY: nothing uses it.
    unsafe { second.destroy_buffer(plain, None) };
    // SAFETY: as above.
    unsafe { second.free_memory(memory, None) };
    // SAFETY: as above.
    unsafe { second.destroy_device(None) };
}

#[test]
fn drm_images_are_linear_by_their_modifier() {
    let mut profile = Profile::unified();
    profile.buffer_image_granularity = 1 << 16;
    for (modifier, expected) in [(0, &[][..]), (5, &["SIM-granularity"])] {
        let sim = SimDevice::new(profile.clone());
        let modifiers = [modifier];
        let mut list = vk::ImageDrmFormatModifierListCreateInfoEXT::default().drm_format_modifiers(&modifiers);
        let plane = [vk::SubresourceLayout::default()];
        let explicit = vk::ImageDrmFormatModifierExplicitCreateInfoEXT::default();
        let mut explicit = explicit.drm_format_modifier(modifier).plane_layouts(&plane);
        let info = image_info(8).tiling(vk::ImageTiling::DRM_FORMAT_MODIFIER_EXT);
        let pictures = [image(&sim, &info.push_next(&mut list)), image(&sim, &info.push_next(&mut explicit))];
        for picture in pictures {
            let memory = allocate(&sim, 1 << 16, 0).unwrap();
            bind_buffer(&sim, buffer(&sim, 16), memory, 0).unwrap();
            bind_image(&sim, picture, memory, 1 << 15).unwrap();
            assert_eq!(rules(&sim), expected, "modifier {modifier}");
            let part = vk::ImageSubresource { aspect_mask: vk::ImageAspectFlags::COLOR, ..Default::default() };
            // SAFETY: the image is alive.
            let _ = unsafe { sim.device().get_image_subresource_layout(picture, part) };
            assert_eq!(rules(&sim), [""; 0]);
        }
    }
}
