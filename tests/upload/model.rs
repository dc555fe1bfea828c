//! Generated programs of uploads, readbacks, submissions and collections against a shadow.
//!
//! The device is as late as it may be: a batch is submitted to it just before its point is said to have passed, so room
//! that is used again too early shows in the bytes.

use std::collections::VecDeque;

use ash::vk;
use freestone::{
    Allocation, AllocationCreateInfo, Allocator, Buffer, Download, ImageRegion, ImageTarget, Progress, Readback,
    Recorded, ResourceUse, StagingCreateInfo, Ticket, Upload, Uploader,
};
use proptest::prelude::*;

use crate::shadow::{FORMATS, ShadowImage};
use crate::stage::{Stage, incoherent, pattern, profiles};

const BUFFER_BYTES: u64 = 20_000;

/// One step of a program; numbers are taken modulo what there is.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Begins an upload to a range of the buffer.
    ToBuffer { offset: u64, len: u64 },
    /// Begins an upload to a part of an image.
    ToImage { image: usize, part: Part },
    /// Begins an upload to all of an image.
    ToWhole(usize),
    /// Begins a download of a range of the buffer.
    OfBuffer { offset: u64, len: u64 },
    /// Begins a download of a part of an image.
    OfImage { image: usize, part: Part },
    /// Records as much of a transfer as there is room for.
    Record(usize),
    /// Ends the batch.
    Submit,
    /// Lets the device run so many batches.
    Pass(usize),
    /// Redeems a ticket.
    Redeem(usize),
    /// Gives back what the rings grew by.
    Trim,
}

/// A part of an image: a level, layers, and a box whose edges are fractions of the level, in 256ths.
#[derive(Clone, Copy, Debug)]
struct Part {
    level: u32,
    layers: (u32, u32),
    edges: [(u32, u32); 3],
}

fn part() -> impl Strategy<Value = Part> {
    let edge = prop_oneof![Just((0, 256)), (0..256_u32, 0..257_u32)];
    (any::<u32>(), (any::<u32>(), any::<u32>()), [edge.clone(), edge.clone(), edge])
        .prop_map(|(level, layers, edges)| Part { level, layers, edges })
}

fn step() -> impl Strategy<Value = Step> {
    let range = (0..BUFFER_BYTES, 1..BUFFER_BYTES);
    let image = || (any::<usize>(), part());
    prop_oneof![
        2 => range.clone().prop_map(|(offset, len)| Step::ToBuffer { offset, len }),
        3 => image().prop_map(|(image, part)| Step::ToImage { image, part }),
        1 => any::<usize>().prop_map(Step::ToWhole),
        1 => range.prop_map(|(offset, len)| Step::OfBuffer { offset, len }),
        2 => image().prop_map(|(image, part)| Step::OfImage { image, part }),
        9 => any::<usize>().prop_map(Step::Record),
        3 => Just(Step::Submit),
        3 => (1..4_usize).prop_map(Step::Pass),
        3 => any::<usize>().prop_map(Step::Redeem),
        1 => Just(Step::Trim),
    ]
}

/// What a transfer concerns.
#[derive(Clone, Copy, Debug)]
enum Where {
    Buffer(u64),
    Image(usize, ImageRegion),
    /// All levels and layers of an image: its bytes are the shadow's, in their order.
    Whole(usize),
}

struct Pending<T> {
    transfer: T,
    place: Where,
}

struct Awaited {
    ticket: Ticket,
    expected: Vec<u8>,
}

struct Model<'a> {
    stage: &'a Stage,
    buffer: Buffer<&'a Allocator>,
    buffer_bytes: Vec<u8>,
    images: Vec<(vk::Image, Option<Allocation>, ShadowImage)>,
    uploader: Uploader<&'a Allocator>,
    readback: Readback<&'a Allocator>,
    uploads: Vec<Pending<Upload<Vec<u8>>>>,
    downloads: Vec<Pending<Download>>,
    tickets: Vec<Awaited>,
    commands: vk::CommandBuffer,
    in_flight: VecDeque<(u64, vk::CommandBuffer)>,
    point: u64,
    seed: u64,
}

impl<'a> Model<'a> {
    fn new(stage: &'a Stage, ring: (u64, u64), granularity: vk::Extent3D) -> Self {
        let info = StagingCreateInfo::new(ring.0).max_bytes(ring.0 * ring.1).granularity(granularity);
        let images = FORMATS.iter().enumerate().map(|(index, format)| {
            let shadow = match index % 3 {
                0 => ShadowImage::new(*format, [37, 21, 1], 3, 3),
                1 => ShadowImage::new(*format, [16, 9, 5], 2, 1),
                _ => ShadowImage::new(*format, [30, 1, 1], 1, 2),
            };
            let gpu_only = AllocationCreateInfo::gpu_only();
            // SAFETY: the create-info is valid; the simulated device is done whenever a submission returns.
            let created = unsafe { stage.allocator().create_image(&shadow.create_info(), &gpu_only) };
            let (image, memory) = created.expect("an image");
            (image, Some(memory), shadow)
        });
        let mut model = Self {
            stage,
            buffer: stage.buffer(BUFFER_BYTES),
            buffer_bytes: vec![0; 20_000],
            images: images.collect(),
            // SAFETY: the simulated device is done whenever a submission returns; `finish` runs all batches.
            uploader: unsafe { Uploader::new(stage.allocator(), &info) }.expect("a ring"),
            // SAFETY: as above.
            readback: unsafe { Readback::new(stage.allocator(), &info) }.expect("a ring"),
            uploads: Vec::new(),
            downloads: Vec::new(),
            tickets: Vec::new(),
            commands: stage.begin(),
            in_flight: VecDeque::new(),
            point: 0,
            seed: 0,
        };
        model.fill_all();
        model
    }

    /// Writes everything once, so that nothing is read that was never written.
    fn fill_all(&mut self) {
        self.begin_upload(Where::Buffer(0), BUFFER_BYTES);
        for index in 0..self.images.len() {
            let target = self.target(index);
            let levels = target.regions().map(|region| target.region_bytes(&region).expect("a whole level"));
            self.begin_upload(Where::Whole(index), levels.sum());
        }
        self.drain();
    }

    fn target(&self, index: usize) -> ImageTarget {
        let (image, _, shadow) = &self.images[index];
        shadow.target(*image)
    }

    fn begin_upload(&mut self, place: Where, len: u64) {
        self.seed += 1;
        let bytes = pattern(self.seed, len);
        let upload = match place {
            Where::Buffer(offset) => Upload::to_buffer(self.buffer.handle(), BUFFER_BYTES, offset, bytes),
            Where::Image(index, region) => Upload::to_image(self.target(index), [region], bytes).map(in_general),
            Where::Whole(index) => {
                let target = self.target(index);
                Upload::to_image(target, target.regions(), bytes).map(in_general)
            }
        };
        self.uploads.push(Pending { transfer: upload.expect("it fits"), place });
    }

    fn begin_download(&mut self, place: Where, len: u64) {
        let download = match place {
            Where::Buffer(offset) => Download::of_buffer(self.buffer.handle(), BUFFER_BYTES, offset, len),
            Where::Image(index, region) => Download::of_image(self.target(index), [region]),
            Where::Whole(index) => Download::of_image(self.target(index), self.target(index).regions()),
        }
        .map(|download| match place {
            Where::Buffer(_) => download,
            _ => download.before(GENERAL).layout(vk::ImageLayout::GENERAL),
        });
        self.downloads.push(Pending { transfer: download.expect("it fits"), place });
    }

    /// Makes a region of an image out of a part; its bytes too.
    fn region(&self, index: usize, part: Part, granularity: vk::Extent3D) -> (ImageRegion, u64) {
        let shadow = &self.images[index].2;
        let level = part.level % shadow.levels;
        let extent = shadow.level_extent(level);
        let blocks = [shadow.texel.block[0], shadow.texel.block[1], 1];
        let granularity = [granularity.width, granularity.height, granularity.depth];
        let (mut offset, mut size) = ([0; 3], extent);
        for axis in 0..3 {
            let step = granularity[axis] * blocks[axis];
            if step == 0 {
                continue;
            }
            let (start, end) = part.edges[axis];
            offset[axis] = extent[axis] * start / 256 / step * step;
            let end = (extent[axis] * end.max(1)).div_ceil(256).next_multiple_of(step).min(extent[axis]);
            size[axis] = if end > offset[axis] { end - offset[axis] } else { extent[axis] - offset[axis] };
        }
        let base_array_layer = part.layers.0 % shadow.layers;
        let layer_count = 1 + part.layers.1 % (shadow.layers - base_array_layer);
        let region = ImageRegion {
            aspect: shadow.texel.aspect,
            mip_level: level,
            base_array_layer,
            layer_count,
            offset,
            extent: size,
        };
        (region, (shadow.blocks_of(&region).len() * shadow.block_bytes()) as u64)
    }

    /// Records a transfer as far as there is room, and tells the shadow; tells whether it got anywhere.
    fn record(&mut self, index: usize) -> bool {
        let count = self.uploads.len() + self.downloads.len();
        match index.checked_rem(count) {
            None => false,
            Some(index) if index < self.uploads.len() => self.record_upload(index),
            Some(index) => self.record_download(index - self.uploads.len()),
        }
    }

    fn record_upload(&mut self, index: usize) -> bool {
        let Pending { transfer, place } = &mut self.uploads[index];
        let done = index_of(transfer.done_bytes());
        // SAFETY: recording; everything lives on, in the layout GENERAL.
        let progress = unsafe { self.uploader.record(self.commands, transfer) }.expect("recorded");
        let now = index_of(transfer.done_bytes());
        assert_eq!(transfer.is_done(), matches!(progress, Progress::Done(_)));
        let (place, is_done) = (*place, transfer.is_done());
        let bytes = transfer.clone().into_data()[done..now].to_vec();
        match place {
            Where::Buffer(offset) => {
                let start = index_of(offset) + done;
                self.buffer_bytes[start..start + bytes.len()].copy_from_slice(&bytes);
            }
            Where::Image(image, region) => self.images[image].2.write(&region, done, &bytes),
            Where::Whole(image) => self.images[image].2.bytes[done..now].copy_from_slice(&bytes),
        }
        if is_done {
            self.uploads.swap_remove(index);
        }
        now > done
    }

    fn record_download(&mut self, index: usize) -> bool {
        let Pending { transfer, place } = &mut self.downloads[index];
        // SAFETY: as above; everything was written.
        let recorded = unsafe { self.readback.record(self.commands, transfer) }.expect("recorded");
        let (ticket, is_last) = match recorded {
            Recorded::Part(ticket) => (ticket, false),
            Recorded::Last(ticket) => (ticket, true),
            Recorded::Full(full) => {
                assert!(full.unread_bytes > 0);
                return false;
            }
        };
        let (start, len) = (index_of(ticket.offset()), index_of(ticket.len()));
        let expected = match place {
            Where::Buffer(offset) => self.buffer_bytes[index_of(*offset) + start..][..len].to_vec(),
            Where::Image(image, region) => self.images[*image].2.read(region, start, len),
            Where::Whole(image) => self.images[*image].2.bytes[start..][..len].to_vec(),
        };
        self.tickets.push(Awaited { ticket, expected });
        if is_last {
            self.downloads.swap_remove(index);
        }
        true
    }

    fn submit(&mut self) {
        self.stage.end(self.commands);
        self.point += 1;
        self.uploader.submitted(self.point).expect("points ascend");
        self.readback.submitted(self.point).expect("points ascend");
        self.in_flight.push_back((self.point, self.commands));
        self.commands = self.stage.begin();
    }

    fn pass(&mut self, count: usize) {
        let count = count.min(self.in_flight.len());
        for (point, commands) in self.in_flight.drain(..count) {
            self.stage.execute(commands);
            // SAFETY: the simulated device is done when `execute` returns.
            unsafe { self.uploader.collect(point) };
            // SAFETY: as above.
            unsafe { self.readback.collect(point) };
        }
    }

    /// Redeems a ticket, whose bytes are then the expected ones; one that comes too early is handed back.
    fn redeem(&mut self, index: usize) {
        let Some(index) = index.checked_rem(self.tickets.len()) else { return };
        let Awaited { ticket, expected } = self.tickets.swap_remove(index);
        let mut bytes = vec![0_u8; expected.len()];
        match self.readback.read(ticket, &mut bytes) {
            Ok(()) => assert_eq!(bytes, expected),
            Err(early) => self.tickets.push(Awaited { ticket: early.ticket, expected }),
        }
    }

    fn run(&mut self, step: Step, granularity: vk::Extent3D) {
        match step {
            Step::ToBuffer { offset, len } => {
                self.begin_upload(Where::Buffer(offset), len.min(BUFFER_BYTES - offset));
            }
            Step::OfBuffer { offset, len } => {
                self.begin_download(Where::Buffer(offset), len.min(BUFFER_BYTES - offset));
            }
            Step::ToImage { image, part } => {
                let image = image % self.images.len();
                let (region, bytes) = self.region(image, part, granularity);
                self.begin_upload(Where::Image(image, region), bytes);
            }
            Step::OfImage { image, part } => {
                let image = image % self.images.len();
                let (region, bytes) = self.region(image, part, granularity);
                self.begin_download(Where::Image(image, region), bytes);
            }
            Step::ToWhole(image) => {
                let image = image % self.images.len();
                self.begin_upload(Where::Whole(image), self.images[image].2.bytes.len() as u64);
            }
            Step::Record(index) => {
                self.record(index);
            }
            Step::Submit => self.submit(),
            Step::Pass(count) => self.pass(count),
            Step::Redeem(index) => self.redeem(index),
            Step::Trim => {
                self.uploader.trim();
                self.readback.trim();
            }
        }
    }

    /// Brings everything that was begun to its end.
    fn drain(&mut self) {
        let mut idle_rounds = 0;
        loop {
            let begun = self.uploads.len() + self.downloads.len();
            let mut has_moved = begun == 0;
            for index in 0..begun {
                has_moved |= self.record(index);
            }
            self.submit();
            self.pass(usize::MAX);
            has_moved |= !self.tickets.is_empty();
            while !self.tickets.is_empty() {
                let before = self.tickets.len();
                self.redeem(0);
                assert!(self.tickets.len() < before, "everything has passed");
            }
            // The rings may have been full when the round began; they are empty when it ends.
            idle_rounds = if has_moved { 0 } else { idle_rounds + 1 };
            assert!(idle_rounds < 2, "stuck");
            if begun == 0 {
                return;
            }
        }
    }

    fn finish(mut self) {
        self.drain();
        assert_eq!((self.uploader.used_bytes(), self.readback.used_bytes()), (0, 0), "nothing is held");
        self.begin_download(Where::Buffer(0), BUFFER_BYTES);
        for index in 0..self.images.len() {
            self.begin_download(Where::Whole(index), 0);
        }
        self.drain();
        self.stage.end(self.commands);
        self.stage.forget(self.commands);
        for (image, memory, _) in self.images.drain(..) {
            // SAFETY: the simulated device is done with it.
            unsafe { self.stage.allocator().destroy_image(image, memory.expect("still there")) }.expect("alive");
        }
    }
}

/// The layout in which everything is copied, and in which it stays.
const GENERAL: ResourceUse =
    ResourceUse::image(vk::PipelineStageFlags::TRANSFER, vk::AccessFlags::TRANSFER_WRITE, vk::ImageLayout::GENERAL);

fn in_general(upload: Upload<Vec<u8>>) -> Upload<Vec<u8>> {
    upload.before(GENERAL).after(GENERAL).layout(vk::ImageLayout::GENERAL)
}

fn index_of(bytes: u64) -> usize {
    usize::try_from(bytes).expect("small")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn content_written_is_content_read_back(
        profile in prop::sample::select(profiles()),
        ring in (prop::sample::select(vec![512_u64, 1000, 4096, 65_536]), 1..4_u64),
        steps in prop::collection::vec(step(), 0..80),
    ) {
        let one = vk::Extent3D { width: 1, height: 1, depth: 1 };
        let stage = Stage::new(profile);
        let mut model = Model::new(&stage, ring, one);
        for step in steps {
            model.run(step, one);
        }
        model.finish();
        stage.finish();
    }

    /// The same on a queue that copies whole levels only, or boxes of 8 by 8 by 2 blocks.
    #[test]
    fn a_coarse_queue_gets_what_it_can_copy(
        is_whole in any::<bool>(),
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let (width, height, depth) = if is_whole { (0, 0, 0) } else { (8, 8, 2) };
        let granularity = vk::Extent3D { width, height, depth };
        let stage = Stage::new(incoherent());
        let mut model = Model::new(&stage, (16 << 10, 2), granularity);
        for step in steps {
            model.run(step, granularity);
        }
        model.finish();
        stage.finish();
    }
}
