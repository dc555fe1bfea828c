//! Uploads and readbacks.

use core::cell::RefCell;

use ash::vk;
use freestone::sim::{Function, KIB, Profile};
use freestone::{
    Allocation, AllocationCreateInfo, Allocator, Buffer, Download, Intent, Progress, Readback, Recorded,
    StagingCreateInfo, Ticket, TransferError, Upload, Uploader, Way,
};

use crate::common::failing::{Made, Probe, Tally, fail_each_attempt};
use crate::common::{Rig, linear};
use crate::stage::{Stage, incoherent};
use crate::{both_ways, devices, sum};

/// What a part of a transfer has, in bytes, and each of the two blocks that a ring may have.
const PART: u64 = 16 * KIB;

/// Takes what is free in the memory that there is: whoever asks next needs more of the driver.
fn crowd(rig: &Rig, intent: Intent) -> Vec<Allocation> {
    let mut taken = Vec::new();
    let before = rig.statistics().object_count;
    while rig.statistics().object_count == before {
        taken.push(rig.allocate(&linear(PART), &AllocationCreateInfo::new(intent)).expect("there is memory"));
    }
    Made::of(taken.pop().into_iter().collect()).undo(rig);
    rig.trim();
    taken
}

/// Makes a ring of one block that may have two.
fn uploader(stage: &Stage) -> Result<Uploader<&Allocator>, TransferError> {
    // SAFETY: the simulated device is done whenever `run` returns.
    unsafe { Uploader::new(stage.allocator(), &StagingCreateInfo::new(PART).max_bytes(2 * PART)) }
}

fn readback(stage: &Stage) -> Result<Readback<&Allocator>, TransferError> {
    // SAFETY: as above.
    unsafe { Readback::new(stage.allocator(), &StagingCreateInfo::new(PART).max_bytes(2 * PART)) }
}

#[test]
fn rings_are_made_or_leave_nothing() {
    let mut tally = Tally::default();
    for profile in devices() {
        let stage = Stage::new(profile);
        let up = fail_each_attempt(&stage.rig, &|probe: &Probe<'_>| {
            let made = probe.attempt(&mut (), |()| (), |()| uploader(&stage));
            assert_eq!((made.ring_bytes(), made.used_bytes()), (PART, 0));
        });
        let down = fail_each_attempt(&stage.rig, &|probe: &Probe<'_>| {
            let made = probe.attempt(&mut (), |()| (), |()| readback(&stage));
            assert_eq!((made.ring_bytes(), made.used_bytes()), (PART, 0));
        });
        tally = sum([tally, up, down]);
        stage.finish();
    }
    assert!(tally.failed > 700 && tally.survived > 250, "{tally:?}");
}

/// A part of a buffer's bytes under way.
type UnderWay<'a> = (Uploader<&'a Allocator>, Upload<Vec<u8>>);

/// What must not change when an upload fails.
fn look((uploader, upload): &UnderWay<'_>) -> (u64, u64, u64, bool) {
    (uploader.ring_bytes(), uploader.used_bytes(), upload.done_bytes(), upload.is_done())
}

fn upload_to(target: vk::Buffer, number: u8) -> Upload<Vec<u8>> {
    Upload::to_buffer(target, 2 * PART, u64::from(number) * PART, bytes_of(number)).expect("it fits")
}

/// Returns the bytes of a part.
fn bytes_of(number: u8) -> Vec<u8> {
    vec![number + 7; usize::try_from(PART).expect("small")]
}

/// Says that an upload is done. A ring that is full for want of memory is no error; here it is one, to be tried again.
fn done(progress: Result<Progress, TransferError>) -> Result<Way, String> {
    match progress {
        Ok(Progress::Done(way)) => Ok(way),
        Ok(full) => Err(format!("{full:?}")),
        Err(error) => Err(error.to_string()),
    }
}

/// Runs what was recorded, and checks what the target holds.
fn run_and_compare(stage: &Stage, commands: vk::CommandBuffer, target: vk::Buffer, numbers: &[u8]) {
    stage.run(commands);
    let all = stage.read(target, 2 * PART);
    let parts: Vec<&[u8]> = all.chunks(all.len() / 2).collect();
    assert!(numbers.iter().all(|&number| parts[usize::from(number)] == bytes_of(number)), "{numbers:?}");
}

/// The ring is full, and opens a second block for another upload.
fn upload_that_grows(stage: &Stage, target: vk::Buffer, probe: &Probe<'_>) {
    let commands = stage.begin();
    let mut under_way = (uploader(stage).expect("a ring"), upload_to(target, 0));
    // SAFETY: recording; the target lives on.
    let first = done(unsafe { under_way.0.record(commands, &mut under_way.1) });
    assert_eq!(first, Ok(Way::Staged));
    under_way.1 = upload_to(target, 1);
    // SAFETY: as above.
    let record = |(uploader, upload): &mut UnderWay<'_>| done(unsafe { uploader.record(commands, upload) });
    let crowd = crowd(&stage.rig, Intent::Upload);
    let is_flushed = stage.rig.vulkan.profile().name == "incoherent";
    // Where the flush behind the growth fails, the block stays for the next time.
    let way = if is_flushed {
        let beside = |under_way: &UnderWay<'_>| (under_way.0.used_bytes(), under_way.1.done_bytes());
        probe.attempt_alone(&mut under_way, beside, record)
    } else {
        probe.attempt(&mut under_way, look, record)
    };
    assert_eq!((way, look(&under_way)), (Way::Staged, (2 * PART, 2 * PART, PART, true)));
    run_and_compare(stage, commands, target, &[0, 1]);
    under_way.0.submitted(1).expect("the first");
    // SAFETY: the simulated device is done when `run` returns.
    unsafe { under_way.0.collect(1) };
    assert_eq!((under_way.0.used_bytes(), under_way.0.trim()), (0, PART));
    drop(under_way);
    Made::of(crowd).undo(&stage.rig);
}

#[test]
fn an_upload_whose_ring_does_not_grow_is_as_before() {
    let mut tally = Tally::default();
    for profile in devices() {
        let stage = Stage::new(profile);
        let target = stage.buffer(2 * PART);
        let one = fail_each_attempt(&stage.rig, &|probe| upload_that_grows(&stage, target.handle(), probe));
        tally = sum([tally, one]);
        drop(target);
        stage.finish();
    }
    assert!(tally.failed > 300 && tally.survived > 10, "{tally:?}");
}

/// One upload of two pieces: what was recorded before the failure stays recorded, and it goes on from there.
fn upload_in_pieces(stage: &Stage, target: vk::Buffer, probe: &Probe<'_>) {
    let commands = stage.begin();
    let bytes = [0, 1].map(bytes_of).concat();
    let upload = Upload::to_buffer(target, 2 * PART, 0, bytes).expect("it fits");
    let mut under_way = (uploader(stage).expect("a ring"), upload);
    let crowd = crowd(&stage.rig, Intent::Upload);
    let ahead = |(uploader, upload): &UnderWay<'_>| (uploader.used_bytes() - upload.done_bytes(), upload.is_done());
    let way = probe.attempt_alone(&mut under_way, ahead, |(uploader, upload)| {
        // SAFETY: recording; the target lives on.
        done(unsafe { uploader.record(commands, upload) })
    });
    assert_eq!((way, look(&under_way)), (Way::Staged, (2 * PART, 2 * PART, 2 * PART, true)));
    run_and_compare(stage, commands, target, &[0, 1]);
    drop(under_way);
    Made::of(crowd).undo(&stage.rig);
}

#[test]
fn an_upload_in_pieces_goes_on_where_it_stopped() {
    let mut tally = Tally::default();
    for profile in devices() {
        let stage = Stage::new(profile);
        let target = stage.buffer(2 * PART);
        let one = fail_each_attempt(&stage.rig, &|probe| upload_in_pieces(&stage, target.handle(), probe));
        tally = sum([tally, one]);
        drop(target);
        stage.finish();
    }
    assert!(tally.failed > 300 && tally.survived > 10, "{tally:?}");
}

/// An upload into a ring with room: the flush alone can fail.
#[test]
fn an_upload_that_is_not_flushed_is_as_before() {
    let stage = Stage::new(incoherent());
    let target = stage.buffer(2 * PART);
    let handle = target.handle();
    let staged = fail_each_attempt(&stage.rig, &|probe: &Probe<'_>| {
        let commands = stage.begin();
        let mut under_way = (uploader(&stage).expect("a ring"), upload_to(handle, 1));
        // SAFETY: recording; the target lives on.
        probe.attempt(&mut under_way, look, |(uploader, upload)| done(unsafe { uploader.record(commands, upload) }));
        run_and_compare(&stage, commands, handle, &[1]);
    });
    assert!(staged.failed >= 4 && staged.survived == 0, "{staged:?}");
    drop(target);
    stage.finish();
}

/// In place, the flush alone can fail; nothing is recorded either way.
#[test]
fn a_write_in_place_that_is_not_flushed_is_written_again() {
    let stage = Stage::new(incoherent());
    let (handle, memory) = stage.buffer_in(2 * PART, &AllocationCreateInfo::stream());
    let memory = RefCell::new(memory);
    let borrowed = fail_each_attempt(&stage.rig, &|probe: &Probe<'_>| {
        let commands = stage.begin();
        let mut under_way = (uploader(&stage).expect("a ring"), upload_to(handle, 1));
        let way = probe.attempt(&mut under_way, look, |(uploader, upload)| {
            // SAFETY: recording; the target is bound at the start of its memory, and nothing uses it.
            done(unsafe { uploader.record_or_write(commands, upload, &mut memory.borrow_mut()) })
        });
        assert_eq!((way, under_way.0.used_bytes(), under_way.1.is_done()), (Way::InPlace, 0, true));
        run_and_compare(&stage, commands, handle, &[1]);
    });
    stage.destroy((handle, memory.into_inner()));
    let info = vk::BufferCreateInfo::default().size(2 * PART).usage(both_ways());
    // SAFETY: the create-info is valid; the simulated device is done whenever `run` returns.
    let owned = unsafe { Buffer::new(stage.allocator(), &info, &AllocationCreateInfo::stream()) };
    let owned = RefCell::new(owned.expect("a buffer"));
    let of_owned = fail_each_attempt(&stage.rig, &|probe: &Probe<'_>| {
        let (commands, handle) = (stage.begin(), owned.borrow().handle());
        let mut under_way = (uploader(&stage).expect("a ring"), upload_to(handle, 1));
        let way = probe.attempt(&mut under_way, look, |(uploader, upload)| {
            // SAFETY: as above.
            done(unsafe { uploader.record_or_write_owned(commands, upload, &mut owned.borrow_mut()) })
        });
        assert_eq!((way, under_way.0.used_bytes(), under_way.1.is_done()), (Way::InPlace, 0, true));
        run_and_compare(&stage, commands, handle, &[1]);
    });
    for tally in [borrowed, of_owned] {
        assert!(tally.failed >= 4 && tally.survived == 0, "{tally:?}");
    }
    drop(owned);
    stage.finish();
}

/// What is not mapped is staged, by a ring that grows: as if it had been recorded.
fn staged_that_grows(stage: &Stage, target: &mut Buffer<&Allocator>, probe: &Probe<'_>) {
    let (commands, handle) = (stage.begin(), target.handle());
    let mut under_way = (uploader(stage).expect("a ring"), upload_to(handle, 0));
    // SAFETY: recording; the target lives on, and nothing uses it.
    let first = done(unsafe { under_way.0.record_or_write_owned(commands, &mut under_way.1, target) });
    assert_eq!(first, Ok(Way::Staged));
    under_way.1 = upload_to(handle, 1);
    let crowd = crowd(&stage.rig, Intent::Upload);
    probe.attempt(&mut under_way, look, |(uploader, upload)| {
        // SAFETY: as above.
        done(unsafe { uploader.record_or_write_owned(commands, upload, target) })
    });
    assert_eq!(look(&under_way), (2 * PART, 2 * PART, PART, true));
    run_and_compare(stage, commands, handle, &[0, 1]);
    drop(under_way);
    Made::of(crowd).undo(&stage.rig);
}

#[test]
fn what_is_staged_for_want_of_a_mapping_is_as_before() {
    let stage = Stage::new(Profile::discrete_bar256());
    let target = RefCell::new(stage.buffer(2 * PART));
    assert!(target.borrow().allocation().mapped_ptr().is_none());
    let scenario = |probe: &Probe<'_>| staged_that_grows(&stage, &mut target.borrow_mut(), probe);
    let tally = fail_each_attempt(&stage.rig, &scenario);
    assert!(tally.failed >= 15, "{tally:?}");
    drop(target);
    stage.finish();
}

/// Records a part of a download. A ring that is full for want of memory is no error; here it is one, to be tried again.
fn part(
    commands: vk::CommandBuffer,
    readback: &mut Readback<&Allocator>,
    source: vk::Buffer,
    number: u8,
) -> Result<Ticket, String> {
    let offset = u64::from(number) * PART;
    let mut download = Download::of_buffer(source, 2 * PART, offset, PART).expect("it fits");
    // SAFETY: recording; the source lives on, and was written.
    match unsafe { readback.record(commands, &mut download) } {
        Ok(Recorded::Last(ticket)) => Ok(ticket),
        failed => {
            assert_eq!((download.done_bytes(), download.is_done()), (0, false));
            Err(format!("{failed:?}"))
        }
    }
}

/// Makes a buffer that holds the bytes of both parts.
fn filled(stage: &Stage) -> Buffer<&Allocator> {
    let target = stage.buffer(2 * PART);
    let mut uploader = uploader(stage).expect("a ring");
    let commands = stage.begin();
    for number in [0, 1] {
        let mut upload = upload_to(target.handle(), number);
        // SAFETY: recording; the target lives on.
        done(unsafe { uploader.record(commands, &mut upload) }).expect("there is memory");
    }
    stage.run(commands);
    drop(uploader);
    stage.rig.trim();
    target
}

#[test]
fn a_readback_that_does_not_grow_is_as_before() {
    let mut tally = Tally::default();
    for profile in devices() {
        let stage = Stage::new(profile);
        let source = filled(&stage);
        let one = fail_each_attempt(&stage.rig, &|probe: &Probe<'_>| {
            let mut readback = readback(&stage).expect("a ring");
            let commands = stage.begin();
            let first = part(commands, &mut readback, source.handle(), 0).expect("there is room");
            let crowd = crowd(&stage.rig, Intent::Readback);
            let look = |readback: &Readback<_>| (readback.ring_bytes(), readback.used_bytes());
            let second = probe.attempt(&mut readback, look, |readback| part(commands, readback, source.handle(), 1));
            stage.run(commands);
            readback.submitted(1).expect("the first");
            // SAFETY: the simulated device is done when `run` returns.
            unsafe { readback.collect(1) };
            for (ticket, number) in [(first, 0), (second, 1)] {
                let mut bytes = bytes_of(9);
                readback.read(ticket, &mut bytes).expect("it has passed");
                assert!(bytes == bytes_of(number));
            }
            assert_eq!((readback.used_bytes(), readback.trim()), (0, PART));
            drop(readback);
            Made::of(crowd).undo(&stage.rig);
        });
        tally = sum([tally, one]);
        drop(source);
        stage.finish();
    }
    assert!(tally.failed > 300 && tally.survived > 10, "{tally:?}");
}

/// The driver fails to invalidate: the ticket is handed back with its room, and redeemed afterwards.
#[test]
fn a_ticket_that_is_not_read_is_as_good_as_before() {
    let mut tally = Tally::default();
    for profile in [incoherent(), Profile::noncoherent()] {
        let stage = Stage::new(profile);
        let source = filled(&stage);
        let one = fail_each_attempt(&stage.rig, &|probe: &Probe<'_>| {
            let mut readback = readback(&stage).expect("a ring");
            let commands = stage.begin();
            let mut ticket = Some(part(commands, &mut readback, source.handle(), 1).expect("there is room"));
            stage.run(commands);
            readback.submitted(1).expect("the first");
            // SAFETY: the simulated device is done when `run` returns.
            unsafe { readback.collect(1) };
            let mut bytes = bytes_of(9);
            let look = |readback: &Readback<_>| (readback.ring_bytes(), readback.used_bytes());
            probe.attempt(&mut readback, look, |readback| {
                let given = ticket.take().expect("it was handed back");
                readback.read(given, &mut bytes).map_err(|error| {
                    let said = error.to_string();
                    ticket = Some(error.ticket);
                    said
                })
            });
            assert!(bytes == bytes_of(1) && readback.used_bytes() == 0);
        });
        tally = sum([tally, one]);
        let invalidated = stage.control().count(Function::InvalidateMappedMemoryRanges);
        assert!(invalidated > 0, "cached memory is not coherent here");
        drop(source);
        stage.finish();
    }
    assert!(tally.failed >= 8 && tally.survived == 0, "{tally:?}");
}
