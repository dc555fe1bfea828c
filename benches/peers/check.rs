//! Checks a peer's results before anything is timed: alignment, no overlap, inside the memory object.

use std::collections::{BTreeMap, HashMap, VecDeque};

use ash::vk::Handle as _;

use crate::driver::Driver;
use crate::peer::{Peer, Place};
use crate::random::Random;
use crate::request::Request;

/// Which range is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Random,
    OldestFirst,
}

/// Fills a fresh peer with the requests, then replaces ranges, and checks every one.
///
/// # Panics
/// When a range is misaligned, overlaps another one, lies outside its memory object, or cannot be had.
pub(crate) fn check<P: Peer>(fill: &[Request], replacements: &[Request], order: Order) {
    let driver = Driver::new(P::OBJECTS);
    let mut random = Random::new(9);
    let mut shadow = Shadow { peer: P::new(&driver), ranges: BTreeMap::new(), live: VecDeque::new() };
    for request in fill {
        shadow.allocate(request);
    }
    shadow.check_bounds(&driver);
    for request in replacements {
        let index = if order == Order::Random { random.below(shadow.live.len()) } else { 0 };
        shadow.free(index);
        shadow.allocate(request);
    }
    shadow.check_bounds(&driver);
    while !shadow.live.is_empty() {
        shadow.free(0);
    }
    drop(shadow);
    assert_eq!(driver.reserved(), 0, "a peer that is gone holds no memory");
    assert_eq!(driver.control().violations(), [], "a peer uses the driver correctly");
}

struct Shadow<P: Peer> {
    peer: P,
    /// Live ranges: place -> end.
    ranges: BTreeMap<Place, u64>,
    live: VecDeque<P::Handle>,
}

impl<P: Peer> Shadow<P> {
    fn allocate(&mut self, request: &Request) {
        let handle = self.peer.allocate(request).expect("the device has room");
        if let Some(place) = self.peer.place(&handle) {
            self.enter(place, request);
        }
        self.live.push_back(handle);
    }

    fn enter(&mut self, place: Place, request: &Request) {
        assert_eq!(place.offset % request.alignment, 0, "{place:?} is not aligned for {request:?}");
        let end = place.offset + request.size;
        if let Some((before, before_end)) = self.ranges.range(..=place).next_back() {
            let is_apart = before.memory != place.memory || *before_end <= place.offset;
            assert!(is_apart, "{place:?} lies in {before:?} to {before_end}");
        }
        if let Some((after, _)) = self.ranges.range(place..).next() {
            assert!(after.memory != place.memory || end <= after.offset, "{place:?} to {end} reaches {after:?}");
        }
        self.ranges.insert(place, end);
    }

    fn free(&mut self, index: usize) {
        // The last one takes the place of one that is not the oldest.
        let taken = if index == 0 { self.live.pop_front() } else { self.live.swap_remove_back(index) };
        let handle = taken.expect("the index is one of the live ranges");
        if let Some(place) = self.peer.place(&handle) {
            assert!(self.ranges.remove(&place).is_some(), "{place:?} was entered when it was allocated");
        }
        self.peer.free(handle);
    }

    fn check_bounds(&self, driver: &Driver) {
        let objects = driver.sim.memory_objects();
        let sizes: HashMap<u64, u64> = objects.iter().map(|object| (object.memory.as_raw(), object.size)).collect();
        for (place, end) in &self.ranges {
            let size = sizes.get(&place.memory).copied().unwrap_or(0);
            assert!(*end <= size, "{place:?} to {end} lies outside its memory of {size} bytes");
        }
    }
}
