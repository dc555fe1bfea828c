//! Frame rings.

use ash::vk;
use freestone::sim::KIB;
use freestone::{Allocator, Frame, FrameRing, FrameRingCreateInfo, FrameRingError, FrameSlice};

use crate::common::failing::{Probe, Tally, fail_each_attempt};
use crate::common::{Rig, mib};
use crate::{devices, stage, sum};

/// Too many for the memory that the ring has.
static LARGE: [u8; 1_200_000] = [7; 1_200_000];

fn info() -> FrameRingCreateInfo {
    let usage = vk::BufferUsageFlags::UNIFORM_BUFFER | vk::BufferUsageFlags::TRANSFER_SRC;
    FrameRingCreateInfo::new(usage).initial_size(16 * KIB).max_size(mib(16))
}

fn ring(world: &Rig) -> Result<FrameRing<&Allocator>, FrameRingError> {
    // SAFETY: the usage is valid; nothing is submitted.
    unsafe { FrameRing::new(&**world, &info()) }
}

#[test]
fn a_ring_is_made_or_leaves_nothing() {
    let mut tally = Tally::default();
    for profile in devices() {
        let world = Rig::new(profile);
        let one = fail_each_attempt(&world, &|probe: &Probe<'_>| {
            let ring = probe.attempt(&mut (), |()| (), |()| ring(&world));
            assert_eq!((ring.statistics().block_count, ring.statistics().opened_count), (1, 1));
        });
        tally = sum([tally, one]);
        world.finish();
    }
    assert!(tally.failed > 200 && tally.survived > 200, "{tally:?}");
}

type Push = fn(&mut Frame<'_, &Allocator>) -> Result<FrameSlice, FrameRingError>;

/// Every way to have bytes of a frame; each of them opens a block here.
const PUSHES: [Push; 6] = [
    |frame| frame.push(&LARGE),
    |frame| frame.push_aligned(&LARGE, 12),
    |frame| frame.reserve(1_200_000, 4).map(|reserved| reserved.slice),
    |frame| frame.writer().push(&LARGE),
    |frame| frame.writer().push_aligned(&LARGE, 12),
    |frame| frame.writer().reserve(1_200_000, 4).map(|reserved| reserved.slice),
];

/// Grows a ring within a frame that holds something already, and goes on.
fn push_that_grows(world: &Rig, push: Push, probe: &Probe<'_>) {
    let ring = ring(world).expect("a ring");
    let mut frame = ring.begin_frame().expect("the first");
    let small = frame.push(&[1_u8; 5000]).expect("there is room");
    let large = probe.attempt(&mut frame, |_| ring.statistics(), push);
    let more = frame.push(&[3_u8; 100]).expect("the frame goes on");
    assert_eq!((large.size, ring.statistics().block_count), (1_200_000, 2));
    assert!(large.buffer != small.buffer && (more.buffer, more.offset) != (large.buffer, large.offset));
    frame.end(1).expect("in order");
    drop(frame);
    assert_eq!((ring.reclaim(1), ring.statistics().in_use), (1, 0));
}

#[test]
fn a_push_gets_its_bytes_or_the_ring_stays_as_it_is() {
    let mut tally = Tally::default();
    for profile in devices() {
        let world = Rig::new(profile);
        let each = PUSHES.map(|push| fail_each_attempt(&world, &|probe| push_that_grows(&world, push, probe)));
        tally = sum(each.into_iter().chain([tally]));
        world.finish();
    }
    assert!(tally.failed > 1500 && tally.survived > 300, "{tally:?}");
}

/// Two frames whose chunks alternate: each flushes more ranges than one call takes.
fn end_that_flushes(world: &Rig, is_owned: bool, probe: &Probe<'_>) {
    let ring = ring(world).expect("a ring");
    let [mut one, mut other] = [(); 2].map(|()| ring.begin_frame().expect("not too many"));
    for _ in 0..20 {
        one.push(&LARGE[..16 << 10]).expect("there is room");
        other.push(&LARGE[..16 << 10]).expect("there is room");
    }
    let ended = probe.attempt(
        &mut one,
        |_| ring.statistics(),
        |frame| {
            if is_owned { frame.end_owned().map(Some) } else { frame.end(1).map(|()| None) }
        },
    );
    other.end(1).expect("in order");
    drop((one, other));
    let owned = ended.map(|ended| ring.reclaim_frame(ended).expect("its own"));
    assert_eq!(ring.reclaim(1), if owned.is_some() { 1 } else { 2 });
    assert_eq!((ring.statistics().in_use, ring.statistics().frames_in_flight), (0, 0));
}

#[test]
fn a_frame_that_is_not_flushed_stays_open() {
    let world = Rig::new(stage::incoherent());
    let [plain, owned] =
        [false, true].map(|is_owned| fail_each_attempt(&world, &|probe| end_that_flushes(&world, is_owned, probe)));
    for tally in [plain, owned] {
        assert!(tally.failed >= 8 && tally.survived == 0, "two calls, each with four results or more: {tally:?}");
    }
    world.finish();
}

/// Whole frames of so many bytes, two of them in flight.
fn frames(ring: &FrameRing<&Allocator>, points: core::ops::Range<u64>, bytes: u64) {
    for point in points {
        ring.reclaim(point.saturating_sub(2));
        let mut frame = ring.begin_frame().expect("not too many");
        for _ in 0..bytes / (64 * KIB) {
            frame.push(&LARGE[..64 << 10]).expect("there is room");
        }
        frame.end(point).expect("in order");
    }
}

/// The frame after the first window judges the ring's shape. Where its new block is refused, it keeps what it has.
fn reshape(world: &Rig, probe: &Probe<'_>) {
    let ring = ring(world).expect("a ring");
    frames(&ring, 1..24, 640 * KIB);
    ring.reclaim(22);
    let before = ring.statistics();
    assert!(before.block_count > 1, "{before:?}");
    let mut frame = probe.attempt(&mut (), |()| (), |()| ring.begin_frame());
    let after = ring.statistics();
    assert_eq!(after.frames_in_flight, before.frames_in_flight + 1);
    if after.opened_count == before.opened_count {
        let kept = (after.block_count, after.capacity, after.in_use, after.closed_count);
        assert_eq!(kept, (before.block_count, before.capacity, before.in_use, before.closed_count));
    }
    frame.push(&[1_u8; 1000]).expect("it goes on");
    frame.end(24).expect("in order");
    drop(frame);
    frames(&ring, 25..60, 640 * KIB);
    assert_eq!(ring.statistics().block_count, 1, "the second time it succeeds");
}

#[test]
fn a_ring_that_cannot_be_reshaped_keeps_its_shape() {
    let mut tally = Tally::default();
    for profile in devices() {
        let world = Rig::new(profile);
        tally = sum([tally, fail_each_attempt(&world, &|probe| reshape(&world, probe))]);
        world.finish();
    }
    assert!(tally.failed == 0 && tally.survived > 400, "a refusal is no error: {tally:?}");
}
