//! Memory objects that belong to one resource each, in generational slots.
//!
//! Invariants:
//! - I1: a key opens a slot only while the slot's generation is the key's: a stale key finds nothing.
//! - I2: vacant slots are reused last-freed first, so the same calls give the same keys.
//! - I3: an object is given back by whoever lets go of it last: its owner, or one who was looking at it meanwhile.

use std::sync::Arc;

use crate::device::Memory;
use crate::suballocator::RangeKey;
use crate::sync::{AtomicU64, Ordering};

/// A memory object of one resource, with what the budget is charged for it.
#[derive(Debug)]
pub(crate) struct DedicatedMemory {
    pub memory: Memory,
    /// Bytes; the object's size, or what lazily allocated memory has committed. Changes behind the pool's lock only.
    charged: AtomicU64,
}

impl DedicatedMemory {
    /// Takes over an object that the budget was charged for in full.
    pub(crate) fn new(memory: Memory) -> Self {
        Self { charged: AtomicU64::new(memory.size()), memory }
    }

    /// Returns the bytes that the budget is charged with.
    pub(crate) fn charged(&self) -> u64 {
        self.charged.load(Ordering::Relaxed)
    }

    /// Notes another charge; returns the one before.
    pub(crate) fn recharge(&self, bytes: u64) -> u64 {
        self.charged.swap(bytes, Ordering::Relaxed)
    }
}

/// A table of dedicated memory objects.
#[derive(Debug, Default)]
pub(crate) struct DedicatedTable {
    slots: Vec<Slot>,
    vacant: Vec<u32>,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    object: Option<Arc<DedicatedMemory>>,
}

impl DedicatedTable {
    /// Stores a memory object and returns its key.
    pub(crate) fn insert(&mut self, memory: Memory) -> RangeKey {
        let index = self.vacant.pop().unwrap_or_else(|| self.push_slot());
        let slot = &mut self.slots[index as usize];
        slot.object = Some(Arc::new(DedicatedMemory::new(memory)));
        RangeKey::new(index, slot.generation)
    }

    /// Returns the memory object of a key; `None` where the key is stale.
    pub(crate) fn get(&self, key: RangeKey) -> Option<&Arc<DedicatedMemory>> {
        let slot = self.slots.get(key.index() as usize).filter(|slot| slot.generation == key.generation())?;
        slot.object.as_ref()
    }

    /// Takes the memory object of a key; `None` where the key is stale.
    pub(crate) fn remove(&mut self, key: RangeKey) -> Option<Arc<DedicatedMemory>> {
        let slot = self.slots.get_mut(key.index() as usize).filter(|slot| slot.generation == key.generation())?;
        let object = slot.object.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.vacant.push(key.index());
        Some(object)
    }

    /// Returns every memory object with its key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (RangeKey, &Arc<DedicatedMemory>)> + '_ {
        let slots = (0u32..).zip(&self.slots);
        slots.filter_map(|(index, slot)| Some((RangeKey::new(index, slot.generation), slot.object.as_ref()?)))
    }

    fn push_slot(&mut self) -> u32 {
        let index = u32::try_from(self.slots.len()).expect("a driver has fewer than 2^32 memory objects");
        self.slots.push(Slot { generation: 0, object: None });
        index
    }
}
