//! What can be wrong with an upload or a readback. Whatever fails, nothing that was done before is lost: a cursor
//! stands where it stood, a ticket is handed back.

use ash::vk;

use super::Ticket;
use crate::allocator::{AccessError, AllocationError};

/// Why an upload or a readback cannot be made, recorded or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// There is nothing to copy: zero bytes, an extent of 0, no layer, or no region.
    #[error("there is nothing to copy: each region needs at least one byte, texel and layer")]
    Empty,
    /// The range ends past the buffer.
    #[error("{len} bytes at offset {offset} do not fit into a buffer of {size} bytes")]
    OutOfBounds {
        /// Offset within the buffer, in bytes.
        offset: u64,
        /// Bytes of the range.
        len: u64,
        /// Bytes of the buffer.
        size: u64,
    },
    /// The bytes given are not those that the regions need. Rows, slices and layers follow each other without a gap.
    #[error("{given} bytes were given, but the regions need {expected}")]
    WrongLength {
        /// Bytes given.
        given: u64,
        /// Bytes that all regions have together.
        expected: u64,
    },
    /// A region has more bytes than 64 bits can count, or ends further out than Vulkan's offsets reach.
    #[error("a region of {extent:?} texels at {offset:?} is larger than Vulkan can name")]
    TooLarge {
        /// Where the region begins.
        offset: [u32; 3],
        /// Its extent.
        extent: [u32; 3],
    },
    /// The image has no such mip level.
    #[error("mip level {level} was named, but the image has {level_count}")]
    NoSuchLevel {
        /// The level named.
        level: u32,
        /// The number of levels.
        level_count: u32,
    },
    /// The image has no such array layers.
    #[error("{count} array layers from {first} on were named, but the image has {layer_count}")]
    NoSuchLayer {
        /// The first layer named.
        first: u32,
        /// How many were named.
        count: u32,
        /// The number of layers.
        layer_count: u32,
    },
    /// The region ends outside its mip level (VUID-vkCmdCopyBufferToImage-imageSubresource-07971, -07972).
    #[error("a region of {extent:?} texels at {offset:?} ends outside a mip level of {level_extent:?}")]
    OutsideLevel {
        /// Where the region begins.
        offset: [u32; 3],
        /// Its extent.
        extent: [u32; 3],
        /// The extent of the level.
        level_extent: [u32; 3],
    },
    /// The region does not consist of whole texel blocks (VUID-vkCmdCopyBufferToImage-dstImage-07274 to -07275 and
    /// -00207 to -00208). It begins at a multiple of the block, and ends at one or at the end of the level.
    #[error("a region of {extent:?} texels at {offset:?} does not consist of whole blocks of {block:?} texels")]
    Unaligned {
        /// Where the region begins.
        offset: [u32; 3],
        /// Its extent.
        extent: [u32; 3],
        /// Width and height of a block.
        block: [u32; 2],
    },
    /// The queue family cannot copy such a part of an image (VUID-vkCmdCopyBufferToImage-imageOffset-07738). Copy whole
    /// levels, or begin and end at multiples of the granularity.
    #[error("a region of {extent:?} texels at {offset:?} does not suit the queue family's granularity {granularity:?}")]
    Granularity {
        /// Where the region begins.
        offset: [u32; 3],
        /// Its extent.
        extent: [u32; 3],
        /// `minImageTransferGranularity`: in blocks for block-compressed formats, else in texels; 0 stands for whole
        /// levels.
        granularity: [u32; 3],
    },
    /// The format has several planes, is unknown here, or has no such aspect; exactly one aspect is copied by a region.
    #[error(
        "the aspect {aspect:?} of the format {format:?} cannot be copied: name one aspect of a format of one plane"
    )]
    UnsupportedFormat {
        /// The format.
        format: vk::Format,
        /// The aspect named.
        aspect: vk::ImageAspectFlags,
    },
    /// The image is multisampled (VUID-vkCmdCopyBufferToImage-dstImage-07973). Resolve it, or draw into it.
    #[error("an image of {samples:?} samples cannot be copied to or from a buffer")]
    Multisampled {
        /// Its samples.
        samples: vk::SampleCountFlags,
    },
    /// The image was not made for this. Create it with the usage.
    #[error("the image was created without the usage {usage:?}")]
    MissingUsage {
        /// The usage that is needed.
        usage: vk::ImageUsageFlags,
    },
    /// An image cannot be copied in the layout that was chosen (VUID-vkCmdCopyBufferToImage-dstImageLayout-01396,
    /// VUID-vkCmdCopyImageToBuffer-srcImageLayout-01397). Choose another, or leave `layout` out.
    #[error("an image cannot be copied in the layout {layout:?}: choose {optimal:?} or GENERAL")]
    CopyLayout {
        /// The layout chosen.
        layout: vk::ImageLayout,
        /// What is chosen if nothing is said.
        optimal: vk::ImageLayout,
    },
    /// The use before a download has no layout, from which the barrier would discard what is to be read. Say by
    /// `ResourceUse::image` which one the image is in.
    #[error("what an image holds is lost if it comes from the layout UNDEFINED: name the one that it is in")]
    LayoutBefore,
    /// The use after the copies has a layout that no image can be brought to
    /// (VUID-VkImageMemoryBarrier-newLayout-01198). Say by `ResourceUse::image` which one it is to be in.
    #[error("an image cannot be brought to the layout {layout:?}: name the one in which it is used after the copies")]
    LayoutAfter {
        /// The layout named, or none.
        layout: vk::ImageLayout,
    },
    /// A ring of no bytes was asked for.
    #[error("a ring of 0 bytes was asked for: the smallest has {least}")]
    RingEmpty {
        /// Bytes of the smallest ring.
        least: u64,
    },
    /// The staging memory cannot hold the smallest piece into which the copy may be cut. Make the ring larger.
    #[error("the ring can hold {available} bytes in one piece, but this copy cannot be cut below {needed}")]
    RingTooSmall {
        /// Bytes of the smallest piece.
        needed: u64,
        /// Bytes that one block of the ring has for it.
        available: u64,
    },
    /// No buffer can be as large as a block of the ring. Ask for less.
    #[error("a ring of {asked} bytes was asked for, but no block of one has more than {max}")]
    RingTooLarge {
        /// Bytes asked for.
        asked: u64,
        /// Bytes of the largest block: of the largest buffer, in whole units of the ring.
        max: u64,
    },
    /// The point is `u64::MAX`, which stands for an idle device and which no work signals.
    #[error("point {} stands for an idle device: give the one that the batch's own work will signal", u64::MAX)]
    IdlePoint,
    /// A batch was submitted with a point below that of the batch before, or that has passed already. Points ascend.
    #[error("point {point} is below {last}, or has passed as that has: points of batches ascend")]
    PointNotAscending {
        /// The point given.
        point: u64,
        /// The highest point that was submitted or has passed.
        last: u64,
    },
    /// Another readback made the ticket.
    #[error("the ticket belongs to another readback")]
    Foreign,
    /// The ticket's batch has not passed yet. Submit it, wait for its point, and say so with `collect`.
    #[error("the bytes are not there yet: {}", describe(*point))]
    NotPassed {
        /// The point of the ticket's batch; `None` if it was not submitted.
        point: Option<u64>,
    },
    /// The transfer was finished already. Make another; rewind it, if what finished it was discarded.
    #[error("the transfer was finished before")]
    Finished,
    /// Staging memory could not be had.
    #[error("staging memory: {0}")]
    Allocation(#[from] AllocationError),
    /// Staging memory, or a target in place, could not be written or read.
    #[error(transparent)]
    Access(#[from] AccessError),
}

/// Says what a ticket waits for.
fn describe(point: Option<u64>) -> String {
    match point {
        Some(point) => format!("collect({point}) was not called"),
        None => "the batch was not submitted".to_owned(),
    }
}

/// A ticket that could not be redeemed, handed back.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct TicketError {
    /// Why.
    #[source]
    pub reason: TransferError,
    /// The ticket, as good as before.
    pub ticket: Ticket,
}
