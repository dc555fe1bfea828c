//! The barriers that a caller may ask for around the copies of a transfer.
//!
//! ```text
//!   before:  use before ──► copies, in the layout of the copies        into the first batch
//!   after:   copies ──► use after, in its layout                       behind the last piece
//!   release: as after, and ownership goes to another queue family; `acquire` is its other half, behind a semaphore that
//!            is waited for at ALL_COMMANDS: the barrier names no stages before it
//! ```
//!
//! Each subresource that a region touches gets one barrier, whatever other regions touch it too.

use ash::vk;

use super::target::{QueueFamilies, ResourceUse};
use super::transfer::{Target, Transfer};
use crate::device::{BarrierStages, Device};

/// Both sides of a barrier.
#[derive(Clone, Copy, Debug)]
struct Sides {
    from: ResourceUse,
    to: ResourceUse,
    families: Option<QueueFamilies>,
}

/// How the copies use their target.
pub(super) fn copy_use(transfer: &Transfer, access: vk::AccessFlags) -> ResourceUse {
    let layout = match transfer.target {
        Target::Buffer { .. } => vk::ImageLayout::UNDEFINED,
        Target::Image { layout, .. } => layout,
    };
    ResourceUse { stages: vk::PipelineStageFlags::TRANSFER, access, layout }
}

/// Records the barrier before the copies, if there is one.
///
/// # Safety
/// The duties of [`Uploader::record`](super::Uploader::record).
#[expect(unsafe_code, reason = "records into the caller's command buffer")]
pub(super) unsafe fn record_before(
    device: &Device,
    commands: vk::CommandBuffer,
    transfer: &Transfer,
    access: vk::AccessFlags,
) {
    if let Some(from) = transfer.before {
        let sides = Sides { from, to: copy_use(transfer, access), families: None };
        // SAFETY: the caller's duties.
        unsafe { record(device, commands, &transfer.target, sides) }
    }
}

/// Records the barrier behind the copies, if there is one.
///
/// # Safety
/// The duties of [`Uploader::record`](super::Uploader::record).
#[expect(unsafe_code, reason = "records into the caller's command buffer")]
pub(super) unsafe fn record_after(
    device: &Device,
    commands: vk::CommandBuffer,
    transfer: &Transfer,
    access: vk::AccessFlags,
) {
    if let Some(to) = transfer.after {
        let from = copy_use(transfer, access);
        // A release makes nothing visible here: the acquisition does (Vulkan specification, "Queue Family Ownership
        // Transfer").
        let is_release = transfer.families.is_some();
        let nowhere = ResourceUse { layout: to.layout, ..ResourceUse::undefined() };
        let sides = Sides { from, to: if is_release { nowhere } else { to }, families: transfer.families };
        // SAFETY: the caller's duties.
        unsafe { record(device, commands, &transfer.target, sides) }
    }
}

/// Records the acquisition that belongs to a release; tells whether there is one.
///
/// # Safety
/// The duties of [`Uploader::record_acquire`](super::Uploader::record_acquire).
#[expect(unsafe_code, reason = "records into the caller's command buffer")]
pub(super) unsafe fn record_acquire(
    device: &Device,
    commands: vk::CommandBuffer,
    transfer: &Transfer,
    access: vk::AccessFlags,
) -> bool {
    let (Some(to), Some(families)) = (transfer.after, transfer.families) else {
        return false;
    };
    let nowhere = ResourceUse { layout: copy_use(transfer, access).layout, ..ResourceUse::undefined() };
    // SAFETY: the caller's duties.
    unsafe { record(device, commands, &transfer.target, Sides { from: nowhere, to, families: Some(families) }) };
    true
}

/// Records one barrier for each part of a target.
///
/// # Safety
/// 1. `commands` is recording outside a render pass, belongs to the device, and no other thread uses it.
/// 2. The target is alive, and used as `sides` says; the queue family of `commands` supports the stages of its own side
///    or sides, which have accesses of those stages only.
#[expect(unsafe_code, reason = "records into the caller's command buffer")]
unsafe fn record(device: &Device, commands: vk::CommandBuffer, target: &Target, sides: Sides) {
    let ignored = (vk::QUEUE_FAMILY_IGNORED, vk::QUEUE_FAMILY_IGNORED);
    let (source_family, destination_family) = sides.families.map_or(ignored, |families| (families.from, families.to));
    match target {
        Target::Buffer { buffer, offset, len } => {
            let barrier = vk::BufferMemoryBarrier::default()
                .src_access_mask(sides.from.access)
                .dst_access_mask(sides.to.access)
                .src_queue_family_index(source_family)
                .dst_queue_family_index(destination_family)
                .buffer(*buffer)
                .offset(*offset)
                .size(*len);
            // SAFETY: duties 1 and 2.
            unsafe { device.record_buffer_barrier(commands, stages(sides), &barrier) };
        }
        Target::Image { image, touched, .. } => {
            for range in touched {
                let barrier = vk::ImageMemoryBarrier::default()
                    .src_access_mask(sides.from.access)
                    .dst_access_mask(sides.to.access)
                    .src_queue_family_index(source_family)
                    .dst_queue_family_index(destination_family)
                    .old_layout(sides.from.layout)
                    .new_layout(sides.to.layout)
                    .image(image.image)
                    .subresource_range(*range);
                // SAFETY: duties 1 and 2.
                unsafe { device.record_image_barrier(commands, stages(sides), &barrier) };
            }
        }
    }
}

/// Returns the stages of a barrier. Before `synchronization2` no mask may be empty.
fn stages(sides: Sides) -> BarrierStages {
    let or = |stages: vk::PipelineStageFlags, none| if stages.is_empty() { none } else { stages };
    BarrierStages {
        before: or(sides.from.stages, vk::PipelineStageFlags::TOP_OF_PIPE),
        after: or(sides.to.stages, vk::PipelineStageFlags::BOTTOM_OF_PIPE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_barrier_waits_for_the_stages_that_are_done_with_what_is_discarded() {
        let copies = ResourceUse::buffer(vk::PipelineStageFlags::TRANSFER, vk::AccessFlags::TRANSFER_WRITE);
        let waits_for = |from| stages(Sides { from, to: copies, families: None }).before;
        let fragment = vk::PipelineStageFlags::FRAGMENT_SHADER;
        let discarded = ResourceUse::discarded(fragment);
        assert_eq!(waits_for(discarded), fragment);
        assert_eq!((discarded.access, discarded.layout), (vk::AccessFlags::empty(), vk::ImageLayout::UNDEFINED));
        assert_eq!(waits_for(ResourceUse::undefined()), vk::PipelineStageFlags::TOP_OF_PIPE, "for nothing");
    }
}
