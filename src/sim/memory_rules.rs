//! The rules about memory objects, each with its VUID.
//!
//! # Source
//!
//! "Valid Usage" of `vkAllocateMemory`, `VkMemoryAllocateInfo`, `VkMemoryDedicatedAllocateInfo`, `vkMapMemory` and
//! `VkMappedMemoryRange` in the Vulkan specification 1.3.

use super::function::Function;
use super::memory::AllocateAsk;
use super::object::DeviceObject;
use super::profile::Features;
use super::requirements::Requirements;
use super::world::{Memory, Resource};
use ash::vk;
use ash::vk::Handle;
use core::ops::Range;

/// Records what is wrong with an allocation.
pub(super) fn judge_allocate(device: &DeviceObject, ask: &AllocateAsk) {
    let wrong = |rule, message| device.violate(rule, Function::AllocateMemory, message);
    let (size, index) = (ask.size, ask.memory_type_index);
    if size == 0 {
        wrong("VUID-VkMemoryAllocateInfo-allocationSize-07897", "0 bytes asked for".to_owned());
    }
    let Some(kind) = device.profile.memory_type(index) else {
        let count = device.profile.memory_types.len();
        return wrong("VUID-vkAllocateMemory-pAllocateInfo-01714", format!("memory type {index} of {count}"));
    };
    let heap_size = device.profile.heaps.get(kind.heap_index as usize).map_or(0, |heap| heap.size);
    if size > heap_size {
        let message = format!("{size} bytes asked for, heap {} has {heap_size}", kind.heap_index);
        wrong("VUID-vkAllocateMemory-pAllocateInfo-01713", message);
    }
    let largest = device.profile.max_memory_allocation_size;
    let is_known = device.can_tell(vk::API_VERSION_1_1, c"VK_KHR_maintenance3");
    if largest != 0 && size > largest && is_known {
        let message = format!("{size} bytes asked for, maxMemoryAllocationSize is {largest}");
        wrong("SIM-allocation-above-maxMemoryAllocationSize", message);
    }
    judge_features(device, ask, kind.property_flags);
    judge_chain(device, ask);
    if let Some(priority) = ask.priority.filter(|priority| !(0.0..=1.0).contains(priority)) {
        wrong("VUID-VkMemoryPriorityAllocateInfoEXT-priority-02602", format!("priority {priority} is not in 0 to 1"));
    }
    if let Some(dedicated) = ask.dedicated {
        judge_dedicated(device, ask, dedicated);
    }
}

/// Records that a device has as many memory objects as there may be. What is counted is told by whoever counts the next
/// one, in the same moment.
pub(super) fn judge_count(device: &DeviceObject, count: u32) {
    if count >= device.profile.max_memory_allocation_count {
        let message = format!("{count} memory objects live, which is the limit");
        device.violate("VUID-vkAllocateMemory-maxMemoryAllocationCount-04101", Function::AllocateMemory, message);
    }
}

/// The structures chained to an allocation: each once, each of a version or extension that is enabled, each filled
/// rightly.
fn judge_chain(device: &DeviceObject, ask: &AllocateAsk) {
    let wrong = |rule, message| device.violate(rule, Function::AllocateMemory, message);
    for (place, tag) in ask.chain.iter().enumerate() {
        if ask.chain[..place].contains(tag) {
            wrong("VUID-VkMemoryAllocateInfo-sType-unique", format!("{tag:?} is chained twice"));
        }
        if !may_be_chained(device, *tag) {
            let message = format!("{tag:?} is chained, but no version or extension that has it is enabled");
            wrong("VUID-VkMemoryAllocateInfo-pNext-pNext", message);
        }
    }
    let mask = ask.device_mask;
    let capture = vk::MemoryAllocateFlags::DEVICE_ADDRESS_CAPTURE_REPLAY;
    if ask.flags.contains(vk::MemoryAllocateFlags::DEVICE_MASK) {
        if mask & !1 != 0 {
            let message = format!("device mask {mask:#b}, but there is one physical device");
            wrong("VUID-VkMemoryAllocateFlagsInfo-deviceMask-00675", message);
        }
        if mask == 0 {
            wrong("VUID-VkMemoryAllocateFlagsInfo-deviceMask-00676", "the device mask is zero".to_owned());
        }
    }
    if ask.flags.contains(capture) {
        let message = "capture and replay of the address is asked for, bufferDeviceAddressCaptureReplay is not enabled";
        wrong("VUID-VkMemoryAllocateInfo-flags-03330", message.to_owned());
    }
    if ask.capture_address != 0 && !ask.flags.contains(capture) {
        let message = "an address is to be replayed, but the flag that says so is not set".to_owned();
        wrong("VUID-VkMemoryAllocateInfo-opaqueCaptureAddress-03329", message);
    }
}

fn may_be_chained(device: &DeviceObject, tag: vk::StructureType) -> bool {
    let since = |version| device.version >= version;
    let has_addresses = device.has_extension(c"VK_KHR_buffer_device_address");
    match tag {
        vk::StructureType::MEMORY_DEDICATED_ALLOCATE_INFO => {
            since(vk::API_VERSION_1_1) || device.has_extension(c"VK_KHR_dedicated_allocation")
        }
        vk::StructureType::MEMORY_ALLOCATE_FLAGS_INFO => since(vk::API_VERSION_1_1) || has_addresses,
        vk::StructureType::MEMORY_OPAQUE_CAPTURE_ADDRESS_ALLOCATE_INFO => since(vk::API_VERSION_1_2) || has_addresses,
        vk::StructureType::EXPORT_MEMORY_ALLOCATE_INFO => since(vk::API_VERSION_1_1),
        vk::StructureType::MEMORY_PRIORITY_ALLOCATE_INFO_EXT => device.has_extension(c"VK_EXT_memory_priority"),
        _ => false,
    }
}

fn judge_features(device: &DeviceObject, ask: &AllocateAsk, flags: vk::MemoryPropertyFlags) {
    let wrong = |rule, message| device.violate(rule, Function::AllocateMemory, message);
    let index = ask.memory_type_index;
    if flags.contains(vk::MemoryPropertyFlags::DEVICE_COHERENT_AMD)
        && !device.features.contains(Features::DEVICE_COHERENT_MEMORY)
    {
        let message = format!("memory type {index} is device-coherent, deviceCoherentMemory is not enabled");
        wrong("VUID-vkAllocateMemory-deviceCoherentMemory-02790", message);
    }
    if flags.contains(vk::MemoryPropertyFlags::PROTECTED) && !device.features.contains(Features::PROTECTED_MEMORY) {
        let message = format!("memory type {index} is protected, protectedMemory is not enabled");
        wrong("VUID-VkMemoryAllocateInfo-memoryTypeIndex-01872", message);
    }
    if ask.flags.contains(vk::MemoryAllocateFlags::DEVICE_ADDRESS)
        && !device.features.contains(Features::BUFFER_DEVICE_ADDRESS)
    {
        let message = "a device address is asked for, bufferDeviceAddress is not enabled".to_owned();
        wrong("VUID-VkMemoryAllocateInfo-flags-03331", message);
    }
}

fn judge_dedicated(device: &DeviceObject, ask: &AllocateAsk, (buffer, image): (vk::Buffer, vk::Image)) {
    let wrong = |rule, message| device.violate(rule, Function::AllocateMemory, message);
    if buffer != vk::Buffer::null() && image != vk::Image::null() {
        wrong("VUID-VkMemoryDedicatedAllocateInfo-image-01432", "both a buffer and an image are named".to_owned());
    }
    let world = device.world();
    if image != vk::Image::null() {
        match world.images.get(image.as_raw()) {
            Err(bad) => wrong("VUID-VkMemoryDedicatedAllocateInfo-image-parameter", format!("image {image:?} {bad}")),
            Ok(resource) => {
                judge_dedicated_size(device, ask, resource, "VUID-VkMemoryDedicatedAllocateInfo-image-02964");
                if resource.is_sparse {
                    wrong("VUID-VkMemoryDedicatedAllocateInfo-image-01434", format!("image {image:?} is sparse"));
                }
                if resource.is_disjoint {
                    wrong("VUID-VkMemoryDedicatedAllocateInfo-image-01797", format!("image {image:?} is disjoint"));
                }
            }
        }
    } else if buffer != vk::Buffer::null() {
        match world.buffers.get(buffer.as_raw()) {
            Err(bad) => {
                wrong("VUID-VkMemoryDedicatedAllocateInfo-buffer-parameter", format!("buffer {buffer:?} {bad}"));
            }
            Ok(resource) => {
                judge_dedicated_size(device, ask, resource, "VUID-VkMemoryDedicatedAllocateInfo-buffer-02965");
                if resource.is_sparse {
                    wrong("VUID-VkMemoryDedicatedAllocateInfo-buffer-01436", format!("buffer {buffer:?} is sparse"));
                }
            }
        }
    }
}

fn judge_dedicated_size(device: &DeviceObject, ask: &AllocateAsk, resource: &Resource, rule: &'static str) {
    let Requirements { size, .. } = resource.requirements;
    if ask.size != size {
        let message = format!("{} bytes asked for a resource that requires {size}", ask.size);
        device.violate(rule, Function::AllocateMemory, message);
    }
}

/// The rules of one version of `vkMapMemory`.
pub(super) struct MapRules {
    pub(super) memory: &'static str,
    mapped: &'static str,
    offset: &'static str,
    not_zero: &'static str,
    inside: &'static str,
    host_visible: &'static str,
    flags: &'static str,
}

/// Rules of `vkMapMemory`.
pub(super) const MAP: MapRules = MapRules {
    memory: "VUID-vkMapMemory-memory-parameter",
    mapped: "VUID-vkMapMemory-memory-00678",
    offset: "VUID-vkMapMemory-offset-00679",
    not_zero: "VUID-vkMapMemory-size-00680",
    inside: "VUID-vkMapMemory-size-00681",
    host_visible: "VUID-vkMapMemory-memory-00682",
    flags: "VUID-vkMapMemory-flags-zerobitmask",
};

/// Rules of `vkMapMemory2KHR`.
pub(super) const MAP2: MapRules = MapRules {
    memory: "VUID-VkMemoryMapInfoKHR-memory-parameter",
    mapped: "VUID-VkMemoryMapInfoKHR-memory-07958",
    offset: "VUID-VkMemoryMapInfoKHR-offset-07959",
    not_zero: "VUID-VkMemoryMapInfoKHR-size-07960",
    inside: "VUID-VkMemoryMapInfoKHR-size-07961",
    host_visible: "VUID-VkMemoryMapInfoKHR-memory-07962",
    flags: "VUID-VkMemoryMapInfoKHR-flags-zerobitmask",
};

/// Records what is wrong with a mapping; tells whether it can be made.
pub(super) fn judge_map(
    device: &DeviceObject,
    function: Function,
    rules: &MapRules,
    memory: &Memory,
    (offset, size, flags): (u64, u64, vk::MemoryMapFlags),
) -> bool {
    let total = memory.size();
    let is_inside = size == vk::WHOLE_SIZE || size <= total.saturating_sub(offset);
    #[rustfmt::skip]
    let checks = [
        (memory.mapping.is_none(), rules.mapped, "the memory is mapped already"),
        (offset < total, rules.offset, "the offset is not inside the memory"),
        (size != 0, rules.not_zero, "the size is zero"),
        (is_inside, rules.inside, "the range ends outside the memory"),
        (memory.is_host_visible(), rules.host_visible, "the memory is not host visible"),
        (flags.is_empty(), rules.flags, "flags are given, of which there are none"),
    ];
    device.judge(function, &checks, || format!("offset {offset}, size {size}, memory of {total} bytes"))
}

/// One range of a flush or invalidate.
pub(super) struct RangeAsk {
    pub(super) function: Function,
    pub(super) memory: vk::DeviceMemory,
    pub(super) offset: u64,
    pub(super) size: u64,
}

/// Records what is wrong with a range; returns the bytes it covers, inside the mapping, or `None` without one.
pub(super) fn judge_range(device: &DeviceObject, ask: &RangeAsk, memory: &Memory) -> Option<Range<u64>> {
    let RangeAsk { function, offset, size, .. } = *ask;
    let (atom, total) = (device.profile.non_coherent_atom_size.max(1), memory.size());
    let Some(mapping) = memory.mapping.clone() else {
        let message = format!("memory {:?} is not mapped", ask.memory);
        device.violate("VUID-VkMappedMemoryRange-memory-00684", function, message);
        return None;
    };
    let is_whole = size == vk::WHOLE_SIZE;
    let end = if is_whole { mapping.end } else { offset.saturating_add(size) };
    let is_inside = mapping.start <= offset && offset <= end && end <= mapping.end;
    let ends_on_atom = end % atom == 0 || end == total;
    let is_size_right = is_whole || size % atom == 0 || end == total;
    #[rustfmt::skip]
    let checks = [
        (is_whole || is_inside, "VUID-VkMappedMemoryRange-size-00685", "the range is not inside the mapping"),
        (!is_whole || mapping.contains(&offset), "VUID-VkMappedMemoryRange-size-00686", "the offset is not inside the mapping"),
        (offset % atom == 0, "VUID-VkMappedMemoryRange-offset-00687", "the offset is not a multiple of nonCoherentAtomSize"),
        (!is_whole || ends_on_atom, "VUID-VkMappedMemoryRange-size-01389", "the mapping does not end with an atom"),
        (is_size_right, "VUID-VkMappedMemoryRange-size-01390", "the size is not a multiple of nonCoherentAtomSize"),
    ];
    device.judge(function, &checks, || {
        format!("offset {offset}, size {size}, atom {atom}, mapping {mapping:?}, memory of {total} bytes")
    });
    is_inside.then_some(offset..end)
}
