//! Memory objects that belong to one resource each, in generational slots.
//!
//! Invariants:
//! - I1: a key opens a slot only while the slot's generation is the key's: a stale key finds nothing.
//! - I2: vacant slots are reused last-freed first, so the same calls give the same keys.

use crate::device::Memory;
use crate::suballocator::RangeKey;

/// A table of dedicated memory objects.
#[derive(Debug, Default)]
pub(crate) struct DedicatedTable {
    slots: Vec<Slot>,
    vacant: Vec<u32>,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    memory: Option<Memory>,
}

impl DedicatedTable {
    /// Stores a memory object and returns its key.
    pub(crate) fn insert(&mut self, memory: Memory) -> RangeKey {
        let index = self.vacant.pop().unwrap_or_else(|| self.push_slot());
        let slot = &mut self.slots[index as usize];
        slot.memory = Some(memory);
        RangeKey::new(index, slot.generation)
    }

    /// Takes the memory object of a key; `None` where the key is stale.
    pub(crate) fn remove(&mut self, key: RangeKey) -> Option<Memory> {
        let slot = self.slots.get_mut(key.index() as usize).filter(|slot| slot.generation == key.generation())?;
        let memory = slot.memory.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.vacant.push(key.index());
        Some(memory)
    }

    /// Returns every memory object with its key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (RangeKey, &Memory)> + '_ {
        let keyed = |(index, slot): (u32, &'_ Slot)| RangeKey::new(index, slot.generation);
        (0u32..).zip(&self.slots).filter_map(move |(index, slot)| Some((keyed((index, slot)), slot.memory.as_ref()?)))
    }

    fn push_slot(&mut self) -> u32 {
        let index = u32::try_from(self.slots.len()).expect("a driver has fewer than 2^32 memory objects");
        self.slots.push(Slot { generation: 0, memory: None });
        index
    }
}
