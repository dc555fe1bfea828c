//! How many bytes a texel block of a format has in a buffer, for the formats that can be copied.
//!
//! Multi-planar formats are not in the table: their planes have extents of their own. Depth and stencil lie in a buffer
//! aspect by aspect, each packed in its own way: 24 bits of depth take 4 bytes, stencil takes 1.
//!
//! # Source
//! Vulkan specification, table "Compatible formats" (block sizes and extents), and "Copying Data Between Buffers and
//! Images" (packing of depth and stencil).

use ash::vk::{Format, ImageAspectFlags as Aspect};

/// Extent in texels and size in bytes of one texel block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TexelBlock {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) bytes: u32,
}

impl TexelBlock {
    /// Returns whether the format is block-compressed. Those of 4:2:2 are not: their blocks, of one row, are texels
    /// that share components.
    pub(super) fn is_compressed(self) -> bool {
        self.height > 1
    }
}

/// (first format, last format, bytes), for formats of one texel a block. Their numbers are consecutive in between.
const TEXELS: [(Format, Format, u32); 29] = [
    (Format::R4G4_UNORM_PACK8, Format::R4G4_UNORM_PACK8, 1),
    (Format::R4G4B4A4_UNORM_PACK16, Format::A1R5G5B5_UNORM_PACK16, 2),
    (Format::R8_UNORM, Format::R8_SRGB, 1),
    (Format::R8G8_UNORM, Format::R8G8_SRGB, 2),
    (Format::R8G8B8_UNORM, Format::B8G8R8_SRGB, 3),
    (Format::R8G8B8A8_UNORM, Format::A2B10G10R10_SINT_PACK32, 4),
    (Format::R16_UNORM, Format::R16_SFLOAT, 2),
    (Format::R16G16_UNORM, Format::R16G16_SFLOAT, 4),
    (Format::R16G16B16_UNORM, Format::R16G16B16_SFLOAT, 6),
    (Format::R16G16B16A16_UNORM, Format::R16G16B16A16_SFLOAT, 8),
    (Format::R32_UINT, Format::R32_SFLOAT, 4),
    (Format::R32G32_UINT, Format::R32G32_SFLOAT, 8),
    (Format::R32G32B32_UINT, Format::R32G32B32_SFLOAT, 12),
    (Format::R32G32B32A32_UINT, Format::R32G32B32A32_SFLOAT, 16),
    (Format::R64_UINT, Format::R64_SFLOAT, 8),
    (Format::R64G64_UINT, Format::R64G64_SFLOAT, 16),
    (Format::R64G64B64_UINT, Format::R64G64B64_SFLOAT, 24),
    (Format::R64G64B64A64_UINT, Format::R64G64B64A64_SFLOAT, 32),
    (Format::B10G11R11_UFLOAT_PACK32, Format::E5B9G9R9_UFLOAT_PACK32, 4),
    (Format::R10X6_UNORM_PACK16, Format::R10X6_UNORM_PACK16, 2),
    (Format::R10X6G10X6_UNORM_2PACK16, Format::R10X6G10X6_UNORM_2PACK16, 4),
    (Format::R10X6G10X6B10X6A10X6_UNORM_4PACK16, Format::R10X6G10X6B10X6A10X6_UNORM_4PACK16, 8),
    (Format::R12X4_UNORM_PACK16, Format::R12X4_UNORM_PACK16, 2),
    (Format::R12X4G12X4_UNORM_2PACK16, Format::R12X4G12X4_UNORM_2PACK16, 4),
    (Format::R12X4G12X4B12X4A12X4_UNORM_4PACK16, Format::R12X4G12X4B12X4A12X4_UNORM_4PACK16, 8),
    (Format::A4R4G4B4_UNORM_PACK16, Format::A4B4G4R4_UNORM_PACK16, 2),
    (Format::A1B5G5R5_UNORM_PACK16_KHR, Format::A1B5G5R5_UNORM_PACK16_KHR, 2),
    (Format::A8_UNORM_KHR, Format::A8_UNORM_KHR, 1),
    (Format::R16G16_S10_5_NV, Format::R16G16_S10_5_NV, 4),
];

/// (first format, last format, width, height, bytes), for formats of more texels a block.
const BLOCKS: [(Format, Format, u32, u32, u32); 12] = [
    (Format::BC1_RGB_UNORM_BLOCK, Format::BC1_RGBA_SRGB_BLOCK, 4, 4, 8),
    (Format::BC2_UNORM_BLOCK, Format::BC3_SRGB_BLOCK, 4, 4, 16),
    (Format::BC4_UNORM_BLOCK, Format::BC4_SNORM_BLOCK, 4, 4, 8),
    (Format::BC5_UNORM_BLOCK, Format::BC7_SRGB_BLOCK, 4, 4, 16),
    (Format::ETC2_R8G8B8_UNORM_BLOCK, Format::ETC2_R8G8B8A1_SRGB_BLOCK, 4, 4, 8),
    (Format::ETC2_R8G8B8A8_UNORM_BLOCK, Format::ETC2_R8G8B8A8_SRGB_BLOCK, 4, 4, 16),
    (Format::EAC_R11_UNORM_BLOCK, Format::EAC_R11_SNORM_BLOCK, 4, 4, 8),
    (Format::EAC_R11G11_UNORM_BLOCK, Format::EAC_R11G11_SNORM_BLOCK, 4, 4, 16),
    (Format::G8B8G8R8_422_UNORM, Format::B8G8R8G8_422_UNORM, 2, 1, 4),
    (Format::G10X6B10X6G10X6R10X6_422_UNORM_4PACK16, Format::B10X6G10X6R10X6G10X6_422_UNORM_4PACK16, 2, 1, 8),
    (Format::G12X4B12X4G12X4R12X4_422_UNORM_4PACK16, Format::B12X4G12X4R12X4G12X4_422_UNORM_4PACK16, 2, 1, 8),
    (Format::G16B16G16R16_422_UNORM, Format::B16G16R16G16_422_UNORM, 2, 1, 8),
];

/// Block extents of the ASTC formats, from the 4 by 4 one on; 16 bytes each.
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

/// Returns the aspects of a format; none for one that cannot be copied here.
pub(super) fn aspects_of(format: Format) -> Aspect {
    match format {
        Format::D16_UNORM | Format::X8_D24_UNORM_PACK32 | Format::D32_SFLOAT => Aspect::DEPTH,
        Format::S8_UINT => Aspect::STENCIL,
        Format::D16_UNORM_S8_UINT | Format::D24_UNORM_S8_UINT | Format::D32_SFLOAT_S8_UINT => {
            Aspect::DEPTH | Aspect::STENCIL
        }
        _ if color_block(format).is_some() => Aspect::COLOR,
        _ => Aspect::empty(),
    }
}

/// Returns the texel block of one aspect of a format, as it lies in a buffer; `None` where there is no such aspect, or
/// the format cannot be copied here.
pub(super) fn texel_block(format: Format, aspect: Aspect) -> Option<TexelBlock> {
    let texel = |bytes| Some(TexelBlock { width: 1, height: 1, bytes });
    match (format, aspect) {
        (Format::D16_UNORM | Format::D16_UNORM_S8_UINT, Aspect::DEPTH) => texel(2),
        (
            Format::X8_D24_UNORM_PACK32 | Format::D24_UNORM_S8_UINT | Format::D32_SFLOAT | Format::D32_SFLOAT_S8_UINT,
            Aspect::DEPTH,
        ) => texel(4),
        (_, Aspect::STENCIL) if aspects_of(format).contains(Aspect::STENCIL) => texel(1),
        (_, Aspect::COLOR) => color_block(format),
        _ => None,
    }
}

fn color_block(format: Format) -> Option<TexelBlock> {
    let raw = format.as_raw();
    let is_among = |first: Format, last: Format| (first.as_raw()..=last.as_raw()).contains(&raw);
    if let Some(&(_, _, bytes)) = TEXELS.iter().find(|row| is_among(row.0, row.1)) {
        return Some(TexelBlock { width: 1, height: 1, bytes });
    }
    if let Some(&(_, _, width, height, bytes)) = BLOCKS.iter().find(|row| is_among(row.0, row.1)) {
        return Some(TexelBlock { width, height, bytes });
    }
    let astc = if is_among(Format::ASTC_4X4_UNORM_BLOCK, Format::ASTC_12X12_SRGB_BLOCK) {
        (raw - Format::ASTC_4X4_UNORM_BLOCK.as_raw()) / 2
    } else if is_among(Format::ASTC_4X4_SFLOAT_BLOCK, Format::ASTC_12X12_SFLOAT_BLOCK) {
        raw - Format::ASTC_4X4_SFLOAT_BLOCK.as_raw()
    } else {
        return None;
    };
    let &(width, height) = ASTC.get(usize::try_from(astc).ok()?)?;
    Some(TexelBlock { width, height, bytes: 16 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(format: Format, aspect: Aspect) -> Option<(u32, u32, u32)> {
        texel_block(format, aspect).map(|block| (block.width, block.height, block.bytes))
    }

    #[test]
    fn blocks_are_those_of_the_specification() {
        for (format, expected) in [
            (Format::R8_UNORM, (1, 1, 1)),
            (Format::A1R5G5B5_UNORM_PACK16, (1, 1, 2)),
            (Format::B8G8R8_SRGB, (1, 1, 3)),
            (Format::A2B10G10R10_SINT_PACK32, (1, 1, 4)),
            (Format::R16G16B16_SFLOAT, (1, 1, 6)),
            (Format::R32G32B32_SFLOAT, (1, 1, 12)),
            (Format::R64G64B64A64_SFLOAT, (1, 1, 32)),
            (Format::E5B9G9R9_UFLOAT_PACK32, (1, 1, 4)),
            (Format::BC1_RGBA_UNORM_BLOCK, (4, 4, 8)),
            (Format::BC3_UNORM_BLOCK, (4, 4, 16)),
            (Format::BC4_SNORM_BLOCK, (4, 4, 8)),
            (Format::BC6H_UFLOAT_BLOCK, (4, 4, 16)),
            (Format::ETC2_R8G8B8A1_UNORM_BLOCK, (4, 4, 8)),
            (Format::ETC2_R8G8B8A8_SRGB_BLOCK, (4, 4, 16)),
            (Format::EAC_R11G11_SNORM_BLOCK, (4, 4, 16)),
            (Format::ASTC_5X4_SRGB_BLOCK, (5, 4, 16)),
            (Format::ASTC_10X8_UNORM_BLOCK, (10, 8, 16)),
            (Format::ASTC_12X12_SFLOAT_BLOCK, (12, 12, 16)),
            (Format::B8G8R8G8_422_UNORM, (2, 1, 4)),
        ] {
            assert_eq!(of(format, Aspect::COLOR), Some(expected), "{format:?}");
        }
    }

    #[test]
    fn depth_and_stencil_lie_aspect_by_aspect() {
        assert_eq!(of(Format::D16_UNORM_S8_UINT, Aspect::DEPTH), Some((1, 1, 2)));
        assert_eq!(of(Format::D24_UNORM_S8_UINT, Aspect::DEPTH), Some((1, 1, 4)));
        assert_eq!(of(Format::D32_SFLOAT_S8_UINT, Aspect::STENCIL), Some((1, 1, 1)));
        assert_eq!(of(Format::D32_SFLOAT, Aspect::STENCIL), None);
        assert_eq!(of(Format::S8_UINT, Aspect::DEPTH), None);
        assert_eq!(of(Format::D32_SFLOAT, Aspect::COLOR), None);
        assert_eq!(of(Format::R8_UNORM, Aspect::DEPTH), None);
        assert_eq!(of(Format::D24_UNORM_S8_UINT, Aspect::DEPTH | Aspect::STENCIL), None, "one aspect at a time");
    }

    #[test]
    fn a_format_has_the_aspects_of_its_name() {
        for (format, expected) in [
            (Format::D16_UNORM, Aspect::DEPTH),
            (Format::X8_D24_UNORM_PACK32, Aspect::DEPTH),
            (Format::D32_SFLOAT, Aspect::DEPTH),
            (Format::S8_UINT, Aspect::STENCIL),
            (Format::D16_UNORM_S8_UINT, Aspect::DEPTH | Aspect::STENCIL),
            (Format::D24_UNORM_S8_UINT, Aspect::DEPTH | Aspect::STENCIL),
            (Format::D32_SFLOAT_S8_UINT, Aspect::DEPTH | Aspect::STENCIL),
            (Format::R8G8B8A8_UNORM, Aspect::COLOR),
            (Format::ASTC_6X6_SRGB_BLOCK, Aspect::COLOR),
        ] {
            assert_eq!(aspects_of(format), expected, "{format:?}");
        }
    }

    #[test]
    fn what_has_several_planes_or_is_unknown_is_refused() {
        for format in [
            Format::UNDEFINED,
            Format::G8_B8_R8_3PLANE_420_UNORM,
            Format::G8_B8R8_2PLANE_420_UNORM,
            Format::G16_B16_R16_3PLANE_444_UNORM,
            Format::from_raw(i32::MAX),
            Format::from_raw(-1),
        ] {
            assert_eq!(aspects_of(format), Aspect::empty(), "{format:?}");
            assert_eq!(of(format, Aspect::COLOR), None, "{format:?}");
        }
    }
}
