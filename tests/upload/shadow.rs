//! What targets should hold: bytes in the order in which a whole resource would be uploaded.

use ash::vk;
use freestone::{ImageRegion, ImageTarget};

/// A format as the shadow knows it: width, height and bytes of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Texel {
    pub(crate) vulkan: vk::Format,
    pub(crate) aspect: vk::ImageAspectFlags,
    pub(crate) block: [u32; 3],
}

const COLOR: vk::ImageAspectFlags = vk::ImageAspectFlags::COLOR;

/// Formats of every kind of block: odd sizes, three components, compressed, depth, stencil.
pub(crate) const FORMATS: [Texel; 8] = [
    Texel { vulkan: vk::Format::R8G8B8A8_UNORM, aspect: COLOR, block: [1, 1, 4] },
    Texel { vulkan: vk::Format::R8G8B8_UNORM, aspect: COLOR, block: [1, 1, 3] },
    Texel { vulkan: vk::Format::R32G32B32_SFLOAT, aspect: COLOR, block: [1, 1, 12] },
    Texel { vulkan: vk::Format::R32G32B32A32_SFLOAT, aspect: COLOR, block: [1, 1, 16] },
    Texel { vulkan: vk::Format::BC1_RGB_UNORM_BLOCK, aspect: COLOR, block: [4, 4, 8] },
    Texel { vulkan: vk::Format::ASTC_6X5_UNORM_BLOCK, aspect: COLOR, block: [6, 5, 16] },
    Texel { vulkan: vk::Format::D16_UNORM, aspect: vk::ImageAspectFlags::DEPTH, block: [1, 1, 2] },
    Texel { vulkan: vk::Format::S8_UINT, aspect: vk::ImageAspectFlags::STENCIL, block: [1, 1, 1] },
];

/// An image's dimensions, and what each of its blocks should hold.
#[derive(Clone, Debug)]
pub(crate) struct ShadowImage {
    pub(crate) texel: Texel,
    pub(crate) extent: [u32; 3],
    pub(crate) levels: u32,
    pub(crate) layers: u32,
    pub(crate) bytes: Vec<u8>,
}

impl ShadowImage {
    pub(crate) fn new(texel: Texel, extent: [u32; 3], levels: u32, layers: u32) -> Self {
        let mut shadow = Self { texel, extent, levels, layers, bytes: Vec::new() };
        let size = (0..levels).map(|level| shadow.level_blocks(level)).sum::<usize>() * shadow.block_bytes();
        shadow.bytes = vec![0; size];
        shadow
    }

    pub(crate) fn create_info(&self) -> vk::ImageCreateInfo<'static> {
        let [width, height, depth] = self.extent;
        let is_3d = depth > 1;
        vk::ImageCreateInfo::default()
            .image_type(if is_3d { vk::ImageType::TYPE_3D } else { vk::ImageType::TYPE_2D })
            .format(self.texel.vulkan)
            .extent(vk::Extent3D { width, height, depth })
            .mip_levels(self.levels)
            .array_layers(self.layers)
            .samples(vk::SampleCountFlags::TYPE_1)
            .usage(vk::ImageUsageFlags::TRANSFER_DST | vk::ImageUsageFlags::TRANSFER_SRC)
    }

    pub(crate) fn target(&self, image: vk::Image) -> ImageTarget {
        ImageTarget::new(image, &self.create_info())
    }

    pub(crate) fn block_bytes(&self) -> usize {
        self.texel.block[2] as usize
    }

    pub(crate) fn level_extent(&self, level: u32) -> [u32; 3] {
        self.extent.map(|length| (length >> level).max(1))
    }

    /// Returns columns, rows and slices of a level, in blocks.
    fn level_counts(&self, level: u32) -> [usize; 3] {
        let [width, height, depth] = self.level_extent(level);
        let [across, down, _] = self.texel.block;
        [width.div_ceil(across), height.div_ceil(down), depth].map(|count| count as usize)
    }

    fn level_blocks(&self, level: u32) -> usize {
        self.level_counts(level).iter().product::<usize>() * self.layers as usize
    }

    /// Lists where the blocks of a region lie among the shadow's, in the order of the region's bytes.
    pub(crate) fn blocks_of(&self, region: &ImageRegion) -> Vec<usize> {
        let [columns, rows, slices] = self.level_counts(region.mip_level);
        let before: usize = (0..region.mip_level).map(|level| self.level_blocks(level)).sum();
        let [across, down, _] = self.texel.block;
        let [x, y, z] = region.offset;
        let [width, height, depth] = region.extent;
        let mut blocks = Vec::new();
        for layer in region.base_array_layer..region.base_array_layer + region.layer_count {
            for slice in z..z + depth {
                for row in y / down..(y + height).div_ceil(down) {
                    for column in x / across..(x + width).div_ceil(across) {
                        let [layer, slice, row, column] = [layer, slice, row, column].map(|index| index as usize);
                        blocks.push(before + ((layer * slices + slice) * rows + row) * columns + column);
                    }
                }
            }
        }
        blocks
    }

    /// Writes bytes `from..from + bytes.len()` of a region.
    pub(crate) fn write(&mut self, region: &ImageRegion, from: usize, bytes: &[u8]) {
        let size = self.block_bytes();
        let blocks = self.blocks_of(region);
        for (index, chunk) in bytes.chunks(size).enumerate() {
            let at = blocks[from / size + index] * size;
            self.bytes[at..at + size].copy_from_slice(chunk);
        }
    }

    /// Reads bytes `from..from + len` of a region.
    pub(crate) fn read(&self, region: &ImageRegion, from: usize, len: usize) -> Vec<u8> {
        let size = self.block_bytes();
        let blocks = self.blocks_of(region);
        let parts = blocks[from / size..(from + len) / size].iter();
        parts.flat_map(|block| self.bytes[block * size..(block + 1) * size].to_vec()).collect()
    }
}
