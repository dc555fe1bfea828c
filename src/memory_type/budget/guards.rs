//! What is under way at the budget: bytes reserved before the driver has given them, bytes held until it has freed
//! them.

use core::mem;

use super::{Budget, Charge};

/// Bytes and an object that were granted; dropping it gives them back.
#[derive(Debug)]
#[must_use = "dropping it gives the reservation back"]
pub(crate) struct Reservation<'a> {
    budget: &'a Budget,
    heap_index: u32,
    bytes: u64,
    /// All bytes reserved right after this reservation, itself included: `commit` raises the peak to it. What is held
    /// beside it was reserved before, and is counted here, or later, and then counts this one.
    reserved: u64,
}

impl<'a> Reservation<'a> {
    /// Stands for what the budget has counted already.
    pub(super) fn new(budget: &'a Budget, (heap_index, bytes): (u32, u64), reserved: u64) -> Self {
        Self { budget, heap_index, bytes, reserved }
    }

    #[cfg(test)]
    /// Returns how many bytes were granted.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    #[cfg(test)]
    /// Keeps the bytes of memory that is not lazily allocated.
    pub(crate) fn commit_whole(self) {
        let charge = Charge::whole(self.bytes);
        self.commit(charge);
    }

    /// Keeps the bytes and the object: the driver has allocated them. They are given back by a release.
    pub(crate) fn commit(self, charge: Charge) {
        debug_assert_eq!(charge.own(), self.bytes, "budget I4: what is kept is what was granted");
        let mut state = self.budget.state.lock();
        state.heaps[self.heap_index as usize].settled += charge.settled();
        state.peak = state.peak.max(self.reserved);
        self.budget.note_operation(&mut state);
        drop(state);
        mem::forget(self);
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        let mut state = self.budget.state.lock();
        state.heaps[self.heap_index as usize].own -= self.bytes;
        state.objects -= 1;
        state.reserved -= self.bytes;
        self.budget.publish(&state, self.heap_index as usize);
    }
}

/// A release under way, without its guard: it ends when somebody takes it over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Release {
    pub(super) heap_index: u32,
    pub(super) charge: Charge,
    pub(super) number: u64,
}

/// A memory object that is being freed; dropping it says that the driver is done.
#[derive(Debug)]
#[must_use = "dropping it says that the memory is freed"]
pub(crate) struct ReleaseInFlight<'a> {
    budget: &'a Budget,
    release: Release,
}

impl<'a> ReleaseInFlight<'a> {
    /// Guards a release that the budget has counted already.
    pub(super) fn new(budget: &'a Budget, release: Release) -> Self {
        Self { budget, release }
    }

    /// Leaves the release to whoever frees the memory object.
    pub(crate) fn hand_over(self) -> Release {
        let release = self.release;
        mem::forget(self);
        release
    }
}

impl Drop for ReleaseInFlight<'_> {
    fn drop(&mut self) {
        let Release { heap_index, charge, number } = self.release;
        let bytes = charge.own();
        let mut state = self.budget.state.lock();
        let heap = &mut state.heaps[heap_index as usize];
        heap.own = heap.own.saturating_sub(bytes);
        heap.leaving -= bytes;
        heap.released_total = heap.released_total.wrapping_add(bytes);
        state.objects = state.objects.saturating_sub(1);
        state.reserved = state.reserved.saturating_sub(charge.size);
        state.objects_leaving -= 1;
        state.releases.end(number);
        self.budget.note_operation(&mut state);
        self.budget.publish(&state, heap_index as usize);
        drop(state);
        self.budget.release_ended.notify_all();
    }
}
