//! Device-memory blocks of one pool: opened from the driver, cut by a suballocator, given back.
//!
//! ```text
//!   Backing::open      reserve (budget) -> allocate (driver) -> commit          no lock held
//!   BlockList          blocks side by side under one suballocator               behind the pool's lock
//!   Backing::retire    release begun behind the lock, the driver called after it
//! ```
//!
//! Invariants:
//! - I1: every `Memory` that stands in a list has its bytes and its object committed in the budget.
//! - I2: the driver is never called while a pool's lock is held: a block leaves the list first, as a [`Retired`].
//!
//! This floor does not decide which pool, which memory type or what happens after a refusal.

#![forbid(unsafe_code)]

pub(crate) mod block_list;
pub(crate) mod growth;
pub(crate) mod retention;

use ash::vk;

use crate::device::{Device, DriverError, Memory, MemoryRequest};
use crate::memory_type::{Bound, Budget, Charge, Refused, Release, ReleaseInFlight};

/// Where memory comes from and goes to: the driver, and the one place that counts it.
#[derive(Clone, Copy)]
pub(crate) struct Backing<'a> {
    pub device: &'a Device,
    pub budget: &'a Budget,
}

/// Why no memory could be opened.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// The budget refused before the driver was asked.
    Refused(Refused),
    /// The driver refused.
    Driver(DriverError),
}

impl<'a> Backing<'a> {
    /// Returns the heap of a memory type.
    pub(crate) fn heap_of(self, memory_type_index: u32) -> u32 {
        self.device.properties().heap_index_of(memory_type_index)
    }

    /// Reserves, allocates and commits one memory object.
    ///
    /// # Errors
    /// Whoever refuses first: the budget, else the driver. In both cases nothing is kept and nothing is counted.
    pub(crate) fn open(self, request: &MemoryRequest, bound: Bound) -> Result<Memory, OpenError> {
        let heap = self.heap_of(request.memory_type_index);
        let reservation = self.budget.reserve(heap, request.size, bound).map_err(OpenError::Refused)?;
        let memory = self.device.allocate_memory(request).map_err(OpenError::Driver)?;
        reservation.commit(self.first_charge(&memory));
        Ok(memory)
    }

    /// Returns what the budget is charged for an object that was opened, until it is charged anew.
    pub(crate) fn first_charge(self, memory: &Memory) -> Charge {
        let flags = self.device.properties().flags_of(memory.memory_type_index());
        let is_lazy = flags.contains(vk::MemoryPropertyFlags::LAZILY_ALLOCATED);
        if is_lazy { Charge::unseen(memory.size()) } else { Charge::whole(memory.size()) }
    }

    /// Announces that a memory object goes back to the driver; the driver is called by [`Retired::finish`].
    pub(crate) fn retire(self, memory: Memory) -> Retired<'a> {
        let release = self.announce(&memory, self.first_charge(&memory));
        self.take_over(memory, release)
    }

    /// Announces the same for an object that others may still look at, and that may have been charged anew.
    pub(crate) fn announce(self, memory: &Memory, charge: Charge) -> Release {
        let heap = self.heap_of(memory.memory_type_index());
        self.budget.begin_release(heap, charge).hand_over()
    }

    /// Takes over an object whose way back was announced.
    pub(crate) fn take_over(self, memory: Memory, release: Release) -> Retired<'a> {
        Retired { memory, release: self.budget.take_over(release), device: self.device }
    }
}

/// A memory object that has left its pool and is on its way back to the driver.
#[must_use = "the memory goes back to the driver only in `finish`"]
pub(crate) struct Retired<'a> {
    memory: Memory,
    release: ReleaseInFlight<'a>,
    device: &'a Device,
}

impl Retired<'_> {
    /// Frees the memory object and then its budget; returns its size in bytes. Call it with no lock held.
    pub(crate) fn finish(self) -> u64 {
        let bytes = self.memory.size();
        self.device.free_memory(self.memory);
        drop(self.release);
        bytes
    }
}
