//! What the creation of resources cannot serve: refused with what to use instead, before anything is created.

mod common;

use ash::vk;
use ash::vk::Handle;
use common::{Rig, buffer_info, image_info, linear, state_of};
use freestone::sim::{self, Profile, SimDevice};
use freestone::{AllocationCreateInfo, AllocationError, AllocationRequirements, DeviceAddress, Features};

/// Checks that an attempt was refused, that the driver was not called, and that the answer names a way out.
#[track_caller]
fn assert_refused<T>(attempt: impl Fn(&Rig) -> Result<T, AllocationError>, named: &str) {
    for profile in Profile::all() {
        let name = profile.name.clone();
        let vulkan =
            SimDevice::builder(profile).with_features(sim::Features::SPARSE_BINDING).build().expect("a device");
        // Nothing is declared but what the version brings.
        let rig = Rig::with(vulkan, |info| info.features(Features::default()));
        let before = (state_of(&rig), rig.control().total_calls());
        match attempt(&rig).map(drop) {
            Err(AllocationError::Unsupported { what, use_instead }) => {
                assert!(what.contains(named), "{what:?} does not name {named:?}");
                assert!(use_instead.len() > 20, "{use_instead:?} helps nobody");
            }
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!((state_of(&rig), rig.control().total_calls()), before, "{name}: nothing was created");
        rig.finish();
    }
}

fn refuse_buffer(info: &vk::BufferCreateInfo<'_>, named: &str) {
    let gpu_only = AllocationCreateInfo::gpu_only();
    // SAFETY: the create-info and its chain are valid; nothing is submitted.
    assert_refused(|rig| unsafe { rig.create_buffer(info, &gpu_only) }, named);
    // SAFETY: as above.
    assert_refused(|rig| unsafe { rig.requirements_of_buffer(info) }, named);
}

fn refuse_image(info: &vk::ImageCreateInfo<'_>, named: &str) {
    let gpu_only = AllocationCreateInfo::gpu_only();
    // SAFETY: the create-info and its chain are valid; nothing is submitted.
    assert_refused(|rig| unsafe { rig.create_image(info, &gpu_only) }, named);
    // SAFETY: as above.
    assert_refused(|rig| unsafe { rig.requirements_of_image(info) }, named);
}

#[test]
fn sparse_buffers() {
    let sparse = vk::BufferCreateFlags::SPARSE_BINDING;
    refuse_buffer(&buffer_info(100).flags(sparse), "sparse buffer");
    refuse_buffer(&buffer_info(100).flags(sparse | vk::BufferCreateFlags::SPARSE_RESIDENCY), "sparse buffer");
}

#[test]
fn sparse_images() {
    refuse_image(&image_info(64).flags(vk::ImageCreateFlags::SPARSE_BINDING), "sparse image");
}

#[test]
fn disjoint_images() {
    let planes = vk::Format::G8_B8_R8_3PLANE_420_UNORM;
    refuse_image(&image_info(64).format(planes).flags(vk::ImageCreateFlags::DISJOINT), "disjoint image");
}

#[test]
fn swapchain_images() {
    // The handle is looked at, never used.
    let mut swapchain = vk::ImageSwapchainCreateInfoKHR::default().swapchain(vk::SwapchainKHR::from_raw(1));
    refuse_image(&image_info(64).push_next(&mut swapchain), "swapchain image");
}

/// Their memory must be allocated for capture and replay too
/// (VUID-vkBindBufferMemory-bufferDeviceAddressCaptureReplay-09200, VUID-vkBindBufferMemory-buffer-09201,
/// VUID-vkBindImageMemory-image-09202).
#[test]
fn resources_for_capture_and_replay() {
    let described = vk::ImageCreateFlags::DESCRIPTOR_BUFFER_CAPTURE_REPLAY_EXT;
    refuse_image(&image_info(64).flags(described), "capture and replay");
    let described = vk::BufferCreateFlags::DESCRIPTOR_BUFFER_CAPTURE_REPLAY_EXT;
    refuse_buffer(&buffer_info(100).flags(described), "capture and replay");
    let addressed = buffer_info(100).usage(vk::BufferUsageFlags::SHADER_DEVICE_ADDRESS);
    let replayed = addressed.flags(vk::BufferCreateFlags::DEVICE_ADDRESS_CAPTURE_REPLAY);
    refuse_buffer(&replayed, "capture and replay");
    // The feature that addresses need does not help.
    let rig = Rig::new(Profile::unified());
    // SAFETY: the create-info is valid; nothing is submitted.
    let refused = unsafe { rig.create_buffer(&replayed, &AllocationCreateInfo::gpu_only()) };
    assert!(matches!(refused, Err(AllocationError::Unsupported { .. })), "{refused:?}");
    rig.finish();
}

#[test]
fn external_buffers() {
    let handle_types = vk::ExternalMemoryHandleTypeFlags::OPAQUE_FD;
    let mut external = vk::ExternalMemoryBufferCreateInfo::default().handle_types(handle_types);
    refuse_buffer(&buffer_info(100).push_next(&mut external), "external memory");
}

#[test]
fn external_images() {
    let handle_types = vk::ExternalMemoryHandleTypeFlags::DMA_BUF_EXT;
    let mut external = vk::ExternalMemoryImageCreateInfo::default().handle_types(handle_types);
    refuse_image(&image_info(64).push_next(&mut external), "external memory");
    let handle_types = vk::ExternalMemoryHandleTypeFlagsNV::OPAQUE_WIN32;
    let mut external = vk::ExternalMemoryImageCreateInfoNV::default().handle_types(handle_types);
    refuse_image(&image_info(64).push_next(&mut external), "external memory");
}

/// Their memory must be dedicated to them by the extension's own structure (VUID-vkBindBufferMemory-buffer-01038,
/// VUID-vkBindImageMemory-image-01050).
#[test]
fn resources_dedicated_by_the_older_extension() {
    let mut dedicated = vk::DedicatedAllocationBufferCreateInfoNV::default().dedicated_allocation(true);
    refuse_buffer(&buffer_info(100).push_next(&mut dedicated), "VK_NV_dedicated_allocation");
    let mut dedicated = vk::DedicatedAllocationImageCreateInfoNV::default().dedicated_allocation(true);
    refuse_image(&image_info(64).push_next(&mut dedicated), "VK_NV_dedicated_allocation");
}

#[test]
fn protected_buffers_without_the_feature() {
    refuse_buffer(&buffer_info(100).flags(vk::BufferCreateFlags::PROTECTED), "protected");
}

#[test]
fn protected_images_without_the_feature() {
    refuse_image(&image_info(64).flags(vk::ImageCreateFlags::PROTECTED), "protected");
}

#[test]
fn buffers_with_a_device_address_without_the_feature() {
    let usage = vk::BufferUsageFlags::SHADER_DEVICE_ADDRESS;
    refuse_buffer(&buffer_info(100).usage(usage), "device address");
    let mut usage2 =
        vk::BufferUsageFlags2CreateInfoKHR::default().usage(vk::BufferUsageFlags2KHR::SHADER_DEVICE_ADDRESS);
    refuse_buffer(&buffer_info(100).push_next(&mut usage2), "device address");
}

/// An empty external structure, a null swapchain, and a dedication that is false ask for nothing.
#[test]
fn structures_that_ask_for_nothing_are_no_obstacle() {
    let rig = Rig::new(Profile::discrete_rebar());
    let mut external = vk::ExternalMemoryImageCreateInfo::default();
    let mut swapchain = vk::ImageSwapchainCreateInfoKHR::default();
    let mut dedicated = vk::DedicatedAllocationImageCreateInfoNV::default();
    let info = image_info(64).push_next(&mut external).push_next(&mut swapchain).push_next(&mut dedicated);
    // SAFETY: the create-info is valid; nothing is submitted.
    let (image, memory) = unsafe { rig.create_image(&info, &AllocationCreateInfo::gpu_only()) }.expect("an image");
    // SAFETY: the GPU has never seen it.
    unsafe { rig.destroy_image(image, memory) }.expect("it is alive");
    rig.finish();
}

/// With the feature declared, protected resources get protected memory and nothing else does.
#[test]
fn protected_resources_with_the_feature_get_protected_memory() {
    let builder = SimDevice::builder(Profile::noncoherent()).with_features(sim::Features::PROTECTED_MEMORY);
    let rig = Rig::with(builder.build().expect("a device"), |info| info);
    let info = AllocationCreateInfo::gpu_only();
    let image_info = image_info(64).flags(vk::ImageCreateFlags::PROTECTED);
    // SAFETY: the create-info is valid; nothing is submitted.
    let (image, memory) = unsafe { rig.create_image(&image_info, &info) }.expect("an image");
    assert_eq!(memory.memory_type_index(), 5);
    let plain = rig.allocate(&linear(100), &info).expect("there is memory");
    assert_ne!(plain.memory_type_index(), 5, "never by accident");
    rig.free(plain).expect("it is alive");
    // SAFETY: the GPU has never seen it.
    unsafe { rig.destroy_image(image, memory) }.expect("it is alive");
    rig.finish();
}

#[test]
fn memory_with_an_address_where_the_device_gives_none() {
    let gpu_only = AllocationCreateInfo::gpu_only();
    let addressed = AllocationRequirements { device_address: DeviceAddress::Needed, ..linear(100) };
    assert_refused(|rig| rig.allocate(&addressed, &gpu_only), "a device address");
    // Where the like of it is served the short way.
    let rig = Rig::with(SimDevice::new(Profile::unified()), |info| info.features(Features::default()));
    let held = rig.allocate(&linear(100), &gpu_only).expect("there is memory");
    let refused = rig.allocate(&addressed, &gpu_only);
    assert!(matches!(refused, Err(AllocationError::Unsupported { .. })), "{refused:?}");
    rig.free(held).expect("it is alive");
    rig.finish();
}
