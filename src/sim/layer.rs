//! One array layer of a copy between a buffer and an image: where its rows lie in both.

use super::format::{ImageShape, Subresource};
use super::function::Function;
use super::object::DeviceObject;
use ash::vk;

/// Records what is wrong with a region, whatever it is of; tells whether nothing is.
pub(super) fn judge_region(device: &DeviceObject, function: Function, region: &vk::BufferImageCopy) -> bool {
    let vk::Extent3D { width, height, depth } = region.image_extent;
    let fits = |given: u32, needed: u32| given == 0 || given >= needed;
    let (row, lines) = (region.buffer_row_length, region.buffer_image_height);
    let layers = region.image_subresource.layer_count;
    #[rustfmt::skip]
    let checks = [
        (fits(row, width), "VUID-VkBufferImageCopy-bufferRowLength-09101", "a row in the buffer is shorter"),
        (fits(lines, height), "VUID-VkBufferImageCopy-bufferImageHeight-09102", "a slice in the buffer has fewer rows"),
        (width > 0, "VUID-VkBufferImageCopy-imageExtent-06659", "the width is zero"),
        (height > 0, "VUID-VkBufferImageCopy-imageExtent-06660", "the height is zero"),
        (depth > 0, "VUID-VkBufferImageCopy-imageExtent-06661", "the depth is zero"),
        (layers > 0, "VUID-VkImageSubresourceLayers-layerCount-01700", "there is no array layer"),
    ];
    device.judge(function, &checks, || format!("{region:?}"))
}

/// One array layer of a copied region, in rows of texel blocks. All figures but the counts are bytes.
pub(super) struct Layer {
    /// The image has one aspect in one plane.
    pub(super) is_plain: bool,
    pub(super) is_inside_image: bool,
    pub(super) buffer_start: u64,
    pub(super) buffer_row: u64,
    pub(super) buffer_slice: u64,
    pub(super) image_start: u64,
    pub(super) image_row: u64,
    pub(super) image_slice: u64,
    pub(super) row_bytes: u64,
    pub(super) rows: u64,
    pub(super) slices: u64,
}

impl Layer {
    /// Reads one layer of a region.
    pub(super) fn new(shape: &ImageShape, part: Subresource, region: &vk::BufferImageCopy, layer: u32) -> Self {
        let block = shape.block;
        let (offset, extent) = (region.image_offset, region.image_extent);
        let level = shape.level_extent(region.image_subresource.mip_level);
        let fits = |start: i32, length: u32, total: u32| {
            u32::try_from(start).is_ok_and(|start| start.checked_add(length).is_some_and(|end| end <= total))
        };
        let columns = |texels: u32| u64::from(texels.div_ceil(block.width));
        let lines = |texels: u32| u64::from(texels.div_ceil(block.height));
        let start = |texels: i32| u32::try_from(texels).unwrap_or(0);
        let or = |given: u32, extent: u32| if given == 0 { extent } else { given };
        let block_bytes = u64::from(block.bytes);
        let buffer_row = columns(or(region.buffer_row_length, extent.width)) * block_bytes;
        let buffer_slice = lines(or(region.buffer_image_height, extent.height)) * buffer_row;
        let slices = u64::from(extent.depth);
        Self {
            is_plain: shape.is_plain,
            is_inside_image: fits(offset.x, extent.width, level.width)
                && fits(offset.y, extent.height, level.height)
                && fits(offset.z, extent.depth, level.depth),
            buffer_start: region
                .buffer_offset
                .saturating_add(u64::from(layer).saturating_mul(buffer_slice.saturating_mul(slices))),
            buffer_row,
            buffer_slice,
            image_start: part.offset
                + u64::from(start(offset.z)) * part.depth_pitch
                + u64::from(start(offset.y) / block.height) * part.row_pitch
                + u64::from(start(offset.x) / block.width) * block_bytes,
            image_row: part.row_pitch,
            image_slice: part.depth_pitch,
            row_bytes: columns(extent.width) * block_bytes,
            rows: lines(extent.height),
            slices,
        }
    }

    /// Returns the end of the layer's bytes in the buffer; `None` if there are none or too many for 64 bits.
    pub(super) fn buffer_end(&self) -> Option<u64> {
        let slices = self.slices.checked_sub(1)?.checked_mul(self.buffer_slice)?;
        let rows = self.rows.checked_sub(1)?.checked_mul(self.buffer_row)?;
        self.buffer_start.checked_add(slices)?.checked_add(rows)?.checked_add(self.row_bytes)
    }
}
