//! *Policy*: how many slots the next slab of a class has, what it may be cut out of, and how many empty ones are kept.
//!
//! ```text
//!   sizes up to the limit   a half of what the class has, a quarter from 64 slots on; 4 KiB at least
//!                           512 KiB at most, or a 64th of what the class has; 1 slot at least, 64 at most
//!   larger ones             8 slots, where so much is live that one of them weighs little, out of a free range of 16;
//!                           an eighth of what is live in all at most
//! ```
//!
//! Pure functions of plain numbers: no slab, no range, no state.

/// Most slots of a slab: as many as a machine word has bits.
const SLOT_COUNT: u64 = 64;

/// Largest slab in bytes while its class has few slots: what one remaining slot can pin. Two slots of 256 KiB: with
/// one, mixed sizes of up to 1 MiB take 8 % more instructions and half as many host bytes again, and the recorded
/// applications save nothing.
const SLAB_BYTES: u64 = 512 << 10;

/// Smallest slab, as a share (1/n) of the largest: 4 KiB, so that sizes of no account cost few slabs.
const SLAB_LEAST_SHARE: u64 = 128;

/// From this many slots on, the next slab adds a quarter of the class, not half: the program is no small one.
/// Measured on uploads of four frames in flight: 1.14 reserved / live instead of 1.36, at the same cost; recorded
/// applications 1.155 instead of 1.154. From 32 slots on 1.158, for every class 1.155 and 13 % more instructions.
const MANY_SLOTS: u64 = 64;

/// A slab of a class with many slots may have this share (1/n) of them: so a class of any size has few slabs.
const SLAB_SHARE: u64 = 64;

/// Slots of every slab of large ones. Measured on a level that streams, and on mixed sizes of up to 1 and 16 MiB, with
/// 10 GiB and more live, before their share was bound: with up to 64, as large as a 1,024th of what is live, 0.2 % more
/// memory in the same time; with four, of twice the size, 0.2 % more in 4 % less.
const LARGE_SLOT_COUNT: u64 = 8;

/// Slabs of large slots have this share (1/n) of what is live together, at most: what other sizes may find themselves
/// kept from. Measured where sizes shift: of 12 GiB of 256 KiB to 1.5 MiB nine of ten are freed at random, and 1.5 to 6
/// MiB come in their place: 1.10 reserved / live, without a bound 1.15, without such slabs 1.07. The time of the other
/// workloads is the same with and without it.
const LARGE_SHARE: u64 = 8;

/// A slab of large slots is cut only out of a free range that holds so many of them. The gaps that large resources
/// leave stay for single ones: wherever a slab fits instead, a level that streams reserves 1.15 of what is live, not
/// 1.09, and mixed sizes of up to 16 MiB 1.2, not 1.07 (without a bound on their share).
const LARGE_SLAB_ROOM: u64 = 2 * LARGE_SLOT_COUNT;

/// Empty slabs are kept up to this many bytes plus a 32nd of what is live. With 1 MiB instead, ten live allocations of
/// up to 1 MiB cost a fifth more instructions.
const KEPT_BYTES: u64 = 4 << 20;

/// Returns how many slots the next slab of a class has, a power of two, where a slot has so many bytes and the class so
/// many slots.
pub(super) fn small_slab_slots(slot: u64, slots: u64) -> u64 {
    let in_largest = SLAB_BYTES / slot;
    let share = slots / if slots < MANY_SLOTS { 2 } else { 4 };
    let count = share.max(in_largest / SLAB_LEAST_SHARE).min(in_largest.max(slots / SLAB_SHARE));
    1 << count.clamp(1, SLOT_COUNT).ilog2()
}

/// Returns how many slots the next slab of a class of large ones has, where a slot has so many bytes, all slabs of
/// large slots `large_bytes`, and `used_bytes` are live; 0 for no slab.
pub(super) const fn large_slab_slots(slot: u64, large_bytes: u64, used_bytes: u64) -> u64 {
    if large_bytes + slot * LARGE_SLOT_COUNT <= used_bytes / LARGE_SHARE { LARGE_SLOT_COUNT } else { 0 }
}

/// Tells whether a slab of large slots may be cut out of a free range, both in units: a shorter one is better filled by
/// the request itself.
#[inline]
pub(in super::super) const fn is_worth_a_large_slab(slot: u64, range: u64) -> bool {
    slot * LARGE_SLAB_ROOM <= range
}

/// Returns how many bytes of empty slabs are kept, by what is live.
#[inline]
pub(in super::super) const fn kept_bound(used_bytes: u64) -> u64 {
    (used_bytes >> 5) + KEPT_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slab_has_half_of_what_its_class_has_and_a_quarter_of_many() {
        assert_eq!(
            [0, 3, 4, 63, 64, 127, 256].map(|slots| small_slab_slots(4 << 10, slots)),
            [1, 1, 2, 16, 16, 16, 64]
        );
        assert_eq!(small_slab_slots(4 << 10, u64::MAX), 64);
    }

    #[test]
    fn a_slab_is_of_4_kib_at_least_and_512_at_most_or_a_64th_of_its_class() {
        assert_eq!([64, 100, 1 << 10, 3 << 10, 4 << 10].map(|slot| small_slab_slots(slot, 0)), [64, 32, 4, 1, 1]);
        assert_eq!([128, 192, 256, 1 << 20].map(|slot| small_slab_slots(slot << 10, 60)), [4, 2, 2, 1]);
        assert_eq!([255, 256, 1_024, 10_000].map(|slots| small_slab_slots(256 << 10, slots)), [2, 4, 16, 64]);
    }

    #[test]
    fn large_slots_come_in_eights_within_an_eighth_of_what_is_live_and_out_of_twice_as_much() {
        assert_eq!([6_399, 6_400].map(|used_bytes| large_slab_slots(100, 0, used_bytes)), [0, 8]);
        assert_eq!([200, 201].map(|large_bytes| large_slab_slots(100, large_bytes, 8_000)), [8, 0]);
        assert_eq!([1_599, 1_600].map(|range| is_worth_a_large_slab(100, range)), [false, true]);
    }

    #[test]
    fn what_is_kept_follows_what_is_live() {
        assert_eq!([0, 1 << 30].map(kept_bound), [4 << 20, 36 << 20]);
    }
}
