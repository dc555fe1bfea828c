//! The cursor over what is uploaded or read back: which bytes are done, and where the next piece lies.
//!
//! Invariants:
//! - T1: `done` bytes of the transfer were recorded (or written in place), those before them in order; `begun` is the
//!   first byte of the region that the next piece lies in. A failure leaves both where they were.
//! - T2: `kept` names the batch into which a piece was recorded last, with the cursor as it stood before that batch:
//!   there it goes on if the batch is discarded, since the batches before were submitted.

use ash::vk;

use super::error::TransferError;
use super::points::{Batch, Points};
use super::target::{ImageRegion, ImageTarget, QueueFamilies, ResourceUse};

/// The resource and the parts of it.
#[derive(Clone, Debug)]
pub(super) enum Target {
    Buffer {
        buffer: vk::Buffer,
        offset: u64,
        len: u64,
    },
    Image {
        image: ImageTarget,
        regions: Vec<ImageRegion>,
        /// The subresources that the regions touch, each once: what a barrier names.
        touched: Vec<vk::ImageSubresourceRange>,
        layout: vk::ImageLayout,
        direction: Direction,
    },
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// To the target.
    Upload,
    /// From it.
    Download,
}

/// A target with a cursor, and the barriers around it.
#[derive(Clone, Debug)]
pub(super) struct Transfer {
    pub(super) target: Target,
    pub(super) before: Option<ResourceUse>,
    pub(super) after: Option<ResourceUse>,
    pub(super) families: Option<QueueFamilies>,
    len: u64,
    at: Cursor,
    kept: Option<(Batch, Cursor)>,
    /// The limits and the capacity that its regions were found to suit last.
    suits: Option<(Limits, u64)>,
}

/// How far a transfer has come.
#[derive(Clone, Copy, Debug)]
struct Cursor {
    state: State,
    done: u64,
    begun: u64,
    region_index: usize,
}

/// Which of the commands around the copies are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// None.
    Fresh,
    /// The barrier before.
    Begun,
    /// All.
    Finished,
}

/// What the device's queue and properties ask of pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// `minImageTransferGranularity` of the queue family.
    pub(super) granularity: vk::Extent3D,
    /// `optimalBufferCopyOffsetAlignment`.
    pub(super) optimal_offset: u64,
}

/// What an offset in staging memory must be a multiple of: `odd * power`, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Alignment {
    /// 1, or 3 for formats of three components.
    pub(super) odd: u64,
    /// A power of two.
    pub(super) power: u64,
}

/// A copy of one piece: how many bytes, and where in the target.
#[derive(Clone, Copy, Debug)]
pub(super) struct PieceCopy {
    pub(super) bytes: u64,
    pub(super) place: Place,
}

/// Where a piece lies in its target.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// At an offset in the buffer.
    Buffer(u64),
    /// The region with a buffer offset of 0, which staging memory replaces.
    Image(vk::BufferImageCopy),
}

/// No better alignment than this is heeded: the limit is a hint, and the rings are small. Taste: above every driver's.
const OPTIMAL_OFFSET_MAX: u64 = 4096;

/// Every offset of an image copy is a multiple of this: what depth, stencil, and queues without graphics and compute
/// demand.
///
/// # Source
/// VUID-vkCmdCopyBufferToImage-dstImage-07978 and -commandBuffer-07737.
const OFFSET_UNIT: u64 = 4;

/// Buffers are copied from and to offsets that suit wide loads. Taste.
const BUFFER_ALIGNMENT: u64 = 16;

impl Transfer {
    /// Makes a cursor over a range of a buffer.
    ///
    /// # Errors
    /// `Empty` or `OutOfBounds`.
    pub(super) fn of_buffer(buffer: vk::Buffer, size: u64, offset: u64, len: u64) -> Result<Self, TransferError> {
        if len == 0 {
            return Err(TransferError::Empty);
        }
        if offset.checked_add(len).is_none_or(|end| end > size) {
            return Err(TransferError::OutOfBounds { offset, len, size });
        }
        Ok(Self::new(Target::Buffer { buffer, offset, len }, len))
    }

    /// Makes a cursor over regions of an image.
    ///
    /// # Errors
    /// What is wrong with the first region that cannot be copied; `Empty` if there is none.
    pub(super) fn of_image(
        image: ImageTarget,
        regions: Vec<ImageRegion>,
        direction: Direction,
    ) -> Result<Self, TransferError> {
        let mut len = 0_u64;
        for region in &regions {
            image.check(region, direction.usage())?;
            let too_large = TransferError::TooLarge { offset: region.offset, extent: region.extent };
            len = len.checked_add(image.region_bytes(region)?).ok_or(too_large)?;
        }
        if regions.is_empty() {
            return Err(TransferError::Empty);
        }
        let touched = image.subresources(&regions);
        Ok(Self::new(Target::Image { image, regions, touched, layout: direction.optimal(), direction }, len))
    }

    fn new(target: Target, len: u64) -> Self {
        let at = Cursor { state: State::Fresh, done: 0, begun: 0, region_index: 0 };
        Self { target, before: None, after: None, families: None, len, at, kept: None, suits: None }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn done(&self) -> u64 {
        self.at.done
    }

    pub(super) fn state(&self) -> State {
        self.at.state
    }

    pub(super) fn set_state(&mut self, state: State) {
        self.at.state = state;
    }

    pub(super) fn is_copied(&self) -> bool {
        self.at.done == self.len
    }

    pub(super) fn is_image(&self) -> bool {
        matches!(self.target, Target::Image { .. })
    }

    /// Returns the buffer, where it is one.
    pub(super) fn buffer(&self) -> Option<vk::Buffer> {
        match self.target {
            Target::Buffer { buffer, .. } => Some(buffer),
            Target::Image { .. } => None,
        }
    }

    /// Has the barrier before the copies, one of its own if none was asked for, wait for other copies to the buffer.
    pub(super) fn wait_for_copies(&mut self) {
        let before = self.before.get_or_insert(ResourceUse::undefined());
        before.stages |= vk::PipelineStageFlags::TRANSFER;
        before.access |= vk::AccessFlags::TRANSFER_WRITE;
    }

    /// Sets the layout in which the image is copied.
    pub(super) fn set_layout(&mut self, chosen: vk::ImageLayout) {
        if let Target::Image { layout, .. } = &mut self.target {
            *layout = chosen;
        }
    }

    /// Notes that something is recorded into the current batch from here on (T2).
    pub(super) fn enter(&mut self, points: &Points) {
        if !self.kept.as_ref().is_some_and(|(batch, _)| points.is_current(batch)) {
            self.kept = Some((points.current_batch(), self.at));
        }
    }

    /// Puts the cursor back to where it stood before the batch that it was recorded into last, if that was lost (T2);
    /// tells whether it was.
    pub(super) fn rewind(&mut self, is_lost: impl FnOnce(&Batch) -> bool) -> bool {
        let lost = self.kept.take_if(|(batch, _)| is_lost(batch));
        if let Some((_, at)) = lost {
            self.at = at;
        }
        lost.is_some()
    }

    /// Checks the layouts, that the whole transfer suits the queue, and that `capacity` bytes of room are enough for
    /// each piece. The regions are looked at once: a transfer of many is recorded by as many calls.
    ///
    /// # Errors
    /// `CopyLayout`, `LayoutBefore`, `LayoutAfter`, `Granularity` or `RingTooSmall`.
    pub(super) fn check(&mut self, limits: &Limits, capacity: u64) -> Result<(), TransferError> {
        self.check_layouts()?;
        let asked = Some((*limits, capacity));
        if let Target::Image { image, regions, .. } = &self.target
            && self.suits != asked
        {
            for region in regions {
                let needed = image.geometry(region, limits.granularity)?.unit_bytes();
                if needed > capacity {
                    return Err(TransferError::RingTooSmall { needed, available: capacity });
                }
            }
            self.suits = asked;
        }
        Ok(())
    }

    /// Checks the layouts that an image has before, during and after its copies.
    fn check_layouts(&self) -> Result<(), TransferError> {
        let Target::Image { layout, direction, .. } = self.target else { return Ok(()) };
        let optimal = direction.optimal();
        if ![optimal, vk::ImageLayout::GENERAL, vk::ImageLayout::SHARED_PRESENT_KHR].contains(&layout) {
            return Err(TransferError::CopyLayout { layout, optimal });
        }
        let is_discarded = self.before.is_some_and(|before| before.layout == vk::ImageLayout::UNDEFINED);
        if is_discarded && direction == Direction::Download {
            return Err(TransferError::LayoutBefore);
        }
        match self.after {
            Some(ResourceUse {
                layout: layout @ (vk::ImageLayout::UNDEFINED | vk::ImageLayout::PREINITIALIZED),
                ..
            }) => Err(TransferError::LayoutAfter { layout }),
            _ => Ok(()),
        }
    }

    /// Returns the alignment that the next piece needs.
    pub(super) fn alignment(&self, limits: &Limits) -> Alignment {
        match &self.target {
            Target::Buffer { .. } => buffer_alignment(),
            Target::Image { image, regions, .. } => {
                let aspect = regions.get(self.at.region_index).map(|region| region.aspect);
                image_alignment(aspect.map_or(1, |aspect| image.block_bytes(aspect)), limits)
            }
        }
    }

    /// Returns the next piece of at most `room` bytes; `None` if the smallest has more, or all is done.
    ///
    /// # Errors
    /// `Granularity`, where the region does not suit the queue.
    pub(super) fn piece(&self, limits: &Limits, room: u64) -> Result<Option<PieceCopy>, TransferError> {
        match &self.target {
            Target::Buffer { offset, len, .. } => {
                let bytes = room.min(len - self.at.done);
                Ok((bytes > 0).then_some(PieceCopy { bytes, place: Place::Buffer(offset + self.at.done) }))
            }
            Target::Image { image, regions, .. } => {
                let Some(region) = regions.get(self.at.region_index) else { return Ok(None) };
                let geometry = image.geometry(region, limits.granularity)?;
                let piece = geometry.piece(self.at.done - self.at.begun, room);
                Ok(piece.map(|piece| PieceCopy { bytes: piece.bytes, place: region.place(&piece) }))
            }
        }
    }

    /// Moves the cursor behind a piece that was recorded.
    pub(super) fn advance(&mut self, bytes: u64) {
        let Self { target, at, .. } = self;
        at.done += bytes;
        let Target::Image { image, regions, .. } = target else { return };
        let Some(region) = regions.get(at.region_index) else { return };
        let region_bytes = image.region_bytes(region).unwrap_or(0);
        if at.done - at.begun == region_bytes {
            at.begun = at.done;
            at.region_index += 1;
        }
    }

    /// Moves the cursor behind everything: it was written in place, in no batch.
    pub(super) fn finish(&mut self) {
        (self.at.done, self.at.state) = (self.len, State::Finished);
        self.kept = None;
    }
}

impl Direction {
    /// Returns the usage that an image needs.
    fn usage(self) -> vk::ImageUsageFlags {
        match self {
            Self::Upload => vk::ImageUsageFlags::TRANSFER_DST,
            Self::Download => vk::ImageUsageFlags::TRANSFER_SRC,
        }
    }

    /// Returns the layout in which an image is copied if nothing is said.
    fn optimal(self) -> vk::ImageLayout {
        match self {
            Self::Upload => vk::ImageLayout::TRANSFER_DST_OPTIMAL,
            Self::Download => vk::ImageLayout::TRANSFER_SRC_OPTIMAL,
        }
    }
}

impl ImageRegion {
    /// Returns the copy of a piece of the region.
    fn place(&self, piece: &super::geometry::Piece) -> Place {
        let axes = [0, 1, 2];
        // The last block of a level may reach over its edge: the extent is cut there.
        let offset = axes.map(|axis| self.offset[axis] + piece.offset[axis]);
        let extent = axes.map(|axis| piece.extent[axis].min(self.extent[axis] - piece.offset[axis]));
        let signed = |texels: u32| i32::try_from(texels).unwrap_or(i32::MAX);
        let subresource = vk::ImageSubresourceLayers::default()
            .aspect_mask(self.aspect)
            .mip_level(self.mip_level)
            .base_array_layer(self.base_array_layer + piece.first_layer)
            .layer_count(piece.layer_count);
        Place::Image(
            vk::BufferImageCopy::default()
                .image_subresource(subresource)
                .image_offset(vk::Offset3D { x: signed(offset[0]), y: signed(offset[1]), z: signed(offset[2]) })
                .image_extent(vk::Extent3D { width: extent[0], height: extent[1], depth: extent[2] }),
        )
    }
}

fn buffer_alignment() -> Alignment {
    Alignment { odd: 1, power: BUFFER_ALIGNMENT }
}

/// Returns the least common multiple of the block's bytes, [`OFFSET_UNIT`] and the optimal alignment.
///
/// # Source
/// VUID-vkCmdCopyBufferToImage-dstImage-07975.
fn image_alignment(block_bytes: u64, limits: &Limits) -> Alignment {
    let power = 1 << block_bytes.trailing_zeros().min(63);
    let optimal = limits.optimal_offset.min(OPTIMAL_OFFSET_MAX);
    Alignment { odd: (block_bytes / power).max(1), power: power.max(OFFSET_UNIT).max(optimal) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_multiples_of_block_word_and_optimum() {
        let limits = |optimal_offset| Limits { granularity: vk::Extent3D::default(), optimal_offset };
        for (block, optimal, odd, power) in [
            (1, 1, 1, 4),
            (12, 1, 3, 4),
            (12, 64, 3, 64),
            (3, 1, 3, 4),
            (16, 4, 1, 16),
            (24, 1, 3, 8),
            (8, 1 << 40, 1, 4096),
        ] {
            assert_eq!(image_alignment(block, &limits(optimal)), Alignment { odd, power }, "{block}, {optimal}");
        }
    }

    /// What the user asked to wait for is waited for besides.
    #[test]
    fn who_waits_for_copies_waits_for_their_writes() {
        let buffer = vk::Buffer::null();
        let mut transfer = Transfer::of_buffer(buffer, 100, 0, 100).expect("it fits");
        let copies = (vk::PipelineStageFlags::TRANSFER, vk::AccessFlags::TRANSFER_WRITE);
        for asked in [None, Some((vk::PipelineStageFlags::VERTEX_INPUT, vk::AccessFlags::VERTEX_ATTRIBUTE_READ))] {
            transfer.before = asked.map(|(stages, access)| ResourceUse { stages, access, ..ResourceUse::undefined() });
            transfer.wait_for_copies();
            let before = transfer.before.expect("there is a barrier now");
            let (stages, access) = asked.unwrap_or_default();
            assert_eq!((before.stages, before.access), (stages | copies.0, access | copies.1));
        }
        transfer.finish();
        assert!(transfer.is_copied() && !transfer.is_image());
    }

    const EACH_BLOCK: Limits =
        Limits { granularity: vk::Extent3D { width: 1, height: 1, depth: 1 }, optimal_offset: 1 };

    /// An image of 8 x 8 blocks of 8 bytes, of which those at two edges reach over it.
    fn blocks_over_the_edge() -> Transfer {
        let info = vk::ImageCreateInfo::default()
            .format(vk::Format::BC1_RGB_UNORM_BLOCK)
            .extent(vk::Extent3D { width: 30, height: 30, depth: 1 })
            .mip_levels(1)
            .array_layers(1)
            .usage(vk::ImageUsageFlags::TRANSFER_DST);
        let image = ImageTarget::new(vk::Image::null(), &info);
        Transfer::of_image(image, image.regions().collect(), Direction::Upload).expect("a whole level")
    }

    #[test]
    fn pieces_end_where_the_level_does() {
        let mut transfer = blocks_over_the_edge();
        let mut rows = Vec::new();
        while let Some(piece) = transfer.piece(&EACH_BLOCK, 3 * 64).expect("a block is a piece") {
            let Place::Image(copy) = piece.place else { panic!("of an image: {piece:?}") };
            rows.push((copy.image_offset.y, copy.image_extent.height, copy.image_extent.width));
            transfer.advance(piece.bytes);
        }
        assert_eq!(rows, [(0, 12, 30), (12, 12, 30), (24, 6, 30)]);
        assert!(transfer.is_copied() && transfer.is_image());
    }

    #[test]
    fn room_for_one_block_is_enough() {
        let mut transfer = blocks_over_the_edge();
        assert!(transfer.check(&EACH_BLOCK, 8).is_ok());
        let refused = transfer.check(&EACH_BLOCK, 7);
        assert!(matches!(refused, Err(TransferError::RingTooSmall { needed: 8, available: 7 })), "{refused:?}");
    }

    #[test]
    fn a_range_past_the_end_of_a_buffer_is_refused_even_where_it_overflows() {
        let make = |size, offset, len| Transfer::of_buffer(vk::Buffer::null(), size, offset, len).map(|_| ());
        assert!(make(100, 0, 100).is_ok() && make(u64::MAX, u64::MAX - 1, 1).is_ok());
        assert!(matches!(make(100, 1, 100), Err(TransferError::OutOfBounds { offset: 1, len: 100, size: 100 })));
        assert!(matches!(make(100, u64::MAX, 2), Err(TransferError::OutOfBounds { .. })));
        assert!(matches!(make(100, 100, 0), Err(TransferError::Empty)));
    }
}
