//! Ranges of mapped memory, and making what one side wrote to them visible to the other.
//!
//! Memory that is not host-coherent is flushed after the host wrote and invalidated before it reads, in whole *atoms*:
//!
//! ```text
//! memory   |atom    |atom    |atom    |ato|     <- the last atom may be cut by the end of the object
//! asked        [--]             [---------]
//! given    [-------]         [------------]     <- each widened on its own; many ranges, one call
//! ```
//!
//! - I1: ranges that reach the driver start on an atom, and end on one or at the end of their object.
//!
//! That no atom has two owners is seen to above: in such types every suballocation is rounded to atoms.
//!
//! # Source
//! `VkMappedMemoryRange`; Vulkan specification, "Host Access to Device Memory Objects".

use core::marker::PhantomData;

use ash::vk;

use super::{Device, DriverError, Memory};

/// How many ranges one call to the driver carries; they lie on the stack. Taste: 16 is what the peers use too.
const RANGES_PER_CALL: usize = 16;

/// A range of mapped memory, to be flushed or invalidated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemoryRange<'memory> {
    memory: vk::DeviceMemory,
    memory_size: u64,
    offset: u64,
    size: u64,
    lifetime: PhantomData<&'memory Memory>,
}

/// The size of a memory object and a range within it, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RangeWithin {
    /// The whole memory object's size.
    pub(crate) memory_size: u64,
    /// Where the range begins.
    pub(crate) offset: u64,
    /// How long it is.
    pub(crate) size: u64,
}

#[cfg(test)]
impl<'memory> MemoryRange<'memory> {
    /// Names a range of memory that is mapped, and borrowed as long as the range lasts.
    pub(super) fn within(memory: &'memory Memory, offset: u64, size: u64) -> Self {
        Self { memory: memory.handle(), memory_size: memory.size(), offset, size, lifetime: PhantomData }
    }
}

impl MemoryRange<'_> {
    /// Names a range by the memory's handle, for one who holds an allocation but not the [`Memory`] that it lies in.
    ///
    /// # Safety
    /// 1. `memory` was taken from a [`Memory`] of the device that the range is given to, is not freed as long
    ///    as the range lasts, and ends at `range.memory_size` or, rounded to whole atoms, behind the range.
    /// 2. It is mapped.
    pub(crate) unsafe fn of_handle(memory: vk::DeviceMemory, range: RangeWithin) -> Self {
        let RangeWithin { memory_size, offset, size } = range;
        Self { memory, memory_size, offset, size, lifetime: PhantomData }
    }

    /// Rounds outward to whole atoms and cuts at the end of the object (I1); `None` where nothing is left.
    ///
    /// # Source
    /// VUID-VkMappedMemoryRange-offset-00687 and -size-01390.
    fn to_atoms(self, atom: u64) -> Option<vk::MappedMemoryRange<'static>> {
        debug_assert!(atom.is_power_of_two(), "properties I2: an atom of {atom}");
        let last = self.offset.saturating_add(self.size).min(self.memory_size);
        if last <= self.offset {
            return None;
        }
        let start = self.offset & !(atom - 1);
        let end = last.checked_next_multiple_of(atom).unwrap_or(u64::MAX).min(self.memory_size);
        Some(vk::MappedMemoryRange::default().memory(self.memory).offset(start).size(end - start))
    }
}

/// The signature that flush and invalidate share.
type RangesCommand = unsafe extern "system" fn(vk::Device, u32, *const vk::MappedMemoryRange<'_>) -> vk::Result;

impl Device {
    /// Makes what the host wrote to these ranges visible to the device.
    ///
    /// Ranges are widened to whole atoms. For coherent memory there is nothing to do and callers skip the call.
    ///
    /// # Errors
    /// What the driver answered to the first call that failed.
    pub(crate) fn flush(&self, ranges: &[MemoryRange<'_>]) -> Result<(), DriverError> {
        self.sync_ranges("vkFlushMappedMemoryRanges", self.commands.flush_ranges, ranges)
    }

    /// Makes what the device wrote to these ranges visible to the host; see [`Device::flush`].
    ///
    /// # Errors
    /// What the driver answered to the first call that failed.
    pub(crate) fn invalidate(&self, ranges: &[MemoryRange<'_>]) -> Result<(), DriverError> {
        self.sync_ranges("vkInvalidateMappedMemoryRanges", self.commands.invalidate_ranges, ranges)
    }

    /// Gives the ranges to `command`, many at a time and without touching the heap.
    fn sync_ranges(
        &self,
        call: &'static str,
        command: RangesCommand,
        ranges: &[MemoryRange<'_>],
    ) -> Result<(), DriverError> {
        for chunk in ranges.chunks(RANGES_PER_CALL) {
            let mut rounded = [vk::MappedMemoryRange::default(); RANGES_PER_CALL];
            let mut count = 0;
            let atom = self.properties.non_coherent_atom_size;
            for range in chunk.iter().filter_map(|range| range.to_atoms(atom)) {
                rounded[count as usize] = range;
                count += 1;
            }
            if count == 0 {
                continue;
            }
            // SAFETY: `count` elements of `rounded` are filled; each names live, mapped memory of this device (the
            // borrow of a Memory, or the duty of `MemoryRange::of_handle`) and has the form of I1.
            let result = unsafe { command(self.handle, count, rounded.as_ptr()) };
            DriverError::check(call, result)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounds one range and returns its offset and size.
    fn rounded(memory_size: u64, offset: u64, size: u64, atom: u64) -> Option<(u64, u64)> {
        let range = MemoryRange { memory: vk::DeviceMemory::null(), memory_size, offset, size, lifetime: PhantomData };
        range.to_atoms(atom).map(|range| (range.offset, range.size))
    }

    #[test]
    fn ranges_are_widened_to_atoms() {
        assert_eq!(rounded(1024, 0, 1, 64), Some((0, 64)));
        assert_eq!(rounded(1024, 63, 2, 64), Some((0, 128)));
        assert_eq!(rounded(1024, 128, 64, 64), Some((128, 64)));
        assert_eq!(rounded(1024, 65, 127, 64), Some((64, 128)), "the tail of an unaligned range is not lost");
    }

    #[test]
    fn ranges_end_with_their_memory() {
        assert_eq!(rounded(1000, 960, 1, 64), Some((960, 40)), "the last atom is cut");
        assert_eq!(rounded(1000, 0, vk::WHOLE_SIZE, 64), Some((0, 1000)));
        assert_eq!(rounded(1000, 130, vk::WHOLE_SIZE, 64), Some((128, 872)));
        assert_eq!(rounded(u64::MAX, u64::MAX - 1, 1, 256), Some((u64::MAX - 255, 255)));
    }

    #[test]
    fn nothing_is_left_of_an_empty_range() {
        assert_eq!(rounded(1000, 0, 0, 64), None);
        assert_eq!(rounded(1000, 65, 0, 64), None);
        assert_eq!(rounded(1000, 1000, 5, 64), None);
        assert_eq!(rounded(1000, u64::MAX, u64::MAX, 64), None);
    }

    #[test]
    fn every_range_has_the_form_that_vulkan_demands() {
        for atom in [1, 4, 64, 256] {
            for memory_size in [1, 255, 256, 257, 1000] {
                for (offset, size) in (0..memory_size).flat_map(|offset| [(offset, 1), (offset, 100)]) {
                    let (start, length) = rounded(memory_size, offset, size, atom).unwrap();
                    let end = start + length;
                    assert!(start % atom == 0 && (length % atom == 0 || end == memory_size));
                    assert!(start <= offset && (offset + size).min(memory_size) <= end && end <= memory_size);
                }
            }
        }
    }
}
