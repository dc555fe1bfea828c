//! Every rule about binding fires, and only where it should.

use super::super::{Features, Profile, SimDevice};
use super::{allocate, bind_buffer, bind_image, buffer, destroy_buffer, destroy_image, free, image, image_info, rules};
use ash::vk;

const PAGE: u64 = 1024;

fn sim() -> SimDevice {
    SimDevice::new(Profile::discrete_bar256())
}

#[test]
fn a_right_binding_is_silent() {
    let sim = sim();
    let memory = allocate(&sim, 8 * PAGE, 1).unwrap();
    let (first, second, texture) = (buffer(&sim, 100), buffer(&sim, 100), image(&sim, &image_info(8)));
    bind_buffer(&sim, first, memory, 0).unwrap();
    bind_buffer(&sim, second, memory, 112).unwrap();
    bind_image(&sim, texture, memory, PAGE).unwrap();
    assert_eq!(sim.memory_objects()[0].bound_count, 3);
    destroy_buffer(&sim, first);
    destroy_buffer(&sim, second);
    destroy_image(&sim, texture);
    free(&sim, memory);
    assert_eq!(sim.finish(), []);
}

#[test]
fn buffers_must_fit() {
    let sim = sim();
    let memory = allocate(&sim, 4096, 1).unwrap();
    let one = buffer(&sim, 4096);
    assert!(bind_buffer(&sim, one, memory, 16).is_err());
    assert_eq!(rules(&sim), ["VUID-vkBindBufferMemory-size-01037"]);
    assert!(bind_buffer(&sim, one, memory, 4096).is_err());
    assert_eq!(rules(&sim), ["VUID-vkBindBufferMemory-memoryOffset-01031", "VUID-vkBindBufferMemory-size-01037"]);
    let small = buffer(&sim, 16);
    bind_buffer(&sim, small, memory, 8).unwrap();
    assert_eq!(rules(&sim), ["VUID-vkBindBufferMemory-memoryOffset-01036"]);
    assert!(bind_buffer(&sim, small, memory, 32).is_err());
    assert_eq!(rules(&sim), ["VUID-vkBindBufferMemory-buffer-07459"]);
    destroy_buffer(&sim, small);
    assert!(bind_buffer(&sim, small, memory, 32).is_err());
    assert_eq!(rules(&sim), ["VUID-vkBindBufferMemory-buffer-parameter"]);
    free(&sim, memory);
    assert!(bind_buffer(&sim, one, memory, 0).is_err());
    assert_eq!(rules(&sim), ["VUID-vkBindBufferMemory-memory-parameter"]);
    destroy_buffer(&sim, one);
}

#[test]
fn images_must_fit() {
    let sim = sim();
    let memory = allocate(&sim, 4096, 1).unwrap();
    let one = image(&sim, &image_info(32));
    assert!(bind_image(&sim, one, memory, 1024).is_err());
    assert_eq!(rules(&sim), ["VUID-vkBindImageMemory-size-01049"]);
    let visible = allocate(&sim, 4096, 4).unwrap();
    bind_image(&sim, one, visible, 0).unwrap();
    assert_eq!(rules(&sim), ["VUID-vkBindImageMemory-memory-01047"]);
    assert!(bind_image(&sim, one, memory, 0).is_err());
    assert_eq!(rules(&sim), ["VUID-vkBindImageMemory-image-07460"]);
    let small = image(&sim, &image_info(8));
    bind_image(&sim, small, memory, 512).unwrap();
    assert_eq!(rules(&sim), ["VUID-vkBindImageMemory-memoryOffset-01048"]);
    destroy_image(&sim, small);
    destroy_image(&sim, one);
    assert!(bind_image(&sim, one, memory, 0).is_err());
    assert_eq!(rules(&sim), ["VUID-vkBindImageMemory-image-parameter"]);
}

/// Of several bindings the ones that can be made are made; the answer is of the one that cannot.
#[test]
fn one_binding_that_fails_fails_the_call() {
    let sim = sim();
    let memory = allocate(&sim, 4096, 4).unwrap();
    let (one, other) = (buffer(&sim, 16), buffer(&sim, 16));
    for offsets in [[0, 1 << 20], [1 << 20, 256]] {
        let infos = [(one, offsets[0]), (other, offsets[1])].map(|(buffer, offset)| {
            vk::BindBufferMemoryInfo::default().buffer(buffer).memory(memory).memory_offset(offset)
        });
        // SAFETY: wrong on purpose, the driver's to find.
        assert!(unsafe { sim.device().bind_buffer_memory2(&infos) }.is_err(), "{offsets:?}");
        assert!(!rules(&sim).is_empty());
    }
}

#[test]
fn the_second_version_has_rules_of_its_own() {
    let sim = sim();
    let memory = allocate(&sim, 4096, 4).unwrap();
    let (one, texture) = (buffer(&sim, 16), image(&sim, &image_info(8)));
    let buffers = [vk::BindBufferMemoryInfo::default().buffer(one).memory(memory).memory_offset(8)];
    // SAFETY: wrong on purpose, the driver's to find.
    unsafe { sim.device().bind_buffer_memory2(&buffers) }.unwrap();
    let images = [vk::BindImageMemoryInfo::default().image(texture).memory(memory).memory_offset(1024)];
    // SAFETY: as above.
    unsafe { sim.device().bind_image_memory2(&images) }.unwrap();
    assert_eq!(
        rules(&sim),
        ["VUID-VkBindBufferMemoryInfo-memoryOffset-01036", "VUID-VkBindImageMemoryInfo-pNext-01615"]
    );
}

#[test]
fn overlaps_are_found_on_both_sides() {
    let sim = sim();
    let memory = allocate(&sim, 64 * PAGE, 1).unwrap();
    bind_buffer(&sim, buffer(&sim, 4096), memory, 4096).unwrap();
    for (offset, size, is_overlap) in [
        (0, 4096, false),
        (8192, 16, false),
        (4096 - 16, 32, true),
        (8176, 32, true),
        (4112, 16, true),
        (0, 16384, true),
    ] {
        let other = buffer(&sim, size);
        bind_buffer(&sim, other, memory, offset).unwrap();
        assert_eq!(!rules(&sim).is_empty(), is_overlap, "{size} bytes at {offset}");
        destroy_buffer(&sim, other);
    }
}

#[test]
fn aliasing_is_allowed_when_said() {
    let sim = sim();
    let memory = allocate(&sim, 64 * PAGE, 1).unwrap();
    let aliased = image_info(8).flags(vk::ImageCreateFlags::ALIAS);
    bind_image(&sim, image(&sim, &aliased), memory, 0).unwrap();
    bind_image(&sim, image(&sim, &aliased), memory, 0).unwrap();
    assert_eq!(rules(&sim), [""; 0]);
    bind_image(&sim, image(&sim, &image_info(8)), memory, 0).unwrap();
    assert_eq!(rules(&sim), ["SIM-overlap"; 2]);
    sim.control().allow_aliasing(true);
    bind_buffer(&sim, buffer(&sim, 1024), memory, 0).unwrap();
    assert_eq!(rules(&sim), [""; 0]);
}

#[test]
fn no_page_has_two_kinds() {
    let sim = sim();
    let memory = allocate(&sim, 64 * PAGE, 1).unwrap();
    bind_image(&sim, image(&sim, &image_info(16)), memory, 4 * PAGE).unwrap();
    let before = buffer(&sim, 512);
    bind_buffer(&sim, before, memory, 3 * PAGE + 512).unwrap();
    assert_eq!(rules(&sim), [""; 0]);
    let linear = image(&sim, &image_info(1).tiling(vk::ImageTiling::LINEAR));
    bind_image(&sim, linear, memory, 5 * PAGE).unwrap();
    assert_eq!(rules(&sim), [""; 0]);
    let mut profile = Profile::discrete_bar256();
    profile.buffer_image_granularity = 4096;
    let coarse = SimDevice::new(profile);
    let memory = allocate(&coarse, 64 * PAGE, 1).unwrap();
    bind_image(&coarse, image(&coarse, &image_info(16)), memory, 4 * PAGE).unwrap();
    bind_buffer(&coarse, buffer(&coarse, 16), memory, 7 * PAGE).unwrap();
    assert_eq!(rules(&coarse), ["SIM-granularity"]);
    bind_buffer(&coarse, buffer(&coarse, 16), memory, 3 * PAGE).unwrap();
    bind_image(&coarse, image(&coarse, &image_info(16)), memory, 6 * PAGE).unwrap();
    assert_eq!(rules(&coarse), ["SIM-granularity"], "of the two buffers, one shares the page");
}

#[test]
fn dedicated_memory_serves_its_resource_only() {
    let mut profile = Profile::discrete_bar256();
    profile.dedicated.require_buffers_from = Some(4096);
    let sim = SimDevice::new(profile);
    let (owner, other) = (buffer(&sim, 4096), buffer(&sim, 16));
    let shared = allocate(&sim, 8192, 1).unwrap();
    bind_buffer(&sim, owner, shared, 0).unwrap();
    assert_eq!(rules(&sim), ["VUID-vkBindBufferMemory-buffer-01444"]);
    let third = buffer(&sim, 4096);
    let mut dedicated = vk::MemoryDedicatedAllocateInfo::default().buffer(third);
    let info = vk::MemoryAllocateInfo::default().allocation_size(4096).memory_type_index(1).push_next(&mut dedicated);
    // SAFETY: the device, the create-info and its chain are valid.
    let own = unsafe { sim.device().allocate_memory(&info, None) }.unwrap();
    bind_buffer(&sim, other, own, 0).unwrap();
    assert_eq!(rules(&sim), ["VUID-vkBindBufferMemory-memory-01508"]);
    destroy_buffer(&sim, other);
    bind_buffer(&sim, third, own, 0).unwrap();
    assert_eq!(rules(&sim), [""; 0]);
}

/// Where the extension is, a device of the first version requires it too; without either, nobody can know.
#[test]
fn who_can_ask_whether_memory_must_be_dedicated_must_dedicate_it() {
    let mut extended = Profile::discrete_bar256().vulkan_1_0();
    extended.device_extensions.extend([c"VK_KHR_get_memory_requirements2", c"VK_KHR_dedicated_allocation"]);
    for (profile, wanted) in [
        (Profile::discrete_bar256(), ["VUID-vkBindBufferMemory-buffer-01444"].as_slice()),
        (Profile::discrete_bar256().vulkan_1_0(), &[]),
        (extended, &["VUID-vkBindBufferMemory-buffer-01444"]),
    ] {
        let mut profile = profile;
        profile.dedicated.require_buffers_from = Some(4096);
        let sim = SimDevice::new(profile);
        let (owner, shared) = (buffer(&sim, 4096), allocate(&sim, 8192, 1).unwrap());
        bind_buffer(&sim, owner, shared, 0).unwrap();
        assert_eq!(rules(&sim), wanted);
    }
}

#[test]
fn without_the_feature_memory_needs_no_device_address() {
    let features = Profile::unified().features.without(Features::BUFFER_DEVICE_ADDRESS);
    let sim = SimDevice::builder(Profile::unified()).features(features).build().unwrap();
    let info = vk::BufferCreateInfo::default().size(64).usage(vk::BufferUsageFlags::SHADER_DEVICE_ADDRESS);
    // SAFETY: the device and the create-info are valid.
    let one = unsafe { sim.device().create_buffer(&info, None) }.unwrap();
    let memory = allocate(&sim, 64, 0).unwrap();
    bind_buffer(&sim, one, memory, 0).unwrap();
    assert_eq!(rules(&sim), [""; 0]);
}

#[test]
fn device_addresses_need_their_flag() {
    let sim = sim();
    let usage = vk::BufferUsageFlags::SHADER_DEVICE_ADDRESS;
    let info = vk::BufferCreateInfo::default().size(256).usage(usage);
    // SAFETY: the device and the create-info are valid.
    let addressed = unsafe { sim.device().create_buffer(&info, None) }.unwrap();
    let address_of = |buffer| {
        let info = vk::BufferDeviceAddressInfo::default().buffer(buffer);
        // SAFETY: a wrong buffer is the driver's to find.
        unsafe { sim.device().get_buffer_device_address(&info) }
    };
    assert_eq!(address_of(addressed), 0);
    assert_eq!(rules(&sim), ["VUID-VkBufferDeviceAddressInfo-buffer-02600"]);
    let plain = allocate(&sim, 4096, 1).unwrap();
    bind_buffer(&sim, addressed, plain, 256).unwrap();
    assert_eq!(rules(&sim), ["VUID-vkBindBufferMemory-bufferDeviceAddress-03339"]);
    assert_eq!(address_of(addressed) % 4096, 256);
    let without = buffer(&sim, 16);
    bind_buffer(&sim, without, plain, 0).unwrap();
    address_of(without);
    assert_eq!(rules(&sim), ["VUID-VkBufferDeviceAddressInfo-buffer-02601"]);
    free(&sim, plain);
    assert_eq!(sim.control().bound_frees(), 1);
    assert_eq!(address_of(addressed), 0);
    assert_eq!(rules(&sim), ["VUID-VkBufferDeviceAddressInfo-buffer-02600"]);
}

#[test]
fn sparse_disjoint_and_protected_resources_have_rules_of_their_own() {
    let features = Features::SPARSE_BINDING | Features::PROTECTED_MEMORY;
    let sim = SimDevice::builder(Profile::noncoherent()).with_features(features).build().unwrap();
    let (plain, protected) = (allocate(&sim, 1 << 20, 0).unwrap(), allocate(&sim, 1 << 20, 5).unwrap());
    let sparse = image(&sim, &image_info(8).flags(vk::ImageCreateFlags::SPARSE_BINDING));
    assert!(bind_image(&sim, sparse, plain, 0).is_err());
    assert_eq!(rules(&sim), ["VUID-vkBindImageMemory-image-01045"]);
    let disjoint = image(&sim, &image_info(8).flags(vk::ImageCreateFlags::DISJOINT));
    bind_image(&sim, disjoint, plain, 0).unwrap();
    assert_eq!(rules(&sim), ["VUID-vkBindImageMemory-image-01608"]);
    let secret = image(&sim, &image_info(8).flags(vk::ImageCreateFlags::PROTECTED));
    bind_image(&sim, secret, plain, 65536).unwrap();
    assert_eq!(rules(&sim), ["VUID-vkBindImageMemory-memory-01047", "VUID-vkBindImageMemory-None-01901"]);
    bind_image(&sim, image(&sim, &image_info(8)), protected, 0).unwrap();
    assert_eq!(rules(&sim), ["VUID-vkBindImageMemory-memory-01047", "VUID-vkBindImageMemory-None-01902"]);
}

#[test]
fn wrong_buffers_are_recorded() {
    let sim = sim();
    let create = |info: vk::BufferCreateInfo<'_>| {
        // SAFETY: wrong on purpose, the driver's to find.
        destroy_buffer(&sim, unsafe { sim.device().create_buffer(&info, None) }.unwrap());
        rules(&sim)
    };
    let right = vk::BufferCreateInfo::default().size(16).usage(vk::BufferUsageFlags::TRANSFER_SRC);
    assert_eq!(create(right), [""; 0]);
    assert_eq!(create(right.size(0)), ["VUID-VkBufferCreateInfo-size-00912"]);
    assert_eq!(create(right.size(u64::MAX)), ["VUID-VkBufferCreateInfo-size-06409"]);
    assert_eq!(create(right.usage(vk::BufferUsageFlags::empty())), ["VUID-VkBufferCreateInfo-usage-requiredbitmask"]);
    assert_eq!(create(right.flags(vk::BufferCreateFlags::SPARSE_BINDING)), ["VUID-VkBufferCreateInfo-flags-00915"]);
    assert_eq!(create(right.flags(vk::BufferCreateFlags::PROTECTED)), ["VUID-VkBufferCreateInfo-flags-01887"]);
}

#[test]
fn wrong_images_are_recorded() {
    let sim = sim();
    let create = |info: vk::ImageCreateInfo<'_>| {
        // SAFETY: wrong on purpose, the driver's to find.
        if let Ok(image) = unsafe { sim.device().create_image(&info, None) } {
            destroy_image(&sim, image);
        }
        rules(&sim)
    };
    let right = image_info(8);
    let extent = |width, height, depth| right.extent(vk::Extent3D { width, height, depth });
    assert_eq!(create(right), [""; 0]);
    assert_eq!(create(extent(0, 8, 1)), ["VUID-VkImageCreateInfo-extent-00944"]);
    assert_eq!(create(extent(8, 0, 1)), ["VUID-VkImageCreateInfo-extent-00945"]);
    assert_eq!(create(extent(8, 8, 0)), ["VUID-VkImageCreateInfo-extent-00946"]);
    assert_eq!(create(right.mip_levels(0)), ["VUID-VkImageCreateInfo-mipLevels-00947"]);
    assert_eq!(create(right.array_layers(0)), ["VUID-VkImageCreateInfo-arrayLayers-00948"]);
    assert_eq!(create(right.mip_levels(5)), ["VUID-VkImageCreateInfo-mipLevels-00958"]);
    assert_eq!(create(right.usage(vk::ImageUsageFlags::empty())), ["VUID-VkImageCreateInfo-usage-requiredbitmask"]);
    assert_eq!(create(right.flags(vk::ImageCreateFlags::SPARSE_BINDING)), ["VUID-VkImageCreateInfo-flags-00969"]);
    assert_eq!(create(right.flags(vk::ImageCreateFlags::PROTECTED)), ["VUID-VkImageCreateInfo-flags-01890"]);
}
