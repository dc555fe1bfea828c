//! Floor 7: staging. Bytes go to buffers and images, and come back.
//!
//! ```text
//!   bytes ──► Upload ──► Uploader::record ──► ring (mapped, intent upload) ──► copies in the caller's command buffer
//!                └── in place, where the target is mapped
//!   bytes ◄── Ticket ◄── Readback::record ──► ring (mapped, intent readback) ◄── copies in the caller's command buffer
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `format` | bytes of a texel block, by format and aspect |
//! | `geometry` | *policy*: how a region is cut into pieces |
//! | `room` | *policy*: take a piece, grow, or tell the caller that the ring is full |
//! | `way` | *policy*: in place or staged |
//! | `points` | batches, and when they have passed |
//! | `target` | what the user names: images, regions, uses |
//! | `request` | what the user asks for: an upload, a download |
//! | `transfer` | the cursor over a target |
//! | `barrier` | barriers around the copies |
//! | `ring` | staging memory |
//! | `grants` | what batches hold of it, and for which buffers |
//! | `uploader`, `readback` | the two directions |
//! | `error` | what can be wrong |
//!
//! What it does not do: it submits nothing and waits for nothing; it does not convert texels or make mip levels.

#![deny(unsafe_code)]

mod barrier;
mod error;
mod format;
mod geometry;
mod grants;
mod points;
#[expect(unsafe_code, reason = "records into the caller's command buffers")]
mod readback;
mod request;
mod ring;
mod room;
mod target;
mod transfer;
#[expect(unsafe_code, reason = "records into the caller's command buffers")]
mod uploader;
mod way;

use ash::vk;

pub use self::error::{TicketError, TransferError};
pub use self::readback::{Readback, Recorded, Ticket};
pub use self::request::{Download, Upload};
use self::ring::{Grant, Ring};
use self::room::Step;
pub use self::target::{ImageRegion, ImageTarget, QueueFamilies, ResourceUse};
use self::transfer::{Limits, PieceCopy, Transfer};
pub use self::uploader::{Progress, Uploader};
pub use self::way::Way;
use crate::device::Properties;
use crate::resource::AllocatorRef;

/// What the staging memory of an [`Uploader`] or a [`Readback`] is to be.
///
/// # Examples
/// ```
/// use freestone::StagingCreateInfo;
/// // 8 MiB, and up to 64 MiB where that is not enough.
/// let info = StagingCreateInfo::new(8 << 20).max_bytes(64 << 20);
/// # let _ = info;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StagingCreateInfo {
    block_bytes: u64,
    max_bytes: u64,
    granularity: vk::Extent3D,
}

impl StagingCreateInfo {
    /// Asks for a ring of so many bytes, which does not grow, for a queue family without wishes about granularity.
    ///
    /// A piece is never larger than the ring: the larger the ring, the fewer the copies and the batches of a large
    /// upload.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let granularity = vk::Extent3D { width: 1, height: 1, depth: 1 };
        Self { block_bytes: bytes, max_bytes: bytes, granularity }
    }

    /// Lets the ring grow up to so many bytes in all, by blocks of its first size: as many as there is room for by
    /// these numbers. The device may have each rounded up, by less than 64 bytes or `nonCoherentAtomSize`.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Says what the queue family's `minImageTransferGranularity` is. Queues with graphics or compute have 1 by 1 by 1.
    #[must_use]
    pub fn granularity(mut self, granularity: vk::Extent3D) -> Self {
        self.granularity = granularity;
        self
    }

    fn limits(&self, properties: &Properties) -> Limits {
        let optimal_offset = properties.optimal_buffer_copy_offset_alignment;
        Limits { granularity: self.granularity, optimal_offset }
    }
}

/// Why nothing more could be recorded, and what makes room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Full {
    /// Bytes that are still to be recorded.
    pub remaining: u64,
    /// Whether something was recorded since the last `submitted`: submit it and call `submitted`.
    pub has_recorded: bool,
    /// The point that passes next: wait for it and call `collect`. `None`: nothing is in flight. What holds the room
    /// then is recorded, and to be submitted first, or is that of tickets to be redeemed (`has_recorded`,
    /// `unread_bytes`).
    pub wait_for: Option<u64>,
    /// Bytes that tickets hold, for a [`Readback`]: redeem those whose points have passed. Those that were dropped
    /// before their points have passed count too. Else 0.
    pub unread_bytes: u64,
}

/// Takes room for the next piece of a transfer; `None` where the ring is full.
///
/// # Errors
/// `Allocation` where the ring may grow and the driver reports what no wait mends; `Granularity`.
fn next_piece<A: AllocatorRef>(
    ring: &mut Ring<A>,
    transfer: &Transfer,
    limits: &Limits,
) -> Result<Option<(PieceCopy, Grant)>, TransferError> {
    let alignment = transfer.alignment(limits);
    let ideal = transfer.piece(limits, ring.capacity())?.map_or(0, |piece| piece.bytes);
    let mut growth = ring.growth();
    loop {
        let piece = transfer.piece(limits, ring.room(alignment))?;
        match room::choose(piece.map_or(0, |piece| piece.bytes), ideal, growth) {
            Step::Take => {
                return Ok(piece.and_then(|piece| ring.take(piece.bytes, alignment).map(|grant| (piece, grant))));
            }
            Step::Grow => growth = ring.grow()?,
            Step::Wait => return Ok(None),
        }
    }
}
