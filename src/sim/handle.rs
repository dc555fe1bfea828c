//! Tables behind the non-dispatchable handles: a handle is an index with a generation, never a pointer.
//!
//! ```text
//!   63      56 55      48 47                    24 23                     0
//!   ┌─────────┬──────────┬────────────────────────┬────────────────────────┐
//!   │  kind   │  device  │       generation       │        index + 1       │
//!   └─────────┴──────────┴────────────────────────┴────────────────────────┘
//! ```
//!
//! Invariants: (I1) a handle is never zero; (I2) two objects that ever lived in one table never have the same handle: a
//! slot's generation grows at each removal, and a slot whose generations are used up is given no further object.
//! A wrong handle is an answer (`BadHandle`), not undefined behaviour.

use core::fmt;

/// Kinds of objects that the driver hands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum ObjectKind {
    /// `VkDeviceMemory`.
    DeviceMemory = 1,
    /// `VkBuffer`.
    Buffer,
    /// `VkImage`.
    Image,
    /// `VkFence`.
    Fence,
    /// `VkSemaphore`.
    Semaphore,
    /// `VkCommandPool`.
    CommandPool,
    /// `VkCommandBuffer`.
    CommandBuffer,
    /// `VkDevice`.
    Device,
    /// An object that the driver accepts, counts and never looks into (shader module, pipeline, descriptor set ...).
    Passive,
}

impl ObjectKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::DeviceMemory,
        Self::Buffer,
        Self::Image,
        Self::Fence,
        Self::Semaphore,
        Self::CommandPool,
        Self::CommandBuffer,
        Self::Device,
        Self::Passive,
    ];

    /// Returns the position of the kind in `ALL`.
    pub(super) const fn position(self) -> usize {
        self as usize - 1
    }
}

/// Why a handle is not one of a live object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadHandle {
    Null,
    WrongKind,
    OtherDevice,
    /// The object is destroyed.
    Stale,
    /// No object ever had it.
    Unknown,
}

impl fmt::Display for BadHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "is VK_NULL_HANDLE",
            Self::WrongKind => "is of another kind of object",
            Self::OtherDevice => "belongs to another device",
            Self::Stale => "is of an object that was destroyed",
            Self::Unknown => "was never handed out",
        })
    }
}

const INDEX_BITS: u32 = 24;
const GENERATION_BITS: u32 = 24;
const INDEX_MASK: u64 = (1 << INDEX_BITS) - 1;
const GENERATION_MASK: u64 = (1 << GENERATION_BITS) - 1;

struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

/// Objects of one kind on one device, found by handle.
pub(super) struct Table<T> {
    prefix: u64,
    slots: Vec<Slot<T>>,
    vacant: Vec<u32>,
}

impl<T> Table<T> {
    /// Makes an empty table; `device` tells the handles of different devices apart.
    pub(super) fn new(kind: ObjectKind, device: u8) -> Self {
        let prefix = u64::from(kind as u8) << 56 | u64::from(device) << 48;
        Self { prefix, slots: Vec::new(), vacant: Vec::new() }
    }

    /// Adds an object and returns its handle; `None` when 2^24 objects live.
    pub(super) fn insert(&mut self, value: T) -> Option<u64> {
        if let Some(index) = self.vacant.pop() {
            let slot = self.slots.get_mut(index as usize)?;
            slot.value = Some(value);
            return Some(self.prefix | u64::from(slot.generation) << INDEX_BITS | (u64::from(index) + 1));
        }
        let index = self.slots.len() as u64;
        if index + 1 > INDEX_MASK {
            return None;
        }
        self.slots.push(Slot { generation: 0, value: Some(value) });
        Some(self.prefix | (index + 1))
    }

    /// Returns the live object of that handle.
    pub(super) fn get(&self, handle: u64) -> Result<&T, BadHandle> {
        let index = self.index(handle)?;
        self.slots.get(index).and_then(|slot| slot.value.as_ref()).ok_or(BadHandle::Unknown)
    }

    /// Returns the live object of that handle, to be changed.
    pub(super) fn get_mut(&mut self, handle: u64) -> Result<&mut T, BadHandle> {
        let index = self.index(handle)?;
        self.slots.get_mut(index).and_then(|slot| slot.value.as_mut()).ok_or(BadHandle::Unknown)
    }

    /// Takes the object of that handle out; the handle is stale from now on (I2).
    pub(super) fn remove(&mut self, handle: u64) -> Result<T, BadHandle> {
        let index = self.index(handle)?;
        let slot = self.slots.get_mut(index).ok_or(BadHandle::Unknown)?;
        let value = slot.value.take().ok_or(BadHandle::Stale)?;
        slot.generation += 1;
        if u64::from(slot.generation) < GENERATION_MASK {
            self.vacant.push(u32::try_from(index).unwrap_or(0));
        }
        Ok(value)
    }

    /// Visits every live object with its handle, in the order of the table.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let value = slot.value.as_ref()?;
            Some((self.prefix | u64::from(slot.generation) << INDEX_BITS | (index as u64 + 1), value))
        })
    }

    /// Visits every live object, to be changed.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut().filter_map(|slot| slot.value.as_mut())
    }

    fn index(&self, handle: u64) -> Result<usize, BadHandle> {
        if handle == 0 {
            return Err(BadHandle::Null);
        }
        if handle >> 56 != self.prefix >> 56 {
            return Err(BadHandle::WrongKind);
        }
        if handle >> 48 != self.prefix >> 48 {
            return Err(BadHandle::OtherDevice);
        }
        let index = usize::try_from((handle & INDEX_MASK).wrapping_sub(1)).unwrap_or(usize::MAX);
        let Some(slot) = self.slots.get(index) else {
            return Err(BadHandle::Unknown);
        };
        let generation = handle >> INDEX_BITS & GENERATION_MASK;
        match generation.cmp(&u64::from(slot.generation)) {
            core::cmp::Ordering::Less => Err(BadHandle::Stale),
            core::cmp::Ordering::Equal if slot.value.is_some() => Ok(index),
            _ => Err(BadHandle::Unknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_handle_gets_its_own_answer() {
        let mut table = Table::new(ObjectKind::Buffer, 7);
        let first = table.insert("first").unwrap();
        assert_eq!(table.get(first), Ok(&"first"));
        assert_eq!(table.get(0), Err(BadHandle::Null));
        assert_eq!(table.get(first + 1), Err(BadHandle::Unknown));
        assert_eq!(Table::<()>::new(ObjectKind::Image, 7).get(first), Err(BadHandle::WrongKind));
        assert_eq!(Table::<()>::new(ObjectKind::Buffer, 8).get(first), Err(BadHandle::OtherDevice));
        assert_eq!(table.remove(first), Ok("first"));
        assert_eq!(table.remove(first), Err(BadHandle::Stale));
        let second = table.insert("second").unwrap();
        assert_ne!(first, second);
        assert_eq!(table.get(first), Err(BadHandle::Stale));
        assert_eq!(table.iter().collect::<Vec<_>>(), [(second, &"second")]);
    }

    #[test]
    fn slots_are_used_again() {
        let mut table = Table::new(ObjectKind::Buffer, 0);
        for round in 0..100 {
            let handle = table.insert(round).unwrap();
            assert_eq!((handle & INDEX_MASK, table.slots.len()), (1, 1));
            table.remove(handle).unwrap();
        }
    }

    #[test]
    fn a_slot_without_generations_left_is_retired() {
        let mut table = Table::new(ObjectKind::Buffer, 0);
        let first = table.insert(1).unwrap();
        table.slots[0].generation = u32::try_from(GENERATION_MASK - 1).unwrap();
        let last = first | (GENERATION_MASK - 1) << INDEX_BITS;
        assert_eq!(table.remove(last), Ok(1));
        let next = table.insert(2).unwrap();
        assert_eq!(next & INDEX_MASK, 2);
    }
}
