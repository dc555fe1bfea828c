//! What bound descriptor sets name is in use by the dispatches that follow.

use super::super::{Profile, SimDevice};
use super::pending::FOUND;
use super::{allocate, bind_buffer, bind_image, destroy_buffer, destroy_image, free, image, image_info, rules};
use ash::vk;

/// A descriptor set, and a command buffer that is being recorded.
struct Scene {
    sim: SimDevice,
    set: vk::DescriptorSet,
    commands: vk::CommandBuffer,
}

impl Scene {
    fn new() -> Self {
        let sim = SimDevice::new(Profile::unified());
        let device = sim.device();
        let info = vk::DescriptorPoolCreateInfo::default().max_sets(1);
        // SAFETY: the device is valid; so it is throughout.
        let pool = unsafe { device.create_descriptor_pool(&info, None) }.unwrap();
        let layouts = [vk::DescriptorSetLayout::null()];
        let info = vk::DescriptorSetAllocateInfo::default().descriptor_pool(pool).set_layouts(&layouts);
        // SAFETY: the simulated driver does not look at the layout.
        let set = unsafe { device.allocate_descriptor_sets(&info) }.unwrap()[0];
        // SAFETY: as above.
        let pool = unsafe { device.create_command_pool(&vk::CommandPoolCreateInfo::default(), None) }.unwrap();
        let info = vk::CommandBufferAllocateInfo::default().command_pool(pool).command_buffer_count(1);
        // SAFETY: the pool is alive.
        let commands = unsafe { device.allocate_command_buffers(&info) }.unwrap()[0];
        // SAFETY: the command buffer is alive.
        unsafe { device.begin_command_buffer(commands, &vk::CommandBufferBeginInfo::default()) }.unwrap();
        Self { sim, set, commands }
    }

    fn write(&self, element: u32, buffer: vk::Buffer) {
        let infos = [vk::DescriptorBufferInfo { buffer, offset: 0, range: vk::WHOLE_SIZE }];
        let write = vk::WriteDescriptorSet::default().dst_set(self.set).dst_array_element(element);
        let writes = [write.descriptor_type(vk::DescriptorType::STORAGE_BUFFER).buffer_info(&infos)];
        // SAFETY: set and buffer are alive.
        unsafe { self.sim.device().update_descriptor_sets(&writes, &[]) };
    }

    fn bind(&self) {
        let (point, layout) = (vk::PipelineBindPoint::COMPUTE, vk::PipelineLayout::null());
        // SAFETY: the command buffer is being recorded.
        unsafe { self.sim.device().cmd_bind_descriptor_sets(self.commands, point, layout, 0, &[self.set], &[]) };
    }

    fn dispatch(&self) {
        // SAFETY: the command buffer is being recorded.
        unsafe { self.sim.device().cmd_dispatch(self.commands, 1, 1, 1) };
    }

    fn submit(&self) {
        let (device, commands) = (self.sim.device(), [self.commands]);
        // SAFETY: the command buffer is being recorded.
        unsafe { device.end_command_buffer(self.commands) }.unwrap();
        let submit = [vk::SubmitInfo::default().command_buffers(&commands)];
        // SAFETY: everything named is alive.
        unsafe { device.queue_submit(self.sim.queue(), &submit, vk::Fence::null()) }.unwrap();
    }

    /// Returns a buffer on memory of its own.
    fn buffer(&self) -> (vk::Buffer, vk::DeviceMemory) {
        let info = vk::BufferCreateInfo::default().size(256).usage(vk::BufferUsageFlags::STORAGE_BUFFER);
        // SAFETY: the device and the create-info are valid.
        let buffer = unsafe { self.sim.device().create_buffer(&info, None) }.unwrap();
        let memory = allocate(&self.sim, 256, 0).unwrap();
        bind_buffer(&self.sim, buffer, memory, 0).unwrap();
        (buffer, memory)
    }

    /// Destroys and frees, and returns what was found.
    fn end(&self, (buffer, memory): (vk::Buffer, vk::DeviceMemory)) -> Vec<&'static str> {
        destroy_buffer(&self.sim, buffer);
        free(&self.sim, memory);
        rules(&self.sim)
    }
}

#[test]
fn buffers_of_bound_sets_are_in_use() {
    let scene = Scene::new();
    let (one, other, third) = (scene.buffer(), scene.buffer(), scene.buffer());
    scene.write(0, third.0);
    scene.write(0, one.0);
    scene.write(1, other.0);
    scene.bind();
    scene.dispatch();
    scene.submit();
    assert_eq!(scene.end(one), FOUND);
    assert_eq!(scene.end(third), [""; 0], "it was overwritten");
    // SAFETY: the device is valid.
    unsafe { scene.sim.device().device_wait_idle() }.unwrap();
    assert_eq!(scene.end(other), [""; 0]);
}

#[test]
fn what_is_copied_into_a_set_is_in_use() {
    let scene = Scene::new();
    let (one, other) = (scene.buffer(), scene.buffer());
    scene.write(0, one.0);
    scene.write(1, other.0);
    let copy = vk::CopyDescriptorSet::default().src_set(scene.set).src_array_element(0).dst_set(scene.set);
    // SAFETY: the set is alive, and bound nowhere.
    unsafe { scene.sim.device().update_descriptor_sets(&[], &[copy.dst_array_element(1).descriptor_count(1)]) };
    scene.write(0, other.0);
    scene.bind();
    scene.dispatch();
    scene.submit();
    assert_eq!(scene.end(one), FOUND, "it was copied to the second place before the first was overwritten");
    assert_eq!(scene.end(other), FOUND);
}

/// A range that begins inside a buffer ends inside it too.
#[test]
fn the_range_of_a_descriptor_is_judged_from_its_offset_on() {
    let scene = Scene::new();
    let (buffer, memory) = scene.buffer();
    for (offset, range, wanted) in [(64, 192, [].as_slice()), (64, 193, &["VUID-VkDescriptorBufferInfo-range-00342"])] {
        let infos = [vk::DescriptorBufferInfo { buffer, offset, range }];
        let write = vk::WriteDescriptorSet::default().dst_set(scene.set);
        let writes = [write.descriptor_type(vk::DescriptorType::STORAGE_BUFFER).buffer_info(&infos)];
        // SAFETY: set and buffer are alive; what is wrong is the driver's to find.
        unsafe { scene.sim.device().update_descriptor_sets(&writes, &[]) };
        assert_eq!(rules(&scene.sim), wanted);
    }
    assert_eq!(scene.end((buffer, memory)), [""; 0]);
}

#[test]
fn sets_that_no_dispatch_sees_are_not_in_use() {
    let scene = Scene::new();
    let one = scene.buffer();
    scene.write(0, one.0);
    scene.dispatch();
    scene.bind();
    scene.submit();
    assert_eq!(scene.end(one), [""; 0]);
}

#[test]
fn images_behind_views_are_in_use() {
    let scene = Scene::new();
    let (device, picture, memory) =
        (scene.sim.device(), image(&scene.sim, &image_info(8)), allocate(&scene.sim, 4096, 0).unwrap());
    bind_image(&scene.sim, picture, memory, 0).unwrap();
    // SAFETY: the image is bound.
    let view = unsafe { device.create_image_view(&vk::ImageViewCreateInfo::default().image(picture), None) }.unwrap();
    let infos = [vk::DescriptorImageInfo::default().image_view(view)];
    let write = vk::WriteDescriptorSet::default().dst_set(scene.set).descriptor_type(vk::DescriptorType::STORAGE_IMAGE);
    // SAFETY: set and view are alive.
    unsafe { device.update_descriptor_sets(&[write.image_info(&infos)], &[]) };
    scene.bind();
    scene.dispatch();
    scene.submit();
    destroy_image(&scene.sim, picture);
    free(&scene.sim, memory);
    assert_eq!(rules(&scene.sim), ["VUID-vkDestroyImage-image-01000", "VUID-vkFreeMemory-memory-00677"]);
}
