//! Values other than bytes go to buffers and images, and come back.

use ash::vk;
use freestone::sim::KIB;
use freestone::{
    AllocationCreateInfo, Download, Image, Progress, Readback, Recorded, ResourceUse, StagingCreateInfo, TransferError,
    Upload, Uploader, Way,
};

use crate::shadow::{FORMATS, ShadowImage};
use crate::stage::{Stage, incoherent};

const COPIED: vk::AccessFlags = vk::AccessFlags::TRANSFER_WRITE;
const READABLE: ResourceUse =
    ResourceUse::image(vk::PipelineStageFlags::TRANSFER, COPIED, vk::ImageLayout::TRANSFER_SRC_OPTIMAL);

#[test]
fn values_go_to_buffers_and_images_and_come_back() {
    let stage = Stage::new(incoherent());
    let (target, shadow) = (stage.buffer(KIB), ShadowImage::new(FORMATS[3], [4, 4, 1], 1, 1));
    // SAFETY: the create-info is valid; the simulated device is done whenever `run` returns.
    let image = unsafe { Image::new(stage.allocator(), &shadow.create_info(), &AllocationCreateInfo::gpu_only()) };
    let image = image.expect("an image");
    let texels = shadow.target(image.handle());
    // SAFETY: as above.
    let mut uploader = unsafe { Uploader::new(stage.allocator(), &StagingCreateInfo::new(4 * KIB)) }.expect("a ring");
    // SAFETY: as above.
    let mut readback = unsafe { Readback::new(stage.allocator(), &StagingCreateInfo::new(4 * KIB)) }.expect("a ring");
    let (words, colours) = ([0x0102_0304_0506_0708_u64; 100], [[0.5_f32, 0.25, -1.0, 2.0]; 16]);
    let to_buffer = Upload::values_to_buffer(target.handle(), KIB, 200, &words).expect("they fit");
    let to_image = Upload::values_to_image(texels, texels.regions(), &colours).expect("they fit");
    let buffer_use = ResourceUse::buffer(vk::PipelineStageFlags::TRANSFER, COPIED);
    let commands = stage.begin();
    for mut upload in [to_buffer.after(buffer_use), to_image.before(ResourceUse::undefined()).after(READABLE)] {
        // SAFETY: recording; the targets live on.
        let done = unsafe { uploader.record(commands, &mut upload) }.expect("recorded");
        assert_eq!(done, Progress::Done(Way::Staged));
    }
    let of_buffer = Download::of_buffer(target.handle(), KIB, 200, 800).expect("inside");
    let of_image = Download::of_image(texels, texels.regions()).expect("all of it");
    let [from_buffer, from_image] = [of_buffer, of_image].map(|mut download| {
        // SAFETY: as above, and both are written by then.
        match unsafe { readback.record(commands, &mut download) }.expect("recorded") {
            Recorded::Last(ticket) => ticket,
            other => panic!("{other:?}"),
        }
    });
    stage.run(commands);
    uploader.submitted(1).expect("the first point");
    readback.submitted(1).expect("the first point");
    // SAFETY: it has run.
    unsafe { uploader.collect(1) };
    // SAFETY: as above.
    unsafe { readback.collect(1) };
    let short = readback.read(from_buffer, &mut [0_u64; 99]).expect_err("a word is missing");
    assert!(matches!(short.reason, TransferError::WrongLength { given: 792, expected: 800 }), "{short}");
    let (mut words_read, mut colours_read) = ([0_u64; 100], [[0.0_f32; 4]; 16]);
    readback.read(short.ticket, &mut words_read).expect("it has passed");
    readback.read(from_image, &mut colours_read).expect("it has passed");
    assert_eq!((words_read, colours_read.concat()), (words, colours.concat()));
    drop((uploader, readback, image, target));
    stage.finish();
}
