//! What a ring is made of.

use ash::vk;

use super::alignment;
use super::block::BufferTraits;
use super::error::FrameRingError;
use super::sizing::Sizing;
use crate::device::Properties;
use crate::memory_type::Intent;

/// The first block, in bytes, unless the user says so: 128 KiB for each of two frames.
const FIRST: u64 = 256 << 10;
/// The most bytes of a ring, unless the user says so. Taste: what leaves a small BAR heap usable.
const LIMIT: u64 = 64 << 20;
/// Chunks begin at multiples of this or more, in bytes: a cache line.
const UNIT: u64 = 64;
/// The most frames in flight. Taste: each costs a record, and beginning one looks at all.
const FRAMES_MAX: u32 = 256;
/// What no block exceeds, in bytes: far more than any heap.
const BLOCK_MAX: u64 = 1 << 44;

/// What a [`FrameRing`](super::FrameRing) is for, and how large it may become.
///
/// # Examples
/// ```
/// use freestone::{FrameRingCreateInfo, ash::vk};
///
/// let usage = vk::BufferUsageFlags::UNIFORM_BUFFER | vk::BufferUsageFlags::VERTEX_BUFFER;
/// let info = FrameRingCreateInfo::new(usage).frames_in_flight(3).initial_size(1 << 20).max_size(32 << 20);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameRingCreateInfo {
    pub(super) usage: vk::BufferUsageFlags,
    pub(super) intent: Intent,
    queue_families: Vec<u32>,
    frames_in_flight: u32,
    initial_size: u64,
    max_size: u64,
}

impl FrameRingCreateInfo {
    /// Asks for a ring whose buffers have this usage: two frames in flight, 256 KiB at first, 64 MiB at most.
    pub fn new(usage: vk::BufferUsageFlags) -> Self {
        Self {
            usage,
            intent: Intent::Stream,
            queue_families: Vec::new(),
            frames_in_flight: 2,
            initial_size: FIRST,
            max_size: LIMIT,
        }
    }

    /// Sets how many frames may be open, or ended and not reclaimed, at one time: 1 to 256. Threads that have frames of
    /// their own count with each.
    #[must_use]
    pub fn frames_in_flight(mut self, count: u32) -> Self {
        self.frames_in_flight = count;
        self
    }

    /// Sets the size of the first buffer, in bytes, which the ring never shrinks below; at most the maximum. As long as
    /// the frames in flight fit in it, the ring keeps this one buffer: descriptors that name it stay good.
    #[must_use]
    pub fn initial_size(mut self, bytes: u64) -> Self {
        self.initial_size = bytes;
        self
    }

    /// Sets what all buffers together may have, in bytes; no push is larger.
    #[must_use]
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.max_size = bytes;
        self
    }

    /// Sets what the memory is for: `Stream`, unless the GPU only copies from the ring (`Upload`).
    #[must_use]
    pub fn intent(mut self, intent: Intent) -> Self {
        self.intent = intent;
        self
    }

    /// Shares each buffer between queue families (`VK_SHARING_MODE_CONCURRENT`); with fewer than two it is exclusive.
    #[must_use]
    pub fn queue_families(mut self, families: &[u32]) -> Self {
        self.queue_families = families.to_vec();
        self
    }

    pub(super) fn traits(&self) -> BufferTraits {
        BufferTraits { usage: self.usage, intent: self.intent, queue_families: self.queue_families.clone() }
    }

    /// Returns the alignment of every push, and the sizes.
    ///
    /// # Errors
    /// `InvalidCreateInfo`, `NotMapped`, `TooSmall`.
    pub(super) fn check(&self, properties: &Properties) -> Result<(u64, Sizing), FrameRingError> {
        let invalid = |what| Err(FrameRingError::InvalidCreateInfo { what });
        if self.usage.is_empty() {
            return invalid("the usage is empty: say what the GPU does with the buffer");
        }
        if self.frames_in_flight == 0 || self.frames_in_flight > FRAMES_MAX {
            return invalid("from 1 to 256 frames may be in flight");
        }
        if !matches!(self.intent, Intent::Stream | Intent::Upload) {
            return Err(FrameRingError::NotMapped);
        }
        let alignment = alignment::of_usage(self.usage, properties);
        let unit = UNIT.max(properties.non_coherent_atom_size).max(alignment);
        let block_limit = properties.max_buffer_size.min(properties.max_memory_allocation_size).min(BLOCK_MAX);
        let whole_units = |bytes: u64| bytes & !(unit - 1);
        let (limit, block_limit) = (whole_units(self.max_size), whole_units(block_limit));
        if limit.min(block_limit) == 0 {
            return Err(FrameRingError::TooSmall { max_size: self.max_size, unit });
        }
        let first = whole_units(self.initial_size).clamp(unit, limit.min(block_limit));
        Ok((alignment, Sizing { unit, first, limit, block_limit, frame_count: u64::from(self.frames_in_flight) }))
    }
}
