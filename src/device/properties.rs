//! What a physical device and its user declare about themselves, as plain data.
//!
//! Nothing here calls Vulkan, so that every policy above can be tested on hand-written values. Numbers that come from a
//! driver are made harmless once, here:
//!
//! - I1: there are at most [`vk::MAX_MEMORY_TYPES`] memory types and [`MAX_HEAPS`] heaps, whatever the driver counts.
//! - I2: granularity, atom and the alignments of offsets are powers of two and at least 1.
//! - I3: a limit that is unknown (or reported as 0) is the largest value of its type.
//!
//! A memory type may point past the heaps; it keeps its index and [`Properties::heap_of`] answers `None` for it.

use core::ffi::CStr;

use ash::vk;

/// The most heaps that a physical device can have.
///
/// # Source
/// `VK_MAX_MEMORY_HEAPS`.
pub const MAX_HEAPS: usize = vk::MAX_MEMORY_HEAPS;

/// The least `maxMemoryAllocationCount` that Vulkan demands; used where a driver reports 0.
///
/// # Source
/// Vulkan specification, "Required Limits".
const REQUIRED_ALLOCATION_COUNT: u32 = 4096;

/// Features and extensions that the user's `VkInstance` and `VkDevice` were created with, as far as they matter here.
///
/// All `false` by default: nothing is used that was not declared. What a declared Vulkan version contains need not be
/// declared again, except where a *feature* must be enabled besides (device addresses, protected memory).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "one answer per feature, like Vulkan's own feature structures")]
pub struct Features {
    /// The feature `bufferDeviceAddress` (Vulkan 1.2 or `VK_KHR_buffer_device_address`): memory for buffers is
    /// allocated so that shaders may hold addresses into it.
    pub buffer_device_address: bool,
    /// The feature `deviceCoherentMemory` (`VK_AMD_device_coherent_memory`): memory types that are device-coherent may
    /// be chosen when asked for.
    pub device_coherent_memory: bool,
    /// The feature `protectedMemory` (Vulkan 1.1): protected memory types may be chosen when asked for.
    pub protected_memory: bool,
    /// The feature `externalMemoryRDMA` (`VK_NV_external_memory_rdma`): memory types that other devices may access may
    /// be chosen when asked for.
    pub external_memory_rdma: bool,
    /// The feature `memoryPriority` (`VK_EXT_memory_priority`): priorities are handed to the driver.
    pub memory_priority: bool,
    /// The feature `maintenance4` (`VK_KHR_maintenance4`); part of Vulkan 1.3. Requirements can be asked for without
    /// creating a resource.
    pub maintenance4: bool,
    /// The device extension `VK_KHR_dedicated_allocation`, with `VK_KHR_get_memory_requirements2` that it needs; part
    /// of Vulkan 1.1. The driver says which resources want memory of their own.
    pub dedicated_allocation: bool,
    /// The instance extension `VK_KHR_get_physical_device_properties2`; part of Vulkan 1.1. Needed for memory budgets
    /// and for the largest allowed allocation.
    pub get_physical_device_properties2: bool,
}

/// One memory type of a physical device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryType {
    /// What memory of this type can do.
    pub property_flags: vk::MemoryPropertyFlags,
    /// The heap that memory of this type is taken from.
    pub heap_index: u32,
}

/// One memory heap of a physical device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryHeap {
    /// Its size, in bytes.
    pub size: u64,
    /// Whether it is local to the device, and whether it exists once per device of a group.
    pub flags: vk::MemoryHeapFlags,
}

impl MemoryHeap {
    /// Returns whether the heap lies in the device's own memory.
    pub fn is_device_local(&self) -> bool {
        self.flags.contains(vk::MemoryHeapFlags::DEVICE_LOCAL)
    }
}

/// What the driver says about the use of one heap, in bytes (`VK_EXT_memory_budget`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeapBudget {
    /// What this process uses of the heap, by the driver's estimate.
    pub usage: u64,
    /// What this process may use of it before allocations fail or slow down; 0 where the driver does not know.
    pub budget: u64,
}

/// What a physical device says about its memory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Properties {
    /// The device's name, as its driver reports it.
    pub device_name: String,
    /// The version of Vulkan that the physical device offers (not the one declared).
    pub api_version: u32,
    /// The driver's version, in the vendor's own encoding.
    pub driver_version: u32,
    /// The vendor's PCI or Khronos number.
    pub vendor_id: u32,
    /// The device's number within its vendor's.
    pub device_id: u32,
    /// The kind of device, for display only: no decision is taken from it.
    pub device_type: vk::PhysicalDeviceType,
    /// The memory types, at most 32.
    pub memory_types: Vec<MemoryType>,
    /// The memory heaps, at most 16.
    pub memory_heaps: Vec<MemoryHeap>,
    /// How far apart a linear and a non-linear resource must lie in one memory object, in bytes.
    pub buffer_image_granularity: u64,
    /// The unit of flush and invalidate in non-coherent memory, in bytes.
    pub non_coherent_atom_size: u64,
    /// What the offset of a uniform buffer's descriptor is a multiple of, in bytes.
    pub min_uniform_buffer_offset_alignment: u64,
    /// What the offset of a storage buffer's descriptor is a multiple of, in bytes.
    pub min_storage_buffer_offset_alignment: u64,
    /// What the offset of a texel buffer's view is a multiple of, in bytes.
    pub min_texel_buffer_offset_alignment: u64,
    /// What the offset of a copy between buffer and image is best a multiple of, in bytes.
    pub optimal_buffer_copy_offset_alignment: u64,
    /// How many memory objects may exist at once.
    pub max_memory_allocation_count: u32,
    /// The largest memory object, in bytes; `u64::MAX` where it is unknown.
    pub max_memory_allocation_size: u64,
    /// The largest buffer, in bytes; `u64::MAX` where it is unknown.
    pub max_buffer_size: u64,
    /// Whether the driver reports budgets (`VK_EXT_memory_budget` is listed and can be queried).
    pub has_memory_budget: bool,
}

impl Default for Properties {
    /// No memory at all, and the limits of a device that says nothing.
    fn default() -> Self {
        Self {
            device_name: String::new(),
            api_version: vk::API_VERSION_1_0,
            driver_version: 0,
            vendor_id: 0,
            device_id: 0,
            device_type: vk::PhysicalDeviceType::OTHER,
            memory_types: Vec::new(),
            memory_heaps: Vec::new(),
            buffer_image_granularity: 1,
            non_coherent_atom_size: 1,
            min_uniform_buffer_offset_alignment: 1,
            min_storage_buffer_offset_alignment: 1,
            min_texel_buffer_offset_alignment: 1,
            optimal_buffer_copy_offset_alignment: 1,
            max_memory_allocation_count: REQUIRED_ALLOCATION_COUNT,
            max_memory_allocation_size: u64::MAX,
            max_buffer_size: u64::MAX,
            has_memory_budget: false,
        }
    }
}

impl Properties {
    /// Returns the memory type with this index, if there is one.
    pub fn memory_type(&self, memory_type_index: u32) -> Option<&MemoryType> {
        self.memory_types.get(memory_type_index as usize)
    }

    /// Returns the heap of a memory type; `None` for an index that does not exist or a type that points past the heaps.
    pub fn heap_of(&self, memory_type_index: u32) -> Option<&MemoryHeap> {
        self.memory_heaps.get(self.memory_type(memory_type_index)?.heap_index as usize)
    }

    /// Returns the index of the heap of a memory type; 0 for a type that does not exist; callers have checked.
    pub(crate) fn heap_index_of(&self, memory_type_index: u32) -> u32 {
        self.memory_type(memory_type_index).map_or(0, |memory_type| memory_type.heap_index)
    }

    /// Returns the property flags of a memory type; none for an index that does not exist.
    pub fn flags_of(&self, memory_type_index: u32) -> vk::MemoryPropertyFlags {
        self.memory_type(memory_type_index).map_or(vk::MemoryPropertyFlags::empty(), |found| found.property_flags)
    }

    /// Returns whether the host must flush what it writes to memory of this type, and invalidate before it reads.
    pub fn needs_flush(&self, memory_type_index: u32) -> bool {
        let flags = self.flags_of(memory_type_index);
        flags.contains(vk::MemoryPropertyFlags::HOST_VISIBLE) && !flags.contains(vk::MemoryPropertyFlags::HOST_COHERENT)
    }

    /// Returns the unit in which the host must flush and invalidate memory of this type, in bytes: 1 where it need not.
    pub fn atom_of(&self, memory_type_index: u32) -> u64 {
        if self.needs_flush(memory_type_index) { self.non_coherent_atom_size } else { 1 }
    }

    /// Takes over what Vulkan 1.0 reports about a physical device.
    pub(super) fn of_device(
        device: &vk::PhysicalDeviceProperties,
        memory: &vk::PhysicalDeviceMemoryProperties,
    ) -> Self {
        let count = device.limits.max_memory_allocation_count;
        Self {
            device_name: device.device_name_as_c_str().map(CStr::to_string_lossy).unwrap_or_default().into_owned(),
            api_version: device.api_version,
            driver_version: device.driver_version,
            vendor_id: device.vendor_id,
            device_id: device.device_id,
            device_type: device.device_type,
            memory_types: read_types(memory),
            memory_heaps: read_heaps(memory),
            buffer_image_granularity: power_of_two(device.limits.buffer_image_granularity),
            non_coherent_atom_size: power_of_two(device.limits.non_coherent_atom_size),
            min_uniform_buffer_offset_alignment: power_of_two(device.limits.min_uniform_buffer_offset_alignment),
            min_storage_buffer_offset_alignment: power_of_two(device.limits.min_storage_buffer_offset_alignment),
            min_texel_buffer_offset_alignment: power_of_two(device.limits.min_texel_buffer_offset_alignment),
            optimal_buffer_copy_offset_alignment: power_of_two(device.limits.optimal_buffer_copy_offset_alignment),
            max_memory_allocation_count: if count == 0 { REQUIRED_ALLOCATION_COUNT } else { count },
            ..Self::default()
        }
    }
}

/// Reads a limit that a driver may report as 0 for "unknown" (I3).
pub(super) fn known_or_max(limit: u64) -> u64 {
    if limit == 0 { u64::MAX } else { limit }
}

/// Makes a unit of the driver usable in arithmetic (I2); powers of two stay as they are.
fn power_of_two(unit: u64) -> u64 {
    unit.checked_next_power_of_two().unwrap_or(1 << 63)
}

/// Reads the memory types, never more than the array holds (I1).
fn read_types(memory: &vk::PhysicalDeviceMemoryProperties) -> Vec<MemoryType> {
    let reported = memory.memory_types.iter().take(memory.memory_type_count as usize);
    reported
        .map(|reported| MemoryType { property_flags: reported.property_flags, heap_index: reported.heap_index })
        .collect()
}

/// Reads the heaps, never more than the array holds (I1).
fn read_heaps(memory: &vk::PhysicalDeviceMemoryProperties) -> Vec<MemoryHeap> {
    let reported = memory.memory_heaps.iter().take(memory.memory_heap_count as usize);
    reported.map(|reported| MemoryHeap { size: reported.size, flags: reported.flags }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_beyond_the_arrays_are_cut() {
        let memory =
            vk::PhysicalDeviceMemoryProperties { memory_type_count: 400, memory_heap_count: 17, ..Default::default() };
        let properties = Properties::of_device(&vk::PhysicalDeviceProperties::default(), &memory);
        assert_eq!((properties.memory_types.len(), properties.memory_heaps.len()), (32, 16));
    }

    #[test]
    fn limits_of_zero_are_unknown() {
        let properties = Properties::of_device(
            &vk::PhysicalDeviceProperties::default(),
            &vk::PhysicalDeviceMemoryProperties::default(),
        );
        assert_eq!((properties.buffer_image_granularity, properties.non_coherent_atom_size), (1, 1));
        assert_eq!(
            (properties.min_uniform_buffer_offset_alignment, properties.optimal_buffer_copy_offset_alignment),
            (1, 1)
        );
        assert_eq!(properties.max_memory_allocation_count, 4096);
        assert_eq!((known_or_max(0), known_or_max(7)), (u64::MAX, 7));
    }

    #[test]
    fn each_limit_is_read() {
        let limits = vk::PhysicalDeviceLimits {
            buffer_image_granularity: 2,
            non_coherent_atom_size: 4,
            min_uniform_buffer_offset_alignment: 8,
            min_storage_buffer_offset_alignment: 16,
            min_texel_buffer_offset_alignment: 32,
            optimal_buffer_copy_offset_alignment: 64,
            max_memory_allocation_count: 5000,
            ..Default::default()
        };
        let device_type = vk::PhysicalDeviceType::DISCRETE_GPU;
        let device = vk::PhysicalDeviceProperties {
            limits,
            driver_version: 3,
            vendor_id: 5,
            device_id: 7,
            device_type,
            ..Default::default()
        };
        let properties = Properties::of_device(&device, &vk::PhysicalDeviceMemoryProperties::default());
        assert_eq!((properties.driver_version, properties.vendor_id, properties.device_id), (3, 5, 7));
        assert_eq!(properties.device_type, device_type);
        assert_eq!((properties.buffer_image_granularity, properties.non_coherent_atom_size), (2, 4));
        assert_eq!(properties.min_uniform_buffer_offset_alignment, 8);
        assert_eq!(properties.min_storage_buffer_offset_alignment, 16);
        assert_eq!(properties.min_texel_buffer_offset_alignment, 32);
        assert_eq!(properties.optimal_buffer_copy_offset_alignment, 64);
        assert_eq!(properties.max_memory_allocation_count, 5000);
    }

    #[test]
    fn a_heap_is_the_device_s_own_where_its_flag_says_so() {
        let heap = |flags| MemoryHeap { size: 1, flags };
        assert!(heap(vk::MemoryHeapFlags::DEVICE_LOCAL | vk::MemoryHeapFlags::MULTI_INSTANCE).is_device_local());
        assert!(!heap(vk::MemoryHeapFlags::MULTI_INSTANCE).is_device_local());
    }

    #[test]
    fn units_become_powers_of_two() {
        for (reported, used) in [(0, 1), (1, 1), (64, 64), (96, 128), (u64::MAX, 1 << 63)] {
            assert_eq!(power_of_two(reported), used, "{reported}");
        }
    }

    #[test]
    fn a_type_past_the_heaps_has_no_heap() {
        let properties = Properties {
            memory_types: vec![MemoryType { heap_index: 1, ..Default::default() }],
            memory_heaps: vec![MemoryHeap::default()],
            ..Default::default()
        };
        assert_eq!((properties.heap_of(0), properties.heap_of(1)), (None, None));
        assert_eq!((properties.heap_index_of(0), properties.heap_index_of(1)), (1, 0));
    }

    #[test]
    fn only_visible_non_coherent_types_have_an_atom() {
        use vk::MemoryPropertyFlags as Flags;
        let typed = |property_flags| MemoryType { property_flags, heap_index: 0 };
        let properties = Properties {
            memory_types: vec![
                typed(Flags::DEVICE_LOCAL),
                typed(Flags::HOST_VISIBLE | Flags::HOST_COHERENT),
                typed(Flags::HOST_VISIBLE | Flags::HOST_CACHED),
            ],
            non_coherent_atom_size: 256,
            ..Default::default()
        };
        assert_eq!([0, 1, 2, 3].map(|index| properties.atom_of(index)), [1, 1, 256, 1]);
    }
}
