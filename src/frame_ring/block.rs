//! One buffer of a ring with its memory, mapped for as long as it exists.
//!
//! Invariants:
//! - B1: `base` points at `size` bytes that stay mapped until the block is closed, and [`Block::close`] takes it by
//!   value: the ring closes a block only when no chunk of it is in use.

use core::mem::MaybeUninit;
use core::ptr::NonNull;
use core::slice;

use ash::vk;

use super::error::FrameRingError;
use crate::allocator::{Allocation, AllocationCreateInfo, Allocator};
use crate::device::{MemoryRange, RangeWithin};
use crate::memory_type::Intent;
use crate::resource;

/// What the buffers of a ring have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BufferTraits {
    pub(super) usage: vk::BufferUsageFlags,
    pub(super) intent: Intent,
    pub(super) queue_families: Vec<u32>,
}

/// A buffer and its memory.
#[derive(Debug)]
pub(super) struct Block {
    buffer: vk::Buffer,
    allocation: Allocation,
    base: Base,
    device_address: Option<vk::DeviceAddress>,
    size: u64,
}

/// Where the bytes of a block begin in the host's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Base(NonNull<u8>);

// SAFETY: an address only; whoever reaches bytes through it owns them alone (`Piece`), on whichever thread.
unsafe impl Send for Base {}
// SAFETY: as above.
unsafe impl Sync for Base {}

/// What a frame must know of the block that it writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// The block's number in its ring.
    pub(super) region: u32,
    pub(super) buffer: vk::Buffer,
    pub(super) base: Base,
    /// The address of the buffer's first byte for shaders.
    pub(super) device_address: Option<vk::DeviceAddress>,
}

/// Bytes of a block that belong to whoever holds this, alone: cut from a frame's chunk and never twice.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) source: Source,
    pub(super) offset: u64,
    pub(super) size: usize,
}

/// A part of a block that the host wrote, as plain data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written {
    memory: vk::DeviceMemory,
    within: RangeWithin,
}

impl Block {
    /// Creates a buffer with its memory; on a failure nothing is left.
    ///
    /// Usage, queue families and intent come from the ring's maker, who vouched for them (`FrameRing::new`, duty 1).
    pub(super) fn open(allocator: &Allocator, traits: &BufferTraits, size: u64) -> Result<Self, FrameRingError> {
        let info = vk::BufferCreateInfo::default().size(size).usage(traits.usage);
        let info = resource::shared_between(info, &traits.queue_families);
        // SAFETY: a create-info without a chain; `FrameRing::new`, duty 1: usage and families are valid for the
        // device; duty 2: the GPU is done with the buffer before it is closed.
        let created = unsafe { allocator.create_buffer(&info, &AllocationCreateInfo::new(traits.intent)) };
        let (buffer, allocation) = created?;
        let Some(base) = allocation.mapped_ptr() else {
            // SAFETY: it was made just now, and the GPU has never seen it.
            let destroyed = unsafe { allocator.destroy_buffer(buffer, allocation) };
            debug_assert!(destroyed.is_ok(), "the allocator takes back what it has made");
            return Err(FrameRingError::NotMapped);
        };
        let has_address = traits.usage.contains(vk::BufferUsageFlags::SHADER_DEVICE_ADDRESS);
        // SAFETY: the buffer is alive, of this allocator, bound, and has the usage.
        let device_address = has_address.then(|| unsafe { allocator.buffer_device_address(buffer) }).flatten();
        Ok(Self { buffer, allocation, base: Base(base), device_address, size })
    }

    /// Destroys the buffer and frees its memory. Nothing of it is in use, by the ring's records.
    pub(super) fn close(self, allocator: &Allocator) {
        // SAFETY: the buffer is alive; no frame has a chunk of it (B1), so the GPU is done with it (`FrameRing::new`,
        // duty 2).
        let destroyed = unsafe { allocator.destroy_buffer(self.buffer, self.allocation) };
        debug_assert!(destroyed.is_ok(), "a block is freed by the allocator that made it");
    }

    /// Returns its size, in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Returns what a frame must know of it.
    pub(super) fn source(&self, region: u32) -> Source {
        Source { region, buffer: self.buffer, base: self.base, device_address: self.device_address }
    }

    /// Names a range that the host wrote, where that must be flushed.
    pub(super) fn written(&self, offset: u64, size: u64) -> Option<Written> {
        if !self.allocation.is_non_coherent() {
            return None;
        }
        // As for any allocation: a dedicated object ends with its resource, a block behind the last atom of any range.
        let memory_size = if self.allocation.is_dedicated() { self.allocation.size() } else { u64::MAX };
        let within = RangeWithin { memory_size, offset: self.allocation.offset() + offset, size };
        Some(Written { memory: self.allocation.memory(), within })
    }
}

/// No block: nothing is ever cut from it.
impl Default for Source {
    fn default() -> Self {
        let base = Base(NonNull::dangling());
        Self { region: u32::MAX, buffer: vk::Buffer::null(), base, device_address: None }
    }
}

impl Written {
    /// Makes it a range for the driver.
    ///
    /// # Safety
    /// The block that it is a part of stays open as long as the range lasts.
    pub(super) unsafe fn memory_range<'a>(self) -> MemoryRange<'a> {
        // SAFETY: the memory is that of an open block (the caller's duty), mapped as long (B1); its allocation is made
        // of whole atoms where it is not coherent, so the rounded range ends inside the memory object.
        unsafe { MemoryRange::of_handle(self.memory, self.within) }
    }
}

impl Piece {
    /// Lends the bytes.
    ///
    /// # Safety
    /// The block stays open for `'a`, and the device does not touch the bytes meanwhile.
    #[inline]
    pub(super) unsafe fn bytes<'a>(self) -> &'a mut [MaybeUninit<u8>] {
        #[expect(clippy::cast_possible_truncation, reason = "mapped: every offset fits the address space")]
        let offset = self.offset as usize;
        // SAFETY: the piece lies inside its block (B1).
        let start = unsafe { self.source.base.0.add(offset) };
        // SAFETY: `size` mapped bytes, which this piece owns alone and gives up here; `MaybeUninit` needs no
        // initialised bytes; the caller's duties for `'a`.
        unsafe { slice::from_raw_parts_mut(start.as_ptr().cast::<MaybeUninit<u8>>(), self.size) }
    }
}
