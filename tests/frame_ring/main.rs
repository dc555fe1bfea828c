//! The frame ring on the simulated driver: what is pushed lies where its usage needs it and stays until its frame is
//! reclaimed; growth, shrinking, errors, threads, and every failure of the driver.

#[path = "../common/mod.rs"]
mod common;
mod failures;
mod gpu;
mod model;
mod steps;

use std::mem::MaybeUninit;
use std::sync::Arc;

use ash::vk;
use common::{Rig, create_info, mib};
use freestone::sim::{Function, ObjectKind, Profile, SimDevice};
use freestone::{Allocator, EndFrameError, FrameRing, FrameRingCreateInfo, FrameRingError, FrameSlice, Intent};

const KIB: u64 = 1 << 10;
const UNIFORM: vk::BufferUsageFlags = vk::BufferUsageFlags::UNIFORM_BUFFER;

fn copied(usage: vk::BufferUsageFlags) -> FrameRingCreateInfo {
    FrameRingCreateInfo::new(usage | vk::BufferUsageFlags::TRANSFER_SRC)
}

fn make<'a>(world: &'a Rig, info: &FrameRingCreateInfo) -> FrameRing<&'a Allocator> {
    try_make(world, info).expect("a ring")
}

fn try_make<'a>(world: &'a Rig, info: &FrameRingCreateInfo) -> Result<FrameRing<&'a Allocator>, FrameRingError> {
    // SAFETY: the usages here are valid; `gpu::read` waits, and reads frames between their end and their reclaiming.
    unsafe { FrameRing::new(&**world, info) }
}

/// An embedded device none of whose visible memory is coherent.
fn non_coherent() -> Profile {
    let mut profile = Profile::noncoherent();
    "non-coherent only".clone_into(&mut profile.name);
    profile
        .memory_types
        .retain(|memory_type| !memory_type.property_flags.contains(vk::MemoryPropertyFlags::HOST_COHERENT));
    profile
}

/// One frame that pushes so many bytes, in pieces of 1 KiB, and ends.
fn whole_frame(ring: &FrameRing<&Allocator>, point: u64, bytes: u64) -> Vec<FrameSlice> {
    let mut frame = ring.begin_frame().expect("not too many");
    let piece = [u8::try_from(point % 251).expect("a byte"); 1024];
    let slices = (0..bytes / KIB).map(|_| frame.push(&piece).expect("there is room")).collect();
    frame.end(point).expect("in order");
    slices
}

#[test]
fn each_usage_has_its_alignment() {
    use vk::BufferUsageFlags as Usage;
    let world = Rig::new(Profile::unified());
    // The simulated device: uniform 256, storage 64, texel 16, copies 1.
    let cases = [
        (Usage::UNIFORM_BUFFER, 256),
        (Usage::STORAGE_BUFFER, 64),
        (Usage::UNIFORM_TEXEL_BUFFER, 16),
        (Usage::TRANSFER_SRC, 4),
        (Usage::VERTEX_BUFFER | Usage::INDEX_BUFFER, 4),
        (Usage::VERTEX_BUFFER | Usage::STORAGE_BUFFER, 64),
        (Usage::INDIRECT_BUFFER | Usage::SHADER_DEVICE_ADDRESS, 16),
    ];
    for (usage, alignment) in cases {
        let ring = make(&world, &FrameRingCreateInfo::new(usage));
        assert_eq!(ring.alignment(), alignment, "{usage:?}");
        let mut frame = ring.begin_frame().expect("the first");
        let slices = [1_usize, 3, 100, 257].map(|count| frame.push(&vec![7_u8; count]).expect("there is room"));
        assert!(slices.iter().all(|slice| slice.offset % alignment == 0), "{usage:?}: {slices:?}");
        let descriptor = slices[3].descriptor();
        assert_eq!((descriptor.buffer, descriptor.offset), (slices[3].buffer, slices[3].offset));
        assert_eq!(descriptor.range, 257);
        assert!(slices.windows(2).all(|pair| pair[0].offset + pair[0].size <= pair[1].offset), "{slices:?}");
    }
    world.finish();
}

#[test]
fn alignments_need_not_be_powers_of_two() {
    let world = Rig::new(Profile::unified());
    let (vertices, uniforms) =
        (make(&world, &FrameRingCreateInfo::new(vk::BufferUsageFlags::VERTEX_BUFFER)), make(&world, &copied(UNIFORM)));
    let (mut by_12, mut by_768) = (vertices.begin_frame().expect("a frame"), uniforms.begin_frame().expect("a frame"));
    for round in 1..200 {
        let values = vec![[1.0_f32; 3]; round % 7 + 1];
        by_12.push(&[0_u8; 5]).expect("there is room");
        assert_eq!(by_12.push_aligned(&values, 12).expect("there is room").offset % 12, 0);
        assert_eq!(by_768.push_aligned(&values, 12).expect("there is room").offset % 768, 0);
    }
    let odd = by_12.push_aligned(&[1_u64], 7).expect("there is room");
    assert_eq!(odd.offset % 56, 0, "a multiple of 7, and of the type's 8");
    let bad = [0, u64::MAX, u64::MAX / 2].map(|alignment| by_12.reserve(4, alignment).expect_err("no such multiple"));
    assert!(matches!(bad[0], FrameRingError::BadAlignment { asked: 0, usage: 4 }), "{bad:?}");
    assert!(matches!(bad[1], FrameRingError::BadAlignment { .. }), "{bad:?}");
    let of_type = by_12.push_aligned(&[1_u64], 0).expect_err("no number is a multiple of 0");
    assert_eq!(
        of_type.to_string(),
        "an alignment of 0 bytes cannot be met together with the 8 bytes of the ring's usage or of the type"
    );
    drop((by_12, by_768));
    drop((vertices, uniforms));
    world.finish();
}

#[test]
fn sizes_at_the_end_of_numbers_are_refused() {
    #[derive(Clone, Copy)]
    struct Nothing;
    // SAFETY: it has no bytes, so none that is uninitialised.
    unsafe impl bytemuck::NoUninit for Nothing {}

    let world = Rig::new(Profile::unified());
    let ring = make(&world, &FrameRingCreateInfo::new(UNIFORM).max_size(mib(1)));
    let mut frame = ring.begin_frame().expect("the first");
    for size in [mib(1) + 1, 1 << 40, 1 << 63, u64::MAX - 255, u64::MAX] {
        let error = frame.reserve(size, 256).expect_err("more than the ring may have");
        assert!(matches!(error, FrameRingError::TooLarge { limit, .. } if limit == mib(1)), "{error}");
    }
    let error = frame.reserve(16, 1 << 40).expect_err("no offset in the ring is such a multiple, but 0");
    assert!(matches!(error, FrameRingError::TooLarge { size: 16, .. }), "{error}");
    assert!(matches!(frame.push::<u32>(&[]), Err(FrameRingError::ZeroSize)));
    assert!(matches!(frame.push(&[(); 9]), Err(FrameRingError::ZeroSize)));
    assert!(matches!(frame.push(&[Nothing; 9]), Err(FrameRingError::ZeroSize)));
    assert!(matches!(frame.reserve(0, 16), Err(FrameRingError::ZeroSize)));
    assert_eq!(ring.statistics().in_use, 0);
    assert_eq!(frame.reserve(mib(1), 256).expect("all that it may have").bytes.len(), 1 << 20);
    let error = frame.push(&[1_u8]).expect_err("nothing is left");
    assert!(matches!(error, FrameRingError::Full { in_use, .. } if in_use == mib(1)), "{error}");
    drop(frame);
    assert_eq!(ring.statistics().in_use, 0, "a frame that did not end is cancelled");
    drop(ring);
    world.finish();
}

#[test]
fn what_makes_no_ring() {
    let world = Rig::new(Profile::unified());
    let good = || FrameRingCreateInfo::new(UNIFORM);
    let bad = [
        good().frames_in_flight(0),
        good().frames_in_flight(257),
        good().frames_in_flight(u32::MAX),
        FrameRingCreateInfo::new(vk::BufferUsageFlags::empty()),
    ];
    for info in bad {
        let error = try_make(&world, &info).expect_err("no ring");
        assert!(matches!(error, FrameRingError::InvalidCreateInfo { .. }), "{info:?}: {error}");
    }
    for size in [0, 255] {
        let error = try_make(&world, &good().max_size(size)).expect_err("no push has room");
        assert!(matches!(error, FrameRingError::TooSmall { max_size, unit: 256 } if max_size == size), "{error}");
    }
    for intent in [Intent::GpuOnly, Intent::Transient, Intent::Readback] {
        assert!(matches!(try_make(&world, &good().intent(intent)), Err(FrameRingError::NotMapped)));
    }
    for info in
        [good().max_size(256), good().initial_size(0), good().initial_size(u64::MAX), good().frames_in_flight(256)]
    {
        let ring = make(&world, &info);
        let mut frame = ring.begin_frame().expect("the first");
        assert_eq!(frame.push(&[5_u8; 256]).expect("at least one push").size, 256);
    }
    world.finish();
}

#[test]
fn the_device_address_is_that_of_the_bytes() {
    let world = Rig::new(Profile::unified());
    let ring = make(&world, &FrameRingCreateInfo::new(vk::BufferUsageFlags::SHADER_DEVICE_ADDRESS));
    let mut frame = ring.begin_frame().expect("the first");
    let slices = [10_u64, 200, 3000].map(|size| frame.reserve(size, 1).expect("there is room").slice);
    // SAFETY: the buffer is alive, bound, and has the usage.
    let base = unsafe { world.buffer_device_address(slices[0].buffer) }.expect("the feature is declared");
    assert!(slices.iter().all(|slice| slice.device_address == Some(base + slice.offset)), "{slices:?}");
    drop(frame);
    let plain = make(&world, &FrameRingCreateInfo::new(UNIFORM));
    let mut frame = plain.begin_frame().expect("the first");
    assert_eq!(frame.push(&[1_u8]).expect("there is room").device_address, None);
    drop(frame);
    drop((ring, plain));
    world.finish();
}

#[test]
fn what_was_pushed_is_what_the_gpu_reads() {
    for profile in [Profile::discrete_rebar(), Profile::discrete_bar256(), Profile::noncoherent(), non_coherent()] {
        let world = Rig::new(profile);
        let ring = make(&world, &copied(UNIFORM).initial_size(8 * KIB).frames_in_flight(3));
        let mut ended = Vec::new();
        for point in 1..200_u64 {
            ended.push((point, whole_frame(&ring, point, (point % 13 + 1) * KIB)));
            if point >= 3 {
                let (point, slices) = ended.remove(0);
                for bytes in gpu::read(&world, &slices) {
                    assert!(bytes.iter().all(|&byte| u64::from(byte) == point % 251), "frame {point}");
                }
                assert_eq!(ring.reclaim(point), 1);
            }
        }
        drop(ring);
        world.finish();
    }
}

#[test]
fn reservations_are_written_in_place_and_side_by_side() {
    let world = Rig::new(non_coherent());
    let ring = make(&world, &copied(UNIFORM));
    let mut frame = ring.begin_frame().expect("the first");
    let mut writer = frame.writer();
    let (first, second) = (writer.reserve(300, 1).expect("room"), writer.reserve(300, 1).expect("room"));
    drop(writer);
    let third = frame.writer().reserve(300, 1).expect("room");
    third.bytes.fill(MaybeUninit::new(3));
    first.bytes.fill(MaybeUninit::new(1));
    second.bytes.fill(MaybeUninit::new(2));
    let slices = [first.slice, second.slice, third.slice];
    assert!(slices.windows(2).all(|pair| pair[1].offset == pair[0].offset + 512), "one chunk: {slices:?}");
    frame.end(1).expect("in order");
    assert_eq!(gpu::read(&world, &slices), [vec![1; 300], vec![2; 300], vec![3; 300]]);
    drop(frame);
    drop(ring);
    world.finish();
}

#[test]
fn a_frame_is_flushed_by_one_call_and_only_where_that_is_needed() {
    for (profile, flushes_per_frame) in [(Profile::unified(), 0), (non_coherent(), 1)] {
        let world = Rig::new(profile);
        let ring = make(&world, &copied(UNIFORM));
        whole_frame(&ring, 1, 60 * KIB);
        let before = (world.control().count(Function::FlushMappedMemoryRanges), world.control().total_calls());
        for point in 2..50 {
            ring.reclaim(point - 1);
            whole_frame(&ring, point, 60 * KIB);
        }
        let after = (world.control().count(Function::FlushMappedMemoryRanges), world.control().total_calls());
        assert_eq!((after.0 - before.0, after.1 - before.1), (48 * flushes_per_frame, 48 * flushes_per_frame));
        ring.reclaim(u64::MAX);
        let mut empty = ring.begin_frame().expect("not too many");
        empty.end(50).expect("in order");
        assert_eq!(world.control().total_calls(), after.1, "nothing was written, nothing is flushed");
        drop(empty);
        drop(ring);
        world.finish();
    }
}

#[test]
fn a_ring_grows_rather_than_fails_and_comes_down_to_one_block() {
    let world = Rig::new(Profile::unified());
    let ring = make(&world, &copied(UNIFORM).initial_size(64 * KIB).max_size(mib(8)));
    let mut point = 0;
    let mut frames = |count: u64, bytes: u64| {
        for _ in 0..count {
            point += 1;
            ring.reclaim(point.max(2) - 2);
            whole_frame(&ring, point, bytes);
        }
        ring.statistics()
    };
    assert_eq!(frames(10, 8 * KIB).opened_count, 1);
    let grown = frames(10, 800 * KIB);
    assert!(grown.block_count > 1 && grown.capacity >= 1600 * KIB && grown.capacity <= mib(4), "{grown:?}");
    let settled = frames(240, 800 * KIB);
    assert_eq!(settled.block_count, 1, "{settled:?}");
    assert!((1600 * KIB..=mib(4)).contains(&settled.capacity), "{settled:?}");
    assert_eq!(frames(600, 800 * KIB), settled, "and stays so");
    let shrunk = frames(720, 8 * KIB);
    assert_eq!((shrunk.block_count, shrunk.capacity), (1, 64 * KIB), "{shrunk:?}");
    assert_eq!(world.control().live(ObjectKind::Buffer), 1);
    drop(ring);
    world.finish();
}

#[test]
fn the_same_frames_give_the_same_places() {
    let run = || {
        let world = Rig::new(Profile::unified());
        let ring = make(&world, &copied(UNIFORM).initial_size(16 * KIB));
        let mut places = Vec::new();
        for point in 1..400_u64 {
            ring.reclaim(point.max(2) - 2);
            let slices = whole_frame(&ring, point, (point * 37 % 60 + 1) * KIB);
            places.extend(slices.iter().map(|slice| slice.offset));
        }
        (places, ring.statistics())
    };
    assert_eq!(run(), run());
}

#[test]
fn points_never_fall_and_are_not_yet_completed() {
    let world = Rig::new(Profile::unified());
    let ring = make(&world, &copied(UNIFORM).frames_in_flight(2));
    let mut frame = ring.begin_frame().expect("the first");
    frame.push(&[1_u32]).expect("there is room");
    assert_eq!(ring.reclaim(4), 0);
    assert_eq!(frame.end(4), Err(EndFrameError::AlreadyCompleted { point: 4 }), "the first frame's too");
    frame.end(5).expect("the first point");
    assert_eq!(frame.end(6), Err(EndFrameError::AlreadyEnded));
    assert!(matches!(frame.end_owned(), Err(EndFrameError::AlreadyEnded)));
    assert!(matches!(frame.push(&[1_u8]), Err(FrameRingError::FrameEnded)));
    drop(frame);
    let mut frame = ring.begin_frame().expect("the second");
    let slice = frame.push(&[2_u32]).expect("there is room");
    assert_eq!(frame.end(4), Err(EndFrameError::OutOfOrder { point: 4, last: 5 }));
    assert!(matches!(ring.begin_frame(), Err(FrameRingError::FramesInFlight { limit: 2 })));
    assert_eq!(ring.reclaim(5), 1);
    assert_eq!(frame.end(5), Err(EndFrameError::AlreadyCompleted { point: 5 }));
    assert_eq!(frame.end(u64::MAX), Err(EndFrameError::IdlePoint));
    frame.end(6).expect("it is open still, and nothing was lost");
    assert_eq!(gpu::read(&world, &[slice]), [[2, 0, 0, 0]]);
    assert_eq!((ring.reclaim(3), ring.reclaim(5)), (0, 0), "an earlier point changes nothing");
    assert_eq!((ring.reclaim(u64::MAX), ring.reclaim(u64::MAX)), (1, 0));
    drop(frame);
    let mut frame = ring.begin_frame().expect("nothing is in flight");
    frame.end(7).expect("an idle device has not completed what is yet to come");
    assert_eq!((ring.reclaim(6), ring.reclaim(7)), (0, 1));
    drop(frame);
    let mut frame = ring.begin_frame().expect("nothing is in flight");
    assert_eq!(ring.reclaim(100), 0);
    let refused = frame.end(50);
    assert_eq!(refused, Err(EndFrameError::AlreadyCompleted { point: 50 }), "though no frame had waited for it");
    frame.end(101).expect("it is open still");
    assert_eq!((ring.reclaim(100), ring.reclaim(101)), (0, 1));
    drop(frame);
    drop(ring);
    world.finish();
}

#[test]
fn frames_lie_open_side_by_side_and_go_in_any_order() {
    let world = Rig::new(Profile::unified());
    let ring = make(&world, &copied(UNIFORM).frames_in_flight(3).initial_size(64 * KIB));
    let mut frames = [(); 3].map(|()| ring.begin_frame().expect("three may be in flight"));
    let mut slices = [const { Vec::new() }; 3];
    for round in 0..30 {
        for (number, frame) in frames.iter_mut().enumerate() {
            let value = u8::try_from(number + 3 * round).expect("a byte");
            slices[number].push((frame.push(&[value; 300]).expect("there is room"), value));
        }
    }
    let keys = frames.each_mut().map(|frame| frame.end_owned().expect("open"));
    for pushed in &slices {
        let only: Vec<_> = pushed.iter().map(|(slice, _)| *slice).collect();
        let read = gpu::read(&world, &only);
        assert!(read.iter().zip(pushed).all(|(bytes, (_, value))| bytes.iter().all(|byte| byte == value)));
    }
    let other = make(&world, &copied(UNIFORM));
    let [first, second, third] = keys;
    let handed_back = other.reclaim_frame(second).expect_err("another ring's");
    ring.reclaim_frame(handed_back.frame).expect("its own");
    ring.reclaim_frame(third).expect("its own");
    assert_eq!(ring.statistics().frames_in_flight, 1);
    ring.reclaim_frame(first).expect("its own");
    assert_eq!((ring.statistics().frames_in_flight, ring.statistics().in_use), (0, 0));
    drop(frames);
    drop((ring, other));
    world.finish();
}

#[test]
fn threads_push_into_one_frame_and_into_frames_of_their_own() {
    let world = Rig::new(non_coherent());
    let ring = make(&world, &copied(UNIFORM).frames_in_flight(3).initial_size(16 * KIB));
    for point in 1..=12_u64 {
        let mut shared = ring.begin_frame().expect("not too many");
        let pushed = std::thread::scope(|scope| {
            let threads = [1_u8, 2].map(|value| {
                let (shared, ring) = (&shared, &ring);
                scope.spawn(move || {
                    let mut own = ring.begin_frame().expect("not too many");
                    let mut writer = shared.writer();
                    let push = |size: usize| {
                        let values = vec![value; size];
                        let pushed = if size.is_multiple_of(2) { writer.push(&values) } else { own.push(&values) };
                        (pushed.expect("there is room"), value)
                    };
                    let pushed: Vec<_> = (1..120).map(push).collect();
                    own.end(point).expect("the common point");
                    pushed
                })
            });
            threads.map(|thread| thread.join().expect("it does not panic"))
        });
        shared.end(point).expect("the common point");
        for (slice, value) in pushed.into_iter().flatten() {
            assert!(gpu::read(&world, &[slice])[0].iter().all(|byte| *byte == value));
        }
        assert_eq!(ring.reclaim(point), 3);
    }
    drop(ring);
    world.finish();
}

#[test]
fn a_ring_may_be_shared_and_outlive_its_maker() {
    fn is_send_and_sync<T: Send + Sync>(_: &T) {}

    let vulkan = SimDevice::new(Profile::unified());
    // SAFETY: the objects belong together; the ring, which keeps the allocator, is gone before the device.
    let allocator = Arc::new(unsafe { Allocator::new(create_info(&vulkan)) }.expect("an allocator"));
    // SAFETY: the usage is valid; nothing is submitted.
    let ring = unsafe { FrameRing::new(allocator, &FrameRingCreateInfo::new(UNIFORM)) }.expect("a ring");
    is_send_and_sync(&ring);
    let frame = ring.begin_frame().expect("the first");
    is_send_and_sync(&frame);
    is_send_and_sync(&frame.writer());
    drop(frame);
    let ring = Arc::new(ring);
    let held = Arc::clone(&ring);
    let slice = std::thread::spawn(move || held.begin_frame().expect("the first").push(&[1_u8]).expect("room").size);
    assert_eq!(slice.join().expect("it does not panic"), 1);
    drop(ring);
    assert_eq!(vulkan.finish(), []);
}

#[test]
fn empty_blocks_make_room_for_a_larger_one() {
    let world = Rig::new(Profile::unified());
    let ring = make(&world, &copied(UNIFORM).initial_size(64 * KIB).max_size(128 * KIB).frames_in_flight(2));
    let mut frame = ring.begin_frame().expect("the first");
    let slice = frame.reserve(128 * KIB, 1).expect("all that the ring may have").slice;
    assert_eq!((slice.offset, ring.statistics().block_count, ring.statistics().closed_count), (0, 1, 1));
    let mut other = ring.begin_frame().expect("the second");
    assert!(matches!(other.push(&[1_u8]), Err(FrameRingError::Full { .. })));
    drop(frame);
    other.push(&[1_u8]).expect("the first was cancelled");
    drop(other);
    drop(ring);
    world.finish();
}
