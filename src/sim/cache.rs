//! The host's cache over non-coherent memory, as a model that records lost writes.
//!
//! ```text
//!   host ──writes──► host view ──flush──► device view ◄──writes── device
//!                        ▲                    │
//!                        └────invalidate──────┘
//!
//!   host base, device base: what either saw after the last flush or invalidate
//! ```
//!
//! An atom is *dirty* where the host's view differs from its base, *changed* where the device's does. Like a cache, a
//! flush writes back dirty atoms only, and whole; an invalidate fetches whole atoms.
//!
//! Losses, by atom: (L1) an invalidate of a dirty atom discards what the host wrote; (L2) a flush of a dirty atom that
//! the device changed too overwrites what the device wrote; (L3) a device read of bytes in a dirty atom misses those of
//! them that the host wrote.
//!
//! What the device wrote to a resource that has been destroyed is nobody's ([`HostCache::disown`]): to overwrite it is
//! no loss. Whoever places the next resource there finds undefined bytes, and its own are what a flush carries over.
//!
//! It cannot see a write of the value that was there before, and a host read of an atom that was never invalidated
//! shows in the bytes only.
//!
//! # Source
//!
//! "Host access to device memory objects" and `vkInvalidateMappedMemoryRanges` in the Vulkan specification.

use super::storage::Bytes;
use core::ops::Range;

/// What the host, the device and their last agreement look like.
pub(super) struct HostCache {
    host: Bytes,
    device: Bytes,
    host_base: Bytes,
    device_base: Bytes,
    atom: u64,
}

impl HostCache {
    /// Makes zeroed views of `size` bytes; `None` when the host has no more memory.
    pub(super) fn new(size: u64, alignment: u64, atom: u64) -> Option<Self> {
        Some(Self {
            host: Bytes::zeroed(size, alignment)?,
            device: Bytes::zeroed(size, alignment)?,
            host_base: Bytes::zeroed(size, alignment)?,
            device_base: Bytes::zeroed(size, alignment)?,
            atom: atom.max(1),
        })
    }

    pub(super) fn host(&self) -> &Bytes {
        &self.host
    }

    pub(super) fn device(&self) -> &Bytes {
        &self.device
    }

    /// Writes the dirty atoms of a range back; returns the offsets of the atoms that lost device writes (L2).
    pub(super) fn flush(&mut self, range: Range<u64>) -> Vec<u64> {
        let mut lost = Vec::new();
        for atom in self.atoms(range) {
            if !is_equal(&self.host, &self.host_base, &atom) {
                if !is_equal(&self.device, &self.device_base, &atom) {
                    lost.push(atom.start);
                }
                copy(&self.host, &self.device, &atom);
                copy(&self.host, &self.host_base, &atom);
                copy(&self.host, &self.device_base, &atom);
            }
        }
        lost
    }

    /// Fetches the atoms of a range; returns the offsets of the atoms that lost host writes (L1).
    pub(super) fn invalidate(&mut self, range: Range<u64>) -> Vec<u64> {
        let mut lost = Vec::new();
        for atom in self.atoms(range) {
            if !is_equal(&self.host, &self.host_base, &atom) {
                lost.push(atom.start);
            }
            copy(&self.device, &self.host, &atom);
            copy(&self.device, &self.host_base, &atom);
            copy(&self.device, &self.device_base, &atom);
        }
        lost
    }

    /// Records that nobody cares any more for what the device wrote to a range of bytes, which end with the memory.
    pub(super) fn disown(&mut self, range: Range<u64>) {
        let end = range.end.min(self.host.size());
        copy(&self.device, &self.device_base, &(range.start.min(end)..end));
    }

    /// Returns the offsets of the atoms of which a device read of this range would miss bytes (L3).
    pub(super) fn unflushed(&self, range: Range<u64>) -> Vec<u64> {
        let read = |atom: &Range<u64>| atom.start.max(range.start)..atom.end.min(range.end);
        let atoms = self.atoms(range.clone());
        let dirty = atoms.filter(|atom| !is_equal(&self.host, &self.host_base, &read(atom)));
        dirty.map(|atom| atom.start).collect()
    }

    /// Yields the whole atoms that a range touches; the last one ends with the memory.
    fn atoms(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + use<> {
        let (atom, size) = (self.atom, self.host.size());
        let end = range.end.min(size);
        let first = range.start.min(end) / atom;
        let last = end.div_ceil(atom);
        (first..last).map(move |index| index * atom..((index + 1) * atom).min(size))
    }
}

fn is_equal(one: &Bytes, other: &Bytes, range: &Range<u64>) -> bool {
    let length = usize::try_from(range.end - range.start).unwrap_or(0);
    // SAFETY: `atoms` yields ranges inside the bytes, which were zeroed when taken; the application does not write
    // to an atom that it flushes, invalidates or lets the device read at this time (its duty under Vulkan).
    let one = unsafe { core::slice::from_raw_parts(one.at(range.start), length) };
    // SAFETY: as above.
    let other = unsafe { core::slice::from_raw_parts(other.at(range.start), length) };
    one == other
}

fn copy(from: &Bytes, to: &Bytes, range: &Range<u64>) {
    let length = usize::try_from(range.end - range.start).unwrap_or(0);
    // SAFETY: the range lies inside both; they are different pieces of memory.
    unsafe { core::ptr::copy_nonoverlapping(from.at(range.start), to.at(range.start), length) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(bytes: &Bytes, offset: u64, value: u8) {
        // SAFETY: the tests stay inside the bytes.
        unsafe { bytes.at(offset).write(value) };
    }

    fn read(bytes: &Bytes, offset: u64) -> u8 {
        // SAFETY: the tests stay inside the bytes, which are initialised.
        unsafe { bytes.at(offset).read() }
    }

    #[test]
    fn flush_carries_host_writes_over() {
        let mut cache = HostCache::new(100, 64, 64).unwrap();
        write(cache.host(), 70, 1);
        assert_eq!(cache.unflushed(64..71), [64]);
        assert_eq!(cache.flush(64..100), [0_u64; 0]);
        assert_eq!(cache.unflushed(0..100), [0_u64; 0]);
        assert_eq!(read(cache.device(), 70), 1);
    }

    #[test]
    fn a_read_of_clean_bytes_misses_nothing_beside_them() {
        let cache = HostCache::new(512, 64, 256).unwrap();
        write(cache.host(), 64, 1);
        assert_eq!(cache.unflushed(0..64), [0_u64; 0]);
        assert_eq!(cache.unflushed(64..65), [0]);
        assert_eq!(cache.unflushed(0..256), [0]);
        assert_eq!(cache.unflushed(65..400), [0_u64; 0]);
    }

    #[test]
    fn invalidate_discards_a_neighbours_unflushed_write() {
        let mut cache = HostCache::new(100, 64, 64).unwrap();
        write(cache.host(), 3, 1);
        write(cache.device(), 9, 2);
        assert_eq!(cache.invalidate(9..10), [0]);
        assert_eq!((read(cache.host(), 3), read(cache.host(), 9)), (0, 2));
    }

    #[test]
    fn flush_overwrites_what_the_device_wrote_beside_it() {
        let mut cache = HostCache::new(100, 64, 64).unwrap();
        write(cache.host(), 3, 1);
        write(cache.device(), 9, 2);
        assert_eq!(cache.flush(0..64), [0]);
        assert_eq!(read(cache.device(), 9), 0);
    }

    #[test]
    fn what_the_device_wrote_for_nobody_is_no_loss() {
        let mut cache = HostCache::new(100, 64, 64).unwrap();
        write(cache.device(), 9, 2);
        cache.disown(9..10);
        write(cache.host(), 3, 1);
        assert_eq!(cache.flush(0..64), [0_u64; 0]);
        write(cache.device(), 8, 2);
        write(cache.device(), 20, 2);
        cache.disown(9..1000);
        write(cache.host(), 3, 2);
        assert_eq!(cache.flush(0..64), [0], "byte 8 is still somebody's");
    }

    #[test]
    fn flush_of_a_clean_atom_leaves_device_writes_alone() {
        let mut cache = HostCache::new(100, 64, 64).unwrap();
        write(cache.device(), 9, 2);
        assert_eq!(cache.flush(0..100), [0_u64; 0]);
        assert_eq!(read(cache.device(), 9), 2);
    }
}
