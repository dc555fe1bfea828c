//! What lies behind an arena's lock: one index over all its buffers. No Vulkan.
//!
//! Invariants:
//! - S1: `buffers[region]` is there exactly where the suballocator has that region, and as large as it.
//! - S2: `requested_bytes` is the sum of what the live ranges asked for; what they take beyond is padding.

use std::sync::Arc;

use ash::vk;

use super::fit::Fit;
use crate::allocator::Allocation;
use crate::suballocator::{Algorithm, RangeKey, RangeState, Request, Settings, StaleKey, Suballocation, Suballocator};

/// One buffer of an arena.
#[derive(Debug)]
pub(super) struct ArenaBuffer {
    pub handle: vk::Buffer,
    pub allocation: Allocation,
    pub size: u64,
    /// The address of its first byte, for shaders.
    pub address: Option<vk::DeviceAddress>,
}

/// A range that was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub region: u32,
    /// Where the bytes start, behind the padding.
    pub start: u64,
    pub key: RangeKey,
}

#[derive(Debug)]
pub(super) struct State {
    pub suballocator: Suballocator,
    buffers: Vec<Option<Arc<ArenaBuffer>>>,
    pub requested_bytes: u64,
    /// Whether a thread is making a buffer.
    pub is_growing: bool,
    pub epoch: u64,
}

impl State {
    /// Starts without buffers. Offsets and sizes are multiples of `unit`.
    pub(super) fn new(unit: u64) -> Self {
        // Without slabs: they would round sizes up, and an arena's ranges are meant to lie close. All at the low end:
        // see `Fit::request`.
        let settings = Settings::plain(unit);
        Self {
            suballocator: Suballocator::new(Algorithm::Tlsf, settings),
            buffers: Vec::new(),
            requested_bytes: 0,
            is_growing: false,
            epoch: 0,
        }
    }

    /// Takes a range of a buffer that exists. The place that the suballocator would choose says how much padding is
    /// needed; where it chooses another for the longer range, the longest padding is asked for.
    pub(super) fn place(&mut self, fit: &Fit) -> Option<Placed> {
        let anywhere = fit.anywhere()?;
        if anywhere == fit.bare() {
            return self.take(&anywhere, fit);
        }
        let spot = self.suballocator.probe(&fit.bare())?;
        fit.at(spot.offset).and_then(|request| self.take(&request, fit)).or_else(|| self.take(&anywhere, fit))
    }

    /// Takes a range, unless what is found is too short for its padding.
    fn take(&mut self, request: &Request, fit: &Fit) -> Option<Placed> {
        let range = self.suballocator.allocate(request)?;
        let placed = self.settle(&range, fit);
        if placed.is_none() {
            let freed = self.suballocator.free(range.key);
            debug_assert!(freed.is_ok(), "it was taken a moment ago");
        }
        placed
    }

    fn settle(&mut self, range: &Suballocation, fit: &Fit) -> Option<Placed> {
        let start = fit.start_in(range.offset, range.size)?;
        self.requested_bytes += fit.size();
        Some(Placed { region: range.region, start, key: range.key })
    }

    /// Takes in a buffer and the range that it was made for; hands it back where the range does not fit.
    pub(super) fn publish(&mut self, buffer: ArenaBuffer, fit: &Fit) -> Result<Placed, ArenaBuffer> {
        let region = self.suballocator.add_region(buffer.size);
        let own = self.suballocator.allocate_in(region, &fit.bare());
        let Some(placed) = own.and_then(|range| self.settle(&range, fit)) else {
            self.suballocator.remove_region(region);
            return Err(buffer);
        };
        let index = region as usize;
        if index >= self.buffers.len() {
            self.buffers.resize_with(index + 1, || None);
        }
        self.buffers[index] = Some(Arc::new(buffer));
        Ok(placed)
    }

    /// Gives a range of `size` bytes back.
    pub(super) fn free(&mut self, key: RangeKey, size: u64) -> Result<(), StaleKey> {
        self.suballocator.free(key)?;
        self.requested_bytes -= size;
        Ok(())
    }

    /// Forgets every range; all keys become stale.
    pub(super) fn clear(&mut self) {
        self.suballocator.clear();
        self.requested_bytes = 0;
        self.epoch += 1;
    }

    /// Takes the buffers out in which nothing lives.
    pub(super) fn retire_empty(&mut self) -> Vec<Arc<ArenaBuffer>> {
        let regions: Vec<u32> = self.suballocator.empty_regions().map(|(region, _)| region).collect();
        let mut retired = Vec::with_capacity(regions.len());
        for region in regions {
            if self.suballocator.remove_region(region) {
                retired.extend(self.buffers[region as usize].take());
            }
        }
        retired
    }

    /// Takes all buffers out, whatever lives in them: for the end.
    pub(super) fn retire_all(&mut self) -> Vec<Arc<ArenaBuffer>> {
        self.clear();
        self.retire_empty()
    }

    /// Returns the buffer of a region (S1).
    pub(super) fn buffer(&self, region: u32) -> Option<&Arc<ArenaBuffer>> {
        self.buffers.get(region as usize)?.as_ref()
    }

    pub(super) fn buffers(&self) -> impl Iterator<Item = &Arc<ArenaBuffer>> {
        self.buffers.iter().flatten()
    }

    pub(super) fn buffer_count(&self) -> u32 {
        u32::try_from(self.buffers().count()).unwrap_or(u32::MAX)
    }

    pub(super) fn free_bytes(&self) -> u64 {
        self.suballocator.region_bytes() - self.suballocator.used_bytes()
    }

    /// Checks the index, and that buffers and regions agree (S1).
    pub(super) fn validate(&self) -> Result<(), String> {
        self.suballocator.validate().map_err(|violation| violation.to_string())?;
        let mut ends = vec![0; self.buffers.len()];
        let mut used = 0;
        self.suballocator.for_each_range(&mut |view| {
            let end = view.offset + view.size;
            if let Some(known) = ends.get_mut(view.region as usize) {
                *known = end.max(*known);
            }
            used += if matches!(view.state, RangeState::Used(_)) { view.size } else { 0 };
        });
        for (region, (buffer, end)) in self.buffers.iter().zip(ends).enumerate() {
            let size = buffer.as_ref().map_or(0, |buffer| buffer.size);
            if size != end {
                return Err(format!("S1: the buffer of region {region} has {size} bytes, its ranges {end}"));
            }
        }
        if used < self.requested_bytes {
            return Err(format!("S2: {} bytes were asked for, {used} are used", self.requested_bytes));
        }
        Ok(())
    }
}
