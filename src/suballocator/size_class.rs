//! Size to class, and back: the two number formats of floor 0.
//!
//! A class is a tiny floating-point number: an exponent and a few leading bits. *Range classes* have 16 steps per
//! power of two and name the lists of free ranges; *slab classes* have 8 and name the slot sizes of slabs. Sizes are
//! in units and below 2^42.
//!
//! ```text
//! range class   1  2 … 31 | 32    33  … 47    | 48    … 63     | …
//! its sizes     1  2 … 31 | 32-33 34-35 62-63 | 64-67 … 124-127| …
//! ```
//!
//! Invariants:
//! * I1: `floor` never decreases, and `smallest(floor(s)) <= s < smallest(floor(s) + 1)`: a free range is stored there.
//! * I2: `ceiling(s)` is the lowest class whose every size is at least `s`: a search may take any range of it.
//! * I3: `slab_slot(slab_class(s)) >= s`, by less than an eighth of `s` for sizes above 8; and a slot size is a
//!   multiple of the power of two that its class counts in.
//!
//! Source: M. Masmano et al., "TLSF: a new dynamic memory allocator for real-time systems" (2004), section 3.

/// Bits of a size or an offset, in units: 4 TiB even where the unit is one byte.
pub(crate) const SIZE_BITS: u32 = 42;

/// The largest size and offset, in units.
pub(crate) const MAX_SIZE: u64 = (1 << SIZE_BITS) - 1;

/// Largest slot of a slab, in units and in bytes: it fits a `u32`, and its class a `u8`.
pub(crate) const MAX_SLAB_SLOT: u64 = 1 << 31;

/// Returns the class that a free range of `size` units is stored in.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "what is shifted down is below 32")]
pub(crate) const fn floor(size: u64) -> usize {
    let exponent = 59 - (size | 16).leading_zeros();
    ((exponent << 4) as usize) + (size >> exponent) as usize
}

/// Returns the lowest class in which every range holds `size` units, `size` being at least 1.
#[inline]
pub(crate) const fn ceiling(size: u64) -> usize {
    floor(size - 1) + 1
}

/// Returns the smallest size of a range class, in units.
#[cfg(test)]
pub(crate) const fn smallest(class: usize) -> u64 {
    if class < 32 {
        return class as u64;
    }
    let exponent = (class >> 4) - 1;
    ((class - (exponent << 4)) as u64) << exponent
}

/// Returns the slab class whose slots hold `size` units, `size` being from 1 to [`MAX_SLAB_SLOT`].
#[inline]
pub(crate) const fn slab_class(size: u64) -> usize {
    slab_class_of_last(size - 1)
}

/// Returns the same for the size `last + 1`, whatever `last` is: a class that no table reaches for large ones.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "what is shifted down is below 16")]
pub(crate) const fn slab_class_of_last(last: u64) -> usize {
    let exponent = 60 - (last | 8).leading_zeros();
    ((exponent << 3) as usize) + (last >> exponent) as usize
}

/// Returns the slot size of a slab class, in units.
#[inline]
pub(crate) const fn slab_slot(class: usize) -> u64 {
    if class < 16 {
        return class as u64 + 1;
    }
    let exponent = (class >> 3) - 1;
    ((class - (exponent << 3)) as u64 + 1) << exponent
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Number of range classes that sizes below `1 << SIZE_BITS` use.
    const CLASS_COUNT: usize = floor(MAX_SIZE) + 1;

    /// Sizes around every border: all small ones, then each power of two and each step of each octave.
    fn borders() -> impl Iterator<Item = u64> {
        let steps = (4..SIZE_BITS).flat_map(|exponent| (16..32).map(move |step| (step << exponent) >> 4));
        let around = steps.flat_map(|size| [size - 1, size, size + 1]);
        (1..70_000).chain(around).filter(|&size| (1..=MAX_SIZE).contains(&size))
    }

    #[test]
    fn floor_keeps_its_borders() {
        for size in borders() {
            let class = floor(size);
            assert!(class < CLASS_COUNT, "{size}");
            assert!(smallest(class) <= size, "{size}");
            assert!(smallest(class + 1) > size, "{size}");
        }
        assert_eq!(floor(MAX_SIZE), CLASS_COUNT - 1);
    }

    #[test]
    fn ceiling_is_the_first_class_that_surely_holds() {
        for size in borders() {
            let class = ceiling(size);
            assert!(smallest(class) >= size, "{size}");
            assert!(smallest(class - 1) < size, "{size}");
        }
    }

    #[test]
    fn every_class_is_met_in_order() {
        for class in 1..CLASS_COUNT {
            assert_eq!(floor(smallest(class)), class);
            assert_eq!(floor(smallest(class + 1) - 1), class);
            assert!(smallest(class) < smallest(class + 1));
        }
    }

    #[test]
    fn classes_hold_at_2_to_the_40() {
        let size = 1 << 40;
        assert_eq!(smallest(floor(size)), size);
        assert_eq!(floor(size - 1) + 1, floor(size));
        assert_eq!(ceiling(size), floor(size));
        assert_eq!(ceiling(size + 1), floor(size) + 1);
        assert_eq!(smallest(floor(size + (1 << 36))), size + (1 << 36));
    }

    #[test]
    fn slab_slots_hold_their_sizes_and_waste_less_than_an_eighth() {
        for size in borders().filter(|&size| size <= MAX_SLAB_SLOT) {
            let class = slab_class(size);
            let slot = slab_slot(class);
            assert!(u8::try_from(class).is_ok());
            assert!(slot >= size, "{size}");
            assert!(class == 0 || slab_slot(class - 1) < size, "{size}");
            assert!(if size <= 8 { slot == size } else { (slot - size) * 8 < size }, "{size} {slot}");
        }
        assert_eq!(slab_slot(slab_class(MAX_SLAB_SLOT)), MAX_SLAB_SLOT);
    }
}
