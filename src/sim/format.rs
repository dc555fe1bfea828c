//! Sizes of texel blocks, and where the subresources of an image lie.
//!
//! Every image, tiled or not, is laid out alike: mip level by mip level, in each level array layer by layer, in each
//! layer row by row. That is enough to copy bytes in and out.
//!
//! # Source
//!
//! Table "Compatible formats" of the Vulkan specification.

use ash::vk;

/// Extent and size of one texel block of a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TexelBlock {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) bytes: u32,
}

/// (first format, last format, bytes of a texel), for formats of one texel a block.
const SIMPLE: [(i32, i32, u32); 32] = [
    (1, 1, 1),
    (2, 8, 2),
    (9, 15, 1),
    (16, 22, 2),
    (23, 36, 3),
    (37, 69, 4),
    (70, 76, 2),
    (77, 83, 4),
    (84, 90, 6),
    (91, 97, 8),
    (98, 100, 4),
    (101, 103, 8),
    (104, 106, 12),
    (107, 109, 16),
    (110, 112, 8),
    (113, 115, 16),
    (116, 118, 24),
    (119, 121, 32),
    (122, 123, 4),
    (124, 124, 2),
    (125, 126, 4),
    (127, 127, 1),
    (128, 128, 4),
    (129, 129, 4),
    (130, 130, 8),
    // 4:2:2 and 4:2:0 of 8 bits are rounded up to 2 bytes a texel, of 10, 12 and 16 bits to 4.
    (1_000_156_000, 1_000_156_006, 2),
    (1_000_156_007, 1_000_156_007, 2),
    (1_000_156_008, 1_000_156_008, 4),
    (1_000_156_009, 1_000_156_009, 8),
    (1_000_156_010, 1_000_156_033, 4),
    (1_000_330_000, 1_000_330_003, 4),
    (1_000_340_000, 1_000_340_001, 2),
];

/// (first format, last format, bytes), for formats of 4 by 4 texels a block.
const FOUR_BY_FOUR: [(i32, i32, u32); 8] = [
    (131, 134, 8),
    (135, 138, 16),
    (139, 140, 8),
    (141, 146, 16),
    (147, 150, 8),
    (151, 152, 16),
    (153, 154, 8),
    (155, 156, 16),
];

/// Block extents of the ASTC formats, two formats (linear, sRGB) each, from format 157 on.
const ASTC: [(u32, u32); 14] = [
    (4, 4),
    (5, 4),
    (5, 5),
    (6, 5),
    (6, 6),
    (8, 5),
    (8, 6),
    (8, 8),
    (10, 5),
    (10, 6),
    (10, 8),
    (10, 10),
    (12, 10),
    (12, 12),
];

/// Returns the texel block of a format, or `None` for an unknown format.
pub(super) fn texel_block(format: vk::Format) -> Option<TexelBlock> {
    let raw = format.as_raw();
    let among = |table: &[(i32, i32, u32)]| table.iter().find(|row| (row.0..=row.1).contains(&raw)).map(|row| row.2);
    if let Some(bytes) = among(&SIMPLE) {
        return Some(TexelBlock { width: 1, height: 1, bytes });
    }
    if let Some(bytes) = among(&FOUR_BY_FOUR) {
        return Some(TexelBlock { width: 4, height: 4, bytes });
    }
    let astc = usize::try_from(raw.checked_sub(157)?).ok()? / 2;
    ASTC.get(astc).map(|(width, height)| TexelBlock { width: *width, height: *height, bytes: 16 })
}

/// Returns the texel of one aspect of a format with depth and stencil, as it lies in a buffer.
fn aspect_texel(format: vk::Format, aspect: vk::ImageAspectFlags) -> Option<TexelBlock> {
    let bytes = match (format, aspect) {
        (vk::Format::D16_UNORM_S8_UINT, vk::ImageAspectFlags::DEPTH) => 2,
        (vk::Format::D24_UNORM_S8_UINT | vk::Format::D32_SFLOAT_S8_UINT, vk::ImageAspectFlags::DEPTH) => 4,
        (_, vk::ImageAspectFlags::STENCIL) if (128..=130).contains(&format.as_raw()) => 1,
        _ => return None,
    };
    Some(TexelBlock { width: 1, height: 1, bytes })
}

/// Tells whether the format holds depth or stencil.
pub(super) fn is_depth_stencil(format: vk::Format) -> bool {
    (124..=130).contains(&format.as_raw())
}

/// Tells whether the format has one aspect in one plane.
pub(super) fn is_plain(format: vk::Format) -> bool {
    (1..=184).contains(&format.as_raw()) && !(128..=130).contains(&format.as_raw())
}

/// Tells whether a texel is one word of 32 bits, integer or floating-point.
pub(super) fn is_word(format: vk::Format) -> bool {
    [vk::Format::R32_UINT, vk::Format::R32_SINT, vk::Format::R32_SFLOAT].contains(&format)
}

/// What an image looks like in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ImageShape {
    pub(super) format: vk::Format,
    pub(super) extent: vk::Extent3D,
    pub(super) mip_levels: u32,
    pub(super) array_layers: u32,
    pub(super) samples: u32,
    pub(super) block: TexelBlock,
    /// One aspect in one plane, so that its texels can be copied as they lie.
    pub(super) is_plain: bool,
    /// A texel is one word of 32 bits, so that a clear needs no conversion.
    pub(super) is_word: bool,
    pub(super) is_depth_stencil: bool,
    /// Rows start at multiples of this many bytes.
    pub(super) row_alignment: u64,
}

/// Where one subresource lies, in bytes from the start of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subresource {
    pub(super) offset: u64,
    pub(super) size: u64,
    pub(super) row_pitch: u64,
    pub(super) depth_pitch: u64,
}

impl ImageShape {
    /// Returns the shape with the texels that a copy of one aspect has in a buffer; `None` for a plane of several.
    pub(super) fn of_aspect(self, aspect: vk::ImageAspectFlags) -> Option<Self> {
        if self.is_plain {
            return Some(self);
        }
        aspect_texel(self.format, aspect).map(|block| Self { block, ..self })
    }

    /// Returns where a subresource lies; `None` if the image has no such one or is too large for 64 bits.
    pub(super) fn subresource(&self, mip_level: u32, array_layer: u32) -> Option<Subresource> {
        if mip_level >= self.mip_levels || array_layer >= self.array_layers {
            return None;
        }
        let mut offset = 0_u64;
        for level in 0..mip_level {
            let (_, _, size) = self.level(level)?;
            offset = offset.checked_add(size.checked_mul(u64::from(self.array_layers))?)?;
        }
        let (row_pitch, depth_pitch, size) = self.level(mip_level)?;
        offset = offset.checked_add(size.checked_mul(u64::from(array_layer))?)?;
        Some(Subresource { offset, size, row_pitch, depth_pitch })
    }

    /// Returns the bytes of the whole image; `None` if they do not fit into 64 bits.
    pub(super) fn size(&self) -> Option<u64> {
        let last = self.subresource(self.mip_levels.checked_sub(1)?, self.array_layers.checked_sub(1)?)?;
        last.offset.checked_add(last.size)
    }

    /// Returns the extent of a mip level, in texels.
    pub(super) fn level_extent(&self, level: u32) -> vk::Extent3D {
        let part = |length: u32| length.checked_shr(level).unwrap_or(0).max(1);
        vk::Extent3D {
            width: part(self.extent.width),
            height: part(self.extent.height),
            depth: part(self.extent.depth),
        }
    }

    /// Returns the row pitch, the depth pitch and the size of one layer of a mip level.
    fn level(&self, level: u32) -> Option<(u64, u64, u64)> {
        let extent = self.level_extent(level);
        let columns = u64::from(extent.width.div_ceil(self.block.width)) * u64::from(self.samples);
        let row_pitch =
            columns.checked_mul(u64::from(self.block.bytes))?.checked_next_multiple_of(self.row_alignment)?;
        let depth_pitch = row_pitch.checked_mul(u64::from(extent.height.div_ceil(self.block.height)))?;
        Some((row_pitch, depth_pitch, depth_pitch.checked_mul(u64::from(extent.depth))?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_known_formats() {
        let of = |format| texel_block(format).map(|block| (block.width, block.height, block.bytes));
        assert_eq!(of(vk::Format::R8G8B8A8_UNORM), Some((1, 1, 4)));
        assert_eq!(of(vk::Format::B10G11R11_UFLOAT_PACK32), Some((1, 1, 4)));
        assert_eq!(of(vk::Format::R32G32B32A32_SFLOAT), Some((1, 1, 16)));
        assert_eq!(of(vk::Format::D32_SFLOAT), Some((1, 1, 4)));
        assert_eq!(of(vk::Format::BC1_RGB_UNORM_BLOCK), Some((4, 4, 8)));
        assert_eq!(of(vk::Format::BC7_SRGB_BLOCK), Some((4, 4, 16)));
        assert_eq!(of(vk::Format::ASTC_12X12_SRGB_BLOCK), Some((12, 12, 16)));
        assert_eq!(of(vk::Format::UNDEFINED), None);
        assert_eq!(of(vk::Format::from_raw(185)), None);
        assert_eq!([i32::MIN, -1, i32::MAX].map(|raw| of(vk::Format::from_raw(raw))), [None; 3]);
    }

    #[test]
    fn subresources_follow_each_other() {
        let block = TexelBlock { width: 1, height: 1, bytes: 4 };
        let extent = vk::Extent3D { width: 4, height: 4, depth: 1 };
        let shape = ImageShape {
            format: vk::Format::R8G8B8A8_UNORM,
            extent,
            mip_levels: 3,
            array_layers: 2,
            samples: 1,
            block,
            is_plain: true,
            is_word: false,
            is_depth_stencil: false,
            row_alignment: 1,
        };
        let mut end = 0;
        for level in 0..3 {
            for layer in 0..2 {
                let part = shape.subresource(level, layer).unwrap();
                assert_eq!(part.offset, end);
                end += part.size;
            }
        }
        assert_eq!(shape.size(), Some(end));
        assert_eq!(end, 2 * 4 * (16 + 4 + 1));
        assert_eq!(shape.subresource(3, 0), None);
    }
}
