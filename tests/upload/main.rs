//! Uploads and readbacks on the simulated driver: whatever the ring holds, what was written is what is read back; what
//! is wrong is refused and loses nothing; a driver that fails leaves nothing behind.

#[path = "../common/mod.rs"]
mod common;
mod layouts;
mod many_regions;
mod model;
mod refused;
mod room;
mod shadow;
mod stage;
mod tickets;
mod unsubmitted;
mod values;

use ash::vk;
use common::{mib, state_of};
use freestone::sim::{Function, KIB, Profile};
use freestone::{
    AllocationCreateInfo, Buffer, Download, Full, Progress, QueueFamilies, Readback, Recorded, ResourceUse,
    StagingCreateInfo, Upload, Uploader, Way,
};
use stage::{Stage, incoherent, pattern, profiles};

/// Brings a whole upload to its end, one batch after another, from a point on; returns the last point.
fn finish_from(
    mut point: u64,
    stage: &Stage,
    uploader: &mut Uploader<&freestone::Allocator>,
    upload: &mut Upload<Vec<u8>>,
) -> u64 {
    loop {
        point += 1;
        let commands = stage.begin();
        // SAFETY: recording; the target lives on; what is submitted has run when `run` returns.
        let progress = unsafe { uploader.record(commands, upload) }.expect("recorded");
        stage.run(commands);
        uploader.submitted(point).expect("points ascend");
        // SAFETY: the simulated device is done when `run` returns.
        unsafe { uploader.collect(point) };
        match progress {
            Progress::Done(_) => return point,
            Progress::Full(full) => assert!(full.has_recorded && full.remaining > 0),
        }
    }
}

#[test]
fn an_upload_larger_than_the_ring_takes_several_batches() {
    for profile in profiles() {
        let stage = Stage::new(profile);
        let target = stage.buffer(100 * KIB);
        // SAFETY: the simulated device is done whenever `run` returns.
        let mut uploader =
            unsafe { Uploader::new(stage.allocator(), &StagingCreateInfo::new(16 * KIB)) }.expect("a ring");
        let bytes = pattern(1, 100 * KIB - 3);
        let mut upload = Upload::to_buffer(target.handle(), 100 * KIB, 3, bytes.clone()).expect("it fits");
        let batches = finish_from(0, &stage, &mut uploader, &mut upload);
        assert!((7..=8).contains(&batches), "{batches}");
        assert_eq!((uploader.used_bytes(), uploader.ring_bytes()), (0, 16 * KIB));
        assert_eq!(stage.read(target.handle(), 100 * KIB)[3..], bytes);
        drop((uploader, target));
        stage.finish();
    }
}

#[test]
fn a_full_ring_says_what_to_wait_for() {
    let stage = Stage::new(Profile::discrete_rebar());
    let target = stage.buffer(64 * KIB);
    // SAFETY: the simulated device is done whenever `run` returns.
    let mut uploader = unsafe { Uploader::new(stage.allocator(), &StagingCreateInfo::new(16 * KIB)) }.expect("a ring");
    let mut upload = Upload::to_buffer(target.handle(), 64 * KIB, 0, pattern(2, 64 * KIB)).expect("it fits");
    let commands = stage.begin();
    // SAFETY: recording; the target lives on.
    let mut record = |uploader: &mut Uploader<_>| match unsafe { uploader.record(commands, &mut upload) } {
        Ok(Progress::Full(Full { remaining, has_recorded, wait_for, .. })) => (remaining, has_recorded, wait_for),
        other => panic!("{other:?}"),
    };
    assert_eq!(record(&mut uploader), (48 * KIB, true, None));
    assert_eq!(record(&mut uploader), (48 * KIB, true, None), "nothing more until something passes");
    uploader.submitted(7).expect("the first point");
    assert_eq!(record(&mut uploader), (48 * KIB, false, Some(7)));
    stage.run(commands);
    // SAFETY: it has run.
    unsafe { uploader.collect(6) };
    assert_eq!(uploader.used_bytes(), 16 * KIB, "7 has not passed");
    // SAFETY: as above.
    unsafe { uploader.collect(7) };
    assert_eq!(uploader.used_bytes(), 0);
    drop((uploader, target));
    stage.finish();
}

#[test]
fn a_ring_grows_up_to_its_limit_and_gives_back_what_it_grew_by() {
    let stage = Stage::new(Profile::discrete_rebar());
    let target = stage.buffer(256 * KIB);
    let info = StagingCreateInfo::new(64 * KIB).max_bytes(200 * KIB);
    // SAFETY: the simulated device is done whenever `run` returns.
    let mut uploader = unsafe { Uploader::new(stage.allocator(), &info) }.expect("a ring");
    let bytes = pattern(3, 256 * KIB);
    let mut upload = Upload::to_buffer(target.handle(), 256 * KIB, 0, bytes.clone()).expect("it fits");
    assert_eq!(finish_from(0, &stage, &mut uploader, &mut upload), 2);
    assert_eq!(uploader.ring_bytes(), 192 * KIB, "three blocks; a fourth would pass the limit");
    assert_eq!(stage.read(target.handle(), 256 * KIB), bytes);
    assert_eq!((uploader.trim(), uploader.ring_bytes(), uploader.trim()), (128 * KIB, 64 * KIB, 0));
    let mut upload = Upload::to_buffer(target.handle(), 256 * KIB, 0, pattern(4, 256 * KIB)).expect("it fits");
    assert_eq!(finish_from(2, &stage, &mut uploader, &mut upload), 4, "and grows again");
    drop((uploader, target));
    stage.finish();
}

#[test]
fn the_ring_of_a_readback_gives_back_what_it_grew_by() {
    let stage = Stage::new(Profile::discrete_rebar());
    let target = stage.buffer(64 * KIB);
    let info = StagingCreateInfo::new(64 * KIB).max_bytes(200 * KIB);
    // SAFETY: the simulated device is done whenever `run` returns.
    let mut readback = unsafe { Readback::new(stage.allocator(), &info) }.expect("a ring");
    let commands = stage.begin();
    let tickets = [(); 2].map(|()| {
        let mut download = Download::of_buffer(target.handle(), 64 * KIB, 0, 60 * KIB).expect("it fits");
        // SAFETY: recording; the target lives on.
        match unsafe { readback.record(commands, &mut download) }.expect("recorded") {
            Recorded::Last(ticket) => ticket,
            other => panic!("{other:?}"),
        }
    });
    stage.run(commands);
    assert_eq!(readback.ring_bytes(), 128 * KIB);
    for ticket in tickets {
        // SAFETY: the copy has run.
        unsafe { readback.release(ticket) }.expect("it is its own");
    }
    assert_eq!((readback.trim(), readback.ring_bytes()), (64 * KIB, 64 * KIB));
    drop((readback, target));
    stage.finish();
}

#[test]
fn a_ring_that_cannot_grow_for_want_of_memory_is_full() {
    let stage = Stage::new(Profile::discrete_rebar());
    let target = stage.buffer(mib(20));
    let info = StagingCreateInfo::new(mib(5)).max_bytes(mib(20));
    // SAFETY: the simulated device is done whenever `run` returns.
    let mut uploader = unsafe { Uploader::new(stage.allocator(), &info) }.expect("a ring");
    let before = state_of(&stage.rig);
    stage.control().refuse_allocations_above(Some(0));
    let bytes = pattern(6, mib(20));
    let mut upload = Upload::to_buffer(target.handle(), mib(20), 0, bytes.clone()).expect("it fits");
    assert_eq!(finish_from(0, &stage, &mut uploader, &mut upload), 4, "four times what there is");
    assert_eq!(state_of(&stage.rig), before, "and nothing is left of the attempts");
    stage.control().refuse_allocations_above(None);
    assert_eq!(stage.read(target.handle(), mib(20)), bytes);
    drop((uploader, target));
    stage.finish();
}

/// The calls that open a block, for want of whichever memory: the ring there is goes on in their stead.
#[test]
fn a_ring_whose_growth_fails_for_want_of_any_memory_is_full() {
    let calls = [Function::CreateBuffer, Function::AllocateMemory, Function::BindBufferMemory];
    let wants = [vk::Result::ERROR_OUT_OF_HOST_MEMORY, vk::Result::ERROR_OUT_OF_DEVICE_MEMORY];
    for (function, want) in calls.into_iter().flat_map(|function| wants.map(|want| (function, want))) {
        let stage = Stage::new(Profile::discrete_rebar());
        let target = stage.buffer(mib(12));
        let info = StagingCreateInfo::new(mib(5)).max_bytes(mib(20));
        // SAFETY: the simulated device is done whenever `run` returns.
        let mut uploader = unsafe { Uploader::new(stage.allocator(), &info) }.expect("a ring");
        let before = state_of(&stage.rig);
        stage.control().fail_when(move |call| (call.function == function).then_some(want));
        let bytes = pattern(6, mib(12));
        let mut upload = Upload::to_buffer(target.handle(), mib(12), 0, bytes.clone()).expect("it fits");
        assert_eq!(finish_from(0, &stage, &mut uploader, &mut upload), 3, "{function:?}, {want:?}");
        assert_eq!(state_of(&stage.rig), before, "and nothing is left of the attempts: {function:?}, {want:?}");
        stage.control().clear_faults();
        assert_eq!(stage.read(target.handle(), mib(12)), bytes);
        drop((uploader, target));
        stage.finish();
    }
}

#[test]
fn a_ring_whose_growth_fails_for_another_reason_says_so() {
    let stage = Stage::new(Profile::discrete_rebar());
    let target = stage.buffer(mib(12));
    let info = StagingCreateInfo::new(mib(5)).max_bytes(mib(20));
    // SAFETY: nothing is submitted.
    let mut uploader = unsafe { Uploader::new(stage.allocator(), &info) }.expect("a ring");
    let mut upload = Upload::to_buffer(target.handle(), mib(12), 0, pattern(6, mib(12))).expect("it fits");
    let commands = stage.begin();
    stage.control().fail_nth_of(Function::AllocateMemory, 1, vk::Result::ERROR_DEVICE_LOST);
    // SAFETY: recording; nothing is submitted.
    let failed = unsafe { uploader.record(commands, &mut upload) }.expect_err("the device is lost");
    let lost = freestone::AllocationError::driver_result;
    let reported = if let freestone::TransferError::Allocation(error) = &failed { lost(error) } else { None };
    assert_eq!(reported, Some(vk::Result::ERROR_DEVICE_LOST), "{failed}");
    // SAFETY: the command buffer is not submitted.
    unsafe { uploader.discard_recorded() };
    stage.forget(commands);
    drop((uploader, target));
    stage.finish();
}

#[test]
fn what_was_recorded_in_vain_is_discarded_and_starts_again() {
    let stage = Stage::new(Profile::noncoherent());
    let target = stage.buffer(64 * KIB);
    // SAFETY: the simulated device is done whenever `run` returns.
    let mut uploader = unsafe { Uploader::new(stage.allocator(), &StagingCreateInfo::new(64 * KIB)) }.expect("a ring");
    let bytes = [pattern(7, 20 * KIB), pattern(8, 20 * KIB)];
    let [mut first, mut second] = [0, 1].map(|index: usize| {
        let offset = index as u64 * 20 * KIB;
        Upload::to_buffer(target.handle(), 64 * KIB, offset, bytes[index].clone()).expect("it fits")
    });
    let (kept, lost) = (stage.begin(), stage.begin());
    // SAFETY: recording; the target lives on.
    let done = unsafe { uploader.record(kept, &mut first) }.expect("recorded");
    assert_eq!(done, Progress::Done(Way::Staged));
    uploader.submitted(1).expect("the first point");
    let held = uploader.used_bytes();
    // SAFETY: as above.
    let done = unsafe { uploader.record(lost, &mut second) }.expect("recorded");
    assert_eq!(done, Progress::Done(Way::Staged));
    stage.forget(lost);
    // SAFETY: the command buffer is gone.
    unsafe { uploader.discard_recorded() };
    assert_eq!(uploader.used_bytes(), held, "what was submitted stays");
    uploader.rewind(&mut second);
    assert_eq!((second.done_bytes(), second.is_done()), (0, false));
    stage.run(kept);
    assert_eq!(finish_from(1, &stage, &mut uploader, &mut second), 2);
    assert_eq!(stage.read(target.handle(), 64 * KIB)[..40 << 10], bytes.concat());
    drop((uploader, target));
    stage.finish();
}

#[test]
fn an_owned_buffer_is_written_in_place_or_through_the_ring() {
    for profile in profiles() {
        let stage = Stage::new(profile);
        // SAFETY: nothing is submitted.
        let mut uploader = unsafe { Uploader::new(stage.allocator(), &StagingCreateInfo::new(4096)) }.expect("a ring");
        let usage = vk::BufferUsageFlags::TRANSFER_DST;
        let create_info = vk::BufferCreateInfo::default().size(4096).usage(usage);
        for info in [AllocationCreateInfo::stream(), AllocationCreateInfo::gpu_only()] {
            let commands = stage.begin();
            // SAFETY: the create-info is valid; nothing is submitted.
            let mut buffer = unsafe { Buffer::new(stage.allocator(), &create_info, &info) }.expect("a buffer");
            let mut upload = Upload::to_buffer(buffer.handle(), 4096, 100, pattern(5, 1000)).expect("it fits");
            // SAFETY: recording; nothing uses the target, and nothing is submitted.
            let done = unsafe { uploader.record_or_write_owned(commands, &mut upload, &mut buffer) }.expect("done");
            if buffer.allocation().mapped_ptr().is_some() {
                assert_eq!(done, Progress::Done(Way::InPlace));
                // SAFETY: the host wrote these bytes just now.
                assert_eq!(unsafe { buffer.slice::<u8>(100, 1000) }.expect("it is mapped"), pattern(5, 1000));
            } else {
                assert_eq!(done, Progress::Done(Way::Staged));
            }
            // SAFETY: the command buffer is not submitted.
            unsafe { uploader.discard_recorded() };
            stage.forget(commands);
            drop(buffer);
        }
        drop(uploader);
        stage.finish();
    }
}

#[test]
fn what_is_mapped_is_written_in_place_and_nothing_is_recorded() {
    for profile in profiles() {
        let stage = Stage::new(profile);
        let mut target = stage.buffer_in(4096, &AllocationCreateInfo::stream());
        // SAFETY: nothing is submitted.
        let mut uploader = unsafe { Uploader::new(stage.allocator(), &StagingCreateInfo::new(4096)) }.expect("a ring");
        let make = || Upload::to_buffer(target.0, 4096, 100, pattern(5, 1000)).expect("it fits");
        let (mut plain, mut handed) = (make(), make());
        let families = QueueFamilies { from: 0, to: 1 };
        handed = handed.hand_over(ResourceUse::undefined(), families);
        let commands = stage.begin();
        stage.control().take_calls();
        // SAFETY: recording; the target is bound at the start of its memory, and nothing uses it.
        let done = unsafe { uploader.record_or_write(commands, &mut plain, &mut target.1) }.expect("written");
        assert_eq!(done, Progress::Done(Way::InPlace));
        assert!(plain.is_done() && !handed.is_done());
        let calls = stage.control().take_calls();
        assert!(calls.iter().all(|call| call.function == Function::FlushMappedMemoryRanges), "{calls:?}");
        // SAFETY: as above.
        let staged = unsafe { uploader.record_or_write(commands, &mut handed, &mut target.1) }.expect("recorded");
        assert_eq!(staged, Progress::Done(Way::Staged), "what changes its queue family has to be recorded");
        // SAFETY: recording, in the simulated driver, where every queue can do everything.
        assert!(unsafe { uploader.record_acquire(commands, &handed) });
        // SAFETY: as above.
        assert!(!unsafe { uploader.record_acquire(commands, &plain) }, "nothing was released");
        // SAFETY: the command buffer is not submitted.
        unsafe { uploader.discard_recorded() };
        assert_eq!(uploader.used_bytes(), 0);
        stage.forget(commands);
        assert_eq!(stage.read(target.0, 4096)[100..1100], pattern(5, 1000));
        drop(uploader);
        stage.destroy(target);
        stage.finish();
    }
}

#[test]
fn a_steady_batch_asks_the_driver_for_no_memory() {
    for profile in profiles() {
        let stage = Stage::new(profile);
        let target = stage.buffer(mib(1));
        let info = StagingCreateInfo::new(256 * KIB);
        // SAFETY: the simulated device is done whenever `run` returns.
        let mut uploader = unsafe { Uploader::new(stage.allocator(), &info) }.expect("a ring");
        // SAFETY: as above.
        let mut readback = unsafe { Readback::new(stage.allocator(), &info) }.expect("a ring");
        for point in 1..20 {
            stage.control().take_calls();
            let commands = stage.begin();
            for part in 0..3 {
                let (offset, bytes) = (part * 64 * KIB, pattern(point + part, 60 * KIB));
                let mut upload = Upload::to_buffer(target.handle(), mib(1), offset, bytes).expect("it fits");
                // SAFETY: recording; the target lives on.
                let done = unsafe { uploader.record(commands, &mut upload) }.expect("recorded");
                assert_eq!(done, Progress::Done(Way::Staged));
            }
            let mut download = Download::of_buffer(target.handle(), mib(1), 64 * KIB, 60 * KIB).expect("it fits");
            // SAFETY: as above.
            let recorded = unsafe { readback.record(commands, &mut download) }.expect("recorded");
            let Recorded::Last(ticket) = recorded else { panic!("{recorded:?}") };
            stage.run(commands);
            uploader.submitted(point).expect("points ascend");
            readback.submitted(point).expect("points ascend");
            // SAFETY: the simulated device is done when `run` returns.
            unsafe { uploader.collect(point) };
            // SAFETY: as above.
            unsafe { readback.collect(point) };
            let mut bytes = vec![0_u8; usize::try_from(ticket.len()).expect("small")];
            readback.read(ticket, &mut bytes).expect("it has passed");
            assert_eq!(bytes, pattern(point + 1, 60 * KIB));
            let calls = stage.control().take_calls();
            let memory = [Function::AllocateMemory, Function::FreeMemory, Function::MapMemory, Function::CreateBuffer];
            assert!(calls.iter().all(|call| !memory.contains(&call.function)), "{calls:?}");
        }
        assert_eq!(readback.trim(), 0, "it has not grown");
        drop((uploader, readback, target));
        stage.finish();
    }
}

/// The nth failable call of a whole upload and readback fails, for all n: the error says so, nothing is lost, the same
/// call then succeeds, and nothing is left behind.
#[test]
fn each_driver_call_may_fail_once() {
    // For want of memory a ring that is there goes on; what nobody understands ends the call.
    let results = [vk::Result::ERROR_OUT_OF_HOST_MEMORY, vk::Result::ERROR_UNKNOWN];
    let cases = results.into_iter().flat_map(|result| [incoherent(), Profile::discrete_rebar()].map(|p| (p, result)));
    for (profile, result) in cases {
        let stage = Stage::new(profile);
        let target = stage.buffer(64 * KIB);
        let before = state_of(&stage.rig);
        for n in 1.. {
            let fired = stage.control().faults_fired().len();
            round_trip(&stage, target.handle(), (n, result));
            stage.rig.trim();
            let mut after = state_of(&stage.rig);
            after.forget_history();
            let mut expected = before.clone();
            expected.forget_history();
            assert_eq!(after, expected, "call {n}");
            stage.control().assert_clean();
            if stage.control().faults_fired().len() == fired {
                assert!(n > 3, "several calls can fail");
                break;
            }
        }
        stage.control().clear_faults();
        drop(target);
        stage.finish();
    }
}

/// Fails the nth call that an uploader or a readback makes itself and that can fail.
fn fail_nth(stage: &Stage, n: u64, result: vk::Result) {
    let mut left = n;
    stage.control().clear_faults();
    stage.control().fail_when(move |call| {
        left = left.saturating_sub(u64::from(STAGING_CALLS.contains(&call.function)));
        let is_due = left == 0;
        left = if is_due { u64::MAX } else { left };
        is_due.then_some(result)
    });
}

/// What staging calls and can fail; nothing else of the tests here does.
const STAGING_CALLS: [Function; 6] = [
    Function::AllocateMemory,
    Function::MapMemory,
    Function::CreateBuffer,
    Function::BindBufferMemory,
    Function::FlushMappedMemoryRanges,
    Function::InvalidateMappedMemoryRanges,
];

/// Uploads and reads back, with growth; whatever fails is tried again.
fn round_trip(stage: &Stage, target: vk::Buffer, (n, result): (u64, vk::Result)) {
    let info = StagingCreateInfo::new(16 * KIB).max_bytes(32 * KIB);
    fail_nth(stage, n, result);
    // SAFETY: the simulated device is done whenever `run` returns.
    let make = || unsafe { Uploader::new(stage.allocator(), &info) };
    let mut uploader = make().or_else(|_| make()).expect("the second time");
    // SAFETY: as above.
    let make = || unsafe { Readback::new(stage.allocator(), &info) };
    let mut readback = make().or_else(|_| make()).expect("the second time");
    let bytes = pattern(n, 64 * KIB);
    let mut upload = Upload::to_buffer(target, 64 * KIB, 0, bytes.clone()).expect("it fits");
    let mut download = Download::of_buffer(target, 64 * KIB, 0, 64 * KIB).expect("it fits");
    assert_eq!((upload.total_bytes(), download.total_bytes()), (64 * KIB, 64 * KIB));
    let mut point = 0;
    while !upload.is_done() {
        point += 1;
        let (commands, done) = (stage.begin(), upload.done_bytes());
        // SAFETY: recording; the target lives on.
        let outcome = unsafe { uploader.record(commands, &mut upload) };
        assert!(upload.done_bytes() >= done, "nothing is lost: {outcome:?}");
        stage.run(commands);
        uploader.submitted(point).expect("points ascend");
        // SAFETY: the simulated device is done when `run` returns.
        unsafe { uploader.collect(point) };
    }
    let mut read = vec![0_u8; 64 << 10];
    while !download.is_done() {
        point += 1;
        let commands = stage.begin();
        // SAFETY: recording; the source lives on.
        let recorded = unsafe { readback.record(commands, &mut download) };
        stage.run(commands);
        readback.submitted(point).expect("points ascend");
        // SAFETY: as above.
        unsafe { readback.collect(point) };
        let Ok(Recorded::Part(ticket) | Recorded::Last(ticket)) = recorded else { continue };
        let start = usize::try_from(ticket.offset()).expect("small");
        let part = &mut read[start..start + usize::try_from(ticket.len()).expect("small")];
        if let Err(failed) = readback.read(ticket, part) {
            readback.read(failed.ticket, part).expect("the second time");
        }
    }
    assert_eq!(read, bytes);
    assert_eq!((uploader.used_bytes(), readback.used_bytes()), (0, 0), "no room is lost");
}
