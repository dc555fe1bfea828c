//! What an allocator is made from.

use core::fmt;
use core::marker::PhantomData;

use ash::vk;

use super::ledger::LeakReport;
use super::pools::BlockSizes;
use crate::device::{DeviceCreateInfo, Features, MemoryCallbacks};

/// Hears what was still alive when an allocator was dropped.
pub(crate) type LeakCallback = Box<dyn Fn(&LeakReport) + Send + Sync>;

/// The user's Vulkan objects, what they were created with, and the settings of the allocator.
///
/// # Examples
/// ```
/// use freestone::{Allocator, AllocatorCreateInfo, ash::vk, sim};
///
/// let vulkan = sim::SimDevice::new(sim::Profile::unified());
/// let info = AllocatorCreateInfo::new(vulkan.entry(), vulkan.instance(), vulkan.physical_device(), vulkan.device());
/// let info = info.api_version(vk::API_VERSION_1_3).heap_limit(0, 1 << 30);
/// // SAFETY: the four objects belong together and outlive the allocator; nothing is declared that was not enabled.
/// let allocator = unsafe { Allocator::new(info) }?;
/// # drop(allocator);
/// # Ok::<(), freestone::CreateError>(())
/// ```
pub struct AllocatorCreateInfo<'a> {
    pub(crate) entry: &'a ash::Entry,
    pub(crate) instance: &'a ash::Instance,
    pub(crate) physical_device: vk::PhysicalDevice,
    pub(crate) device: &'a ash::Device,
    pub(crate) api_version: u32,
    pub(crate) features: Features,
    pub(crate) allocation_callbacks: Option<vk::AllocationCallbacks<'static>>,
    pub(crate) memory_callbacks: Option<MemoryCallbacks>,
    pub(crate) heap_limits: [Option<u64>; vk::MAX_MEMORY_HEAPS],
    pub(crate) block_sizes: BlockSizes,
    pub(crate) leak_callback: Option<LeakCallback>,
    pub(crate) tracks_all: bool,
    pub(crate) records_backtraces: bool,
    lifetime: PhantomData<&'a ()>,
}

impl<'a> AllocatorCreateInfo<'a> {
    /// Begins with Vulkan 1.0 and no feature declared.
    pub fn new(
        entry: &'a ash::Entry,
        instance: &'a ash::Instance,
        physical_device: vk::PhysicalDevice,
        device: &'a ash::Device,
    ) -> Self {
        Self {
            entry,
            instance,
            physical_device,
            device,
            api_version: vk::API_VERSION_1_0,
            features: Features::default(),
            allocation_callbacks: None,
            memory_callbacks: None,
            heap_limits: [None; vk::MAX_MEMORY_HEAPS],
            block_sizes: BlockSizes::default(),
            leak_callback: None,
            tracks_all: false,
            records_backtraces: false,
            lifetime: PhantomData,
        }
    }

    /// Declares the Vulkan version: the lower of the instance's `apiVersion` and the physical device's.
    ///
    /// More than the Vulkan loader or the physical device offers is `UnsupportedVersion`; what the instance was created
    /// with cannot be asked, and is believed (the second duty of [`Allocator::new`](super::Allocator::new)). Left out,
    /// it is 1.0: then there are no budgets, no wishes of the driver for dedicated memory and no `requirements_of_*`,
    /// unless their extensions are declared.
    #[must_use]
    pub fn api_version(mut self, api_version: u32) -> Self {
        self.api_version = api_version;
        self
    }

    /// Declares the features and extensions that the device was created with.
    #[must_use]
    pub fn features(mut self, features: Features) -> Self {
        self.features = features;
        self
    }

    /// Hands host-memory callbacks to the driver with each call that takes them.
    #[must_use]
    pub fn allocation_callbacks(mut self, callbacks: vk::AllocationCallbacks<'static>) -> Self {
        self.allocation_callbacks = Some(callbacks);
        self
    }

    /// Hears of each memory object after it is allocated and before it is freed.
    #[must_use]
    pub fn memory_callbacks(mut self, callbacks: MemoryCallbacks) -> Self {
        self.memory_callbacks = Some(callbacks);
        self
    }

    /// Limits what the process may use of a heap, in bytes. A heap past the last is ignored.
    ///
    /// What others in the process hold counts as of the last `tick` or `update_budget`, and only where the driver tells
    /// (`VK_EXT_memory_budget`); else the limit is this allocator's alone.
    #[must_use]
    pub fn heap_limit(mut self, heap_index: u32, bytes: u64) -> Self {
        if let Some(limit) = self.heap_limits.get_mut(heap_index as usize) {
            *limit = Some(bytes);
        }
        self
    }

    /// Begins each default pool with a block of so many bytes, instead of 1 MiB: fewer driver calls while a program
    /// that is known to be large starts. It is rounded up to 64 KiB, and an eighth of the heap at most. What is large
    /// beside what is alive, from 4 MiB on, still gets a block of just its size where no block has room.
    #[must_use]
    pub fn first_block_size(mut self, bytes: u64) -> Self {
        self.block_sizes.first = Some(bytes);
        self
    }

    /// Opens no block of a default pool above so many bytes, 64 KiB at least, instead of up to 256 MiB. What is larger
    /// than half of it gets memory of its own.
    #[must_use]
    pub fn max_block_size(mut self, bytes: u64) -> Self {
        self.block_sizes.largest = Some(bytes);
        self
    }

    /// Hears what was never freed when the allocator is dropped, instead of a warning in the log.
    #[must_use]
    pub fn on_leak(mut self, callback: impl Fn(&LeakReport) + Send + Sync + 'static) -> Self {
        self.leak_callback = Some(Box::new(callback));
        self
    }

    /// Keeps every allocation in the side table for reports, named or not: one heap call each.
    #[must_use]
    pub fn track_all(mut self) -> Self {
        self.tracks_all = true;
        self
    }

    /// Records where each allocation of the side table was made, for the report of leaks. Slow.
    #[must_use]
    pub fn record_backtraces(mut self) -> Self {
        self.records_backtraces = true;
        self
    }

    pub(crate) fn device_info(&mut self) -> DeviceCreateInfo<'a> {
        DeviceCreateInfo {
            entry: self.entry,
            instance: self.instance,
            physical_device: self.physical_device,
            device: self.device,
            api_version: self.api_version,
            features: self.features,
            allocation_callbacks: self.allocation_callbacks.take(),
            memory_callbacks: self.memory_callbacks.take(),
        }
    }
}

impl fmt::Debug for AllocatorCreateInfo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AllocatorCreateInfo")
            .field("physical_device", &self.physical_device)
            .field("api_version", &self.api_version)
            .field("features", &self.features)
            .field("heap_limits", &self.heap_limits)
            .finish_non_exhaustive()
    }
}
