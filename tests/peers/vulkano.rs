//! vulkano: `vulkano-rs/vulkano`, whose small suballocators had five bugs in three years.

use std::collections::BTreeMap;

use freestone::sim::Profile;
use freestone::{
    Algorithm, Allocation, AllocationCreateInfo, Kind, PoolCreateInfo, Request, VirtualAllocation, VirtualBlock,
    VirtualBlockCreateInfo, VirtualFreeError, VirtualRangeState,
};

use super::common::{Rig, Shadow, requirements};
use super::{allocate, free_all};

const ALGORITHMS: [Algorithm; 3] = [Algorithm::Tlsf, Algorithm::Linear, Algorithm::Fixed { slot_size: 64 }];

fn block(algorithm: Algorithm) -> VirtualBlock {
    VirtualBlock::new(&VirtualBlockCreateInfo::new(1024).algorithm(algorithm)).expect("a block")
}

/// Allocates 64 units at a time until nothing is left; no two ranges overlap.
fn fill(block: &mut VirtualBlock) -> Vec<VirtualAllocation> {
    let ranges: Vec<_> = core::iter::from_fn(|| block.allocate(&Request::new(64, 64)).ok()).collect();
    let spots: BTreeMap<u64, u64> = ranges.iter().map(|range| (range.offset, range.offset + range.size)).collect();
    assert_eq!(spots.len(), ranges.len(), "two ranges begin at one offset");
    assert!(spots.values().zip(spots.keys().skip(1)).all(|(end, next)| end <= next), "{spots:?}");
    ranges
}

/// #2834: a hole was checked against the neighbour before it, and not against the one behind it.
///
/// Seen to fail with: non-linear sizes that are not rounded up to whole pages.
#[test]
fn vulkano_2834_both_neighbours_of_a_hole_count() {
    let rig = Rig::new(Profile::discrete_bar256());
    let pool = rig.create_pool(&PoolCreateInfo::for_memory_type(1).block_size(8 << 20)).expect("a pool");
    let info = AllocationCreateInfo::gpu_only().pool(&pool);
    let (mut shadow, mut live) = (Shadow::default(), Vec::new());
    // Buffers of 300 and a half pages lie side by side, so that every second border lies within a page.
    for _ in 0..27 {
        live.push(allocate(&rig, &requirements(300 * 1024 + 512, 256, Kind::Linear), &info));
    }
    live.sort_unstable_by_key(|buffer| (buffer.memory(), buffer.offset()));
    let inner = |buffer: &Allocation| (buffer.offset() + buffer.size()) % 1024 == 512 && buffer.offset() > 0;
    let index = live.iter().position(inner).expect("there is such a border");
    let (start, end) = (live[index].offset().next_multiple_of(1024), live[index].offset() + live[index].size());
    free_all(&rig, [live.remove(index)]);
    for buffer in &live {
        shadow.enter(buffer, 1024);
    }
    // The image fits the hole in bytes; its last page is the next buffer's first.
    let image = allocate(&rig, &requirements(end - 412 - start, 64, Kind::NonLinear), &info);
    shadow.enter(&image, 1024);
    live.push(image);
    free_all(&rig, live);
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.finish();
}

/// #2832: when neighbours were merged, those next to them still pointed to what was gone.
///
/// Seen to fail with: a `Tlsf::release_range` that leaves the following range's `prev` as it was.
#[test]
fn vulkano_2832_merging_leaves_no_dangling_neighbour() {
    let orders: Vec<Vec<usize>> = permutations(5);
    assert_eq!(orders.len(), 120);
    for order in orders {
        let mut block = VirtualBlock::new(&VirtualBlockCreateInfo::new(5 * 64)).expect("a block");
        let mut ranges: Vec<_> = (0..5).map(|_| block.allocate(&Request::new(64, 1)).ok()).collect();
        for (freed, index) in order.iter().enumerate() {
            block.free(ranges[*index].take().expect("it was allocated").key).expect("it is alive");
            let (mut end, mut used) = (0, 0);
            block.for_each_range(|range| {
                assert_eq!(range.offset, end, "the walk shows each range once: {order:?}");
                end += range.size;
                used += usize::from(matches!(range.state, VirtualRangeState::Used { .. }));
            });
            assert_eq!((end, used), (5 * 64, 4 - freed));
        }
        assert!(block.allocate(&Request::new(5 * 64, 1)).is_ok(), "all is one range again");
    }
}

fn permutations(count: usize) -> Vec<Vec<usize>> {
    let Some(last) = count.checked_sub(1) else { return vec![Vec::new()] };
    let shorter = permutations(last);
    let insert = |order: Vec<usize>| {
        (0..count).map(move |place| {
            let mut order = order.clone();
            order.insert(place, last);
            order
        })
    };
    shorter.into_iter().flat_map(insert).collect()
}

/// #2645: a reset left the list of free ranges empty, so that nothing could be allocated any more.
///
/// Seen to fail with: `Tlsf::clear` that links no region.
#[test]
fn vulkano_2645_after_a_reset_all_is_free() {
    for algorithm in ALGORITHMS {
        let mut block = block(algorithm);
        for _ in 0..3 {
            assert_eq!(fill(&mut block).len(), 16, "{algorithm:?}");
            block.clear();
            assert_eq!(block.statistics().free_bytes, 1024);
        }
    }
}

/// #2492: a free range of the right size and alignment was not found at the edge of a search.
///
/// Seen to fail with: TLSF that asks for the next larger class only.
#[test]
fn vulkano_2492_an_exact_fit_is_found() {
    for size in 1..200 {
        let mut block = VirtualBlock::new(&VirtualBlockCreateInfo::new(size * 3)).expect("a block");
        let mut ranges: Vec<_> = (0..3).map(|_| block.allocate(&Request::new(size, 1)).ok()).collect();
        for index in [1, 0, 2] {
            let range = ranges[index].take().expect("three times the size fits three times");
            let offset = range.offset;
            block.free(range.key).expect("it is alive");
            let again = block.allocate(&Request::new(size, 1)).expect("it is as large as what was freed");
            assert_eq!(again.offset, offset);
            ranges[index] = Some(again);
        }
    }
}

/// #2323: a bump allocator that had not been cleaned up gave one range out twice.
///
/// Seen to fail with: `Linear::clear` that starts again at the front without clearing its ranges.
#[test]
fn vulkano_2323_a_reset_gives_nothing_out_twice() {
    for algorithm in ALGORITHMS {
        let mut block = block(algorithm);
        let old = fill(&mut block);
        block.clear();
        let new = fill(&mut block);
        assert_eq!(new.len(), 16, "{algorithm:?}");
        for range in old {
            assert!(matches!(block.free(range.key), Err(VirtualFreeError::Stale(_))), "an old key frees nothing");
        }
        assert_eq!(block.statistics().allocation_count, 16);
        block.validate().expect("the invariants hold");
    }
    let rig = Rig::new(Profile::unified());
    let pool = PoolCreateInfo::for_memory_type(1).algorithm(Algorithm::Linear).block_size(65_536);
    let pool = rig.create_pool(&pool).expect("a pool");
    for _ in 0..5 {
        let (mut shadow, info) = (Shadow::default(), AllocationCreateInfo::stream().pool(&pool));
        let request = requirements(4096, 256, Kind::Linear);
        let frame: Vec<_> = (0..16).map(|_| allocate(&rig, &request, &info)).collect();
        for allocation in &frame {
            shadow.enter(allocation, 1);
        }
        assert_eq!(rig.control().memory_object_count(), 1, "an emptied block is used again");
        free_all(&rig, frame);
    }
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.finish();
}
