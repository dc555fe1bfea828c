//! Uploads: bytes go into staging memory and are copied to their targets by the caller's command buffers, or are
//! written in place.
//!
//! ```text
//!   Upload (cursor) ── record ──► ring.take -> write, flush -> copy recorded -> cursor moves ── until done or full
//!   submitted(point)              what was recorded is a batch
//!   collect(completed)            the room of batches that have passed is free again
//! ```
//!
//! Invariants:
//! - U1: the cursor moves by a piece exactly when the piece was written, flushed and recorded; a failure before that
//!   gives the piece's room back.
//! - U2: a write in place overtakes no copy of this uploader: what goes to a buffer handle to which copies were
//!   recorded and not collected is staged, behind a barrier.

use ash::vk;

use super::barrier::{record_acquire, record_after, record_before};
use super::error::TransferError;
use super::grants::{Granted, Grants};
use super::points::{Batch, Points};
use super::request::{Upload, checked, next_bytes};
use super::ring::{Grant, Ring, RingSettings};
use super::transfer::{Limits, PieceCopy, Place, State, Target};
use super::way::{self, Way, WayInput};
use super::{Full, StagingCreateInfo, next_piece};
use crate::allocator::Allocation;
use crate::memory_type::Intent;
use crate::resource::{AllocatorRef, Buffer};

/// What recording an upload has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a full ring has to be emptied before the upload can go on"]
pub enum Progress {
    /// Every byte is recorded or written. The target has them when the batch has run; at once, if in place.
    Done(Way),
    /// The ring has no room for the rest. Nothing is lost: do what it says and record the same upload again.
    Full(Full),
}

/// Brings bytes to buffers and images, through a ring of staging memory.
///
/// What it records goes into the caller's command buffers; it never submits and never waits. One uploader serves one
/// queue: batches run in the order in which they are submitted. A ring that does not grow asks the driver for no
/// memory.
///
/// # Examples
/// ```
/// # use freestone::{sim, Allocator, AllocatorCreateInfo};
/// use freestone::{AllocationCreateInfo, Buffer, Progress, StagingCreateInfo, Upload, Uploader, Way, ash::vk};
///
/// # let vulkan = sim::SimDevice::new(sim::Profile::discrete_rebar());
/// # let info = AllocatorCreateInfo::new(vulkan.entry(), vulkan.instance(), vulkan.physical_device(), vulkan.device());
/// # // SAFETY: the objects belong together and outlive the allocator.
/// # let allocator = unsafe { Allocator::new(info) }?;
/// # let device = vulkan.device();
/// # // SAFETY: valid create-infos; the pool goes with the device's instance.
/// # let pool = unsafe { device.create_command_pool(&vk::CommandPoolCreateInfo::default(), None) }?;
/// # let info = vk::CommandBufferAllocateInfo::default().command_pool(pool).command_buffer_count(1);
/// # // SAFETY: as above.
/// # let commands = unsafe { device.allocate_command_buffers(&info) }?[0];
/// let usage = vk::BufferUsageFlags::TRANSFER_DST | vk::BufferUsageFlags::VERTEX_BUFFER;
/// let info = vk::BufferCreateInfo::default().size(100_000).usage(usage);
/// // SAFETY: the create-info is valid; the queue is idle before anything is dropped.
/// let vertices = unsafe { Buffer::new(&allocator, &info, &AllocationCreateInfo::gpu_only()) }?;
/// // SAFETY: the queue is idle before the uploader is dropped.
/// let mut uploader = unsafe { Uploader::new(&allocator, &StagingCreateInfo::new(65_536)) }?;
///
/// let mut upload = Upload::to_buffer(vertices.handle(), 100_000, 0, vec![7; 100_000])?;
/// let mut point = 0;
/// loop {
///     // SAFETY: the command buffer is not in use.
///     unsafe { device.begin_command_buffer(commands, &vk::CommandBufferBeginInfo::default()) }?;
///     // SAFETY: it is recording, and the buffer outlives the work.
///     let progress = unsafe { uploader.record(commands, &mut upload) }?;
///     // SAFETY: it is recording.
///     unsafe { device.end_command_buffer(commands) }?;
///     let submits = [vk::SubmitInfo::default().command_buffers(std::slice::from_ref(&commands))];
///     // SAFETY: what was recorded is valid.
///     unsafe { device.queue_submit(vulkan.queue(), &submits, vk::Fence::null()) }?;
///     point += 1;
///     uploader.submitted(point)?;
///     // Here one would wait for a fence or a timeline semaphore, later and only if need be.
///     unsafe { device.queue_wait_idle(vulkan.queue()) }?;
///     // SAFETY: the queue is idle.
///     unsafe { uploader.collect(point) };
///     match progress {
///         Progress::Done(way) => break assert_eq!(way, Way::Staged),
///         Progress::Full(full) => assert!(full.has_recorded),
///     }
/// }
/// assert_eq!(point, 2);
/// # drop(uploader);
/// # drop(vertices);
/// # unsafe { device.destroy_command_pool(pool, None) };
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Uploader<A: AllocatorRef> {
    ring: Ring<A>,
    points: Points,
    grants: Grants,
    limits: Limits,
}

/// How copies write to their target.
const ACCESS: vk::AccessFlags = vk::AccessFlags::TRANSFER_WRITE;

impl<A: AllocatorRef> Uploader<A> {
    /// Makes an uploader with one block of staging memory, in the intent `upload`.
    ///
    /// # Errors
    /// `RingEmpty`, `RingTooLarge`, or `Allocation`.
    ///
    /// # Safety
    /// 1. The device is done with all that was recorded through the uploader before it is dropped.
    /// 2. The device outlives it.
    pub unsafe fn new(allocator: A, info: &StagingCreateInfo) -> Result<Self, TransferError> {
        let settings = RingSettings {
            block_bytes: info.block_bytes,
            max_bytes: info.max_bytes,
            usage: vk::BufferUsageFlags::TRANSFER_SRC,
            intent: Intent::Upload,
            name: "staging of an uploader",
        };
        let limits = info.limits(allocator.properties());
        // SAFETY: the caller's duties 1 and 2.
        let ring = unsafe { Ring::new(allocator, settings) }?;
        Ok(Self { ring, points: Points::default(), grants: Grants::default(), limits })
    }

    /// Records copies for as much of an upload as the ring has room for. What was recorded of it before and
    /// [discarded](Self::discard_recorded) is recorded again.
    ///
    /// # Errors
    /// - `Granularity` or `RingTooSmall`: the queue family or the ring cannot serve this upload. Nothing was recorded.
    /// - `CopyLayout` or `LayoutAfter`: an image cannot be in that layout. Nothing was recorded.
    /// - `Finished`, if it is done.
    /// - `WrongLength`, if the bytes are no longer those that the upload was made of.
    /// - `Access`, where the driver fails to flush: the pieces before are recorded, and the upload can be recorded
    ///   again.
    /// - `Allocation`, where the ring may grow and the driver reports something else than that memory is short: as for
    ///   `Access`, the pieces before are recorded.
    ///
    /// # Safety
    /// 1. `commands` is recording outside a render pass, belongs to the allocator's device, is used by no other thread,
    ///    and is submitted to a queue of the family whose granularity was given; an upload stays with one queue, and
    ///    goes on with another uploader only when what was recorded of it was submitted.
    /// 2. The target is alive and bound until the commands have run, and was made with `TRANSFER_DST`. A buffer is as
    ///    large as was said, an image as its create-info says.
    /// 3. When the commands run, the target is used as `before` says, or, where nothing was said, is ready for copies
    ///    and in the layout of the copies. Nothing else uses the range until `after`, or a barrier of the caller's.
    ///    Copies of depth or stencil need a queue with graphics (VUID-vkCmdCopyBufferToImage-commandBuffer-07739).
    /// 4. The queue family supports the stages of `before` and `after` (VUID-vkCmdPipelineBarrier-srcStageMask-06461,
    ///    -dstStageMask-06462), and each use has accesses of its stages only (-pBufferMemoryBarriers-02817 and -02818,
    ///    -pImageMemoryBarriers-02819 and -02820). An upload that is [handed over](Upload::hand_over) is handed over by
    ///    this family (-srcQueueFamilyIndex-10388); its use after is the other family's, and so are the stages.
    pub unsafe fn record<D: AsRef<[u8]>>(
        &mut self,
        commands: vk::CommandBuffer,
        upload: &mut Upload<D>,
    ) -> Result<Progress, TransferError> {
        self.rewind(upload);
        if upload.is_done() {
            return Err(TransferError::Finished);
        }
        let Upload { transfer, data } = upload;
        let bytes = checked(data.as_ref(), transfer)?;
        transfer.check(&self.limits, self.ring.capacity())?;
        while !transfer.is_copied() {
            let Some((piece, grant)) = next_piece(&mut self.ring, transfer, &self.limits)? else {
                return Ok(Progress::Full(self.full(transfer.len() - transfer.done())));
            };
            if let Err(error) = self.ring.write(&grant, next_bytes(bytes, transfer, &piece)) {
                self.ring.give_back(grant.key);
                return Err(error);
            }
            transfer.enter(&self.points);
            let target = transfer.buffer();
            self.grants.push(Granted { batch: self.points.current(), key: grant.key, target });
            self.points.note_recording();
            if transfer.state() == State::Fresh {
                // SAFETY: the caller's duties 1 to 3.
                unsafe { record_before(self.ring.allocator().device(), commands, transfer, ACCESS) };
                transfer.set_state(State::Begun);
            }
            // SAFETY: the caller's duties 1 to 3; the piece lies inside the target and its grant.
            unsafe { self.record_copy(commands, &transfer.target, &piece, &grant) };
            transfer.advance(piece.bytes);
        }
        // SAFETY: the caller's duties 1 to 3.
        unsafe { record_after(self.ring.allocator().device(), commands, transfer, ACCESS) };
        transfer.set_state(State::Finished);
        Ok(Progress::Done(Way::Staged))
    }

    /// Writes an upload in place where its target is mapped, and records it otherwise; [`Progress::Done`] says which.
    ///
    /// On unified memory and with a resizable BAR, `gpu_only` memory may be mapped, and `stream` memory is. In place,
    /// nothing is recorded, no barrier either: what is submitted from then on sees the bytes. While copies to the same
    /// buffer handle are recorded here or in flight, until [`collect`](Self::collect) takes their room back, it is
    /// staged behind a barrier that waits for them, so that it comes after them on every device.
    ///
    /// # Errors
    /// As [`record`](Self::record), and `Access` where the range ends outside the memory or the driver fails to flush.
    ///
    /// # Safety
    /// 1. The duties of [`record`](Self::record).
    /// 2. The target is a buffer bound at the start of `memory`, or an image.
    /// 3. Nothing that was submitted, or that is recorded and may be submitted, uses the range any more: in place, the
    ///    bytes change now. Copies that this uploader itself has recorded to the same buffer handle and not collected
    ///    may; those to an image or another buffer in the same memory it does not know, and they may not. In memory
    ///    that is not coherent the range is rounded to whole atoms, and the device has written nothing else in them
    ///    since the host last invalidated it.
    pub unsafe fn record_or_write<D: AsRef<[u8]>>(
        &mut self,
        commands: vk::CommandBuffer,
        upload: &mut Upload<D>,
        memory: &mut Allocation,
    ) -> Result<Progress, TransferError> {
        self.rewind(upload);
        if upload.is_done() {
            return Err(TransferError::Finished);
        }
        let has_copies = upload.transfer.buffer().is_some_and(|buffer| self.grants.has_copies_to(buffer));
        if has_copies {
            upload.transfer.wait_for_copies();
        }
        let input = WayInput {
            is_mapped: memory.mapped_ptr().is_some(),
            is_image: upload.transfer.is_image(),
            changes_family: upload.transfer.families.is_some(),
            has_begun: upload.transfer.state() != State::Fresh,
            has_copies,
        };
        match (way::choose(input), &upload.transfer.target) {
            (Way::InPlace, Target::Buffer { offset, .. }) => {
                let bytes = checked(upload.data.as_ref(), &upload.transfer)?;
                self.ring.allocator().write(memory, *offset, bytes)?;
                upload.transfer.finish();
                Ok(Progress::Done(Way::InPlace))
            }
            // SAFETY: duty 1.
            _ => unsafe { self.record(commands, upload) },
        }
    }

    /// Does the same for a buffer that owns its memory.
    ///
    /// # Errors
    /// As [`record_or_write`](Self::record_or_write).
    ///
    /// # Safety
    /// 1. Duties 1 and 3 of [`record_or_write`](Self::record_or_write).
    /// 2. The target is `buffer`.
    pub unsafe fn record_or_write_owned<D: AsRef<[u8]>, B: AllocatorRef>(
        &mut self,
        commands: vk::CommandBuffer,
        upload: &mut Upload<D>,
        buffer: &mut Buffer<B>,
    ) -> Result<Progress, TransferError> {
        // SAFETY: the caller's duties; an owned buffer is bound at the start of its memory.
        unsafe { self.record_or_write(commands, upload, buffer.allocation_mut()) }
    }

    /// Records the other half of [`Upload::hand_over`], on the queue family that takes the target over; tells whether
    /// there is one. An upload that was written in place has none.
    ///
    /// What precedes an acquisition on its queue is not named by its barrier: of the source stages the specification
    /// takes no notice. So a wait at the stages of the next use, such as `FRAGMENT_SHADER`, would hold those back and
    /// not the acquisition with its change of layout.
    ///
    /// # Safety
    /// 1. `commands` is recording outside a render pass, on a queue of the family that the target goes to, and runs
    ///    after the release: a semaphore that the release's submission signals is waited for at the stage
    ///    `ALL_COMMANDS` (`pWaitDstStageMask`, or `stageMask` of a `VkSemaphoreSubmitInfo`).
    /// 2. The target is alive until the commands have run. The upload is done and this is called once for it.
    /// 3. The family supports the stages of the use after, which has accesses of those stages only, as duty 4 of
    ///    [`record`](Self::record) says it.
    ///
    /// # Source
    /// Vulkan specification, "Queue Family Ownership Transfer".
    pub unsafe fn record_acquire<D: AsRef<[u8]>>(&self, commands: vk::CommandBuffer, upload: &Upload<D>) -> bool {
        // SAFETY: the caller's duties.
        unsafe { record_acquire(self.ring.allocator().device(), commands, &upload.transfer, ACCESS) }
    }

    /// Makes a batch of what was recorded since the last call: it has passed when `point` has, the value of a fence's
    /// count or a timeline semaphore. Nothing recorded makes no batch.
    ///
    /// # Errors
    /// `PointNotAscending`, if the point is below the last one or has passed; `IdlePoint`, if it is `u64::MAX`. Nothing
    /// has changed then.
    pub fn submitted(&mut self, point: u64) -> Result<(), TransferError> {
        self.points.submitted(point)
    }

    /// Takes the room of all batches up to a point back. `u64::MAX` stands for an idle device: all that were submitted
    /// so far have passed, and later ones go on from the highest point as ever.
    ///
    /// # Safety
    /// The device is done with every batch whose point is `completed` or below.
    pub unsafe fn collect(&mut self, completed: u64) {
        self.points.collect(completed);
        while let Some(key) = self.grants.pop_oldest(|batch| self.points.has_passed(batch)) {
            self.ring.give_back(key);
        }
    }

    /// Takes the room of what was recorded since the last [`submitted`](Self::submitted) back. The uploads concerned go
    /// on from what was submitted of them when they are recorded again, or [rewound](Self::rewind) to see how far they
    /// are.
    ///
    /// # Safety
    /// The command buffers into which it was recorded are never submitted, or reset before they are.
    pub unsafe fn discard_recorded(&mut self) {
        while let Some(key) = self.grants.pop_newest_of(self.points.current()) {
            self.ring.give_back(key);
        }
        self.points.discard();
    }

    /// Puts an upload back to where the last submitted batch left it, if what was recorded of it since was
    /// [discarded](Self::discard_recorded); tells whether it was. It may be called at any time before the upload is
    /// recorded again, whatever was submitted in between.
    ///
    /// It goes on from there: what was submitted of it stays, and the barrier before it is recorded again only if that
    /// was discarded too. One of which nothing was discarded is left as it is, and so is what was written in place.
    pub fn rewind<D: AsRef<[u8]>>(&self, upload: &mut Upload<D>) -> bool {
        upload.transfer.rewind(Batch::is_discarded)
    }

    /// Gives back the blocks by which the ring has grown and that are empty; returns their bytes.
    pub fn trim(&mut self) -> u64 {
        self.ring.trim()
    }

    /// Returns the bytes of staging memory.
    pub fn ring_bytes(&self) -> u64 {
        self.ring.bytes()
    }

    /// Returns the bytes of staging memory that batches hold.
    pub fn used_bytes(&self) -> u64 {
        self.ring.used_bytes()
    }

    fn full(&self, remaining: u64) -> Full {
        let (has_recorded, wait_for) = (self.points.has_recorded(), self.points.next_point());
        Full { remaining, has_recorded, wait_for, unread_bytes: 0 }
    }

    /// Records the copy of one piece.
    ///
    /// # Safety
    /// 1. The duties of [`record`](Self::record).
    /// 2. The piece lies inside the target, and `grant` holds its bytes.
    unsafe fn record_copy(&self, commands: vk::CommandBuffer, target: &Target, piece: &PieceCopy, grant: &Grant) {
        let device = self.ring.allocator().device();
        match (target, piece.place) {
            (Target::Buffer { buffer, .. }, Place::Buffer(offset)) => {
                let region = vk::BufferCopy { src_offset: grant.offset, dst_offset: offset, size: piece.bytes };
                // SAFETY: duties 1 and 2; the ring's buffer is alive as long as the grant.
                unsafe { device.record_copy_buffer(commands, grant.buffer, *buffer, region) };
            }
            (Target::Image { image, layout, .. }, Place::Image(region)) => {
                let (target, region) = ((image.image, *layout), region.buffer_offset(grant.offset));
                // SAFETY: as above; the alignment of the grant is the format's.
                unsafe { device.record_copy_buffer_to_image(commands, grant.buffer, target, region) };
            }
            _ => debug_assert!(false, "a piece is of its target's kind"),
        }
    }
}
