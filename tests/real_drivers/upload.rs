//! Uploads and readbacks: what the ring brings to buffers and images is what comes back, in pieces and with batches in
//! flight, and the layers have nothing to say.

use std::collections::VecDeque;

use ash::vk;
use freestone::{
    Allocation, AllocationCreateInfo, Allocator, Download, ImageRegion, ImageTarget, Progress, Readback, Recorded,
    ResourceUse, StagingCreateInfo, Ticket, Upload, Uploader, Way,
};

use crate::vulkan::Headless;
use crate::world::{Random, World, buffer_info};
use crate::{KIB, MIB};

/// How many batches may be in flight.
const DEPTH: usize = 2;

/// The state from which images and buffers are read back.
const COPIED: ResourceUse = ResourceUse::image(
    vk::PipelineStageFlags::TRANSFER,
    vk::AccessFlags::TRANSFER_READ,
    vk::ImageLayout::TRANSFER_SRC_OPTIMAL,
);

/// An uploader and a readback on the one queue, with their batches.
struct Lane<'a> {
    headless: &'a Headless,
    pool: vk::CommandPool,
    uploader: Uploader<&'a Allocator>,
    readback: Readback<&'a Allocator>,
    commands: vk::CommandBuffer,
    in_flight: VecDeque<(u64, vk::Fence, vk::CommandBuffer)>,
    point: u64,
}

impl<'a> Lane<'a> {
    fn new(world: &'a World, ring: u64) -> Self {
        let headless = &world.headless;
        let info = vk::CommandPoolCreateInfo::default().queue_family_index(headless.queue_family_index);
        // SAFETY: the device has a queue of this family.
        let pool = unsafe { headless.device.create_command_pool(&info, None) }.expect("a command pool");
        let info = StagingCreateInfo::new(ring);
        // SAFETY: `drop` waits for every batch.
        let uploader = unsafe { Uploader::new(&world.allocator, &info) }.expect("a ring");
        // SAFETY: as above.
        let readback = unsafe { Readback::new(&world.allocator, &info) }.expect("a ring");
        let commands = begin(&headless.device, pool);
        Self { headless, pool, uploader, readback, commands, in_flight: VecDeque::new(), point: 0 }
    }

    /// Submits what is recorded, and waits for the oldest batch if there are too many.
    fn submit(&mut self) {
        let Headless { device, queue, .. } = self.headless;
        // SAFETY: it is recording.
        unsafe { device.end_command_buffer(self.commands) }.expect("recorded");
        // SAFETY: the device is alive.
        let fence = unsafe { device.create_fence(&vk::FenceCreateInfo::default(), None) }.expect("a fence");
        let buffers = [self.commands];
        let submit = [vk::SubmitInfo::default().command_buffers(&buffers)];
        // SAFETY: the command buffer is recorded; only this thread uses the queue.
        unsafe { device.queue_submit(*queue, &submit, fence) }.expect("submitted");
        self.point += 1;
        self.uploader.submitted(self.point).expect("points ascend");
        self.readback.submitted(self.point).expect("points ascend");
        self.in_flight.push_back((self.point, fence, self.commands));
        self.commands = begin(device, self.pool);
        while self.in_flight.len() > DEPTH {
            self.wait_oldest();
        }
    }

    fn wait_oldest(&mut self) {
        let Some((point, fence, commands)) = self.in_flight.pop_front() else { return };
        let device = &self.headless.device;
        // SAFETY: the fence was submitted.
        unsafe { device.wait_for_fences(&[fence], true, u64::MAX) }.expect("the device answers");
        // SAFETY: the device is done with it.
        unsafe { device.destroy_fence(fence, None) };
        // SAFETY: as above.
        unsafe { device.free_command_buffers(self.pool, &[commands]) };
        // SAFETY: the fence of the batch was waited for.
        unsafe { self.uploader.collect(point) };
        // SAFETY: as above.
        unsafe { self.readback.collect(point) };
    }

    fn upload(&mut self, upload: &mut Upload<&[u8]>) {
        loop {
            // SAFETY: recording, on a queue that can do everything; the target lives until `drop` has waited.
            match unsafe { self.uploader.record(self.commands, upload) }.expect("recorded") {
                Progress::Done(way) => return assert_eq!(way, Way::Staged),
                Progress::Full(full) if full.has_recorded => self.submit(),
                Progress::Full(full) => {
                    assert!(full.wait_for.is_some(), "something holds the ring");
                    self.wait_oldest();
                }
            }
        }
    }

    /// Records a part of an upload and loses it: the command buffer is never submitted.
    fn record_in_vain(&mut self, upload: &mut Upload<&[u8]>) {
        let device = &self.headless.device;
        // SAFETY: as for `upload`.
        let progress = unsafe { self.uploader.record(self.commands, upload) }.expect("recorded");
        assert!(matches!(progress, Progress::Full(full) if full.has_recorded), "{progress:?}");
        // SAFETY: it is of the pool, and was never submitted.
        unsafe { device.free_command_buffers(self.pool, &[self.commands]) };
        // SAFETY: as above.
        unsafe { self.uploader.discard_recorded() };
        self.uploader.rewind(upload);
        self.commands = begin(device, self.pool);
    }

    /// Reads everything back, ticket by ticket.
    fn download(&mut self, download: &mut Download) -> Vec<u8> {
        let mut bytes = vec![0_u8; usize::try_from(download.total_bytes()).expect("small")];
        let mut tickets: VecDeque<Ticket> = VecDeque::new();
        while !download.is_done() {
            // SAFETY: as for uploads; the source was written.
            match unsafe { self.readback.record(self.commands, download) }.expect("recorded") {
                Recorded::Part(ticket) | Recorded::Last(ticket) => tickets.push_back(ticket),
                Recorded::Full(full) if full.has_recorded => self.submit(),
                Recorded::Full(_) => {
                    self.wait_oldest();
                    self.redeem(&mut tickets, &mut bytes);
                }
            }
        }
        self.submit();
        while !self.in_flight.is_empty() {
            self.wait_oldest();
        }
        self.redeem(&mut tickets, &mut bytes);
        assert!(tickets.is_empty(), "everything has passed");
        bytes
    }

    fn redeem(&mut self, tickets: &mut VecDeque<Ticket>, bytes: &mut [u8]) {
        while let Some(ticket) = tickets.pop_front() {
            let start = usize::try_from(ticket.offset()).expect("small");
            let end = start + usize::try_from(ticket.len()).expect("small");
            if let Err(early) = self.readback.read(ticket, &mut bytes[start..end]) {
                return tickets.push_front(early.ticket);
            }
        }
    }
}

impl Drop for Lane<'_> {
    fn drop(&mut self) {
        self.submit();
        while !self.in_flight.is_empty() {
            self.wait_oldest();
        }
        // SAFETY: nothing of the pool is in use: every batch was waited for, and the last is empty.
        unsafe { self.headless.device.destroy_command_pool(self.pool, None) };
    }
}

fn begin(device: &ash::Device, pool: vk::CommandPool) -> vk::CommandBuffer {
    let info = vk::CommandBufferAllocateInfo::default().command_pool(pool).command_buffer_count(1);
    // SAFETY: the pool is this device's, and only this thread uses it.
    let commands = unsafe { device.allocate_command_buffers(&info) }.expect("a command buffer")[0];
    let info = vk::CommandBufferBeginInfo::default().flags(vk::CommandBufferUsageFlags::ONE_TIME_SUBMIT);
    // SAFETY: the command buffer is new.
    unsafe { device.begin_command_buffer(commands, &info) }.expect("recording begins");
    commands
}

/// Returns bytes that differ from place to place.
fn noise(seed: u64, len: u64) -> Vec<u8> {
    let mut random = Random(seed | 1);
    (0..len).map(|_| random.next().to_le_bytes()[4]).collect()
}

fn assert_same(world: &World, what: &str, found: &[u8], expected: &[u8]) {
    if world.is_mock() {
        return eprintln!("not compared: {what}, since the mock driver executes nothing");
    }
    let wrong = found.iter().zip(expected).position(|(found, expected)| found != expected);
    assert_eq!((wrong, found.len()), (None, expected.len()), "{what} differs there");
}

#[test]
fn buffers_larger_than_the_ring_come_back() {
    let Some(world) = World::open() else { return };
    let size = 3 * MIB + 7;
    let info = buffer_info(size);
    // SAFETY: the create-info is valid; `Lane` waits for every batch before it is gone.
    let created = unsafe { world.allocator.create_buffer(&info, &AllocationCreateInfo::gpu_only()) };
    let (buffer, memory) = created.expect("a buffer");
    for ring in [64 * KIB, MIB, 8 * MIB] {
        let mut lane = Lane::new(&world, ring);
        let bytes = noise(ring, size - 13);
        let after = ResourceUse::buffer(COPIED.stages, COPIED.access);
        let before = ResourceUse::buffer(COPIED.stages, vk::AccessFlags::empty());
        let upload = Upload::to_buffer(buffer, size, 13, &bytes[..]).expect("it fits");
        let mut upload = upload.before(before).after(after);
        lane.upload(&mut upload);
        let mut download = Download::of_buffer(buffer, size, 13, size - 13).expect("it fits");
        let found = lane.download(&mut download);
        assert_same(&world, &format!("a buffer through a ring of {ring} bytes"), &found, &bytes);
    }
    // SAFETY: the lanes have waited.
    unsafe { world.allocator.destroy_buffer(buffer, memory) }.expect("it is alive");
    world.finish();
}

#[test]
fn a_mapped_buffer_is_written_in_place() {
    let Some(world) = World::open() else { return };
    let mut lane = Lane::new(&world, 64 * KIB);
    let info = buffer_info(MIB);
    // SAFETY: as above.
    let created = unsafe { world.allocator.create_buffer(&info, &AllocationCreateInfo::stream()) };
    let (buffer, mut memory) = created.expect("a buffer");
    let bytes = noise(5, MIB - 5);
    let mut upload = Upload::to_buffer(buffer, MIB, 5, &bytes[..]).expect("it fits");
    // SAFETY: recording; the buffer lies at the start of its memory, and nothing uses it yet.
    let done = unsafe { lane.uploader.record_or_write(lane.commands, &mut upload, &mut memory) }.expect("written");
    assert_eq!(done, Progress::Done(Way::InPlace));
    let mut download = Download::of_buffer(buffer, MIB, 5, MIB - 5).expect("it fits");
    let found = lane.download(&mut download);
    assert_same(&world, "a buffer written in place", &found, &bytes);
    drop(lane);
    // SAFETY: the lane has waited.
    unsafe { world.allocator.destroy_buffer(buffer, memory) }.expect("it is alive");
    world.finish();
}

/// One kind of image: extent, mip levels, array layers, format.
struct Case([u32; 3], u32, u32, vk::Format);

const CASES: [Case; 14] = [
    Case([100, 60, 1], 7, 3, vk::Format::R8G8B8A8_UNORM),
    Case([33, 17, 1], 2, 2, vk::Format::R8_UNORM),
    Case([20, 18, 9], 3, 1, vk::Format::R16_UINT),
    Case([64, 1, 1], 1, 1, vk::Format::R32G32B32A32_UINT),
    Case([50, 31, 1], 2, 2, vk::Format::R32G32B32_UINT),
    Case([50, 31, 1], 2, 2, vk::Format::R8G8B8_UNORM),
    Case([60, 44, 1], 6, 2, vk::Format::BC1_RGB_UNORM_BLOCK),
    Case([62, 45, 1], 3, 1, vk::Format::BC7_UNORM_BLOCK),
    Case([60, 44, 1], 6, 2, vk::Format::ETC2_R8G8B8_UNORM_BLOCK),
    Case([61, 43, 1], 3, 1, vk::Format::ASTC_6X5_UNORM_BLOCK),
    Case([70, 50, 1], 3, 2, vk::Format::D32_SFLOAT),
    Case([70, 50, 1], 3, 2, vk::Format::D16_UNORM),
    Case([40, 30, 1], 2, 2, vk::Format::D32_SFLOAT_S8_UINT),
    Case([40, 30, 1], 2, 2, vk::Format::D24_UNORM_S8_UINT),
];

impl Case {
    fn create_info(&self) -> vk::ImageCreateInfo<'static> {
        let Self([width, height, depth], levels, layers, format) = *self;
        vk::ImageCreateInfo::default()
            .image_type(if depth > 1 { vk::ImageType::TYPE_3D } else { vk::ImageType::TYPE_2D })
            .format(format)
            .extent(vk::Extent3D { width, height, depth })
            .mip_levels(levels)
            .array_layers(layers)
            .samples(vk::SampleCountFlags::TYPE_1)
            .usage(vk::ImageUsageFlags::TRANSFER_SRC | vk::ImageUsageFlags::TRANSFER_DST)
    }

    /// Whether the driver has such images and can copy them.
    fn is_offered(&self, world: &World) -> bool {
        let Headless { instance, physical_device, .. } = &world.headless;
        let info = self.create_info();
        // SAFETY: the physical device is one of this instance's.
        let features = unsafe { instance.raw.get_physical_device_format_properties(*physical_device, info.format) };
        let needed = vk::FormatFeatureFlags::TRANSFER_SRC | vk::FormatFeatureFlags::TRANSFER_DST;
        if !features.optimal_tiling_features.contains(needed) {
            return false;
        }
        // SAFETY: as above.
        let limits = unsafe {
            instance.raw.get_physical_device_image_format_properties(
                *physical_device,
                info.format,
                info.image_type,
                info.tiling,
                info.usage,
                info.flags,
            )
        };
        let fits = |limits: vk::ImageFormatProperties| {
            limits.max_mip_levels >= info.mip_levels && limits.max_array_layers >= info.array_layers
        };
        limits.is_ok_and(fits)
    }

    /// Lists all levels, of every aspect.
    fn regions(&self, target: &ImageTarget) -> Vec<ImageRegion> {
        let of = |aspect| move |region| ImageRegion { aspect, ..region };
        match self.3 {
            vk::Format::D32_SFLOAT_S8_UINT | vk::Format::D24_UNORM_S8_UINT => {
                let stencil = target.regions().map(of(vk::ImageAspectFlags::STENCIL));
                target.regions().chain(stencil).collect()
            }
            _ => target.regions().collect(),
        }
    }

    /// Returns contents that the format can hold: depth lies between 0 and 1, and 24 bits leave 8 at 0.
    fn contents(&self, target: &ImageTarget, regions: &[ImageRegion]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (seed, region) in (1..).zip(regions) {
            let mut part = noise(seed, target.region_bytes(region).expect("a whole level"));
            let is_depth = region.aspect == vk::ImageAspectFlags::DEPTH;
            for (index, word) in part.chunks_exact_mut(4).enumerate().filter(|_| is_depth) {
                match self.3 {
                    vk::Format::D24_UNORM_S8_UINT => word[3] = 0,
                    vk::Format::D16_UNORM => {}
                    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
                    _ => word.copy_from_slice(&((index % 1000) as f32 / 1000.0).to_le_bytes()),
                }
            }
            bytes.extend(part);
        }
        bytes
    }

    /// Clears what a readback leaves undefined: the upper bits of 24 bits of depth.
    fn settle(&self, target: &ImageTarget, regions: &[ImageRegion], bytes: &mut [u8]) {
        if self.3 != vk::Format::D24_UNORM_S8_UINT {
            return;
        }
        let depth = regions.iter().filter(|region| region.aspect == vk::ImageAspectFlags::DEPTH);
        let depth: u64 = depth.map(|region| target.region_bytes(region).expect("a whole level")).sum();
        bytes[..usize::try_from(depth).expect("small")].chunks_exact_mut(4).for_each(|word| word[3] = 0);
    }
}

#[test]
fn images_of_every_kind_come_back() {
    let Some(world) = World::open() else { return };
    let mut formats = Vec::new();
    for case in CASES.iter().filter(|case| case.is_offered(&world)) {
        formats.push(case.3);
        let created = image(&world, case);
        for ring in [8 * KIB, MIB] {
            let mut lane = Lane::new(&world, ring);
            round_trip(&world, &mut lane, case, created.0);
        }
        // SAFETY: the lanes have waited.
        unsafe { world.allocator.destroy_image(created.0, created.1) }.expect("it is alive");
    }
    eprintln!("images copied: {formats:?}");
    assert!(formats.contains(&vk::Format::R8G8B8A8_UNORM) && formats.contains(&vk::Format::D16_UNORM), "{formats:?}");
    let compressed = [vk::Format::BC1_RGB_UNORM_BLOCK, vk::Format::ETC2_R8G8B8_UNORM_BLOCK];
    assert!(compressed.iter().any(|format| formats.contains(format)), "{formats:?}");
    world.finish();
}

/// The layers know in which layout an image is: a barrier from another one would be found out.
#[test]
fn an_upload_goes_on_behind_a_batch_that_was_discarded() {
    let Some(world) = World::open() else { return };
    let case = &CASES[0];
    let (image, memory) = image(&world, case);
    let mut lane = Lane::new(&world, 8 * KIB);
    let target = ImageTarget::new(image, &case.create_info());
    round_trip(&world, &mut lane, case, image);
    let mut bytes = case.contents(&target, &case.regions(&target));
    bytes.reverse();
    let mut upload = Upload::to_image(target, case.regions(&target), &bytes[..]).expect("all of it");
    upload = upload.before(COPIED).after(COPIED);
    for _ in 0..2 {
        lane.record_in_vain(&mut upload);
        // SAFETY: as for `upload`.
        let progress = unsafe { lane.uploader.record(lane.commands, &mut upload) }.expect("recorded");
        assert!(matches!(progress, Progress::Full(_)), "{progress:?}");
        lane.submit();
        while !lane.in_flight.is_empty() {
            lane.wait_oldest();
        }
    }
    lane.upload(&mut upload);
    let found = lane.download(&mut Download::of_image(target, case.regions(&target)).expect("all of it"));
    assert_same(&world, "an image in spite of lost batches", &found, &bytes);
    drop(lane);
    // SAFETY: the lane has waited.
    unsafe { world.allocator.destroy_image(image, memory) }.expect("it is alive");
    world.finish();
}

fn image(world: &World, case: &Case) -> (vk::Image, Allocation) {
    // SAFETY: the driver offers it; `Lane` waits for every batch before it is gone.
    let created = unsafe { world.allocator.create_image(&case.create_info(), &AllocationCreateInfo::gpu_only()) };
    created.expect("an image")
}

/// Fills a whole image, changes a part of it, and reads all of it back.
fn round_trip(world: &World, lane: &mut Lane<'_>, case: &Case, image: vk::Image) {
    let target = ImageTarget::new(image, &case.create_info());
    let regions = case.regions(&target);
    let mut bytes = case.contents(&target, &regions);
    let upload = Upload::to_image(target, regions.clone(), &bytes[..]).expect("all of it");
    let fresh = ResourceUse::discarded(vk::PipelineStageFlags::TRANSFER);
    lane.upload(&mut upload.before(fresh).after(COPIED));
    // The last layer of the first level again, with other contents, alone.
    let layers = regions[0].layer_count;
    let part = ImageRegion { base_array_layer: layers - 1, layer_count: 1, ..regions[0] };
    let len = usize::try_from(target.region_bytes(&part).expect("inside")).expect("small");
    let start = len * (layers as usize - 1);
    bytes[start..start + len].rotate_left(4 * (len / 8));
    let upload = Upload::to_image(target, [part], &bytes[start..start + len]).expect("a part");
    lane.upload(&mut upload.before(COPIED).after(COPIED));
    let mut found = lane.download(&mut Download::of_image(target, regions.clone()).expect("all of it"));
    case.settle(&target, &regions, &mut found);
    assert_same(world, &format!("{:?}", case.3), &found, &bytes);
}
