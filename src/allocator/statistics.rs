//! Counters that cost nothing to read, and a detailed walk.
//!
//! Identities: a heap is the sum of its memory types, a memory type the sum of its pools, and of what destroyed ones
//! had allocated and freed; in each, bytes of blocks = used + free, and bytes reserved = blocks + dedicated.

use ash::vk;

use super::{Allocator, CustomPool};
use crate::device::Memory;
use crate::memory_type::HeapUsage;
use crate::pool::{Pool, PoolVisitor};
use crate::suballocator::{RangeKey, RangeState, RangeView};

/// The counters of one pool, memory type or heap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct PoolStatistics {
    /// Number of blocks.
    pub block_count: u64,
    /// Bytes of blocks.
    pub block_bytes: u64,
    /// Bytes of those blocks that nothing is cut from.
    pub empty_bytes: u64,
    /// Number of dedicated memory objects.
    pub dedicated_count: u64,
    /// Bytes of dedicated memory objects.
    pub dedicated_bytes: u64,
    /// Number of allocations alive, dedicated ones included.
    pub allocation_count: u64,
    /// Bytes that they occupy, rounding included.
    pub allocation_bytes: u64,
    /// Number of allocations ever made; of a memory type or heap, also by pools that were destroyed.
    pub allocated_count: u64,
    /// Number of allocations ever freed, counted likewise.
    pub freed_count: u64,
}

impl PoolStatistics {
    /// Returns the bytes taken from the driver.
    pub fn reserved_bytes(&self) -> u64 {
        self.block_bytes + self.dedicated_bytes
    }

    /// Returns the number of memory objects.
    pub fn object_count(&self) -> u64 {
        self.block_count + self.dedicated_count
    }

    fn of(pool: &Pool) -> Self {
        let counts = pool.counts();
        Self {
            block_count: counts.block_count,
            block_bytes: counts.block_bytes,
            empty_bytes: counts.empty_bytes,
            dedicated_count: counts.dedicated_count,
            dedicated_bytes: counts.dedicated_bytes,
            allocation_count: counts.live_count(),
            allocation_bytes: counts.live_bytes(),
            allocated_count: counts.allocated,
            freed_count: counts.freed,
        }
    }

    fn add(&mut self, other: &Self) {
        self.block_count += other.block_count;
        self.block_bytes += other.block_bytes;
        self.empty_bytes += other.empty_bytes;
        self.dedicated_count += other.dedicated_count;
        self.dedicated_bytes += other.dedicated_bytes;
        self.allocation_count += other.allocation_count;
        self.allocation_bytes += other.allocation_bytes;
        self.allocated_count += other.allocated_count;
        self.freed_count += other.freed_count;
    }
}

/// The counters of one memory type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct MemoryTypeStatistics {
    /// The memory type.
    pub memory_type_index: u32,
    /// The sum over its pools.
    pub counters: PoolStatistics,
}

/// The counters of one heap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct HeapStatistics {
    /// The heap.
    pub heap_index: u32,
    /// The sum over its memory types.
    pub counters: PoolStatistics,
    /// Usage, budget and limits, as of the last refresh.
    pub usage: HeapUsage,
}

/// A snapshot of all counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Statistics {
    /// One entry for each heap.
    pub heaps: Vec<HeapStatistics>,
    /// One entry for each memory type.
    pub memory_types: Vec<MemoryTypeStatistics>,
    /// Pools by their index, with memory type; that of a custom pool is [`CustomPool::index`]. A default pool, or
    /// one of a priority, in which threads collided has further shards, each an entry of its own.
    pub pools: Vec<(u16, MemoryTypeStatistics)>,
    /// The sum over all heaps.
    pub total: PoolStatistics,
    /// The most bytes that were ever reserved at once. What several threads open counts from before the driver is
    /// asked, so it may be above what the driver ever gave, by what it refused one of them while it served another.
    pub peak_reserved_bytes: u64,
    /// Memory objects alive, as the budget counts them.
    pub object_count: u32,
    /// How many there may be: a sixteenth of what the device allows is left to the application.
    pub max_object_count: u32,
}

/// The ranges of a block or of many: used, free, in free slots and unusable bytes are all bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct RangeStatistics {
    /// Used ranges.
    pub used_count: u64,
    /// Bytes of used ranges.
    pub used_bytes: u64,
    /// Free ranges, with those that hold nothing but free slots of small sizes: they serve any request. Other free
    /// slots are not among them.
    pub free_count: u64,
    /// Bytes of free ranges.
    pub free_bytes: u64,
    /// Free slots: those beside used ones, which are kept for small sizes, and those of pools of slots.
    pub free_slot_count: u64,
    /// Bytes of them.
    pub free_slot_bytes: u64,
    /// Bytes behind the last whole slot of the blocks of pools of slots: they serve nobody.
    pub unusable_bytes: u64,
    /// The largest free range, in bytes.
    pub largest_free_bytes: u64,
}

impl RangeStatistics {
    fn add(&mut self, range: &RangeView) {
        match range.state {
            RangeState::Used(_) => {
                self.used_count += 1;
                self.used_bytes += range.size;
            }
            RangeState::Free => {
                self.free_count += 1;
                self.free_bytes += range.size;
                self.largest_free_bytes = self.largest_free_bytes.max(range.size);
            }
            RangeState::FreeSlot => {
                self.free_slot_count += 1;
                self.free_slot_bytes += range.size;
            }
            RangeState::Unusable => self.unusable_bytes += range.size,
        }
    }
}

/// One block, or one dedicated memory object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct BlockStatistics {
    /// The pool's index; that of a custom pool is [`CustomPool::index`].
    pub pool_index: u16,
    /// The memory type.
    pub memory_type_index: u32,
    /// The memory object; the number of its handle where it is serialised.
    #[cfg_attr(feature = "serde", serde(with = "number_of"))]
    pub memory: vk::DeviceMemory,
    /// Its bytes.
    pub size: u64,
    /// Whether it serves one resource alone.
    pub is_dedicated: bool,
    /// Its ranges.
    pub ranges: RangeStatistics,
}

/// Memory objects in serialised form.
#[cfg(feature = "serde")]
pub(super) mod number_of {
    use ash::vk::{DeviceMemory, Handle};
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields so")]
    pub(in crate::allocator) fn serialize<S: Serializer>(memory: &DeviceMemory, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(memory.as_raw())
    }

    pub(in crate::allocator) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<DeviceMemory, D::Error> {
        u64::deserialize(from).map(DeviceMemory::from_raw)
    }
}

/// What a walk over everything finds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct DetailedStatistics {
    /// Every block and dedicated object, in pool and block order.
    pub blocks: Vec<BlockStatistics>,
    /// All ranges together.
    pub ranges: RangeStatistics,
    /// Bytes of bookkeeping on the host, for blocks, dedicated objects and what has a name or is tracked; backtraces
    /// are not counted.
    pub host_bytes: usize,
}

impl Allocator {
    /// Counts what every pool holds, one pool's lock at a time; with threads at work the pools are of slightly
    /// different moments.
    pub fn statistics(&self) -> Statistics {
        let properties = self.properties();
        let mut statistics = Statistics {
            heaps: (0u32..).zip(&properties.memory_heaps).map(|(index, _)| self.heap_statistics(index)).collect(),
            memory_types: (0u32..).zip(&properties.memory_types).map(|(index, _)| of_type(index)).collect(),
            peak_reserved_bytes: self.budget().peak_bytes(),
            object_count: self.budget().object_count(),
            max_object_count: self.budget().max_object_count(),
            ..Statistics::default()
        };
        let (pools, gone) = self.pools().all_and_gone();
        for (memory_type_index, count) in (0u32..).zip(gone).filter(|(_, count)| *count > 0) {
            let counters = PoolStatistics { allocated_count: count, freed_count: count, ..PoolStatistics::default() };
            self.add_to(&mut statistics, &MemoryTypeStatistics { memory_type_index, counters });
        }
        for pool in pools {
            let memory_type_index = pool.settings().memory_type_index;
            let of_pool = MemoryTypeStatistics { memory_type_index, counters: PoolStatistics::of(&pool) };
            self.add_to(&mut statistics, &of_pool);
            statistics.pools.push((pool.index(), of_pool));
        }
        statistics
    }

    /// Counts what a custom pool holds: its entry among [`Statistics::pools`]. `None` for a pool of another allocator.
    ///
    /// # Complexity
    /// O(1), with no heap call.
    pub fn pool_statistics(&self, pool: &CustomPool) -> Option<PoolStatistics> {
        pool.is_of(self).then(|| PoolStatistics::of(&pool.pool))
    }

    fn add_to(&self, statistics: &mut Statistics, added: &MemoryTypeStatistics) {
        let MemoryTypeStatistics { memory_type_index, counters } = added;
        statistics.memory_types[*memory_type_index as usize].counters.add(counters);
        statistics.heaps[self.heap_of(*memory_type_index) as usize].counters.add(counters);
        statistics.total.add(counters);
    }

    /// Walks over every range of every block, one pool's lock at a time.
    ///
    /// # Complexity
    /// Linear in all ranges. For reports, not for frames.
    pub fn detailed_statistics(&self) -> DetailedStatistics {
        let mut walk = Walk::default();
        walk.found.host_bytes = self.ledger.host_bytes();
        for pool in self.pools().all() {
            walk.pool_index = pool.index();
            walk.memory_type_index = pool.settings().memory_type_index;
            pool.walk(&mut walk);
            walk.found.host_bytes += pool.host_bytes();
        }
        walk.found
    }

    fn heap_statistics(&self, heap_index: u32) -> HeapStatistics {
        HeapStatistics { heap_index, counters: PoolStatistics::default(), usage: self.heap_usage(heap_index) }
    }
}

fn of_type(memory_type_index: u32) -> MemoryTypeStatistics {
    MemoryTypeStatistics { memory_type_index, counters: PoolStatistics::default() }
}

/// Gathers what the pools show.
#[derive(Debug, Default)]
struct Walk {
    found: DetailedStatistics,
    pool_index: u16,
    memory_type_index: u32,
}

impl PoolVisitor for Walk {
    fn block(&mut self, memory: &Memory) {
        self.push(memory, false);
    }

    fn range(&mut self, range: &RangeView) {
        self.found.ranges.add(range);
        if let Some(block) = self.found.blocks.last_mut() {
            block.ranges.add(range);
        }
    }

    fn dedicated(&mut self, key: RangeKey, memory: &Memory) {
        let range = RangeView { region: 0, offset: 0, size: memory.size(), state: RangeState::Used(key) };
        self.found.ranges.add(&range);
        self.push(memory, true).ranges.add(&range);
    }
}

impl Walk {
    fn push(&mut self, memory: &Memory, is_dedicated: bool) -> &mut BlockStatistics {
        self.found.blocks.push(BlockStatistics {
            pool_index: self.pool_index,
            memory_type_index: self.memory_type_index,
            memory: memory.handle(),
            size: memory.size(),
            is_dedicated,
            ranges: RangeStatistics::default(),
        });
        self.found.blocks.last_mut().expect("a block was pushed just now")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_summed_one_by_one() {
        let one = PoolStatistics {
            block_count: 1,
            block_bytes: 2,
            empty_bytes: 3,
            dedicated_count: 4,
            dedicated_bytes: 5,
            allocation_count: 6,
            allocation_bytes: 7,
            allocated_count: 8,
            freed_count: 9,
        };
        let mut sum = PoolStatistics::default();
        (0..3).for_each(|_| sum.add(&one));
        let expected = PoolStatistics {
            block_count: 3,
            block_bytes: 6,
            empty_bytes: 9,
            dedicated_count: 12,
            dedicated_bytes: 15,
            allocation_count: 18,
            allocation_bytes: 21,
            allocated_count: 24,
            freed_count: 27,
        };
        assert_eq!((sum, sum.reserved_bytes(), sum.object_count()), (expected, 21, 15));
    }
}
