//! Readbacks: the caller's command buffers copy buffers and images into cached host memory, and tickets redeem the
//! bytes.
//!
//! ```text
//!   Download (cursor) ── record ──► ring.take -> copy and barrier to the host recorded -> Ticket ── until done or full
//!   submitted(point), collect(completed)
//!   read(ticket)                    invalidate, copy out, the room is free again
//! ```
//!
//! Invariants:
//! - B1: a ticket is the one owner of its room: the room is given back when the ticket is redeemed or released, and
//!   only after its batch has passed. One that is dropped leaves its room in `lost`, until its batch has passed.
//! - B2: behind every copy a barrier makes the bytes available to the host, so that they can be read once the batch has
//!   passed.

use std::sync::Arc;

use ash::vk;
use bytemuck::{AnyBitPattern, NoUninit};

use super::barrier::{record_after, record_before};
use super::error::{TicketError, TransferError};
use super::points::Points;
use super::request::Download;
use super::ring::{Grant, Ring, RingSettings};
use super::transfer::{Limits, PieceCopy, Place, State, Target};
use super::{Full, StagingCreateInfo, next_piece};
use crate::device::BarrierStages;
use crate::memory_type::Intent;
use crate::resource::AllocatorRef;
use crate::suballocator::RangeKey;
use crate::sync::Mutex;

/// What tickets that were dropped held, with their batches. It is one for each readback, and says whose a ticket is.
type Lost = Mutex<Vec<(u64, RangeKey)>>;

/// How copies read their source.
const ACCESS: vk::AccessFlags = vk::AccessFlags::TRANSFER_READ;

/// What recording a download has come to.
#[derive(Debug)]
#[must_use = "a ticket holds room until it is redeemed"]
pub enum Recorded {
    /// The copy of a part is recorded; record again for the next.
    Part(Ticket),
    /// The copy of the last part is recorded: the download is done.
    Last(Ticket),
    /// There is no room. Nothing is lost: do what it says and record the same download again.
    Full(Full),
}

/// Names bytes that the device is to write. It holds room in the ring until it is redeemed or released. If it is
/// dropped, the bytes are lost, and the readback has the room again when the batch has passed.
#[derive(Debug)]
#[must_use = "a ticket holds room until it is redeemed"]
pub struct Ticket {
    lost: Arc<Lost>,
    is_redeemed: bool,
    batch: u64,
    key: RangeKey,
    region: u32,
    offset_in_block: u64,
    offset: u64,
    len: u64,
}

impl Ticket {
    /// Returns where the bytes lie within the whole download, in bytes.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns how many there are.
    #[expect(clippy::len_without_is_empty, reason = "no ticket is of no bytes")]
    pub fn len(&self) -> u64 {
        self.len
    }
}

impl Drop for Ticket {
    /// Leaves the room to the readback (B1).
    fn drop(&mut self) {
        if !self.is_redeemed {
            self.lost.lock().push((self.batch, self.key));
        }
    }
}

/// Brings bytes of buffers and images to the host, through a ring of cached memory.
///
/// What it records goes into the caller's command buffers; it never submits and never waits. See
/// [`Uploader`](super::Uploader) for batches and points.
///
/// # Examples
/// ```
/// # use freestone::{sim, Allocator, AllocatorCreateInfo};
/// use freestone::{AllocationCreateInfo, Buffer, Download, Readback, Recorded, StagingCreateInfo, ash::vk};
///
/// # let vulkan = sim::SimDevice::new(sim::Profile::noncoherent());
/// # let info = AllocatorCreateInfo::new(vulkan.entry(), vulkan.instance(), vulkan.physical_device(), vulkan.device());
/// # // SAFETY: the objects belong together and outlive the allocator.
/// # let allocator = unsafe { Allocator::new(info) }?;
/// # let device = vulkan.device();
/// # // SAFETY: valid create-infos; the pool goes with the device's instance.
/// # let pool = unsafe { device.create_command_pool(&vk::CommandPoolCreateInfo::default(), None) }?;
/// # let info = vk::CommandBufferAllocateInfo::default().command_pool(pool).command_buffer_count(1);
/// # // SAFETY: as above.
/// # let commands = unsafe { device.allocate_command_buffers(&info) }?[0];
/// let usage = vk::BufferUsageFlags::TRANSFER_SRC | vk::BufferUsageFlags::TRANSFER_DST;
/// let info = vk::BufferCreateInfo::default().size(4096).usage(usage);
/// // SAFETY: the create-info is valid; the queue is idle before anything is dropped.
/// let results = unsafe { Buffer::new(&allocator, &info, &AllocationCreateInfo::gpu_only()) }?;
/// // SAFETY: the queue is idle before the readback is dropped.
/// let mut readback = unsafe { Readback::new(&allocator, &StagingCreateInfo::new(65_536)) }?;
///
/// // SAFETY: the command buffer is not in use.
/// unsafe { device.begin_command_buffer(commands, &vk::CommandBufferBeginInfo::default()) }?;
/// // SAFETY: it is recording; the buffer is alive.
/// unsafe { device.cmd_fill_buffer(commands, results.handle(), 0, 4096, 0x0101_0101) };
/// # // (a barrier from the fill to the copy belongs here; the download can bring it)
/// let mut download = Download::of_buffer(results.handle(), 4096, 1024, 512)?.before(
///     freestone::ResourceUse::buffer(vk::PipelineStageFlags::TRANSFER, vk::AccessFlags::TRANSFER_WRITE),
/// );
/// // SAFETY: it is recording, and the buffer outlives the work.
/// let Recorded::Last(ticket) = (unsafe { readback.record(commands, &mut download) }?) else { panic!("it fits") };
/// // SAFETY: it is recording.
/// unsafe { device.end_command_buffer(commands) }?;
/// let submits = [vk::SubmitInfo::default().command_buffers(std::slice::from_ref(&commands))];
/// // SAFETY: what was recorded is valid.
/// unsafe { device.queue_submit(vulkan.queue(), &submits, vk::Fence::null()) }?;
/// readback.submitted(1)?;
///
/// let mut words = [0_u32; 128];
/// let early = readback.read(ticket, &mut words).unwrap_err();
/// // SAFETY: nothing else uses the queue.
/// unsafe { device.queue_wait_idle(vulkan.queue()) }?;
/// // SAFETY: the queue is idle.
/// unsafe { readback.collect(1) };
/// readback.read(early.ticket, &mut words)?;
/// assert_eq!(words, [0x0101_0101; 128]);
/// # drop(readback);
/// # drop(results);
/// # unsafe { device.destroy_command_pool(pool, None) };
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Readback<A: AllocatorRef> {
    ring: Ring<A>,
    points: Points,
    limits: Limits,
    lost: Arc<Lost>,
}

impl<A: AllocatorRef> Readback<A> {
    /// Makes a readback with one block of memory, in the intent `readback`.
    ///
    /// # Errors
    /// `RingEmpty`, `RingTooLarge`, or `Allocation`.
    ///
    /// # Safety
    /// 1. The device is done with all that was recorded through the readback before it is dropped.
    /// 2. The device outlives it.
    pub unsafe fn new(allocator: A, info: &StagingCreateInfo) -> Result<Self, TransferError> {
        let settings = RingSettings {
            block_bytes: info.block_bytes,
            max_bytes: info.max_bytes,
            usage: vk::BufferUsageFlags::TRANSFER_DST,
            intent: Intent::Readback,
            name: "staging of a readback",
        };
        let limits = info.limits(allocator.properties());
        // SAFETY: the caller's duties 1 and 2.
        let ring = unsafe { Ring::new(allocator, settings) }?;
        Ok(Self { ring, points: Points::default(), limits, lost: Arc::new(Mutex::new(Vec::new())) })
    }

    /// Records the copy of the next part of a download, as large as there is room for.
    ///
    /// # Errors
    /// - `Granularity` or `RingTooSmall`: the queue family or the ring cannot serve this download. Nothing was
    ///   recorded.
    /// - `CopyLayout`, `LayoutBefore` or `LayoutAfter`: an image cannot be in that layout. Nothing was recorded.
    /// - `Finished`, if it is done.
    /// - `Allocation`, where the ring may grow and the driver reports something else than that memory is short. Nothing
    ///   was recorded by this call.
    ///
    /// # Safety
    /// The duties of [`Uploader::record`](super::Uploader::record), for a source made with `TRANSFER_SRC`, all of whose
    /// bytes in the range were written.
    pub unsafe fn record(
        &mut self,
        commands: vk::CommandBuffer,
        download: &mut Download,
    ) -> Result<Recorded, TransferError> {
        self.take_back_lost();
        let transfer = &mut download.transfer;
        if transfer.state() == State::Finished {
            return Err(TransferError::Finished);
        }
        transfer.check(&self.limits, self.ring.capacity())?;
        let Some((piece, grant)) = next_piece(&mut self.ring, transfer, &self.limits)? else {
            return Ok(Recorded::Full(self.full(transfer.len() - transfer.done())));
        };
        let ticket = self.ticket(&grant, transfer.done());
        transfer.enter(&self.points);
        self.points.note_recording();
        if transfer.state() == State::Fresh {
            // SAFETY: the caller's duties.
            unsafe { record_before(self.ring.allocator().device(), commands, transfer, ACCESS) };
            transfer.set_state(State::Begun);
        }
        // SAFETY: the caller's duties; the piece lies inside the source and its grant.
        unsafe { self.record_copy(commands, &transfer.target, &piece, &grant) };
        transfer.advance(piece.bytes);
        if !transfer.is_copied() {
            return Ok(Recorded::Part(ticket));
        }
        // SAFETY: the caller's duties.
        unsafe { record_after(self.ring.allocator().device(), commands, transfer, ACCESS) };
        transfer.set_state(State::Finished);
        Ok(Recorded::Last(ticket))
    }

    /// Makes a batch of what was recorded since the last call; see [`Uploader::submitted`](super::Uploader::submitted).
    ///
    /// # Errors
    /// `PointNotAscending`, if the point is below the last one or has passed; `IdlePoint`, if it is `u64::MAX`. Nothing
    /// has changed then.
    pub fn submitted(&mut self, point: u64) -> Result<(), TransferError> {
        self.points.submitted(point)
    }

    /// Notes that a point has passed: the tickets of its batches can be redeemed. `u64::MAX` stands for an idle device,
    /// as in [`Uploader::collect`](super::Uploader::collect).
    ///
    /// # Safety
    /// The device has executed every batch whose point is `completed` or below: all that was recorded for it, in
    /// command buffers that were submitted, on sources that were written.
    pub unsafe fn collect(&mut self, completed: u64) {
        self.points.collect(completed);
        self.take_back_lost();
    }

    /// Copies the bytes of a ticket out, as values, and gives its room back.
    ///
    /// # Errors
    /// `Foreign`, `NotPassed`, `WrongLength` if the values have not as many bytes as [`Ticket::len`] says, or `Access`
    /// where the driver fails to invalidate. The ticket is handed back; with the error it can be dropped, and the bytes
    /// are lost.
    pub fn read<T: AnyBitPattern + NoUninit>(&mut self, ticket: Ticket, values: &mut [T]) -> Result<(), TicketError> {
        match self.try_read(&ticket, bytemuck::cast_slice_mut(values)) {
            Ok(()) => {
                self.redeem(ticket);
                Ok(())
            }
            Err(reason) => Err(TicketError { reason, ticket }),
        }
    }

    /// Gives the room of a ticket back without reading it. A download whose tickets are released because they are never
    /// submitted goes on once it was [rewound](Self::rewind).
    ///
    /// # Errors
    /// `Foreign`; the ticket is handed back.
    ///
    /// # Safety
    /// The copy has run, or never will: its command buffer was reset, or is never submitted.
    pub unsafe fn release(&mut self, ticket: Ticket) -> Result<(), TicketError> {
        if !self.owns(&ticket) {
            return Err(TicketError { reason: TransferError::Foreign, ticket });
        }
        self.redeem(ticket);
        Ok(())
    }

    /// Puts a download back to where the last submitted batch left it: what was recorded since is never submitted, and
    /// its tickets were released. It is called before the next [`submitted`](Self::submitted), which takes what was
    /// recorded for submitted: later, no download is put back.
    ///
    /// It goes on from there, and the barrier before it is recorded again only if that was never submitted either. One
    /// of which nothing was recorded since is left as it is. The result tells whether the download was put back.
    pub fn rewind(&self, download: &mut Download) -> bool {
        download.transfer.rewind(|batch| self.points.is_current(batch))
    }

    /// Gives back the blocks by which the ring has grown and that are empty; returns their bytes.
    pub fn trim(&mut self) -> u64 {
        self.ring.trim()
    }

    /// Returns the bytes of the ring.
    pub fn ring_bytes(&self) -> u64 {
        self.ring.bytes()
    }

    /// Returns the bytes of the ring that tickets hold.
    pub fn used_bytes(&self) -> u64 {
        self.ring.used_bytes()
    }

    fn owns(&self, ticket: &Ticket) -> bool {
        Arc::ptr_eq(&ticket.lost, &self.lost)
    }

    /// Takes the room of a ticket of its own back.
    fn redeem(&mut self, mut ticket: Ticket) {
        ticket.is_redeemed = true;
        self.ring.give_back(ticket.key);
    }

    /// Takes the room back that dropped tickets left, where their batches have passed (B1).
    fn take_back_lost(&mut self) {
        let Self { ring, points, lost, .. } = self;
        lost.lock().retain(|&(batch, key)| {
            let has_passed = points.has_passed(batch);
            if has_passed {
                ring.give_back(key);
            }
            !has_passed
        });
    }

    #[expect(unsafe_code, reason = "reads what the device wrote")]
    fn try_read(&self, ticket: &Ticket, bytes: &mut [u8]) -> Result<(), TransferError> {
        if !self.owns(ticket) {
            return Err(TransferError::Foreign);
        }
        if !self.points.has_passed(ticket.batch) {
            return Err(TransferError::NotPassed { point: self.points.point_of(ticket.batch) });
        }
        let given = bytes.len() as u64;
        if given != ticket.len {
            return Err(TransferError::WrongLength { given, expected: ticket.len });
        }
        // SAFETY: the batch has passed (checked above; the caller of `collect` vouches for it), so the copy has written
        // every byte of the ticket, and the barrier behind it made them available (B2).
        unsafe { self.ring.read(ticket.region, ticket.offset_in_block, bytes) }
    }

    fn ticket(&self, grant: &Grant, offset: u64) -> Ticket {
        Ticket {
            lost: Arc::clone(&self.lost),
            is_redeemed: false,
            batch: self.points.current(),
            key: grant.key,
            region: grant.region,
            offset_in_block: grant.offset,
            offset,
            len: grant.bytes,
        }
    }

    fn full(&self, remaining: u64) -> Full {
        let (has_recorded, wait_for) = (self.points.has_recorded(), self.points.next_point());
        Full { remaining, has_recorded, wait_for, unread_bytes: self.ring.used_bytes() }
    }

    /// Records the copy of one piece, and the barrier that makes it available to the host (B2).
    ///
    /// # Safety
    /// 1. The duties of [`record`](Self::record).
    /// 2. The piece lies inside the source, and `grant` has room for it.
    unsafe fn record_copy(&self, commands: vk::CommandBuffer, source: &Target, piece: &PieceCopy, grant: &Grant) {
        let device = self.ring.allocator().device();
        match (source, piece.place) {
            (Target::Buffer { buffer, .. }, Place::Buffer(offset)) => {
                let region = vk::BufferCopy { src_offset: offset, dst_offset: grant.offset, size: piece.bytes };
                // SAFETY: duties 1 and 2; the ring's buffer is alive as long as the grant.
                unsafe { device.record_copy_buffer(commands, *buffer, grant.buffer, region) };
            }
            (Target::Image { image, layout, .. }, Place::Image(region)) => {
                let (source, region) = ((image.image, *layout), region.buffer_offset(grant.offset));
                // SAFETY: as above; the alignment of the grant is the format's.
                unsafe { device.record_copy_image_to_buffer(commands, source, grant.buffer, region) };
            }
            _ => debug_assert!(false, "a piece is of its source's kind"),
        }
        let to_host = vk::BufferMemoryBarrier::default()
            .src_access_mask(vk::AccessFlags::TRANSFER_WRITE)
            .dst_access_mask(vk::AccessFlags::HOST_READ)
            .src_queue_family_index(vk::QUEUE_FAMILY_IGNORED)
            .dst_queue_family_index(vk::QUEUE_FAMILY_IGNORED)
            .buffer(grant.buffer)
            .offset(grant.offset)
            .size(grant.bytes);
        let stages = BarrierStages { before: vk::PipelineStageFlags::TRANSFER, after: vk::PipelineStageFlags::HOST };
        // SAFETY: duty 1; the barrier names a range of the ring's own buffer.
        unsafe { device.record_buffer_barrier(commands, stages, &to_host) };
    }
}
