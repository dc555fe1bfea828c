//! Buffers and images: what they need, and binding it.

use super::*;

fn buffer_info(usage: vk::BufferUsageFlags) -> vk::BufferCreateInfo<'static> {
    vk::BufferCreateInfo::default().size(3 * MIB).usage(usage)
}

fn image_info() -> vk::ImageCreateInfo<'static> {
    vk::ImageCreateInfo::default()
        .image_type(vk::ImageType::TYPE_2D)
        .format(vk::Format::R8G8B8A8_UNORM)
        .extent(vk::Extent3D { width: 1024, height: 1024, depth: 1 })
        .mip_levels(1)
        .array_layers(1)
        .samples(vk::SampleCountFlags::TYPE_1)
        .usage(vk::ImageUsageFlags::COLOR_ATTACHMENT)
}

/// Allocates what the resource needs in the first type that is allowed, and dedicates it if asked to.
fn allocate_for(device: &Device, needs: &Requirements, dedicated: Option<DedicatedFor>) -> Memory {
    let memory_type_index = needs.memory_type_bits.trailing_zeros();
    device.allocate_memory(&MemoryRequest { dedicated, ..MemoryRequest::new(needs.size, memory_type_index) }).unwrap()
}

#[test]
fn a_buffer_lives_and_dies() {
    let sim = SimDevice::new(Profile::discrete_bar256());
    let device = declare(&sim, NO_FEATURES);
    // SAFETY: the create-info is complete and points to nothing.
    let buffer = unsafe { device.create_buffer(&buffer_info(vk::BufferUsageFlags::VERTEX_BUFFER)) }.unwrap();
    // SAFETY: the buffer is alive.
    let needs = unsafe { device.buffer_requirements(buffer) };
    assert!(needs.size >= 3 * MIB && needs.alignment.is_power_of_two());
    // SAFETY: the buffer is alive and the size is what it requires.
    let dedicated = unsafe { DedicatedFor::buffer(buffer) };
    let memory = allocate_for(&device, &needs, Some(dedicated));
    assert_eq!(sim.memory_objects()[0].dedicated_to, Some((sim::ObjectKind::Buffer, buffer.as_raw())));
    // SAFETY: both are alive, the buffer is unbound, and the memory was made for it.
    unsafe { device.bind_buffer_memory(buffer, memory.handle(), 0) }.unwrap();
    // SAFETY: no GPU work was submitted.
    unsafe { device.destroy_buffer(buffer) };
    device.free_memory(memory);
    drop(device);
    assert!(sim.finish().is_empty());
}

#[test]
fn an_image_lives_and_dies() {
    let sim = SimDevice::new(Profile::discrete_bar256());
    let device = declare(&sim, NO_FEATURES);
    // SAFETY: the create-info is complete and points to nothing.
    let image = unsafe { device.create_image(&image_info()) }.unwrap();
    // SAFETY: the image is alive and not disjoint.
    let needs = unsafe { device.image_requirements(image) };
    assert_eq!(needs.dedicated, DedicatedPreference::Preferred, "the profile prefers it for large attachments");
    // SAFETY: the image is alive and the size is what it requires.
    let dedicated = unsafe { DedicatedFor::image(image) };
    let memory = allocate_for(&device, &needs, Some(dedicated));
    assert_eq!(sim.memory_objects()[0].dedicated_to, Some((sim::ObjectKind::Image, image.as_raw())));
    // SAFETY: both are alive, the image is unbound, and the memory was made for it.
    unsafe { device.bind_image_memory(image, memory.handle(), 0) }.unwrap();
    // SAFETY: no GPU work was submitted.
    unsafe { device.destroy_image(image) };
    device.free_memory(memory);
    drop(device);
    assert!(sim.finish().is_empty());
}

#[test]
fn vulkan_1_0_has_no_wish_for_dedicated_memory() {
    let sim = vulkan_1_0(&[]).instance_extensions(&[]).build().unwrap();
    let device = declare(&sim, NO_FEATURES);
    // SAFETY: the create-info is complete and points to nothing.
    let image = unsafe { device.create_image(&image_info()) }.unwrap();
    // SAFETY: the image is alive and not disjoint.
    let needs = unsafe { device.image_requirements(image) };
    assert_eq!(needs.dedicated, DedicatedPreference::None);
    // SAFETY: the image is alive and the size is what it requires.
    let dedicated = unsafe { DedicatedFor::image(image) };
    let memory = allocate_for(&device, &needs, Some(dedicated));
    assert_eq!(sim.memory_objects()[0].dedicated_to, None, "the structure is unknown there and left out");
    // SAFETY: no GPU work was submitted.
    unsafe { device.destroy_image(image) };
    device.free_memory(memory);
    sim.control().assert_clean();
}

/// The same question by every way that Vulkan has to ask it.
#[test]
fn requirements_are_the_same_however_they_are_asked_for() {
    let features = Features { dedicated_allocation: true, maintenance4: true, ..NO_FEATURES };
    let mut extensions = KHR.to_vec();
    extensions.extend([c"VK_KHR_maintenance4"]);
    let mut profile = Profile::discrete_bar256().vulkan_1_0();
    profile.device_extensions.extend(extensions);
    profile.features = sim::Features::MAINTENANCE4;
    for (sim, features) in
        [(SimDevice::new(profile), features), (SimDevice::new(Profile::discrete_bar256()), NO_FEATURES)]
    {
        let device = declare(&sim, features);
        let info = buffer_info(vk::BufferUsageFlags::STORAGE_BUFFER);
        // SAFETY: the create-info is complete and points to nothing.
        let future = unsafe { device.future_buffer_requirements(&info) };
        // SAFETY: as above.
        let buffer = unsafe { device.create_buffer(&info) }.unwrap();
        // SAFETY: the buffer is alive.
        assert_eq!(future, Some(unsafe { device.buffer_requirements(buffer) }));
        // SAFETY: the create-info is complete and points to nothing.
        let future = unsafe { device.future_image_requirements(&image_info()) };
        // SAFETY: as above.
        let image = unsafe { device.create_image(&image_info()) }.unwrap();
        // SAFETY: the image is alive and not disjoint.
        assert_eq!(future, Some(unsafe { device.image_requirements(image) }));
        // SAFETY: no GPU work was submitted.
        unsafe { device.destroy_image(image) };
        // SAFETY: no GPU work was submitted.
        unsafe { device.destroy_buffer(buffer) };
        drop(device);
        assert!(sim.finish().is_empty());
    }
}

#[test]
fn requirements_of_the_future_need_vulkan_1_3() {
    let sim = SimDevice::builder(Profile::unified()).api_version(vk::API_VERSION_1_2).build().unwrap();
    let device = declare(&sim, NO_FEATURES);
    // SAFETY: the create-info is complete and points to nothing.
    let answer = unsafe { device.future_buffer_requirements(&buffer_info(vk::BufferUsageFlags::VERTEX_BUFFER)) };
    assert_eq!(answer, None);
    // SAFETY: as above.
    let answer = unsafe { device.future_image_requirements(&image_info()) };
    assert_eq!(answer, None);
}

#[test]
fn each_call_that_fails_keeps_its_result() {
    let sim = SimDevice::new(Profile::unified());
    let device = declare(&sim, NO_FEATURES);
    let result = vk::Result::ERROR_OUT_OF_HOST_MEMORY;
    let fail = |function| sim.control().fail_nth_of(function, 1, result);
    fail(Function::CreateBuffer);
    fail(Function::CreateImage);
    fail(Function::BindBufferMemory);
    fail(Function::BindImageMemory);
    let failed = |call| DriverError { call, result };
    let info = buffer_info(vk::BufferUsageFlags::VERTEX_BUFFER);
    // SAFETY: the create-info is complete and points to nothing.
    let created = unsafe { device.create_buffer(&info) };
    assert_eq!(created, Err(failed("vkCreateBuffer")));
    // SAFETY: as above.
    let created = unsafe { device.create_image(&image_info()) };
    assert_eq!(created, Err(failed("vkCreateImage")));
    // SAFETY: as above.
    let buffer = unsafe { device.create_buffer(&info) }.unwrap();
    // SAFETY: as above.
    let image = unsafe { device.create_image(&image_info()) }.unwrap();
    let memory = device.allocate_memory(&MemoryRequest::new(64 * MIB, 1)).unwrap();
    // SAFETY: all are alive and unbound; the memory is large enough for either.
    let bound = unsafe { device.bind_buffer_memory(buffer, memory.handle(), 0) };
    assert_eq!(bound, Err(failed("vkBindBufferMemory")));
    // SAFETY: as above.
    let bound = unsafe { device.bind_image_memory(image, memory.handle(), 32 * MIB) };
    assert_eq!(bound, Err(failed("vkBindImageMemory")));
    // SAFETY: no GPU work was submitted.
    unsafe { device.destroy_buffer(buffer) };
    // SAFETY: no GPU work was submitted.
    unsafe { device.destroy_image(image) };
    device.free_memory(memory);
    sim.control().assert_clean();
}

#[test]
fn a_buffer_s_address_needs_the_feature() {
    let sim = SimDevice::new(Profile::discrete_rebar());
    let device = declare(&sim, Features { buffer_device_address: true, ..NO_FEATURES });
    let usage = vk::BufferUsageFlags::SHADER_DEVICE_ADDRESS;
    // SAFETY: the create-info is complete and points to nothing.
    let buffer = unsafe { device.create_buffer(&buffer_info(usage)) }.unwrap();
    // SAFETY: the buffer is alive.
    let needs = unsafe { device.buffer_requirements(buffer) };
    let memory_type_index = needs.memory_type_bits.trailing_zeros();
    let request = MemoryRequest { device_address: true, ..MemoryRequest::new(needs.size, memory_type_index) };
    let memory = device.allocate_memory(&request).unwrap();
    // SAFETY: both are alive, the buffer is unbound, and the memory was made for it.
    unsafe { device.bind_buffer_memory(buffer, memory.handle(), 0) }.unwrap();
    // SAFETY: the buffer is bound to memory with an address and has the usage.
    assert!(unsafe { device.buffer_device_address(buffer) }.is_some_and(|address| address != 0));
    let plain = declare(&sim, NO_FEATURES);
    // SAFETY: as above.
    assert_eq!(unsafe { plain.buffer_device_address(buffer) }, None);
    // SAFETY: no GPU work was submitted.
    unsafe { device.destroy_buffer(buffer) };
    device.free_memory(memory);
    sim.control().assert_clean();
}
