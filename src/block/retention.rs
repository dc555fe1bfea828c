//! *Policy*: which empty blocks a pool keeps.
//!
//! ```text
//!   as a rule     64 MiB, or an eighth of its blocks in use
//!   ... but all   once what went back was needed again within 4,096 allocations, twice running;
//!                 from 4,096 allocations later on what was in use in between, and 64 MiB
//!   idle          the largest of at most 2 MiB
//! ```
//!
//! So a frame that frees and allocates more than 64 MiB calls the driver in its first rounds only; and when frames need
//! less, what none of them has touched goes back. Time is counted in allocations: no clock. What is kept never costs a
//! new peak: before a driver call that would raise it, empty blocks go back, of whichever pool.

/// Empty blocks below this sum are kept in a pool, in bytes. 16 to 64 MiB are all sound.
pub(crate) const RETAINED_MIN: u64 = 64 << 20;
/// Empty blocks below this share (1/n) of a pool's blocks in use are kept.
const RETAINED_SHARE: u64 = 8;
/// The largest block that a pool keeps when the whole allocator is idle, in bytes.
const IDLE_BLOCK_MAX: u64 = 2 << 20;
/// Memory that is needed again within so many allocations was given back too early.
const REGRET_WITHIN: u64 = 4096;
/// So many regrets running, and the memory is kept.
const REGRETS_TO_KEEP: u32 = 2;

/// What is remembered of memory that went back too early.
#[derive(Debug, Default)]
pub(crate) struct Regret {
    /// The number of allocations made when memory last went back, until some was opened.
    released_at: Option<u64>,
    count: u32,
}

impl Regret {
    /// Says whether memory goes back.
    pub(crate) fn should_release(&self) -> bool {
        self.count < REGRETS_TO_KEEP
    }

    /// Records that memory has gone back.
    pub(crate) fn note_release(&mut self, allocations: u64) {
        self.released_at = Some(allocations);
    }

    /// Records that memory is opened, and tells whether that follows a release too soon.
    pub(crate) fn note_opening(&mut self, allocations: u64) -> bool {
        let Some(released_at) = self.released_at.take() else { return false };
        let is_regretted = allocations.saturating_sub(released_at) <= REGRET_WITHIN;
        self.count = if is_regretted { self.count.saturating_add(1) } else { 0 };
        is_regretted
    }
}

/// What a pool remembers of its empty blocks.
#[derive(Debug, Default)]
pub(crate) struct Retention {
    regret: Regret,
    /// Bytes of blocks that come into use and become empty again, more than there are where that is not known yet.
    swing: u64,
    /// Allocations made when the last measurement of it began.
    since: u64,
    /// Fewest and most bytes of empty blocks since then, as far as it was told.
    least: u64,
    most: u64,
}

impl Retention {
    /// Returns how many bytes of empty blocks are kept beside `used_block_bytes` of blocks in use.
    pub(crate) fn bound(&self, used_block_bytes: u64) -> u64 {
        let usual = RETAINED_MIN.max(used_block_bytes / RETAINED_SHARE);
        if self.regret.should_release() { usual } else { usual.max(self.swing.saturating_add(RETAINED_MIN)) }
    }

    /// Records that blocks above the bound have gone back.
    pub(crate) fn note_release(&mut self, allocations: u64) {
        self.regret.note_release(allocations);
    }

    /// Records that a block is opened.
    pub(crate) fn note_opening(&mut self, allocations: u64) {
        if self.regret.note_opening(allocations) {
            self.swing = u64::MAX;
            self.begin(allocations);
        }
    }

    /// Records that a block has become empty, with so many bytes of empty blocks before and after. Where `after` is no
    /// more than is kept anyway it need not be told: what it takes for the swing is too small by that at most.
    pub(crate) fn note_emptied(&mut self, allocations: u64, before: u64, after: u64) {
        (self.least, self.most) = (self.least.min(before), self.most.max(after));
        if allocations.saturating_sub(self.since) > REGRET_WITHIN {
            self.swing = self.most - self.least;
            self.begin(allocations);
        }
    }

    fn begin(&mut self, allocations: u64) {
        (self.since, self.least, self.most) = (allocations, u64::MAX, 0);
    }
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

    /// Releases after so many allocations and opens memory again after so many; tells whether that was too soon.
    fn release_and_open(regret: &mut Regret, released_at: u64, opened_at: u64) -> bool {
        regret.note_release(released_at);
        regret.note_opening(opened_at)
    }

    #[test]
    fn two_regrets_running_keep_the_memory() {
        let mut regret = Regret::default();
        assert!(release_and_open(&mut regret, 100, 101) && regret.should_release());
        assert!(release_and_open(&mut regret, 200, 201) && !regret.should_release());
        regret.count = u32::MAX;
        assert!(release_and_open(&mut regret, 300, 301) && !regret.should_release(), "it counts no further");
    }

    #[test]
    fn an_opening_that_follows_no_release_is_no_regret() {
        let mut regret = Regret::default();
        assert!(release_and_open(&mut regret, 100, 101));
        assert!((102..110).all(|opened_at| !regret.note_opening(opened_at)));
        assert!(regret.should_release());
    }

    #[test]
    fn a_long_pause_is_no_regret() {
        let mut regret = Regret::default();
        assert!(release_and_open(&mut regret, 0, 1));
        assert!(!release_and_open(&mut regret, 10, 10 + REGRET_WITHIN + 1));
        assert!(release_and_open(&mut regret, 20_000, 20_000 + REGRET_WITHIN) && regret.should_release());
    }

    /// A pool that has missed twice what it gave back, the second time after so many allocations.
    fn keeping(allocations: u64) -> Retention {
        let mut retention = Retention::default();
        for opened_at in [allocations - 10, allocations] {
            assert_eq!(retention.bound(0), RETAINED_MIN);
            retention.note_release(opened_at - 5);
            retention.note_opening(opened_at);
        }
        assert_eq!(retention.bound(0), u64::MAX);
        retention
    }

    #[test]
    fn what_was_missed_twice_is_kept_whatever_it_is() {
        let mut retention = keeping(1_000);
        retention.note_emptied(1_100, 0, 900 * MIB);
        assert_eq!(retention.bound(0), u64::MAX);
        retention.note_release(2_000);
        retention.note_opening(2_001 + REGRET_WITHIN);
        assert_eq!(retention.bound(0), RETAINED_MIN, "a pause ends it");
    }

    #[test]
    fn what_no_frame_has_touched_goes_back() {
        let mut retention = keeping(1_000);
        let mut frame = |allocations, before, after| {
            retention.note_emptied(allocations, before * MIB, after * MIB);
            retention.bound(0) / MIB
        };
        assert_eq!(frame(1_000 + REGRET_WITHIN, 100, 700), u64::MAX / MIB, "the time is not over");
        assert_eq!(frame(1_001 + REGRET_WITHIN, 300, 800), 700 + 64, "100 of 800 MiB were never used");
        assert_eq!(frame(1_002 + REGRET_WITHIN, 0, 900), 700 + 64, "it is measured anew");
        assert_eq!(frame(1_002 + 2 * REGRET_WITHIN, 500, 600), 900 + 64);
        assert_eq!(frame(1_003 + 3 * REGRET_WITHIN, 650, 660), 10 + 64);
        assert_eq!(retention.bound(4096 * MIB), 512 * MIB, "no less than as a rule");
        retention.note_release(20_000);
        retention.note_opening(20_001);
        assert_eq!(retention.bound(0), u64::MAX, "frames need more again");
    }

    #[test]
    fn an_eighth_of_what_is_in_use_is_kept_and_64_mebibytes_at_least() {
        let bound = |used_block_bytes| Retention::default().bound(used_block_bytes);
        assert_eq!([0, 512 * MIB, 520 * MIB, 4096 * MIB].map(bound), [64, 64, 65, 512].map(|size| size * MIB));
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
