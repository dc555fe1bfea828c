//! What is wrong is refused in words that help, and nothing is lost by it.

use ash::vk;
use freestone::sim::Profile;
use freestone::{
    Download, ImageRegion, ImageTarget, Progress, Readback, Recorded, StagingCreateInfo, TransferError, Upload,
    Uploader,
};

use crate::shadow::{FORMATS, ShadowImage};
use crate::stage::{Stage, incoherent, pattern};

const COLOR: vk::ImageAspectFlags = vk::ImageAspectFlags::COLOR;

/// An image of 30 by 20 texels in 3 levels and 2 layers, which is never used.
fn info(format: vk::Format) -> vk::ImageCreateInfo<'static> {
    vk::ImageCreateInfo::default()
        .image_type(vk::ImageType::TYPE_2D)
        .format(format)
        .extent(vk::Extent3D { width: 30, height: 20, depth: 1 })
        .mip_levels(3)
        .array_layers(2)
        .samples(vk::SampleCountFlags::TYPE_1)
        .usage(vk::ImageUsageFlags::TRANSFER_DST)
}

fn target(format: vk::Format) -> ImageTarget {
    ImageTarget::new(vk::Image::null(), &info(format))
}

fn refusal(image: ImageTarget, region: ImageRegion, len: usize) -> TransferError {
    match Upload::to_image(image, [region], vec![0; len]) {
        Err(error) => error,
        Ok(upload) => panic!("{upload:?}"),
    }
}

#[test]
fn ranges_of_buffers_end_inside_them() {
    let make = |size, offset, len| Upload::to_buffer(vk::Buffer::null(), size, offset, vec![0; len]);
    let past = make(100, 90, 11).expect_err("it ends past the buffer");
    assert_eq!(past.to_string(), "11 bytes at offset 90 do not fit into a buffer of 100 bytes");
    assert!(matches!(make(100, u64::MAX, 1), Err(TransferError::OutOfBounds { .. })));
    assert!(matches!(make(100, 0, 0), Err(TransferError::Empty)));
    let far = Download::of_buffer(vk::Buffer::null(), u64::MAX, 1, u64::MAX);
    assert!(matches!(far, Err(TransferError::OutOfBounds { .. })));
}

#[test]
fn regions_of_images_lie_inside_them() {
    let image = target(vk::Format::R8G8B8A8_UNORM);
    let whole = image.level(0);
    let error = refusal(image, whole, 4799);
    assert_eq!(error.to_string(), "4799 bytes were given, but the regions need 4800");
    let at = |change: &dyn Fn(&mut ImageRegion)| {
        let mut region = whole;
        change(&mut region);
        refusal(image, region, 4)
    };
    assert!(matches!(at(&|r| r.mip_level = 3), TransferError::NoSuchLevel { level: 3, level_count: 3 }));
    assert!(matches!(at(&|r| r.mip_level = u32::MAX), TransferError::NoSuchLevel { .. }));
    assert!(matches!(
        at(&|r| r.base_array_layer = 1),
        TransferError::NoSuchLayer { first: 1, count: 2, layer_count: 2 }
    ));
    assert!(matches!(at(&|r| r.layer_count = u32::MAX), TransferError::NoSuchLayer { .. }));
    assert!(matches!(at(&|r| r.layer_count = 0), TransferError::Empty));
    assert!(matches!(at(&|r| r.extent[0] = 0), TransferError::Empty));
    assert!(matches!(at(&|r| r.offset[1] = 1), TransferError::OutsideLevel { .. }));
    assert!(matches!(at(&|r| r.extent = [u32::MAX; 3]), TransferError::OutsideLevel { .. }));
    assert!(matches!(at(&|r| r.offset = [u32::MAX; 3]), TransferError::OutsideLevel { .. }));
    assert!(matches!(at(&|r| r.aspect = vk::ImageAspectFlags::DEPTH), TransferError::UnsupportedFormat { .. }));
    assert!(matches!(Upload::to_image(image, [], Vec::new()), Err(TransferError::Empty)));
}

#[test]
fn blocks_are_copied_whole() {
    let image = target(vk::Format::BC1_RGB_UNORM_BLOCK);
    let region = |offset, extent| ImageRegion { offset, extent, layer_count: 1, ..image.level(0) };
    assert_eq!(image.region_bytes(&region([4, 4, 0], [26, 16, 1])).expect("to the edge"), 7 * 4 * 8);
    assert_eq!(image.region_bytes(&region([28, 0, 0], [2, 4, 1])).expect("a block over the edge"), 8);
    let crooked = refusal(image, region([2, 0, 0], [4, 4, 1]), 8);
    assert!(matches!(crooked, TransferError::Unaligned { block: [4, 4], .. }), "{crooked}");
    let short = refusal(image, region([0, 0, 0], [4, 3, 1]), 8);
    assert!(matches!(short, TransferError::Unaligned { .. }), "{short}");
}

#[test]
fn images_that_cannot_be_copied_are_refused() {
    let planes = target(vk::Format::G8_B8_R8_3PLANE_420_UNORM);
    let error = refusal(planes, ImageRegion { aspect: vk::ImageAspectFlags::PLANE_0, ..planes.level(0) }, 600);
    assert!(matches!(error, TransferError::UnsupportedFormat { .. }), "{error}");
    let both = target(vk::Format::D24_UNORM_S8_UINT);
    let aspect = vk::ImageAspectFlags::DEPTH | vk::ImageAspectFlags::STENCIL;
    assert!(matches!(
        refusal(both, ImageRegion { aspect, ..both.level(0) }, 8),
        TransferError::UnsupportedFormat { .. }
    ));
    assert_eq!(both.level(0).aspect, vk::ImageAspectFlags::DEPTH);
    let samples = vk::SampleCountFlags::TYPE_4;
    let multisampled = ImageTarget::new(vk::Image::null(), &info(vk::Format::R8_UNORM).samples(samples));
    assert!(matches!(refusal(multisampled, multisampled.level(0), 1200), TransferError::Multisampled { .. }));
    let bytes = multisampled.region_bytes(&multisampled.level(0));
    assert!(matches!(bytes, Err(TransferError::Multisampled { .. })), "{bytes:?}");
    let info = info(vk::Format::R8_UNORM).usage(vk::ImageUsageFlags::SAMPLED);
    let unusable = ImageTarget::new(vk::Image::null(), &info);
    assert!(matches!(refusal(unusable, unusable.level(0), 1200), TransferError::MissingUsage { .. }));
    let info = info.usage(vk::ImageUsageFlags::TRANSFER_DST).extent(vk::Extent3D::default());
    let nothing = ImageTarget::new(vk::Image::null(), &info);
    assert!(matches!(refusal(nothing, nothing.level(0), 0), TransferError::Empty));
}

#[test]
fn dimensions_beyond_64_bits_are_refused() {
    let extent = vk::Extent3D { width: u32::MAX, height: u32::MAX, depth: 1 };
    let info = info(vk::Format::R32G32B32A32_SFLOAT).extent(extent);
    let image = ImageTarget::new(vk::Image::null(), &info);
    let error = refusal(image, image.level(0), 16);
    assert!(matches!(error, TransferError::TooLarge { .. }), "{error}");
    let corner = ImageRegion {
        aspect: COLOR,
        offset: [u32::MAX - 1, u32::MAX - 1, 0],
        extent: [1, 1, 1],
        layer_count: 1,
        ..image.level(0)
    };
    let far = refusal(image, corner, 16);
    assert!(matches!(far, TransferError::TooLarge { .. }), "an offset that Vulkan cannot name: {far}");
}

#[test]
fn what_the_queue_or_the_ring_cannot_serve_is_refused_before_anything_is_recorded() {
    let stage = Stage::new(Profile::discrete_rebar());
    let shadow = ShadowImage::new(FORMATS[3], [64, 64, 1], 1, 1);
    let image = shadow.target(vk::Image::null());
    let whole = |granularity| StagingCreateInfo::new(4096).granularity(granularity);
    let commands = stage.begin();
    for (granularity, extent) in [(0, [64, 64, 1]), (8, [60, 8, 1])] {
        let info = whole(vk::Extent3D { width: granularity, height: granularity, depth: granularity });
        // SAFETY: nothing is submitted.
        let mut uploader = unsafe { Uploader::new(stage.allocator(), &info) }.expect("a ring");
        let region = ImageRegion { extent, ..image.level(0) };
        let bytes = pattern(1, image.region_bytes(&region).expect("inside"));
        let mut upload = Upload::to_image(image, [region], bytes).expect("it fits");
        // SAFETY: the call records nothing.
        let refused = unsafe { uploader.record(commands, &mut upload) }.expect_err("the queue or the ring cannot");
        match granularity {
            0 => assert!(matches!(refused, TransferError::RingTooSmall { needed: 65_536, available: 4096 })),
            _ => assert!(matches!(refused, TransferError::Granularity { .. })),
        }
        assert_eq!((uploader.used_bytes(), upload.done_bytes()), (0, 0));
    }
    for bytes in [0, 1 << 47, u64::MAX] {
        // SAFETY: nothing is submitted.
        let none = unsafe { Uploader::new(stage.allocator(), &StagingCreateInfo::new(bytes)) };
        assert!(matches!(none, Err(TransferError::RingEmpty { least: 64.. } | TransferError::RingTooLarge { .. })));
    }
    stage.end(commands);
    stage.forget(commands);
    stage.finish();
}

#[test]
fn a_ring_smaller_than_a_row_is_enough() {
    let stage = Stage::new(incoherent());
    let shadow = ShadowImage::new(FORMATS[2], [100, 2, 1], 1, 1);
    let gpu_only = freestone::AllocationCreateInfo::gpu_only();
    // SAFETY: the create-info is valid; the simulated device is done whenever `run` returns.
    let created = unsafe { stage.allocator().create_image(&shadow.create_info(), &gpu_only) };
    let (image, memory) = created.expect("an image");
    // SAFETY: as above.
    let mut uploader = unsafe { Uploader::new(stage.allocator(), &StagingCreateInfo::new(1)) }.expect("a ring");
    let target = shadow.target(image);
    let mut upload = Upload::to_image(target, target.regions(), pattern(9, 2400)).expect("it fits");
    let mut point = 0;
    while !upload.is_done() {
        point += 1;
        let commands = stage.begin();
        // SAFETY: recording; the image lives on.
        let progress = unsafe { uploader.record(commands, &mut upload) }.expect("recorded");
        assert!(matches!(progress, Progress::Full(_)) || upload.is_done());
        stage.run(commands);
        uploader.submitted(point).expect("points ascend");
        // SAFETY: the simulated device is done when `run` returns.
        unsafe { uploader.collect(point) };
    }
    assert!(point >= 10, "{point}");
    // SAFETY: an upload that is done is not looked at any further.
    let again = unsafe { uploader.record(vk::CommandBuffer::null(), &mut upload) };
    assert!(matches!(again, Err(TransferError::Finished)));
    drop(uploader);
    // SAFETY: the simulated device is done with it.
    unsafe { stage.allocator().destroy_image(image, memory) }.expect("it is alive");
    stage.finish();
}

#[test]
fn tickets_are_redeemed_once_by_their_own_readback_and_not_too_early() {
    let stage = Stage::new(incoherent());
    let target = stage.buffer(1024);
    let info = StagingCreateInfo::new(4096);
    // SAFETY: the simulated device is done whenever `run` returns.
    let mut readback = unsafe { Readback::new(stage.allocator(), &info) }.expect("a ring");
    // SAFETY: as above.
    let mut other = unsafe { Readback::new(stage.allocator(), &info) }.expect("a ring");
    let commands = stage.begin();
    // SAFETY: recording; the buffer holds the range.
    unsafe { stage.rig.vulkan.device().cmd_fill_buffer(commands, target.handle(), 0, 1024, 0x0707_0707) };
    let mut download = Download::of_buffer(target.handle(), 1024, 0, 1024).expect("it fits");
    // SAFETY: recording; the buffer lives on.
    let recorded = unsafe { readback.record(commands, &mut download) }.expect("recorded");
    let Recorded::Last(ticket) = recorded else { panic!("{recorded:?}") };
    // SAFETY: a download that is done is not looked at any further.
    let again = unsafe { readback.record(commands, &mut download) };
    assert!(matches!(again, Err(TransferError::Finished)));
    let mut bytes = [0_u8; 1024];
    let early = readback.read(ticket, &mut bytes).expect_err("not submitted");
    assert!(matches!(early.reason, TransferError::NotPassed { point: None }), "{early}");
    readback.submitted(5).expect("the first point");
    stage.run(commands);
    let early = readback.read(early.ticket, &mut bytes).expect_err("not collected");
    assert_eq!(early.to_string(), "the bytes are not there yet: collect(5) was not called");
    // SAFETY: the simulated device is done when `run` returns.
    unsafe { readback.collect(5) };
    assert_eq!(readback.used_bytes(), 1024, "the ticket holds it");
    let foreign = other.read(early.ticket, &mut bytes).expect_err("another's");
    assert!(matches!(foreign.reason, TransferError::Foreign));
    // SAFETY: the copy has run.
    let foreign = unsafe { other.release(foreign.ticket) }.expect_err("another's");
    let short = readback.read(foreign.ticket, &mut bytes[1..]).expect_err("a byte is missing");
    assert!(matches!(short.reason, TransferError::WrongLength { given: 1023, expected: 1024 }));
    readback.read(short.ticket, &mut bytes).expect("now it is right");
    assert_eq!((bytes, readback.used_bytes()), ([7; 1024], 0));
    let descending = readback.submitted(5);
    assert!(descending.is_ok(), "nothing was recorded, so it is no batch: {descending:?}");
    drop((readback, other, target));
    stage.finish();
}

#[test]
fn points_ascend() {
    let stage = Stage::new(Profile::unified());
    let target = stage.buffer(1024);
    // SAFETY: the simulated device is done whenever `run` returns.
    let mut uploader = unsafe { Uploader::new(stage.allocator(), &StagingCreateInfo::new(4096)) }.expect("a ring");
    let commands = stage.begin();
    let mut upload = Upload::to_buffer(target.handle(), 1024, 0, [1; 16]).expect("it fits");
    // SAFETY: recording; the buffer lives on.
    let done = unsafe { uploader.record(commands, &mut upload) }.expect("recorded");
    assert!(matches!(done, Progress::Done(_)));
    uploader.submitted(u64::MAX - 2).expect("any point will do");
    let mut upload = Upload::to_buffer(target.handle(), 1024, 0, [2; 16]).expect("it fits");
    // SAFETY: recording; the buffer lives on.
    let done = unsafe { uploader.record(commands, &mut upload) }.expect("recorded");
    assert!(matches!(done, Progress::Done(_)));
    let descending = uploader.submitted(3).expect_err("3 is below");
    let last = u64::MAX - 2;
    assert_eq!(
        descending.to_string(),
        format!("point 3 is below {last}, or has passed as that has: points of batches ascend")
    );
    let idle = uploader.submitted(u64::MAX).expect_err("no work signals it");
    assert!(matches!(idle, TransferError::IdlePoint), "{idle}");
    let held = uploader.used_bytes();
    uploader.submitted(u64::MAX - 1).expect("nothing was lost");
    stage.run(commands);
    // SAFETY: the simulated device is done when `run` returns.
    unsafe { uploader.collect(last) };
    assert!(uploader.used_bytes() > 0 && uploader.used_bytes() < held);
    // SAFETY: as above.
    unsafe { uploader.collect(u64::MAX) };
    assert_eq!(uploader.used_bytes(), 0);
    drop((uploader, target));
    stage.finish();
}
