//! What a submission uses must not go before somebody has waited for it.

use super::super::{Profile, SimDevice};
use super::{allocate, bind_buffer, bind_image, buffer, destroy_buffer, destroy_image, free, image, image_info, rules};
use ash::vk;

/// A device with a buffer in memory of its own, and a command buffer that fills it.
struct Scene {
    sim: SimDevice,
    memory: vk::DeviceMemory,
    buffer: vk::Buffer,
    commands: vk::CommandBuffer,
    pool: vk::CommandPool,
}

impl Scene {
    fn new() -> Self {
        let sim = SimDevice::new(Profile::unified());
        let (memory, buffer) = (allocate(&sim, 4096, 1).unwrap(), buffer(&sim, 4096));
        bind_buffer(&sim, buffer, memory, 0).unwrap();
        let device = sim.device();
        // SAFETY: the device is valid; so it is throughout.
        let pool = unsafe { device.create_command_pool(&vk::CommandPoolCreateInfo::default(), None) }.unwrap();
        let info = vk::CommandBufferAllocateInfo::default().command_pool(pool).command_buffer_count(1);
        // SAFETY: the pool is alive.
        let commands = unsafe { device.allocate_command_buffers(&info) }.unwrap()[0];
        // SAFETY: the command buffer is alive; so it is below.
        unsafe { device.begin_command_buffer(commands, &vk::CommandBufferBeginInfo::default()) }.unwrap();
        // SAFETY: as above; the buffer is bound.
        unsafe { device.cmd_fill_buffer(commands, buffer, 0, 4096, 7) };
        // SAFETY: as above.
        unsafe { device.end_command_buffer(commands) }.unwrap();
        Self { sim, memory, buffer, commands, pool }
    }

    fn submit(&self, queue: vk::Queue, fence: vk::Fence) {
        let commands = [self.commands];
        let submit = vk::SubmitInfo::default().command_buffers(&commands);
        // SAFETY: everything named is alive.
        unsafe { self.sim.device().queue_submit(queue, &[submit], fence) }.unwrap();
    }

    /// Destroys and frees, and returns what was found.
    fn end(self) -> Vec<&'static str> {
        destroy_buffer(&self.sim, self.buffer);
        free(&self.sim, self.memory);
        let found = rules(&self.sim);
        // SAFETY: nothing uses it.
        unsafe { self.sim.device().destroy_command_pool(self.pool, None) };
        found
    }

    fn fence(&self) -> vk::Fence {
        // SAFETY: the device is valid.
        unsafe { self.sim.device().create_fence(&vk::FenceCreateInfo::default(), None) }.unwrap()
    }
}

const FOUND: [&str; 2] = ["VUID-vkDestroyBuffer-buffer-00922", "VUID-vkFreeMemory-memory-00677"];

#[test]
fn nothing_goes_before_somebody_waits() {
    let scene = Scene::new();
    scene.submit(scene.sim.queue(), vk::Fence::null());
    assert_eq!(scene.end(), FOUND);
    assert_eq!(Scene::new().end(), [""; 0], "what was not submitted is not in use");
}

#[test]
fn waiting_for_queue_or_device_is_enough() {
    let scene = Scene::new();
    scene.submit(scene.sim.queue(), vk::Fence::null());
    // SAFETY: the queue is the device's.
    unsafe { scene.sim.device().queue_wait_idle(scene.sim.queue()) }.unwrap();
    assert_eq!(scene.end(), [""; 0]);
    let scene = Scene::new();
    scene.submit(scene.sim.queue(), vk::Fence::null());
    // SAFETY: the device is valid.
    unsafe { scene.sim.device().device_wait_idle() }.unwrap();
    assert_eq!(scene.end(), [""; 0]);
    let scene = Scene::new();
    // SAFETY: the family has two queues, and both were asked for.
    let other = unsafe { scene.sim.device().get_device_queue(0, 1) };
    scene.submit(scene.sim.queue(), vk::Fence::null());
    // SAFETY: the queue is the device's.
    unsafe { scene.sim.device().queue_wait_idle(other) }.unwrap();
    assert_eq!(scene.end(), FOUND, "another queue says nothing");
}

#[test]
fn a_fence_is_enough_when_it_is_asked() {
    let scene = Scene::new();
    let fence = scene.fence();
    scene.submit(scene.sim.queue(), fence);
    // SAFETY: the fence is alive; so it is below.
    unsafe { scene.sim.device().wait_for_fences(&[fence], true, u64::MAX) }.unwrap();
    assert_eq!(scene.end(), [""; 0]);
    let scene = Scene::new();
    let (first, second) = (scene.fence(), scene.fence());
    scene.submit(scene.sim.queue(), first);
    scene.submit(scene.sim.queue(), second);
    // SAFETY: as above.
    assert!(unsafe { scene.sim.device().get_fence_status(first) }.unwrap());
    assert_eq!(scene.end(), FOUND, "the second submission uses it too");
    let scene = Scene::new();
    let (first, second) = (scene.fence(), scene.fence());
    scene.submit(scene.sim.queue(), first);
    scene.submit(scene.sim.queue(), second);
    // SAFETY: as above.
    assert!(unsafe { scene.sim.device().get_fence_status(second) }.unwrap());
    assert_eq!(scene.end(), [""; 0], "the second one comes after the first");
}

#[test]
fn a_timeline_semaphore_is_enough_when_it_is_asked() {
    for (value, expected) in [(3, &[][..]), (2, &FOUND)] {
        let scene = Scene::new();
        let device = scene.sim.device();
        let mut kind = vk::SemaphoreTypeCreateInfo::default().semaphore_type(vk::SemaphoreType::TIMELINE);
        let info = vk::SemaphoreCreateInfo::default().push_next(&mut kind);
        // SAFETY: the device and the create-info are valid.
        let semaphore = unsafe { device.create_semaphore(&info, None) }.unwrap();
        let (semaphores, commands) = ([semaphore], [scene.commands]);
        let signal = |value: u64| {
            let values = [value];
            let mut timeline = vk::TimelineSemaphoreSubmitInfo::default().signal_semaphore_values(&values);
            let submit = vk::SubmitInfo::default().signal_semaphores(&semaphores);
            let submit = if value == 3 { submit.command_buffers(&commands) } else { submit };
            // SAFETY: everything named is alive.
            unsafe { device.queue_submit(scene.sim.queue(), &[submit.push_next(&mut timeline)], vk::Fence::null()) }
        };
        signal(2).unwrap();
        if value == 2 {
            // SAFETY: the semaphore is alive; so it is below.
            assert_eq!(unsafe { device.get_semaphore_counter_value(semaphore) }, Ok(2));
        }
        signal(3).unwrap();
        let values = [value];
        let wait = vk::SemaphoreWaitInfo::default().semaphores(&semaphores).values(&values);
        if value == 3 {
            // SAFETY: as above.
            unsafe { device.wait_semaphores(&wait, u64::MAX) }.unwrap();
        }
        assert_eq!(scene.end(), expected);
    }
}

#[test]
fn images_are_in_use_too() {
    let scene = Scene::new();
    let (sim, device) = (&scene.sim, scene.sim.device());
    let (memory, picture) = (allocate(sim, 1 << 16, 1).unwrap(), image(sim, &image_info(8)));
    bind_image(sim, picture, memory, 0).unwrap();
    let info = vk::CommandBufferAllocateInfo::default().command_pool(scene.pool).command_buffer_count(1);
    // SAFETY: the pool is alive.
    let commands = unsafe { device.allocate_command_buffers(&info) }.unwrap();
    // SAFETY: the command buffer is alive; so it is below.
    unsafe { device.begin_command_buffer(commands[0], &vk::CommandBufferBeginInfo::default()) }.unwrap();
    let layers = vk::ImageSubresourceLayers::default().aspect_mask(vk::ImageAspectFlags::COLOR).layer_count(1);
    let extent = vk::Extent3D { width: 8, height: 8, depth: 1 };
    let region = [vk::BufferImageCopy::default().image_subresource(layers).image_extent(extent)];
    let layout = vk::ImageLayout::TRANSFER_DST_OPTIMAL;
    // SAFETY: as above; both are bound.
    unsafe { device.cmd_copy_buffer_to_image(commands[0], scene.buffer, picture, layout, &region) };
    // SAFETY: as above.
    unsafe { device.end_command_buffer(commands[0]) }.unwrap();
    let submit = [vk::SubmitInfo::default().command_buffers(&commands)];
    // SAFETY: everything named is alive.
    unsafe { device.queue_submit(sim.queue(), &submit, vk::Fence::null()) }.unwrap();
    destroy_image(sim, picture);
    free(sim, memory);
    assert_eq!(rules(sim), ["VUID-vkDestroyImage-image-01000", "VUID-vkFreeMemory-memory-00677"]);
}
