//! What the default pools of a device are made of.

use ash::vk;

use crate::block::growth::{GrowthSettings, PAGE};
use crate::device::{Device, Features, Mapping, Properties};
use crate::pool::{BlockClass, Kind, PoolSettings};
use crate::suballocator::{self, Algorithm};

/// Every offset in a default pool is a multiple of this, in bytes: buffers align to 16 to 256. Measured: 16 costs 1 %
/// more instructions, 256 saves 1 %.
const UNIT: u64 = 64;
/// Sizes up to this are served from slabs, in bytes. Measured against 64 KiB (`benches/JOURNAL.md`): mixed sizes of up
/// to 1 MiB take an eighth fewer instructions; the recorded applications reserve 0.7 % less at a card's sizes, 1.2 %
/// more at recorded ones.
const SLAB_LIMIT: u64 = 256 << 10;
/// Larger sizes are served from slabs too where they are at most an 8,192nd of what is live in their pool: from 2 GiB
/// on. Measured over eight draws and more with 10 GiB live (`benches/JOURNAL.md`): a level that streams takes a sixth
/// less time, mixed sizes of up to 16 MiB a tenth less, the memory is the same within 0.3 %; more where sizes shift.
const LARGE_SLOT_SHIFT: u32 = 13;
/// Sizes from this on lie at the high end of a free range, in bytes: small and large do not mix.
const HIGH_END_FROM: u64 = 64 << 10;
/// What would be left of a free range is served with it up to a 32nd of what is asked for. Measured on the recorded
/// applications, November 2026: 1.127 reserved / live instead of 1.130, a level that streams 1.07 instead of 1.10 and
/// 7 % less time; a 16th costs 1 % of memory.
const SLIVER_SHIFT: u32 = 5;
/// Above this granularity, in bytes, kinds get blocks of their own; up to it, rounding wastes less. Measured on the
/// recorded applications: at 65,536 rounding costs 3 % of memory.
const ROUNDED_GRANULARITY_MAX: u64 = 4096;

/// What default pools of a device have in common.
#[derive(Debug)]
pub(super) struct Template {
    properties: Properties,
    features: Features,
    separates_kinds: bool,
    block_sizes: BlockSizes,
}

/// What the user wishes of the sizes of blocks, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BlockSizes {
    pub first: Option<u64>,
    pub largest: Option<u64>,
}

impl BlockSizes {
    /// Applies the wishes to what the heap suggests.
    fn apply(self, growth: GrowthSettings) -> GrowthSettings {
        let growth = self.first.map_or(growth, |bytes| growth.beginning_with(bytes));
        self.largest.map_or(growth, |bytes| growth.within(bytes.max(PAGE)))
    }
}

impl Template {
    pub(super) fn new(device: &Device, block_sizes: BlockSizes) -> Self {
        let properties = device.properties().clone();
        let separates_kinds = properties.buffer_image_granularity > ROUNDED_GRANULARITY_MAX;
        Self { properties, features: device.features(), separates_kinds, block_sizes }
    }

    /// Returns whether resources of this kind have blocks of their own, apart from the linear ones.
    #[inline]
    pub(super) fn is_apart(&self, kind: Kind) -> bool {
        self.separates_kinds && kind == Kind::NonLinear
    }

    /// Returns the class that all default pools of the device have, beside the kind.
    pub(super) fn class(&self) -> BlockClass {
        BlockClass { device_address: self.features.buffer_device_address, ..BlockClass::default() }
    }

    /// Returns the class of blocks for one kind, where kinds have blocks of their own.
    pub(super) fn class_of(&self, kind: Kind) -> BlockClass {
        BlockClass { kind: self.separates_kinds.then_some(kind), ..self.class() }
    }

    /// Returns the settings of a default pool, with what the user wishes of its blocks.
    pub(super) fn default_settings(&self, memory_type_index: u32, class: BlockClass) -> PoolSettings {
        let settings = self.settings(memory_type_index, class);
        PoolSettings { growth: self.block_sizes.apply(settings.growth), ..settings }
    }

    /// Returns what the settings of any pool begin with.
    pub(super) fn settings(&self, memory_type_index: u32, class: BlockClass) -> PoolSettings {
        let flags = self.properties.flags_of(memory_type_index);
        let heap_size = self.properties.heap_of(memory_type_index).map_or(0, |heap| heap.size);
        let suballocator = suballocator::Settings {
            unit: UNIT.max(self.properties.atom_of(memory_type_index)),
            slab_limit: SLAB_LIMIT,
            large_slot_shift: LARGE_SLOT_SHIFT,
            high_end_from: HIGH_END_FROM,
            sliver_shift: SLIVER_SHIFT,
        };
        // A driver may name no largest object, and a heap be larger than what a region counts.
        let largest = self.properties.max_memory_allocation_size.min(suballocator.largest_region());
        let max_object_size = largest.min(heap_size);
        let is_host_visible = flags.contains(vk::MemoryPropertyFlags::HOST_VISIBLE);
        let mapping = if is_host_visible { Mapping::Persistent } else { Mapping::None };
        PoolSettings {
            memory_type_index,
            class,
            algorithm: Algorithm::Tlsf,
            suballocator,
            growth: GrowthSettings::for_heap(heap_size, max_object_size),
            min_block_count: 0,
            max_block_count: u32::MAX,
            min_alignment: 1,
            max_object_size,
            mapping,
            non_linear_page: if class.kind.is_none() { self.properties.buffer_image_granularity } else { 1 },
            is_non_coherent: self.properties.needs_flush(memory_type_index),
            is_lazy: flags.contains(vk::MemoryPropertyFlags::LAZILY_ALLOCATED),
            may_own: true,
            priority: self.features.memory_priority.then_some(class.priority),
        }
    }
}
