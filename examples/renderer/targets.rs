//! What a frame draws to on its way to the screen: transient images that share memory.
//!
//! ```text
//!   pass      0       1        2 ... 6          7 ... 10         11       12
//!             shadow  scene    bloom, down      bloom, up        compose  smooth
//!   Shadow    ████████████
//!   Depth             ████                                                       never stored
//!   Light             ████████████████████████████████████████████
//!   Bloom(n)                   ███████████████████████████████████
//!   Picture                                                      █████████████
//! ```
//!
//! The planner knows the lives and gives the same bytes to images that never live at one time; before its first pass
//! each image waits for whoever had its bytes before, in this frame or the one before ([`Targets::enter`]).

use std::error::Error;
use std::ops::RangeInclusive;

use freestone::ash::vk;
use freestone::{AllocationCreateInfo, Allocator, TransientMemory};

use crate::commands::{DEPTH_DRAWN, DRAWN, SAMPLED, Use, barrier, view_of};
use crate::headless::Vulkan;

/// Levels of the bloom chain, each half as large as the one before.
pub(crate) const BLOOM_LEVELS: usize = 5;
/// The side of the shadow map, in texels.
pub(crate) const SHADOW_SIDE: u32 = 1024;
pub(crate) const LIGHT_FORMAT: vk::Format = vk::Format::R16G16B16A16_SFLOAT;
pub(crate) const DEPTH_FORMAT: vk::Format = vk::Format::D32_SFLOAT;
/// The picture's colours, with how bright they look in the last channel.
pub(crate) const PICTURE_FORMAT: vk::Format = vk::Format::R8G8B8A8_UNORM;

const SHADOW_PASS: u32 = 0;
const SCENE_PASS: u32 = 1;
const FIRST_DOWN: u32 = 2;
const COMPOSE_PASS: u32 = FIRST_DOWN + 2 * BLOOM_LEVELS as u32 - 1;
const TARGET_COUNT: usize = 4 + BLOOM_LEVELS;

/// A transient image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// How far sunlight comes.
    Shadow,
    /// The scene's depth.
    Depth,
    /// The scene's light.
    Light,
    /// What it looks like on a screen, before edges are smoothed.
    Picture,
    /// Its bright parts, ever smaller and softer.
    Bloom(usize),
}

/// What the planner and the driver must know of one.
struct Description {
    format: vk::Format,
    extent: vk::Extent2D,
    usage: vk::ImageUsageFlags,
    first: Use,
    last: Use,
}

impl Target {
    const ALL: [Self; TARGET_COUNT] = [
        Self::Shadow,
        Self::Depth,
        Self::Light,
        Self::Picture,
        Self::Bloom(0),
        Self::Bloom(1),
        Self::Bloom(2),
        Self::Bloom(3),
        Self::Bloom(4),
    ];

    fn index(self) -> usize {
        match self {
            Self::Shadow => 0,
            Self::Depth => 1,
            Self::Light => 2,
            Self::Picture => 3,
            Self::Bloom(level) => 4 + level,
        }
    }

    fn aspect(self) -> vk::ImageAspectFlags {
        match self {
            Self::Shadow | Self::Depth => vk::ImageAspectFlags::DEPTH,
            _ => vk::ImageAspectFlags::COLOR,
        }
    }

    fn describe(self, screen: vk::Extent2D) -> Description {
        let (drawn, sampled) = (vk::ImageUsageFlags::COLOR_ATTACHMENT, vk::ImageUsageFlags::SAMPLED);
        let (depth, brief) = (vk::ImageUsageFlags::DEPTH_STENCIL_ATTACHMENT, vk::ImageUsageFlags::TRANSIENT_ATTACHMENT);
        let colour =
            Description { format: LIGHT_FORMAT, extent: screen, usage: drawn | sampled, first: DRAWN, last: SAMPLED };
        let square = vk::Extent2D { width: SHADOW_SIDE, height: SHADOW_SIDE };
        match self {
            Self::Shadow => Description {
                format: DEPTH_FORMAT,
                extent: square,
                usage: depth | sampled,
                first: DEPTH_DRAWN,
                ..colour
            },
            Self::Depth => Description {
                format: DEPTH_FORMAT,
                usage: depth | brief,
                first: DEPTH_DRAWN,
                last: DEPTH_DRAWN,
                ..colour
            },
            Self::Light => colour,
            Self::Picture => Description { format: PICTURE_FORMAT, ..colour },
            Self::Bloom(level) => Description { extent: smaller(screen, level + 1), ..colour },
        }
    }

    /// Says which passes use it, from its first drawing to its last reading.
    fn passes(self) -> RangeInclusive<u32> {
        match self {
            Self::Shadow => SHADOW_PASS..=SCENE_PASS,
            Self::Depth => SCENE_PASS..=SCENE_PASS,
            Self::Light => SCENE_PASS..=COMPOSE_PASS,
            Self::Picture => COMPOSE_PASS..=COMPOSE_PASS + 1,
            // Level n is drawn on the way down, and read last when level n - 1 is drawn on the way up.
            Self::Bloom(level) => FIRST_DOWN + level as u32..=COMPOSE_PASS - level as u32,
        }
    }
}

impl Description {
    fn image_info(&self) -> vk::ImageCreateInfo<'static> {
        vk::ImageCreateInfo::default()
            .image_type(vk::ImageType::TYPE_2D)
            .format(self.format)
            .extent(self.extent.into())
            .mip_levels(1)
            .array_layers(1)
            .samples(vk::SampleCountFlags::TYPE_1)
            .usage(self.usage)
    }
}

/// Halves an extent so many times.
fn smaller(extent: vk::Extent2D, level: usize) -> vk::Extent2D {
    let half = |length: u32| (length >> level).max(1);
    vk::Extent2D { width: half(extent.width), height: half(extent.height) }
}

#[derive(Clone, Copy, Default)]
struct Made {
    image: vk::Image,
    view: vk::ImageView,
}

pub(crate) struct Targets<'a> {
    vulkan: &'a Vulkan<'a>,
    allocator: &'a Allocator,
    memory: TransientMemory<&'a Allocator>,
    screen: vk::Extent2D,
    made: [Made; TARGET_COUNT],
}

impl<'a> Targets<'a> {
    /// Makes none yet; [`fit`](Self::fit) does.
    pub(crate) fn new(vulkan: &'a Vulkan<'a>, allocator: &'a Allocator) -> Self {
        let memory = TransientMemory::new(allocator, AllocationCreateInfo::gpu_only().name("attachments"));
        Self { vulkan, allocator, memory, screen: vk::Extent2D::default(), made: Default::default() }
    }

    /// Makes all of them anew for a screen of this size. The device is idle.
    ///
    /// # Errors
    /// Where there is no memory, or a call of Vulkan fails.
    pub(crate) fn fit(&mut self, screen: vk::Extent2D) -> Result<(), Box<dyn Error>> {
        self.destroy_images();
        self.screen = screen;
        let infos = Target::ALL.map(|target| target.describe(screen).image_info());
        let mut requests = Vec::with_capacity(TARGET_COUNT);
        for (target, info) in Target::ALL.iter().zip(&infos) {
            // SAFETY: the create-info is valid.
            requests.push(unsafe { self.memory.image_request(info, target.passes()) }?);
        }
        // What no longer fits goes at once: nothing uses it, the device being idle.
        for outdated in self.memory.plan(&requests)?.outdated.allocations {
            self.allocator.free(outdated)?;
        }
        for (index, info) in infos.iter().enumerate() {
            self.make(index, info)?;
        }
        Ok(())
    }

    fn make(&mut self, index: usize, info: &vk::ImageCreateInfo<'_>) -> Result<(), Box<dyn Error>> {
        // SAFETY: the create-info is the planned one; `destroy_images` runs before the memory goes, and `enter` records
        // the barriers.
        let image = unsafe { self.memory.create_image(index, info) }?;
        self.made[index].image = image;
        let aspect = Target::ALL[index].aspect();
        self.made[index].view = view_of(self.vulkan.device, image, info.format, (aspect, 1))?;
        Ok(())
    }

    pub(crate) fn view(&self, target: Target) -> vk::ImageView {
        self.made[target.index()].view
    }

    pub(crate) fn extent(&self, target: Target) -> vk::Extent2D {
        target.describe(self.screen).extent
    }

    /// Returns the bytes of all targets, and of the memory that they share.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        let plan = self.memory.layout();
        (plan.placements().iter().map(|place| place.size).sum(), plan.bytes())
    }

    /// Records what a target waits for before its first pass: the last uses of all that had its bytes.
    pub(crate) fn enter(&self, commands: vk::CommandBuffer, target: Target) {
        let first = target.describe(self.screen).first;
        let mut before = Use { stages: first.stages, access: first.access, layout: vk::ImageLayout::UNDEFINED };
        for takeover in self.memory.layout().takeovers(target.index()) {
            let last = Target::ALL[takeover.resource].describe(self.screen).last;
            before.stages |= last.stages;
            before.access |= last.access;
        }
        self.record(commands, target, before, first);
    }

    /// Records the barrier between two passes that use a target.
    pub(crate) fn between(&self, commands: vk::CommandBuffer, target: Target, from: Use, to: Use) {
        self.record(commands, target, from, to);
    }

    fn record(&self, commands: vk::CommandBuffer, target: Target, from: Use, to: Use) {
        let image = self.made[target.index()].image;
        barrier(self.vulkan.device, commands, (image, target.aspect()), from, to);
    }

    fn destroy_images(&mut self) {
        for Made { image, view } in std::mem::take(&mut self.made) {
            // SAFETY: the device is idle; null handles are allowed.
            unsafe { self.vulkan.device.destroy_image_view(view, None) };
            // SAFETY: as above.
            unsafe { self.vulkan.device.destroy_image(image, None) };
        }
    }
}

impl Drop for Targets<'_> {
    fn drop(&mut self) {
        self.destroy_images();
    }
}
