//! Upkeep: trim, budget refresh, the frame's tick, the idle moment.

use super::Allocator;
use super::pools::{NumberedPool, PoolRef};
use super::retention::AGED_AFTER;
use crate::block::retention;
use crate::pool::{Kept, Pool};
use crate::sync::Ordering;

/// No number of openings: an idle allocator looks whether it has something to release.
const NEVER: u64 = u64::MAX;

/// How old the allocator's knowledge of the driver's budgets is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetAge {
    /// Memory objects opened or given back since the budgets were last asked for.
    pub operations: u64,
    /// Refreshes that the driver has answered; 0 without `VK_EXT_memory_budget`.
    pub refreshes: u64,
}

impl Allocator {
    /// Gives every empty block back to the driver, prewarmed ones too; returns the bytes given back.
    ///
    /// Custom pools keep their `min_block_count`.
    pub fn trim(&self) -> u64 {
        self.idle.lock().forget();
        self.trim_pools(None)
    }

    /// Asks the driver for its budgets: one query, and one for each lazily allocated object, outside every lock.
    /// Without `VK_EXT_memory_budget` it asks for the latter only.
    ///
    /// Memory that others use shows only after this or [`tick`](Self::tick), and so does what lazily allocated memory
    /// has committed: until then it counts as a whole. Returns whether the driver told its budgets.
    pub fn update_budget(&self) -> bool {
        for pool in self.pools.all() {
            pool.charge_commitments(self.backing());
        }
        self.budget.refresh(|| self.device.memory_budgets())
    }

    /// Returns how old the budgets are: how many memory objects were opened or given back since they were asked for,
    /// and how often the driver has answered in all.
    pub fn budget_age(&self) -> BudgetAge {
        let budget = self.budget();
        BudgetAge { operations: budget.operations_since_refresh(), refreshes: budget.refresh_count() }
    }

    /// Counts a frame: refreshes the budgets, and gives back blocks that have been empty for 300 ticks.
    pub fn tick(&self) {
        let now = self.ticks.fetch_add(1, Ordering::Relaxed) + 1;
        self.update_budget();
        let Some(before) = now.checked_sub(AGED_AFTER) else { return };
        for pool in self.pools.all() {
            pool.give_back_aged(self.backing(), before);
        }
    }

    /// Trims the pools of one heap, or all; returns the bytes given back.
    pub(crate) fn trim_pools(&self, heap_index: Option<u32>) -> u64 {
        self.trim_each(self.pools_on(heap_index).iter())
    }

    /// Trims pools; returns the bytes given back. What was prewarmed in them is spare from now on.
    pub(super) fn trim_each<'a>(&self, pools: impl Iterator<Item = &'a PoolRef<'a>>) -> u64 {
        self.rested_at.store(NEVER, Ordering::Relaxed);
        pools.map(|pool| pool.trim(self.backing())).sum()
    }

    /// Returns the pools whose memory lies on a heap, or all.
    pub(crate) fn pools_on(&self, heap_index: Option<u32>) -> Vec<PoolRef<'_>> {
        let is_on = |pool: &Pool| heap_index.is_none_or(|heap| self.heap_of(pool.settings().memory_type_index) == heap);
        self.pools.all().filter(|pool| is_on(pool)).collect()
    }

    /// Records that memory was opened.
    pub(crate) fn note_opening(&self) {
        self.openings.fetch_add(1, Ordering::Relaxed);
        self.idle.lock().note_opening(self.pools.allocated());
    }

    /// Records that a block has moved from shard to shard: an idle allocator looks again at what each keeps.
    pub(crate) fn note_move(&self) {
        self.openings.fetch_add(1, Ordering::Relaxed);
    }

    /// Gives back what an idle allocator need not keep; called when a pool has become empty.
    #[inline]
    pub(crate) fn release_if_idle(&self) {
        let openings = self.openings.load(Ordering::Relaxed);
        let rested_at = self.rested_at.load(Ordering::Relaxed);
        if rested_at != openings {
            self.release_idle((rested_at, openings));
        }
    }

    #[cold]
    fn release_idle(&self, (rested_at, openings): (u64, u64)) {
        let use_count = self.pools.use_count();
        if self.is_in_use() {
            return;
        }
        if !self.idle.lock().should_release() {
            return;
        }
        let pools: Vec<_> = self.pools.all().collect();
        let release: Vec<_> =
            pools.iter().flat_map(|pool| idle_release(pool).map(move |region| (pool, region))).collect();
        if release.is_empty() {
            return self.rest(use_count, (rested_at, openings));
        }
        let bytes: u64 = release.into_iter().map(|(pool, region)| pool.give_back(self.backing(), region)).sum();
        if bytes > 0 {
            self.idle.lock().note_release(self.pools.allocated());
        }
    }

    /// Remembers that nothing is left to release until memory is opened; unless somebody has used memory since
    /// `use_count` was read, for what he used was not spare then, or has trimmed.
    pub(super) fn rest(&self, use_count: u64, (rested_at, openings): (u64, u64)) {
        if self.pools.use_count() == use_count {
            let _ = self.rested_at.compare_exchange(rested_at, openings, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    fn is_in_use(&self) -> bool {
        self.pools.sum(|pool| pool.counts().live_count()) > 0
    }
}

/// Chooses the blocks that a pool gives back when the whole allocator is idle: it keeps what was prewarmed, its minimum
/// and one small block; of a further shard not even that.
fn idle_release(pool: &NumberedPool) -> impl Iterator<Item = u32> + use<> {
    let spare = pool.spare_blocks(Kept::Prewarmed, &[]);
    let keep = if pool.is_further_shard() { None } else { retention::choose_idle_keep(spare.iter().copied()) };
    spare.into_iter().map(|(region, _)| region).filter(move |&region| Some(region) != keep)
}
