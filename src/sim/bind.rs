//! Entry points that bind resources to memory, and the checks that no validation layer makes.
//!
//! ```text
//!   memory   ├──── buffer ────┤      ├─ image ─┤
//!   pages    │   0   │   1    │   2  │   3  │   4  │      no page has a linear and a non-linear resource
//! ```
//!
//! Beyond Vulkan's valid usage, two rules are checked against every live resource of the same memory object:
//! `SIM-overlap` (no byte has two owners, unless aliasing is allowed) and `SIM-granularity` (no page of
//! bufferImageGranularity has two kinds). Neighbours are found in an ordered map, so a bind costs O(log n).
//!
//! # Source
//!
//! "Buffer-Image Granularity" and "Memory Aliasing" in the Vulkan specification; valid usage of the bind functions.

use super::bind_rules::{BindRules, judge_fit};
use super::function::Function;
use super::handle::ObjectKind;
use super::object::{Ask, DeviceObject, Mode};
use super::pnext::array;
use super::world::{Bound, Memory, Resource, ResourceId, World};
use ash::vk;
use ash::vk::Handle;
use core::ops::Range;

/// One binding as all four functions ask for it.
pub(super) struct BindAsk {
    pub(super) function: Function,
    pub(super) rules: &'static BindRules,
    pub(super) id: ResourceId,
    pub(super) memory: vk::DeviceMemory,
    pub(super) offset: u64,
}

fn buffer_ask(
    function: Function,
    rules: &'static BindRules,
    buffer: vk::Buffer,
    memory: vk::DeviceMemory,
    offset: u64,
) -> BindAsk {
    BindAsk { function, rules, id: ResourceId { kind: ObjectKind::Buffer, handle: buffer.as_raw() }, memory, offset }
}

fn image_ask(
    function: Function,
    rules: &'static BindRules,
    image: vk::Image,
    memory: vk::DeviceMemory,
    offset: u64,
) -> BindAsk {
    BindAsk { function, rules, id: ResourceId { kind: ObjectKind::Image, handle: image.as_raw() }, memory, offset }
}

pub(super) extern "system" fn bind_buffer(
    device: &DeviceObject,
    buffer: vk::Buffer,
    memory: vk::DeviceMemory,
    offset: u64,
) -> vk::Result {
    let ask = buffer_ask(Function::BindBufferMemory, &BindRules::BUFFER, buffer, memory, offset);
    device.judged(Ask::new(ask.function), |mode| bind(device, mode, &ask))
}

pub(super) extern "system" fn bind_image(
    device: &DeviceObject,
    image: vk::Image,
    memory: vk::DeviceMemory,
    offset: u64,
) -> vk::Result {
    let ask = image_ask(Function::BindImageMemory, &BindRules::IMAGE, image, memory, offset);
    device.judged(Ask::new(ask.function), |mode| bind(device, mode, &ask))
}

pub(super) extern "system" fn bind_buffer2(
    device: &DeviceObject,
    count: u32,
    infos: *const vk::BindBufferMemoryInfo<'_>,
) -> vk::Result {
    let function = Function::BindBufferMemory2;
    device.judged(Ask::new(function), |mode| {
        // SAFETY: the application gives `count` valid structures.
        let infos = unsafe { array(infos, count) };
        let asks = infos
            .iter()
            .map(|info| buffer_ask(function, &BindRules::BUFFER2, info.buffer, info.memory, info.memory_offset));
        judge_count(device, function, count, "VUID-vkBindBufferMemory2-bindInfoCount-arraylength");
        bind_all(device, mode, asks)
    })
}

pub(super) extern "system" fn bind_image2(
    device: &DeviceObject,
    count: u32,
    infos: *const vk::BindImageMemoryInfo<'_>,
) -> vk::Result {
    let function = Function::BindImageMemory2;
    device.judged(Ask::new(function), |mode| {
        // SAFETY: the application gives `count` valid structures.
        let infos = unsafe { array(infos, count) };
        let asks = infos
            .iter()
            .map(|info| image_ask(function, &BindRules::IMAGE2, info.image, info.memory, info.memory_offset));
        judge_count(device, function, count, "VUID-vkBindImageMemory2-bindInfoCount-arraylength");
        bind_all(device, mode, asks)
    })
}

fn judge_count(device: &DeviceObject, function: Function, count: u32, rule: &'static str) {
    if count == 0 {
        device.violate(rule, function, "nothing is to be bound".to_owned());
    }
}

fn bind_all(device: &DeviceObject, mode: Mode, asks: impl Iterator<Item = BindAsk>) -> vk::Result {
    let failed = asks.map(|ask| bind(device, mode, &ask)).filter(|result| *result != vk::Result::SUCCESS);
    failed.last().unwrap_or(vk::Result::SUCCESS)
}

/// Carries a binding out; one that does not fit into the memory, or names nothing, is refused.
fn bind(device: &DeviceObject, mode: Mode, ask: &BindAsk) -> vk::Result {
    let mut guard = device.world();
    let world = &mut *guard;
    let World { memories, buffers, images, .. } = world;
    let resources = if ask.id.kind == ObjectKind::Image { images } else { buffers };
    let resource = match resources.get_mut(ask.id.handle) {
        Ok(resource) => resource,
        Err(bad) => {
            device.violate(ask.rules.resource, ask.function, format!("{:?} {:#x} {bad}", ask.id.kind, ask.id.handle));
            return vk::Result::ERROR_UNKNOWN;
        }
    };
    let memory = match memories.get_mut(ask.memory.as_raw()) {
        Ok(memory) => memory,
        Err(bad) => {
            device.violate(ask.rules.memory, ask.function, format!("memory {:?} {bad}", ask.memory));
            return vk::Result::ERROR_UNKNOWN;
        }
    };
    if !judge_fit(device, ask, resource, memory) {
        return vk::Result::ERROR_UNKNOWN;
    }
    let range = ask.offset..ask.offset + resource.requirements.size;
    if device.state().checks().binds {
        judge_neighbours(device, ask, resource, memory, &range);
    }
    if mode == Mode::Refuse {
        return vk::Result::ERROR_UNKNOWN;
    }
    if device.state().checks().binds {
        place(memory, ask.id, resource, &range);
    }
    resource.binding = Some((ask.memory.as_raw(), ask.offset));
    vk::Result::SUCCESS
}

fn place(memory: &mut Memory, id: ResourceId, resource: &Resource, range: &Range<u64>) {
    memory.longest_bound = memory.longest_bound.max(range.end - range.start);
    let bound = Bound { end: range.end, is_linear: resource.is_linear, may_alias: resource.may_alias };
    memory.bound.insert((range.start, id), bound);
}

/// Records overlaps and granularity conflicts with the live resources around a range.
fn judge_neighbours(device: &DeviceObject, ask: &BindAsk, resource: &Resource, memory: &Memory, range: &Range<u64>) {
    let granularity = device.profile.buffer_image_granularity.max(1);
    let pages = range.start / granularity * granularity..range.end.next_multiple_of(granularity);
    let is_aliasing_allowed = device.state().is_aliasing_allowed();
    // A resource that begins further back than the longest one reaches cannot touch the first page.
    let first = pages.start.saturating_sub(memory.longest_bound);
    let lowest = ResourceId { kind: ObjectKind::DeviceMemory, handle: 0 };
    for ((start, other), bound) in memory.bound.range((first, lowest)..(pages.end, lowest)) {
        let is_overlap = *start < range.end && range.start < bound.end;
        let is_alias = is_aliasing_allowed || (resource.may_alias && bound.may_alias);
        let shares_page = bound.end > pages.start && bound.is_linear != resource.is_linear;
        if is_overlap && !is_alias {
            report(device, ask, "SIM-overlap", "overlaps", (range, *start..bound.end, *other));
        } else if !is_overlap && shares_page {
            report(
                device,
                ask,
                "SIM-granularity",
                "is of another kind and shares a page with",
                (range, *start..bound.end, *other),
            );
        }
    }
}

fn report(
    device: &DeviceObject,
    ask: &BindAsk,
    rule: &'static str,
    what: &str,
    (range, other_range, other): (&Range<u64>, Range<u64>, ResourceId),
) {
    let message = format!(
        "{:?} {:#x} at {range:?} {what} {:?} {:#x} at {other_range:?} in memory {:?} (granularity {})",
        ask.id.kind, ask.id.handle, other.kind, other.handle, ask.memory, device.profile.buffer_image_granularity
    );
    device.violate(rule, ask.function, message);
}
