//! What is recorded and not yet submitted: nothing overtakes it.

use ash::vk;
use freestone::sim::KIB;
use freestone::{AllocationCreateInfo, Allocator, Progress, ResourceUse, StagingCreateInfo, Upload, Uploader, Way};

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
        stage.allocator().invalidate(&target.1, 0, 4096).expect("mapped");
        let commands = stage.begin();
        // SAFETY: as above, and the device is done with it.
        let done = unsafe { uploader.record_or_write(commands, &mut last, &mut target.1) }.expect("written");
        assert_eq!(done, Progress::Done(Way::InPlace), "what was recorded was submitted");
        stage.forget(commands);
        assert_eq!((stage.read(target.0, 4096), stage.read(other.0, 4096)), (pattern(4, 4096), pattern(3, 4096)));
        drop(uploader);
        stage.destroy(target);
        stage.destroy(other);
        stage.finish();
    }
}
