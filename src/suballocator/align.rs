//! Alignment arithmetic, checked: the one place where sizes are rounded.
//!
//! ```text
//!            align_down(v, a)      v      align_up(v, a)
//! ───┼──────────────┼──────────────┴───────────┼──────────────┼───
//!    k·a           (k+1)·a                    (k+2)·a
//! ```
//!
//! An alignment is a power of two; what is not one is refused at the surface
//! ([`Request::check`](super::Request::check)), never here.

/// Returns the smallest multiple of `alignment` that is at least `value`, or `None` where it does not fit a `u64`.
pub(crate) const fn align_up(value: u64, alignment: u64) -> Option<u64> {
    debug_assert!(alignment.is_power_of_two());
    match value.checked_add(alignment - 1) {
        Some(sum) => Some(sum & !(alignment - 1)),
        None => None,
    }
}

/// Returns the largest multiple of `alignment` that is at most `value`.
pub(crate) const fn align_down(value: u64, alignment: u64) -> u64 {
    debug_assert!(alignment.is_power_of_two());
    value & !(alignment - 1)
}

/// Tells whether `value` is a multiple of `alignment`.
pub(crate) const fn is_aligned(value: u64, alignment: u64) -> bool {
    debug_assert!(alignment.is_power_of_two());
    value & (alignment - 1) == 0
}

/// Returns how many units (or pages) of `1 << shift` bytes hold `bytes`: rounded up, without overflow.
#[inline]
pub(crate) const fn units_for(bytes: u64, shift: u32) -> u64 {
    (bytes >> shift) + (bytes & ((1 << shift) - 1) != 0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_to_both_sides() {
        assert_eq!(align_up(0, 64), Some(0));
        assert_eq!(align_up(1, 64), Some(64));
        assert_eq!(align_up(64, 64), Some(64));
        assert_eq!(align_down(127, 64), 64);
        assert_eq!(align_down(63, 64), 0);
        assert!(is_aligned(128, 64) && !is_aligned(129, 64) && is_aligned(129, 1));
    }

    #[test]
    fn says_none_where_a_u64_ends() {
        assert_eq!(align_up(u64::MAX, 1), Some(u64::MAX));
        assert_eq!(align_up(u64::MAX - 62, 64), None);
        assert_eq!(align_up(u64::MAX - 63, 64), Some(u64::MAX - 63));
        assert_eq!(align_up((1 << 63) + 1, 1 << 63), None);
        assert_eq!(align_down(u64::MAX, 1 << 63), 1 << 63);
    }

    #[test]
    fn counts_units_rounded_up() {
        for shift in [0, 6, 16, 63] {
            let unit = 1u64 << shift;
            assert_eq!(units_for(0, shift), 0);
            assert_eq!(units_for(1, shift), 1);
            assert_eq!(units_for(unit, shift), 1);
            assert_eq!(units_for(u64::MAX, shift), u64::MAX.div_ceil(unit));
        }
        assert_eq!(units_for(65, 6), 2);
    }
}
