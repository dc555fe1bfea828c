//! *Policy*: how a range meets an alignment that is no power of two, and how large the next buffer is.
//!
//! ```text
//!   the suballocator's range   |  padding  |  size bytes            |      offset: a multiple of the power of two
//!                              ^ offset    ^ start                         start:  a multiple of the alignment
//! ```
//!
//! The suballocator aligns to powers of two. The largest one that divides the alignment is asked of it, and the rest is
//! padding in front: as much as the place that it would choose needs, else as much as any place could need. Ranges of
//! one stride whose sizes are multiples of it lie side by side, without padding.
//!
//! Invariants:
//! - I1: a range of [`Fit::anywhere`]'s size holds `size` bytes at a multiple of the alignment, wherever it lies.

use super::error::ArenaError;
use crate::suballocator::{End, Request};

/// A range that is wanted: so many bytes at a multiple of any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fit {
    size: u64,
    alignment: u64,
}

impl Fit {
    /// Checks a request.
    ///
    /// # Errors
    /// `ZeroSize` or `ZeroAlignment`.
    pub(super) fn new(size: u64, alignment: u64) -> Result<Self, ArenaError> {
        if size == 0 {
            return Err(ArenaError::ZeroSize);
        }
        if alignment == 0 {
            return Err(ArenaError::ZeroAlignment);
        }
        Ok(Self { size, alignment })
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn alignment(&self) -> u64 {
        self.alignment
    }

    /// Returns the largest power of two that divides the alignment.
    fn power(&self) -> u64 {
        1 << self.alignment.trailing_zeros()
    }

    /// Asks for the bytes at a place of the suballocator's choice, if that place needed no padding.
    pub(super) fn bare(&self) -> Request {
        self.request(self.size)
    }

    /// Asks for as many bytes as are needed at `offset`; `None` where they overflow.
    pub(super) fn at(&self, offset: u64) -> Option<Request> {
        Some(self.request(self.size.checked_add(self.padding_at(offset))?))
    }

    /// Asks for as many bytes as are needed at any offset; `None` where they overflow.
    pub(super) fn anywhere(&self) -> Option<Request> {
        Some(self.request(self.size.checked_add(self.alignment - self.power())?))
    }

    /// Returns where the bytes start in a range; `None` where it is too short for them.
    pub(super) fn start_in(&self, offset: u64, size: u64) -> Option<u64> {
        let padding = self.padding_at(offset);
        (padding <= size && self.size <= size - padding).then(|| offset + padding)
    }

    fn padding_at(&self, offset: u64) -> u64 {
        match offset % self.alignment {
            0 => 0,
            past => self.alignment - past,
        }
    }

    /// The low end: what [`at`](Self::at) reckons with is where a longer range begins too.
    fn request(&self, size: u64) -> Request {
        Request::new(size, self.power()).end(End::Low)
    }
}

/// What bounds the buffers of an arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// What every buffer's size is a multiple of; a power of two.
    pub unit: u64,
    /// The usual size of a buffer.
    pub buffer_size: u64,
    /// The largest buffer that the device allows.
    pub largest: u64,
}

/// Returns the size of the next buffer: the usual one, or as large as the range, or what is left of the limit. `None`
/// where the range fits into neither.
pub(super) fn next_buffer_size(size: u64, left: u64, bounds: &Bounds) -> Option<u64> {
    let whole_units = |bytes: u64| bytes & !(bounds.unit - 1);
    let need = whole_units(size.checked_add(bounds.unit - 1)?);
    let most = whole_units(left.min(bounds.largest));
    (need <= most).then(|| bounds.buffer_size.max(need).min(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_for_anywhere_holds_the_bytes_anywhere() {
        for alignment in [1, 2, 3, 4, 6, 12, 20, 36, 48, 256, 768, 1000] {
            let fit = Fit::new(100, alignment).expect("a sound request");
            let request = fit.anywhere().expect("small");
            for offset in (0..4000).step_by(usize::try_from(request.alignment).expect("small")) {
                let start = fit.start_in(offset, request.size).expect("I1");
                assert!(
                    start.is_multiple_of(alignment) && start + 100 <= offset + request.size,
                    "{alignment} at {offset}"
                );
                let exact = fit.at(offset).expect("small");
                assert_eq!(fit.start_in(offset, exact.size), Some(start));
                assert_eq!(fit.start_in(offset, exact.size - 1), None, "no byte too many");
            }
        }
    }

    #[test]
    fn powers_of_two_need_no_padding() {
        let fit = Fit::new(100, 256).expect("a sound request");
        assert_eq!(fit.anywhere(), Some(fit.bare()));
        assert_eq!((fit.size(), fit.alignment()), (100, 256));
    }

    #[test]
    fn what_overflows_is_refused() {
        let fit = Fit::new(u64::MAX, 12).expect("a sound request");
        assert_eq!((fit.anywhere(), fit.at(4)), (None, None));
        assert!(matches!(Fit::new(0, 4), Err(ArenaError::ZeroSize)));
        assert!(matches!(Fit::new(4, 0), Err(ArenaError::ZeroAlignment)));
    }

    #[test]
    fn buffers_are_as_large_as_usual_or_as_needed_or_as_allowed() {
        let bounds = Bounds { unit: 4, buffer_size: 1000, largest: 5000 };
        assert_eq!(next_buffer_size(10, u64::MAX, &bounds), Some(1000));
        assert_eq!(next_buffer_size(2000, u64::MAX, &bounds), Some(2000));
        assert_eq!(next_buffer_size(2001, u64::MAX, &bounds), Some(2004));
        assert_eq!(next_buffer_size(10, 503, &bounds), Some(500));
        assert_eq!(next_buffer_size(502, 503, &bounds), None);
        assert_eq!(next_buffer_size(5001, u64::MAX, &bounds), None);
        assert_eq!(next_buffer_size(u64::MAX, u64::MAX, &bounds), None);
    }
}
