//! Times of single operations: how they are taken, joined and summed up.
//!
//! An operation that called the driver has no sample: what a driver takes is not the allocator's doing. Such
//! operations are counted instead.

use std::time::{Duration, Instant};

use serde::Serialize;

/// Pairs of time stamps that the clock's own cost is judged by. By taste: some microseconds in all.
const CALIBRATIONS: usize = 1001;

/// Knows what a pair of time stamps costs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    cost: Duration,
}

impl Clock {
    /// Measures the cost: the median of many pairs with nothing between.
    pub(crate) fn new() -> Self {
        let mut costs: Vec<Duration> = (0..CALIBRATIONS).map(|_| Instant::now().elapsed()).collect();
        costs.sort_unstable();
        Self { cost: costs[CALIBRATIONS / 2] }
    }

    /// Returns nanoseconds without the clock's own.
    pub(crate) fn net(&self, elapsed: Duration) -> u64 {
        u64::try_from(elapsed.saturating_sub(self.cost).as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Nanoseconds of each operation in order; `None` where the driver was called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Samples(Vec<Option<u64>>);

/// Percentiles of operations, in nanoseconds; all zero where there was none to measure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Percentiles {
    /// Half of the operations took no longer.
    pub(crate) median: u64,
    /// 99 of 100 operations took no longer.
    pub(crate) p99: u64,
    /// The longest operation.
    pub(crate) max: u64,
}

impl Samples {
    /// Adds the next operation.
    pub(crate) fn push(&mut self, nanoseconds: Option<u64>) {
        self.0.push(nanoseconds);
    }

    /// Joins passes over the same operations: each counts with its least time, so that an interruption of one pass
    /// does not show, while an operation that is slow each time does.
    pub(crate) fn least(mut self, other: &Self) -> Self {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine = mine.zip(*theirs).map(|(mine, theirs)| mine.min(theirs));
        }
        self
    }

    /// Returns how many operations called the driver.
    pub(crate) fn driver_ops(&self) -> u64 {
        self.0.iter().filter(|sample| sample.is_none()).count() as u64
    }

    /// Sums up the operations that did not call the driver.
    pub(crate) fn percentiles(&self) -> Percentiles {
        let mut sorted: Vec<u64> = self.0.iter().copied().flatten().collect();
        sorted.sort_unstable();
        let at = |hundredths| rank(sorted.len(), hundredths).map_or(0, |rank| sorted[rank]);
        Percentiles { median: at(50), p99: at(99), max: at(100) }
    }
}

/// Index of the least sample that so many hundredths do not exceed (the nearest-rank method).
fn rank(count: usize, hundredths: usize) -> Option<usize> {
    (count * hundredths).div_ceil(100).checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::{Clock, Duration, Percentiles, Samples};

    #[test]
    fn percentiles_by_nearest_rank() {
        let of = |samples: &[u64]| Samples(samples.iter().copied().map(Some).collect()).percentiles();
        assert_eq!(of(&[]), Percentiles::default());
        assert_eq!(of(&[7]), Percentiles { median: 7, p99: 7, max: 7 });
        assert_eq!(of(&[4, 3, 2, 1]), Percentiles { median: 2, p99: 4, max: 4 });
        let hundred: Vec<u64> = (1..=100).rev().collect();
        assert_eq!(of(&hundred), Percentiles { median: 50, p99: 99, max: 100 });
    }

    #[test]
    fn operations_that_called_the_driver_are_counted_only() {
        let samples = Samples(vec![None, Some(5), None]);
        assert_eq!((samples.driver_ops(), samples.percentiles().max), (2, 5));
    }

    #[test]
    fn passes_join_to_the_least_of_each() {
        let (one, two) = (Samples(vec![Some(5), Some(9), None]), Samples(vec![Some(6), Some(2), Some(1)]));
        assert_eq!(one.least(&two), Samples(vec![Some(5), Some(2), None]));
    }

    #[test]
    fn the_clocks_own_cost_is_taken_off_and_never_below_zero() {
        let clock = Clock { cost: Duration::from_nanos(30) };
        assert_eq!((clock.net(Duration::from_nanos(100)), clock.net(Duration::from_nanos(10))), (70, 0));
        assert!(Clock::new().cost < Duration::from_millis(1));
    }
}
