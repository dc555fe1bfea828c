//! Staging memory: mapped buffers, cut by floor 0's linear suballocator, which is a ring when ranges are freed in the
//! order in which they were taken.
//!
//! Invariants:
//! - R1: one buffer for each region of the suballocator, under the same number, `block_bytes` long.
//! - R2: in non-coherent memory every grant consists of whole atoms, so that no flush or invalidate touches another's.
//! - R3: the ring never grows past `max_bytes`, the rounding of its blocks aside; its first block is there in any case.

use core::fmt;

use ash::vk;

use super::error::TransferError;
use super::room::Growth;
use super::transfer::Alignment;
use crate::allocator::{Allocation, AllocationCreateInfo, AllocationError};
use crate::memory_type::Intent;
use crate::resource::AllocatorRef;
use crate::suballocator::{Algorithm, RangeKey, Request, Settings, Suballocator};

/// Offsets and sizes of grants are multiples of this, or of the non-coherent atom.
const UNIT: u64 = 64;

/// What floor 0 can count in units of one region is far above; no device has a buffer of this size.
const LARGEST_BLOCK: u64 = 1 << 46;

/// What a ring is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct RingSettings {
    pub(super) block_bytes: u64,
    pub(super) max_bytes: u64,
    pub(super) usage: vk::BufferUsageFlags,
    pub(super) intent: Intent,
    pub(super) name: &'static str,
}

/// A range of staging memory, taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grant {
    pub(super) key: RangeKey,
    pub(super) buffer: vk::Buffer,
    pub(super) region: u32,
    pub(super) offset: u64,
    pub(super) bytes: u64,
}

struct Block {
    buffer: vk::Buffer,
    memory: Allocation,
}

/// The staging memory of an uploader or a readback.
pub(super) struct Ring<A: AllocatorRef> {
    blocks: Vec<Option<Block>>,
    ranges: Suballocator,
    settings: RingSettings,
    unit: u64,
    allocator: A,
}

impl<A: AllocatorRef> Ring<A> {
    /// Makes a ring of one block.
    ///
    /// # Errors
    /// `RingEmpty`, `RingTooLarge`, or `Allocation`.
    ///
    /// # Safety
    /// 1. The device is done with the blocks before the ring is dropped.
    /// 2. The device outlives it.
    #[expect(unsafe_code, reason = "passes on the caller's promise")]
    pub(super) unsafe fn new(allocator: A, mut settings: RingSettings) -> Result<Self, TransferError> {
        let unit = allocator.properties().non_coherent_atom_size.max(UNIT);
        let largest = allocator.properties().max_buffer_size.min(LARGEST_BLOCK);
        let (asked, max) = (settings.block_bytes, largest - largest % unit);
        if asked == 0 {
            return Err(TransferError::RingEmpty { least: unit });
        }
        let whole = asked.checked_next_multiple_of(unit).filter(|&bytes| bytes <= max);
        settings.block_bytes = whole.ok_or(TransferError::RingTooLarge { asked, max })?;
        // As many blocks as were asked for: rounding them up costs none of them.
        settings.max_bytes = (settings.max_bytes / asked).saturating_mul(settings.block_bytes);
        let floor = Settings::plain(unit);
        let ranges = Suballocator::new(Algorithm::Linear, floor);
        let mut ring = Self { blocks: Vec::new(), ranges, settings, unit, allocator };
        ring.open()?;
        Ok(ring)
    }

    pub(super) fn allocator(&self) -> &A {
        &self.allocator
    }

    /// Returns how many bytes a block has for one piece: all, since at offset 0 of an empty one everything is aligned.
    pub(super) fn capacity(&self) -> u64 {
        self.settings.block_bytes
    }

    /// Returns how many bytes a piece of this alignment can have now.
    pub(super) fn room(&self, alignment: Alignment) -> u64 {
        if self.empty_block().is_some() {
            return self.capacity();
        }
        // What is left of a free range when the alignment has cost what it may cost.
        let skipped = alignment.power.saturating_sub(self.unit);
        self.ranges.largest_free_range().saturating_sub(skipped).saturating_sub(slack(alignment))
    }

    fn empty_block(&self) -> Option<u32> {
        self.ranges.empty_regions().map(|(region, _)| region).next()
    }

    /// Takes room for a piece; `None` where there is none.
    pub(super) fn take(&mut self, bytes: u64, alignment: Alignment) -> Option<Grant> {
        let size = bytes.checked_add(slack(alignment))?;
        let taken = self.ranges.allocate(&Request::new(size, alignment.power)).or_else(|| {
            let block = self.empty_block()?;
            self.ranges.allocate_in(block, &Request::new(bytes, alignment.power))
        })?;
        let block = self.blocks.get(taken.region as usize)?.as_ref()?;
        let offset = taken.offset.next_multiple_of(alignment.odd * alignment.power);
        debug_assert!(offset + bytes <= taken.offset + taken.size, "the slack covers the odd part");
        Some(Grant { key: taken.key, buffer: block.buffer, region: taken.region, offset, bytes })
    }

    /// Gives room back.
    pub(super) fn give_back(&mut self, key: RangeKey) {
        let freed = self.ranges.free(key);
        debug_assert!(freed.is_ok(), "a grant is given back once");
    }

    /// Returns whether the limit lets the ring grow by another block.
    pub(super) fn growth(&self) -> Growth {
        let bytes = self.ranges.region_bytes().checked_add(self.settings.block_bytes);
        let is_allowed = bytes.is_some_and(|bytes| bytes <= self.settings.max_bytes);
        if is_allowed { Growth::Allowed } else { Growth::Refused }
    }

    /// Opens another block; returns whether a further one may be opened, which is not so if there was no memory for it.
    ///
    /// # Errors
    /// `Allocation`, where the driver reports anything else; nothing has changed then.
    pub(super) fn grow(&mut self) -> Result<Growth, TransferError> {
        match self.open() {
            Ok(()) => Ok(self.growth()),
            Err(error) if error.is_out_of_memory() => Ok(Growth::Refused),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives back every empty block but the first; returns their bytes.
    pub(super) fn trim(&mut self) -> u64 {
        let empty: Vec<u32> =
            self.ranges.empty_regions().map(|(region, _)| region).filter(|&region| region > 0).collect();
        let mut bytes = 0;
        for region in empty {
            let block = self.blocks.get_mut(region as usize).and_then(Option::take);
            if let Some(block) = block.filter(|_| self.ranges.remove_region(region)) {
                self.close(block);
                bytes += self.settings.block_bytes;
            }
        }
        bytes
    }

    /// Returns the bytes of all blocks.
    pub(super) fn bytes(&self) -> u64 {
        self.ranges.region_bytes()
    }

    /// Returns the bytes that are taken.
    pub(super) fn used_bytes(&self) -> u64 {
        self.ranges.used_bytes()
    }

    /// Writes to a grant and makes it visible to the device.
    ///
    /// # Errors
    /// `Access`, where the driver fails to flush.
    pub(super) fn write(&mut self, grant: &Grant, bytes: &[u8]) -> Result<(), TransferError> {
        let block = self.blocks.get_mut(grant.region as usize).and_then(Option::as_mut);
        let block = block.ok_or(TransferError::Foreign)?;
        Ok(self.allocator.write(&mut block.memory, grant.offset, bytes)?)
    }

    /// Reads a grant that the device has written, as far as `bytes` is long.
    ///
    /// # Errors
    /// `Access`, where the driver fails to invalidate.
    ///
    /// # Safety
    /// The device has written that much of the grant in work that is complete, and made it available to the host.
    #[expect(unsafe_code, reason = "passes on the caller's promise")]
    pub(super) unsafe fn read(&self, region: u32, offset: u64, bytes: &mut [u8]) -> Result<(), TransferError> {
        let block = self.blocks.get(region as usize).and_then(Option::as_ref).ok_or(TransferError::Foreign)?;
        // SAFETY: the caller's duty.
        Ok(unsafe { self.allocator.read(&block.memory, offset, bytes) }?)
    }

    #[expect(unsafe_code, reason = "creates a buffer from a create-info of its own")]
    fn open(&mut self) -> Result<(), AllocationError> {
        let RingSettings { block_bytes, usage, intent, name, .. } = self.settings;
        let info = vk::BufferCreateInfo::default().size(block_bytes).usage(usage);
        let wish = AllocationCreateInfo::new(intent).name(name);
        // SAFETY: the create-info is valid; the device is done with the buffer before the ring closes it (duty 1 of
        // `new`, or nothing of the block is taken).
        let (buffer, memory) = unsafe { self.allocator.create_buffer(&info, &wish) }?;
        let region = self.ranges.add_region(block_bytes) as usize;
        if self.blocks.len() <= region {
            self.blocks.resize_with(region + 1, || None);
        }
        self.blocks[region] = Some(Block { buffer, memory });
        Ok(())
    }

    #[expect(unsafe_code, reason = "destroys a buffer of its own")]
    fn close(&self, block: Block) {
        // SAFETY: the buffer is this ring's own and alive; the device is done with it: nothing of it is taken, or the
        // ring is dropped (duty 1 of `new`).
        let destroyed = unsafe { self.allocator.destroy_buffer(block.buffer, block.memory) };
        debug_assert!(destroyed.is_ok(), "a block is freed by the allocator that made it");
    }
}

impl<A: AllocatorRef> Drop for Ring<A> {
    fn drop(&mut self) {
        for block in core::mem::take(&mut self.blocks).into_iter().flatten() {
            self.close(block);
        }
    }
}

impl<A: AllocatorRef> fmt::Debug for Ring<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("settings", &self.settings)
            .field("bytes", &self.bytes())
            .field("used_bytes", &self.used_bytes())
            .finish_non_exhaustive()
    }
}

/// Returns the bytes that bring an offset from one multiple of the power of two to one of the whole alignment.
fn slack(alignment: Alignment) -> u64 {
    (alignment.odd - 1) * alignment.power
}

#[cfg(test)]
#[expect(unsafe_code, reason = "makes an allocator on the simulated driver")]
mod tests {
    use super::*;
    use crate::allocator::{Allocator, AllocatorCreateInfo};
    use crate::sim::{Profile, SimDevice};

    #[test]
    fn what_is_refused_as_too_large_is_larger_than_what_may_be_had() {
        let mut profile = Profile::unified();
        // As the limit of 2^32 - 1 that drivers have, and small.
        profile.max_buffer_size = (1 << 20) - 1;
        let vulkan = SimDevice::new(profile);
        let (device, physical_device) = (vulkan.device(), vulkan.physical_device());
        let info = AllocatorCreateInfo::new(vulkan.entry(), vulkan.instance(), physical_device, device)
            .api_version(vulkan.api_version());
        // SAFETY: the objects belong together and outlive the allocator.
        let allocator = unsafe { Allocator::new(info) }.unwrap();
        assert_eq!(allocator.properties().max_buffer_size, (1 << 20) - 1);
        let (usage, intent) = (vk::BufferUsageFlags::TRANSFER_SRC, Intent::Upload);
        let make = |bytes| {
            let settings = RingSettings { block_bytes: bytes, max_bytes: bytes, usage, intent, name: "a ring" };
            // SAFETY: nothing is submitted.
            unsafe { Ring::new(&allocator, settings) }.map(|ring| ring.bytes())
        };
        let Err(TransferError::RingTooLarge { asked, max }) = make((1 << 20) - 1) else { panic!("too large") };
        assert!(asked > max, "{asked}, {max}");
        assert_eq!(make(max).unwrap(), max);
    }

    /// At offset 0 everything is aligned, however coarse.
    #[test]
    fn an_empty_block_is_had_whole() {
        let vulkan = SimDevice::new(Profile::unified());
        let (device, physical_device) = (vulkan.device(), vulkan.physical_device());
        let info = AllocatorCreateInfo::new(vulkan.entry(), vulkan.instance(), physical_device, device);
        // SAFETY: the objects belong together and outlive the allocator.
        let allocator = unsafe { Allocator::new(info) }.unwrap();
        let (usage, intent) = (vk::BufferUsageFlags::TRANSFER_SRC, Intent::Upload);
        let settings = RingSettings { block_bytes: 8192, max_bytes: 8192, usage, intent, name: "a ring" };
        // SAFETY: nothing is submitted.
        let mut ring = unsafe { Ring::new(&allocator, settings) }.unwrap();
        let coarse = Alignment { odd: 3, power: 4096 };
        for _ in 0..3 {
            assert_eq!(ring.room(coarse), 8192);
            let whole = ring.take(8192, coarse).unwrap();
            assert_eq!((whole.offset, ring.room(coarse)), (0, 0));
            ring.give_back(whole.key);
            let small = ring.take(64, Alignment { odd: 1, power: 16 }).unwrap();
            assert_eq!(ring.room(coarse), 0, "the next multiple is past the end");
            assert!(ring.take(4096, coarse).is_none());
            ring.give_back(small.key);
        }
    }

    /// R2, and offsets that are multiples of blocks of 12 bytes.
    #[test]
    fn grants_are_aligned_and_share_no_atom() {
        let vulkan = SimDevice::new(Profile::noncoherent());
        let (device, physical_device) = (vulkan.device(), vulkan.physical_device());
        let info = AllocatorCreateInfo::new(vulkan.entry(), vulkan.instance(), physical_device, device);
        // SAFETY: the objects belong together and outlive the allocator.
        let allocator = unsafe { Allocator::new(info) }.unwrap();
        let usage = vk::BufferUsageFlags::TRANSFER_SRC;
        let (block_bytes, intent) = (64 << 10, Intent::Upload);
        let settings = RingSettings { block_bytes, max_bytes: block_bytes, usage, intent, name: "a ring" };
        // SAFETY: nothing is submitted.
        let mut ring = unsafe { Ring::new(&allocator, settings) }.unwrap();
        let atom = allocator.properties().non_coherent_atom_size;
        assert!(atom > 1, "the profile has atoms");
        let mut end = 0;
        for round in 0..100 {
            let alignment = Alignment { odd: 1 + 2 * (round % 2), power: 4 << (round % 3) };
            let Some(grant) = ring.take(12 * (round + 1), alignment) else { break };
            assert_eq!(grant.offset % (alignment.odd * alignment.power), 0);
            assert!(grant.offset / atom * atom >= end, "{grant:?} shares an atom");
            end = (grant.offset + grant.bytes).next_multiple_of(atom);
        }
        assert!(end > 32 << 10, "most of the ring was taken: {end}");
    }
}
