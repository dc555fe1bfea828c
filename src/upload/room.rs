//! *Policy*: whether a piece is taken now, the ring grows, or the caller has to make room.
//!
//! A ring that is nearly full has small rests, which would cut an upload into shreds: many commands, and many flushes.
//! So a piece is taken if it is a fair part of what an empty ring would give, a whole block. An empty ring gives just
//! that, so whoever waits for all that is in flight always gets further.

/// A piece is taken if it has at least one in so many of the bytes that it had in an empty ring. Taste: at most four
/// times as many commands as with an empty ring.
const LEAST_PART: u64 = 4;

/// What is done for the next piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It is taken as large as it can be had.
    Take,
    /// The ring opens another block.
    Grow,
    /// The caller is told that the ring is full.
    Wait,
}

/// Whether the ring may open another block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Growth {
    /// It may.
    Allowed,
    /// Its limit is reached, or memory was refused just now.
    Refused,
}

/// Chooses, for a piece of which `offered` bytes can be had now (0 for none), and `ideal` in an empty ring.
pub(super) fn choose(offered: u64, ideal: u64, growth: Growth) -> Step {
    if offered > 0 && offered >= ideal.div_ceil(LEAST_PART) {
        Step::Take
    } else if growth == Growth::Allowed {
        Step::Grow
    } else {
        Step::Wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_ring_always_serves() {
        for ideal in [1, 3, 4, 5, u64::MAX] {
            assert_eq!(choose(ideal, ideal, Growth::Refused), Step::Take, "{ideal}");
        }
    }

    #[test]
    fn shreds_are_not_taken() {
        assert_eq!(choose(25, 100, Growth::Refused), Step::Take);
        assert_eq!(choose(24, 100, Growth::Refused), Step::Wait);
        assert_eq!(choose(24, 100, Growth::Allowed), Step::Grow);
        assert_eq!(choose(0, 0, Growth::Refused), Step::Wait);
    }
}
