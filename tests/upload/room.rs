//! How much room a ring has.

use ash::vk;
use freestone::sim::{KIB, Profile};
use freestone::{AllocationCreateInfo, Image, Progress, ResourceUse, StagingCreateInfo, Upload, Uploader, Way};

use crate::shadow::{FORMATS, ShadowImage};
use crate::stage::{Stage, pattern};

/// Blocks are rounded up to whole units of the device: that does not cost the ring a block.
#[test]
fn a_ring_grows_by_as_many_blocks_as_were_asked_for() {
    let stage = Stage::new(Profile::discrete_rebar());
    let target = stage.buffer(200_000);
    let info = StagingCreateInfo::new(100_000).max_bytes(200_000);
    // SAFETY: nothing is submitted.
    let mut uploader = unsafe { Uploader::new(stage.allocator(), &info) }.expect("a ring");
    let bytes = pattern(1, 150_000);
    let mut upload = Upload::to_buffer(target.handle(), 200_000, 0, bytes).expect("it fits");
    let commands = stage.begin();
    // SAFETY: recording; the target lives on.
    let done = unsafe { uploader.record(commands, &mut upload) }.expect("recorded");
    assert_eq!(done, Progress::Done(Way::Staged));
    let mut third = Upload::to_buffer(target.handle(), 200_000, 0, pattern(2, 100_000)).expect("it fits");
    // SAFETY: as above.
    let progress = unsafe { uploader.record(commands, &mut third) }.expect("recorded");
    assert!(matches!(progress, Progress::Full(_)), "two blocks, and no third: {progress:?}");
    assert!((200_000..200_256).contains(&uploader.ring_bytes()), "{}", uploader.ring_bytes());
    stage.forget(commands);
    drop((uploader, target));
    stage.finish();
}

/// At offset 0 of an empty block everything is aligned: nothing is kept for that.
#[test]
fn an_empty_ring_has_room_for_what_is_as_large_as_it() {
    let stage = Stage::new(Profile::discrete_rebar());
    // 4092 bytes in texels of 12, on a queue that copies whole levels only.
    let shadow = ShadowImage::new(FORMATS[2], [341, 1, 1], 1, 1);
    // SAFETY: the create-info is valid; the simulated device is done whenever `run` returns.
    let image = unsafe { Image::new(stage.allocator(), &shadow.create_info(), &AllocationCreateInfo::gpu_only()) };
    let image = image.expect("an image");
    let target = shadow.target(image.handle());
    let whole = vk::Extent3D { width: 0, height: 0, depth: 0 };
    // SAFETY: as above.
    let made = unsafe { Uploader::new(stage.allocator(), &StagingCreateInfo::new(4 * KIB).granularity(whole)) };
    let mut uploader = made.expect("a ring");
    for point in 1..4 {
        let upload = Upload::to_image(target, target.regions(), pattern(point, 4092)).expect("it fits");
        let general = ResourceUse::image(
            vk::PipelineStageFlags::TRANSFER,
            vk::AccessFlags::TRANSFER_WRITE,
            vk::ImageLayout::GENERAL,
        );
        let mut upload = upload.before(ResourceUse::undefined()).after(general);
        let commands = stage.begin();
        // SAFETY: recording; the target lives on.
        let done = unsafe { uploader.record(commands, &mut upload) }.expect("it has room");
        assert_eq!(done, Progress::Done(Way::Staged));
        stage.run(commands);
        uploader.submitted(point).expect("points ascend");
        // SAFETY: it has run.
        unsafe { uploader.collect(point) };
    }
    drop((uploader, image));
    stage.finish();
}
