//! The numbers of one heap: what never changes, what does, and what a bound leaves of it.
//!
//! Plain arithmetic without locks; the invariants that it serves are in the head of `budget`.

use super::charge::Charge;
use super::refused::Refused;
use crate::device::MemoryHeap;

/// One part in this many of a small BAR heap is left to the driver and the application: 32 MiB of 256.
///
/// Taste: drivers keep command buffers and descriptors there, and fall over (or fall back to slow memory) when it is
/// full.
const SMALL_BAR_HEADROOM: u64 = 8;

/// One part in this many of a heap is left free where the driver names no budget.
///
/// # Source
/// The convention of the field: 80 % of the heap.
const UNKNOWN_BUDGET_HEADROOM: u64 = 5;

/// What a reservation must not exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    /// The driver's budget, the user's limit and the heap (I1).
    WithinBudget,
    /// The user's limit and the heap (I2).
    WithinHeap,
}

/// The use of one heap, as last seen. All numbers are bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct HeapUsage {
    /// The heap's size.
    pub size: u64,
    /// What this allocator holds of it.
    pub own: u64,
    /// What else the process holds of it, as of the last refresh; 0 where the driver does not say.
    pub foreign: u64,
    /// What the process may use: the driver's budget at the last refresh, or 80 % of the heap where it named none.
    pub budget: u64,
    /// The user's limit, if there is one.
    pub limit: Option<u64>,
    /// What this allocator may hold at most: the heap's size, or 7/8 of a small BAR heap.
    pub cap: u64,
}

impl HeapUsage {
    /// Returns what the process uses of the heap, in bytes.
    pub fn usage(&self) -> u64 {
        self.own.saturating_add(self.foreign)
    }

    /// Returns how much can still be taken without exceeding budget, limit or heap, in bytes.
    pub fn remaining(&self) -> u64 {
        self.remaining_within(Bound::WithinBudget)
    }

    /// The largest request that the bound admits, in bytes.
    pub(super) fn remaining_within(&self, bound: Bound) -> u64 {
        let within_usage = |most: u64| most.saturating_sub(self.usage());
        let by_budget = match bound {
            Bound::WithinBudget => within_usage(self.budget),
            Bound::WithinHeap => u64::MAX,
        };
        let by_limit = self.limit.map_or(u64::MAX, within_usage);
        by_budget.min(by_limit).min(self.cap.saturating_sub(self.own))
    }
}

/// What never changes about a heap.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HeapFacts {
    pub(super) size: u64,
    pub(super) is_device_local: bool,
    pub(super) limit: Option<u64>,
    pub(super) cap: u64,
}

/// What changes about a heap. `own` is `settled`, `leaving`, and what the driver is not known to count yet: reserved
/// and not committed, or lazily allocated and not looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HeapState {
    /// Bytes reserved, held, or about to be freed.
    pub(super) own: u64,
    /// Those of them that the driver knows of for certain: reserved, committed, and no release of them begun. Of lazily
    /// allocated memory, what was committed at the last look.
    pub(super) settled: u64,
    /// Those of them whose release is under way.
    pub(super) leaving: u64,
    /// All bytes that were ever settled and are no more, or were charged anew; wraps around.
    pub(super) unsettled_total: u64,
    /// All bytes whose release ever ended, or that are charged no more; wraps around.
    pub(super) released_total: u64,
    /// As in the file head.
    pub(super) foreign: u64,
    /// The driver's budget at the last refresh, or the substitute for it.
    pub(super) budget: u64,
}

impl HeapState {
    /// Takes an object out of what the driver knows of for certain.
    pub(super) fn unsettle(&mut self, charge: Charge) {
        let bytes = charge.settled();
        debug_assert!(self.settled >= bytes, "budget I4: {bytes} bytes released, {} held", self.settled);
        self.settled = self.settled.saturating_sub(bytes);
        self.unsettled_total = self.unsettled_total.wrapping_add(bytes);
    }
}

impl HeapFacts {
    /// Takes over what the driver and the user say about a heap.
    pub(super) fn new(heap: &MemoryHeap, limit: Option<u64>, is_small_bar: bool) -> Self {
        let headroom = if is_small_bar { heap.size / SMALL_BAR_HEADROOM } else { 0 };
        Self { size: heap.size, is_device_local: heap.is_device_local(), limit, cap: heap.size - headroom }
    }

    /// The budget to keep to when the driver reported this one: 0 is no answer, and no budget exceeds its heap.
    pub(super) fn budget(&self, reported: u64) -> u64 {
        match reported {
            0 => self.size - self.size / UNKNOWN_BUDGET_HEADROOM,
            _ => reported.min(self.size),
        }
    }

    /// Says whether so many more bytes can be had (I1, I2). What is hardest to move is named first: heap, limit,
    /// budget.
    pub(super) fn check(&self, heap_index: u32, heap: &HeapUsage, asked: u64, bound: Bound) -> Result<(), Refused> {
        let is_device_local = self.is_device_local;
        let (usage, own, cap) = (heap.usage(), heap.own, heap.cap);
        if asked > cap.saturating_sub(own) {
            return Err(Refused::OverHeap { heap_index, is_device_local, asked, own, cap });
        }
        if let Some(limit) = heap.limit.filter(|limit| asked > limit.saturating_sub(usage)) {
            return Err(Refused::OverLimit { heap_index, is_device_local, asked, usage, limit });
        }
        if asked > heap.remaining_within(bound) {
            let budget = heap.budget;
            return Err(Refused::OverBudget { heap_index, is_device_local, asked, usage, budget });
        }
        Ok(())
    }

    /// Puts what changes beside what does not.
    pub(super) fn usage(&self, state: &HeapState) -> HeapUsage {
        HeapUsage {
            size: self.size,
            own: state.own,
            foreign: state.foreign,
            budget: state.budget,
            limit: self.limit,
            cap: self.cap,
        }
    }
}
