//! What is asked about resources that do not exist, or of a device that is gone.

use super::super::{Profile, SimDevice};
use super::{image, image_info, rules};
use ash::vk;

#[test]
fn buffers_asked_about_ahead_are_judged_like_those_made() {
    let sim = SimDevice::new(Profile::unified());
    let ask = |info: vk::BufferCreateInfo<'_>| {
        let (about, mut answer) = (vk::DeviceBufferMemoryRequirements::default(), vk::MemoryRequirements2::default());
        // SAFETY: the device and the structures are valid; a wrong buffer is the driver's to find.
        unsafe { sim.device().get_device_buffer_memory_requirements(&about.create_info(&info), &mut answer) };
        rules(&sim)
    };
    let right = vk::BufferCreateInfo::default().size(16).usage(vk::BufferUsageFlags::TRANSFER_SRC);
    assert_eq!(ask(right), [""; 0]);
    assert_eq!(ask(right.size(0)), ["VUID-VkBufferCreateInfo-size-00912"]);
    assert_eq!(ask(right.size(u64::MAX)), ["VUID-VkBufferCreateInfo-size-06409"]);
    assert_eq!(ask(right.usage(vk::BufferUsageFlags::empty())), ["VUID-VkBufferCreateInfo-usage-requiredbitmask"]);
}

#[test]
fn images_asked_about_ahead_are_judged_like_those_made() {
    let sim = SimDevice::new(Profile::unified());
    let ask = |info: vk::ImageCreateInfo<'_>| {
        let (about, mut answer) = (vk::DeviceImageMemoryRequirements::default(), vk::MemoryRequirements2::default());
        // SAFETY: the device and the structures are valid; a wrong image is the driver's to find.
        unsafe { sim.device().get_device_image_memory_requirements(&about.create_info(&info), &mut answer) };
        rules(&sim)
    };
    assert_eq!(ask(image_info(8)), [""; 0]);
    assert_eq!(ask(image_info(8).mip_levels(0)), ["VUID-VkImageCreateInfo-mipLevels-00947"]);
}

#[test]
fn disjoint_images_are_asked_about_by_plane() {
    let sim = SimDevice::new(Profile::unified());
    let device = sim.device();
    let planes = image_info(8).format(vk::Format::G8_B8R8_2PLANE_420_UNORM);
    let disjoint = planes.flags(vk::ImageCreateFlags::DISJOINT);
    let picture = image(&sim, &disjoint);
    let mut answer = vk::MemoryRequirements2::default();
    // SAFETY: wrong on purpose, the driver's to find; so it is below.
    let _ = unsafe { device.get_image_memory_requirements(picture) };
    let whole = vk::ImageMemoryRequirementsInfo2::default().image(picture);
    // SAFETY: as above.
    unsafe { device.get_image_memory_requirements2(&whole, &mut answer) };
    let ahead = vk::DeviceImageMemoryRequirements::default().create_info(&disjoint);
    // SAFETY: as above.
    unsafe { device.get_device_image_memory_requirements(&ahead, &mut answer) };
    let expected = [
        "VUID-vkGetImageMemoryRequirements-image-01588",
        "VUID-VkImageMemoryRequirementsInfo2-image-01589",
        "VUID-VkDeviceImageMemoryRequirements-pCreateInfo-06417",
    ];
    assert_eq!(rules(&sim), expected);
    let mut plane = vk::ImagePlaneMemoryRequirementsInfo::default().plane_aspect(vk::ImageAspectFlags::PLANE_0);
    let by_plane = whole.push_next(&mut plane);
    // SAFETY: device, image and structures are valid; so they are below.
    unsafe { device.get_image_memory_requirements2(&by_plane, &mut answer) };
    let by_plane = ahead.plane_aspect(vk::ImageAspectFlags::PLANE_1);
    // SAFETY: as above.
    unsafe { device.get_device_image_memory_requirements(&by_plane, &mut answer) };
    let joint = vk::DeviceImageMemoryRequirements::default().create_info(&planes);
    // SAFETY: as above.
    unsafe { device.get_device_image_memory_requirements(&joint, &mut answer) };
    assert_eq!(rules(&sim), [""; 0]);
}

/// Bindings read what a function without a result was to write, whatever happened.
#[test]
fn a_device_that_is_gone_answers_something() {
    let sim = SimDevice::new(Profile::unified());
    let info = vk::DeviceCreateInfo::default();
    // SAFETY: the physical device and the create-info are valid.
    let gone = unsafe { sim.instance().create_device(sim.physical_device(), &info, None) }.unwrap();
    // SAFETY: nothing uses it.
    unsafe { gone.destroy_device(None) };
    let (functions, device) = (gone.fp_v1_0(), gone.handle());
    let mut needs = vk::MemoryRequirements::default().size(7);
    // SAFETY: wrong on purpose, the driver's to find; so it is below.
    unsafe { (functions.get_buffer_memory_requirements)(device, vk::Buffer::null(), &raw mut needs) };
    assert_eq!(core::mem::replace(&mut needs.size, 7), 0);
    // SAFETY: as above.
    unsafe { (functions.get_image_memory_requirements)(device, vk::Image::null(), &raw mut needs) };
    assert_eq!(needs.size, 0);
    let (part, mut layout) = (vk::ImageSubresource::default(), vk::SubresourceLayout { size: 7, ..Default::default() });
    // SAFETY: as above.
    unsafe { (functions.get_image_subresource_layout)(device, vk::Image::null(), &raw const part, &raw mut layout) };
    assert_eq!(layout.size, 0);
    let mut committed = 7;
    // SAFETY: as above.
    unsafe { (functions.get_device_memory_commitment)(device, vk::DeviceMemory::null(), &raw mut committed) };
    assert_eq!(committed, 0);
    let mut queue = sim.queue();
    // SAFETY: as above.
    unsafe { (functions.get_device_queue)(device, 0, 0, &raw mut queue) };
    assert_eq!(queue, vk::Queue::null());
    assert_eq!(rules(&sim), ["VUID-vkDestroyDevice-device-parameter"; 5]);
}
