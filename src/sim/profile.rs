//! What a simulated physical device is: plain data that a test may alter before it makes a device of it.
//!
//! ```text
//!   Profile ──► heaps ◄── memory types        limits (granularity, atom, counts, page)
//!      │
//!      ├──► BufferModel / ImageModel / DedicatedModel: create-info ──► memory requirements (requirements.rs)
//!      └──► api_version + extensions + features: which functions exist (entry_points.rs)
//! ```
//!
//! The built-in profiles are read from the files in `src/sim/devices/`, which name their sources; see `builtin.rs`.
//! What a test alters is not checked: a profile that no real device could have is the tester's own business.

use ash::vk;
use core::fmt;
use core::ops::{BitOr, BitOrAssign};
use std::ffi::CStr;

/// Bytes in a kibibyte.
pub const KIB: u64 = 1 << 10;
/// Bytes in a mebibyte.
pub const MIB: u64 = 1 << 20;
/// Bytes in a gibibyte.
pub const GIB: u64 = 1 << 30;

/// One simulated physical device, as plain data.
///
/// # Examples
///
/// ```
/// use freestone::sim::{Profile, SimDevice};
///
/// let mut profile = Profile::discrete_bar256();
/// profile.max_memory_allocation_count = 16;
/// let sim = SimDevice::new(profile);
/// assert_eq!(sim.profile().max_memory_allocation_count, 16);
/// ```
#[derive(Clone, Debug)]
pub struct Profile {
    /// Name of the device, as in `VkPhysicalDeviceProperties::deviceName`.
    pub name: String,
    /// The hardware that it is modelled on.
    pub modelled_on: String,
    /// Where the values come from.
    pub sources: Vec<String>,
    /// What of it is not exact.
    pub approximate: Vec<String>,
    /// Version of Vulkan that the device implements.
    pub api_version: u32,
    /// Kind of device. The library must not decide by it.
    pub device_type: vk::PhysicalDeviceType,
    /// PCI vendor.
    pub vendor_id: u32,
    /// Identity of the driver, reported since Vulkan 1.2.
    pub driver_id: vk::DriverId,
    /// Memory heaps, at most 16.
    pub heaps: Vec<Heap>,
    /// Memory types in the order in which the driver lists them, at most 32.
    pub memory_types: Vec<MemoryType>,
    /// Bytes to which the driver rounds the size of each memory object; a power of two.
    pub page_size: u64,
    /// `VkPhysicalDeviceLimits::bufferImageGranularity`, in bytes.
    pub buffer_image_granularity: u64,
    /// `VkPhysicalDeviceLimits::nonCoherentAtomSize`, in bytes.
    pub non_coherent_atom_size: u64,
    /// `VkPhysicalDeviceLimits::minMemoryMapAlignment`, in bytes; every mapping starts exactly this aligned.
    pub min_memory_map_alignment: u64,
    /// `VkPhysicalDeviceLimits::maxMemoryAllocationCount`.
    pub max_memory_allocation_count: u32,
    /// `VkPhysicalDeviceMaintenance3Properties::maxMemoryAllocationSize`, in bytes; 0 is reported as it is and refuses
    /// nothing.
    pub max_memory_allocation_size: u64,
    /// `VkPhysicalDeviceMaintenance4Properties::maxBufferSize`, in bytes.
    pub max_buffer_size: u64,
    /// Device extensions that the driver lists.
    pub device_extensions: Vec<&'static CStr>,
    /// Features that the device supports.
    pub features: Features,
    /// Queue families, each with its number of queues.
    pub queue_families: Vec<QueueFamily>,
    /// Whether the driver rounds the size of a resource up to a multiple of its alignment, which Vulkan does not
    /// promise.
    pub rounds_sizes: bool,
    /// Requirements of buffers.
    pub buffers: BufferModel,
    /// Requirements of images.
    pub images: ImageModel,
    /// Which resources want memory of their own.
    pub dedicated: DedicatedModel,
}

/// One memory heap of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heap {
    /// Size, in bytes.
    pub size: u64,
    /// Flags as Vulkan reports them.
    pub flags: vk::MemoryHeapFlags,
    /// Budget that `VK_EXT_memory_budget` reports, in bytes; `None`: the size without what others use.
    pub budget: Option<u64>,
    /// Bytes that other processes hold at the start.
    pub foreign_usage: u64,
}

/// One memory type of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryType {
    /// Property flags.
    pub property_flags: vk::MemoryPropertyFlags,
    /// Index of its heap.
    pub heap_index: u32,
}

/// One queue family of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueFamily {
    /// What its queues can do.
    pub flags: vk::QueueFlags,
    /// How many queues it has.
    pub count: u32,
}

/// How the driver sizes and aligns buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferModel {
    /// Alignment of a buffer, in bytes.
    pub alignment: u64,
    /// Usages that ask for the stricter alignment.
    pub strict_usages: vk::BufferUsageFlags,
    /// Alignment of a buffer with any of those usages, in bytes.
    pub strict_alignment: u64,
    /// Memory types that may hold a buffer (lazily allocated and protected ones are sorted out by rule).
    pub memory_type_bits: u32,
}

/// How the driver sizes and aligns images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageModel {
    /// Alignment of an image with linear tiling, in bytes.
    pub linear_alignment: u64,
    /// Alignment of the rows of such an image, in bytes.
    pub linear_row_alignment: u64,
    /// Steps (from this many bytes, this alignment) for optimal tiling, ascending.
    pub optimal_steps: Vec<(u64, u64)>,
    /// Memory types that may hold an image with linear tiling.
    pub linear_memory_type_bits: u32,
    /// Memory types that may hold an image with optimal tiling.
    pub optimal_memory_type_bits: u32,
}

/// When the driver prefers or requires dedicated allocations. A resource for export always requires one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DedicatedModel {
    /// Attachments of this many bytes or more prefer one.
    pub prefer_attachments_from: Option<u64>,
    /// Other images of this many bytes or more prefer one.
    pub prefer_images_from: Option<u64>,
    /// Buffers of this many bytes or more prefer one.
    pub prefer_buffers_from: Option<u64>,
    /// Images of this many bytes or more require one.
    pub require_images_from: Option<u64>,
    /// Buffers of this many bytes or more require one.
    pub require_buffers_from: Option<u64>,
}

/// A set of device features that matter to memory.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Features(u32);

impl Features {
    /// No feature.
    pub const NONE: Self = Self(0);
    /// `bufferDeviceAddress`.
    pub const BUFFER_DEVICE_ADDRESS: Self = Self(1);
    /// `protectedMemory`.
    pub const PROTECTED_MEMORY: Self = Self(1 << 1);
    /// `deviceCoherentMemory` of `VK_AMD_device_coherent_memory`.
    pub const DEVICE_COHERENT_MEMORY: Self = Self(1 << 2);
    /// `memoryPriority` of `VK_EXT_memory_priority`.
    pub const MEMORY_PRIORITY: Self = Self(1 << 3);
    /// `pageableDeviceLocalMemory` of `VK_EXT_pageable_device_local_memory`.
    pub const PAGEABLE_DEVICE_LOCAL_MEMORY: Self = Self(1 << 4);
    /// `maintenance4`.
    pub const MAINTENANCE4: Self = Self(1 << 5);
    /// `synchronization2`.
    pub const SYNCHRONIZATION2: Self = Self(1 << 6);
    /// `timelineSemaphore`.
    pub const TIMELINE_SEMAPHORE: Self = Self(1 << 7);
    /// `sparseBinding`.
    pub const SPARSE_BINDING: Self = Self(1 << 8);
    /// Features that a device of the simulation enables only when asked by name.
    pub const OPT_IN: Self = Self(Self::PROTECTED_MEMORY.0 | Self::DEVICE_COHERENT_MEMORY.0 | Self::SPARSE_BINDING.0);

    /// Extensions, the version that has what they have (`u32::MAX`: none), and their features.
    const OF_EXTENSIONS: [(&'static CStr, u32, Self); 7] = [
        (c"VK_KHR_buffer_device_address", vk::API_VERSION_1_2, Self::BUFFER_DEVICE_ADDRESS),
        (c"VK_KHR_timeline_semaphore", vk::API_VERSION_1_2, Self::TIMELINE_SEMAPHORE),
        (c"VK_KHR_maintenance4", vk::API_VERSION_1_3, Self::MAINTENANCE4),
        (c"VK_KHR_synchronization2", vk::API_VERSION_1_3, Self::SYNCHRONIZATION2),
        (c"VK_AMD_device_coherent_memory", u32::MAX, Self::DEVICE_COHERENT_MEMORY),
        (c"VK_EXT_memory_priority", u32::MAX, Self::MEMORY_PRIORITY),
        (c"VK_EXT_pageable_device_local_memory", u32::MAX, Self::PAGEABLE_DEVICE_LOCAL_MEMORY),
    ];

    /// Vulkan's names, by bit.
    const NAMES: [&'static str; 9] = [
        "bufferDeviceAddress",
        "protectedMemory",
        "deviceCoherentMemory",
        "memoryPriority",
        "pageableDeviceLocalMemory",
        "maintenance4",
        "synchronization2",
        "timelineSemaphore",
        "sparseBinding",
    ];

    /// Returns the feature of that name in Vulkan.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().position(|listed| *listed == name).map(|bit| Self(1 << bit))
    }

    /// Tells whether every feature of `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns this set without the features of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl BitOr for Features {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Features {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl fmt::Debug for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(Self::NAMES.iter().enumerate().filter(|(bit, _)| self.0 >> bit & 1 == 1).map(|(_, name)| name))
            .finish()
    }
}

impl Profile {
    /// Returns the same device as Vulkan 1.0 with no extension and no feature: the poorest that the library must serve.
    #[must_use]
    pub fn vulkan_1_0(mut self) -> Self {
        self.api_version = vk::API_VERSION_1_0;
        self.device_extensions.clear();
        self.features = Features::NONE;
        self
    }

    /// Returns the same device without the device extension of that name, and without features that nothing else has.
    #[must_use]
    pub fn without_extension(mut self, name: &CStr) -> Self {
        self.device_extensions.retain(|listed| *listed != name);
        for (extension, since, feature) in Features::OF_EXTENSIONS {
            if extension == name && self.api_version < since {
                self.features = self.features.without(feature);
            }
        }
        self
    }

    /// Tells whether the device lists the extension of that name.
    pub fn has_extension(&self, name: &CStr) -> bool {
        self.device_extensions.contains(&name)
    }

    /// Returns the bit mask of the memory types whose flags satisfy `accept`.
    pub(super) fn type_bits(&self, accept: impl Fn(vk::MemoryPropertyFlags) -> bool) -> u32 {
        let accepted = self.memory_types.iter().enumerate().filter(|(_, kind)| accept(kind.property_flags));
        accepted.fold(0, |bits, (index, _)| bits | 1 << index)
    }

    /// Returns the memory type of that index, if there is one.
    pub(super) fn memory_type(&self, index: u32) -> Option<&MemoryType> {
        self.memory_types.get(index as usize)
    }
}
