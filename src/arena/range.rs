//! What a user holds: a move-only key to a range of one of an arena's buffers.
//!
//! Invariants:
//! - I1: while the key is live in its arena, `mapped` points at `size` bytes that stay mapped: a buffer with a live
//!   range is never destroyed.
//! - I2: no two live ranges share a byte, nor an atom of non-coherent memory where `mapped` is there.

use core::fmt;
use core::ptr::NonNull;

use ash::vk;

use crate::suballocator::RangeKey;

/// Names the arena, and which of its lives, that a range belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Home {
    pub arena: u64,
    /// How often the arena has been cleared.
    pub epoch: u64,
}

/// A range of a buffer, owned: the key by which it is freed. Dropping it leaves the range used until the arena is
/// cleared or dropped.
#[must_use = "a range is freed by handing it to its arena, not by dropping it"]
pub struct ArenaRange {
    pub(super) buffer: vk::Buffer,
    pub(super) offset: u64,
    pub(super) size: u64,
    pub(super) address: Option<vk::DeviceAddress>,
    pub(super) mapped: Option<NonNull<u8>>,
    pub(super) key: RangeKey,
    pub(super) home: Home,
}

// SAFETY: the pointer in `mapped` is an address in memory that this value owns alone (I2), valid on every thread (I1).
#[expect(unsafe_code, reason = "a mapped address may travel")]
unsafe impl Send for ArenaRange {}
// SAFETY: through `&ArenaRange` safe code reads plain values only; the bytes are reached through `&mut` or `unsafe`.
#[expect(unsafe_code, reason = "a mapped address may be shared")]
unsafe impl Sync for ArenaRange {}

impl ArenaRange {
    /// Returns the buffer that the range lies in. It is the arena's: never destroy it.
    pub fn buffer(&self) -> vk::Buffer {
        self.buffer
    }

    /// Returns where the range begins in its buffer, in bytes: a multiple of the alignment asked for.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the size that was asked for, in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the number of the first element, where elements of `stride` bytes are counted from the buffer's start:
    /// `firstVertex`, `firstIndex`, or an index into a buffer that is bound as an array. `None` where the range was not
    /// aligned to the stride, or lies too far behind for 32 bits.
    pub fn first_element(&self, stride: u64) -> Option<u32> {
        let is_aligned = self.offset.checked_rem(stride)? == 0;
        u32::try_from(self.offset / stride).ok().filter(|_| is_aligned)
    }

    /// Returns the address of the first byte for shaders: the buffer's and the offset. `None` unless the arena's usage
    /// has `SHADER_DEVICE_ADDRESS`.
    pub fn device_address(&self) -> Option<vk::DeviceAddress> {
        self.address
    }

    /// Returns the address of the first byte for the host, where the memory is mapped and the range has its atoms
    /// alone.
    ///
    /// Valid for [`size`](Self::size) bytes until the range is freed or its arena is cleared or dropped. Whoever uses
    /// it answers for data races, with the device too; fresh bytes are uninitialised.
    pub fn mapped_ptr(&self) -> Option<NonNull<u8>> {
        self.mapped
    }
}

impl fmt::Debug for ArenaRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArenaRange")
            .field("buffer", &self.buffer)
            .field("offset", &self.offset)
            .field("size", &self.size)
            .field("device_address", &self.address)
            .field("is_mapped", &self.mapped.is_some())
            .finish_non_exhaustive()
    }
}
