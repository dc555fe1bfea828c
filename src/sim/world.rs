//! What lives on one device: memory objects, resources and the rest, behind one lock.
//!
//! ```text
//!   World ── memories: Memory { charge, mapping, storage, bound: start ──► resource }
//!        ├── buffers, images: Resource { requirements, binding ──► (memory, offset) }
//!        └── fences, semaphores, command pools, command buffers, passive objects
//! ```
//!
//! Invariants: (I1) a resource's binding names a memory handle and that memory's `bound` names the resource, until one
//! of the two dies; (I2) freeing memory leaves the resources with a stale handle, which any use finds out.

use super::accounts::Charge;
use super::callbacks::HostShadow;
use super::command::{CommandBuffer, CommandPool};
use super::format::ImageShape;
use super::handle::{ObjectKind, Table};
use super::loan::Loans;
use super::passive::Passive;
use super::pending::Pending;
use super::requirements::Requirements;
use super::storage::Storage;
use ash::vk;
use core::ops::Range;
use std::collections::{BTreeMap, VecDeque};

/// A resource (or, in a submission, a memory object or a command buffer), as others name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ResourceId {
    pub(super) kind: ObjectKind,
    pub(super) handle: u64,
}

/// A resource bound to a memory object, as that object sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub(super) end: u64,
    pub(super) is_linear: bool,
    pub(super) may_alias: bool,
}

/// One `VkDeviceMemory`.
pub(super) struct Memory {
    pub(super) charge: Charge,
    pub(super) type_index: u32,
    pub(super) property_flags: vk::MemoryPropertyFlags,
    /// The one resource for which it was allocated.
    pub(super) dedicated: Option<ResourceId>,
    pub(super) has_device_address: bool,
    pub(super) priority: Option<f32>,
    /// First device address.
    pub(super) address: u64,
    pub(super) mapping: Option<Range<u64>>,
    pub(super) storage: Option<Storage>,
    /// Resources by (start, id).
    pub(super) bound: BTreeMap<(u64, ResourceId), Bound>,
    /// No bound resource was ever longer than this.
    pub(super) longest_bound: u64,
    pub(super) shadow: HostShadow,
    /// Parts of the mapping that the tester says are borrowed, as long as a `Loan` lives.
    pub(super) loans: Loans,
}

impl Memory {
    pub(super) fn size(&self) -> u64 {
        self.charge.bytes
    }

    /// Tells whether a resource is bound to any byte of a range.
    fn has_bound_in(&self, range: &Range<u64>) -> bool {
        // A resource that begins further back than the longest one reaches cannot touch the range.
        let first = range.start.saturating_sub(self.longest_bound);
        let lowest = ResourceId { kind: ObjectKind::DeviceMemory, handle: 0 };
        self.bound.range((first, lowest)..(range.end, lowest)).any(|(_, other)| other.end > range.start)
    }

    pub(super) fn is_host_visible(&self) -> bool {
        self.property_flags.contains(vk::MemoryPropertyFlags::HOST_VISIBLE)
    }
}

/// One `VkBuffer` or `VkImage`.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of the create-info, independent of the others")]
pub(super) struct Resource {
    pub(super) requirements: Requirements,
    /// Buffers: the size asked for; images: that of the requirements.
    pub(super) size: u64,
    pub(super) is_linear: bool,
    /// An application may ask where its subresources lie.
    pub(super) tells_layout: bool,
    pub(super) may_alias: bool,
    pub(super) is_sparse: bool,
    pub(super) is_protected: bool,
    pub(super) is_disjoint: bool,
    pub(super) needs_device_address: bool,
    /// Copies may read it.
    pub(super) is_source: bool,
    /// Copies may write it.
    pub(super) is_destination: bool,
    /// The image's layout; `None` for a buffer.
    pub(super) shape: Option<ImageShape>,
    /// (memory handle, offset)
    pub(super) binding: Option<(u64, u64)>,
    pub(super) shadow: HostShadow,
}

/// One `VkFence`.
pub(super) struct Fence {
    pub(super) is_signaled: bool,
    pub(super) shadow: HostShadow,
}

/// One `VkSemaphore`.
pub(super) struct Semaphore {
    /// The value of a timeline; of a binary semaphore, how often it was signaled.
    pub(super) value: u64,
    pub(super) is_timeline: bool,
    /// Something has signaled a timeline that still has to wait, so that lower values may follow.
    pub(super) is_ahead: bool,
    /// Values that a timeline was given, rising, without those that somebody has seen it pass.
    pub(super) steps: VecDeque<u64>,
    pub(super) shadow: HostShadow,
}

/// Everything on one device.
pub(super) struct World {
    pub(super) memories: Table<Memory>,
    pub(super) buffers: Table<Resource>,
    pub(super) images: Table<Resource>,
    pub(super) fences: Table<Fence>,
    pub(super) semaphores: Table<Semaphore>,
    pub(super) command_pools: Table<CommandPool>,
    pub(super) command_buffers: Table<CommandBuffer>,
    pub(super) passive: Table<Passive>,
    /// What is in use on the queues.
    pub(super) pending: Pending,
    /// Names that the application gave to objects, by handle.
    pub(super) names: BTreeMap<u64, String>,
    /// Device address of the next memory object.
    pub(super) next_address: u64,
}

impl World {
    pub(super) fn new(device: u8) -> Self {
        Self {
            memories: Table::new(ObjectKind::DeviceMemory, device),
            buffers: Table::new(ObjectKind::Buffer, device),
            images: Table::new(ObjectKind::Image, device),
            fences: Table::new(ObjectKind::Fence, device),
            semaphores: Table::new(ObjectKind::Semaphore, device),
            command_pools: Table::new(ObjectKind::CommandPool, device),
            command_buffers: Table::new(ObjectKind::CommandBuffer, device),
            passive: Table::new(ObjectKind::Passive, device),
            pending: Pending::default(),
            names: BTreeMap::new(),
            next_address: 1 << 32,
        }
    }

    /// Returns the table of buffers or of images.
    pub(super) fn resources(&mut self, kind: ObjectKind) -> &mut Table<Resource> {
        if kind == ObjectKind::Image { &mut self.images } else { &mut self.buffers }
    }

    /// Tells whether a timeline has yet to reach a value, or has it here only because what waits was carried out at
    /// once.
    pub(super) fn is_to_come(&self, (semaphore, value): (u64, u64)) -> bool {
        self.semaphores.get(semaphore).is_ok_and(|object| object.value < value || object.is_ahead)
    }

    /// Forgets the name of an object that is gone.
    pub(super) fn forget(&mut self, handle: u64) {
        self.names.remove(&handle);
    }

    /// Takes a dying resource out of the memory to which it is bound (I1). What the device wrote there is nobody's from
    /// now on, unless another resource shares the bytes.
    pub(super) fn unbind(&mut self, id: ResourceId, resource: &Resource) {
        let Some((memory, offset)) = resource.binding else {
            return;
        };
        let Ok(memory) = self.memories.get_mut(memory) else { return };
        let Some(bound) = memory.bound.remove(&(offset, id)) else { return };
        let range = offset..bound.end;
        if !memory.has_bound_in(&range)
            && let Some(Storage::Cached(cache)) = &mut memory.storage
        {
            cache.disown(range);
        }
    }
}
