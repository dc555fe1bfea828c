//! The heaps: what is taken from each, how much that was at most, and when the driver refuses.
//!
//! Invariants: (I1) `page_bytes` is the sum of the live objects' sizes, each rounded to the driver's page, lazily
//! allocated ones left out; (I2) `page_bytes` + what is committed of lazily allocated memory + foreign usage never
//! grows above the heap's size by an allocation; (I3) a peak is never below the present value.
//!
//! # Source
//!
//! `vkAllocateMemory` in the Vulkan specification: out of device memory, and `maxMemoryAllocationCount`.

use super::profile::Profile;
use ash::vk;
use std::collections::BTreeMap;

/// State of one heap at a moment. All figures are bytes unless they are counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeapState {
    /// Size of the heap.
    pub size: u64,
    /// Budget set by the profile or the test; `None`: the size without the foreign usage.
    pub fixed_budget: Option<u64>,
    /// What other processes hold.
    pub foreign_usage: u64,
    /// Sizes of the live memory objects, as asked for.
    pub bytes: u64,
    /// The same, each rounded up to the driver's page.
    pub page_bytes: u64,
    /// Largest value of `bytes` so far.
    pub peak_bytes: u64,
    /// Largest value of `page_bytes` so far.
    pub peak_page_bytes: u64,
    /// Lazily allocated memory, counted in neither of the above.
    pub lazy_bytes: u64,
    /// Number of live memory objects.
    pub object_count: u32,
}

impl HeapState {
    /// Returns the budget as `VK_EXT_memory_budget` reports it.
    pub fn budget(&self) -> u64 {
        self.fixed_budget.unwrap_or_else(|| self.size.saturating_sub(self.foreign_usage))
    }
}

/// What one memory object takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Charge {
    /// The device, by its address.
    pub(super) device: usize,
    pub(super) heap_index: u32,
    pub(super) bytes: u64,
    pub(super) page_bytes: u64,
    pub(super) is_lazy: bool,
}

/// The books over all heaps of a physical device.
pub(super) struct Accounts {
    pub(super) heaps: Vec<HeapState>,
    pub(super) object_count: u32,
    /// The objects of each device that has any, by its address.
    device_counts: BTreeMap<usize, u32>,
    pub(super) peak_object_count: u32,
    pub(super) bytes: u64,
    pub(super) page_bytes: u64,
    pub(super) peak_bytes: u64,
    pub(super) peak_page_bytes: u64,
    /// Objects of a device above this count are refused.
    pub(super) object_limit: u32,
    /// Allocations above this size are refused.
    pub(super) size_limit: u64,
    /// How much of lazily allocated memory is committed.
    pub(super) lazy_percent: u64,
}

impl Accounts {
    /// Opens empty books for the heaps of a profile.
    pub(super) fn new(profile: &Profile) -> Self {
        let open = |heap: &super::profile::Heap| HeapState {
            size: heap.size,
            fixed_budget: heap.budget,
            foreign_usage: heap.foreign_usage,
            bytes: 0,
            page_bytes: 0,
            peak_bytes: 0,
            peak_page_bytes: 0,
            lazy_bytes: 0,
            object_count: 0,
        };
        Self {
            heaps: profile.heaps.iter().map(open).collect(),
            object_count: 0,
            device_counts: BTreeMap::new(),
            peak_object_count: 0,
            bytes: 0,
            page_bytes: 0,
            peak_bytes: 0,
            peak_page_bytes: 0,
            object_limit: profile.max_memory_allocation_count,
            size_limit: u64::MAX,
            lazy_percent: 0,
        }
    }

    /// Returns how many memory objects of a device live.
    pub(super) fn count_of(&self, device: usize) -> u32 {
        self.device_counts.get(&device).copied().unwrap_or(0)
    }

    /// Takes what a new memory object needs, or says why the driver refuses it.
    pub(super) fn charge(&mut self, charge: &Charge) -> Result<(), vk::Result> {
        if self.count_of(charge.device) >= self.object_limit {
            return Err(vk::Result::ERROR_TOO_MANY_OBJECTS);
        }
        if charge.bytes > self.size_limit {
            return Err(vk::Result::ERROR_OUT_OF_DEVICE_MEMORY);
        }
        let room = self.heaps.get(charge.heap_index as usize).map_or(0, |heap| self.room(heap));
        let needed = if charge.is_lazy { self.committed(charge.bytes) } else { charge.page_bytes };
        let heap = self.heaps.get_mut(charge.heap_index as usize).filter(|_| needed <= room);
        let Some(heap) = heap else {
            return Err(vk::Result::ERROR_OUT_OF_DEVICE_MEMORY);
        };
        if charge.is_lazy {
            heap.lazy_bytes += charge.bytes;
        } else {
            heap.bytes += charge.bytes;
            heap.page_bytes += charge.page_bytes;
            heap.peak_bytes = heap.peak_bytes.max(heap.bytes);
            heap.peak_page_bytes = heap.peak_page_bytes.max(heap.page_bytes);
            self.bytes += charge.bytes;
            self.page_bytes += charge.page_bytes;
            self.peak_bytes = self.peak_bytes.max(self.bytes);
            self.peak_page_bytes = self.peak_page_bytes.max(self.page_bytes);
        }
        heap.object_count += 1;
        *self.device_counts.entry(charge.device).or_default() += 1;
        self.object_count += 1;
        self.peak_object_count = self.peak_object_count.max(self.object_count);
        Ok(())
    }

    /// Gives back what `charge` took.
    pub(super) fn release(&mut self, charge: &Charge) {
        let Some(heap) = self.heaps.get_mut(charge.heap_index as usize) else {
            return;
        };
        if charge.is_lazy {
            heap.lazy_bytes -= charge.bytes;
        } else {
            heap.bytes -= charge.bytes;
            heap.page_bytes -= charge.page_bytes;
            self.bytes -= charge.bytes;
            self.page_bytes -= charge.page_bytes;
        }
        heap.object_count -= 1;
        if let Some(count) = self.device_counts.get_mut(&charge.device) {
            *count -= 1;
        }
        self.object_count -= 1;
    }

    /// Returns what `VK_EXT_memory_budget` reports as this process's usage of a heap, in bytes.
    pub(super) fn reported_usage(&self, heap: &HeapState) -> u64 {
        heap.page_bytes + self.committed(heap.lazy_bytes)
    }

    /// Returns how much of so many lazily allocated bytes is committed.
    pub(super) fn committed(&self, lazy_bytes: u64) -> u64 {
        lazy_bytes / 100 * self.lazy_percent
    }

    /// Returns how many bytes a heap has left.
    fn room(&self, heap: &HeapState) -> u64 {
        heap.size.saturating_sub(heap.foreign_usage).saturating_sub(self.reported_usage(heap))
    }

    /// Lets other processes take so much of a heap that exactly these bytes are left.
    pub(super) fn leave(&mut self, heap_index: u32, bytes: u64) {
        let used = self.heaps.get(heap_index as usize).map_or(0, |heap| self.reported_usage(heap));
        if let Some(heap) = self.heaps.get_mut(heap_index as usize) {
            heap.foreign_usage = heap.size.saturating_sub(used.saturating_add(bytes));
        }
    }

    /// Lets the peaks start again from the present values.
    pub(super) fn reset_peaks(&mut self) {
        for heap in &mut self.heaps {
            heap.peak_bytes = heap.bytes;
            heap.peak_page_bytes = heap.page_bytes;
        }
        self.peak_bytes = self.bytes;
        self.peak_page_bytes = self.page_bytes;
        self.peak_object_count = self.object_count;
    }
}
