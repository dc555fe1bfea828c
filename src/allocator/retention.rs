//! *Policy*: when empty blocks go back to the driver, across pools.
//!
//! ```text
//!   before a driver call   what the call would add above the all-time peak is given back first
//!   allocator idle         every pool keeps one block of at most 2 MiB
//!                          ... unless what went back was needed again within 4,096 allocations, twice running
//! ```
//!
//! So retained memory never costs a new peak, unless a thread looks while another has looked and not yet reserved; and
//! a program that frees everything each frame makes no driver call in its steady state. Time is counted in allocations
//! and ticks: no clock.

use crate::block::retention::choose_give_back;

/// Blocks that stay empty for so many ticks go back, in ticks; at 60 ticks a second it is 5 seconds. Measured: 1 driver
/// call in 225.
pub(crate) const AGED_AFTER: u64 = 300;

/// Memory that is needed again within so many allocations was given back too early.
const REGRET_WITHIN: u64 = 4096;
/// So many regrets running, and the memory is kept.
const REGRETS_TO_KEEP: u32 = 2;

/// Returns how many bytes of empty blocks go back before a driver call, so that the call does not raise the peak.
pub(crate) fn excess(reserved_bytes: u64, opening_bytes: u64, peak_bytes: u64) -> u64 {
    reserved_bytes.saturating_add(opening_bytes).saturating_sub(peak_bytes)
}

/// Chooses which spare blocks go back so that `excess` bytes go: of the pool that opens memory, then of others; of
/// either the smallest that is enough, else the largest, until it is enough.
pub(crate) fn choose_give_backs<T>(
    own: Vec<T>,
    others: Vec<T>,
    mut excess: u64,
    bytes_of: impl Fn(&T) -> u64,
) -> Vec<T> {
    let mut chosen = Vec::new();
    for mut spare in [own, others] {
        while excess > 0 {
            let sizes = spare.iter().enumerate().map(|(position, block)| (position, bytes_of(block)));
            let Some((position, bytes)) = choose_give_back(sizes, excess) else { break };
            excess = excess.saturating_sub(bytes);
            chosen.push(spare.remove(position));
        }
    }
    chosen
}

/// What the allocator remembers of its idle moments.
#[derive(Debug, Default)]
pub(crate) struct IdleMemory {
    /// The number of allocations made when memory last went back for idleness, until it was missed.
    released_at: Option<u64>,
    regrets: u32,
}

impl IdleMemory {
    /// Says whether memory goes back when nothing is alive.
    pub(crate) fn should_release(&self) -> bool {
        self.regrets < REGRETS_TO_KEEP
    }

    /// Records that memory has gone back for idleness.
    pub(crate) fn note_release(&mut self, allocations: u64) {
        self.released_at = Some(allocations);
    }

    /// Records that memory is opened, and whether that follows an idle release too soon.
    pub(crate) fn note_opening(&mut self, allocations: u64) {
        let Some(released_at) = self.released_at.take() else { return };
        let is_regretted = allocations.saturating_sub(released_at) <= REGRET_WITHIN;
        self.regrets = if is_regretted { self.regrets + 1 } else { 0 };
    }

    /// Forgets all regrets: the user asked for memory to go back.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_s_own_blocks_go_first_and_the_smallest_that_are_enough() {
        let chosen = |excess| {
            let (own, others) = (vec![('a', 2), ('b', 8), ('c', 4)], vec![('d', 1), ('e', 16), ('f', 3)]);
            choose_give_backs(own, others, excess, |block| block.1).iter().map(|block| block.0).collect::<String>()
        };
        assert_eq!([0, 1, 3, 8].map(chosen), ["", "a", "c", "b"], "one of its own is enough");
        assert_eq!([9, 14].map(chosen), ["ba", "bca"], "the largest, then what is enough for the rest");
        assert_eq!([15, 17, 18, 31, 34].map(chosen), ["bcad", "bcaf", "bcae", "bcaed", "bcaefd"]);
        assert_eq!(chosen(u64::MAX), "bcaefd", "all there are");
    }

    #[test]
    fn nothing_goes_back_below_the_peak() {
        assert_eq!(excess(10, 5, 15), 0);
        assert_eq!(excess(10, 5, 12), 3);
        assert_eq!(excess(u64::MAX, 5, 0), u64::MAX);
    }

    /// Releases after so many allocations and opens memory again after so many.
    fn release_and_open(idle: &mut IdleMemory, released_at: u64, opened_at: u64) {
        idle.note_release(released_at);
        idle.note_opening(opened_at);
    }

    #[test]
    fn two_regrets_running_keep_the_memory() {
        let mut idle = IdleMemory::default();
        release_and_open(&mut idle, 100, 101);
        assert!(idle.should_release());
        release_and_open(&mut idle, 200, 201);
        assert!(!idle.should_release());
        idle.forget();
        assert!(idle.should_release());
    }

    #[test]
    fn an_opening_that_follows_no_release_is_no_regret() {
        let mut idle = IdleMemory::default();
        release_and_open(&mut idle, 100, 101);
        (102..110).for_each(|opened_at| idle.note_opening(opened_at));
        assert!(idle.should_release());
    }

    #[test]
    fn a_long_pause_is_no_regret() {
        let mut idle = IdleMemory::default();
        release_and_open(&mut idle, 0, 1);
        release_and_open(&mut idle, 10, 10 + REGRET_WITHIN + 1);
        release_and_open(&mut idle, 20_000, 20_001);
        assert!(idle.should_release());
    }
}
