//! Tickets that nobody redeems: their room comes back all the same.

use ash::vk;
use freestone::sim::{KIB, Profile};
use freestone::{Allocator, Download, Full, Readback, Recorded, StagingCreateInfo, Ticket, TransferError};

use crate::stage::Stage;

/// A device with a buffer that was written, and a readback whose ring holds it once.
fn full_readback(stage: &Stage, with: impl Fn(&mut Readback<&Allocator>, vk::CommandBuffer, Ticket)) {
    let source = stage.buffer(4 * KIB);
    // SAFETY: the simulated device is done whenever `run` returns.
    let made = unsafe { Readback::new(stage.allocator(), &StagingCreateInfo::new(4 * KIB)) };
    let mut readback = made.expect("a ring");
    let commands = stage.begin();
    // SAFETY: recording; the buffer holds the range.
    unsafe { stage.rig.vulkan.device().cmd_fill_buffer(commands, source.handle(), 0, 4 * KIB, 7) };
    let mut download = Download::of_buffer(source.handle(), 4 * KIB, 0, 4 * KIB).expect("it fits");
    // SAFETY: recording; the source lives on.
    let recorded = unsafe { readback.record(commands, &mut download) }.expect("recorded");
    let Recorded::Last(ticket) = recorded else { panic!("{recorded:?}") };
    assert_eq!((download.done_bytes(), download.total_bytes()), (4 * KIB, 4 * KIB));
    with(&mut readback, commands, ticket);
    let (commands, mut again) =
        (stage.begin(), Download::of_buffer(source.handle(), 4 * KIB, 0, 4 * KIB).expect("fits"));
    // SAFETY: as above.
    let recorded = unsafe { readback.record(commands, &mut again) }.expect("recorded");
    assert!(matches!(recorded, Recorded::Last(_)), "there is room again: {recorded:?}");
    stage.forget(commands);
    drop((recorded, readback, source));
}

/// As `?` drops it, where only the reason of an error is kept.
#[test]
fn the_room_of_a_ticket_that_was_dropped_comes_back_when_its_batch_has_passed() {
    let stage = Stage::new(Profile::discrete_rebar());
    full_readback(&stage, |readback, commands, ticket| {
        readback.submitted(1).expect("the first point");
        let mut bytes = vec![0_u8; 4 << 10];
        let early = readback.read(ticket, &mut bytes).map_err(|error| error.reason);
        assert!(matches!(early, Err(TransferError::NotPassed { point: Some(1) })), "{early:?}");
        // SAFETY: nothing has passed.
        unsafe { readback.collect(0) };
        assert_eq!(readback.used_bytes(), 4 * KIB, "the device has yet to write there");
        stage.run(commands);
        // SAFETY: it has run.
        unsafe { readback.collect(1) };
        assert_eq!(readback.used_bytes(), 0);
    });
    // One that is dropped when its batch has passed: whoever records next has its room.
    full_readback(&stage, |readback, commands, ticket| {
        stage.run(commands);
        readback.submitted(1).expect("the first point");
        // SAFETY: it has run.
        unsafe { readback.collect(1) };
        drop(ticket);
    });
    stage.finish();
}

/// One of another readback goes home, whoever had it last.
#[test]
fn a_foreign_ticket_that_was_dropped_takes_no_room_of_the_other() {
    let stage = Stage::new(Profile::discrete_rebar());
    full_readback(&stage, |readback, commands, ticket| {
        // SAFETY: nothing is submitted.
        let made = unsafe { Readback::new(stage.allocator(), &StagingCreateInfo::new(4 * KIB)) };
        let mut other = made.expect("a ring");
        stage.run(commands);
        readback.submitted(1).expect("the first point");
        let foreign = other.read(ticket, &mut [0_u8; 4 << 10]).map_err(|error| error.reason);
        assert!(matches!(foreign, Err(TransferError::Foreign)), "{foreign:?}");
        // SAFETY: it has run.
        unsafe { other.collect(u64::MAX) };
        assert_eq!((readback.used_bytes(), other.used_bytes()), (4 * KIB, 0));
        // SAFETY: it has run.
        unsafe { readback.collect(1) };
        assert_eq!(readback.used_bytes(), 0);
    });
    stage.finish();
}

/// A ring that only lost tickets hold is not full for ever.
#[test]
fn a_ticket_that_was_dropped_before_the_batch_was_submitted_waits_for_it() {
    let stage = Stage::new(Profile::discrete_rebar());
    let source = stage.buffer(4 * KIB);
    full_readback(&stage, |readback, commands, ticket| {
        drop(ticket);
        let mut again = Download::of_buffer(source.handle(), 4 * KIB, 0, 4 * KIB).expect("it fits");
        // SAFETY: recording; the source lives on.
        let recorded = unsafe { readback.record(commands, &mut again) }.expect("recorded");
        assert!(
            matches!(recorded, Recorded::Full(Full { has_recorded: true, unread_bytes: 4096, .. })),
            "its copy is recorded, and may still run: {recorded:?}"
        );
        stage.run(commands);
        readback.submitted(1).expect("the first point");
        // SAFETY: it has run.
        unsafe { readback.collect(1) };
    });
    drop(source);
    stage.finish();
}
