//! What is recorded and not yet submitted: nothing overtakes it, and what was recorded in vain is done again.

use std::time::Instant;

use ash::vk;
use freestone::sim::{Function, KIB, Profile};
use freestone::{
    Allocation, AllocationCreateInfo, Allocator, Download, Image, Progress, Readback, Recorded, ResourceUse,
    StagingCreateInfo, Upload, Uploader, Way,
};

use crate::shadow::{FORMATS, ShadowImage};
use crate::stage::{Stage, pattern, profiles};

/// A use that makes the order of two uploads known to the device.
const COPIED: ResourceUse = ResourceUse::buffer(vk::PipelineStageFlags::TRANSFER, vk::AccessFlags::TRANSFER_WRITE);

fn uploader(stage: &Stage, bytes: u64) -> Uploader<&Allocator> {
    // SAFETY: the simulated device is done whenever `run` returns.
    unsafe { Uploader::new(stage.allocator(), &StagingCreateInfo::new(bytes)) }.expect("a ring")
}

#[test]
fn a_write_in_place_does_not_overtake_what_is_recorded() {
    for profile in profiles() {
        let stage = Stage::new(profile);
        let mut target = stage.buffer_in(4096, &AllocationCreateInfo::stream());
        let mut other = stage.buffer_in(4096, &AllocationCreateInfo::stream());
        let mut uploader = uploader(&stage, 16 * KIB);
        let make =
            |buffer, seed| Upload::to_buffer(buffer, 4096, 0, pattern(seed, 4096)).expect("it fits").before(COPIED);
        let (mut first, mut second) = (make(target.0, 1), make(target.0, 2));
        let (mut aside, mut last) = (make(other.0, 3), make(target.0, 4));
        let commands = stage.begin();
        // SAFETY: recording; the target lives on.
        let done = unsafe { uploader.record(commands, &mut first) }.expect("recorded");
        assert_eq!(done, Progress::Done(Way::Staged));
        // SAFETY: as above, and it is bound at the start of its memory.
        let done = unsafe { uploader.record_or_write(commands, &mut second, &mut target.1) }.expect("recorded");
        assert_eq!(done, Progress::Done(Way::Staged), "the copy of the first comes later");
        // SAFETY: as above.
        let done = unsafe { uploader.record_or_write(commands, &mut aside, &mut other.1) }.expect("written");
        assert_eq!(done, Progress::Done(Way::InPlace), "nothing is recorded for this one");
        stage.run(commands);
        uploader.submitted(1).expect("the first point");
        assert_eq!(stage.read(target.0, 4096), pattern(2, 4096));
        // SAFETY: it has run.
        unsafe { uploader.collect(1) };
        stage.allocator().invalidate(&target.1, 0, 4096).expect("mapped");
        let commands = stage.begin();
        // SAFETY: as above, and the device is done with it.
        let done = unsafe { uploader.record_or_write(commands, &mut last, &mut target.1) }.expect("written");
        assert_eq!(done, Progress::Done(Way::InPlace), "what was recorded has run");
        stage.forget(commands);
        assert_eq!((stage.read(target.0, 4096), stage.read(other.0, 4096)), (pattern(4, 4096), pattern(3, 4096)));
        drop(uploader);
        stage.destroy(target);
        stage.destroy(other);
        stage.finish();
    }
}

/// In the same command buffer, or in a later one: two copies to one range are in no order without a barrier. Where the
/// target is mapped the second would have been written in place but for the first.
#[test]
fn what_is_staged_behind_copies_waits_for_them() {
    for (profile, memory) in [
        (Profile::discrete_rebar(), AllocationCreateInfo::stream()),
        (Profile::discrete_bar256(), AllocationCreateInfo::gpu_only()),
    ] {
        let stage = Stage::new(profile);
        let mut target = stage.buffer_in(4096, &memory);
        let mut uploader = uploader(&stage, 16 * KIB);
        let make = |seed| Upload::to_buffer(target.0, 4096, 0, pattern(seed, 4096)).expect("it fits");
        let read = ResourceUse::buffer(vk::PipelineStageFlags::VERTEX_INPUT, vk::AccessFlags::VERTEX_ATTRIBUTE_READ);
        let (mut first, mut second, mut third) = (make(1), make(2), make(3).before(read));
        let commands = stage.begin();
        barriers(&stage);
        // SAFETY: recording; the target lives on.
        let done = unsafe { uploader.record(commands, &mut first) }.expect("recorded");
        assert_eq!((done, barriers(&stage)), (Progress::Done(Way::Staged), 0), "nothing was asked for");
        // SAFETY: as above, and it is bound at the start of its memory.
        let done = unsafe { uploader.record_or_write(commands, &mut second, &mut target.1) }.expect("recorded");
        assert_eq!((done, barriers(&stage)), (Progress::Done(Way::Staged), 1), "behind the first");
        uploader.submitted(1).expect("the first point");
        let later = stage.begin();
        // SAFETY: as above.
        let done = unsafe { uploader.record_or_write(later, &mut third, &mut target.1) }.expect("recorded");
        assert_eq!((done, barriers(&stage)), (Progress::Done(Way::Staged), 1), "one for the copies and the readers");
        stage.run(commands);
        stage.run(later);
        assert_eq!(stage.read(target.0, 4096), pattern(3, 4096));
        drop(uploader);
        stage.destroy(target);
        stage.finish();
    }
}

/// An image of 12 KiB, which goes through a ring of 8 KiB in several batches.
fn image(stage: &Stage) -> (Image<&Allocator>, ShadowImage) {
    let shadow = ShadowImage::new(FORMATS[0], [64, 48, 1], 1, 1);
    // SAFETY: the create-info is valid; the simulated device is done whenever `run` returns.
    let image = unsafe { Image::new(stage.allocator(), &shadow.create_info(), &AllocationCreateInfo::gpu_only()) };
    (image.expect("an image"), shadow)
}

/// Counts the barriers that were recorded since the last call.
fn barriers(stage: &Stage) -> usize {
    stage.control().take_calls().iter().filter(|call| call.function == Function::CmdPipelineBarrier).count()
}

const SAMPLED: ResourceUse = ResourceUse::image(
    vk::PipelineStageFlags::FRAGMENT_SHADER,
    vk::AccessFlags::SHADER_READ,
    vk::ImageLayout::SHADER_READ_ONLY_OPTIMAL,
);

#[test]
fn an_upload_goes_on_behind_what_was_submitted_of_it() {
    let stage = Stage::new(Profile::noncoherent());
    let (image, shadow) = image(&stage);
    let mut uploader = uploader(&stage, 8 * KIB);
    let (target, bytes) = (shadow.target(image.handle()), pattern(1, 12 * KIB));
    let upload = Upload::to_image(target, target.regions(), bytes.clone()).expect("it fits");
    let mut upload = upload.before(ResourceUse::undefined()).after(SAMPLED);
    let record = |uploader: &mut Uploader<_>, upload: &mut Upload<_>| {
        let commands = stage.begin();
        // SAFETY: recording; the target lives on.
        let progress = unsafe { uploader.record(commands, upload) }.expect("recorded");
        (commands, matches!(progress, Progress::Done(_)), barriers(&stage))
    };
    barriers(&stage);
    let discard = |uploader: &mut Uploader<_>, commands| {
        stage.forget(commands);
        // SAFETY: the command buffer is gone.
        unsafe { uploader.discard_recorded() };
    };
    let (lost, is_done, count) = record(&mut uploader, &mut upload);
    assert_eq!((is_done, count), (false, 1));
    discard(&mut uploader, lost);
    uploader.rewind(&mut upload);
    assert_eq!(upload.done_bytes(), 0);
    let (kept, is_done, count) = record(&mut uploader, &mut upload);
    assert_eq!((is_done, count), (false, 1), "the barrier before was discarded with it");
    stage.run(kept);
    uploader.submitted(1).expect("the first point");
    let submitted = upload.done_bytes();
    assert!(submitted > 0);
    uploader.rewind(&mut upload);
    assert_eq!(upload.done_bytes(), submitted, "what was submitted is done");
    // SAFETY: it has run.
    unsafe { uploader.collect(1) };
    let (lost, is_done, count) = record(&mut uploader, &mut upload);
    assert_eq!((is_done, count, upload.is_done()), (true, 1, true));
    discard(&mut uploader, lost);
    uploader.rewind(&mut upload);
    assert_eq!((upload.done_bytes(), upload.is_done()), (submitted, false));
    let (kept, is_done, count) = record(&mut uploader, &mut upload);
    assert_eq!((is_done, count), (true, 1), "the barrier behind it alone: the image is in the layout of the copies");
    stage.run(kept);
    uploader.submitted(2).expect("points ascend");
    // SAFETY: it has run.
    unsafe { uploader.collect(2) };
    assert_eq!(read(&stage, &image, &shadow), bytes);
    drop((uploader, image));
    stage.finish();
}

/// Reads an image, each part twice: the first time, the commands are lost.
fn read(stage: &Stage, image: &Image<&Allocator>, shadow: &ShadowImage) -> Vec<u8> {
    let target = shadow.target(image.handle());
    // SAFETY: the simulated device is done whenever `run` returns.
    let mut readback = unsafe { Readback::new(stage.allocator(), &StagingCreateInfo::new(8 * KIB)) }.expect("a ring");
    let mut download = Download::of_image(target, target.regions()).expect("all of it").before(SAMPLED).after(SAMPLED);
    let mut bytes = vec![0_u8; shadow.bytes.len()];
    let record = |readback: &mut Readback<_>, download: &mut Download| {
        let commands = stage.begin();
        // SAFETY: recording; the image lives on, and was written.
        match unsafe { readback.record(commands, download) }.expect("recorded") {
            Recorded::Part(ticket) | Recorded::Last(ticket) => (commands, ticket),
            Recorded::Full(full) => panic!("{full:?}"),
        }
    };
    for point in 1.. {
        let done = download.done_bytes();
        barriers(stage);
        let (lost, ticket) = record(&mut readback, &mut download);
        let expected = barriers(stage);
        stage.forget(lost);
        // SAFETY: the command buffer is gone.
        unsafe { readback.release(ticket) }.expect("it is its own");
        assert!(readback.rewind(&mut download));
        assert_eq!((download.done_bytes(), download.is_done()), (done, false));
        let (kept, ticket) = record(&mut readback, &mut download);
        assert_eq!(barriers(stage), expected, "the same as what was lost");
        stage.run(kept);
        readback.submitted(point).expect("points ascend");
        assert!(!readback.rewind(&mut download), "it was submitted");
        // SAFETY: it has run.
        unsafe { readback.collect(point) };
        let start = usize::try_from(ticket.offset()).expect("small");
        let len = usize::try_from(ticket.len()).expect("small");
        readback.read(ticket, &mut bytes[start..start + len]).expect("it has passed");
        if download.is_done() {
            assert!(point > 1, "several batches");
            break;
        }
    }
    bytes
}

/// A ring of one copy: the second upload finds it full, and must not be written in place when the first was submitted,
/// but has not run.
#[test]
fn a_full_ring_does_not_let_a_write_overtake() {
    for profile in profiles() {
        let stage = Stage::new(profile);
        let mut target = stage.buffer_in(4096, &AllocationCreateInfo::stream());
        let mut uploader = uploader(&stage, 4 * KIB);
        let make = |seed| Upload::to_buffer(target.0, 4096, 0, pattern(seed, 4096)).expect("it fits").before(COPIED);
        let (mut first, mut second) = (make(1), make(2));
        let (commands, later) = (stage.begin(), stage.begin());
        // SAFETY: recording; the target lives on.
        let done = unsafe { uploader.record(commands, &mut first) }.expect("recorded");
        assert_eq!(done, Progress::Done(Way::Staged));
        let mut record = |uploader: &mut Uploader<_>, memory: &mut Allocation| {
            // SAFETY: as above, and the target is bound at the start of its memory.
            match unsafe { uploader.record_or_write(later, &mut second, memory) }.expect("recorded") {
                Progress::Full(full) => Err((full.has_recorded, full.wait_for)),
                Progress::Done(way) => Ok(way),
            }
        };
        assert_eq!(record(&mut uploader, &mut target.1), Err((true, None)));
        stage.end(commands);
        uploader.submitted(1).expect("the first point");
        assert_eq!(record(&mut uploader, &mut target.1), Err((false, Some(1))), "the copy of the first is in flight");
        stage.execute(commands);
        // SAFETY: it has run.
        unsafe { uploader.collect(1) };
        stage.allocator().invalidate(&target.1, 0, 4096).expect("mapped");
        assert_eq!(record(&mut uploader, &mut target.1), Ok(Way::InPlace));
        stage.forget(later);
        assert_eq!(stage.read(target.0, 4096), pattern(2, 4096));
        drop(uploader);
        stage.destroy(target);
        stage.finish();
    }
}

/// Takes the best of many short times, which other work on the machine does not touch. Where a write looks at all
/// copies, it takes hundreds of times as long behind the many.
#[test]
fn a_write_costs_the_same_however_many_copies_are_recorded() {
    let stage = Stage::new(Profile::discrete_rebar());
    let (copied, mut written) = (stage.buffer(4096), stage.buffer_in(4096, &AllocationCreateInfo::stream()));
    let mut uploader = uploader(&stage, 4 * KIB * KIB);
    let make = |buffer| Upload::to_buffer(buffer, 4096, 0, [1; 16]).expect("it fits");
    let commands = stage.begin();
    let mut time_behind = |copies: u32| {
        for _ in 0..copies {
            // SAFETY: recording; the target lives on.
            let done = unsafe { uploader.record(commands, &mut make(copied.handle())) }.expect("recorded");
            assert_eq!(done, Progress::Done(Way::Staged));
        }
        let mut time_of_writes = || {
            let start = Instant::now();
            for _ in 0..20 {
                let mut upload = make(written.0);
                // SAFETY: as above, and the target is bound at the start of its memory.
                let done = unsafe { uploader.record_or_write(commands, &mut upload, &mut written.1) }.expect("written");
                assert_eq!(done, Progress::Done(Way::InPlace));
            }
            start.elapsed()
        };
        (0..50).map(|_| time_of_writes()).min().expect("several")
    };
    let (few, many) = (time_behind(1), time_behind(16_000));
    assert!(many < 20 * few, "{few:?}, {many:?}");
    stage.forget(commands);
    drop((uploader, copied));
    stage.destroy(written);
    stage.finish();
}

#[test]
fn a_late_rewind_is_not_lost() {
    let stage = Stage::new(Profile::noncoherent());
    let target = stage.buffer(64 * KIB);
    let mut uploader = uploader(&stage, 64 * KIB);
    let make = |seed| Upload::to_buffer(target.handle(), 64 * KIB, seed * 8192, pattern(seed, 8192)).expect("it fits");
    let record = |uploader: &mut Uploader<_>, upload: &mut Upload<_>| {
        let commands = stage.begin();
        // SAFETY: recording; the target lives on.
        let done = unsafe { uploader.record(commands, upload) }.expect("recorded");
        assert_eq!(done, Progress::Done(Way::Staged));
        commands
    };
    let mut uploads = [0, 1, 2, 3].map(make);
    // Every other one is lost; nobody looks after them until others were submitted and have passed.
    for (index, upload) in uploads.iter_mut().enumerate() {
        let (commands, point) = (record(&mut uploader, upload), index as u64);
        if index % 2 == 0 {
            stage.forget(commands);
            // SAFETY: the command buffer is gone.
            unsafe { uploader.discard_recorded() };
        } else {
            stage.run(commands);
            uploader.submitted(point).expect("points ascend");
            // SAFETY: it has run.
            unsafe { uploader.collect(point) };
        }
    }
    // The last is not rewound, but recorded again right away.
    let (rewound, last) = uploads.split_at_mut(2);
    assert_eq!([0, 1].map(|index| uploader.rewind(&mut rewound[index])), [true, false]);
    assert_eq!([0, 1].map(|index| rewound[index].is_done()), [false, true]);
    for upload in [&mut rewound[0], &mut last[0]] {
        stage.run(record(&mut uploader, upload));
    }
    uploader.submitted(9).expect("points ascend");
    assert_eq!(
        stage.read(target.handle(), 64 * KIB)[..32 << 10],
        [0, 1, 2, 3].map(|seed| pattern(seed, 8192)).concat()
    );
    drop((uploader, target));
    stage.finish();
}

#[test]
fn batches_of_two_uploaders_are_told_apart() {
    let stage = Stage::new(Profile::noncoherent());
    let target = stage.buffer(64 * KIB);
    let (mut one, mut other) = (uploader(&stage, 8 * KIB), uploader(&stage, 64 * KIB));
    let bytes = pattern(1, 64 * KIB);
    let mut upload = Upload::to_buffer(target.handle(), 64 * KIB, 0, bytes.clone()).expect("it fits");
    let (kept, lost) = (stage.begin(), stage.begin());
    // SAFETY: recording; the target lives on.
    let progress = unsafe { one.record(kept, &mut upload) }.expect("recorded");
    assert!(matches!(progress, Progress::Full(_)), "{progress:?}");
    stage.run(kept);
    one.submitted(1).expect("the first point");
    let submitted = upload.done_bytes();
    // SAFETY: as above. It is the first batch of either.
    let progress = unsafe { other.record(lost, &mut upload) }.expect("recorded");
    assert_eq!(progress, Progress::Done(Way::Staged));
    stage.forget(lost);
    // SAFETY: the command buffer is gone.
    unsafe { other.discard_recorded() };
    assert!(other.rewind(&mut upload));
    assert_eq!((upload.done_bytes(), upload.is_done()), (submitted, false), "what the first submitted stays");
    let commands = stage.begin();
    // SAFETY: as above.
    let progress = unsafe { other.record(commands, &mut upload) }.expect("recorded");
    assert_eq!(progress, Progress::Done(Way::Staged));
    stage.run(commands);
    other.submitted(1).expect("the first point");
    assert_eq!(stage.read(target.handle(), 64 * KIB), bytes);
    drop((one, other, target));
    stage.finish();
}
