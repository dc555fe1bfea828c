//! The four built-in profiles, with the source of their values.
//!
//! | profile | modelled on | granularity | atom | page |
//! |---|---|---|---|---|
//! | `discrete-rebar` | AMD Radeon RX 6800 XT, resizable BAR on, Mesa RADV | 1 | 64 | 4 KiB |
//! | `discrete-bar256` | NVIDIA `GeForce` of 8 GiB, resizable BAR off | 1024 | 64 | 64 KiB |
//! | `unified` | Intel integrated graphics that share the last-level cache, Mesa ANV | 1 | 64 | 4 KiB |
//! | `noncoherent` | the worst of several embedded devices in one | 65536 | 256 | 64 KiB |
//!
//! # Source
//!
//! * RADV (`src/amd/vulkan` of Mesa): `maxMemoryAllocationCount` `UINT32_MAX`, `bufferImageGranularity` 1,
//!   `maxMemoryAllocationSize` `0xFFFFFFFC`, sizes of memory objects rounded to 4 KiB; each ordinary memory type
//!   comes a second time as device-coherent and device-uncached (`VK_AMD_device_coherent_memory`).
//! * ANV (`src/intel/vulkan` of Mesa, parts with a shared cache): one heap, type 0 device-local, type 1 all of device-local,
//!   visible, coherent and cached.
//! * NVIDIA, from public hardware reports (the device profiles that came with the validation layers): 4096 allocations,
//!   granularity 1024 and atom 64, a third heap of 256 MiB behind the BAR. The page is the 64 KiB "big page" of the
//!   open kernel modules.
//! * `noncoherent`: granularity 65536 as on NVIDIA's Kepler and Tegra generations; atom 256 as on Broadcom's V3D; cached
//!   types without coherence, lazily allocated and protected memory as on ARM's Mali.
//! * Alignments: the `hw` model under which the recorded applications were measured (256 bytes for texel, uniform and
//!   storage buffers, 16 for others; 1 KiB, 4 KiB or 64 KiB for optimal images by size). Taste, between the vendors.

use super::profile::{
    BufferModel, DedicatedModel, Features, GIB, Heap, ImageModel, KIB, MIB, MemoryType, Profile, QueueFamily,
};
use ash::vk;
use std::ffi::CStr;

const DEVICE: vk::MemoryPropertyFlags = vk::MemoryPropertyFlags::DEVICE_LOCAL;
const VISIBLE: vk::MemoryPropertyFlags = vk::MemoryPropertyFlags::HOST_VISIBLE;
const COHERENT: vk::MemoryPropertyFlags = vk::MemoryPropertyFlags::HOST_COHERENT;
const CACHED: vk::MemoryPropertyFlags = vk::MemoryPropertyFlags::HOST_CACHED;
const LAZY: vk::MemoryPropertyFlags = vk::MemoryPropertyFlags::LAZILY_ALLOCATED;
const PROTECTED: vk::MemoryPropertyFlags = vk::MemoryPropertyFlags::PROTECTED;
const AMD_COHERENT: vk::MemoryPropertyFlags = vk::MemoryPropertyFlags::DEVICE_COHERENT_AMD;
const AMD_UNCACHED: vk::MemoryPropertyFlags = vk::MemoryPropertyFlags::DEVICE_UNCACHED_AMD;

/// Extensions that every profile lists.
const COMMON_EXTENSIONS: [&CStr; 12] = [
    c"VK_KHR_dedicated_allocation",
    c"VK_KHR_get_memory_requirements2",
    c"VK_KHR_bind_memory2",
    c"VK_KHR_maintenance3",
    c"VK_KHR_maintenance4",
    c"VK_KHR_buffer_device_address",
    c"VK_KHR_map_memory2",
    c"VK_KHR_synchronization2",
    c"VK_KHR_timeline_semaphore",
    c"VK_EXT_memory_budget",
    c"VK_EXT_memory_priority",
    c"VK_EXT_pageable_device_local_memory",
];

fn types<const N: usize>(list: [(&[vk::MemoryPropertyFlags], u32); N]) -> Vec<MemoryType> {
    let join = |flags: &[vk::MemoryPropertyFlags]| {
        flags.iter().fold(vk::MemoryPropertyFlags::empty(), |all, flag| all | *flag)
    };
    list.iter().map(|(flags, heap_index)| MemoryType { property_flags: join(flags), heap_index: *heap_index }).collect()
}

fn device_heap(size: u64) -> Heap {
    Heap { size, flags: vk::MemoryHeapFlags::DEVICE_LOCAL, budget: None, foreign_usage: 0 }
}

fn system_heap(size: u64) -> Heap {
    Heap { size, flags: vk::MemoryHeapFlags::empty(), budget: None, foreign_usage: 0 }
}

/// What all profiles have in common; each overrides what is its own.
fn base(name: &str) -> Profile {
    let everything = vk::QueueFlags::GRAPHICS | vk::QueueFlags::COMPUTE | vk::QueueFlags::TRANSFER;
    Profile {
        name: name.to_owned(),
        api_version: vk::API_VERSION_1_3,
        device_type: vk::PhysicalDeviceType::DISCRETE_GPU,
        vendor_id: 0x10005,
        driver_id: vk::DriverId::default(),
        heaps: Vec::new(),
        memory_types: Vec::new(),
        page_size: 4 * KIB,
        buffer_image_granularity: 1,
        non_coherent_atom_size: 64,
        min_memory_map_alignment: 64,
        max_memory_allocation_count: 4096,
        max_memory_allocation_size: 4 * GIB,
        max_buffer_size: 4 * GIB,
        device_extensions: COMMON_EXTENSIONS.to_vec(),
        features: Features::BUFFER_DEVICE_ADDRESS
            | Features::MEMORY_PRIORITY
            | Features::PAGEABLE_DEVICE_LOCAL_MEMORY
            | Features::MAINTENANCE4
            | Features::SYNCHRONIZATION2
            | Features::TIMELINE_SEMAPHORE
            | Features::SPARSE_BINDING,
        queue_families: vec![
            QueueFamily { flags: everything, count: 2 },
            QueueFamily { flags: vk::QueueFlags::TRANSFER, count: 1 },
        ],
        buffers: BufferModel {
            alignment: 16,
            strict_usages: vk::BufferUsageFlags::UNIFORM_TEXEL_BUFFER
                | vk::BufferUsageFlags::STORAGE_TEXEL_BUFFER
                | vk::BufferUsageFlags::UNIFORM_BUFFER
                | vk::BufferUsageFlags::STORAGE_BUFFER,
            strict_alignment: 256,
            memory_type_bits: u32::MAX,
        },
        images: ImageModel {
            linear_alignment: 256,
            linear_row_alignment: 64,
            optimal_steps: vec![(0, KIB), (16 * KIB, 4 * KIB), (256 * KIB, 64 * KIB)],
            linear_memory_type_bits: u32::MAX,
            optimal_memory_type_bits: u32::MAX,
        },
        dedicated: DedicatedModel {
            prefer_attachments_from: Some(MIB),
            prefer_images_from: None,
            prefer_buffers_from: None,
            require_images_from: None,
            require_buffers_from: None,
        },
    }
}

impl Profile {
    /// Returns a discrete card whose whole memory the host can map; it also lists AMD's device-coherent types.
    pub fn discrete_rebar() -> Self {
        let mut profile = base("discrete-rebar");
        profile.vendor_id = 0x1002;
        profile.driver_id = vk::DriverId::MESA_RADV;
        profile.heaps = vec![device_heap(16 * GIB), system_heap(32 * GIB)];
        profile.memory_types = types([
            (&[DEVICE], 0),
            (&[VISIBLE, COHERENT], 1),
            (&[DEVICE, VISIBLE, COHERENT], 0),
            (&[VISIBLE, COHERENT, CACHED], 1),
            (&[DEVICE, AMD_COHERENT, AMD_UNCACHED], 0),
            (&[VISIBLE, COHERENT, AMD_COHERENT, AMD_UNCACHED], 1),
            (&[DEVICE, VISIBLE, COHERENT, AMD_COHERENT, AMD_UNCACHED], 0),
            (&[VISIBLE, COHERENT, CACHED, AMD_COHERENT, AMD_UNCACHED], 1),
        ]);
        profile.min_memory_map_alignment = 4096;
        profile.max_memory_allocation_count = u32::MAX;
        profile.max_memory_allocation_size = 0xFFFF_FFFC;
        profile.max_buffer_size = 0xFFFF_FFFC;
        profile.device_extensions.push(c"VK_AMD_device_coherent_memory");
        profile.features |= Features::DEVICE_COHERENT_MEMORY;
        profile
    }

    /// Returns a discrete card of which the host sees 256 MiB, with a granularity of 1 KiB.
    pub fn discrete_bar256() -> Self {
        let mut profile = base("discrete-bar256");
        profile.vendor_id = 0x10DE;
        profile.driver_id = vk::DriverId::NVIDIA_PROPRIETARY;
        profile.heaps = vec![device_heap(8 * GIB), system_heap(16 * GIB), device_heap(256 * MIB)];
        profile.memory_types = types([
            (&[], 1),
            (&[DEVICE], 0),
            (&[VISIBLE, COHERENT], 1),
            (&[VISIBLE, COHERENT, CACHED], 1),
            (&[DEVICE, VISIBLE, COHERENT], 2),
        ]);
        profile.page_size = 64 * KIB;
        profile.buffer_image_granularity = 1024;
        profile.max_memory_allocation_size = 0xFFE0_0000;
        // Images with optimal tiling stay out of the memory behind the BAR and out of the cached type.
        profile.images.optimal_memory_type_bits = 0b0_0111;
        profile
    }

    /// Returns an integrated device: one heap that processor and GPU share.
    pub fn unified() -> Self {
        let mut profile = base("unified");
        profile.device_type = vk::PhysicalDeviceType::INTEGRATED_GPU;
        profile.vendor_id = 0x8086;
        profile.driver_id = vk::DriverId::INTEL_OPEN_SOURCE_MESA;
        profile.heaps = vec![device_heap(12 * GIB)];
        profile.memory_types = types([(&[DEVICE], 0), (&[DEVICE, VISIBLE, COHERENT, CACHED], 0)]);
        profile.min_memory_map_alignment = 4096;
        profile.max_memory_allocation_count = u32::MAX;
        profile.dedicated.prefer_attachments_from = None;
        profile
    }

    /// Returns an embedded device with non-coherent, lazily allocated and protected memory, and coarse pages and atoms.
    pub fn noncoherent() -> Self {
        let mut profile = base("noncoherent");
        profile.device_type = vk::PhysicalDeviceType::INTEGRATED_GPU;
        profile.vendor_id = 0x13B5;
        profile.driver_id = vk::DriverId::ARM_PROPRIETARY;
        profile.heaps = vec![device_heap(4 * GIB), device_heap(256 * MIB)];
        profile.memory_types = types([
            (&[DEVICE], 0),
            (&[DEVICE, VISIBLE], 0),
            (&[DEVICE, VISIBLE, CACHED], 0),
            (&[DEVICE, VISIBLE, COHERENT], 0),
            (&[DEVICE, LAZY], 0),
            (&[DEVICE, PROTECTED], 1),
        ]);
        profile.page_size = 64 * KIB;
        profile.buffer_image_granularity = 64 * KIB;
        profile.non_coherent_atom_size = 256;
        profile.max_memory_allocation_size = GIB;
        profile.max_buffer_size = GIB;
        profile.features |= Features::PROTECTED_MEMORY;
        profile
    }
}
