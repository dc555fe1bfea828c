//! Barriers use the resources that they name, and name them rightly.

use super::super::{Features, Profile, SimDevice};
use super::{allocate, bind_buffer, bind_image, buffer, destroy_buffer, destroy_image, free, image, image_info, rules};
use ash::vk;

/// Which of the two functions records the barriers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    First,
    Second,
}

/// A buffer of 64 bytes and an image, both bound, on memory of their own.
struct Scene {
    sim: SimDevice,
    memory: vk::DeviceMemory,
    buffer: vk::Buffer,
    picture: vk::Image,
}

const RANGE: vk::ImageSubresourceRange = vk::ImageSubresourceRange {
    aspect_mask: vk::ImageAspectFlags::COLOR,
    base_mip_level: 0,
    level_count: vk::REMAINING_MIP_LEVELS,
    base_array_layer: 0,
    layer_count: 1,
};

impl Scene {
    fn new() -> Self {
        let sim = SimDevice::new(Profile::unified());
        let memory = allocate(&sim, 1 << 16, 1).unwrap();
        let (buffer, picture) = (buffer(&sim, 64), image(&sim, &image_info(8)));
        bind_buffer(&sim, buffer, memory, 0).unwrap();
        bind_image(&sim, picture, memory, 1 << 15).unwrap();
        Self { sim, memory, buffer, picture }
    }

    fn on_buffer(&self, offset: u64, size: u64) -> vk::BufferMemoryBarrier<'static> {
        vk::BufferMemoryBarrier::default().buffer(self.buffer).offset(offset).size(size)
    }

    fn on_image(&self, old: vk::ImageLayout, new: vk::ImageLayout) -> vk::ImageMemoryBarrier<'static> {
        vk::ImageMemoryBarrier::default().image(self.picture).old_layout(old).new_layout(new).subresource_range(RANGE)
    }

    /// Submits barriers, and returns what was found.
    fn submit(
        &self,
        version: Version,
        buffers: &[vk::BufferMemoryBarrier<'_>],
        images: &[vk::ImageMemoryBarrier<'_>],
    ) -> Vec<&'static str> {
        let device = self.sim.device();
        // SAFETY: the device is valid; so it is throughout.
        let pool = unsafe { device.create_command_pool(&vk::CommandPoolCreateInfo::default(), None) }.unwrap();
        let info = vk::CommandBufferAllocateInfo::default().command_pool(pool).command_buffer_count(1);
        // SAFETY: the pool is alive.
        let commands = unsafe { device.allocate_command_buffers(&info) }.unwrap();
        // SAFETY: the command buffer is alive; so it is below.
        unsafe { device.begin_command_buffer(commands[0], &vk::CommandBufferBeginInfo::default()) }.unwrap();
        match version {
            Version::First => {
                let (stage, none) = (vk::PipelineStageFlags::TRANSFER, vk::DependencyFlags::empty());
                // SAFETY: what is wrong is the driver's to find; so it is below.
                unsafe { device.cmd_pipeline_barrier(commands[0], stage, stage, none, &[], buffers, images) };
            }
            Version::Second => record_second(device, commands[0], buffers, images),
        }
        // SAFETY: as above.
        unsafe { device.end_command_buffer(commands[0]) }.unwrap();
        let submits = [vk::SubmitInfo::default().command_buffers(&commands)];
        // SAFETY: everything named is alive.
        unsafe { device.queue_submit(self.sim.queue(), &submits, vk::Fence::null()) }.unwrap();
        // SAFETY: the simulated driver has carried it out.
        unsafe { device.destroy_command_pool(pool, None) };
        rules(&self.sim)
    }
}

fn record_second(
    device: &ash::Device,
    commands: vk::CommandBuffer,
    buffers: &[vk::BufferMemoryBarrier<'_>],
    images: &[vk::ImageMemoryBarrier<'_>],
) {
    let on_buffer = |barrier: &vk::BufferMemoryBarrier<'_>| {
        let same = vk::BufferMemoryBarrier2::default().buffer(barrier.buffer);
        same.offset(barrier.offset).size(barrier.size)
    };
    let on_image = |barrier: &vk::ImageMemoryBarrier<'_>| {
        let same = vk::ImageMemoryBarrier2::default().image(barrier.image).subresource_range(barrier.subresource_range);
        let same = same.old_layout(barrier.old_layout).new_layout(barrier.new_layout);
        let same = same.src_queue_family_index(barrier.src_queue_family_index);
        same.dst_queue_family_index(barrier.dst_queue_family_index)
    };
    let buffers: Vec<_> = buffers.iter().map(on_buffer).collect();
    let images: Vec<_> = images.iter().map(on_image).collect();
    let info = vk::DependencyInfo::default().buffer_memory_barriers(&buffers).image_memory_barriers(&images);
    // SAFETY: what is wrong is the driver's to find.
    unsafe { device.cmd_pipeline_barrier2(commands, &info) };
}

const UNDEFINED: vk::ImageLayout = vk::ImageLayout::UNDEFINED;
const GENERAL: vk::ImageLayout = vk::ImageLayout::GENERAL;

#[test]
fn what_a_barrier_names_is_in_use() {
    for version in [Version::First, Version::Second] {
        for is_waited_for in [false, true] {
            let scene = Scene::new();
            let barriers = ([scene.on_buffer(0, vk::WHOLE_SIZE)], [scene.on_image(UNDEFINED, GENERAL)]);
            assert_eq!(scene.submit(version, &barriers.0, &barriers.1), [""; 0]);
            if is_waited_for {
                // SAFETY: the device is valid.
                unsafe { scene.sim.device().device_wait_idle() }.unwrap();
            }
            destroy_buffer(&scene.sim, scene.buffer);
            destroy_image(&scene.sim, scene.picture);
            free(&scene.sim, scene.memory);
            let in_use = [
                "VUID-vkDestroyBuffer-buffer-00922",
                "VUID-vkDestroyImage-image-01000",
                "VUID-vkFreeMemory-memory-00677",
            ];
            assert_eq!(rules(&scene.sim), if is_waited_for { &[][..] } else { &in_use });
        }
    }
}

#[test]
fn barriers_on_buffers_lie_inside() {
    let rules_of = [
        (
            Version::First,
            [
                "VUID-VkBufferMemoryBarrier-offset-01187",
                "VUID-VkBufferMemoryBarrier-size-01188",
                "VUID-VkBufferMemoryBarrier-size-01189",
            ],
        ),
        (
            Version::Second,
            [
                "VUID-VkBufferMemoryBarrier2-offset-01187",
                "VUID-VkBufferMemoryBarrier2-size-01188",
                "VUID-VkBufferMemoryBarrier2-size-01189",
            ],
        ),
    ];
    for (version, [offset_rule, zero_rule, size_rule]) in rules_of {
        let scene = Scene::new();
        let found = |offset, size| scene.submit(version, &[scene.on_buffer(offset, size)], &[]);
        assert_eq!(found(0, 64), [""; 0]);
        assert_eq!(found(63, 1), [""; 0]);
        assert_eq!(found(63, vk::WHOLE_SIZE), [""; 0]);
        assert_eq!(found(64, vk::WHOLE_SIZE), [offset_rule]);
        assert_eq!(found(32, 33), [size_rule]);
        assert_eq!(found(32, u64::MAX - 1), [size_rule]);
        assert_eq!(found(0, 0), [zero_rule]);
    }
}

#[test]
fn barriers_are_on_what_lives_and_is_bound() {
    let rules_of = [
        (Version::First, ["VUID-VkBufferMemoryBarrier-buffer-01931", "VUID-VkImageMemoryBarrier-image-01932"]),
        (Version::Second, ["VUID-VkBufferMemoryBarrier2-buffer-01931", "VUID-VkImageMemoryBarrier2-image-01932"]),
    ];
    for (version, unbound) in rules_of {
        let scene = Scene::new();
        let loose = (buffer(&scene.sim, 64), image(&scene.sim, &image_info(8)));
        let found = |buffer, picture| {
            let on_buffer = scene.on_buffer(0, vk::WHOLE_SIZE).buffer(buffer);
            scene.submit(version, &[on_buffer], &[scene.on_image(UNDEFINED, GENERAL).image(picture)])
        };
        assert_eq!(found(loose.0, loose.1), unbound);
        free(&scene.sim, scene.memory);
        assert_eq!(found(scene.buffer, scene.picture), ["SIM-use-after-free"; 2]);
        destroy_buffer(&scene.sim, loose.0);
        destroy_image(&scene.sim, loose.1);
        let _ = rules(&scene.sim);
        assert_eq!(found(loose.0, loose.1), ["SIM-use-after-destroy"; 2]);
    }
}

#[test]
fn no_image_goes_into_no_layout() {
    let rules_of = [
        (Version::First, "VUID-VkImageMemoryBarrier-newLayout-01198"),
        (Version::Second, "VUID-VkImageMemoryBarrier2-newLayout-01198"),
    ];
    for (version, rule) in rules_of {
        let scene = Scene::new();
        let found = |barrier| scene.submit(version, &[], &[barrier]);
        assert_eq!(found(scene.on_image(UNDEFINED, GENERAL)), [""; 0]);
        assert_eq!(found(scene.on_image(GENERAL, UNDEFINED)), [rule]);
        assert_eq!(found(scene.on_image(GENERAL, vk::ImageLayout::PREINITIALIZED)), [rule]);
        assert_eq!(found(scene.on_image(UNDEFINED, UNDEFINED)), [""; 0], "that is no transition");
        let handed_over = scene.on_image(UNDEFINED, UNDEFINED).src_queue_family_index(0).dst_queue_family_index(1);
        assert_eq!(found(handed_over), [rule]);
    }
}

#[test]
fn barriers_on_images_lie_inside() {
    let rules_of = [
        (
            Version::First,
            [
                "VUID-VkImageMemoryBarrier-subresourceRange-01486",
                "VUID-VkImageMemoryBarrier-subresourceRange-01724",
                "VUID-VkImageMemoryBarrier-subresourceRange-01488",
                "VUID-VkImageMemoryBarrier-subresourceRange-01725",
            ],
        ),
        (
            Version::Second,
            [
                "VUID-VkImageMemoryBarrier2-subresourceRange-01486",
                "VUID-VkImageMemoryBarrier2-subresourceRange-01724",
                "VUID-VkImageMemoryBarrier2-subresourceRange-01488",
                "VUID-VkImageMemoryBarrier2-subresourceRange-01725",
            ],
        ),
    ];
    for (version, [level, levels, layer, layers]) in rules_of {
        let scene = Scene::new();
        let found = |range| scene.submit(version, &[], &[scene.on_image(UNDEFINED, GENERAL).subresource_range(range)]);
        assert_eq!(found(RANGE.base_mip_level(1)), [level]);
        assert_eq!(found(RANGE.level_count(2)), [levels]);
        assert_eq!(found(RANGE.base_array_layer(1).layer_count(vk::REMAINING_ARRAY_LAYERS)), [layer]);
        assert_eq!(found(RANGE.layer_count(2)), [layers]);
    }
}

/// The rule about bound memory is for others: what is bound to a sparse resource is not known here.
#[test]
fn sparse_resources_need_no_binding() {
    let sim = SimDevice::builder(Profile::unified()).with_features(Features::SPARSE_BINDING).build().unwrap();
    let info = vk::BufferCreateInfo::default().size(64).usage(vk::BufferUsageFlags::TRANSFER_DST);
    let info = info.flags(vk::BufferCreateFlags::SPARSE_BINDING);
    // SAFETY: the device and the create-info are valid.
    let buffer = unsafe { sim.device().create_buffer(&info, None) }.unwrap();
    let picture = image(&sim, &image_info(8).flags(vk::ImageCreateFlags::SPARSE_BINDING));
    let scene = Scene { sim, memory: vk::DeviceMemory::null(), buffer, picture };
    let barriers = ([scene.on_buffer(0, vk::WHOLE_SIZE)], [scene.on_image(UNDEFINED, GENERAL)]);
    assert_eq!(scene.submit(Version::First, &barriers.0, &barriers.1), [""; 0]);
}
