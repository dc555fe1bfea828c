//! *Policy*: which empty blocks a pool keeps.
//!
//! ```text
//!   as a rule   64 MiB, or an eighth of its blocks in use
//!   idle        the largest of at most 2 MiB
//! ```
//!
//! What is kept is kept whole: once somebody cuts a little from a large block, the rest of it can no longer go back. So
//! a bound that follows what frames take again and again costs new peaks where other sizes come (`benches/JOURNAL.md`).

/// Empty blocks below this sum are kept in a pool, in bytes. 16 to 64 MiB are all sound.
const RETAINED_MIN: u64 = 64 << 20;
/// Empty blocks below this share (1/n) of a pool's blocks in use are kept.
const RETAINED_SHARE: u64 = 8;
/// The largest block that a pool keeps when the whole allocator is idle, in bytes.
const IDLE_BLOCK_MAX: u64 = 2 << 20;

/// Returns how many bytes of empty blocks a pool keeps beside `used_block_bytes` of blocks in use.
pub(crate) fn retained_bound(used_block_bytes: u64) -> u64 {
    RETAINED_MIN.max(used_block_bytes / RETAINED_SHARE)
}

/// Tells whether so many bytes of empty blocks stay, whatever is in use: what most frees need to know.
#[inline]
pub(crate) const fn is_kept_anyway(empty_bytes: u64) -> bool {
    empty_bytes <= RETAINED_MIN
}

/// Chooses which empty block to give back so that `excess` bytes go: the smallest that is enough, else the largest.
///
/// Ties go to the first in the order given, so the choice is the same on every run.
pub(crate) fn choose_give_back<K: Copy>(empties: impl Iterator<Item = (K, u64)>, excess: u64) -> Option<(K, u64)> {
    let mut enough: Option<(K, u64)> = None;
    let mut largest: Option<(K, u64)> = None;
    for (key, size) in empties {
        if size >= excess && enough.is_none_or(|(_, best)| size < best) {
            enough = Some((key, size));
        }
        if largest.is_none_or(|(_, best)| size > best) {
            largest = Some((key, size));
        }
    }
    enough.or(largest)
}

/// Chooses the one empty block that a pool keeps when nothing at all is alive: the largest of at most 2 MiB.
pub(crate) fn choose_idle_keep<K: Copy>(empties: impl Iterator<Item = (K, u64)>) -> Option<K> {
    empties
        .filter(|&(_, size)| size <= IDLE_BLOCK_MAX)
        .reduce(|best, next| if next.1 > best.1 { next } else { best })
        .map(|(key, _)| key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn an_eighth_of_what_is_in_use_is_kept_and_64_mebibytes_at_least() {
        assert_eq!([0, 512 * MIB, 520 * MIB, 4096 * MIB].map(retained_bound), [64, 64, 65, 512].map(|size| size * MIB));
    }

    #[test]
    fn what_is_kept_anyway_is_within_every_bound() {
        assert_eq!([0, 64 * MIB, 64 * MIB + 1].map(is_kept_anyway), [true, true, false]);
        assert!([0, 520 * MIB, u64::MAX].iter().all(|&used_bytes| retained_bound(used_bytes) >= 64 * MIB));
    }

    #[test]
    fn gives_back_the_smallest_that_is_enough() {
        let empties = [(0, 8), (1, 2), (2, 4)];
        assert_eq!(choose_give_back(empties.into_iter(), 3), Some((2, 4)));
        assert_eq!(choose_give_back(empties.into_iter(), 100), Some((0, 8)));
        assert_eq!(choose_give_back(empties.into_iter(), 4), Some((2, 4)));
        assert_eq!(choose_give_back([(0, 8), (1, 8)].into_iter(), 5), Some((0, 8)), "the first of equals");
        assert_eq!(choose_give_back([(0, 8), (1, 8)].into_iter(), 9), Some((0, 8)), "the first of equals");
        assert_eq!(choose_give_back(core::iter::empty::<(u32, u64)>(), 1), None);
    }

    #[test]
    fn an_idle_pool_keeps_one_small_block() {
        assert_eq!(choose_idle_keep([(0, 8 * MIB), (1, MIB), (2, 2 * MIB)].into_iter()), Some(2));
        assert_eq!(choose_idle_keep([(0, MIB), (1, MIB)].into_iter()), Some(0), "the first of equals");
        assert_eq!(choose_idle_keep([(0, 8 * MIB)].into_iter()), None);
    }
}
