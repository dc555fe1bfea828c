//! The rules about one resource and the memory to which it is bound, each with its VUID.
//!
//! # Source
//!
//! "Valid Usage" of `vkBindBufferMemory`, `vkBindImageMemory`, `VkBindBufferMemoryInfo` and `VkBindImageMemoryInfo` in
//! the Vulkan specification 1.3.

use super::bind::BindAsk;
use super::object::DeviceObject;
use super::profile::Features;
use super::requirements::Requirements;
use super::world::{Memory, Resource};
use ash::vk;

/// The rules of one of the four bind functions.
pub(super) struct BindRules {
    pub(super) resource: &'static str,
    pub(super) memory: &'static str,
    bound: &'static str,
    sparse: &'static str,
    disjoint: &'static str,
    offset: &'static str,
    kind: &'static str,
    aligned: &'static str,
    inside: &'static str,
    requires_dedicated: &'static str,
    dedicated: &'static str,
    device_address: &'static str,
    protected: &'static str,
    unprotected: &'static str,
}

impl BindRules {
    /// `vkBindBufferMemory`.
    pub(super) const BUFFER: Self = Self {
        resource: "VUID-vkBindBufferMemory-buffer-parameter",
        memory: "VUID-vkBindBufferMemory-memory-parameter",
        bound: "VUID-vkBindBufferMemory-buffer-07459",
        sparse: "VUID-vkBindBufferMemory-buffer-01030",
        disjoint: "",
        offset: "VUID-vkBindBufferMemory-memoryOffset-01031",
        kind: "VUID-vkBindBufferMemory-memory-01035",
        aligned: "VUID-vkBindBufferMemory-memoryOffset-01036",
        inside: "VUID-vkBindBufferMemory-size-01037",
        requires_dedicated: "VUID-vkBindBufferMemory-buffer-01444",
        dedicated: "VUID-vkBindBufferMemory-memory-01508",
        device_address: "VUID-vkBindBufferMemory-bufferDeviceAddress-03339",
        protected: "VUID-vkBindBufferMemory-None-01898",
        unprotected: "VUID-vkBindBufferMemory-None-01899",
    };

    /// `vkBindBufferMemory2`.
    pub(super) const BUFFER2: Self = Self {
        resource: "VUID-VkBindBufferMemoryInfo-buffer-parameter",
        memory: "VUID-VkBindBufferMemoryInfo-memory-parameter",
        bound: "VUID-VkBindBufferMemoryInfo-buffer-07459",
        sparse: "VUID-VkBindBufferMemoryInfo-buffer-01030",
        disjoint: "",
        offset: "VUID-VkBindBufferMemoryInfo-memoryOffset-01031",
        kind: "VUID-VkBindBufferMemoryInfo-memory-01035",
        aligned: "VUID-VkBindBufferMemoryInfo-memoryOffset-01036",
        inside: "VUID-VkBindBufferMemoryInfo-size-01037",
        requires_dedicated: "VUID-VkBindBufferMemoryInfo-buffer-01444",
        dedicated: "VUID-VkBindBufferMemoryInfo-memory-01508",
        device_address: "VUID-VkBindBufferMemoryInfo-bufferDeviceAddress-03339",
        protected: "VUID-VkBindBufferMemoryInfo-None-01898",
        unprotected: "VUID-VkBindBufferMemoryInfo-None-01899",
    };

    /// `vkBindImageMemory`.
    pub(super) const IMAGE: Self = Self {
        resource: "VUID-vkBindImageMemory-image-parameter",
        memory: "VUID-vkBindImageMemory-memory-parameter",
        bound: "VUID-vkBindImageMemory-image-07460",
        sparse: "VUID-vkBindImageMemory-image-01045",
        disjoint: "VUID-vkBindImageMemory-image-01608",
        offset: "VUID-vkBindImageMemory-memoryOffset-01046",
        kind: "VUID-vkBindImageMemory-memory-01047",
        aligned: "VUID-vkBindImageMemory-memoryOffset-01048",
        inside: "VUID-vkBindImageMemory-size-01049",
        requires_dedicated: "VUID-vkBindImageMemory-image-01445",
        dedicated: "VUID-vkBindImageMemory-memory-02628",
        device_address: "",
        protected: "VUID-vkBindImageMemory-None-01901",
        unprotected: "VUID-vkBindImageMemory-None-01902",
    };

    /// `vkBindImageMemory2`.
    pub(super) const IMAGE2: Self = Self {
        resource: "VUID-VkBindImageMemoryInfo-image-parameter",
        memory: "VUID-VkBindImageMemoryInfo-memory-parameter",
        bound: "VUID-VkBindImageMemoryInfo-image-07460",
        sparse: "VUID-VkBindImageMemoryInfo-image-01045",
        disjoint: "VUID-VkBindImageMemoryInfo-image-07736",
        offset: "VUID-VkBindImageMemoryInfo-memoryOffset-01046",
        kind: "VUID-VkBindImageMemoryInfo-pNext-01615",
        aligned: "VUID-VkBindImageMemoryInfo-pNext-01616",
        inside: "VUID-VkBindImageMemoryInfo-pNext-01617",
        requires_dedicated: "VUID-VkBindImageMemoryInfo-image-01445",
        dedicated: "VUID-VkBindImageMemoryInfo-memory-02628",
        device_address: "",
        protected: "VUID-VkBindImageMemoryInfo-None-01901",
        unprotected: "VUID-VkBindImageMemoryInfo-None-01902",
    };
}

/// Records what is wrong between a resource and its memory; tells whether the resource can be bound there at all.
pub(super) fn judge_fit(device: &DeviceObject, ask: &BindAsk, resource: &Resource, memory: &Memory) -> bool {
    let rules = ask.rules;
    let needs = resource.requirements;
    let room = memory.size().saturating_sub(ask.offset);
    let is_type_protected = memory.property_flags.contains(vk::MemoryPropertyFlags::PROTECTED);
    let is_type_allowed = needs.memory_type_bits >> memory.type_index & 1 == 1;
    let is_its_own = memory.dedicated == Some(ask.id);
    let is_dedication_kept = memory.dedicated.is_none() || (is_its_own && ask.offset == 0);
    let needs_address = resource.needs_device_address && device.features.contains(Features::BUFFER_DEVICE_ADDRESS);
    // Nobody must dedicate what he cannot ask about: of what a device does, only what was enabled is told.
    let can_dedicate = device.version >= vk::API_VERSION_1_1 || device.has_extension(c"VK_KHR_dedicated_allocation");
    let must_dedicate = needs.requires_dedicated && can_dedicate;
    #[rustfmt::skip]
    let checks = [
        (resource.binding.is_none(), rules.bound, "the resource is bound already"),
        (!resource.is_sparse, rules.sparse, "the resource is sparse"),
        (!resource.is_disjoint, rules.disjoint, "the image is disjoint"),
        (ask.offset < memory.size(), rules.offset, "the offset is not inside the memory"),
        (is_type_allowed, rules.kind, "the memory type is not allowed"),
        (ask.offset.is_multiple_of(needs.alignment), rules.aligned, "the offset is not aligned"),
        (needs.size <= room, rules.inside, "the resource ends outside the memory"),
        (!must_dedicate || is_its_own, rules.requires_dedicated, "the resource requires a dedicated allocation"),
        (is_dedication_kept, rules.dedicated, "the memory is dedicated to another resource, or the offset is not 0"),
        (!needs_address || memory.has_device_address, rules.device_address, "the memory was allocated without a device address"),
        (!resource.is_protected || is_type_protected, rules.protected, "the resource is protected, the memory is not"),
        (resource.is_protected || !is_type_protected, rules.unprotected, "the memory is protected, the resource is not"),
    ];
    device.judge(ask.function, &checks, || {
        let Requirements { size, alignment, memory_type_bits, .. } = needs;
        let (kind, total) = (memory.type_index, memory.size());
        format!(
            "{:?} {:#x} of {size} bytes, alignment {alignment}, type bits {memory_type_bits:#b} at offset {} of memory {:?} of {total} bytes, type {kind}",
            ask.id.kind, ask.id.handle, ask.offset, ask.memory
        )
    });
    resource.binding.is_none() && !resource.is_sparse && needs.size <= room
}
