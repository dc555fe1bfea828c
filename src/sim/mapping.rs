//! Entry points of mappings: map, unmap, flush, invalidate, and what the device reads behind the host's back.
//!
//! Invariant (I1): a mapping's range lies inside its memory; flush and invalidate touch bytes of the mapping only.

use super::function::Function;
use super::memory::ensure_storage;
use super::memory_rules::{MAP, MAP2, MapRules, RangeAsk, judge_map, judge_range};
use super::object::{Ask, DeviceObject, Mode};
use super::pnext::array;
use super::storage::Storage;
use super::world::Memory;
use ash::vk;
use ash::vk::Handle;
use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::ops::Range;

/// A mapping as both versions of `vkMapMemory` ask for it.
struct MapAsk<'a> {
    function: Function,
    rules: &'a MapRules,
    memory: vk::DeviceMemory,
    offset: u64,
    size: u64,
    flags: vk::MemoryMapFlags,
}

fn map(device: &DeviceObject, mode: Mode, ask: &MapAsk<'_>) -> Result<*mut c_void, vk::Result> {
    let failed = vk::Result::ERROR_MEMORY_MAP_FAILED;
    let mut world = device.world();
    let memory = match world.memories.get_mut(ask.memory.as_raw()) {
        Ok(memory) => memory,
        Err(bad) => {
            device.violate(ask.rules.memory, ask.function, format!("memory {:?} {bad}", ask.memory));
            return Err(failed);
        }
    };
    if !judge_map(device, ask.function, ask.rules, memory, (ask.offset, ask.size, ask.flags)) || mode == Mode::Refuse {
        return Err(failed);
    }
    let end = if ask.size == vk::WHOLE_SIZE { memory.size() } else { ask.offset + ask.size };
    let pointer = ensure_storage(device, memory).ok_or(failed)?.host(ask.offset);
    memory.mapping = Some(ask.offset..end);
    Ok(pointer.cast())
}

fn answer_map(pointer: &mut MaybeUninit<*mut c_void>, mapped: Result<*mut c_void, vk::Result>) -> vk::Result {
    pointer.write(mapped.unwrap_or(core::ptr::null_mut()));
    mapped.err().unwrap_or(vk::Result::SUCCESS)
}

pub(super) extern "system" fn map_memory(
    device: &DeviceObject,
    memory: vk::DeviceMemory,
    offset: u64,
    size: u64,
    flags: vk::MemoryMapFlags,
    pointer: &mut MaybeUninit<*mut c_void>,
) -> vk::Result {
    let function = Function::MapMemory;
    device.judged(Ask::sized(function, size), |mode| {
        answer_map(pointer, map(device, mode, &MapAsk { function, rules: &MAP, memory, offset, size, flags }))
    })
}

pub(super) extern "system" fn map_memory2(
    device: &DeviceObject,
    info: &vk::MemoryMapInfoKHR<'_>,
    pointer: &mut MaybeUninit<*mut c_void>,
) -> vk::Result {
    let function = Function::MapMemory2;
    let ask =
        MapAsk { function, rules: &MAP2, memory: info.memory, offset: info.offset, size: info.size, flags: info.flags };
    device.judged(Ask::sized(function, info.size), |mode| answer_map(pointer, map(device, mode, &ask)))
}

fn unmap(device: &DeviceObject, mode: Mode, memory: vk::DeviceMemory, function: Function, rules: [&'static str; 2]) {
    let mut world = device.world();
    match world.memories.get_mut(memory.as_raw()) {
        Err(bad) => device.violate(rules[0], function, format!("memory {memory:?} {bad}")),
        Ok(object) => {
            if let Some(loan) = object.loans.first_within(&(0..object.size())) {
                let message = format!("bytes {loan:?} of memory {memory:?} are borrowed");
                device.violate("SIM-unmap-while-lent", function, message);
            }
            if object.mapping.is_none() {
                device.violate(rules[1], function, format!("memory {memory:?} is not mapped"));
            }
            if mode == Mode::CarryOut {
                object.mapping = None;
            }
        }
    }
}

pub(super) extern "system" fn unmap_memory(device: &DeviceObject, memory: vk::DeviceMemory) {
    let rules = ["VUID-vkUnmapMemory-memory-parameter", "VUID-vkUnmapMemory-memory-00689"];
    device.call(Ask::new(Function::UnmapMemory), || {
        unmap(device, Mode::CarryOut, memory, Function::UnmapMemory, rules);
    });
}

pub(super) extern "system" fn unmap_memory2(device: &DeviceObject, info: &vk::MemoryUnmapInfoKHR<'_>) -> vk::Result {
    let rules = ["VUID-VkMemoryUnmapInfoKHR-memory-parameter", "VUID-VkMemoryUnmapInfoKHR-memory-07964"];
    device.judged(Ask::new(Function::UnmapMemory2), |mode| {
        unmap(device, mode, info.memory, Function::UnmapMemory2, rules);
        vk::Result::SUCCESS
    })
}

pub(super) extern "system" fn flush(
    device: &DeviceObject,
    count: u32,
    ranges: *const vk::MappedMemoryRange<'_>,
) -> vk::Result {
    synchronise(device, Function::FlushMappedMemoryRanges, count, ranges)
}

pub(super) extern "system" fn invalidate(
    device: &DeviceObject,
    count: u32,
    ranges: *const vk::MappedMemoryRange<'_>,
) -> vk::Result {
    synchronise(device, Function::InvalidateMappedMemoryRanges, count, ranges)
}

fn synchronise(
    device: &DeviceObject,
    function: Function,
    count: u32,
    ranges: *const vk::MappedMemoryRange<'_>,
) -> vk::Result {
    device.judged(Ask::new(function), |mode| {
        if count == 0 {
            let rule = match function {
                Function::FlushMappedMemoryRanges => "VUID-vkFlushMappedMemoryRanges-memoryRangeCount-arraylength",
                _ => "VUID-vkInvalidateMappedMemoryRanges-memoryRangeCount-arraylength",
            };
            device.violate(rule, function, "no range is given".to_owned());
        }
        // SAFETY: the application gives `count` valid ranges.
        for range in unsafe { array(ranges, count) } {
            let ask = RangeAsk { function, memory: range.memory, offset: range.offset, size: range.size };
            synchronise_one(device, mode, &ask);
        }
        vk::Result::SUCCESS
    })
}

fn synchronise_one(device: &DeviceObject, mode: Mode, ask: &RangeAsk) {
    let mut world = device.world();
    let memory = match world.memories.get_mut(ask.memory.as_raw()) {
        Ok(memory) => memory,
        Err(bad) => {
            let message = format!("memory {:?} {bad}", ask.memory);
            return device.violate("VUID-VkMappedMemoryRange-memory-parameter", ask.function, message);
        }
    };
    let Some(range) = judge_range(device, ask, memory).filter(|_| mode == Mode::CarryOut) else {
        return;
    };
    let Some(Storage::Cached(cache)) = memory.storage.as_mut() else {
        return;
    };
    if ask.function == Function::FlushMappedMemoryRanges {
        let lost = cache.flush(range);
        report_lost(
            device,
            ask,
            "SIM-flush-overwrites-device-write",
            "the device wrote it too, and the host did not invalidate it first",
            &lost,
        );
    } else {
        let lost = cache.invalidate(range);
        report_lost(device, ask, "SIM-invalidate-discards-host-write", "the host wrote it and did not flush it", &lost);
    }
}

fn report_lost(device: &DeviceObject, ask: &RangeAsk, rule: &'static str, why: &str, lost: &[u64]) {
    if let Some(first) = lost.first() {
        let atom = device.profile.non_coherent_atom_size;
        let message = format!(
            "memory {:?}: {} atom(s) of {atom} bytes lost, the first at offset {first}: {why}",
            ask.memory,
            lost.len()
        );
        device.violate(rule, ask.function, message);
    }
}

/// Returns whether the device may read this range, recording a violation where host writes were never flushed.
pub(super) fn judge_device_read(device: &DeviceObject, function: Function, memory: (u64, &Memory), range: Range<u64>) {
    if let Some(Storage::Cached(cache)) = &memory.1.storage
        && let Some(first) = cache.unflushed(range.clone()).first()
    {
        let message = format!(
            "memory {:#x}: the device reads bytes {range:?}, but the host's writes to the atom at {first} were never flushed",
            memory.0
        );
        device.violate("SIM-device-read-of-unflushed-write", function, message);
    }
}
