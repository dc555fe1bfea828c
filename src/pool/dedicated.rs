//! Memory objects that belong to one resource each, in generational slots.
//!
//! Invariants:
//! - I1: a key opens a slot only while the slot's generation is the key's: a stale key finds nothing.
//! - I2: vacant slots are reused last-freed first, so the same calls give the same keys.
//! - I3: an object that leaves its table is announced as going back at once, and is given back by whoever lets go of it
//!   last: its owner, or one who was looking at it meanwhile.

use core::mem;
use std::sync::Arc;

use crate::block::{Backing, Retired};
use crate::device::Memory;
use crate::memory_type::{Charge, Release};
use crate::suballocator::{RangeKey, StaleKey};
use crate::sync::Mutex;

/// A memory object of one resource, with what the budget is charged for it.
#[derive(Debug)]
pub(crate) struct DedicatedMemory {
    pub memory: Memory,
    /// Changes behind the pool's lock only, under which nobody waits for it.
    charge: Mutex<Charge>,
    /// Its way back, once it has left its table; set behind the pool's lock.
    release: Mutex<Option<Release>>,
}

impl DedicatedMemory {
    /// Takes over an object that the budget was charged for.
    pub(crate) fn new(memory: Memory, charge: Charge) -> Self {
        Self { memory, charge: Mutex::new(charge), release: Mutex::default() }
    }

    /// Returns what the budget is charged for it.
    pub(crate) fn charge(&self) -> Charge {
        *self.charge.lock()
    }

    /// Notes another charge; returns the one before.
    pub(crate) fn recharge(&self, charge: Charge) -> Charge {
        mem::replace(&mut self.charge.lock(), charge)
    }
}

/// Lets go of an object; `None` where that is somebody else's to give back, or stays (I3).
pub(crate) fn let_go(backing: Backing<'_>, object: Arc<DedicatedMemory>) -> Option<Retired<'_>> {
    let mut object = Arc::into_inner(object)?;
    let release = object.release.get_mut().take();
    Some(backing.take_over(object.memory, release.expect("I3: it has left its table")))
}

/// A table of dedicated memory objects.
#[derive(Debug, Default)]
pub(crate) struct DedicatedTable {
    slots: Vec<Slot>,
    vacant: Vec<u32>,
    bytes: u64,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    object: Option<Arc<DedicatedMemory>>,
}

impl DedicatedTable {
    /// Stores a memory object and returns its key.
    pub(crate) fn insert(&mut self, memory: Memory, charge: Charge) -> RangeKey {
        let index = self.vacant.pop().unwrap_or_else(|| self.push_slot());
        let slot = &mut self.slots[index as usize];
        self.bytes += memory.size();
        slot.object = Some(Arc::new(DedicatedMemory::new(memory, charge)));
        RangeKey::new(index, slot.generation)
    }

    /// Returns the memory object of a key; `None` where the key is stale.
    pub(crate) fn get(&self, key: RangeKey) -> Option<&Arc<DedicatedMemory>> {
        let slot = self.slots.get(key.index() as usize).filter(|slot| slot.generation == key.generation())?;
        slot.object.as_ref()
    }

    /// Takes the memory object of a key out and announces that it goes back; `None` where somebody who looks at it will
    /// give it back.
    ///
    /// # Errors
    /// `StaleKey` where the key names nothing; then nothing has changed.
    pub(crate) fn retire<'a>(&mut self, backing: Backing<'a>, key: RangeKey) -> Result<Option<Retired<'a>>, StaleKey> {
        let object = self.remove(key).ok_or(StaleKey)?;
        *object.release.lock() = Some(backing.announce(&object.memory, object.charge()));
        Ok(let_go(backing, object))
    }

    fn remove(&mut self, key: RangeKey) -> Option<Arc<DedicatedMemory>> {
        let slot = self.slots.get_mut(key.index() as usize).filter(|slot| slot.generation == key.generation())?;
        let object = slot.object.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.vacant.push(key.index());
        self.bytes -= object.memory.size();
        Some(object)
    }

    /// Returns every memory object with its key, in the order of their indices.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (RangeKey, &Arc<DedicatedMemory>)> + '_ {
        self.iter_from(0)
    }

    /// Returns those of an index and behind it.
    pub(crate) fn iter_from(&self, first: u32) -> impl Iterator<Item = (RangeKey, &Arc<DedicatedMemory>)> + '_ {
        let slots = (first..).zip(self.slots.get(first as usize..).unwrap_or_default());
        slots.filter_map(|(index, slot)| Some((RangeKey::new(index, slot.generation), slot.object.as_ref()?)))
    }

    /// Returns the bytes of all memory objects.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the number of memory objects.
    pub(crate) fn count(&self) -> u64 {
        (self.slots.len() - self.vacant.len()) as u64
    }

    /// Returns the bytes of bookkeeping on the host: the slots, and each object behind its two counts.
    pub(crate) fn host_bytes(&self) -> usize {
        let objects = (self.slots.len() - self.vacant.len()) * (size_of::<DedicatedMemory>() + 2 * size_of::<usize>());
        self.slots.capacity() * size_of::<Slot>() + self.vacant.capacity() * size_of::<u32>() + objects
    }

    /// Checks that bytes and number are those of the objects that are there.
    pub(crate) fn validate(&self) -> Result<(), String> {
        let (count, bytes) =
            self.iter().fold((0, 0), |(count, bytes), (_, object)| (count + 1, bytes + object.memory.size()));
        let counted = (self.count(), self.bytes);
        if (count, bytes) == counted { Ok(()) } else { Err(format!("dedicated table: {counted:?} is counted")) }
    }

    fn push_slot(&mut self) -> u32 {
        let index = u32::try_from(self.slots.len()).expect("a driver has fewer than 2^32 memory objects");
        self.slots.push(Slot { generation: 0, object: None });
        index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_pays_for_slots_and_for_each_object() {
        let mut table = DedicatedTable::default();
        assert_eq!(table.host_bytes(), 0);
        table.slots.reserve_exact(7);
        table.vacant.reserve_exact(5);
        let tables = table.slots.capacity() * size_of::<Slot>() + table.vacant.capacity() * size_of::<u32>();
        assert_eq!(table.host_bytes(), tables);
        for _ in 0..5 {
            table.push_slot();
        }
        table.vacant.extend([0, 3]);
        let object = size_of::<DedicatedMemory>() + 2 * size_of::<usize>();
        assert_eq!(table.host_bytes(), tables + 3 * object, "two of five slots hold none");
    }

    #[test]
    fn bytes_of_nothing_are_a_broken_invariant() {
        assert_eq!(DedicatedTable::default().validate(), Ok(()));
        assert!(DedicatedTable { bytes: 1, ..DedicatedTable::default() }.validate().is_err());
    }
}
