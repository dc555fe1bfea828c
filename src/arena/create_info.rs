//! How an arena is made.

use ash::vk;

use crate::allocator::AllocationCreateInfo;
use crate::resource;

/// The usual size of a buffer, by taste: a thousand meshes of 16 KiB.
const BUFFER_SIZE: u64 = 16 << 20;

/// What the buffers of an [`Arena`](super::Arena) are like, and how many there may be.
///
/// # Examples
/// ```
/// use freestone::{AllocationCreateInfo, ArenaCreateInfo, ash::vk};
///
/// let usage = vk::BufferUsageFlags::VERTEX_BUFFER | vk::BufferUsageFlags::TRANSFER_DST;
/// let memory = AllocationCreateInfo::gpu_only().name("meshes");
/// let info = ArenaCreateInfo::new(usage).buffer_size(8 << 20).max_bytes(256 << 20).memory(memory);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ArenaCreateInfo {
    pub(super) usage: vk::BufferUsageFlags,
    pub(super) flags: vk::BufferCreateFlags,
    pub(super) queue_families: Vec<u32>,
    pub(super) memory: AllocationCreateInfo<'static>,
    pub(super) buffer_size: u64,
    pub(super) max_bytes: u64,
    pub(super) max_buffer_count: u32,
}

impl ArenaCreateInfo {
    /// Describes buffers of one usage, 16 MiB each, in memory that only the GPU touches, as many as are needed.
    pub fn new(usage: vk::BufferUsageFlags) -> Self {
        Self {
            usage,
            flags: vk::BufferCreateFlags::empty(),
            queue_families: Vec::new(),
            memory: AllocationCreateInfo::gpu_only(),
            buffer_size: BUFFER_SIZE,
            max_bytes: u64::MAX,
            max_buffer_count: u32::MAX,
        }
    }

    /// Sets the flags that each buffer is created with.
    pub fn flags(mut self, flags: vk::BufferCreateFlags) -> Self {
        self.flags = flags;
        self
    }

    /// Shares each buffer between queue families (`VK_SHARING_MODE_CONCURRENT`); with fewer than two it is exclusive.
    pub fn queue_families(mut self, families: &[u32]) -> Self {
        self.queue_families = families.to_vec();
        self
    }

    /// Says what memory the buffers lie in. Each buffer carries the name, if there is one.
    pub fn memory(mut self, memory: AllocationCreateInfo<'static>) -> Self {
        self.memory = memory;
        self
    }

    /// Sets the usual size of a buffer, in bytes. A larger range gets a buffer of its own size.
    pub fn buffer_size(mut self, bytes: u64) -> Self {
        self.buffer_size = bytes;
        self
    }

    /// Bounds the bytes of all buffers together.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Bounds the number of buffers: 1 for who binds one buffer for all draws.
    pub fn max_buffer_count(mut self, count: u32) -> Self {
        self.max_buffer_count = count;
        self
    }

    /// Returns the create-info of a buffer of so many bytes.
    pub(super) fn buffer_info(&self, size: u64) -> vk::BufferCreateInfo<'_> {
        let info = vk::BufferCreateInfo::default().flags(self.flags).usage(self.usage).size(size);
        resource::shared_between(info, &self.queue_families)
    }
}
