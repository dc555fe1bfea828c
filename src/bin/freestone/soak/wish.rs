//! What is asked for: a buffer, an image or plain memory, with random wishes.

use ash::vk;
use freestone::{
    Algorithm, AllocationCreateInfo, AllocationError, AllocationRequirements, Allocator, CustomPool,
    DedicatedPreference, DedicatedUse, DeviceAddress, End, Intent, Kind, MemoryPriority, PoolCreateInfo,
};

use super::random::Random;
use super::thing::{Shape, transfer_buffer};

/// Layers warn of dedicated memory below this, in bytes.
const DEDICATED_FROM: u64 = 1 << 20;

/// The intents of what is no attachment.
const INTENTS: [Intent; 4] = [Intent::GpuOnly, Intent::Upload, Intent::Stream, Intent::Readback];

/// What is to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    /// A buffer of so many bytes, in whole words; with a device address or without.
    Buffer(u64, DeviceAddress),
    /// An image of that width and height.
    Image(u32, u32),
    /// An attachment that holds nothing.
    Attachment(u32, u32),
    /// Memory by requirements.
    Memory(AllocationRequirements),
}

/// The wishes that go with an order.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is one wish")]
pub(crate) struct Wish {
    pub(crate) intent: Intent,
    pub(crate) name: Option<String>,
    pub(crate) pool: Option<usize>,
    pub(crate) can_alias: bool,
    pub(crate) is_within_budget: bool,
    pub(crate) may_spill: bool,
    pub(crate) dedicated: DedicatedUse,
    priority: Option<MemoryPriority>,
    is_short_lived: bool,
    end: Option<End>,
}

impl Order {
    pub(crate) fn buffer(random: &mut Random, has_addresses: bool) -> Self {
        let address = if has_addresses && random.one_in(4) { DeviceAddress::Needed } else { DeviceAddress::NotNeeded };
        Self::Buffer(4 * random.size(20), address)
    }

    pub(crate) fn image(random: &mut Random) -> Self {
        let mut edge = || u32::try_from(random.size(9)).unwrap_or(1);
        let (width, height) = (edge(), edge());
        if random.one_in(4) { Self::Attachment(width, height) } else { Self::Image(width, height) }
    }

    pub(crate) fn memory(random: &mut Random) -> Self {
        let alignment = 1 << random.below(17);
        let requirements = vk::MemoryRequirements { size: random.size(22), alignment, memory_type_bits: u32::MAX };
        let kind = if random.one_in(3) { Kind::NonLinear } else { Kind::Linear };
        let mut requirements = AllocationRequirements::new(requirements, kind, DeviceAddress::NotNeeded);
        if requirements.size >= DEDICATED_FROM && random.one_in(4) {
            requirements.dedicated = random.pick(&[DedicatedPreference::Preferred, DedicatedPreference::Required]);
        }
        Self::Memory(requirements)
    }

    /// Returns the bytes, about.
    fn bytes(&self) -> u64 {
        match *self {
            Self::Buffer(size, _) => size,
            Self::Image(width, height) | Self::Attachment(width, height) => 4 * u64::from(width) * u64::from(height),
            Self::Memory(requirements) => requirements.size,
        }
    }

    /// Makes it.
    ///
    /// # Errors
    /// The allocator's.
    pub(crate) fn make(
        &self,
        allocator: &Allocator,
        info: &AllocationCreateInfo<'_>,
    ) -> Result<(Shape, freestone::Allocation), AllocationError> {
        match *self {
            Self::Buffer(size, address) => {
                let mut buffer_info = transfer_buffer(size);
                if address == DeviceAddress::Needed {
                    buffer_info.usage |= vk::BufferUsageFlags::SHADER_DEVICE_ADDRESS;
                }
                // SAFETY: the create-info is valid; the device is done with the buffer whenever `Gpu` returns.
                let (buffer, memory) = unsafe { allocator.create_buffer(&buffer_info, info) }?;
                Ok((Shape::Buffer(buffer, size), memory))
            }
            Self::Image(width, height) => {
                let usage = vk::ImageUsageFlags::TRANSFER_SRC | vk::ImageUsageFlags::TRANSFER_DST;
                // SAFETY: as above.
                let (image, memory) = unsafe { allocator.create_image(&image_info(width, height, usage), info) }?;
                Ok((Shape::Image((image, width, height)), memory))
            }
            Self::Attachment(width, height) => {
                let usage = vk::ImageUsageFlags::TRANSIENT_ATTACHMENT | vk::ImageUsageFlags::COLOR_ATTACHMENT;
                // SAFETY: as above.
                let (image, memory) = unsafe { allocator.create_image(&image_info(width, height, usage), info) }?;
                Ok((Shape::Attachment(image), memory))
            }
            Self::Memory(requirements) => Ok((Shape::Memory, allocator.allocate(&requirements, info)?)),
        }
    }
}

impl Wish {
    /// Draws wishes that suit an order; `number` makes names.
    pub(crate) fn draw(random: &mut Random, order: &Order, pools: &[Option<CustomPool>], number: u32) -> Self {
        let intent = match order {
            Order::Attachment(..) => Intent::Transient,
            Order::Image(..) => Intent::GpuOnly,
            Order::Buffer(..) | Order::Memory(_) => random.pick(&INTENTS),
        };
        let alive: Vec<usize> = (0..pools.len()).filter(|&place| pools[place].is_some()).collect();
        let is_large = order.bytes() >= DEDICATED_FROM;
        Self {
            intent,
            name: random.one_in(6).then(|| format!("thing {number}")),
            pool: (!alive.is_empty() && random.one_in(4)).then(|| random.pick(&alive)),
            can_alias: random.one_in(12),
            is_within_budget: random.one_in(10),
            may_spill: !random.one_in(10),
            dedicated: match random.below(8) {
                0 if is_large => DedicatedUse::Always,
                1 => DedicatedUse::Never,
                _ => DedicatedUse::Auto,
            },
            priority: random.one_in(20).then(|| MemoryPriority::new(0.8)),
            is_short_lived: random.one_in(10),
            end: random.one_in(10).then(|| random.pick(&[End::Low, End::High])),
        }
    }

    pub(crate) fn info<'a>(&'a self, pools: &'a [Option<CustomPool>]) -> AllocationCreateInfo<'a> {
        let mut info = AllocationCreateInfo::new(self.intent).dedicated(self.dedicated);
        if let Some(name) = &self.name {
            info = info.name(name);
        }
        if let Some(pool) = self.pool.and_then(|place| pools[place].as_ref()) {
            info = info.pool(pool);
        }
        if self.is_short_lived {
            info = info.short_lived();
        }
        if let Some(priority) = self.priority {
            info = info.priority(priority);
        }
        if let Some(end) = self.end {
            info = info.end(end);
        }
        info = if self.can_alias { info.can_alias() } else { info };
        info = if self.is_within_budget { info.within_budget() } else { info };
        if self.may_spill { info } else { info.without_spilling() }
    }

    /// Tells whether an order with these wishes may be refused so; `has_upsets`: the driver is told to fail.
    pub(crate) fn may_fail_with(&self, error: &AllocationError, has_upsets: bool) -> bool {
        match error {
            AllocationError::OutOfMemory { .. } => {
                has_upsets || self.pool.is_some() || self.is_within_budget || !self.may_spill
            }
            AllocationError::Driver { .. } | AllocationError::Resource(_) => has_upsets,
            AllocationError::DedicatedConflict { .. } => self.can_alias || self.dedicated == DedicatedUse::Never,
            AllocationError::PoolMismatch { .. } => self.pool.is_some(),
            _ => false,
        }
    }
}

/// Draws a custom pool, and tells whether it has just one block at any time.
pub(crate) fn pool_info(random: &mut Random) -> (PoolCreateInfo, bool) {
    let algorithm = match random.below(4) {
        0 => Algorithm::Linear,
        1 => Algorithm::Fixed { slot_size: random.size(16) },
        _ => Algorithm::Tlsf,
    };
    let mut info = PoolCreateInfo::for_intent(random.pick(&INTENTS)).algorithm(algorithm);
    if random.one_in(2) {
        info = info.block_size(1 << (18 + random.below(4)));
    }
    let max = 1 + u32::try_from(random.below(6)).unwrap_or(0);
    let min = u32::try_from(random.below(2)).unwrap_or(0);
    let info = info.min_block_count(min).max_block_count(max).min_alignment(1 << random.below(13));
    (info, min == max)
}

fn image_info(width: u32, height: u32, usage: vk::ImageUsageFlags) -> vk::ImageCreateInfo<'static> {
    vk::ImageCreateInfo::default()
        .image_type(vk::ImageType::TYPE_2D)
        .format(vk::Format::R32_UINT)
        .extent(vk::Extent3D { width, height, depth: 1 })
        .mip_levels(1)
        .array_layers(1)
        .samples(vk::SampleCountFlags::TYPE_1)
        .tiling(vk::ImageTiling::OPTIMAL)
        .usage(usage)
        .initial_layout(vk::ImageLayout::UNDEFINED)
}
