//! A driver that fails: at each call of opening, growing, ending and reshaping, with each result, and for want of
//! memory.

use ash::vk;
use freestone::sim::{Failure, Function, Profile};
use freestone::{AllocationCreateInfo, AllocationError, FrameRingCreateInfo, FrameRingError};

use super::{KIB, UNIFORM, copied, gpu, make, non_coherent, try_make, whole_frame};
use crate::common::{Rig, linear, mib, state_of, two_heaps};

/// Every call of growing, ending and reshaping fails once, with every result: the ring goes on, and nothing is lost.
#[test]
fn every_driver_call_may_fail() {
    let world = Rig::new(non_coherent());
    let info = copied(UNIFORM).initial_size(16 * KIB).max_size(mib(1));
    // A call that makes a ring: all or nothing.
    let before = state_of(&world);
    let (ring, failures) = world.control().failures_during(|| make(&world, &info));
    drop(ring);
    world.trim();
    assert!(failures.len() >= 4, "{failures:?}");
    let fired = world.control().faults_fired().len();
    for failure in &failures {
        world.control().arm(failure);
        let ring = try_make(&world, &info);
        world.control().clear_faults();
        match ring {
            Ok(ring) => drop(ring),
            Err(FrameRingError::Allocation(_)) => {}
            Err(error) => panic!("{failure:?}: {error}"),
        }
        world.trim();
        let (mut now, mut before) = (state_of(&world), before.clone());
        now.forget_history();
        before.forget_history();
        assert_eq!(now, before, "{failure:?}");
    }
    assert_eq!(world.control().faults_fired().len() - fired, failures.len(), "each failure happened");
    // A push that grows the ring, and the end that flushes.
    let (ring, failures) = (make(&world, &info), grow_and_end(&world, &info, |_| ()));
    drop(ring);
    assert!(failures.iter().any(|failure| failure.function == Function::FlushMappedMemoryRanges), "{failures:?}");
    let fired = world.control().faults_fired().len();
    for failure in &failures {
        grow_and_end(&world, &info, |world| world.control().arm(failure));
    }
    assert_eq!(world.control().faults_fired().len() - fired, failures.len(), "each failure happened");
    world.finish();
}

/// Grows a ring and ends a frame, each again where it failed; returns what could have failed.
fn grow_and_end(world: &Rig, info: &FrameRingCreateInfo, arm: impl Fn(&Rig)) -> Vec<Failure> {
    let ring = make(world, info);
    let mut frame = ring.begin_frame().expect("the first");
    let small = frame.push(&[1_u8; 5000]).expect("there is room");
    let before = ring.statistics();
    let values = vec![2_u8; 40_000];
    arm(world);
    let ((large, is_ended), failures) = world.control().failures_during(|| {
        let large = match frame.push(&values) {
            Ok(slice) => slice,
            Err(FrameRingError::Allocation(AllocationError::OutOfMemory { .. } | AllocationError::Resource(_))) => {
                assert_eq!(ring.statistics(), before);
                frame.push(&values).expect("the second time")
            }
            Err(FrameRingError::Allocation(AllocationError::Driver { .. })) => {
                frame.push(&values).expect("the second time")
            }
            Err(error) => panic!("{error}"),
        };
        (large, frame.end(1).is_ok())
    });
    if !is_ended {
        frame.end(1).expect("the second time");
    }
    world.control().clear_faults();
    assert_eq!(gpu::read(world, &[small, large]), [vec![1; 5000], vec![2; 40_000]]);
    drop(frame);
    assert_eq!((ring.reclaim(1), ring.statistics().in_use), (1, 0));
    world.trim();
    failures
}

/// What no smaller block mends ends the call at once.
#[test]
fn a_block_that_another_failure_refuses_is_not_tried_again() {
    let world = Rig::new(Profile::unified());
    world.control().fail_nth_of(Function::AllocateMemory, 1, vk::Result::ERROR_DEVICE_LOST);
    let failed = try_make(&world, &copied(UNIFORM).initial_size(mib(1))).expect_err("the device is lost");
    assert!(matches!(failed, FrameRingError::Allocation(AllocationError::Driver { .. })), "{failed}");
    assert_eq!(world.control().count(Function::AllocateMemory), 1);
    world.finish();
}

#[test]
fn a_refused_reshape_is_tried_again() {
    let world = Rig::new(Profile::unified());
    let ring = make(&world, &copied(UNIFORM).initial_size(16 * KIB));
    let mut point = 0;
    let mut frames = |count: u64, bytes: u64| {
        for _ in 0..count {
            point += 1;
            ring.reclaim(point.max(2) - 2);
            whole_frame(&ring, point, bytes);
        }
        ring.statistics()
    };
    let grown = frames(20, 300 * KIB);
    world
        .control()
        .fail_when(|call| (call.function == Function::CreateBuffer).then_some(vk::Result::ERROR_OUT_OF_DEVICE_MEMORY));
    assert_eq!(frames(400, 300 * KIB), grown, "it goes on in the shape that it has");
    world.control().clear_faults();
    assert_eq!(frames(250, 300 * KIB).block_count, 1);
    drop(ring);
    world.finish();
}

#[test]
fn a_ring_takes_what_memory_there_is_and_goes_on() {
    let world = Rig::new(two_heaps(mib(1), mib(1)));
    let ring = make(&world, &copied(UNIFORM).initial_size(128 * KIB).max_size(mib(64)));
    // Room for reading back afterwards.
    let ballast = world.allocate(&linear(64 * KIB), &AllocationCreateInfo::readback()).expect("there is memory");
    let mut full = ring.begin_frame().expect("the first");
    let values = vec![9_u8; 16 * 1024];
    let mut slices = Vec::new();
    let error = loop {
        match full.push(&values) {
            Ok(slice) => slices.push(slice),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, FrameRingError::Allocation(AllocationError::OutOfMemory { .. })), "{error}");
    let grown = ring.statistics();
    assert!(grown.capacity > mib(1) * 3 / 4 && grown.in_use > mib(1) / 2, "smaller blocks were asked for: {grown:?}");
    full.end(1).expect("in order");
    world.free(ballast).expect("it is alive");
    for slice in slices {
        assert!(gpu::read(&world, &[slice])[0].iter().all(|byte| *byte == 9), "{slice:?}");
    }
    drop(full);
    assert_eq!(ring.reclaim(1), 1);
    whole_frame(&ring, 2, 512 * KIB);
    assert_eq!(ring.statistics().opened_count, grown.opened_count, "there is room again");
    drop(ring);
    world.finish();
}

/// What opens a block is refused for want of whichever memory, and a smaller one is had: the push gets that.
#[test]
fn a_block_that_any_want_of_memory_refuses_is_made_smaller() {
    let calls = [Function::CreateBuffer, Function::BindBufferMemory, Function::AllocateMemory];
    let wants = [vk::Result::ERROR_OUT_OF_HOST_MEMORY, vk::Result::ERROR_OUT_OF_DEVICE_MEMORY];
    for (function, want) in calls.into_iter().flat_map(|function| wants.map(|want| (function, want))) {
        let world = Rig::new(Profile::unified());
        let ring = make(&world, &copied(UNIFORM).initial_size(128 * KIB).max_size(mib(64)));
        let mut frame = ring.begin_frame().expect("the first");
        frame.push(&vec![1_u8; 100 << 10]).expect("there is room");
        // For host memory the allocator asks a second time, when all that is empty was given back: two are one refusal.
        let mut left = 2;
        world.control().fail_when(move |call| {
            let is_due = call.function == function && left > 0;
            left -= u32::from(is_due);
            is_due.then_some(want)
        });
        frame.push(&vec![2_u8; 40 << 10]).unwrap_or_else(|error| panic!("{function:?}, {want:?}: {error}"));
        world.control().clear_faults();
        assert_eq!(ring.statistics().block_count, 2);
        drop(frame);
        drop(ring);
        world.finish();
    }
}
