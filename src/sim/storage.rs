//! Bytes behind memory objects.
//!
//! Bytes exist from the first mapping or the first command that touches them; the operating system commits pages when
//! they are touched, so a simulated gigabyte costs nothing until it is used.
//!
//! Invariants: (I1) host-visible bytes start uninitialised, so that Miri sees a read of them, unless the cache model is
//! on; (I2) the first byte is aligned to exactly the profile's `minMemoryMapAlignment`, not more, so that nobody comes
//! to rely on more; (I3) bytes never move while the memory object lives.

use super::cache::HostCache;
use std::alloc::{Layout, alloc, alloc_zeroed, dealloc};
use std::ptr::NonNull;

/// A piece of host memory of fixed place and size.
pub(super) struct Bytes {
    base: NonNull<u8>,
    layout: Layout,
    lead: usize,
    size: u64,
}

// SAFETY: the piece is owned; who reads and writes it, and when, is the Vulkan application's duty, as on a real driver.
unsafe impl Send for Bytes {}

impl Bytes {
    /// Takes `size` uninitialised bytes; `None` when the host has no more.
    pub(super) fn uninitialised(size: u64, alignment: u64) -> Option<Self> {
        // SAFETY: `take` hands over a layout of more than zero bytes.
        Self::take(size, alignment, |layout| unsafe { alloc(layout) })
    }

    /// Takes `size` zeroed bytes; `None` when the host has no more.
    pub(super) fn zeroed(size: u64, alignment: u64) -> Option<Self> {
        // SAFETY: `take` hands over a layout of more than zero bytes.
        Self::take(size, alignment, |layout| unsafe { alloc_zeroed(layout) })
    }

    fn take(size: u64, alignment: u64, allocate: impl FnOnce(Layout) -> *mut u8) -> Option<Self> {
        let alignment = usize::try_from(alignment).ok().filter(|alignment| alignment.is_power_of_two())?;
        let period = alignment.checked_mul(2)?;
        let room = usize::try_from(size).ok()?.checked_add(period)?;
        // Not aligned by the allocator: where it aligns, it writes every zero itself instead of taking untouched pages.
        let layout = Layout::from_size_align(room, 1).ok()?;
        let base = NonNull::new(allocate(layout))?;
        // One alignment beyond a multiple of twice the alignment: aligned exactly so (I2).
        let lead = alignment.wrapping_sub(base.addr().get()) & (period - 1);
        Some(Self { base, layout, lead, size })
    }

    /// Returns the address of byte `offset`, which is at most the size.
    pub(super) fn at(&self, offset: u64) -> *mut u8 {
        let offset = usize::try_from(offset.min(self.size)).unwrap_or(0);
        // SAFETY: the layout has at least `lead + size` bytes, as `lead` is below twice the alignment; `offset <=
        // size`.
        unsafe { self.base.as_ptr().add(self.lead + offset) }
    }

    /// Returns the number of bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        // SAFETY: taken from the same allocator with this layout, and given back once.
        unsafe { dealloc(self.base.as_ptr(), self.layout) };
    }
}

/// What a memory object's bytes look like from the host and from the device.
pub(super) enum Storage {
    /// Both see the same bytes.
    Shared(Bytes),
    /// The host sees them through a cache.
    Cached(HostCache),
}

impl Storage {
    /// Returns where the host sees byte `offset`.
    pub(super) fn host(&self, offset: u64) -> *mut u8 {
        match self {
            Self::Shared(bytes) => bytes.at(offset),
            Self::Cached(cache) => cache.host().at(offset),
        }
    }

    /// Returns where the device sees byte `offset`.
    pub(super) fn device(&self, offset: u64) -> *mut u8 {
        match self {
            Self::Shared(bytes) => bytes.at(offset),
            Self::Cached(cache) => cache.device().at(offset),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_aligned_exactly_and_no_better() {
        for alignment in [64_u64, 256, 4096] {
            let bytes = Bytes::uninitialised(100, alignment).unwrap();
            let address = bytes.at(0).addr() as u64;
            assert_eq!(address % alignment, 0);
            assert_ne!(address % (2 * alignment), 0);
            assert_eq!(bytes.at(100).addr() as u64 - address, 100);
        }
    }

    #[test]
    fn more_than_the_address_space_is_refused() {
        assert!(Bytes::uninitialised(u64::MAX, 64).is_none());
    }
}
