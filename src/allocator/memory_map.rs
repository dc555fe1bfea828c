//! What lies where: every memory object with its ranges, and the names that allocations were given.
//!
//! A pool's ranges are copied under its lock, the names are looked up behind it.

use core::fmt;

use ash::vk;

use super::Allocator;
use super::ledger::LedgerKey;
#[cfg(feature = "serde")]
use super::statistics::number_of;
use crate::device::Memory;
use crate::pool::{Pool, PoolVisitor};
use crate::suballocator::{RangeKey, RangeState, RangeView};

/// What a range of a memory object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum RangeUse {
    /// An allocation.
    Allocation,
    /// Free.
    Free,
    /// A free slot that is kept for small sizes, beside used ones.
    FreeSlot,
    /// The rest behind the last slot of a block of slots: it serves nobody.
    Unusable,
}

/// A range of a memory object.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct MemoryMapRange {
    /// Offset in the memory object, in bytes.
    pub offset: u64,
    /// Bytes, rounding included.
    pub size: u64,
    /// What it is.
    pub range_use: RangeUse,
    /// The name that the allocation was given; empty where it is tracked without one, `None` where it is neither.
    pub name: Option<String>,
}

/// A block with its ranges, or a dedicated memory object with one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct MemoryMapObject {
    /// The pool's index.
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
    /// All of it, in the order of offsets.
    pub ranges: Vec<MemoryMapRange>,
}

impl MemoryMapObject {
    /// Returns the ranges that are allocations.
    pub fn allocations(&self) -> impl Iterator<Item = &MemoryMapRange> {
        self.ranges.iter().filter(|range| range.range_use == RangeUse::Allocation)
    }
}

/// Every memory object of an allocator, in the order of its pools.
///
/// With the feature `serde` it can be serialised, for tools; its text, a line for each object and each allocation, is
/// for a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct MemoryMap {
    /// The memory objects.
    pub objects: Vec<MemoryMapObject>,
}

impl fmt::Display for MemoryMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count: usize = self.objects.iter().map(|object| object.allocations().count()).sum();
        let bytes: u64 = self.objects.iter().map(|object| object.size).sum();
        write!(f, "{count} allocations in {} memory objects of {bytes} bytes", self.objects.len())?;
        self.objects.iter().try_for_each(|object| write!(f, "\n{object}"))
    }
}

impl fmt::Display for MemoryMapObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_dedicated { "dedicated memory" } else { "block" };
        let used: u64 = self.allocations().map(|range| range.size).sum();
        let Self { pool_index, memory_type_index, memory, size, .. } = self;
        write!(
            f,
            "memory type {memory_type_index}, pool {pool_index}: {kind} {memory:?}, {used} of {size} bytes used"
        )?;
        for MemoryMapRange { offset, size, name, .. } in self.allocations() {
            let name = name.as_deref().filter(|name| !name.is_empty()).unwrap_or("without a name");
            write!(f, "\n  {offset:>12} {size:>12}  {name}")?;
        }
        Ok(())
    }
}

impl Allocator {
    /// Lists every memory object, every range in it, and the name of each allocation that has one.
    ///
    /// One pool's lock is held at a time: with threads at work the pools are of slightly different moments, and what
    /// was made or freed meanwhile may be without its name.
    ///
    /// # Complexity
    /// Linear in all ranges, with heap calls. For reports, not for frames.
    pub fn memory_map(&self) -> MemoryMap {
        let pools = self.pools().all();
        MemoryMap { objects: pools.flat_map(|pool| self.map_of(&pool, pool.index())).collect() }
    }

    fn map_of(&self, pool: &Pool, pool_index: u16) -> Vec<MemoryMapObject> {
        let mut sketch = Sketch::default();
        pool.walk(&mut sketch);
        let memory_type_index = pool.settings().memory_type_index;
        let finish = |Outline { memory, size, is_dedicated, ranges }: Outline| {
            let name = |key| self.ledger.name(LedgerKey::new(pool_index, is_dedicated, key));
            let ranges = ranges.iter().map(|range| mapped(range, &name)).collect();
            MemoryMapObject { pool_index, memory_type_index, memory, size, is_dedicated, ranges }
        };
        sketch.objects.into_iter().map(finish).collect()
    }
}

fn mapped(range: &RangeView, name_of: &dyn Fn(RangeKey) -> Option<String>) -> MemoryMapRange {
    let (range_use, name) = match range.state {
        RangeState::Used(key) => (RangeUse::Allocation, name_of(key)),
        RangeState::Free => (RangeUse::Free, None),
        RangeState::FreeSlot => (RangeUse::FreeSlot, None),
        RangeState::Unusable => (RangeUse::Unusable, None),
    };
    MemoryMapRange { offset: range.offset, size: range.size, range_use, name }
}

/// A memory object as it is met, without names.
#[derive(Debug)]
struct Outline {
    memory: vk::DeviceMemory,
    size: u64,
    is_dedicated: bool,
    ranges: Vec<RangeView>,
}

/// Copies what a pool shows: first its blocks in the order of their regions, then the ranges, then what is dedicated.
#[derive(Debug, Default)]
struct Sketch {
    objects: Vec<Outline>,
}

impl PoolVisitor for Sketch {
    fn block(&mut self, memory: &Memory) {
        let (memory, size) = (memory.handle(), memory.size());
        self.objects.push(Outline { memory, size, is_dedicated: false, ranges: Vec::new() });
    }

    fn range(&mut self, range: &RangeView) {
        if let Some(object) = self.objects.last_mut() {
            object.ranges.push(*range);
        }
    }

    fn dedicated(&mut self, key: RangeKey, memory: &Memory) {
        let whole = RangeView { region: 0, offset: 0, size: memory.size(), state: RangeState::Used(key) };
        let (memory, size) = (memory.handle(), memory.size());
        self.objects.push(Outline { memory, size, is_dedicated: true, ranges: vec![whole] });
    }
}
