//! What a user holds: a move-only key to device memory, and the way to its bytes.
//!
//! ```text
//!   memory | its mapping | offset | size | key (index, generation) | stamp (owner, pool, type, traits)     48 bytes
//! ```
//!
//! Invariants:
//! - I1: `mapped_ptr` points at `size` bytes that stay mapped for as long as the `Allocation` exists: its block is
//!   never given back while a range of it is alive, and an allocator that is dropped before leaks such blocks.
//! - I2: no two live allocations share a byte, so `&mut Allocation` is the only way of the host to its bytes.
//! - I3: an allocation is freed by value: a second free does not compile.
//!
//! Fresh memory is uninitialised; nothing here lends it as anything else than `MaybeUninit`.

use core::fmt;
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use core::slice;

use ash::vk;
use bytemuck::{AnyBitPattern, NoUninit, Pod};

use super::Allocator;
use super::error::AccessError;
use super::stamp::{Stamp, Trait};
use crate::device::{MemoryRange, RangeWithin, Site};
use crate::pool::{Kind, Making, Placement};
use crate::suballocator::RangeKey;

/// A piece of device memory, owned: the key by which it is freed.
///
/// Bind a resource to [`memory`](Self::memory) at [`offset`](Self::offset). Dropping an allocation does not free it;
/// hand it to [`Allocator::free`](super::Allocator::free). What it says of itself (memory, offset, size) never changes.
#[must_use = "an allocation is freed by handing it to the allocator, not by dropping it"]
pub struct Allocation {
    /// The memory object. That its handle is not null gives `Option` and `Result` room for their tags.
    site: Site,
    offset: u64,
    size: u64,
    key: RangeKey,
    stamp: Stamp,
}

const _: () = assert!(size_of::<Option<Allocation>>() <= 48, "a handle is at most 48 bytes, its absence none more");

// SAFETY: the pointer in `site` is to memory of which this value owns its bytes alone (I2), valid on every thread (I1).
unsafe impl Send for Allocation {}
// SAFETY: through `&Allocation` safe code reads plain values only; the bytes are reached through `&mut` or `unsafe`.
unsafe impl Sync for Allocation {}

impl Allocation {
    #[inline]
    pub(crate) fn new(placement: &Placement, size: u64, stamp: Stamp) -> Self {
        let Placement { site, offset, key, .. } = *placement;
        Self { site, offset, size, key, stamp }
    }

    /// Returns how it came about.
    pub(crate) fn making(&self) -> Making {
        match (self.is_dedicated(), self.stamp.has(Trait::Opener)) {
            (true, _) => Making::Dedicated,
            (false, true) => Making::WithBlock,
            (false, false) => Making::InBlock,
        }
    }

    /// Returns the memory object to bind to. It belongs to the allocator: never free or unmap it.
    pub fn memory(&self) -> vk::DeviceMemory {
        self.site.memory()
    }

    /// Returns the offset to bind at, in bytes from the start of the memory object.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the size that was asked for, in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the index of the memory type.
    pub fn memory_type_index(&self) -> u32 {
        self.stamp.memory_type_index()
    }

    /// Returns whether the memory object serves this allocation alone.
    pub fn is_dedicated(&self) -> bool {
        self.stamp.has(Trait::Dedicated)
    }

    /// Returns whether host writes need [`flush`](super::Allocator::flush), and host reads
    /// [`invalidate`](super::Allocator::invalidate).
    pub fn is_non_coherent(&self) -> bool {
        self.stamp.has(Trait::NonCoherent)
    }

    /// Returns the kind of resource that the memory was placed for.
    pub fn kind(&self) -> Kind {
        if self.stamp.has(Trait::NonLinear) { Kind::NonLinear } else { Kind::Linear }
    }

    /// Returns the address of the first byte, where the memory is mapped.
    ///
    /// The pointer is valid for [`size`](Self::size) bytes until the allocation is freed. Whoever uses it answers for
    /// data races, with the device too; fresh bytes are uninitialised.
    pub fn mapped_ptr(&self) -> Option<NonNull<u8>> {
        self.site.at(self.offset)
    }

    /// Writes values at an offset in bytes. On non-coherent memory a flush makes them visible to the device; see
    /// [`Allocator::write`](super::Allocator::write), which does both.
    ///
    /// # Errors
    /// `NotMapped` or `OutOfBounds`; then nothing was written. Any offset will do: the values are copied as bytes.
    ///
    /// # Complexity
    /// One copy.
    pub fn write<T: NoUninit>(&mut self, offset: u64, values: &[T]) -> Result<(), AccessError> {
        let bytes: &[u8] = bytemuck::cast_slice(values);
        let target = self.bytes_mut(offset, bytes.len() as u64)?;
        // SAFETY: `u8` and `MaybeUninit<u8>` have one layout, and writing initialised bytes leaves them initialised.
        let source = unsafe { slice::from_raw_parts(bytes.as_ptr().cast::<MaybeUninit<u8>>(), bytes.len()) };
        target.copy_from_slice(source);
        Ok(())
    }

    /// Fills a range with one byte value.
    ///
    /// # Errors
    /// `NotMapped` or `OutOfBounds`; then nothing was written.
    pub fn fill(&mut self, offset: u64, len: u64, value: u8) -> Result<(), AccessError> {
        self.bytes_mut(offset, len)?.fill(MaybeUninit::new(value));
        Ok(())
    }

    /// Lends a range as values that need not be initialised yet.
    ///
    /// Memory for `upload` and `stream` may be write-combined: write each value once, in order, and read none.
    ///
    /// # Errors
    /// `NotMapped`, `OutOfBounds`, or `Misaligned` where the address does not suit `T`.
    pub fn uninit_slice_mut<T: Copy>(
        &mut self,
        offset: u64,
        count: usize,
    ) -> Result<&mut [MaybeUninit<T>], AccessError> {
        let start = self.typed_address::<T>(offset, count)?;
        // SAFETY: I1 and the check above: `count` values lie inside the mapping, aligned; `MaybeUninit` needs no
        // initialised bytes; I2: `&mut self` makes this the only reference. The device may write these bytes only
        // after an unsafe submit whose caller promises that no Rust reference overlaps them.
        Ok(unsafe { slice::from_raw_parts_mut(start.as_ptr().cast::<MaybeUninit<T>>(), count) })
    }

    /// Zeroes a range and lends it, in one call.
    ///
    /// # Errors
    /// `NotMapped`, `OutOfBounds`, or `Misaligned` where the address does not suit `T`.
    pub fn zeroed_slice_mut<T: Pod>(&mut self, offset: u64, count: usize) -> Result<&mut [T], AccessError> {
        let values = self.uninit_slice_mut::<T>(offset, count)?;
        values.fill(MaybeUninit::new(T::zeroed()));
        // SAFETY: every value was written just now, so each is initialised; the borrow is `&mut self`'s.
        Ok(unsafe { slice::from_raw_parts_mut(values.as_mut_ptr().cast::<T>(), count) })
    }

    /// Copies what the device, or an earlier write, left in memory.
    ///
    /// # Errors
    /// `NotMapped` or `OutOfBounds`; then nothing was read.
    ///
    /// # Safety
    /// 1. All bytes of the range have been written: by the host, or by the device in work that is complete.
    /// 2. The device's writes were made available to the host (a barrier to `HOST_READ`, or a fence's wait behind one).
    /// 3. On non-coherent memory the range was invalidated since.
    pub unsafe fn read<T: AnyBitPattern + NoUninit>(&self, offset: u64, values: &mut [T]) -> Result<(), AccessError> {
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(values);
        let start = self.address(offset, bytes.len() as u64)?;
        // SAFETY: I1: the range lies inside the mapping; duties 1 to 3: its bytes are initialised and settled; the
        // target is a live slice that cannot overlap memory of the device.
        unsafe { core::ptr::copy_nonoverlapping(start.as_ptr().cast_const(), bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    /// Lends what the device, or an earlier write, left in memory, without a copy.
    ///
    /// # Errors
    /// `NotMapped`, `OutOfBounds`, or `Misaligned` where the address does not suit `T`.
    ///
    /// # Safety
    /// The duties of [`read`](Self::read), and the device does not write to the range while the slice lives.
    pub unsafe fn slice<T: AnyBitPattern>(&self, offset: u64, count: usize) -> Result<&[T], AccessError> {
        let start = self.typed_address::<T>(offset, count)?;
        // SAFETY: I1 and the check above: `count` values lie inside the mapping, aligned; the caller's duties: they
        // are initialised (any bit pattern will do) and nobody writes them while the slice lives.
        Ok(unsafe { slice::from_raw_parts(start.as_ptr().cast::<T>().cast_const(), count) })
    }

    /// Names a range of the mapped bytes for flush and invalidate; the range lies inside the allocation and is mapped.
    pub(crate) fn memory_range(&self, offset: u64, size: u64) -> MemoryRange<'_> {
        // A dedicated object ends with its resource; a block ends behind the last atom of any range in it.
        let memory_size = if self.is_dedicated() { self.size } else { u64::MAX };
        let range = RangeWithin { memory_size, offset: self.offset + offset, size };
        // SAFETY: I1: the memory object is alive and mapped while `self` is borrowed; rounded to atoms the range stays
        // inside it, since blocks of non-coherent memory are cut into whole atoms.
        unsafe { MemoryRange::of_handle(self.memory(), range) }
    }

    /// Returns whether the memory carries the info that ties it to one resource.
    pub(crate) fn is_tied(&self) -> bool {
        self.stamp.has(Trait::Tied)
    }

    pub(crate) fn key(&self) -> RangeKey {
        self.key
    }

    #[inline]
    pub(crate) fn stamp(&self) -> Stamp {
        self.stamp
    }

    pub(crate) fn pool_index(&self) -> u16 {
        self.stamp.pool()
    }

    pub(crate) fn is_in_ledger(&self) -> bool {
        self.stamp.has(Trait::InLedger)
    }

    /// Notes that it has been entered into the ledger.
    pub(crate) fn note_in_ledger(&mut self) {
        self.stamp = self.stamp.with(Trait::InLedger, true);
    }

    /// Checks that a range lies inside the allocation.
    pub(crate) fn check_range(&self, offset: u64, len: u64) -> Result<(), AccessError> {
        let is_inside = offset.checked_add(len).is_some_and(|end| end <= self.size);
        if is_inside { Ok(()) } else { Err(AccessError::OutOfBounds { offset, len, size: self.size }) }
    }

    fn bytes_mut(&mut self, offset: u64, len: u64) -> Result<&mut [MaybeUninit<u8>], AccessError> {
        let start = self.address(offset, len)?;
        let len = usize::try_from(len).map_err(|_| AccessError::OutOfBounds { offset, len, size: self.size })?;
        // SAFETY: I1: the range lies inside the mapping; I2: `&mut self` makes this the only reference to it.
        Ok(unsafe { slice::from_raw_parts_mut(start.as_ptr().cast::<MaybeUninit<u8>>(), len) })
    }

    fn typed_address<T>(&self, offset: u64, count: usize) -> Result<NonNull<u8>, AccessError> {
        let len = (count as u64).saturating_mul(size_of::<T>() as u64);
        let start = self.address(offset, len)?;
        if !start.cast::<T>().is_aligned() {
            return Err(AccessError::Misaligned { offset, alignment: align_of::<T>() });
        }
        Ok(start)
    }

    fn address(&self, offset: u64, len: u64) -> Result<NonNull<u8>, AccessError> {
        self.check_range(offset, len)?;
        let base = self.mapped_ptr().ok_or(AccessError::NotMapped)?;
        let out_of_bounds = AccessError::OutOfBounds { offset, len, size: self.size };
        let bytes = usize::try_from(offset).map_err(|_| out_of_bounds)?;
        // SAFETY: I1 and the check above: the address lies inside the mapping, or one past its end for an empty range.
        Ok(unsafe { base.add(bytes) })
    }
}

impl Allocator {
    /// Makes device writes visible to the host where memory is not coherent, and copies them: the counterpart of
    /// [`write`](Self::write).
    ///
    /// # Errors
    /// `NotMapped`, `OutOfBounds`, `Foreign` or `Driver`; then nothing was read.
    ///
    /// # Safety
    /// Duties 1 and 2 of [`Allocation::read`]; the third is met here.
    pub unsafe fn read<T: AnyBitPattern + NoUninit>(
        &self,
        allocation: &Allocation,
        offset: u64,
        values: &mut [T],
    ) -> Result<(), AccessError> {
        self.invalidate(allocation, offset, size_of_val(values) as u64)?;
        // SAFETY: the caller's duties 1 and 2; the range was invalidated just now.
        unsafe { allocation.read(offset, values) }
    }
}

impl fmt::Debug for Allocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Allocation")
            .field("memory", &self.memory())
            .field("offset", &self.offset)
            .field("size", &self.size)
            .field("memory_type_index", &self.memory_type_index())
            .field("is_mapped", &self.mapped_ptr().is_some())
            .field("is_dedicated", &self.is_dedicated())
            .finish_non_exhaustive()
    }
}
