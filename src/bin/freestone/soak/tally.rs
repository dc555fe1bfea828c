//! What a soak has done, in numbers.

/// Sums over steps, threads and episodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Devices opened and closed.
    pub(crate) episodes: u64,
    /// Steps of all threads.
    pub(crate) steps: u64,
    /// Things made.
    pub(crate) allocations: u64,
    /// Things refused, as they may be.
    pub(crate) refusals: u64,
    /// Driver calls that failed on demand.
    pub(crate) failed_calls: u64,
    /// Comparisons of contents.
    pub(crate) checks: u64,
    /// Bytes compared.
    pub(crate) checked_bytes: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        let Self { episodes, steps, allocations, refusals, failed_calls, checks, checked_bytes } = *other;
        self.episodes += episodes;
        self.steps += steps;
        self.allocations += allocations;
        self.refusals += refusals;
        self.failed_calls += failed_calls;
        self.checks += checks;
        self.checked_bytes += checked_bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn sums_are_of_each_field() {
        let one =
            Tally { episodes: 1, steps: 2, allocations: 3, refusals: 4, failed_calls: 5, checks: 6, checked_bytes: 7 };
        let mut sum = one;
        sum.add(&one);
        let two = Tally {
            episodes: 2,
            steps: 4,
            allocations: 6,
            refusals: 8,
            failed_calls: 10,
            checks: 12,
            checked_bytes: 14,
        };
        assert_eq!(sum, two);
    }
}
