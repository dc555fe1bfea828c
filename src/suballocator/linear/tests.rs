//! Tests of the four patterns: bump, stack, double stack, ring.

use super::super::{Algorithm, Suballocator};
use super::*;

struct Line {
    subject: Suballocator,
}

impl Line {
    fn new(region_sizes: &[u64]) -> Self {
        let settings = Settings::plain(1);
        let mut subject = Suballocator::new(Algorithm::Linear, settings);
        for &size in region_sizes {
            subject.add_region(size);
        }
        Self { subject }
    }

    fn low(&mut self, size: u64) -> Option<(u64, RangeKey)> {
        self.take(&Request::new(size, 1))
    }

    fn high(&mut self, size: u64) -> Option<(u64, RangeKey)> {
        self.take(&Request::new(size, 1).end(End::High))
    }

    fn take(&mut self, request: &Request) -> Option<(u64, RangeKey)> {
        let range = self.subject.allocate(request);
        self.subject.validate().expect("the invariants hold");
        range.map(|range| (range.offset, range.key))
    }

    fn free(&mut self, key: RangeKey) {
        self.subject.free(key).expect("the key is live");
        self.subject.validate().expect("the invariants hold");
    }
}

fn offset(range: Option<(u64, RangeKey)>) -> Option<u64> {
    range.map(|(offset, _)| offset)
}

#[test]
fn it_bumps() {
    let mut line = Line::new(&[100]);
    assert_eq!(offset(line.low(30)), Some(0));
    assert_eq!(offset(line.take(&Request::new(20, 32))), Some(32));
    assert_eq!(offset(line.low(48)), Some(52));
    assert_eq!(offset(line.low(1)), None);
    assert_eq!(line.subject.largest_free_range(), 0);
}

#[test]
fn it_stacks() {
    let mut line = Line::new(&[100]);
    let keys: Vec<_> = (0..10).filter_map(|_| line.low(10)).collect();
    assert_eq!(keys.len(), 10);
    for &(_, key) in keys[4..].iter().rev() {
        line.free(key);
    }
    assert_eq!(line.subject.largest_free_range(), 60);
    assert_eq!(offset(line.low(60)), Some(40));
}

#[test]
fn what_is_freed_below_the_top_waits_for_the_top() {
    let mut line = Line::new(&[100]);
    let [a, b, c] = [10, 20, 70].map(|size| line.low(size).expect("it has room").1);
    line.free(b);
    assert_eq!(offset(line.low(5)), None);
    line.free(c);
    assert_eq!(offset(line.low(90)), Some(10));
    line.free(a);
    assert_eq!(line.subject.range_count(), 1);
}

#[test]
fn two_stacks_meet() {
    let mut line = Line::new(&[100]);
    let low = line.low(40).expect("it has room").1;
    let first = line.high(30);
    assert_eq!(offset(first), Some(70));
    let second = line.high(30);
    assert_eq!(offset(second), Some(40));
    assert_eq!(offset(line.high(1)), None);
    assert_eq!(offset(line.low(1)), None);
    line.free(low);
    // The upper stack bars a ring, and the low end has come down to 0.
    assert_eq!(offset(line.low(40)), Some(0));
    line.free(second.expect("it had room").1);
    assert_eq!(offset(line.high(25)), Some(45));
    assert_eq!(offset(line.low(5)), Some(40));
}

#[test]
fn an_upper_range_keeps_its_alignment() {
    let mut line = Line::new(&[100]);
    let request = Request::new(10, 16).end(End::High);
    let first = line.take(&request);
    assert_eq!(offset(first), Some(80));
    assert_eq!(offset(line.take(&request)), Some(64));
    line.free(first.expect("it had room").1);
    assert_eq!(offset(line.high(10)), Some(54));
}

#[test]
fn it_goes_round() {
    let mut line = Line::new(&[100]);
    let mut ring: alloc::collections::VecDeque<_> = (0..4).filter_map(|_| line.low(25)).collect();
    for turn in 0..50u64 {
        let (oldest, key) = ring.pop_front().expect("the ring is full");
        assert_eq!(oldest, turn % 4 * 25);
        line.free(key);
        ring.push_back(line.low(25).expect("the oldest was freed"));
    }
}

#[test]
fn a_ring_leaves_what_is_too_small_behind_and_finds_it_again() {
    let mut line = Line::new(&[100]);
    let a = line.low(40).expect("it has room").1;
    let b = line.low(40).expect("it has room").1;
    line.free(a);
    let c = line.low(30).expect("the front is free");
    assert_eq!(c.0, 0);
    assert_eq!(offset(line.low(15)), None, "the gap between the newest and the oldest has 10");
    assert_eq!(offset(line.high(5)), None);
    line.free(b);
    assert_eq!(line.subject.largest_free_range(), 70);
    assert_eq!(offset(line.high(5)), Some(95));
    assert_eq!(offset(line.low(65)), Some(30));
}

#[test]
fn a_ring_that_has_gone_round_does_not_overtake_itself() {
    let mut line = Line::new(&[100]);
    let a = line.low(50).expect("it has room").1;
    line.low(40).expect("it has room");
    line.free(a);
    let b = line.low(20).expect("the front is free").1;
    line.low(20).expect("the front is free");
    line.free(b);
    assert_eq!(offset(line.low(15)), None, "20 are free in front, but 10 between the newest and the oldest");
    assert_eq!(offset(line.low(10)), Some(40));
}

#[test]
fn ranges_freed_out_of_order_give_everything_back() {
    let mut line = Line::new(&[64]);
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let keys = [10, 20, 30].map(|size| line.low(size).expect("it has room").1);
        for index in order {
            line.free(keys[index]);
        }
        assert_eq!((line.subject.largest_free_range(), line.subject.empty_region_bytes()), (64, 64));
        assert_eq!(offset(line.low(64)), Some(0));
        line.subject.clear();
    }
}

#[test]
fn further_regions_serve_when_one_is_full() {
    let mut line = Line::new(&[10, 20, 30]);
    let sizes = [8, 25, 15, 8, 4];
    let regions: Vec<_> =
        sizes.iter().map(|&size| line.subject.allocate(&Request::new(size, 1)).map(|range| range.region)).collect();
    assert_eq!(regions, [Some(0), Some(2), Some(1), None, Some(1)]);
    assert_eq!(line.subject.allocate_in(2, &Request::new(5, 1)).map(|range| range.offset), Some(25));
}

#[test]
fn the_short_way_frees_what_is_of_the_upper_stack() {
    let mut line = Line::new(&[100]);
    let low = line.low(40).expect("it has room").1;
    let highs = [(); 3].map(|()| line.high(10).expect("it has room").1);
    for key in [highs[1], highs[2]] {
        assert!(line.subject.free_at_hand(key));
        line.subject.validate().expect("the invariants hold");
    }
    assert_eq!(offset(line.high(50)), Some(40), "what was freed below the first joined the gap");
    assert!(line.subject.free_at_hand(low) && line.subject.free_at_hand(highs[0]));
    line.subject.validate().expect("the invariants hold");
}

#[test]
fn the_short_way_takes_all_that_is_left() {
    let mut line = Line::new(&[100]);
    line.low(40).expect("it has room");
    assert_eq!(line.subject.allocate_at_hand(&Request::new(61, 1)), None);
    assert_eq!(line.subject.allocate_at_hand(&Request::new(60, 1)).map(|range| range.offset), Some(40));
    line.subject.validate().expect("the invariants hold");
    assert_eq!(line.subject.allocate_at_hand(&Request::new(1, 1)), None);
}

#[test]
fn the_short_way_frees_the_newest_at_the_end_behind_a_hole() {
    let mut line = Line::new(&[100]);
    let keys = [10, 20, 70].map(|size| line.low(size).expect("it has room").1);
    line.free(keys[1]);
    assert!(line.subject.free_at_hand(keys[2]));
    line.subject.validate().expect("the invariants hold");
    assert_eq!(offset(line.low(90)), Some(10));
}

#[test]
fn the_host_pays_for_each_region_s_front() {
    let line = Line::new(&[64; 100]);
    let Suballocator::Linear(linear) = &line.subject else { unreachable!("it was made as one") };
    let paid = line.subject.host_bytes() - linear.nodes.host_bytes() - linear.regions.host_bytes();
    let fronts = 100 * size_of::<Front>();
    assert!((fronts..=2 * fronts).contains(&paid), "{paid} bytes for {fronts} bytes of fronts");
}

/// A ring pays for what is live, and nothing for what is free between.
#[test]
fn the_host_pays_for_used_ranges_only() {
    let mut line = Line::new(&[2_000]);
    let mut keys: alloc::collections::VecDeque<_> = (0..100).filter_map(|_| line.low(9)).collect();
    let paid = line.subject.host_bytes();
    for _ in 0..1_000 {
        let (_, key) = keys.pop_front().expect("100 are live");
        line.free(key);
        keys.push_back(line.take(&Request::new(9, 16)).expect("there is room"));
    }
    assert_eq!(line.subject.host_bytes(), paid);
}

#[test]
fn the_largest_free_range_is_said_in_bytes() {
    let mut subject = Suballocator::new(Algorithm::Linear, Settings::plain(16));
    assert_eq!(subject.largest_free_range(), 0);
    subject.add_region(160);
    subject.allocate(&Request::new(30, 1)).expect("it has room");
    assert_eq!(subject.largest_free_range(), 128);
}

/// A ring that has gone round, and whose newest range and the last of the round before are freed: 30 are free in front
/// of the oldest, and 60 behind it.
fn turned_back() -> Line {
    let mut line = Line::new(&[100]);
    let [a, _, c] = [30, 10, 40].map(|size| line.low(size).expect("it has room").1);
    line.free(a);
    let e = line.low(25).expect("the front is free");
    assert_eq!(e.0, 0);
    line.free(e.1);
    line.free(c);
    line
}

#[test]
fn a_ring_whose_newest_is_freed_finds_what_it_left_behind() {
    let mut line = turned_back();
    assert_eq!(line.subject.largest_free_range(), 60);
    assert_eq!(line.subject.probe(&Request::new(50, 1)).map(|spot| spot.offset), Some(40));
    assert_eq!(offset(line.low(61)), None);
    assert_eq!(offset(line.low(20)), Some(0), "the gap is asked first");
    let mut line = turned_back();
    assert_eq!(offset(line.low(50)), Some(40));
    assert_eq!(offset(line.low(10)), Some(90));
    assert_eq!(offset(line.low(30)), Some(0), "it goes round again");
}

#[test]
fn an_upper_stack_starts_at_what_a_ring_left_behind() {
    let mut line = turned_back();
    let high = line.high(20).expect("the end is free");
    assert_eq!(high.0, 80);
    assert_eq!(line.subject.largest_free_range(), 40);
    assert_eq!(offset(line.low(40)), Some(40));
    assert_eq!(offset(line.low(10)), None, "an upper stack bars the way round");
    line.free(high.1);
    assert_eq!(offset(line.low(20)), Some(80));
}

/// The links between front and end are cut at last: who walked there would not come to the end.
#[test]
fn what_a_ring_left_behind_is_found_without_a_walk() {
    let mut line = Line::new(&[150]);
    let front = line.low(40).expect("it has room").1;
    let old = [(); 10].map(|()| line.low(5).expect("it has room").1);
    line.free(front);
    for _ in 0..3 {
        let end = line.low(50).expect("the end is free");
        let newest = line.low(40).expect("the front is free");
        assert_eq!((end.0, newest.0), (90, 0));
        line.free(end.1);
        line.free(newest.1);
    }
    let Suballocator::Linear(linear) = &mut line.subject else { unreachable!("it was made as one") };
    linear.nodes.table[old[5].index as usize].next = NONE;
    assert_eq!(linear.largest_free_range(), 60);
    let end = line.subject.allocate(&Request::new(50, 1));
    assert_eq!(end.map(|range| range.offset), Some(90));
}

#[test]
fn the_last_range_of_a_ring_is_whatever_has_become_it() {
    // Used up to the end; freed from the end, with and without a free range in front, by the long way and the short
    // one.
    for order in [[2, 3], [3, 2]] {
        for is_short in [false, true] {
            let mut line = Line::new(&[100]);
            let keys = [50, 10, 10, 15, 15].map(|size| line.low(size).expect("it has room").1);
            line.free(keys[0]);
            let newest = line.low(45).expect("the front is free");
            assert_eq!(newest.0, 0);
            for index in order.into_iter().chain([4]) {
                if is_short {
                    assert!(line.subject.free_at_hand(keys[index]));
                    line.subject.validate().expect("the invariants hold");
                } else {
                    line.free(keys[index]);
                }
            }
            line.free(newest.1);
            assert_eq!(line.subject.largest_free_range(), 50);
            assert_eq!(offset(line.low(40)), Some(0), "the gap is asked first");
            assert_eq!(offset(line.low(11)), None, "10 lie between the newest and the oldest");
            assert_eq!(offset(line.low(10)), Some(40));
        }
    }
}
