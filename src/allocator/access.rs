//! The allocator's way to mapped bytes: write and flush, invalidate. `read` is in `allocation`, with what is unsafe.
//!
//! ```text
//!   host    write -> flush        -> device
//!   device  work  -> invalidate   -> host reads       both do nothing on coherent memory
//! ```
//!
//! Every range is checked before the driver is called, and all of one call go to the driver together. What an
//! allocation can do by itself is in `allocation`.

use bytemuck::NoUninit;

use super::Allocator;
use super::allocation::Allocation;
use super::error::AccessError;
use crate::device::{DriverError, MemoryRange};

/// A range of an allocation, for [`Allocator::flush_many`] and [`Allocator::invalidate_many`].
#[derive(Clone, Copy, Debug)]
pub struct AllocationRange<'a> {
    /// The allocation.
    pub allocation: &'a Allocation,
    /// Where the range begins within it, in bytes.
    pub offset: u64,
    /// How long it is, in bytes.
    pub size: u64,
}

/// So many ranges are flushed or invalidated without a heap call. Taste: half a KiB of stack, and what
/// one driver call carries.
const RANGES_ON_STACK: usize = 16;

impl<'a> AllocationRange<'a> {
    /// Names a whole allocation.
    pub fn whole(allocation: &'a Allocation) -> Self {
        Self { allocation, offset: 0, size: allocation.size() }
    }
}

impl Allocator {
    /// Writes values and makes them visible to the device: [`Allocation::write`], then a flush where memory is not
    /// coherent.
    ///
    /// # Errors
    /// `NotMapped` or `OutOfBounds`: nothing was written. `Foreign`, `Driver`: nothing was flushed.
    pub fn write<T: NoUninit>(
        &self,
        allocation: &mut Allocation,
        offset: u64,
        values: &[T],
    ) -> Result<(), AccessError> {
        if !self.owns(allocation) {
            return Err(AccessError::Foreign);
        }
        allocation.write(offset, values)?;
        self.flush(allocation, offset, size_of_val(values) as u64)
    }

    /// Makes host writes to a range visible to the device. Does nothing on coherent memory.
    ///
    /// The range is rounded outward to whole atoms (`nonCoherentAtomSize`), none of which another allocation shares.
    /// What the device wrote in them since the host last invalidated them may be overwritten.
    ///
    /// # Errors
    /// `OutOfBounds`, `NotMapped`, `Foreign`, or the driver's error.
    ///
    /// # Source
    /// VUID-VkMappedMemoryRange-offset-00687, -size-01390.
    pub fn flush(&self, allocation: &Allocation, offset: u64, size: u64) -> Result<(), AccessError> {
        self.flush_many(&[AllocationRange { allocation, offset, size }])
    }

    /// Makes device writes to a range visible to the host. Does nothing on coherent memory.
    ///
    /// The range is rounded outward to whole atoms. What the host wrote in them and has not flushed may be lost: flush
    /// first.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn invalidate(&self, allocation: &Allocation, offset: u64, size: u64) -> Result<(), AccessError> {
        self.invalidate_many(&[AllocationRange { allocation, offset, size }])
    }

    /// Flushes several ranges, in as few driver calls as can be.
    ///
    /// # Errors
    /// As [`flush`](Self::flush); a range that is refused is found before the driver is called.
    pub fn flush_many(&self, ranges: &[AllocationRange<'_>]) -> Result<(), AccessError> {
        self.with_memory_ranges(ranges, |ranges| self.device().flush(ranges))
    }

    /// Invalidates several ranges, in as few driver calls as can be.
    ///
    /// # Errors
    /// As [`flush_many`](Self::flush_many).
    pub fn invalidate_many(&self, ranges: &[AllocationRange<'_>]) -> Result<(), AccessError> {
        self.with_memory_ranges(ranges, |ranges| self.device().invalidate(ranges))
    }

    fn with_memory_ranges(
        &self,
        ranges: &[AllocationRange<'_>],
        call: impl Fn(&[MemoryRange<'_>]) -> Result<(), DriverError>,
    ) -> Result<(), AccessError> {
        ranges.iter().try_for_each(|range| self.check_mapped_range(range))?;
        let needed = ranges.iter().filter(|range| range.allocation.is_non_coherent() && range.size > 0);
        let mut named = needed.map(|range| range.allocation.memory_range(range.offset, range.size));
        let Some(first) = named.next() else { return Ok(()) };
        if ranges.len() > RANGES_ON_STACK {
            let named: Vec<MemoryRange<'_>> = core::iter::once(first).chain(named).collect();
            return call(&named).map_err(AccessError::Driver);
        }
        let mut few = [first; RANGES_ON_STACK];
        let mut count = 1;
        for (place, range) in few[1..].iter_mut().zip(named) {
            *place = range;
            count += 1;
        }
        call(&few[..count]).map_err(AccessError::Driver)
    }

    fn check_mapped_range(&self, range: &AllocationRange<'_>) -> Result<(), AccessError> {
        if !self.owns(range.allocation) {
            return Err(AccessError::Foreign);
        }
        range.allocation.check_range(range.offset, range.size)?;
        range.allocation.mapped_ptr().map(|_| ()).ok_or(AccessError::NotMapped)
    }
}
