//! Empty blocks of a pool: which go back to the driver, and the way they take.
//!
//! What is kept is the policy's word ([`retention`]); here is the mechanism. A block leaves the list behind the lock
//! and reaches the driver after it.

use core::cmp::Reverse;
use std::sync::Arc;

use super::dedicated::let_go;
use super::{Left, Pool, State};
use crate::block::{Backing, Retired, retention};
use crate::device::Memory;
use crate::memory_type::Charge;
use crate::sync::SpinMutexGuard;

/// Which empty blocks are not spare, beside the pool's minimum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Those that were prewarmed: until a trim.
    Prewarmed,
    /// None: as for a trim.
    Nothing,
}

impl Pool {
    /// Keeps so many bytes of empty blocks until the next `trim`, as far as there are; returns how many there are.
    pub(crate) fn keep_prewarmed(&self, bytes: u64) -> u64 {
        let mut state = self.state.lock();
        let empty_bytes = state.blocks.empty_bytes();
        state.prewarmed_bytes = state.prewarmed_bytes.max(bytes.min(empty_bytes));
        empty_bytes
    }

    /// Gives every empty block back, but for the pool's minimum; returns the bytes given back.
    pub(crate) fn trim(&self, backing: Backing<'_>) -> u64 {
        let mut state = self.state.lock();
        state.prewarmed_bytes = 0;
        state.blocks.reclaim();
        let spare = self.spare(&state, Kept::Nothing, &[]);
        let retired: Vec<Retired<'_>> =
            spare.into_iter().filter_map(|(region, _)| take_out(backing, &mut state, region)).collect();
        drop(state);
        retired.into_iter().map(Retired::finish).sum()
    }

    /// Lists the empty blocks that may be given back, as (region, bytes), as if those of `gone` had been given back
    /// already. Changes nothing: a plan asks too.
    pub(crate) fn spare_blocks(&self, kept: Kept, gone: &[u32]) -> Vec<(u32, u64)> {
        self.spare(&self.state.lock(), kept, gone)
    }

    /// Chooses the spare blocks, largest first: the pool's minimum and what was prewarmed are the smallest that there
    /// are. Of equals the first is chosen, so the choice is that of [`largest_spare`](Self::largest_spare), again and
    /// again.
    fn spare(&self, state: &State, kept: Kept, gone: &[u32]) -> Vec<(u32, u64)> {
        let mut empties: Vec<_> = state.blocks.empties().filter(|(region, _)| !gone.contains(region)).collect();
        empties.sort_by_key(|&(_, size)| Reverse(size));
        let mut left = (self.spare_count(state) as usize).saturating_sub(gone.len());
        let empty_bytes: u64 = empties.iter().map(|(_, size)| size).sum();
        let mut spare_bytes = empty_bytes.saturating_sub(match kept {
            Kept::Prewarmed => state.prewarmed_bytes,
            Kept::Nothing => 0,
        });
        empties.retain(|&(_, size)| {
            let is_spare = left > 0 && size <= spare_bytes;
            if is_spare {
                left -= 1;
                spare_bytes -= size;
            }
            is_spare
        });
        empties
    }

    /// Gives one block back that was spare; returns its bytes, 0 where it is in use or was prewarmed by now.
    pub(crate) fn give_back(&self, backing: Backing<'_>, region: u32) -> u64 {
        let mut state = self.state.lock();
        state.blocks.reclaim();
        // Its number may be another block's by now.
        let is_spare = state.blocks.bytes_of(region).is_some_and(|bytes| bytes <= spare_bytes(&state));
        let retired = if is_spare { self.take_out_spare(backing, &mut state, region) } else { None };
        drop(state);
        retired.map_or(0, Retired::finish)
    }

    /// Gives one block back that has been empty since before a tick; returns its bytes, 0 where there is none.
    pub(crate) fn give_back_aged(&self, backing: Backing<'_>, tick: u64) -> u64 {
        let mut state = self.state.lock();
        state.blocks.reclaim_in_empty();
        let aged = state.blocks.empty_since_before(tick, spare_bytes(&state));
        let retired = aged.and_then(|region| self.take_out_spare(backing, &mut state, region));
        drop(state);
        retired.map_or(0, Retired::finish)
    }

    /// Returns whether the pool keeps room that was prewarmed, which is for whoever would open a block.
    pub(crate) fn is_prewarmed(&self) -> bool {
        self.state.lock().prewarmed_bytes > 0
    }

    /// Returns whether the pool could do without an empty block of so many bytes or more.
    pub(super) fn has_spare(&self, least_bytes: u64) -> bool {
        self.smallest_spare(&self.state.lock(), least_bytes).is_some()
    }

    /// Takes out the smallest empty block of so many bytes or more, for another pool.
    pub(super) fn take_out_to_move(&self, least_bytes: u64) -> Option<Memory> {
        let mut state = self.state.lock();
        let region = self.smallest_spare(&state, least_bytes)?;
        state.blocks.take(region)
    }

    /// Charges the budget with what lazily allocated memory has committed by now.
    pub(crate) fn charge_commitments(&self, backing: Backing<'_>) {
        if !self.settings.is_lazy {
            return;
        }
        let object_from = |first| {
            let state = self.state.lock();
            state.dedicated.iter_from(first).next().map(|(key, object)| (key, Arc::clone(object)))
        };
        let mut next = 0;
        // One at a time: what is freed while it is held here goes back from here.
        while let Some((key, object)) = object_from(next) {
            next = key.index() + 1;
            let committed = backing.device.commitment(&object.memory);
            let state = self.state.lock();
            if state.dedicated.get(key).is_some() {
                let now = Charge::committed(object.memory.size(), committed);
                let before = object.recharge(now);
                backing.budget.recharge(backing.heap_of(self.settings.memory_type_index), before, now);
            }
            let retired = let_go(backing, object);
            drop(state);
            retired.map(Retired::finish);
        }
    }

    /// Empties the pool of all that nobody uses. What is in use stays, never to be freed: its owner may still read it.
    pub(crate) fn abandon(&self, backing: Backing<'_>) {
        let mut state = self.state.lock();
        let retired: Vec<Retired<'_>> =
            state.blocks.take_all_empty().into_iter().map(|memory| backing.retire(memory)).collect();
        drop(state);
        for retired in retired {
            retired.finish();
        }
    }

    /// Does the same when the lock was given back since.
    pub(crate) fn settle_emptied(&self, backing: Backing<'_>) -> Left {
        self.settle(backing, self.state.lock())
    }

    /// Does what is due when a block has become empty, and says what is left.
    #[inline(never)]
    pub(super) fn settle(&self, backing: Backing<'_>, state: SpinMutexGuard<'_, State>) -> Left {
        let left = state.left();
        if !retention::is_kept_anyway(state.blocks.empty_bytes()) {
            self.retire_surplus(backing, state);
        }
        left
    }

    /// Gives back the empty blocks that the policy does not keep, after the lock is dropped.
    #[cold]
    fn retire_surplus(&self, backing: Backing<'_>, mut state: SpinMutexGuard<'_, State>) {
        let mut retired = Vec::new();
        while surplus_bytes(&state) > 0 {
            let Some(region) = self.largest_spare(&state, spare_bytes(&state)) else { break };
            retired.extend(take_out(backing, &mut state, region));
        }
        drop(state);
        for retired in retired {
            retired.finish();
        }
    }

    /// Returns the largest empty block of at most so many bytes that lies above the pool's minimum.
    fn largest_spare(&self, state: &State, most_bytes: u64) -> Option<u32> {
        if self.spare_count(state) == 0 {
            return None;
        }
        let empties = state.blocks.empties().filter(|&(_, size)| size <= most_bytes);
        retention::choose_give_back(empties, u64::MAX).map(|(region, _)| region)
    }

    /// Returns the smallest empty block of so many bytes or more that lies above the pool's minimum and was not
    /// prewarmed.
    fn smallest_spare(&self, state: &State, least_bytes: u64) -> Option<u32> {
        if self.spare_count(state) == 0 {
            return None;
        }
        let fitting = least_bytes..=spare_bytes(state);
        let spare = state.blocks.empties().filter(|(_, size)| fitting.contains(size));
        spare.min_by_key(|&(_, size)| size).map(|(region, _)| region)
    }

    /// Returns whether the pool has as many blocks as it may have, and none that may make way for one of so many bytes.
    pub(super) fn is_full(&self, bytes: u64) -> bool {
        let state = self.state.lock();
        let is_full = state.blocks.block_count() >= self.settings.max_block_count;
        let has_spare = self.largest_spare(&state, u64::MAX).is_some();
        is_full && !has_spare && self.exchangeable(&state, bytes).is_none()
    }

    /// Takes an empty block out of a pool that needs all its blocks for its minimum and may have no more, for one of so
    /// many bytes; `None` where none is smaller.
    pub(super) fn take_out_for(&self, state: &mut State, bytes: u64) -> Option<Memory> {
        let region = self.exchangeable(state, bytes)?;
        state.blocks.take(region)
    }

    /// Returns the smallest empty block of such a pool, if it is smaller than so many bytes: one that is not has room
    /// for whoever comes.
    fn exchangeable(&self, state: &State, bytes: u64) -> Option<u32> {
        let is_at_limit = state.blocks.block_count() >= self.settings.max_block_count;
        let smaller = state.blocks.empties().filter(|&(_, size)| is_at_limit && size < bytes);
        smaller.min_by_key(|&(_, size)| size).map(|(region, _)| region)
    }

    pub(super) fn take_out_largest_spare<'a>(&self, backing: Backing<'a>, state: &mut State) -> Option<Retired<'a>> {
        let region = self.largest_spare(state, u64::MAX)?;
        self.take_out_spare(backing, state, region)
    }

    /// Returns how many blocks lie above the pool's minimum.
    fn spare_count(&self, state: &State) -> u32 {
        state.blocks.block_count().saturating_sub(self.settings.min_block_count)
    }

    /// Takes a block out if it is empty and above the pool's minimum.
    pub(super) fn take_out_spare<'a>(
        &self,
        backing: Backing<'a>,
        state: &mut State,
        region: u32,
    ) -> Option<Retired<'a>> {
        if self.spare_count(state) == 0 {
            return None;
        }
        state.blocks.reclaim();
        take_out(backing, state, region)
    }
}

/// Takes an empty block out and announces that it goes back; `None` where it is in use.
fn take_out<'a>(backing: Backing<'a>, state: &mut State, region: u32) -> Option<Retired<'a>> {
    let memory = state.blocks.take(region)?;
    Some(backing.retire(memory))
}

/// Returns the bytes of empty blocks above what was prewarmed.
fn spare_bytes(state: &State) -> u64 {
    state.blocks.empty_bytes().saturating_sub(state.prewarmed_bytes)
}

/// Returns the bytes of empty blocks above what the policy keeps.
fn surplus_bytes(state: &State) -> u64 {
    let empty = state.blocks.empty_bytes();
    let in_use = state.blocks.block_bytes() - empty;
    empty.saturating_sub(retention::retained_bound(in_use).max(state.prewarmed_bytes))
}
