//! Which names resolve, and that every one that does is callable through `ash`.

use super::super::{Features, Function, Profile, SimDevice};
use ash::vk;
use std::ffi::CStr;

fn resolves_on_device(sim: &SimDevice, name: &CStr) -> bool {
    let get = sim.instance().fp_v1_0().get_device_proc_addr;
    // SAFETY: the device is valid and the name is a C string.
    unsafe { get(sim.device().handle(), name.as_ptr()) }.is_some()
}

fn resolves_on_instance(sim: &SimDevice, name: &CStr) -> bool {
    // SAFETY: the instance is valid and the name is a C string.
    unsafe { sim.entry().get_instance_proc_addr(sim.instance().handle(), name.as_ptr()) }.is_some()
}

#[test]
fn undeclared_functions_are_null() {
    let full = SimDevice::new(Profile::unified());
    let bare = SimDevice::builder(Profile::unified().vulkan_1_0()).instance_extensions(&[]).build().unwrap();
    for name in [
        c"vkBindBufferMemory2",
        c"vkBindBufferMemory2KHR",
        c"vkGetBufferDeviceAddress",
        c"vkMapMemory2KHR",
        c"vkQueueSubmit2",
    ] {
        assert!(resolves_on_device(&full, name), "{name:?}");
        assert!(!resolves_on_device(&bare, name), "{name:?}");
    }
    for name in [c"vkGetPhysicalDeviceMemoryProperties2", c"vkGetPhysicalDeviceMemoryProperties2KHR"] {
        assert!(resolves_on_instance(&full, name), "{name:?}");
        assert!(!resolves_on_instance(&bare, name), "{name:?}");
    }
    assert!(resolves_on_device(&bare, c"vkAllocateMemory"));
    assert!(!resolves_on_device(&full, c"vkGetPhysicalDeviceProperties"), "not a device function");
    assert!(!resolves_on_device(&full, c"vkNoSuchFunction"));
    assert!(!resolves_on_instance(&full, c"vkCreateInstance"), "a global function");
}

#[test]
fn vulkan_1_0_with_extensions_has_their_names_only() {
    let mut profile = Profile::unified();
    profile.api_version = vk::API_VERSION_1_0;
    let sim = SimDevice::new(profile);
    assert!(!resolves_on_device(&sim, c"vkGetBufferMemoryRequirements2"));
    assert!(resolves_on_device(&sim, c"vkGetBufferMemoryRequirements2KHR"));
    assert!(!resolves_on_device(&sim, c"vkGetDeviceBufferMemoryRequirements"));
    assert!(resolves_on_device(&sim, c"vkGetDeviceBufferMemoryRequirementsKHR"));
}

#[test]
fn every_core_name_of_the_list_is_in_the_table() {
    let mut profile = Profile::unified();
    profile.device_extensions.push(c"VK_EXT_buffer_device_address");
    let sim = SimDevice::new(profile);
    for function in Function::ALL {
        let name = std::ffi::CString::new(function.name()).unwrap();
        // SAFETY: the null instance is allowed for global functions.
        let is_global = unsafe { sim.entry().get_instance_proc_addr(vk::Instance::null(), name.as_ptr()) }.is_some();
        assert!(is_global || resolves_on_instance(&sim, &name), "{function}");
        assert_eq!(Function::by_name(function.name()), Some(*function));
    }
}

#[test]
fn properties_are_the_profiles() {
    let sim = SimDevice::new(Profile::noncoherent());
    let (instance, physical_device) = (sim.instance(), sim.physical_device());
    let mut maintenance3 = vk::PhysicalDeviceMaintenance3Properties::default();
    let mut maintenance4 = vk::PhysicalDeviceMaintenance4Properties::default();
    let mut v11 = vk::PhysicalDeviceVulkan11Properties::default();
    let mut driver = vk::PhysicalDeviceDriverProperties::default();
    let mut properties = vk::PhysicalDeviceProperties2::default()
        .push_next(&mut maintenance3)
        .push_next(&mut maintenance4)
        .push_next(&mut v11)
        .push_next(&mut driver);
    // SAFETY: the physical device is of this instance.
    unsafe { instance.get_physical_device_properties2(physical_device, &mut properties) };
    let limits = properties.properties.limits;
    assert_eq!((limits.buffer_image_granularity, limits.non_coherent_atom_size), (65536, 256));
    assert_eq!(maintenance3.max_memory_allocation_size, v11.max_memory_allocation_size);
    assert_eq!(maintenance4.max_buffer_size, 1 << 30);
    assert_eq!(driver.driver_id, vk::DriverId::ARM_PROPRIETARY);
    // SAFETY: as above.
    let memory = unsafe { instance.get_physical_device_memory_properties(physical_device) };
    assert_eq!((memory.memory_type_count, memory.memory_heap_count), (6, 2));
    let mut protected = vk::PhysicalDeviceProtectedMemoryFeatures::default();
    let mut features = vk::PhysicalDeviceFeatures2::default().push_next(&mut protected);
    // SAFETY: as above.
    unsafe { instance.get_physical_device_features2(physical_device, &mut features) };
    assert_eq!(protected.protected_memory, vk::TRUE);
    // SAFETY: as above.
    let families = unsafe { instance.get_physical_device_queue_family_properties(physical_device) };
    assert_eq!(families.len(), 2);
    // SAFETY: as above.
    let extensions = unsafe { instance.enumerate_device_extension_properties(physical_device) }.unwrap();
    assert!(extensions.iter().any(|extension| extension.extension_name_as_c_str() == Ok(c"VK_EXT_memory_budget")));
}

#[test]
fn formats_are_answered() {
    let sim = SimDevice::new(Profile::unified());
    let ask = |format, tiling| {
        let usage = vk::ImageUsageFlags::SAMPLED;
        let (ty, flags) = (vk::ImageType::TYPE_2D, vk::ImageCreateFlags::empty());
        // SAFETY: the physical device is of this instance.
        unsafe {
            sim.instance().get_physical_device_image_format_properties(
                sim.physical_device(),
                format,
                ty,
                tiling,
                usage,
                flags,
            )
        }
    };
    assert!(ask(vk::Format::R8G8B8A8_UNORM, vk::ImageTiling::OPTIMAL).is_ok());
    assert!(ask(vk::Format::D32_SFLOAT, vk::ImageTiling::LINEAR).is_err());
    // SAFETY: as above.
    let properties =
        unsafe { sim.instance().get_physical_device_format_properties(sim.physical_device(), vk::Format::D32_SFLOAT) };
    assert!(properties.optimal_tiling_features.contains(vk::FormatFeatureFlags::DEPTH_STENCIL_ATTACHMENT));
}

#[test]
fn requirements_without_a_resource_are_those_with_one() {
    let sim = SimDevice::new(Profile::discrete_bar256());
    let info = super::image_info(600).usage(vk::ImageUsageFlags::COLOR_ATTACHMENT);
    let ask = vk::DeviceImageMemoryRequirements::default().create_info(&info);
    let (mut before, mut after) =
        (vk::MemoryDedicatedRequirements::default(), vk::MemoryDedicatedRequirements::default());
    let mut early = vk::MemoryRequirements2::default().push_next(&mut before);
    // SAFETY: the device and the structures are valid.
    unsafe {
        sim.device().get_device_image_memory_requirements(&ask, &mut early);
    };
    let image = super::image(&sim, &info);
    let mut late = vk::MemoryRequirements2::default().push_next(&mut after);
    // SAFETY: as above.
    unsafe {
        sim.device()
            .get_image_memory_requirements2(&vk::ImageMemoryRequirementsInfo2::default().image(image), &mut late);
    };
    let (early, late) = (early.memory_requirements, late.memory_requirements);
    assert_eq!(
        (early.size, early.alignment, early.memory_type_bits),
        (late.size, late.alignment, late.memory_type_bits)
    );
    // SAFETY: as above.
    let plain = unsafe { sim.device().get_image_memory_requirements(image) };
    assert_eq!(plain.size, late.size);
    assert_eq!((before.prefers_dedicated_allocation, after.prefers_dedicated_allocation), (vk::TRUE, vk::TRUE));
    super::destroy_image(&sim, image);
    // SAFETY: wrong on purpose, the driver's to find.
    let gone = unsafe { sim.device().get_image_memory_requirements(image) };
    assert_eq!((gone.size, super::rules(&sim)), (0, vec!["VUID-vkGetImageMemoryRequirements-image-parameter"]));
}

#[test]
fn some_images_have_no_requirements_before_they_exist() {
    let sim = SimDevice::new(Profile::discrete_rebar());
    let ask = |info: &vk::ImageCreateInfo<'_>| {
        let (about, mut answer) = (vk::DeviceImageMemoryRequirements::default(), vk::MemoryRequirements2::default());
        // SAFETY: the device and the structures are valid; a wrong chain is the driver's to find.
        unsafe { sim.device().get_device_image_memory_requirements(&about.create_info(info), &mut answer) };
        super::rules(&sim)
    };
    let mut swapchain = vk::ImageSwapchainCreateInfoKHR::default();
    let mut explicit = vk::ImageDrmFormatModifierExplicitCreateInfoEXT::default();
    let mut list = vk::ImageDrmFormatModifierListCreateInfoEXT::default().drm_format_modifiers(&[0]);
    let info = super::image_info(64);
    assert_eq!(ask(&info.push_next(&mut swapchain)), ["VUID-VkDeviceImageMemoryRequirements-pCreateInfo-06416"]);
    let drm = info.tiling(vk::ImageTiling::DRM_FORMAT_MODIFIER_EXT);
    assert_eq!(ask(&drm.push_next(&mut explicit)), ["VUID-VkDeviceImageMemoryRequirements-pCreateInfo-06776"]);
    assert_eq!(ask(&drm.push_next(&mut list)), [""; 0], "a list is no layout");
}

#[test]
fn linear_images_tell_their_layout() {
    let sim = SimDevice::new(Profile::unified());
    let linear = super::image(&sim, &super::image_info(10).tiling(vk::ImageTiling::LINEAR));
    let part = vk::ImageSubresource { aspect_mask: vk::ImageAspectFlags::COLOR, mip_level: 0, array_layer: 0 };
    // SAFETY: the device and the image are valid.
    let layout = unsafe { sim.device().get_image_subresource_layout(linear, part) };
    assert_eq!((layout.row_pitch, layout.size), (64, 640));
    let optimal = super::image(&sim, &super::image_info(10));
    // SAFETY: wrong on purpose, the driver's to find.
    let _ =
        unsafe { sim.device().get_image_subresource_layout(optimal, vk::ImageSubresource { mip_level: 3, ..part }) };
    let expected = ["VUID-vkGetImageSubresourceLayout-image-07790", "VUID-vkGetImageSubresourceLayout-mipLevel-01716"];
    assert_eq!(super::rules(&sim), expected);
}

#[test]
fn features_have_names() {
    assert_eq!(
        format!("{:?}", Features::PROTECTED_MEMORY | Features::MAINTENANCE4),
        r#"{"protectedMemory", "maintenance4"}"#
    );
}
