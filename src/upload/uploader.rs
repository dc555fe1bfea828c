//! Uploads: bytes go into staging memory and are copied to their targets by the caller's command buffers, or are written
//! in place.
//!
//! ```text
//!   Upload (cursor) ── record ──► ring.take -> write, flush -> copy recorded -> cursor moves ── until done or full
//!   submitted(point)              what was recorded is a batch
//!   collect(completed)            the room of batches that have passed is free again
//! ```
//!
//! Invariants:
//! - U1: the cursor moves by a piece exactly when the piece was written, flushed and recorded; a failure before that gives
//!   the piece's room back.
//! - U2: `grants` holds every range that is taken, in the order of batches.

use std::collections::VecDeque;

use ash::vk;

use super::barrier::{record_acquire, record_after, record_before};
use super::error::TransferError;
use super::points::Points;
use super::ring::{Grant, Ring, RingSettings};
use super::target::{ImageRegion, ImageTarget, QueueFamilies, ResourceUse};
use super::transfer::{Limits, PieceCopy, Place, State, Target, Transfer};
use super::way::{self, Way, WayInput};
use super::{Full, StagingCreateInfo, next_piece};
use crate::allocator::Allocation;
use crate::memory_type::Intent;
use crate::resource::AllocatorRef;
use crate::suballocator::RangeKey;

/// Bytes on their way to a buffer or an image, and how far they have come.
///
/// `D` holds the bytes: a slice, a `Vec<u8>`, an `Arc<[u8]>`; they must not change before the upload is done. An upload
/// that the ring cannot take at once goes on where it stopped, at the next [`Uploader::record`].
#[derive(Clone, Debug)]
#[must_use = "an upload does nothing until an uploader records it"]
pub struct Upload<D> {
    pub(super) transfer: Transfer,
    data: D,
}

/// What recording an upload has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a full ring has to be emptied before the upload can go on"]
pub enum Progress {
    /// Every byte is recorded or written. The target has them when the batch has run; at once, if in place.
    Done(Way),
    /// The ring has no room for the rest. Nothing is lost: do what it says and record the same upload again.
    Full(Full),
}

impl<D: AsRef<[u8]>> Upload<D> {
    /// Brings bytes to a range of a buffer of `size` bytes.
    ///
    /// # Errors
    /// `Empty` or `OutOfBounds`.
    pub fn to_buffer(buffer: vk::Buffer, size: u64, offset: u64, data: D) -> Result<Self, TransferError> {
        let transfer = Transfer::of_buffer(buffer, size, offset, data.as_ref().len() as u64)?;
        Ok(Self { transfer, data })
    }

    /// Brings bytes to regions of an image: those of the first region first, each tightly packed.
    ///
    /// Regions must not overlap: their copies are not ordered. `image.regions()` names all levels and layers.
    ///
    /// # Errors
    /// `WrongLength` if the bytes are not those that the regions need, or what is wrong with a region: `Empty`, `TooLarge`,
    /// `NoSuchLevel`, `NoSuchLayer`, `OutsideLevel`, `Unaligned`, `UnsupportedFormat`, `Multisampled`, `MissingUsage`.
    pub fn to_image(
        image: ImageTarget,
        regions: impl IntoIterator<Item = ImageRegion>,
        data: D,
    ) -> Result<Self, TransferError> {
        let regions = regions.into_iter().collect();
        let transfer = Transfer::of_image(image, regions, vk::ImageUsageFlags::TRANSFER_DST)?;
        let upload = Self { transfer, data };
        upload.bytes()?;
        Ok(upload)
    }

    /// Has a barrier recorded before the first copy: what has used the target is done with it then, and the image is
    /// brought from that layout to the one in which it is copied.
    #[must_use = "the upload is handed back"]
    pub fn before(mut self, before: ResourceUse) -> Self {
        self.transfer.before = Some(before);
        self
    }

    /// Has a barrier recorded behind the last copy: what uses the target next sees the bytes, and finds the image in that
    /// layout.
    #[must_use = "the upload is handed back"]
    pub fn after(mut self, after: ResourceUse) -> Self {
        self.transfer.after = Some(after);
        self
    }

    /// Has the target handed to another queue family, in the barrier behind the last copy. The other family records
    /// [`Uploader::record_acquire`], in work that waits for this one by a semaphore.
    #[must_use = "the upload is handed back"]
    pub fn hand_over(mut self, after: ResourceUse, families: QueueFamilies) -> Self {
        self.transfer.families = Some(families).filter(|families| families.from != families.to);
        self.after(after)
    }

    /// Chooses the layout in which the image is copied: `TRANSFER_DST_OPTIMAL` (if nothing is said) or `GENERAL`.
    #[must_use = "the upload is handed back"]
    pub fn layout(mut self, layout: vk::ImageLayout) -> Self {
        self.transfer.set_layout(layout);
        self
    }

    /// Returns the bytes in all.
    pub fn total_bytes(&self) -> u64 {
        self.transfer.len()
    }

    /// Returns the bytes that are recorded or written.
    pub fn done_bytes(&self) -> u64 {
        self.transfer.done()
    }

    /// Tells whether everything is recorded or written.
    pub fn is_done(&self) -> bool {
        self.transfer.state == State::Finished
    }

    /// Puts the cursor back to the start, for an upload whose command buffer was never submitted.
    pub fn restart(&mut self) {
        self.transfer.restart();
    }

    /// Gives the bytes back.
    pub fn into_data(self) -> D {
        self.data
    }

    /// Returns the bytes.
    ///
    /// # Errors
    /// `WrongLength` where they are not as many as the target needs.
    fn bytes(&self) -> Result<&[u8], TransferError> {
        let (bytes, expected) = (self.data.as_ref(), self.transfer.len());
        let given = bytes.len() as u64;
        if given == expected { Ok(bytes) } else { Err(TransferError::WrongLength { given, expected }) }
    }

    /// Returns the bytes of a piece at the cursor.
    fn next_bytes(&self, count: u64) -> Result<&[u8], TransferError> {
        let bytes = self.bytes()?;
        let start = usize::try_from(self.transfer.done()).unwrap_or(usize::MAX);
        let end = start.saturating_add(usize::try_from(count).unwrap_or(usize::MAX));
        let wrong = TransferError::WrongLength { given: bytes.len() as u64, expected: self.transfer.len() };
        bytes.get(start..end).ok_or(wrong)
    }
}

/// Brings bytes to buffers and images, through a ring of staging memory.
///
/// What it records goes into the caller's command buffers; it never submits and never waits. One uploader serves one
/// queue: batches run in the order in which they are submitted. A ring that does not grow asks the driver for no memory.
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
    grants: VecDeque<(u64, RangeKey)>,
    limits: Limits,
}

/// How copies write to their target.
const ACCESS: vk::AccessFlags = vk::AccessFlags::TRANSFER_WRITE;

impl<A: AllocatorRef> Uploader<A> {
    /// Makes an uploader with one block of staging memory, in the intent `upload`.
    ///
    /// # Errors
    /// `RingTooSmall` for a ring of no bytes, `RingTooLarge`, or `Allocation`.
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
        Ok(Self { ring, points: Points::default(), grants: VecDeque::new(), limits })
    }

    /// Records copies for as much of an upload as the ring has room for.
    ///
    /// # Errors
    /// - `Granularity` or `RingTooSmall`: the queue family or the ring cannot serve this upload. Nothing was recorded.
    /// - `Finished`, if it is done.
    /// - `WrongLength`, if the bytes are no longer those that the upload was made of.
    /// - `Access`, where the driver fails to flush: the pieces before are recorded, and the upload can be recorded again.
    /// - `Allocation`, where the ring may grow, has to, and nothing is in flight that could make room.
    ///
    /// # Safety
    /// 1. `commands` is recording outside a render pass, belongs to the allocator's device, is used by no other thread,
    ///    and is submitted to a queue of the family whose granularity was given; an upload stays with one queue.
    /// 2. The target is alive and bound until the commands have run, and was made with `TRANSFER_DST`. A buffer is as
    ///    large as was said, an image as its create-info says.
    /// 3. When the commands run, the target is used as `before` says, or, where nothing was said, is ready for copies and
    ///    in the layout of the copies. Nothing else uses the range until `after`, or a barrier of the caller's.
    ///    Copies of depth or stencil need a queue with graphics (VUID-vkCmdCopyBufferToImage-commandBuffer-07739).
    pub unsafe fn record<D: AsRef<[u8]>>(
        &mut self,
        commands: vk::CommandBuffer,
        upload: &mut Upload<D>,
    ) -> Result<Progress, TransferError> {
        if upload.is_done() {
            return Err(TransferError::Finished);
        }
        upload.bytes()?;
        upload.transfer.check(&self.limits, |alignment| self.ring.capacity(alignment))?;
        while !upload.transfer.is_copied() {
            let Some((piece, grant)) = next_piece(&mut self.ring, &upload.transfer, &self.limits)? else {
                return Ok(Progress::Full(self.full(upload.transfer.len() - upload.transfer.done())));
            };
            if let Err(error) = upload.next_bytes(piece.bytes).and_then(|bytes| self.ring.write(&grant, bytes)) {
                self.ring.give_back(grant.key);
                return Err(error);
            }
            self.grants.push_back((self.points.current(), grant.key));
            self.points.note_recording();
            if upload.transfer.state == State::Fresh {
                // SAFETY: the caller's duties 1 to 3.
                unsafe { record_before(self.ring.allocator().device(), commands, &upload.transfer, ACCESS) };
                upload.transfer.state = State::Begun;
            }
            // SAFETY: the caller's duties 1 to 3; the piece lies inside the target and its grant.
            unsafe { self.record_copy(commands, &upload.transfer.target, &piece, &grant) };
            upload.transfer.advance(piece.bytes);
        }
        // SAFETY: the caller's duties 1 to 3.
        unsafe { record_after(self.ring.allocator().device(), commands, &upload.transfer, ACCESS) };
        upload.transfer.state = State::Finished;
        Ok(Progress::Done(Way::Staged))
    }

    /// Writes an upload in place where its target is mapped, and records it otherwise; [`Progress::Done`] says which.
    ///
    /// On unified memory and with a resizable BAR, `gpu_only` memory may be mapped, and `stream` memory is. In place,
    /// nothing is recorded, no barrier either: what is submitted from then on sees the bytes.
    ///
    /// # Errors
    /// As [`record`](Self::record), and `Access` where the range ends outside the memory or the driver fails to flush.
    ///
    /// # Safety
    /// 1. The duties of [`record`](Self::record).
    /// 2. The target is a buffer bound at the start of `memory`, or an image.
    /// 3. Nothing that was submitted uses the range any more: in place, the bytes change now.
    pub unsafe fn record_or_write<D: AsRef<[u8]>>(
        &mut self,
        commands: vk::CommandBuffer,
        upload: &mut Upload<D>,
        memory: &mut Allocation,
    ) -> Result<Progress, TransferError> {
        if upload.is_done() {
            return Err(TransferError::Finished);
        }
        let input = WayInput {
            is_mapped: memory.mapped_ptr().is_some(),
            is_image: upload.transfer.is_image(),
            changes_family: upload.transfer.families.is_some(),
            has_begun: upload.transfer.state != State::Fresh,
        };
        match (way::choose(input), &upload.transfer.target) {
            (Way::InPlace, Target::Buffer { offset, .. }) => {
                self.ring.allocator().write(memory, *offset, upload.bytes()?)?;
                upload.transfer.finish();
                Ok(Progress::Done(Way::InPlace))
            }
            // SAFETY: duty 1.
            _ => unsafe { self.record(commands, upload) },
        }
    }

    /// Records the other half of [`Upload::hand_over`], on the queue family that takes the target over; tells whether
    /// there is one. An upload that was written in place has none.
    ///
    /// # Safety
    /// 1. `commands` is recording outside a render pass, on a queue of the family that the target goes to, and runs
    ///    after the release, by a semaphore.
    /// 2. The target is alive until the commands have run. The upload is done and this is called once for it.
    pub unsafe fn record_acquire<D: AsRef<[u8]>>(&self, commands: vk::CommandBuffer, upload: &Upload<D>) -> bool {
        // SAFETY: the caller's duties.
        unsafe { record_acquire(self.ring.allocator().device(), commands, &upload.transfer, ACCESS) }
    }

    /// Makes a batch of what was recorded since the last call: it has passed when `point` has, the value of a fence's
    /// count or a timeline semaphore. Nothing recorded makes no batch.
    ///
    /// # Errors
    /// `PointNotAscending`, if the point is below the last one or has passed; nothing has changed then.
    pub fn submitted(&mut self, point: u64) -> Result<(), TransferError> {
        self.points.submitted(point)
    }

    /// Takes the room of all batches up to a point back.
    ///
    /// # Safety
    /// The device is done with every batch whose point is `completed` or below.
    pub unsafe fn collect(&mut self, completed: u64) {
        self.points.collect(completed);
        while let Some(&(batch, key)) = self.grants.front() {
            if !self.points.has_passed(batch) {
                break;
            }
            self.ring.give_back(key);
            self.grants.pop_front();
        }
    }

    /// Takes the room of what was recorded since the last [`submitted`](Self::submitted) back. The uploads concerned are
    /// to be restarted.
    ///
    /// # Safety
    /// The command buffers into which it was recorded are never submitted, or reset before they are.
    pub unsafe fn discard_recorded(&mut self) {
        while let Some(&(batch, key)) = self.grants.back() {
            if batch != self.points.current() {
                break;
            }
            self.ring.give_back(key);
            self.grants.pop_back();
        }
        self.points.forget_recording();
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
