//! *Policy*: how a region of an image is cut into pieces that fit into staging memory.
//!
//! The bytes of a region lie as `vkCmdCopyBufferToImage` reads them with a row length and an image height of 0: array
//! layer by layer, in each depth slice by slice, in each row by row of texel blocks, with nothing between. So the
//! number of bytes done says where the next piece begins, and a piece is always a run of those bytes:
//!
//! ```text
//!   whole layers, else whole slices of one layer, else whole rows of one slice, else blocks of one row
//! ```
//!
//! Invariants:
//! - G1: every piece begins where the one before ended, and the last one ends with the region.
//! - G2: a piece's offset and extent are multiples of the granularity of the queue family, in blocks, or reach the end
//!   of the region, which was checked against it. What a granularity above 1 keeps together (all of a row, a slice) is
//!   not cut; a granularity of 0 keeps the whole level together.
//!
//! # Source
//! Vulkan specification, "Buffer and Image Addressing"; `VkQueueFamilyProperties::minImageTransferGranularity`.

use ash::vk;

use super::format::TexelBlock;

/// A region of one mip level, in blocks: what is copied, and how it may be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    block: TexelBlock,
    /// Columns, rows and slices of the region, in blocks.
    counts: [u64; 3],
    layers: u64,
    /// How many columns, rows and slices must stay together; at most the count.
    steps: [u64; 3],
    row_bytes: u64,
    slice_bytes: u64,
    layer_bytes: u64,
    bytes: u64,
}

/// A run of a region's bytes that one command copies. Everything is relative to the region, and in texels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) bytes: u64,
    pub(super) offset: [u32; 3],
    pub(super) extent: [u32; 3],
    pub(super) first_layer: u32,
    pub(super) layer_count: u32,
}

impl Geometry {
    /// Describes a region of this extent in texels; `None` where its bytes do not fit into 64 bits, or it is empty.
    pub(super) fn new(block: TexelBlock, extent: vk::Extent3D, layers: u32, granularity: vk::Extent3D) -> Option<Self> {
        let columns = u64::from(extent.width.div_ceil(block.width));
        let counts = [columns, u64::from(extent.height.div_ceil(block.height)), u64::from(extent.depth)];
        let layers = u64::from(layers);
        let row_bytes = columns.checked_mul(u64::from(block.bytes))?;
        let slice_bytes = row_bytes.checked_mul(counts[1])?;
        let layer_bytes = slice_bytes.checked_mul(counts[2])?;
        let bytes = layer_bytes.checked_mul(layers).filter(|&bytes| bytes > 0)?;
        let steps = steps_of(counts, granularity);
        Some(Self { block, counts, layers, steps, row_bytes, slice_bytes, layer_bytes, bytes })
    }

    /// Returns the bytes of the region.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the bytes of the smallest run that may be cut off: what staging memory must be able to hold.
    pub(super) fn unit_bytes(&self) -> u64 {
        let [columns, rows, slices] = self.steps;
        if slices > 1 {
            slices * self.slice_bytes
        } else if rows > 1 {
            rows * self.row_bytes
        } else {
            columns * u64::from(self.block.bytes)
        }
    }

    /// Returns the largest piece that begins `done` bytes into the region and has at most `room` bytes; `None` if the
    /// smallest has more.
    pub(super) fn piece(&self, done: u64, room: u64) -> Option<Piece> {
        let [columns, rows, slices] = self.counts;
        let blocks = done / u64::from(self.block.bytes);
        let (column, row) = (blocks % columns, blocks / columns % rows);
        let (slice, layer) = (blocks / columns / rows % slices, blocks / columns / rows / slices);
        let at = [column, row, slice];
        if at == [0, 0, 0] && room >= self.layer_bytes {
            let count = (room / self.layer_bytes).min(self.layers.checked_sub(layer).filter(|&left| left > 0)?);
            return Some(self.cut(at, self.counts, (layer, count), count * self.layer_bytes));
        }
        if column == 0
            && row == 0
            && let Some(count) = take(room / self.slice_bytes, slices - slice, self.steps[2])
        {
            return Some(self.cut(at, [columns, rows, count], (layer, 1), count * self.slice_bytes));
        }
        if self.steps[2] > 1 {
            return None;
        }
        if column == 0
            && let Some(count) = take(room / self.row_bytes, rows - row, self.steps[1])
        {
            return Some(self.cut(at, [columns, count, 1], (layer, 1), count * self.row_bytes));
        }
        if self.steps[1] > 1 {
            return None;
        }
        let block_bytes = u64::from(self.block.bytes);
        let count = take(room / block_bytes, columns - column, self.steps[0])?;
        Some(self.cut(at, [count, 1, 1], (layer, 1), count * block_bytes))
    }

    /// Makes a piece of `counts` blocks at `at`.
    fn cut(&self, at: [u64; 3], counts: [u64; 3], (layer, layers): (u64, u64), bytes: u64) -> Piece {
        let texels = [u64::from(self.block.width), u64::from(self.block.height), 1];
        let axes = [0, 1, 2];
        Piece {
            bytes,
            offset: axes.map(|axis| narrow(at[axis] * texels[axis])),
            extent: axes.map(|axis| narrow(counts[axis] * texels[axis])),
            first_layer: narrow(layer),
            layer_count: narrow(layers),
        }
    }
}

/// Narrows what came from 32 bits. An extent that ends in the middle of the last block may be rounded up past them; it
/// is cut at the region's end.
fn narrow(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Returns how many of `left` fit where `room` do: all, or a multiple of `step`.
fn take(room: u64, left: u64, step: u64) -> Option<u64> {
    if room >= left {
        return Some(left);
    }
    Some(room / step * step).filter(|&count| count > 0)
}

/// Returns how many blocks of each axis stay together (G2).
fn steps_of(counts: [u64; 3], granularity: vk::Extent3D) -> [u64; 3] {
    let given = [granularity.width, granularity.height, granularity.depth];
    let axes = [0, 1, 2];
    axes.map(|axis| if given[axis] == 0 { counts[axis] } else { u64::from(given[axis]).min(counts[axis]) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ONE: vk::Extent3D = vk::Extent3D { width: 1, height: 1, depth: 1 };

    fn extent(width: u32, height: u32, depth: u32) -> vk::Extent3D {
        vk::Extent3D { width, height, depth }
    }

    fn texel(bytes: u32) -> TexelBlock {
        TexelBlock { width: 1, height: 1, bytes }
    }

    #[test]
    fn a_piece_is_the_largest_whole_thing_that_fits() {
        // 4 x 3 x 2 texels of 4 bytes, 3 layers: rows of 16, slices of 48, layers of 96 bytes.
        let region = Geometry::new(texel(4), extent(4, 3, 2), 3, ONE).unwrap();
        assert_eq!((region.bytes(), region.unit_bytes()), (288, 4));
        let piece = |done, room| region.piece(done, room).map(|piece| (piece.bytes, piece.offset, piece.extent));
        assert_eq!(piece(0, 1000), Some((288, [0, 0, 0], [4, 3, 2])));
        assert_eq!(piece(0, 200), Some((192, [0, 0, 0], [4, 3, 2])));
        assert_eq!(piece(0, 95), Some((48, [0, 0, 0], [4, 3, 1])));
        assert_eq!(piece(48, 95), Some((48, [0, 0, 1], [4, 3, 1])));
        assert_eq!(piece(96, 47), Some((32, [0, 0, 0], [4, 2, 1])));
        assert_eq!(piece(128, 1000), Some((16, [0, 2, 0], [4, 1, 1])));
        assert_eq!(piece(4, 1000), Some((12, [1, 0, 0], [3, 1, 1])));
        assert_eq!(piece(4, 7), Some((4, [1, 0, 0], [1, 1, 1])));
        assert_eq!(piece(4, 3), None);
        assert_eq!(piece(288, 1000), None, "nothing is left");
        assert_eq!(region.piece(192, 1000).map(|piece| (piece.first_layer, piece.layer_count)), Some((2, 1)));
    }

    #[test]
    fn granularity_keeps_together_what_it_must() {
        let whole = Geometry::new(texel(4), extent(8, 8, 2), 2, extent(0, 0, 0)).unwrap();
        assert_eq!((whole.unit_bytes(), whole.piece(0, 511)), (512, None));
        assert_eq!(whole.piece(0, 600).map(|piece| piece.bytes), Some(512));
        let rows = Geometry::new(texel(4), extent(8, 7, 1), 1, extent(4, 4, 1)).unwrap();
        assert_eq!((rows.unit_bytes(), rows.piece(0, 127)), (128, None));
        assert_eq!(rows.piece(0, 200).map(|piece| piece.bytes), Some(128));
        assert_eq!(rows.piece(128, 96).map(|piece| piece.bytes), Some(96), "the rest reaches the end");
        let wide = Geometry::new(texel(4), extent(8, 1, 1), 1, extent(4, 4, 1)).unwrap();
        assert_eq!(wide.piece(0, 31).map(|piece| piece.bytes), Some(16));
    }

    #[test]
    fn extremes_do_not_overflow() {
        assert_eq!(Geometry::new(texel(32), extent(u32::MAX, u32::MAX, 1), 1, ONE), None);
        assert_eq!(Geometry::new(texel(4), extent(0, 1, 1), 1, ONE), None);
        assert_eq!(Geometry::new(texel(4), extent(1, 1, 1), 0, ONE), None);
        let block = TexelBlock { width: 12, height: 12, bytes: 16 };
        let long = Geometry::new(block, extent(u32::MAX, 1, 1), 1, ONE).unwrap();
        let all = long.piece(0, u64::MAX).unwrap();
        assert_eq!((all.bytes, all.extent[0]), (long.bytes(), u32::MAX), "cut at 32 bits");
    }

    proptest! {
        /// G1 and G2: whatever the room, the pieces follow each other, are the cuboids that their bytes say, and end
        /// with the region.
        #[test]
        fn pieces_tile_the_region(
            (width, height, depth, layers) in (1..40_u32, 1..20_u32, 1..6_u32, 1..5_u32),
            (bytes, side) in (prop::sample::select(vec![1_u32, 2, 3, 4, 8, 12, 16]), prop::sample::select(vec![1_u32, 4])),
            granularity in (0..5_u32, 0..5_u32, 0..3_u32),
            rooms in prop::collection::vec(1..3000_u64, 1..20),
        ) {
            let block = TexelBlock { width: side, height: side, bytes };
            let granularity = extent(granularity.0, granularity.1, granularity.2);
            let region = Geometry::new(block, extent(width, height, depth), layers, granularity).unwrap();
            let (mut done, mut at) = (0, 0);
            while done < region.bytes() {
                let room = rooms[at % rooms.len()];
                at += 1;
                let piece = region.piece(done, room).or_else(|| region.piece(done, region.unit_bytes()));
                let piece = piece.expect("a unit always fits");
                prop_assert!(piece.bytes <= room.max(region.unit_bytes()));
                let blocks = u64::from(piece.extent[0] / side) * u64::from(piece.extent[1] / side);
                let cuboid = blocks * u64::from(piece.extent[2]) * u64::from(piece.layer_count) * u64::from(bytes);
                prop_assert_eq!(cuboid, piece.bytes);
                prop_assert_eq!(place(&region, &piece), done);
                done += piece.bytes;
            }
            prop_assert_eq!(done, region.bytes());
        }
    }

    /// Returns how many bytes lie before a piece.
    fn place(region: &Geometry, piece: &Piece) -> u64 {
        let [x, y, z] = piece.offset;
        let columns = u64::from(x / region.block.width) * u64::from(region.block.bytes);
        let rows = u64::from(y / region.block.height) * region.row_bytes;
        u64::from(piece.first_layer) * region.layer_bytes + u64::from(z) * region.slice_bytes + rows + columns
    }
}
