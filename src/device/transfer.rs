//! Commands that move bytes between buffers and images, recorded into the user's command buffers.
//!
//! Each call records one region or one barrier: who records knows the command buffer, the resources and their layouts,
//! and vouches for them. Nothing here is submitted.
//!
//! # Source
//! Vulkan specification, "Copy Commands" and "Pipeline Barriers".

use ash::vk;

use super::Device;

/// The stages of a pipeline barrier: what it waits for, and what waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BarrierStages {
    /// The stages that come first.
    pub(crate) before: vk::PipelineStageFlags,
    /// The stages that wait.
    pub(crate) after: vk::PipelineStageFlags,
}

impl Device {
    /// Records a copy of one range between buffers.
    ///
    /// # Safety
    /// 1. `commands` is recording outside a render pass, belongs to this device, and no other thread uses it.
    /// 2. Both buffers are alive, bound, made for transfers, and stay so until the commands have run.
    /// 3. `region` lies inside both, is not empty, and meets `vkCmdCopyBuffer`.
    pub(crate) unsafe fn record_copy_buffer(
        &self,
        commands: vk::CommandBuffer,
        source: vk::Buffer,
        destination: vk::Buffer,
        region: vk::BufferCopy,
    ) {
        // SAFETY: the caller's duties 1 to 3; the region is a local.
        unsafe { (self.commands.cmd_copy_buffer)(commands, source, destination, 1, &raw const region) }
    }

    /// Records a copy of one region from a buffer into an image.
    ///
    /// # Safety
    /// 1. `commands` is recording outside a render pass, belongs to this device, and no other thread uses it.
    /// 2. Buffer and image are alive, bound, made for transfers, and stay so until the commands have run; the image is
    ///    in the layout of `image.1` then.
    /// 3. `region` lies inside both and meets `vkCmdCopyBufferToImage`.
    pub(crate) unsafe fn record_copy_buffer_to_image(
        &self,
        commands: vk::CommandBuffer,
        source: vk::Buffer,
        (image, layout): (vk::Image, vk::ImageLayout),
        region: vk::BufferImageCopy,
    ) {
        // SAFETY: the caller's duties 1 to 3; the region is a local.
        unsafe { (self.commands.cmd_copy_buffer_to_image)(commands, source, image, layout, 1, &raw const region) }
    }

    /// Records a copy of one region from an image into a buffer.
    ///
    /// # Safety
    /// 1. `commands` is recording outside a render pass, belongs to this device, and no other thread uses it.
    /// 2. Image and buffer are alive, bound, made for transfers, and stay so until the commands have run; the image is
    ///    in the layout of `image.1` then.
    /// 3. `region` lies inside both and meets `vkCmdCopyImageToBuffer`.
    pub(crate) unsafe fn record_copy_image_to_buffer(
        &self,
        commands: vk::CommandBuffer,
        (image, layout): (vk::Image, vk::ImageLayout),
        destination: vk::Buffer,
        region: vk::BufferImageCopy,
    ) {
        // SAFETY: the caller's duties 1 to 3; the region is a local.
        unsafe { (self.commands.cmd_copy_image_to_buffer)(commands, image, layout, destination, 1, &raw const region) }
    }

    /// Records a barrier on a range of a buffer.
    ///
    /// # Safety
    /// 1. `commands` is recording outside a render pass, belongs to this device, and no other thread uses it.
    /// 2. The buffer is alive; `barrier` and `stages` meet `vkCmdPipelineBarrier` on the queue family of `commands`.
    pub(crate) unsafe fn record_buffer_barrier(
        &self,
        commands: vk::CommandBuffer,
        stages: BarrierStages,
        barrier: &vk::BufferMemoryBarrier<'_>,
    ) {
        let (none, images) = (core::ptr::null(), core::ptr::null());
        let BarrierStages { before, after } = stages;
        let by_region = vk::DependencyFlags::empty();
        // SAFETY: the caller's duties; the counts of the null arrays are 0, and one barrier is lent.
        unsafe {
            (self.commands.cmd_pipeline_barrier)(commands, before, after, by_region, 0, none, 1, barrier, 0, images);
        }
    }

    /// Records a barrier on subresources of an image.
    ///
    /// # Safety
    /// 1. `commands` is recording outside a render pass, belongs to this device, and no other thread uses it.
    /// 2. The image is alive; `barrier` and `stages` meet `vkCmdPipelineBarrier` on the queue family of `commands`.
    pub(crate) unsafe fn record_image_barrier(
        &self,
        commands: vk::CommandBuffer,
        stages: BarrierStages,
        barrier: &vk::ImageMemoryBarrier<'_>,
    ) {
        let (none, buffers) = (core::ptr::null(), core::ptr::null());
        let BarrierStages { before, after } = stages;
        let by_region = vk::DependencyFlags::empty();
        // SAFETY: the caller's duties; the counts of the null arrays are 0, and one barrier is lent.
        unsafe {
            (self.commands.cmd_pipeline_barrier)(commands, before, after, by_region, 0, none, 0, buffers, 1, barrier);
        }
    }
}
