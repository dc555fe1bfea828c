//! *Policy*: when empty blocks go back to the driver, across pools.
//!
//! ```text
//!   before a driver call   what the call would add above the all-time peak is given back first
//!   allocator idle         every pool keeps one block of at most 2 MiB
//!                          ... unless what went back was missed twice running (`block/retention`)
//! ```
//!
//! So retained memory never costs a new peak, unless a thread looks while another has looked and not yet reserved; and
//! a program that frees everything each frame makes no driver call in its steady state. Time is counted in allocations
//! and ticks: no clock.

use crate::block::retention::choose_give_back;

/// Blocks that stay empty for so many ticks go back, in ticks; at 60 ticks a second it is 5 seconds. Measured: 1 driver
/// call in 225.
pub(crate) const AGED_AFTER: u64 = 300;

/// Returns how many bytes of empty blocks go back before a driver call, so that the call does not raise the peak.
pub(crate) fn excess(reserved_bytes: u64, opening_bytes: u64, peak_bytes: u64) -> u64 {
    reserved_bytes.saturating_add(opening_bytes).saturating_sub(peak_bytes)
}

/// Chooses which spare blocks go back so that `excess` bytes go: of the pool that opens memory, then of others; of
/// either the smallest that is enough, else the largest, until it is enough. Each comes with its bytes.
pub(crate) fn choose_give_backs<T>(own: Vec<(T, u64)>, others: Vec<(T, u64)>, mut excess: u64) -> Vec<T> {
    let mut chosen = Vec::new();
    for mut spare in [own, others] {
        while excess > 0 {
            let sizes = spare.iter().enumerate().map(|(position, &(_, bytes))| (position, bytes));
            let Some((position, bytes)) = choose_give_back(sizes, excess) else { break };
            excess = excess.saturating_sub(bytes);
            chosen.push(spare.remove(position).0);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_s_own_blocks_go_first_and_the_smallest_that_are_enough() {
        let chosen = |excess| {
            let (own, others) = (vec![('a', 2), ('b', 8), ('c', 4)], vec![('d', 1), ('e', 16), ('f', 3)]);
            choose_give_backs(own, others, excess).into_iter().collect::<String>()
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
}
