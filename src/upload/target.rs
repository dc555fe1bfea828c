//! What bytes go to or come from: a range of a buffer, regions of an image, and how they are synchronised.

use ash::vk;

use super::error::TransferError;
use super::format::{aspects_of, texel_block};
use super::geometry::Geometry;

/// A part of one mip level of an image. Its bytes are tightly packed: rows of texel blocks, slices, array layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageRegion {
    /// The one aspect that is copied.
    pub aspect: vk::ImageAspectFlags,
    /// The mip level.
    pub mip_level: u32,
    /// The first array layer.
    pub base_array_layer: u32,
    /// The number of array layers; 1 for a 3D image.
    pub layer_count: u32,
    /// Where the region begins, in texels.
    pub offset: [u32; 3],
    /// Its extent, in texels.
    pub extent: [u32; 3],
}

impl ImageRegion {
    fn subresource(&self, aspects: vk::ImageAspectFlags) -> vk::ImageSubresourceRange {
        vk::ImageSubresourceRange::default()
            .aspect_mask(aspects)
            .base_mip_level(self.mip_level)
            .level_count(1)
            .base_array_layer(self.base_array_layer)
            .layer_count(self.layer_count)
    }
}

/// An image, as far as copies must know it.
///
/// # Examples
/// ```
/// use freestone::{ImageTarget, ash::vk};
///
/// let info = vk::ImageCreateInfo::default()
///     .image_type(vk::ImageType::TYPE_2D)
///     .format(vk::Format::BC1_RGB_UNORM_BLOCK)
///     .extent(vk::Extent3D { width: 30, height: 30, depth: 1 })
///     .mip_levels(3)
///     .array_layers(2)
///     .samples(vk::SampleCountFlags::TYPE_1)
///     .usage(vk::ImageUsageFlags::TRANSFER_DST | vk::ImageUsageFlags::SAMPLED);
/// let target = ImageTarget::new(vk::Image::null(), &info);
/// // 8 x 8, 4 x 4 and 2 x 2 blocks of 8 bytes, twice each.
/// let bytes = target.regions().map(|region| target.region_bytes(&region)).collect::<Result<Vec<_>, _>>()?;
/// assert_eq!(bytes, [1024, 256, 64]);
/// # Ok::<(), freestone::TransferError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageTarget {
    pub(super) image: vk::Image,
    format: vk::Format,
    extent: vk::Extent3D,
    level_count: u32,
    layer_count: u32,
    samples: vk::SampleCountFlags,
    usage: vk::ImageUsageFlags,
}

impl ImageTarget {
    /// Describes an image by what it was created from. The pNext chain is not looked at.
    pub fn new(image: vk::Image, info: &vk::ImageCreateInfo<'_>) -> Self {
        Self {
            image,
            format: info.format,
            extent: info.extent,
            level_count: info.mip_levels,
            layer_count: info.array_layers,
            samples: info.samples,
            usage: info.usage,
        }
    }

    /// Returns the image.
    pub fn image(&self) -> vk::Image {
        self.image
    }

    /// Yields one region for each mip level with all its layers, from the largest on; of the first aspect, for a format
    /// that has two.
    pub fn regions(&self) -> impl Iterator<Item = ImageRegion> + use<> {
        let target = *self;
        (0..self.level_count).map(move |mip_level| target.level(mip_level))
    }

    /// Names a whole mip level with all its layers. Levels that the image does not have are found out when they are
    /// used.
    pub fn level(&self, mip_level: u32) -> ImageRegion {
        let aspects = aspects_of(self.format);
        let is_depth = aspects.contains(vk::ImageAspectFlags::DEPTH);
        ImageRegion {
            aspect: if is_depth { vk::ImageAspectFlags::DEPTH } else { aspects },
            mip_level,
            base_array_layer: 0,
            layer_count: self.layer_count,
            offset: [0; 3],
            extent: self.level_extent(mip_level),
        }
    }

    /// Returns the bytes of a region, tightly packed.
    ///
    /// # Errors
    /// As the making of an [`Upload`](super::Upload) to it, the usage aside.
    pub fn region_bytes(&self, region: &ImageRegion) -> Result<u64, TransferError> {
        let is_multisampled = self.samples.as_raw() > vk::SampleCountFlags::TYPE_1.as_raw();
        if is_multisampled {
            return Err(TransferError::Multisampled { samples: self.samples });
        }
        let one = vk::Extent3D { width: 1, height: 1, depth: 1 };
        Ok(self.geometry(region, one)?.bytes())
    }

    /// Checks everything about a region that does not depend on the queue.
    pub(super) fn check(&self, region: &ImageRegion, usage: vk::ImageUsageFlags) -> Result<(), TransferError> {
        self.region_bytes(region)?;
        if self.usage.contains(usage) { Ok(()) } else { Err(TransferError::MissingUsage { usage }) }
    }

    /// Describes a region in blocks, for a queue family of this granularity.
    ///
    /// # Errors
    /// What is wrong with the region.
    pub(super) fn geometry(&self, region: &ImageRegion, granularity: vk::Extent3D) -> Result<Geometry, TransferError> {
        let ImageRegion { aspect, mip_level, base_array_layer, layer_count, offset, extent } = *region;
        let unsupported = TransferError::UnsupportedFormat { format: self.format, aspect };
        let block = texel_block(self.format, aspect).ok_or(unsupported)?;
        if mip_level >= self.level_count {
            return Err(TransferError::NoSuchLevel { level: mip_level, level_count: self.level_count });
        }
        let last = base_array_layer.checked_add(layer_count);
        if last.is_none_or(|last| last > self.layer_count) {
            let (first, count, layer_count) = (base_array_layer, layer_count, self.layer_count);
            return Err(TransferError::NoSuchLayer { first, count, layer_count });
        }
        let level_extent = self.level_extent(mip_level);
        let is_inside = |axis: usize| {
            let end = offset[axis].checked_add(extent[axis]);
            end.is_some_and(|end| end <= level_extent[axis])
        };
        if !(0..3).all(is_inside) {
            return Err(TransferError::OutsideLevel { offset, extent, level_extent });
        }
        let blocks = [block.width, block.height, 1];
        if !(0..3).all(|axis| is_whole(offset[axis], extent[axis], level_extent[axis], blocks[axis])) {
            return Err(TransferError::Unaligned { offset, extent, block: [block.width, block.height] });
        }
        let granularity = [granularity.width, granularity.height, granularity.depth];
        let unit = if block.is_compressed() { [1; 3] } else { blocks };
        // In blocks, whatever it counts.
        let given = [0, 1, 2].map(|axis: usize| granularity[axis].div_ceil(unit[axis]));
        let suits = |axis: usize| match given[axis].checked_mul(blocks[axis]) {
            Some(0) | None => offset[axis] == 0 && extent[axis] == level_extent[axis],
            Some(step) => is_whole(offset[axis], extent[axis], level_extent[axis], step),
        };
        if !(0..3).all(suits) {
            return Err(TransferError::Granularity { offset, extent, granularity });
        }
        let [width, height, depth] = extent;
        if layer_count == 0 || extent.contains(&0) {
            return Err(TransferError::Empty);
        }
        let given = vk::Extent3D { width: given[0], height: given[1], depth: given[2] };
        let can_name = (0..3).all(|axis| i32::try_from(offset[axis] + extent[axis]).is_ok());
        let geometry = Geometry::new(block, vk::Extent3D { width, height, depth }, layer_count, given);
        geometry.filter(|_| can_name).ok_or(TransferError::TooLarge { offset, extent })
    }

    /// Returns the bytes of a block of the region's aspect; 1 for one that is not there.
    pub(super) fn block_bytes(&self, aspect: vk::ImageAspectFlags) -> u64 {
        texel_block(self.format, aspect).map_or(1, |block| u64::from(block.bytes))
    }

    /// Returns the subresources that regions touch, each once, with every aspect of the format: what barriers name.
    ///
    /// # Complexity
    /// O(n log n) for n regions.
    pub(super) fn subresources(&self, regions: &[ImageRegion]) -> Vec<vk::ImageSubresourceRange> {
        let end_of = |range: &vk::ImageSubresourceRange| range.base_array_layer.saturating_add(range.layer_count);
        let mut touched: Vec<_> = regions.iter().map(|region| region.subresource(aspects_of(self.format))).collect();
        touched.sort_unstable_by_key(|range| (range.base_mip_level, range.base_array_layer));
        touched.dedup_by(|next, range| {
            let is_joined = next.base_mip_level == range.base_mip_level && next.base_array_layer <= end_of(range);
            if is_joined {
                range.layer_count = end_of(next).max(end_of(range)) - range.base_array_layer;
            }
            is_joined
        });
        touched
    }

    fn level_extent(&self, level: u32) -> [u32; 3] {
        let part = |length: u32| length.checked_shr(level).unwrap_or(0).max(length.min(1));
        [part(self.extent.width), part(self.extent.height), part(self.extent.depth)]
    }
}

/// Tells whether a run begins at a multiple of `step`, and ends at one or at the end.
fn is_whole(offset: u32, extent: u32, end: u32, step: u32) -> bool {
    offset.is_multiple_of(step) && (extent.is_multiple_of(step) || offset + extent == end)
}

/// How a resource is used before or after a transfer: what a barrier waits for, or what waits for it.
///
/// # Examples
/// ```
/// use freestone::{ResourceUse, ash::vk};
///
/// let sampled = ResourceUse::image(
///     vk::PipelineStageFlags::FRAGMENT_SHADER,
///     vk::AccessFlags::SHADER_READ,
///     vk::ImageLayout::SHADER_READ_ONLY_OPTIMAL,
/// );
/// assert_ne!(sampled, ResourceUse::undefined());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceUse {
    /// The stages that use it. None stands for no stage at all.
    pub stages: vk::PipelineStageFlags,
    /// How they use it.
    pub access: vk::AccessFlags,
    /// The layout of an image; a buffer has none.
    pub layout: vk::ImageLayout,
}

impl ResourceUse {
    /// Says how a buffer is used.
    pub const fn buffer(stages: vk::PipelineStageFlags, access: vk::AccessFlags) -> Self {
        Self { stages, access, layout: vk::ImageLayout::UNDEFINED }
    }

    /// Says how an image is used, and in which layout.
    pub const fn image(stages: vk::PipelineStageFlags, access: vk::AccessFlags, layout: vk::ImageLayout) -> Self {
        Self { stages, access, layout }
    }

    /// Says that nothing on the GPU uses it yet, or any more: nothing is waited for, and what an image holds is
    /// discarded. What work in flight may still read is [`discarded`](Self::discarded).
    pub const fn undefined() -> Self {
        Self::discarded(vk::PipelineStageFlags::empty())
    }

    /// Says that these stages may still use it, and that what it holds is of no use behind them: they are waited for,
    /// and what an image holds is discarded. To wait for readers no access need be named; where the stages write, name
    /// theirs: by [`image`](Self::image), in the layout `UNDEFINED`.
    pub const fn discarded(stages: vk::PipelineStageFlags) -> Self {
        Self::buffer(stages, vk::AccessFlags::empty())
    }
}

/// A transfer of ownership between two queue families, by their indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueFamilies {
    /// The family that records the copies, and the release behind them.
    pub from: u32,
    /// The family that uses the resource afterwards.
    pub to: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_subresource_is_named_once() {
        let info = vk::ImageCreateInfo::default().format(vk::Format::D24_UNORM_S8_UINT).mip_levels(2).array_layers(9);
        let handle: vk::Image = vk::Handle::from_raw(7);
        let image = ImageTarget::new(handle, &info);
        assert_eq!(image.image(), handle);
        let region = |mip_level, base_array_layer, layer_count| {
            let aspect = vk::ImageAspectFlags::DEPTH;
            ImageRegion { aspect, mip_level, base_array_layer, layer_count, offset: [0; 3], extent: [1; 3] }
        };
        let touched = |regions: &[ImageRegion]| -> Vec<_> {
            let both = vk::ImageAspectFlags::DEPTH | vk::ImageAspectFlags::STENCIL;
            let ranges = image.subresources(regions).into_iter();
            ranges
                .inspect(|range| assert_eq!((range.aspect_mask, range.level_count), (both, 1)))
                .map(|range| (range.base_mip_level, range.base_array_layer, range.layer_count))
                .collect()
        };
        let over = [region(0, 2, 2), region(1, 0, 9), region(0, 0, 9), region(0, 3, 2)];
        assert_eq!(touched(&over), [(0, 0, 9), (1, 0, 9)]);
        let apart = [region(1, 8, 1), region(0, 4, 2), region(0, 0, 2), region(0, 5, 3), region(1, 6, 1)];
        assert_eq!(touched(&apart), [(0, 0, 2), (0, 4, 4), (1, 6, 1), (1, 8, 1)]);
        assert_eq!(touched(&[region(0, 7, 1), region(0, 6, 1)]), [(0, 6, 2)], "side by side");
    }

    /// `minImageTransferGranularity` counts blocks for block-compressed formats only, which those of 4:2:2 are not.
    #[test]
    fn the_granularity_of_4_2_2_formats_counts_texels() {
        let info = vk::ImageCreateInfo::default()
            .format(vk::Format::G8B8G8R8_422_UNORM)
            .extent(vk::Extent3D { width: 64, height: 8, depth: 1 })
            .mip_levels(1)
            .array_layers(1);
        let image = ImageTarget::new(vk::Image::null(), &info);
        let eight = vk::Extent3D { width: 8, height: 8, depth: 8 };
        let of = |x: u32, width: u32| {
            let region = ImageRegion { offset: [x, 0, 0], extent: [width, 8, 1], ..image.level(0) };
            image.geometry(&region, eight)
        };
        assert_eq!(of(8, 8).unwrap().bytes(), 4 * 4 * 8);
        assert!(matches!(of(4, 8), Err(TransferError::Granularity { granularity: [8, 8, 8], .. })));
        assert!(matches!(of(8, 4), Err(TransferError::Granularity { .. })));
        // One row of 8 texels or more, in blocks of 2: pieces of 4 blocks.
        let row = ImageRegion { extent: [64, 1, 1], ..image.level(0) };
        let flat = vk::Extent3D { height: 1, ..eight };
        assert_eq!(image.geometry(&row, flat).unwrap().unit_bytes(), 4 * 4);
        let compressed = ImageTarget::new(vk::Image::null(), &info.format(vk::Format::BC1_RGB_UNORM_BLOCK));
        let region = ImageRegion { offset: [8, 0, 0], extent: [8, 8, 1], ..compressed.level(0) };
        assert!(matches!(compressed.geometry(&region, eight), Err(TransferError::Granularity { .. })));
    }

    /// A granularity of 0 is that of a queue which copies nothing but whole levels.
    #[test]
    fn a_queue_of_whole_levels_copies_no_part() {
        let info = vk::ImageCreateInfo::default()
            .format(vk::Format::R8G8B8A8_UNORM)
            .extent(vk::Extent3D { width: 64, height: 8, depth: 1 })
            .mip_levels(1)
            .array_layers(1);
        let image = ImageTarget::new(vk::Image::null(), &info);
        let of =
            |offset, extent| image.geometry(&ImageRegion { offset, extent, ..image.level(0) }, vk::Extent3D::default());
        assert_eq!(of([0, 0, 0], [64, 8, 1]).unwrap().bytes(), 4 * 64 * 8);
        for (offset, extent) in [([0, 0, 0], [32, 8, 1]), ([32, 0, 0], [32, 8, 1]), ([0, 0, 0], [64, 7, 1])] {
            let refused = of(offset, extent);
            assert!(matches!(refused, Err(TransferError::Granularity { granularity: [0, 0, 0], .. })), "{offset:?}");
        }
    }

    /// Vulkan counts offsets by signed numbers.
    #[test]
    fn a_region_ends_within_the_reach_of_offsets() {
        let info = vk::ImageCreateInfo::default()
            .format(vk::Format::R8_UNORM)
            .extent(vk::Extent3D { width: u32::MAX, height: 1, depth: 1 })
            .mip_levels(1)
            .array_layers(1);
        let image = ImageTarget::new(vk::Image::null(), &info);
        let bytes_of =
            |x, width| image.region_bytes(&ImageRegion { offset: [x, 0, 0], extent: [width, 1, 1], ..image.level(0) });
        assert_eq!(bytes_of(1 << 30, (1 << 30) - 1).unwrap(), (1 << 30) - 1);
        for (x, width) in [(1 << 30, 1 << 30), (0, 1 << 31), (1 << 31, 1)] {
            assert!(matches!(bytes_of(x, width), Err(TransferError::TooLarge { .. })), "{width} at {x}");
        }
    }
}
