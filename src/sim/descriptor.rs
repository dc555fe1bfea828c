//! Entry points of descriptor sets: what is written into them is checked, and in use by the dispatches that see it.
//!
//! ```text
//!   vkUpdateDescriptorSets ──► set: (binding, element) ──► buffer, or image behind a view
//!   vkCmdBindDescriptorSets ──► command buffer: number ──► set ──vkCmdDispatch──► uses of the submission
//! ```
//!
//! What a shader reads of it is not known: whatever the sets name counts, as "either directly or via a
//! `VkDescriptorSet`" says. Layouts are not known either: a write that goes on in the next binding stays in its own,
//! and a set that a later one with another layout has disturbed still counts. Views of texels in buffers are not
//! followed.
//!
//! # Source
//!
//! VUID-vkDestroyBuffer-buffer-00922 and VUID-vkDestroyImage-image-01000 in the Vulkan specification.

use super::command::{Command, Stage, with_buffer};
use super::function::Function;
use super::handle::ObjectKind;
use super::object::{Ask, CommandBufferObject, DeviceObject};
use super::pnext::array;
use super::world::{ResourceId, World};
use ash::vk;
use ash::vk::Handle;
use std::collections::BTreeMap;

/// What a descriptor set names, by binding and element; of a view, its image.
pub(super) type Named = BTreeMap<(u32, u32), ResourceId>;

impl World {
    /// Notes what a set or a view names at a place; one that is not there is the business of whoever made it.
    pub(super) fn name_in(&mut self, holder: u64, place: (u32, u32), named: Option<ResourceId>) {
        let Ok(object) = self.passive.get_mut(holder) else { return };
        match named {
            Some(named) => object.named.insert(place, named),
            None => object.named.remove(&place),
        };
    }

    /// Returns the resources that live sets name.
    pub(super) fn named_by(&self, sets: &[u64]) -> Vec<ResourceId> {
        let live = sets.iter().filter_map(|set| self.passive.get(*set).ok());
        live.flat_map(|set| set.named.values().copied()).collect()
    }
}

/// How a descriptor says what it is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    Buffer,
    View,
    Other,
}

fn content(kind: vk::DescriptorType) -> Content {
    match kind {
        vk::DescriptorType::UNIFORM_BUFFER
        | vk::DescriptorType::STORAGE_BUFFER
        | vk::DescriptorType::UNIFORM_BUFFER_DYNAMIC
        | vk::DescriptorType::STORAGE_BUFFER_DYNAMIC => Content::Buffer,
        vk::DescriptorType::COMBINED_IMAGE_SAMPLER
        | vk::DescriptorType::SAMPLED_IMAGE
        | vk::DescriptorType::STORAGE_IMAGE
        | vk::DescriptorType::INPUT_ATTACHMENT => Content::View,
        _ => Content::Other,
    }
}

pub(super) extern "system" fn update_sets(
    device: &DeviceObject,
    write_count: u32,
    writes: *const vk::WriteDescriptorSet<'_>,
    copy_count: u32,
    copies: *const vk::CopyDescriptorSet<'_>,
) {
    device.call(Ask::new(Function::UpdateDescriptorSets), || {
        // SAFETY: the application gives that many valid structures.
        for write in unsafe { array(writes, write_count) } {
            write_set(device, write);
        }
        // SAFETY: as above.
        for copy in unsafe { array(copies, copy_count) } {
            copy_set(device, copy);
        }
    });
}

fn write_set(device: &DeviceObject, write: &vk::WriteDescriptorSet<'_>) {
    let content = content(write.descriptor_type);
    let (buffers, views) = match content {
        Content::Buffer => (write.p_buffer_info, core::ptr::null()),
        Content::View => (core::ptr::null(), write.p_image_info),
        Content::Other => return,
    };
    let place = |element| (write.dst_binding, write.dst_array_element.saturating_add(element));
    // SAFETY: for these types the application gives that many valid structures.
    for (element, info) in (0..).zip(unsafe { array(buffers, write.descriptor_count) }) {
        judge_descriptor(device, info);
        let named = ResourceId { kind: ObjectKind::Buffer, handle: info.buffer.as_raw() };
        device.world().name_in(write.dst_set.as_raw(), place(element), Some(named));
    }
    // SAFETY: as above.
    for (element, info) in (0..).zip(unsafe { array(views, write.descriptor_count) }) {
        let mut world = device.world();
        let named = world.named_by(&[info.image_view.as_raw()]).first().copied();
        world.name_in(write.dst_set.as_raw(), place(element), named);
    }
}

fn copy_set(device: &DeviceObject, copy: &vk::CopyDescriptorSet<'_>) {
    let mut world = device.world();
    for element in 0..copy.descriptor_count {
        let from = (copy.src_binding, copy.src_array_element.saturating_add(element));
        let to = (copy.dst_binding, copy.dst_array_element.saturating_add(element));
        let source = world.passive.get(copy.src_set.as_raw());
        let named = source.ok().and_then(|set| set.named.get(&from).copied());
        world.name_in(copy.dst_set.as_raw(), to, named);
    }
}

fn judge_descriptor(device: &DeviceObject, info: &vk::DescriptorBufferInfo) {
    let function = Function::UpdateDescriptorSets;
    let world = device.world();
    let vk::DescriptorBufferInfo { buffer, offset, range } = *info;
    match world.buffers.get(buffer.as_raw()) {
        Err(bad) => {
            let message = format!("buffer {buffer:?} {bad}");
            device.violate("VUID-VkDescriptorBufferInfo-buffer-parameter", function, message);
        }
        Ok(object) => {
            let is_live = |(memory, _)| world.memories.get(memory).is_ok();
            let is_bound = object.is_sparse || object.binding.is_some_and(is_live);
            let fits = offset >= object.size || range == vk::WHOLE_SIZE || range <= object.size - offset;
            #[rustfmt::skip]
            let checks = [
                (is_bound, "VUID-VkWriteDescriptorSet-descriptorType-00329", "the buffer is not bound to live memory"),
                (offset < object.size, "VUID-VkDescriptorBufferInfo-offset-00340", "the offset is not inside the buffer"),
                (range != 0, "VUID-VkDescriptorBufferInfo-range-00341", "the range is zero"),
                (fits, "VUID-VkDescriptorBufferInfo-range-00342", "the range ends outside the buffer"),
            ];
            device.judge(function, &checks, || format!("buffer {buffer:?} of {} bytes", object.size));
        }
    }
}

#[rustfmt::skip]
pub(super) extern "system" fn bind_sets(
    shell: &CommandBufferObject, point: vk::PipelineBindPoint, _: u64, first: u32,
    count: u32, sets: *const u64, _: u32, _: *const u32,
) {
    // SAFETY: the application gives `count` handles.
    let sets = unsafe { array(sets, count) };
    let _ = with_buffer(shell, Function::CmdBindDescriptorSets, |buffer| {
        if point == vk::PipelineBindPoint::COMPUTE {
            buffer.sets.extend((first..).zip(sets.iter().copied()));
        }
        recording(buffer.state, "VUID-vkCmdBindDescriptorSets-commandBuffer-recording")
    });
}

pub(super) extern "system" fn dispatch(shell: &CommandBufferObject, _: u32, _: u32, _: u32) {
    let _ = with_buffer(shell, Function::CmdDispatch, |buffer| {
        let sets = buffer.sets.values().copied().collect();
        buffer.commands.push(Command::Dispatch { sets });
        recording(buffer.state, "VUID-vkCmdDispatch-commandBuffer-recording")
    });
}

fn recording(state: Stage, rule: &'static str) -> Result<(), &'static str> {
    if state == Stage::Recording { Ok(()) } else { Err(rule) }
}
