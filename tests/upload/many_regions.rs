//! What many regions of one image cost: no more for each than one does.

use core::time::Duration;
use std::time::Instant;

use freestone::sim::{KIB, Profile};
use freestone::{
    AllocationCreateInfo, Allocator, Download, Image, ImageRegion, ImageTarget, Readback, Recorded, StagingCreateInfo,
};

use crate::shadow::{FORMATS, ShadowImage};
use crate::stage::Stage;

/// An image of 256 layers and two levels, and a readback; nothing is submitted.
struct Scene<'a> {
    stage: &'a Stage,
    image: Image<&'a Allocator>,
    shadow: ShadowImage,
    readback: Readback<&'a Allocator>,
}

impl<'a> Scene<'a> {
    fn new(stage: &'a Stage) -> Self {
        let shadow = ShadowImage::new(FORMATS[0], [64, 64, 1], 2, 256);
        // SAFETY: the create-info is valid; nothing is submitted.
        let image = unsafe { Image::new(stage.allocator(), &shadow.create_info(), &AllocationCreateInfo::gpu_only()) };
        // SAFETY: as above.
        let made = unsafe { Readback::new(stage.allocator(), &StagingCreateInfo::new(256 * KIB)) };
        Self { stage, image: image.expect("an image"), shadow, readback: made.expect("a ring") }
    }

    fn target(&self) -> ImageTarget {
        self.shadow.target(self.image.handle())
    }

    /// Records the next part, never to be submitted, and returns how long that took.
    fn record(&mut self, download: &mut Download) -> Duration {
        let commands = self.stage.begin();
        let start = Instant::now();
        // SAFETY: recording, and never submitted; the source lives on.
        let recorded = unsafe { self.readback.record(commands, download) }.expect("recorded");
        let time = start.elapsed();
        self.stage.forget(commands);
        let (Recorded::Part(ticket) | Recorded::Last(ticket)) = recorded else { panic!("{recorded:?}") };
        // SAFETY: the command buffer is gone.
        unsafe { self.readback.release(ticket) }.expect("it is its own");
        time
    }
}

/// Names so many regions of one texel: the first half in the first level, the others in the second.
fn texels(target: ImageTarget, count: u32) -> impl Iterator<Item = ImageRegion> {
    (0..count).map(move |number| ImageRegion {
        mip_level: number / count.div_ceil(2),
        base_array_layer: number % 256,
        layer_count: 1,
        offset: [number / 256 % 32, 0, 0],
        extent: [1, 1, 1],
        ..target.level(0)
    })
}

/// Takes the best of many short times, which other work on the machine does not touch. Where each part looks at all
/// regions, it takes hundreds of times as long among the many.
#[test]
fn a_part_costs_the_same_however_many_regions_there_are() {
    let stage = Stage::new(Profile::discrete_rebar());
    let mut scene = Scene::new(&stage);
    let target = scene.target();
    let mut best_among = |count| {
        let make = || Download::of_image(target, texels(target, count)).expect("they fit");
        let mut download = make();
        let mut best = scene.record(&mut download);
        for _ in 0..200 {
            if download.is_done() {
                download = make();
            }
            best = best.min(scene.record(&mut download));
        }
        best
    };
    let (few, many) = (best_among(1), best_among(4096));
    assert!(many < 20 * few, "{few:?}, {many:?}");
    drop(scene);
    stage.finish();
}
