//! The sizes, for hand-written and generated rings.

use proptest::collection::vec;
use proptest::prelude::proptest;

use super::*;

const KIB: u64 = 1 << 10;
const SIZING: Sizing = Sizing { unit: 64, first: 64 * KIB, limit: 4096 * KIB, block_limit: 4096 * KIB, frame_count: 2 };

fn demand(peak: u64, largest: u64) -> Demand {
    let mut demand = Demand::default();
    demand.note_chunk(largest, peak);
    demand
}

fn reshape(sizing: &Sizing, blocks: &[u64], demand: &Demand) -> Reshape {
    sizing.reshape((0..).zip(blocks.iter().copied()), demand)
}

#[test]
fn chunks_follow_the_ring() {
    assert_eq!(SIZING.chunk_size(64, 64 * KIB), 2 * KIB);
    assert_eq!(SIZING.chunk_size(64, 0), KIB);
    assert_eq!(SIZING.chunk_size(64, 1 << 40), 1024 * KIB);
    assert_eq!(SIZING.chunk_size(300 * KIB, 64 * KIB), 300 * KIB);
    let coarse = Sizing { unit: 4 * KIB, ..SIZING };
    assert_eq!(coarse.chunk_size(4 * KIB, 0), 4 * KIB);
}

#[test]
fn blocks_double_the_ring() {
    let mut capacity = 0;
    let mut sizes = Vec::new();
    while let Some(size) = SIZING.block_size(KIB, capacity) {
        sizes.push(size / KIB);
        capacity += size;
    }
    assert_eq!(sizes, [64, 64, 128, 256, 512, 1024, 2048]);
    assert_eq!(capacity, SIZING.limit);
}

#[test]
fn blocks_stay_within_every_limit() {
    assert_eq!(SIZING.block_size(5 * KIB * KIB, 0), None);
    assert_eq!(SIZING.block_size(u64::MAX, 0), None);
    assert_eq!(SIZING.block_size(64, u64::MAX), None, "more than the limit already");
    assert_eq!(SIZING.block_size(0, SIZING.limit), None, "nothing is no block");
    assert_eq!(SIZING.block_size(4096 * KIB, 0), Some(4096 * KIB));
    assert_eq!(SIZING.block_size(200 * KIB, 3900 * KIB), None);
    assert_eq!(SIZING.block_size(100 * KIB, 3900 * KIB), Some(196 * KIB), "what is left");
    let small = Sizing { block_limit: 100 * KIB, ..SIZING };
    assert_eq!(small.block_size(64, 1024 * KIB), Some(100 * KIB));
}

#[test]
fn refusals_halve_down_to_the_chunk() {
    let mut size = 1024 * KIB;
    let mut seen = Vec::new();
    while let Some(next) = SIZING.smaller(size, 100 * KIB) {
        seen.push(next / KIB);
        size = next;
    }
    assert_eq!(seen, [512, 256, 128, 100]);
    assert_eq!(SIZING.smaller(17 * 64, 64), Some(8 * 64), "whole units");
}

#[test]
fn several_blocks_become_one() {
    let blocks = [64 * KIB, 64 * KIB, 128 * KIB];
    assert_eq!(reshape(&SIZING, &blocks, &demand(30 * KIB, KIB)), Reshape::KeepOnly(0), "the smallest that is enough");
    assert_eq!(reshape(&SIZING, &blocks, &demand(70 * KIB, KIB)), Reshape::KeepOnly(2));
    assert_eq!(reshape(&SIZING, &blocks, &demand(200 * KIB, 10 * KIB)), Reshape::Replace(320 * KIB));
    let full = Sizing { limit: 256 * KIB, ..SIZING };
    assert_eq!(reshape(&full, &blocks, &demand(200 * KIB, 10 * KIB)), Reshape::Keep, "no room for one beside them");
    assert_eq!(reshape(&SIZING, &[], &demand(200 * KIB, KIB)), Reshape::Keep);
}

#[test]
fn a_block_that_is_far_too_large_is_replaced() {
    assert_eq!(reshape(&SIZING, &[1024 * KIB], &demand(100 * KIB, KIB)), Reshape::Replace(192 * KIB));
    assert_eq!(reshape(&SIZING, &[768 * KIB], &demand(100 * KIB, KIB)), Reshape::Replace(192 * KIB), "just four times");
    assert_eq!(reshape(&SIZING, &[1024 * KIB], &demand(200 * KIB, KIB)), Reshape::Keep, "less than four times");
    assert_eq!(reshape(&SIZING, &[64 * KIB], &demand(0, 0)), Reshape::Keep, "never below the first");
}

#[test]
fn two_windows_count() {
    let mut demand = demand(100, 10);
    demand.next_window(5);
    assert_eq!((demand.peak, demand.earlier_peak, demand.earlier_largest), (5, 100, 10));
    demand.next_window(0);
    assert_eq!((demand.peak, demand.earlier_peak), (0, 5));
}

#[test]
fn a_ring_is_judged_twice_soon_and_then_seldom() {
    let mut demand = Demand::default();
    let mut judged = Vec::new();
    for frame in 1..=300 {
        if demand.note_frame() {
            judged.push(frame);
            demand.next_window(0);
        }
    }
    assert_eq!(judged, [24, 48, 168, 288]);
}

proptest! {
    /// I1, I2.
    #[test]
    fn blocks_hold_their_chunk(numbers: [u64; 3], shifts in [6..64_u32, 0..64, 0..64], unit in 6_u32..17) {
        // Numbers of every magnitude: of large ones alone, none has room.
        let [needed, capacity, limit] = [0, 1, 2].map(|index| numbers[index] >> shifts[index]);
        let unit = 1 << unit;
        let sizing = Sizing { unit, limit, block_limit: 1 << 40, ..SIZING };
        let needed = needed.next_multiple_of(unit).max(unit);
        if let Some(size) = sizing.block_size(needed, capacity) {
            assert!(size >= needed && size <= 1 << 40 && size % unit == 0 && capacity + size <= limit);
            if let Some(next) = sizing.smaller(size, needed) {
                assert!(next < size && next >= needed && next % unit == 0);
            }
        }
    }

    /// I3.
    #[test]
    fn a_new_shape_is_kept(blocks in vec(1_u64..64, 1..8), peak in 0..1_u64 << 23, largest in 0..1_u64 << 20) {
        let blocks: Vec<u64> = blocks.iter().map(|pages| pages * PAGE).collect();
        let demand = demand(peak, largest);
        let next = match reshape(&SIZING, &blocks, &demand) {
            Reshape::Keep => return Ok(()),
            Reshape::KeepOnly(number) => blocks[number as usize],
            Reshape::Replace(size) => size,
        };
        assert!(next <= SIZING.limit.max(blocks.iter().copied().max().unwrap()));
        match reshape(&SIZING, &[next], &demand) {
            Reshape::Keep => {}
            // One of several was kept first, and is replaced by a smaller one only then.
            Reshape::Replace(size) => {
                assert!(size < next);
                assert_eq!(reshape(&SIZING, &[size], &demand), Reshape::Keep);
            }
            Reshape::KeepOnly(number) => panic!("one block, and yet {number} is kept"),
        }
    }
}
