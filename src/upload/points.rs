//! Batches and the points at which they have passed: plain numbers, no device.
//!
//! ```text
//!   record... record... ── submitted(7) ──► batch 0 is in flight until 7 has passed
//!   record...           ── submitted(9) ──► batch 1 is in flight until 9 has passed
//!   collect(8)                              batch 0 has passed
//!   collect(u64::MAX)                       the device is idle: all have passed, and the next point may still be 10
//! ```
//!
//! Invariants:
//! - P1: batches are numbered in the order of their submission, and so are their points, which never descend.
//! - P2: every batch below `passed` has passed; those from `passed` to `current` are in flight; `current` is recorded.
//! - P3: a batch that was discarded is the last of its span, and the next one gets its number. So number and span
//!   together name a batch among those of all rings.

use std::collections::VecDeque;
use std::sync::Arc;

use super::error::TransferError;
use crate::sync::{Ordering, StaticU64};

/// The batches of one ring.
#[derive(Debug, Default)]
pub(super) struct Points {
    in_flight: VecDeque<u64>,
    passed: u64,
    has_recorded: bool,
    last: Option<u64>,
    span: Arc<Span>,
}

/// Names a batch among those of all rings, however long ago it ended (P3).
#[derive(Clone, Debug)]
pub(super) struct Batch {
    number: u64,
    span: Arc<Span>,
}

/// The batches of one ring from a discard to the next. It lives as long as a transfer that remembers one of them.
#[derive(Debug)]
struct Span {
    /// The number of the batch that was discarded; [`NONE`] until then.
    discarded: StaticU64,
}

/// The number of no batch.
const NONE: u64 = u64::MAX;

impl Default for Span {
    fn default() -> Self {
        Self { discarded: StaticU64::new(NONE) }
    }
}

impl Batch {
    /// Tells whether it was discarded. Whoever asks has the ring's owner, which orders this behind the discard.
    pub(super) fn is_discarded(&self) -> bool {
        self.span.discarded.load(Ordering::Relaxed) == self.number
    }
}

impl Points {
    /// Returns the batch that is being recorded.
    pub(super) fn current(&self) -> u64 {
        self.passed + self.in_flight.len() as u64
    }

    /// Notes that something was recorded into the current batch.
    pub(super) fn note_recording(&mut self) {
        self.has_recorded = true;
    }

    /// Names the batch that is being recorded.
    pub(super) fn current_batch(&self) -> Batch {
        Batch { number: self.current(), span: Arc::clone(&self.span) }
    }

    /// Tells whether that batch is the one that is being recorded.
    pub(super) fn is_current(&self, batch: &Batch) -> bool {
        batch.number == self.current() && Arc::ptr_eq(&batch.span, &self.span)
    }

    /// Notes that nothing of the current batch will run (P3).
    pub(super) fn discard(&mut self) {
        if self.has_recorded {
            self.span.discarded.store(self.current(), Ordering::Relaxed);
            self.span = Arc::default();
        }
        self.has_recorded = false;
    }

    /// Tells whether something was recorded since the last submission.
    pub(super) fn has_recorded(&self) -> bool {
        self.has_recorded
    }

    /// Ends the current batch: it has passed when `point` has. A batch of nothing is none.
    ///
    /// # Errors
    /// `IdlePoint`, `PointNotAscending`; nothing has changed then.
    pub(super) fn submitted(&mut self, point: u64) -> Result<(), TransferError> {
        if !self.has_recorded {
            return Ok(());
        }
        if point == u64::MAX {
            return Err(TransferError::IdlePoint);
        }
        let is_taken = |last: u64| point < last || (point == last && self.in_flight.is_empty());
        if let Some(last) = self.last.filter(|&last| is_taken(last)) {
            return Err(TransferError::PointNotAscending { point, last });
        }
        self.last = Some(point);
        self.in_flight.push_back(point);
        self.has_recorded = false;
        Ok(())
    }

    /// Notes that all points up to `completed` have passed; `u64::MAX` stands for an idle device and is no point.
    pub(super) fn collect(&mut self, completed: u64) {
        while self.in_flight.front().is_some_and(|&point| point <= completed) {
            self.in_flight.pop_front();
            self.passed += 1;
        }
        if completed < u64::MAX {
            self.last = self.last.max(Some(completed));
        }
    }

    /// Tells whether a batch has passed.
    pub(super) fn has_passed(&self, batch: u64) -> bool {
        batch < self.passed
    }

    /// Returns the point of a batch in flight.
    pub(super) fn point_of(&self, batch: u64) -> Option<u64> {
        let index = usize::try_from(batch.checked_sub(self.passed)?).ok()?;
        self.in_flight.get(index).copied()
    }

    /// Returns the point that passes next.
    pub(super) fn next_point(&self) -> Option<u64> {
        self.in_flight.front().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn submit(points: &mut Points, point: u64) -> bool {
        points.note_recording();
        points.submitted(point).is_ok()
    }

    #[test]
    fn batches_pass_with_their_points() {
        let mut points = Points::default();
        assert!(submit(&mut points, 7) && submit(&mut points, 7) && submit(&mut points, 9));
        assert_eq!((points.current(), points.next_point()), (3, Some(7)));
        points.collect(6);
        assert!(!points.has_passed(0));
        points.collect(8);
        assert!(points.has_passed(1) && !points.has_passed(2));
        assert_eq!((points.point_of(1), points.point_of(2), points.point_of(3)), (None, Some(9), None));
        points.collect(u64::MAX);
        assert!(points.has_passed(2) && !points.has_passed(3));
    }

    #[test]
    fn an_idle_device_ends_no_points() {
        let mut points = Points::default();
        assert!(submit(&mut points, 7));
        points.collect(u64::MAX);
        assert!(points.has_passed(0));
        assert!(!submit(&mut points, 7), "7 has passed");
        assert!(!submit(&mut points, u64::MAX), "no work signals it");
        assert!(submit(&mut points, 8));
    }

    #[test]
    fn a_point_that_has_passed_or_descends_is_refused_and_nothing_is_lost() {
        let mut points = Points::default();
        assert!(submit(&mut points, 5));
        assert!(!submit(&mut points, 4));
        assert!(points.has_recorded(), "the batch is still there");
        points.collect(5);
        assert!(!submit(&mut points, 5), "5 has passed");
        assert!(submit(&mut points, 6));
        points.collect(3);
        assert!(!points.has_passed(1), "an older point changes nothing");
    }

    #[test]
    fn what_others_have_passed_is_no_point_of_ours() {
        let mut points = Points::default();
        points.collect(5);
        assert!(!submit(&mut points, 5) && !submit(&mut points, 3), "5 has passed");
        assert!(submit(&mut points, 6));
    }

    #[test]
    fn a_batch_knows_for_ever_whether_it_was_discarded() {
        let mut points = Points::default();
        points.note_recording();
        let submitted = points.current_batch();
        points.submitted(1).unwrap();
        points.note_recording();
        let discarded = points.current_batch();
        assert!(points.is_current(&discarded) && !points.is_current(&submitted));
        points.discard();
        let next = points.current_batch();
        assert_eq!(next.number, discarded.number);
        assert!(points.is_current(&next) && !points.is_current(&discarded));
        assert!(submit(&mut points, 2));
        points.collect(2);
        let all = [&submitted, &discarded, &next];
        assert_eq!(all.map(Batch::is_discarded), [false, true, false]);
        let other = Points { passed: points.passed, ..Points::default() };
        assert!(!points.is_current(&other.current_batch()), "another ring's");
    }

    #[test]
    fn nothing_recorded_is_no_batch() {
        let mut points = Points::default();
        points.submitted(3).unwrap();
        assert_eq!((points.current(), points.next_point()), (0, None));
        points.note_recording();
        points.discard();
        points.submitted(1).unwrap();
        assert_eq!(points.current(), 0);
    }
}
