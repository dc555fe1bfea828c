//! *Policy*: how large the next block is.
//!
//! ```text
//!   live bytes of the pool   0 ........ 16 MiB ........ 48 MiB ......
//!   share of the next block      1/2            1/4
//!   so the next block is     1 MiB ..... 8 MiB ....... 16 MiB, or a 32nd of what is live
//!   less a quarter of what the pool's blocks in use have free, but half of it at least;
//!   or three times the request that opens it, where that is more; of a large one two, or one, exactly
//! ```
//!
//! A block that is half empty is what recorded applications waste, far more than fragmentation inside blocks: so growth
//! follows what is alive, in a fraction that falls as the pool grows. What is free already, though in pieces that held
//! no room for who asks, will serve others: so a pool that has much of it opens less. Pure functions of plain data; no
//! device, no lock, no state.
//!
//! Invariants, for every input:
//! - I1: a block holds the request that opens it, unless the request is above what the heap allows.
//! - I2: a block is a whole number of pages, or exactly what the heap allows, or just the slots that it holds.
//! - I3: a smaller retry is strictly smaller and still holds the request.
//! - I4: a block of slots holds one at least, and no more behind the last than fills a page.
//!
//! Source of the constants: measurements on recorded applications (September 2026), smoothed over five scalings of all
//! sizes; each constant says what its neighbours cost. That was before large openers were held whole times, which
//! brought 1.141 to 1.135 and left the worst and the driver calls as they were.

use crate::suballocator::align::{align_down, align_up};

/// The first block of a pool, in bytes. Half of it costs 3 driver calls in 235 and a worst case of 1.35 instead of
/// 1.26, twice it one of 1.47.
pub(crate) const FIRST_BLOCK: u64 = 1 << 20;
/// Blocks grow in these steps, in bytes. Powers of two instead cost 7 % of memory.
pub(crate) const PAGE: u64 = 64 << 10;
/// What is larger than half of this gets a block of its own, in bytes; and the middle of the sizes below.
pub(crate) const BLOCK_CAP: u64 = 64 << 20;
/// A block is at most this share (1/n) of what is live, within a quarter of the cap and four times the cap: so the last
/// block, which is half empty on average, never weighs much, and a pool of many gigabytes has few blocks. Measured on
/// sizes of 256 bytes to 1 MiB, 100,000 alive, November 2026: 1.05 reserved / live in 155 blocks; a 48th 1.06 in 205.
const CAP_SHARE: u64 = 32;
/// A pool of any size may open blocks of this share (1/n) of the cap. Measured on the recorded applications, smoothed:
/// half of the cap 1.161 reserved / live with 215 driver calls, a quarter 1.141 with 235, an eighth 1.117 with 294.
const LEAST_CAP_SHARE: u64 = 4;
/// A block holds the request that opens it so many times, where the cap allows it; else twice, or just once. Twice from
/// the start: the recorded applications reserve as much in 249 blocks instead of 235, and the worst of them 1.47
/// instead of 1.26; four times: 1.169 instead of 1.141.
const REQUEST_MULTIPLE: u64 = 3;
/// The next block is smaller by this share (1/n) of what the pool's blocks in use have free, down to half of itself.
/// Measured over six draws of sizes of 256 bytes to 1 MiB, 10,000 alive, November 2026: at most 1.109 reserved / live
/// instead of 1.118; a level that streams 1.098 instead of 1.113. The recorded applications reserve 1.141 instead of
/// 1.137.
const FREE_SHARE: u64 = 4;
/// Every block is a multiple of this, in bytes: the largest nonCoherentAtomSize that the specification allows.
const ATOM_MAX: u64 = 256;

/// The brackets of the drawing above: (up to this many live bytes, one part in this many of what lies below).
///
/// Measured on the recorded applications at a card's sizes, smoothed over five scalings, November 2026: 1.141 reserved
/// / live and at worst 1.261, with 235 driver calls; a border at 10 MiB 1.141, 1.380 and 245; at 20 MiB 1.148, 1.278
/// and 233.
const BRACKETS: [(u64, u64); 2] = [(16 << 20, 2), (u64::MAX, 4)];

/// What a pool's growth may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GrowthSettings {
    /// The first and smallest block, in bytes.
    pub first: u64,
    /// The cap by which the largest block goes, in bytes.
    pub cap: u64,
    /// What heap and driver allow, in bytes: no block is larger.
    pub limit: u64,
    /// Every block has just this size, in bytes, where a custom pool says so.
    pub fixed_size: Option<u64>,
    /// Every block holds whole slots of so many bytes, one at least; 1 where ranges are cut as they are asked for.
    pub slot: u64,
}

impl GrowthSettings {
    /// Derives the settings of a default pool from its heap's size and the largest memory object, in bytes.
    ///
    /// No block is larger than an eighth of its heap: a small heap is not spent on one half-empty block.
    pub(crate) fn for_heap(heap_size: u64, max_object_size: u64) -> Self {
        let eighth = align_down(heap_size / 8, PAGE).max(PAGE.min(heap_size));
        let limit = align_down(eighth.min(max_object_size), ATOM_MAX);
        let cap = BLOCK_CAP.min(limit);
        Self { first: FIRST_BLOCK.min(cap), cap, limit, fixed_size: None, slot: 1 }
    }

    /// Begins with a block of so many bytes, as far as the heap allows it.
    pub(crate) fn beginning_with(self, bytes: u64) -> Self {
        let first = round_to_pages(bytes).max(PAGE).min(self.limit);
        Self { first, cap: self.cap.max(first), ..self }
    }

    /// Opens no block above so many bytes.
    pub(crate) fn within(self, most_bytes: u64) -> Self {
        let Self { first, cap, limit, .. } = self;
        let most = align_down(most_bytes, ATOM_MAX);
        Self { first: first.min(most), cap: cap.min(most), limit: limit.min(most), ..self }
    }

    /// Makes every block hold whole slots of so many bytes, one at least.
    pub(crate) fn with_slots(self, slot: u64) -> Self {
        let Self { first, cap, limit, .. } = self;
        let sized = Self { cap: cap.max(slot), limit: limit.max(slot), slot, ..self };
        Self { first: sized.whole_slots(first.max(slot)), ..sized }
    }

    /// Returns the size of the next block, in bytes, for a request that opens it.
    ///
    /// `live_bytes` counts what is alive in the pool, this request included, `free_bytes` what its blocks in use have
    /// free. The answer is below the request only where the request is above the limit: the caller then opens memory of
    /// its own.
    pub(crate) fn block_size(&self, request: u64, live_bytes: u64, free_bytes: u64) -> u64 {
        if let Some(fixed) = self.fixed_size {
            return fixed;
        }
        let request = request.max(self.slot);
        let cap = self.cap_at(live_bytes);
        let share = bracket_share(live_bytes).min(cap);
        let lean = share.saturating_sub(free_bytes / FREE_SHARE).max(share / 2);
        let room = round_to_pages(self.first.max(lean)).min(cap);
        let times = |count: u64| round_to_pages(request.saturating_mul(count));
        let block = if times(REQUEST_MULTIPLE) <= room { room } else { whole_times(times, cap) };
        self.whole_slots(block.min(self.limit))
    }

    /// Returns the pages of a block that its whole slots take, in bytes: what lies behind the last would serve nobody.
    fn whole_slots(&self, block: u64) -> u64 {
        round_to_pages(block - block % self.slot).min(block)
    }

    /// Returns the largest block that growth opens when so much is live, in bytes.
    fn cap_at(&self, live_bytes: u64) -> u64 {
        // Blocks of a small heap are small as it is.
        let least = self.cap.min(BLOCK_CAP / LEAST_CAP_SHARE).max(self.first);
        let most = self.cap.min(BLOCK_CAP).saturating_mul(4).max(self.cap);
        align_up(live_bytes / CAP_SHARE, PAGE).unwrap_or(u64::MAX).clamp(least, most)
    }

    /// Returns the next smaller block to ask for after a refusal, in bytes; `None` where no smaller one would hold
    /// the request.
    ///
    /// `available` is what the refusal said is left, where it said so: then one step finds the size, else it halves.
    pub(crate) fn smaller(&self, refused: u64, request: u64, available: Option<u64>) -> Option<u64> {
        if self.fixed_size.is_some() {
            return None;
        }
        let request = request.max(self.slot);
        let smallest = round_to_pages(request).min(self.limit);
        let half = round_to_pages(refused / 2);
        let next = available.map_or(half, |left| align_down(left, PAGE).min(half.max(smallest)));
        let next = if available.is_none() { next.max(smallest) } else { next };
        (next < refused && next >= smallest && next >= request).then(|| self.whole_slots(next))
    }
}

/// Returns the bytes of the request that opens a block as often as the cap allows, once at least: what is cut off
/// behind a large one would serve nobody of its size.
fn whole_times(times: impl Fn(u64) -> u64, cap: u64) -> u64 {
    (2..=REQUEST_MULTIPLE).rev().map(&times).find(|&bytes| bytes <= cap).unwrap_or_else(|| times(1))
}

/// Returns the size of a block that is opened beforehand, for room of `missing` bytes.
pub(crate) fn prewarm_block(missing: u64, settings: &GrowthSettings) -> u64 {
    settings.fixed_size.unwrap_or_else(|| round_to_pages(missing).clamp(settings.first, settings.cap).max(ATOM_MAX))
}

/// Returns the share of the live bytes that the next block should have, in bytes.
fn bracket_share(live_bytes: u64) -> u64 {
    let mut below = 0;
    let mut share = 0;
    for (border, part) in BRACKETS {
        share += (live_bytes.min(border) - below.min(live_bytes)) / part;
        below = border;
    }
    share
}

/// Rounds up to whole pages, or to the largest whole number of them.
fn round_to_pages(bytes: u64) -> u64 {
    align_up(bytes, PAGE).unwrap_or(align_down(u64::MAX, PAGE))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const SETTINGS: GrowthSettings =
        GrowthSettings { first: FIRST_BLOCK, cap: BLOCK_CAP, limit: 1 << 30, fixed_size: None, slot: 1 };

    #[test]
    fn a_block_holds_its_opener_whole_times() {
        // Above a third of the cap twice, above half of it once.
        let of = |request: u64| SETTINGS.block_size(request, 500 * MIB, 0);
        assert_eq!([of(4 * MIB), of(5 * MIB)], [16 * MIB, 16 * MIB], "three times, or what the pool's growth gives");
        assert_eq!([of(6 * MIB), of(9 * MIB), of(16 * MIB)], [12 * MIB, 9 * MIB, 16 * MIB]);
        assert_eq!([of(17 * MIB), of(40 * MIB)], [17 * MIB, 40 * MIB], "once, exactly");
    }

    #[test]
    fn blocks_follow_what_is_live() {
        let sizes = [2, 10, 40, 48, 320, 1024, 4096, 16_384].map(|live| SETTINGS.block_size(256, live * MIB, 0) / PAGE);
        assert_eq!(sizes, [16, 80, 224, 256, 256, 512, 2048, 4096]);
    }

    #[test]
    fn a_pool_that_has_much_free_opens_less_and_half_at_least() {
        let sizes = [0, 4, 16, 32, 33, 1024].map(|free| SETTINGS.block_size(256, 320 * MIB, free * MIB) / MIB);
        assert_eq!(sizes, [16, 15, 12, 8, 8, 8]);
        let first = [0, u64::MAX].map(|free| SETTINGS.block_size(256, 2 * MIB, free));
        assert_eq!(first, [MIB; 2], "never less than the first");
        let large = [0, u64::MAX].map(|free| SETTINGS.block_size(5 * MIB, 320 * MIB, free));
        assert_eq!(large, [16 * MIB, 15 * MIB], "its opener has room for two more");
    }

    #[test]
    fn the_first_block_has_a_mebibyte() {
        assert_eq!(SETTINGS.block_size(256, 256, 0), MIB);
        assert_eq!(GrowthSettings::for_heap(8 << 30, u64::MAX), GrowthSettings { limit: 1 << 30, ..SETTINGS });
    }

    #[test]
    fn a_wished_bound_bounds_every_size() {
        let bounded = SETTINGS.within(8 * MIB + 100);
        assert_eq!(bounded, GrowthSettings { cap: 8 * MIB, limit: 8 * MIB, ..SETTINGS });
        let sizes = [256, 5 * MIB, 9 * MIB].map(|request| bounded.block_size(request, 4096 * MIB, 0));
        assert_eq!(sizes, [8 * MIB; 3]);
        assert_eq!(SETTINGS.within(100 << 10).first, 100 << 10);
    }

    #[test]
    fn a_block_that_is_opened_beforehand_holds_what_is_missing() {
        let sizes = [0, MIB, 5 * MIB + 1, 65 * MIB].map(|missing| prewarm_block(missing, &SETTINGS));
        assert_eq!(sizes, [MIB, MIB, 5 * MIB + PAGE, 64 * MIB]);
        let fixed = GrowthSettings { fixed_size: Some(3 * MIB), ..SETTINGS };
        assert_eq!((prewarm_block(MIB, &fixed), fixed.block_size(MIB, MIB, 0)), (3 * MIB, 3 * MIB));
        assert_eq!(fixed.smaller(3 * MIB, MIB, None), None, "a pool of fixed blocks opens no others");
    }

    #[test]
    fn a_heap_bounds_what_follows_from_what_is_live() {
        let settings = GrowthSettings::for_heap(1024 * MIB, u64::MAX);
        assert_eq!((settings.cap, settings.limit), (64 * MIB, 128 * MIB));
        assert_eq!(settings.block_size(256, 900 * MIB, 0), 28 * MIB + 2 * PAGE);
        assert_eq!(settings.block_size(100 * MIB, 900 * MIB, 0), 100 * MIB);
        assert_eq!(settings.block_size(256, 8192 * MIB, 0), 128 * MIB);
        assert_eq!(GrowthSettings::for_heap(48 * MIB, u64::MAX).block_size(256, 38 * MIB, 0), 6 * MIB);
    }

    #[test]
    fn a_block_holds_its_opener_three_times_or_twice_or_once() {
        assert_eq!(SETTINGS.block_size(3 * MIB, 3 * MIB, 0), 9 * MIB);
        assert_eq!(SETTINGS.block_size(MIB + 1, MIB + 1, 0), 3 * MIB + PAGE);
        assert_eq!([6, 16, 17].map(|size| SETTINGS.block_size(size * MIB, size * MIB, 0) / MIB), [12, 16, 17]);
    }

    #[test]
    fn huge_requests_never_overflow() {
        assert_eq!(SETTINGS.block_size(u64::MAX, u64::MAX, 0), SETTINGS.limit);
        assert_eq!(SETTINGS.smaller(SETTINGS.limit, u64::MAX, None), None);
    }

    #[test]
    fn blocks_of_slots_hold_one_at_least_and_whole_ones() {
        let sizes = |slot| {
            let settings = SETTINGS.with_slots(slot);
            [settings.first, settings.block_size(256, 256, 0), settings.block_size(256, 2048 * MIB, 0)]
        };
        assert_eq!(sizes(1024), [MIB, MIB, 64 * MIB]);
        assert_eq!(sizes(3 * MIB), [3 * MIB, 9 * MIB, 63 * MIB]);
        assert_eq!(sizes(20 * MIB), [20 * MIB, 20 * MIB, 60 * MIB], "two would be above a quarter of the cap");
        assert_eq!(sizes(40 * MIB), [40 * MIB; 3]);
        assert_eq!(sizes(2048 * MIB + 256), [2048 * MIB + 256; 3], "a slot is more than the heap's share");
        let settings = SETTINGS.with_slots(3 * MIB);
        let refused = [16, 6, 3].map(|size| settings.smaller(size * MIB, 256, None));
        assert_eq!(refused, [Some(6 * MIB), Some(3 * MIB), None]);
        assert_eq!(settings.smaller(16 * MIB, 256, Some(5 * MIB)), Some(3 * MIB));
    }

    #[test]
    fn refusals_halve_down_to_the_request() {
        let mut size = 64 * MIB;
        let mut seen = Vec::new();
        while let Some(next) = SETTINGS.smaller(size, 5 * MIB, None) {
            seen.push(next / MIB);
            size = next;
        }
        assert_eq!(seen, [32, 16, 8, 5]);
    }

    #[test]
    fn a_known_remainder_is_taken_in_one_step() {
        assert_eq!(SETTINGS.smaller(64 * MIB, MIB, Some(20 * MIB + 1)), Some(20 * MIB));
        assert_eq!(SETTINGS.smaller(64 * MIB, MIB, Some(MIB)), Some(MIB));
        assert_eq!(SETTINGS.smaller(64 * MIB, MIB, Some(MIB - 1)), None);
        assert_eq!(SETTINGS.smaller(64 * MIB, MIB, Some(40 * MIB)), Some(32 * MIB), "never more than half");
    }

    #[test]
    fn small_heaps_get_small_blocks() {
        assert_eq!(GrowthSettings::for_heap(256 * MIB, u64::MAX).cap, 32 * MIB);
        assert_eq!(GrowthSettings::for_heap(MIB, u64::MAX).cap, 2 * PAGE);
        assert_eq!(GrowthSettings::for_heap(1000, u64::MAX).cap, 768);
        assert_eq!(GrowthSettings::for_heap(8 << 30, 16 * MIB).cap, 16 * MIB);
    }
}
