//! Barriers: what they name, and the rules about it.
//!
//! A barrier waits for nothing here, since commands are carried out one by one. But it uses what it names, like any
//! other command, and has to name it rightly. Whether a barrier is needed somewhere is not judged.
//!
//! # Source
//!
//! "Valid Usage" of `VkBufferMemoryBarrier`, `VkImageMemoryBarrier` and their second versions in the Vulkan
//! specification.

use super::execute::Executor;
use super::format::ImageShape;
use super::function::Function;
use super::handle::ObjectKind;
use super::range_rules::RangeRules;
use ash::vk;
use ash::vk::Handle;

/// One barrier on a buffer, of either version.
#[derive(Clone, Copy, Debug)]
pub(super) struct BufferBarrier {
    pub(super) buffer: u64,
    offset: u64,
    size: u64,
}

/// One barrier on an image, of either version.
#[derive(Clone, Copy, Debug)]
pub(super) struct ImageBarrier {
    pub(super) image: u64,
    new_layout: vk::ImageLayout,
    /// The layout changes, or the image goes to another queue family.
    is_transition: bool,
    range: vk::ImageSubresourceRange,
}

/// Writes the reading of one version, whose structures have the same names of fields.
macro_rules! read_from {
    ($on_buffer:ident, $on_image:ident) => {
        impl From<&vk::$on_buffer<'_>> for BufferBarrier {
            fn from(barrier: &vk::$on_buffer<'_>) -> Self {
                Self { buffer: barrier.buffer.as_raw(), offset: barrier.offset, size: barrier.size }
            }
        }

        impl From<&vk::$on_image<'_>> for ImageBarrier {
            fn from(barrier: &vk::$on_image<'_>) -> Self {
                let is_handed_over = barrier.src_queue_family_index != barrier.dst_queue_family_index;
                Self {
                    image: barrier.image.as_raw(),
                    new_layout: barrier.new_layout,
                    is_transition: is_handed_over || barrier.old_layout != barrier.new_layout,
                    range: barrier.subresource_range,
                }
            }
        }
    };
}

read_from!(BufferMemoryBarrier, ImageMemoryBarrier);
read_from!(BufferMemoryBarrier2, ImageMemoryBarrier2);

/// The rules of one version.
struct Rules {
    buffer_bound: &'static str,
    offset: &'static str,
    not_zero: &'static str,
    size: &'static str,
    image_bound: &'static str,
    new_layout: &'static str,
    range: RangeRules,
}

const FIRST: Rules = Rules {
    buffer_bound: "VUID-VkBufferMemoryBarrier-buffer-01931",
    offset: "VUID-VkBufferMemoryBarrier-offset-01187",
    not_zero: "VUID-VkBufferMemoryBarrier-size-01188",
    size: "VUID-VkBufferMemoryBarrier-size-01189",
    image_bound: "VUID-VkImageMemoryBarrier-image-01932",
    new_layout: "VUID-VkImageMemoryBarrier-newLayout-01198",
    range: RangeRules {
        level: "VUID-VkImageMemoryBarrier-subresourceRange-01486",
        levels: "VUID-VkImageMemoryBarrier-subresourceRange-01724",
        layer: "VUID-VkImageMemoryBarrier-subresourceRange-01488",
        layers: "VUID-VkImageMemoryBarrier-subresourceRange-01725",
    },
};

const SECOND: Rules = Rules {
    buffer_bound: "VUID-VkBufferMemoryBarrier2-buffer-01931",
    offset: "VUID-VkBufferMemoryBarrier2-offset-01187",
    not_zero: "VUID-VkBufferMemoryBarrier2-size-01188",
    size: "VUID-VkBufferMemoryBarrier2-size-01189",
    image_bound: "VUID-VkImageMemoryBarrier2-image-01932",
    new_layout: "VUID-VkImageMemoryBarrier2-newLayout-01198",
    range: RangeRules {
        level: "VUID-VkImageMemoryBarrier2-subresourceRange-01486",
        levels: "VUID-VkImageMemoryBarrier2-subresourceRange-01724",
        layer: "VUID-VkImageMemoryBarrier2-subresourceRange-01488",
        layers: "VUID-VkImageMemoryBarrier2-subresourceRange-01725",
    },
};

impl Executor<'_> {
    /// Judges the barriers of one command.
    pub(super) fn barriers(&mut self, buffers: &[BufferBarrier], images: &[ImageBarrier]) {
        let rules = if self.function == Function::CmdPipelineBarrier { &FIRST } else { &SECOND };
        for barrier in buffers {
            if let Some(place) = self.resolve(ObjectKind::Buffer, barrier.buffer, rules.buffer_bound) {
                self.judge_buffer(rules, barrier, place.size);
            }
        }
        for barrier in images {
            let place = self.resolve(ObjectKind::Image, barrier.image, rules.image_bound);
            if let Some(shape) = place.and_then(|place| place.shape) {
                self.judge_image(rules, barrier, &shape);
            }
        }
    }

    fn judge_buffer(&self, rules: &Rules, barrier: &BufferBarrier, total: u64) {
        let BufferBarrier { offset, size, .. } = *barrier;
        let is_inside = offset >= total || size == vk::WHOLE_SIZE || size <= total - offset;
        let checks = [
            (offset < total, rules.offset, "the offset is not inside the buffer"),
            (size != 0, rules.not_zero, "the size is zero"),
            (is_inside, rules.size, "the range ends outside the buffer"),
        ];
        self.device.judge(self.function, &checks, || {
            format!("barrier at offset {offset}, size {size}, of buffer {:#x} of {total} bytes", barrier.buffer)
        });
    }

    fn judge_image(&self, rules: &Rules, barrier: &ImageBarrier, shape: &ImageShape) {
        let no_layout = [vk::ImageLayout::UNDEFINED, vk::ImageLayout::PREINITIALIZED].contains(&barrier.new_layout);
        let range = barrier.range;
        let can_be = !(no_layout && barrier.is_transition);
        let layout = [(can_be, rules.new_layout, "an image cannot be brought into that layout")];
        let checks = rules.range.checks(&range, shape);
        let checks: Vec<_> = layout.into_iter().chain(checks).collect();
        self.device.judge(self.function, &checks, || {
            format!("barrier into {:?} of {range:?} of image {:#x}", barrier.new_layout, barrier.image)
        });
    }
}
