//! What lives where, kept beside the allocator: no two share a byte, and no page has two kinds.
//!
//! Invariant: the ranges of one memory object are disjoint, since `enter` refuses any other.

use std::collections::BTreeMap;

use ash::vk::{self, Handle as _};
use freestone::{Allocation, Kind};

/// One used range: its end, and its kind.
type Range = (u64, Kind);

/// The used ranges of every memory object.
#[derive(Debug, Default)]
pub(crate) struct Shadow {
    objects: BTreeMap<vk::DeviceMemory, BTreeMap<u64, Range>>,
    count: u64,
}

impl Shadow {
    /// Enters an allocation that was made; `granularity` is the device's `bufferImageGranularity`.
    ///
    /// # Errors
    /// What it shares, and with whom.
    pub(crate) fn enter(&mut self, allocation: &Allocation, granularity: u64) -> Result<(), String> {
        let range = (allocation.offset(), allocation.offset() + allocation.size(), allocation.kind());
        let ranges = self.objects.entry(allocation.memory()).or_default();
        insert(ranges, range, granularity)
            .map_err(|what| format!("memory object {:#x}: {what}", allocation.memory().as_raw()))?;
        self.count += 1;
        Ok(())
    }

    /// Strikes out an allocation that is about to be freed.
    ///
    /// # Errors
    /// It was not entered where it now says it lies: its data changed behind its owner's back.
    pub(crate) fn strike(&mut self, allocation: &Allocation) -> Result<(), String> {
        let ranges = self.objects.entry(allocation.memory()).or_default();
        let struck = ranges.remove(&allocation.offset());
        if ranges.is_empty() {
            self.objects.remove(&allocation.memory());
        }
        match struck {
            Some((end, _)) if end == allocation.offset() + allocation.size() => {
                self.count -= 1;
                Ok(())
            }
            other => Err(format!("{allocation:?} was entered as {other:?}")),
        }
    }

    /// Returns how many allocations live.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }
}

fn insert(
    ranges: &mut BTreeMap<u64, Range>,
    (start, end, kind): (u64, u64, Kind),
    granularity: u64,
) -> Result<(), String> {
    let before = ranges.range(..=start).next_back();
    let after = ranges.range(start..).next();
    for (&other, &(other_end, other_kind)) in before.into_iter().chain(after) {
        if other < end && start < other_end {
            return Err(format!("{start}..{end} overlaps {other}..{other_end}"));
        }
        let (own_last, other_last) = ((end - 1) / granularity, (other_end - 1) / granularity);
        if kind != other_kind && start / granularity <= other_last && other / granularity <= own_last {
            return Err(format!("{start}..{end} and {other}..{other_end} share a page of two kinds"));
        }
    }
    ranges.insert(start, (end, kind));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{BTreeMap, Kind, insert};

    #[test]
    fn ranges_that_share_a_byte_or_a_page_of_two_kinds_are_refused() {
        let mut ranges = BTreeMap::new();
        let mut enter = |start, end, kind| insert(&mut ranges, (start, end, kind), 1024).is_ok();
        assert!(enter(100, 200, Kind::Linear));
        assert!(!enter(199, 300, Kind::Linear) && !enter(0, 101, Kind::Linear) && !enter(100, 200, Kind::Linear));
        assert!(enter(200, 300, Kind::Linear) && enter(0, 100, Kind::Linear));
        assert!(!enter(300, 400, Kind::NonLinear));
        assert!(enter(1024, 2048, Kind::NonLinear) && !enter(2047, 2049, Kind::NonLinear));
        assert!(enter(2048, 2100, Kind::Linear));
    }
}
