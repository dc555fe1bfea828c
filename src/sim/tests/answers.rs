//! What is asked of a device that is gone.

use super::super::{Profile, SimDevice};
use super::rules;
use ash::vk;

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
