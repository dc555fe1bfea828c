//! Layouts that an image cannot have before, during or after its copies are refused, and nothing is recorded.

use ash::vk;
use freestone::sim::{KIB, Profile};
use freestone::{
    AllocationCreateInfo, Allocator, Download, Image, ImageTarget, QueueFamilies, Readback, Recorded, ResourceUse,
    StagingCreateInfo, TransferError, Upload, Uploader,
};

use crate::shadow::{FORMATS, ShadowImage};
use crate::stage::{Stage, pattern};

const READ: ResourceUse = ResourceUse::buffer(vk::PipelineStageFlags::TRANSFER, vk::AccessFlags::TRANSFER_READ);
const FAMILIES: QueueFamilies = QueueFamilies { from: 0, to: 1 };

fn in_layout(layout: vk::ImageLayout) -> ResourceUse {
    ResourceUse { layout, ..READ }
}

/// A device, and what an image of it holds.
struct Scene {
    stage: Stage,
    shadow: ShadowImage,
}

impl Scene {
    fn new() -> Self {
        Self { stage: Stage::new(Profile::unified()), shadow: ShadowImage::new(FORMATS[0], [8, 8, 1], 1, 1) }
    }

    fn image(&self) -> Image<&Allocator> {
        let info = self.shadow.create_info();
        // SAFETY: the create-info is valid; nothing is submitted.
        unsafe { Image::new(self.stage.allocator(), &info, &AllocationCreateInfo::gpu_only()) }.expect("an image")
    }

    /// Records an upload; nothing at all, where it is refused.
    fn upload(&self, target: ImageTarget, with: impl Fn(Upload<Vec<u8>>) -> Upload<Vec<u8>>) -> Option<TransferError> {
        // SAFETY: nothing is submitted.
        let made = unsafe { Uploader::new(self.stage.allocator(), &StagingCreateInfo::new(4 * KIB)) };
        let mut uploader = made.expect("a ring");
        let mut upload = with(Upload::to_image(target, target.regions(), pattern(1, 256)).expect("it fits"));
        let commands = self.stage.begin();
        self.stage.control().take_calls();
        // SAFETY: recording, and never submitted; the target lives on.
        let refused = unsafe { uploader.record(commands, &mut upload) }.err();
        let calls = self.stage.control().take_calls();
        if refused.is_some() {
            assert_eq!((upload.done_bytes(), uploader.used_bytes(), calls.len()), (0, 0, 0), "{calls:?}");
        }
        self.stage.forget(commands);
        refused
    }

    /// Records a download; nothing at all, where it is refused.
    fn download(&self, target: ImageTarget, with: impl Fn(Download) -> Download) -> Option<TransferError> {
        // SAFETY: nothing is submitted.
        let made = unsafe { Readback::new(self.stage.allocator(), &StagingCreateInfo::new(4 * KIB)) };
        let mut readback = made.expect("a ring");
        let mut download = with(Download::of_image(target, target.regions()).expect("it fits"));
        let commands = self.stage.begin();
        self.stage.control().take_calls();
        // SAFETY: recording, and never submitted; the source lives on.
        let recorded = unsafe { readback.record(commands, &mut download) };
        let calls = self.stage.control().take_calls();
        if recorded.is_err() {
            assert_eq!((download.done_bytes(), readback.used_bytes(), calls.len()), (0, 0, 0), "{calls:?}");
        }
        self.stage.forget(commands);
        match recorded {
            Ok(Recorded::Last(ticket)) => {
                // SAFETY: the command buffer is gone.
                unsafe { readback.release(ticket) }.expect("it is its own");
                None
            }
            Ok(other) => panic!("{other:?}"),
            Err(error) => Some(error),
        }
    }
}

#[test]
fn an_image_has_a_layout_after_its_copies() {
    let scene = Scene::new();
    let image = scene.image();
    let target = scene.shadow.target(image.handle());
    for nowhere in [ResourceUse::undefined(), READ, in_layout(vk::ImageLayout::PREINITIALIZED)] {
        let refused = [
            scene.upload(target, |upload| upload.after(nowhere)),
            scene.upload(target, |upload| upload.hand_over(nowhere, FAMILIES)),
            scene.download(target, |download| download.after(nowhere)),
        ];
        for error in refused {
            assert!(
                matches!(error, Some(TransferError::LayoutAfter { layout }) if layout == nowhere.layout),
                "{error:?}"
            );
        }
    }
    let general = in_layout(vk::ImageLayout::GENERAL);
    assert!(scene.upload(target, |upload| upload.before(ResourceUse::undefined()).after(general)).is_none());
    assert!(scene.upload(target, |upload| upload.hand_over(general, FAMILIES)).is_none());
    drop(image);
    scene.stage.finish();
}

#[test]
fn what_is_read_back_is_not_discarded_before() {
    let scene = Scene::new();
    let image = scene.image();
    let target = scene.shadow.target(image.handle());
    for nowhere in [ResourceUse::undefined(), READ] {
        let error = scene.download(target, |download| download.before(nowhere));
        assert!(matches!(error, Some(TransferError::LayoutBefore)), "{error:?}");
    }
    let kept = in_layout(vk::ImageLayout::PREINITIALIZED);
    assert!(scene.download(target, |download| download.before(kept)).is_none());
    drop(image);
    scene.stage.finish();
}

#[test]
fn an_image_is_copied_in_a_layout_for_copies() {
    let scene = Scene::new();
    let image = scene.image();
    let target = scene.shadow.target(image.handle());
    let [read, write] = [vk::ImageLayout::TRANSFER_SRC_OPTIMAL, vk::ImageLayout::TRANSFER_DST_OPTIMAL];
    for wrong in [read, vk::ImageLayout::UNDEFINED, vk::ImageLayout::SHADER_READ_ONLY_OPTIMAL] {
        let error = scene.upload(target, |upload| upload.layout(wrong));
        assert!(matches!(error, Some(TransferError::CopyLayout { layout, .. }) if layout == wrong), "{error:?}");
    }
    for wrong in [write, vk::ImageLayout::UNDEFINED, vk::ImageLayout::SHADER_READ_ONLY_OPTIMAL] {
        let error = scene.download(target, |download| download.layout(wrong));
        assert!(matches!(error, Some(TransferError::CopyLayout { layout, .. }) if layout == wrong), "{error:?}");
    }
    for right in [vk::ImageLayout::GENERAL, vk::ImageLayout::SHARED_PRESENT_KHR] {
        assert!(scene.upload(target, |upload| upload.layout(right)).is_none());
        assert!(scene.download(target, |download| download.layout(right)).is_none());
    }
    drop(image);
    scene.stage.finish();
}
