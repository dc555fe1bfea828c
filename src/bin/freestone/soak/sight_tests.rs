//! A soak sees what it looks for: contents that somebody else has written, by the host's hand and by the device's,
//! wherever in a thing they lie.

use std::sync::Mutex;

use ash::vk;
use freestone::sim::Profile;
use freestone::{AllocationCreateInfo, AllocationRequirements, Allocator, DeviceAddress, Kind};

use super::gpu::{Gpu, STAGING_BYTES};
use super::pattern;
use super::shadow::Shadow;
use super::thing::{Ground, Hand, Shape, Thing, lock, transfer_buffer};
use crate::stage::{Faults, Stage};

/// Runs a test on a simulated device, which nobody may have used wrongly.
pub(super) fn on_ground(test: impl FnOnce(&Ground<'_>)) {
    let stage = Stage::simulated(Profile::noncoherent());
    let counter = stage.counter();
    let allocator = stage.allocator(&counter).expect("an allocator");
    let gpu = Gpu::new(&stage).expect("a queue and staging memory");
    let ground = Ground {
        allocator: &allocator,
        device: stage.device(),
        counter: &counter,
        gpu: Mutex::new(gpu),
        shadow: Mutex::new(Shadow::default()),
        upsets: None,
        has_addresses: false,
        is_alone: true,
    };
    test(&ground);
    drop(ground);
    drop(allocator);
    assert_eq!(stage.close(), Faults::default());
}

fn thing(shape: Shape, memory: freestone::Allocation) -> Thing {
    Thing { shape, memory, pattern: pattern::word(3), known: 0, name: None, pool: None }
}

fn buffer(allocator: &Allocator, size: u64, info: &AllocationCreateInfo<'_>) -> Thing {
    // SAFETY: the create-info is valid, and the buffer is destroyed when the device is done with it.
    let made = unsafe { allocator.create_buffer(&transfer_buffer(size), info) };
    let (buffer, memory) = made.expect("there is memory");
    thing(Shape::Buffer(buffer, size), memory)
}

/// Fills a thing by each hand, and looks at it by each: all is well, until `disturb` has been there.
fn assert_seen(ground: &Ground<'_>, mut thing: Thing, at: u64, disturb: impl Fn(&mut Thing)) {
    for hand in [Hand::Host, Hand::Device] {
        ground.fill(&mut thing, hand).expect("a driver that works");
        for eye in [Hand::Host, Hand::Device] {
            assert_eq!(ground.check(&thing, eye), Ok(thing.known), "filled by {hand:?}, seen by {eye:?}");
            assert!(thing.known > at);
        }
        disturb(&mut thing);
        for eye in [Hand::Host, Hand::Device] {
            let said = ground.check(&thing, eye).expect_err("somebody wrote there");
            assert!(said.starts_with(&format!("byte {at} of ")), "filled by {hand:?}, seen by {eye:?}: {said}");
        }
    }
    ground.destroy_unseen(thing).expect("it is alive");
}

/// Writes one word, which the device sees.
fn scribble(ground: &Ground<'_>, thing: &mut Thing, at: u64) {
    thing.memory.write(at, &[!thing.pattern]).expect("it is mapped");
    ground.allocator.flush(&thing.memory, at, 4).expect("in bounds");
}

#[test]
fn a_word_that_somebody_else_wrote_is_seen_in_a_mapped_buffer() {
    on_ground(|ground| {
        let size = 2 * STAGING_BYTES + 64;
        for at in [0, 100, STAGING_BYTES - 4, STAGING_BYTES, 2 * STAGING_BYTES + 60] {
            let made = buffer(ground.allocator, size, &AllocationCreateInfo::upload());
            assert_seen(ground, made, at, |thing| scribble(ground, thing, at));
        }
    });
}

#[test]
fn what_the_device_wrote_is_seen_in_a_buffer_that_the_host_cannot_reach() {
    on_ground(|ground| {
        let made = buffer(ground.allocator, 4096, &AllocationCreateInfo::gpu_only());
        let Shape::Buffer(handle, size) = made.shape else { panic!("a buffer") };
        assert_seen(ground, made, 0, |thing| {
            lock(&ground.gpu).fill_buffer(handle, size, !thing.pattern).expect("a driver that works");
        });
    });
}

#[test]
fn what_was_written_over_an_image_is_seen() {
    on_ground(|ground| {
        let info = vk::ImageCreateInfo::default()
            .image_type(vk::ImageType::TYPE_2D)
            .format(vk::Format::R8G8B8A8_UNORM)
            .extent(vk::Extent3D { width: 30, height: 20, depth: 1 })
            .mip_levels(1)
            .array_layers(1)
            .samples(vk::SampleCountFlags::TYPE_1)
            .usage(vk::ImageUsageFlags::TRANSFER_SRC | vk::ImageUsageFlags::TRANSFER_DST);
        // SAFETY: the create-info is valid, and the image is destroyed when the device is done with it.
        let made = unsafe { ground.allocator.create_image(&info, &AllocationCreateInfo::gpu_only()) };
        let (image, memory) = made.expect("there is memory");
        let picture = (image, 30, 20);
        assert_seen(ground, thing(Shape::Image(picture), memory), 0, |thing| {
            lock(&ground.gpu).fill_image(picture, !thing.pattern).expect("a driver that works");
        });
    });
}

#[test]
fn a_word_that_somebody_else_wrote_is_seen_in_plain_memory() {
    on_ground(|ground| {
        let requirements = vk::MemoryRequirements { size: 4096, alignment: 256, memory_type_bits: !0 };
        let requirements = AllocationRequirements::new(requirements, Kind::Linear, DeviceAddress::NotNeeded);
        let memory = ground.allocator.allocate(&requirements, &AllocationCreateInfo::upload()).expect("memory");
        assert_seen(ground, thing(Shape::Memory, memory), 1000, |thing| scribble(ground, thing, 1000));
    });
}
