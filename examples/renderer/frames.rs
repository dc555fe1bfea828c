//! Frames in flight: while the GPU draws one, the CPU records the next.
//!
//! Frames are numbered from 1 on; the number is the *point* at which the frame ring, the uploader and the retire queue
//! get things back.

use freestone::ash::vk;

use crate::headless::Vulkan;

/// How many frames the GPU may have at one time.
pub(crate) const IN_FLIGHT: usize = 2;

/// What a frame in flight needs of its own.
#[derive(Clone, Copy, Default)]
pub(crate) struct Slot {
    pub(crate) index: usize,
    pub(crate) commands: vk::CommandBuffer,
    /// Signalled when the screen is done with the image that the frame draws to.
    pub(crate) acquired: vk::Semaphore,
    pool: vk::CommandPool,
    fence: vk::Fence,
    /// The frame that had the slot last; 0 before the first.
    point: u64,
}

pub(crate) struct Frames<'a> {
    vulkan: &'a Vulkan<'a>,
    slots: [Slot; IN_FLIGHT],
    /// The number of the frame that is drawn next.
    pub(crate) next_point: u64,
}

impl<'a> Frames<'a> {
    /// Makes the slots.
    ///
    /// # Errors
    /// Where a call of Vulkan fails.
    pub(crate) fn new(vulkan: &'a Vulkan<'a>) -> Result<Self, vk::Result> {
        let mut frames = Self { vulkan, slots: [Slot::default(); IN_FLIGHT], next_point: 1 };
        for (index, slot) in frames.slots.iter_mut().enumerate() {
            slot.index = index;
            slot.fill(vulkan)?;
        }
        Ok(frames)
    }

    /// Waits until the next frame's slot is free; returns it with the last frame that is complete. The queue works in
    /// order, so all frames before that one are complete too.
    ///
    /// # Errors
    /// Where a call of Vulkan fails.
    pub(crate) fn wait(&self) -> Result<(Slot, u64), vk::Result> {
        let slot = self.slots[self.next_point as usize % IN_FLIGHT];
        // SAFETY: the fence is the device's.
        unsafe { self.vulkan.device.wait_for_fences(&[slot.fence], true, u64::MAX) }?;
        Ok((slot, slot.point))
    }

    /// Opens the slot's command buffer. From here on the frame must be submitted.
    ///
    /// # Errors
    /// Where a call of Vulkan fails.
    pub(crate) fn begin(&self, slot: &Slot) -> Result<vk::CommandBuffer, vk::Result> {
        let device = self.vulkan.device;
        // SAFETY: the frame that used the pool is complete (`wait`).
        unsafe { device.reset_command_pool(slot.pool, vk::CommandPoolResetFlags::empty()) }?;
        let once = vk::CommandBufferBeginInfo::default().flags(vk::CommandBufferUsageFlags::ONE_TIME_SUBMIT);
        // SAFETY: its pool was reset.
        unsafe { device.begin_command_buffer(slot.commands, &once) }?;
        Ok(slot.commands)
    }

    /// Submits the frame: it waits until the screen gives the image free, and signals `drawn` and the slot's fence.
    ///
    /// # Errors
    /// Where a call of Vulkan fails.
    pub(crate) fn submit(&mut self, slot: &Slot, drawn: vk::Semaphore) -> Result<(), vk::Result> {
        let device = self.vulkan.device;
        // SAFETY: the command buffer is recording, outside a render pass.
        unsafe { device.end_command_buffer(slot.commands) }?;
        // SAFETY: `wait` saw the fence signalled, and nothing that was submitted uses it.
        unsafe { device.reset_fences(&[slot.fence]) }?;
        let stage = vk::PipelineStageFlags2::COLOR_ATTACHMENT_OUTPUT;
        let waits = [vk::SemaphoreSubmitInfo::default().semaphore(slot.acquired).stage_mask(stage)];
        let signals =
            [vk::SemaphoreSubmitInfo::default().semaphore(drawn).stage_mask(vk::PipelineStageFlags2::ALL_COMMANDS)];
        let commands = [vk::CommandBufferSubmitInfo::default().command_buffer(slot.commands)];
        let submits = [vk::SubmitInfo2::default()
            .wait_semaphore_infos(&waits)
            .command_buffer_infos(&commands)
            .signal_semaphore_infos(&signals)];
        // SAFETY: all of it belongs to the device; the queue is used by this thread only.
        unsafe { device.queue_submit2(self.vulkan.queue, &submits, slot.fence) }?;
        self.slots[slot.index].point = self.next_point;
        self.next_point += 1;
        Ok(())
    }
}

impl Slot {
    fn fill(&mut self, vulkan: &Vulkan<'_>) -> Result<(), vk::Result> {
        let device = vulkan.device;
        let info = vk::CommandPoolCreateInfo::default()
            .queue_family_index(vulkan.queue_family_index)
            .flags(vk::CommandPoolCreateFlags::TRANSIENT);
        // SAFETY: the device has a queue of this family.
        self.pool = unsafe { device.create_command_pool(&info, None) }?;
        let info = vk::CommandBufferAllocateInfo::default().command_pool(self.pool).command_buffer_count(1);
        // SAFETY: the pool is used by this thread only.
        self.commands = unsafe { device.allocate_command_buffers(&info) }?[0];
        let info = vk::FenceCreateInfo::default().flags(vk::FenceCreateFlags::SIGNALED);
        // SAFETY: the create-info is valid, here and below.
        self.fence = unsafe { device.create_fence(&info, None) }?;
        // SAFETY: as above.
        self.acquired = unsafe { device.create_semaphore(&vk::SemaphoreCreateInfo::default(), None) }?;
        Ok(())
    }
}

impl Drop for Frames<'_> {
    fn drop(&mut self) {
        let device = self.vulkan.device;
        for slot in &self.slots {
            // SAFETY: the device is idle when the renderer ends (all three calls); null handles are allowed.
            unsafe { device.destroy_command_pool(slot.pool, None) };
            // SAFETY: as above.
            unsafe { device.destroy_fence(slot.fence, None) };
            // SAFETY: as above.
            unsafe { device.destroy_semaphore(slot.acquired, None) };
        }
    }
}
