//! Numbers for what is under way. Who waits for what has begun knows it by its numbers: what begins later and ends
//! sooner says nothing of it.

/// What is under way, by number. Plain data: it stands behind its owner's lock.
#[derive(Debug, Default)]
pub(crate) struct UnderWay {
    begun_count: u64,
    numbers: Vec<u64>,
}

impl UnderWay {
    /// Begins one more and returns its number.
    pub(crate) fn begin(&mut self) -> u64 {
        self.begun_count += 1;
        self.numbers.push(self.begun_count);
        self.begun_count
    }

    /// Ends the one with a number.
    pub(crate) fn end(&mut self, number: u64) {
        self.numbers.retain(|&under_way| under_way != number);
    }

    /// Returns the number of the last that ever began.
    pub(crate) fn last(&self) -> u64 {
        self.begun_count
    }

    /// Returns how many have ever ended.
    pub(crate) fn ended_count(&self) -> u64 {
        self.begun_count - self.numbers.len() as u64
    }

    /// Returns whether all have ended up to a number.
    pub(crate) fn have_ended(&self, last_awaited: u64) -> bool {
        self.numbers.iter().all(|&number| number > last_awaited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_begins_later_and_ends_sooner_says_nothing() {
        let mut under_way = UnderWay::default();
        let first = under_way.begin();
        let last_awaited = under_way.last();
        let second = under_way.begin();
        under_way.end(second);
        assert_eq!((under_way.have_ended(last_awaited), under_way.ended_count()), (false, 1));
        under_way.end(first);
        assert_eq!((under_way.have_ended(last_awaited), under_way.ended_count()), (true, 2));
    }

    #[test]
    fn who_waits_for_all_waits_for_the_newest_too() {
        let mut under_way = UnderWay::default();
        let first = under_way.begin();
        under_way.end(first);
        let newest = under_way.begin();
        let last_awaited = under_way.last();
        assert!(!under_way.have_ended(last_awaited));
        under_way.end(newest);
        assert!(under_way.have_ended(last_awaited));
    }
}
