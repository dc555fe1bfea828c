//! Short words for what command buffers are told again and again: barriers, passes, views.

use freestone::ash::{self, vk};

use vk::{AccessFlags2 as Access, ImageLayout as Layout, PipelineStageFlags2 as Stages};

/// How an image is used at one point of a frame: what a barrier waits for, or what waits for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Use {
    pub(crate) stages: Stages,
    pub(crate) access: Access,
    pub(crate) layout: Layout,
}

/// Drawn to as colour; what is resolved counts as drawn, too.
pub(crate) const DRAWN: Use = Use {
    stages: Stages::COLOR_ATTACHMENT_OUTPUT,
    access: Access::from_raw(Access::COLOR_ATTACHMENT_WRITE.as_raw() | Access::COLOR_ATTACHMENT_READ.as_raw()),
    layout: Layout::COLOR_ATTACHMENT_OPTIMAL,
};

/// Drawn to as depth.
pub(crate) const DEPTH_DRAWN: Use = Use {
    stages: Stages::from_raw(Stages::EARLY_FRAGMENT_TESTS.as_raw() | Stages::LATE_FRAGMENT_TESTS.as_raw()),
    access: Access::from_raw(
        Access::DEPTH_STENCIL_ATTACHMENT_WRITE.as_raw() | Access::DEPTH_STENCIL_ATTACHMENT_READ.as_raw(),
    ),
    layout: Layout::DEPTH_ATTACHMENT_OPTIMAL,
};

/// Read by fragment shaders.
pub(crate) const SAMPLED: Use =
    Use { stages: Stages::FRAGMENT_SHADER, access: Access::SHADER_READ, layout: Layout::SHADER_READ_ONLY_OPTIMAL };

/// Taken from the screen: the semaphore is waited for at this stage, and what was shown is of no interest.
pub(crate) const ACQUIRED: Use =
    Use { stages: Stages::COLOR_ATTACHMENT_OUTPUT, access: Access::NONE, layout: Layout::UNDEFINED };

/// Given to the screen, which waits for a semaphore and for no stage.
pub(crate) const SHOWN: Use = Use { stages: Stages::NONE, access: Access::NONE, layout: Layout::PRESENT_SRC_KHR };

/// Records a barrier from one use of an image to the next.
pub(crate) fn barrier(
    device: &ash::Device,
    commands: vk::CommandBuffer,
    (image, aspect): (vk::Image, vk::ImageAspectFlags),
    from: Use,
    to: Use,
) {
    let barriers = [vk::ImageMemoryBarrier2::default()
        .image(image)
        .subresource_range(whole(aspect, 1))
        .src_stage_mask(from.stages)
        .src_access_mask(from.access)
        .old_layout(from.layout)
        .dst_stage_mask(to.stages)
        .dst_access_mask(to.access)
        .new_layout(to.layout)
        .src_queue_family_index(vk::QUEUE_FAMILY_IGNORED)
        .dst_queue_family_index(vk::QUEUE_FAMILY_IGNORED)];
    let info = vk::DependencyInfo::default().image_memory_barriers(&barriers);
    // SAFETY: recording, outside a render pass; the image is alive and in the layout that its last use left it in.
    unsafe { device.cmd_pipeline_barrier2(commands, &info) };
}

/// Names all of an image.
fn whole(aspect: vk::ImageAspectFlags, level_count: u32) -> vk::ImageSubresourceRange {
    vk::ImageSubresourceRange::default().aspect_mask(aspect).level_count(level_count).layer_count(1)
}

/// Makes a view of all of an image.
///
/// # Errors
/// Where the call fails.
pub(crate) fn view_of(
    device: &ash::Device,
    image: vk::Image,
    format: vk::Format,
    (aspect, level_count): (vk::ImageAspectFlags, u32),
) -> Result<vk::ImageView, vk::Result> {
    let info = vk::ImageViewCreateInfo::default()
        .image(image)
        .view_type(vk::ImageViewType::TYPE_2D)
        .format(format)
        .subresource_range(whole(aspect, level_count));
    // SAFETY: the image is alive and has this format and so many levels.
    unsafe { device.create_image_view(&info, None) }
}

/// Makes a view of all of a colour image.
///
/// # Errors
/// Where the call fails.
pub(crate) fn colour_view(
    device: &ash::Device,
    image: vk::Image,
    format: vk::Format,
    level_count: u32,
) -> Result<vk::ImageView, vk::Result> {
    view_of(device, image, format, (vk::ImageAspectFlags::COLOR, level_count))
}

/// A pass that is being recorded; it ends when it is dropped.
pub(crate) struct Pass<'a> {
    pub(crate) device: &'a ash::Device,
    pub(crate) commands: vk::CommandBuffer,
}

impl<'a> Pass<'a> {
    /// Begins to draw to all of the attachments.
    pub(crate) fn begin(
        device: &'a ash::Device,
        commands: vk::CommandBuffer,
        extent: vk::Extent2D,
        colour: Option<vk::RenderingAttachmentInfo<'_>>,
        depth: Option<vk::RenderingAttachmentInfo<'_>>,
    ) -> Self {
        let area = vk::Rect2D { offset: vk::Offset2D::default(), extent };
        let mut info =
            vk::RenderingInfo::default().render_area(area).layer_count(1).color_attachments(colour.as_slice());
        if let Some(depth) = &depth {
            info = info.depth_attachment(depth);
        }
        // SAFETY: recording, outside a pass; the attachments are alive and in the layouts that they name.
        unsafe { device.cmd_begin_rendering(commands, &info) };
        let (width, height) = (extent.width as f32, extent.height as f32);
        let viewport = vk::Viewport { x: 0.0, y: 0.0, width, height, min_depth: 0.0, max_depth: 1.0 };
        // SAFETY: recording, here and below.
        unsafe { device.cmd_set_viewport(commands, 0, &[viewport]) };
        // SAFETY: as above.
        unsafe { device.cmd_set_scissor(commands, 0, &[area]) };
        Self { device, commands }
    }

    /// Chooses the pipeline of the draws that follow.
    pub(crate) fn pipeline(&self, pipeline: vk::Pipeline) {
        // SAFETY: recording; the pipeline is alive and made for attachments of these formats.
        unsafe { self.device.cmd_bind_pipeline(self.commands, vk::PipelineBindPoint::GRAPHICS, pipeline) };
    }

    /// Binds one set for the draws that follow.
    pub(crate) fn set(&self, layout: vk::PipelineLayout, number: u32, set: vk::DescriptorSet, offsets: &[u32]) {
        let point = vk::PipelineBindPoint::GRAPHICS;
        // SAFETY: recording; layout and set are alive and fit each other.
        unsafe { self.device.cmd_bind_descriptor_sets(self.commands, point, layout, number, &[set], offsets) };
    }

    /// Binds a vertex buffer for the draws that follow.
    pub(crate) fn vertices(&self, buffer: vk::Buffer, offset: u64) {
        // SAFETY: recording; the buffer is alive.
        unsafe { self.device.cmd_bind_vertex_buffers(self.commands, 0, &[buffer], &[offset]) };
    }

    /// Binds an index buffer for the draws that follow.
    pub(crate) fn indices(&self, buffer: vk::Buffer) {
        // SAFETY: recording; the buffer is alive.
        unsafe { self.device.cmd_bind_index_buffer(self.commands, buffer, 0, vk::IndexType::UINT16) };
    }

    /// Draws so many vertices, so many times.
    pub(crate) fn draw(&self, vertex_count: u32, instance_count: u32) {
        // SAFETY: recording, with everything bound that the pipeline reads.
        unsafe { self.device.cmd_draw(self.commands, vertex_count, instance_count, 0, 0) };
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        // SAFETY: recording, inside the pass that `begin` began.
        unsafe { self.device.cmd_end_rendering(self.commands) };
    }
}
