//! What a submission uses must not go before somebody has waited for it.

use super::super::{Profile, SimDevice};
use super::{allocate, bind_buffer, bind_image, buffer, destroy_buffer, destroy_image, free, image, image_info, rules};
use ash::vk;

/// A device with a buffer in memory of its own, and a command buffer that fills it.
pub(super) struct Scene {
    pub(super) sim: SimDevice,
    pub(super) memory: vk::DeviceMemory,
    pub(super) buffer: vk::Buffer,
    pub(super) commands: vk::CommandBuffer,
    pub(super) pool: vk::CommandPool,
}

/// A value of a semaphore.
pub(super) type Point = (vk::Semaphore, u64);

/// What a batch waits for, whether it fills the buffer, and what it signals.
#[derive(Clone, Copy, Default)]
pub(super) struct Batch {
    pub(super) wait: Option<Point>,
    pub(super) fills: bool,
    pub(super) signal: Option<Point>,
}

impl Scene {
    pub(super) fn new() -> Self {
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

    pub(super) fn submit(&self, queue: vk::Queue, fence: vk::Fence) {
        let commands = [self.commands];
        let submit = vk::SubmitInfo::default().command_buffers(&commands);
        // SAFETY: everything named is alive.
        unsafe { self.sim.device().queue_submit(queue, &[submit], fence) }.unwrap();
    }

    /// Submits batches in one call of `vkQueueSubmit2`.
    pub(super) fn submit_batches(&self, queue: vk::Queue, batches: &[Batch], fence: vk::Fence) {
        let commands = [vk::CommandBufferSubmitInfo::default().command_buffer(self.commands)];
        let info = |point: Option<Point>| {
            point.map(|(semaphore, value)| vk::SemaphoreSubmitInfo::default().semaphore(semaphore).value(value))
        };
        let points: Vec<_> = batches.iter().map(|batch| (info(batch.wait), info(batch.signal))).collect();
        let submit = |(batch, (wait, signal)): (&Batch, &'_ (Option<_>, Option<_>))| {
            let submit = vk::SubmitInfo2 { wait_semaphore_info_count: u32::from(wait.is_some()), ..Default::default() };
            let submit = vk::SubmitInfo2 { p_wait_semaphore_infos: wait.as_slice().as_ptr(), ..submit };
            let submit = vk::SubmitInfo2 { signal_semaphore_info_count: u32::from(signal.is_some()), ..submit };
            let submit = vk::SubmitInfo2 { p_signal_semaphore_infos: signal.as_slice().as_ptr(), ..submit };
            if batch.fills { submit.command_buffer_infos(&commands) } else { submit }
        };
        let submits: Vec<_> = batches.iter().zip(&points).map(submit).collect();
        // SAFETY: everything named is alive.
        unsafe { self.sim.device().queue_submit2(queue, &submits, fence) }.unwrap();
    }

    /// Returns a semaphore: a binary one, or a timeline that begins at 0.
    pub(super) fn semaphore(&self, semaphore_type: vk::SemaphoreType) -> vk::Semaphore {
        let mut kind = vk::SemaphoreTypeCreateInfo::default().semaphore_type(semaphore_type);
        let info = vk::SemaphoreCreateInfo::default().push_next(&mut kind);
        // SAFETY: the device and the create-info are valid.
        unsafe { self.sim.device().create_semaphore(&info, None) }.unwrap()
    }

    /// Waits until timeline semaphores have their values: all of them, or any.
    pub(super) fn wait(&self, flags: vk::SemaphoreWaitFlags, points: &[Point]) {
        let (semaphores, values): (Vec<_>, Vec<_>) = points.iter().copied().unzip();
        let wait = vk::SemaphoreWaitInfo::default().flags(flags).semaphores(&semaphores).values(&values);
        // SAFETY: the semaphores are alive.
        unsafe { self.sim.device().wait_semaphores(&wait, u64::MAX) }.unwrap();
    }

    /// Destroys and frees, and returns what was found.
    pub(super) fn end(self) -> Vec<&'static str> {
        destroy_buffer(&self.sim, self.buffer);
        free(&self.sim, self.memory);
        let found = rules(&self.sim);
        // SAFETY: nothing uses it.
        unsafe { self.sim.device().destroy_command_pool(self.pool, None) };
        found
    }

    pub(super) fn fence(&self) -> vk::Fence {
        // SAFETY: the device is valid.
        unsafe { self.sim.device().create_fence(&vk::FenceCreateInfo::default(), None) }.unwrap()
    }
}

pub(super) const FOUND: [&str; 2] = ["VUID-vkDestroyBuffer-buffer-00922", "VUID-vkFreeMemory-memory-00677"];

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

pub(super) const ALL: vk::SemaphoreWaitFlags = vk::SemaphoreWaitFlags::empty();

#[test]
fn a_wait_for_a_value_says_nothing_of_later_ones() {
    for (first, second, awaited, expected) in [(2, 3, 2, &FOUND[..]), (2, 3, 3, &[]), (1, 3, 2, &[]), (2, 3, 0, &FOUND)]
    {
        let scene = Scene::new();
        let (queue, semaphore) = (scene.sim.queue(), scene.semaphore(vk::SemaphoreType::TIMELINE));
        let empty = Batch { signal: Some((semaphore, first)), ..Batch::default() };
        scene.submit_batches(queue, &[empty], vk::Fence::null());
        let filling = Batch { signal: Some((semaphore, second)), fills: true, ..Batch::default() };
        scene.submit_batches(queue, &[filling], vk::Fence::null());
        scene.wait(ALL, &[(semaphore, awaited)]);
        assert_eq!(scene.end(), expected, "{awaited} of {first} and {second}");
    }
}

/// The host may have raised the semaphore itself on the way.
#[test]
fn a_value_that_the_host_signaled_says_nothing_of_a_submission() {
    for (awaited, expected) in [(2, &FOUND[..]), (3, &[])] {
        let scene = Scene::new();
        let semaphore = scene.semaphore(vk::SemaphoreType::TIMELINE);
        let signal = vk::SemaphoreSignalInfo::default().semaphore(semaphore).value(2);
        // SAFETY: the semaphore is alive.
        unsafe { scene.sim.device().signal_semaphore(&signal) }.unwrap();
        let filling = Batch { signal: Some((semaphore, 4)), fills: true, ..Batch::default() };
        scene.submit_batches(scene.sim.queue(), &[filling], vk::Fence::null());
        scene.wait(ALL, &[(semaphore, awaited)]);
        assert_eq!(scene.end(), expected, "{awaited}");
    }
}

#[test]
fn a_wait_for_any_of_several_tells_of_none() {
    for is_asked in [false, true] {
        let scene = Scene::new();
        let [one, other] = [(); 2].map(|()| scene.semaphore(vk::SemaphoreType::TIMELINE));
        let batch = |semaphore, fills| Batch { signal: Some((semaphore, 1)), fills, ..Batch::default() };
        scene.submit_batches(scene.sim.queue(), &[batch(one, false), batch(other, true)], vk::Fence::null());
        scene.wait(vk::SemaphoreWaitFlags::ANY, &[(one, 1), (other, 1)]);
        if is_asked {
            scene.wait(vk::SemaphoreWaitFlags::ANY, &[(other, 1)]);
        }
        assert_eq!(scene.end(), if is_asked { &[][..] } else { &FOUND });
    }
    for is_asked in [false, true] {
        let scene = Scene::new();
        let (device, fences) = (scene.sim.device(), [scene.fence(), scene.fence()]);
        scene.submit_batches(scene.sim.queue(), &[], fences[0]);
        scene.submit(scene.sim.queue(), fences[1]);
        // SAFETY: the fences are alive; so they are below.
        unsafe { device.wait_for_fences(&fences, false, u64::MAX) }.unwrap();
        if is_asked {
            // SAFETY: as above.
            assert!(unsafe { device.get_fence_status(fences[1]) }.unwrap());
        }
        assert_eq!(scene.end(), if is_asked { &[][..] } else { &FOUND });
    }
}

#[test]
fn every_batch_of_a_call_ends_by_itself() {
    for (filling, awaited, expected) in [(2, 1, &FOUND[..]), (2, 2, &[]), (1, 1, &[]), (1, 2, &[])] {
        let scene = Scene::new();
        let semaphore = scene.semaphore(vk::SemaphoreType::TIMELINE);
        let batch = |value| Batch { signal: Some((semaphore, value)), fills: value == filling, ..Batch::default() };
        scene.submit_batches(scene.sim.queue(), &[batch(1), batch(2)], vk::Fence::null());
        scene.wait(ALL, &[(semaphore, awaited)]);
        assert_eq!(scene.end(), expected, "batch {filling} fills, {awaited} is awaited");
    }
}

#[test]
fn a_fence_or_semaphore_behind_the_work_tells_of_it() {
    for is_behind in [true, false] {
        let scene = Scene::new();
        let (queue, fence) = (scene.sim.queue(), scene.fence());
        if is_behind {
            scene.submit(queue, vk::Fence::null());
        }
        // SAFETY: everything named is alive; so it is below.
        unsafe { scene.sim.device().queue_submit(queue, &[], fence) }.unwrap();
        if !is_behind {
            scene.submit(queue, vk::Fence::null());
        }
        // SAFETY: as above.
        unsafe { scene.sim.device().wait_for_fences(&[fence], true, u64::MAX) }.unwrap();
        assert_eq!(scene.end(), if is_behind { &[][..] } else { &FOUND });
    }
    let scene = Scene::new();
    let semaphore = scene.semaphore(vk::SemaphoreType::TIMELINE);
    scene.submit(scene.sim.queue(), vk::Fence::null());
    let behind = Batch { signal: Some((semaphore, 1)), ..Batch::default() };
    scene.submit_batches(scene.sim.queue(), &[behind], vk::Fence::null());
    scene.wait(ALL, &[(semaphore, 1)]);
    assert_eq!(scene.end(), [""; 0]);
}

/// As uploads on a transfer queue end: the other queue waits for them, and the host waits for that one.
#[test]
fn a_queue_that_waited_for_another_tells_of_it() {
    for (kind, awaited, expected) in [
        (vk::SemaphoreType::TIMELINE, Some(1), &[][..]),
        (vk::SemaphoreType::BINARY, Some(0), &[]),
        (vk::SemaphoreType::TIMELINE, None, &FOUND),
    ] {
        let scene = Scene::new();
        let (semaphore, fence) = (scene.semaphore(kind), scene.fence());
        // SAFETY: the transfer family has a queue, and it was asked for.
        let other = unsafe { scene.sim.device().get_device_queue(1, 0) };
        let filling = Batch { signal: Some((semaphore, 1)), fills: true, ..Batch::default() };
        scene.submit_batches(scene.sim.queue(), &[filling], vk::Fence::null());
        let waiting = Batch { wait: awaited.map(|value| (semaphore, value)), ..Batch::default() };
        scene.submit_batches(other, &[waiting], fence);
        // SAFETY: the fence is alive.
        unsafe { scene.sim.device().wait_for_fences(&[fence], true, u64::MAX) }.unwrap();
        assert_eq!(scene.end(), expected, "{kind:?}, {awaited:?} awaited");
    }
}

/// The same with the first version of submitting, over two queues, and by an idle queue.
#[test]
fn queues_that_wait_for_each_other_tell_of_all() {
    let scene = Scene::new();
    let device = scene.sim.device();
    // SAFETY: the families have these queues, and they were asked for; so they were below.
    let queues = [(0, 0), (0, 1), (1, 0)].map(|(family, index)| unsafe { device.get_device_queue(family, index) });
    let (timeline, binary) = (scene.semaphore(vk::SemaphoreType::TIMELINE), scene.semaphore(vk::SemaphoreType::BINARY));
    let (stages, values) = ([vk::PipelineStageFlags::TRANSFER], [5]);
    let (timelines, binaries, commands) = ([timeline], [binary], [scene.commands]);
    let mut signaled = vk::TimelineSemaphoreSubmitInfo::default().signal_semaphore_values(&values);
    let mut awaited = vk::TimelineSemaphoreSubmitInfo::default().wait_semaphore_values(&values);
    let submits = [
        vk::SubmitInfo::default().command_buffers(&commands).signal_semaphores(&timelines).push_next(&mut signaled),
        vk::SubmitInfo::default()
            .wait_semaphores(&timelines)
            .wait_dst_stage_mask(&stages)
            .signal_semaphores(&binaries)
            .push_next(&mut awaited),
        vk::SubmitInfo::default().wait_semaphores(&binaries).wait_dst_stage_mask(&stages),
    ];
    for (queue, submit) in queues.iter().zip(submits) {
        // SAFETY: everything named is alive.
        unsafe { device.queue_submit(*queue, &[submit], vk::Fence::null()) }.unwrap();
    }
    // SAFETY: the queue is the device's.
    unsafe { device.queue_wait_idle(queues[2]) }.unwrap();
    assert_eq!(scene.end(), [""; 0]);
}

#[test]
fn what_is_pending_is_not_recorded_anew() {
    let scene = Scene::new();
    let device = scene.sim.device();
    let begin = || {
        // SAFETY: wrong on purpose, the driver's to find.
        unsafe { device.begin_command_buffer(scene.commands, &vk::CommandBufferBeginInfo::default()) }.unwrap();
        rules(&scene.sim)
    };
    scene.submit(scene.sim.queue(), vk::Fence::null());
    assert_eq!(begin(), ["VUID-vkBeginCommandBuffer-commandBuffer-00049"]);
    // SAFETY: the command buffer is being recorded.
    unsafe { device.end_command_buffer(scene.commands) }.unwrap();
    // SAFETY: the device is valid.
    unsafe { device.device_wait_idle() }.unwrap();
    assert_eq!(begin(), [""; 0]);
}
