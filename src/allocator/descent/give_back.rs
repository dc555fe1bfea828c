//! Giving back, before memory is opened, what would raise the peak. Which blocks that is, is a policy (`retention`).

use super::Rehearse;
use crate::allocator::pools::NumberedPool;
use crate::allocator::{Allocator, retention};
use crate::memory_type::Bound;
use crate::pool::Kept;

/// An empty block that would raise the peak if it stayed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GiveBack {
    pub pool: u16,
    pub region: u32,
    pub heap_index: u32,
    pub bytes: u64,
}

impl Allocator {
    /// Gives back the empty blocks that stand between an opening and the all-time peak.
    pub(crate) fn make_room(&self, own: &NumberedPool, opening_bytes: u64, bound: Bound) {
        for give_back in self.give_backs(own, (opening_bytes, bound), &Rehearse::default()) {
            if let Some(pool) = self.pools().get(give_back.pool) {
                pool.give_back(self.backing(), give_back.region);
            }
        }
    }

    /// Chooses what an opening has given back first: of its own pool, then of any. What a rehearsal has given back
    /// already is gone. Nothing is given back for an opening that the budget refuses all the same: the blocks may be
    /// what serves the request further down the ladder. (Where another thread's release lets it through all the same,
    /// the peak rises by them.)
    pub(super) fn give_backs(
        &self,
        own: &NumberedPool,
        (opening_bytes, bound): (u64, Bound),
        rehearsed: &Rehearse,
    ) -> Vec<GiveBack> {
        let peak_bytes = self.budget().peak_bytes().max(rehearsed.peak_bytes);
        let excess = retention::excess(rehearsed.reserved_bytes(self), opening_bytes, peak_bytes);
        if excess == 0 || self.pools().sum(|pool| pool.counts().empty_bytes) == 0 {
            return Vec::new();
        }
        let (of_own, of_others) = self.spare_blocks(own, rehearsed);
        let chosen = retention::choose_give_backs(of_own, of_others, excess, |block| block.bytes);
        let heap_index = self.heap_of(own.settings().memory_type_index);
        let change = rehearsed.change_with(heap_index, &chosen);
        if self.budget().check(heap_index, opening_bytes, bound, change).is_ok() { chosen } else { Vec::new() }
    }

    /// Lists the spare blocks of one pool, and those of all others.
    fn spare_blocks(&self, own: &NumberedPool, rehearsed: &Rehearse) -> (Vec<GiveBack>, Vec<GiveBack>) {
        let (mut of_own, mut of_others) = (Vec::new(), Vec::new());
        for pool in self.pools().all() {
            if pool.counts().empty_bytes == 0 {
                continue;
            }
            let list = if pool.index() == own.index() { &mut of_own } else { &mut of_others };
            list.extend(self.spare_blocks_of(&pool, Kept::Prewarmed, rehearsed));
        }
        (of_own, of_others)
    }

    /// Lists the spare blocks of a pool, less those that a rehearsal has given back.
    pub(super) fn spare_blocks_of(&self, pool: &NumberedPool, kept: Kept, rehearsed: &Rehearse) -> Vec<GiveBack> {
        let heap_index = self.heap_of(pool.settings().memory_type_index);
        let named = |(region, bytes)| GiveBack { pool: pool.index(), region, heap_index, bytes };
        pool.spare_blocks(kept, &rehearsed.gone_of(pool)).into_iter().map(named).collect()
    }
}
