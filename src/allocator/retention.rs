//! *Policy*: when empty blocks go back to the driver, across pools.
//!
//! ```text
//!   before a driver call   what the call would add above the all-time peak is given back first
//!   allocator idle         every pool keeps one block of at most 2 MiB
//!                          ... unless what went back was missed twice running (`block/retention`)
//! ```
//!
//! So retained memory never costs a new peak, unless a thread looks while another has looked and not yet reserved; and a
//! program that frees everything each frame makes no driver call in its steady state. Time is counted in allocations and
//! ticks: no clock.

/// Blocks that stay empty for so many ticks go back, in ticks; at 60 ticks a second it is 5 seconds. Measured: 1 driver
/// call in 225.
pub(crate) const AGED_AFTER: u64 = 300;

/// Returns how many bytes of empty blocks go back before a driver call, so that the call does not raise the peak.
pub(crate) fn excess(reserved_bytes: u64, opening_bytes: u64, peak_bytes: u64) -> u64 {
    reserved_bytes.saturating_add(opening_bytes).saturating_sub(peak_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_goes_back_below_the_peak() {
        assert_eq!(excess(10, 5, 15), 0);
        assert_eq!(excess(10, 5, 12), 3);
        assert_eq!(excess(u64::MAX, 5, 0), u64::MAX);
    }
}
