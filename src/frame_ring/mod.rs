//! Floor 7: per-frame linear memory on buffers that stay mapped.
//!
//! ```text
//!   block (one buffer)   │ frame 6: GPU │ frame 7: GPU      │ frame 8: open ▸│       free           │
//!                        └─ chunk ─┴─ chunk ─┘                     ▲ cursor: a push is an addition and a copy, no lock
//!
//!   begin_frame ─► push, reserve ... ─► end(point) ─► the application submits ─► reclaim(completed point)
//!                    │ chunk is full       └─ flush, once, where memory is not coherent
//!                    └─► another chunk: of this block, of another, of a new one (a driver call)
//! ```
//!
//! A frame owns chunks, which the linear suballocator of floor 0 cuts from the blocks; so frames may be open side by
//! side, end up in any order, and go in any order. A ring that has grown is judged now and then, and comes down to one
//! block of the size that its demand needs (`sizing`, where all heuristics are).
//!
//! Invariants: S1 to S4 in `state` (whose bytes are whose), B1 in `block` (mapped while open), C1 and C2 in `cursor`
//! (pieces never overlap), F1 in `frame` (nobody writes to a frame that has ended). Here:
//! - R1: no driver call is made under the lock of the state. `growth` is held by whoever opens a block; only those who
//!   need one, too, wait for it.
//! - R2: a failed call leaves blocks, frames and what was pushed as they were, but for empty blocks that were given
//!   back to make room.
//! - R3: a frame that needs no more than its like before it makes no driver call, flushes aside, and no heap call.

#![deny(unsafe_code)]

mod alignment;
#[expect(unsafe_code, reason = "creates and destroys buffers, lends mapped bytes")]
mod block;
mod create_info;
mod cursor;
mod error;
#[expect(unsafe_code, reason = "lends bytes of a chunk that its frame owns")]
mod frame;
mod sizing;
mod state;

use core::fmt;

pub use self::create_info::FrameRingCreateInfo;
pub use self::error::{EndFrameError, ForeignFrame, FrameRingError};
pub use self::frame::{EndedFrame, Frame, FrameSlice, FrameWriter, Reservation};
pub use self::state::FrameRingStatistics;

use self::block::{Block, BufferTraits};
use self::cursor::{Grant, Tail, Want};
use self::sizing::{Reshape, Sizing};
use self::state::{Ending, FLUSH_BATCH, Growth, State};
use crate::allocator::Allocator;
use crate::device::DriverError;
use crate::resource::AllocatorRef;
use crate::sync::{Mutex, Ordering, StaticU64};

/// Numbers rings, so that a frame of one is foreign to every other.
static NEXT_RING: StaticU64 = StaticU64::new(1);

/// Per-frame linear memory: uniforms, dynamic vertices, staging, whatever the CPU writes for one frame of the GPU.
///
/// `Send` and `Sync` as its allocator reference is; every method takes `&self`. Put it into an `Arc` where a frame must
/// not borrow the structure that holds the ring. A [`Frame`] belongs to one thread at a time; others write to it by a
/// [`FrameWriter`] each.
///
/// # Examples
/// ```
/// # use freestone::{sim, Allocator, AllocatorCreateInfo};
/// use freestone::{FrameRing, FrameRingCreateInfo, ash::vk};
///
/// # let vulkan = sim::SimDevice::new(sim::Profile::unified());
/// # let info = AllocatorCreateInfo::new(vulkan.entry(), vulkan.instance(), vulkan.physical_device(), vulkan.device());
/// # // SAFETY: the objects belong together and outlive the allocator.
/// # let allocator = unsafe { Allocator::new(info) }?;
/// let info = FrameRingCreateInfo::new(vk::BufferUsageFlags::UNIFORM_BUFFER).frames_in_flight(2);
/// // SAFETY: the usage is valid; each frame is submitted after its end, and reclaimed when its work is complete.
/// let ring = unsafe { FrameRing::new(&allocator, &info) }?;
///
/// for frame_number in 1..=10_u64 {
///     // Wait for the work of two frames ago, by a fence or a timeline semaphore.
///     ring.reclaim(frame_number.saturating_sub(2));
///
///     let mut frame = ring.begin_frame()?;
///     let camera = frame.push(&[[0.0_f32; 4]; 4])?;
///     assert_eq!((camera.size, camera.offset % 256), (64, 0));
///     let write = vk::WriteDescriptorSet::default().buffer_info(&[camera.descriptor()]);
///
///     // In place, and at whole vertices of 12 bytes.
///     let vertices = frame.reserve(3 * 12, 12)?;
///     vertices.bytes.fill(std::mem::MaybeUninit::new(0));
///     let first_vertex = vertices.slice.offset / 12;
///
///     frame.end(frame_number)?;
///     // Submit the work that signals `frame_number`.
/// }
/// assert_eq!(ring.statistics().block_count, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A frame can be an owned key, and retire beside other things:
///
/// ```
/// # use freestone::{sim, Allocator, AllocatorCreateInfo, FrameRing, FrameRingCreateInfo, ash::vk};
/// use freestone::{EndedFrame, RetireQueue};
///
/// # let vulkan = sim::SimDevice::new(sim::Profile::unified());
/// # let info = AllocatorCreateInfo::new(vulkan.entry(), vulkan.instance(), vulkan.physical_device(), vulkan.device());
/// # // SAFETY: the objects belong together and outlive the allocator.
/// # let allocator = unsafe { Allocator::new(info) }?;
/// # let info = FrameRingCreateInfo::new(vk::BufferUsageFlags::UNIFORM_BUFFER);
/// # // SAFETY: the usage is valid; nothing is submitted.
/// # let ring = unsafe { FrameRing::new(&allocator, &info) }?;
/// let queue: RetireQueue<EndedFrame> = RetireQueue::new();
/// let mut frame = ring.begin_frame()?;
/// frame.push(&[1_u32])?;
/// queue.retire(frame.end_owned()?, 7);
///
/// queue.collect_with(7, usize::MAX, |frame| ring.reclaim_frame(frame).expect("this ring made it"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// It cannot be reclaimed twice:
///
/// ```compile_fail,E0382
/// fn twice(ring: &freestone::FrameRing<&freestone::Allocator>, frame: freestone::EndedFrame) {
///     let _ = ring.reclaim_frame(frame);
///     let _ = ring.reclaim_frame(frame);
/// }
/// ```
pub struct FrameRing<A: AllocatorRef> {
    state: Mutex<State>,
    /// Held by whoever opens a block (R1); taken before the state, never after it.
    growth: Mutex<()>,
    sizing: Sizing,
    /// What every push is aligned to, for the buffers' usage.
    alignment: u64,
    traits: BufferTraits,
    id: u64,
    allocator: A,
}

impl<A: AllocatorRef> FrameRing<A> {
    /// Creates a ring with its first buffer.
    ///
    /// # Errors
    /// - `InvalidCreateInfo` for no frames or more than 256, or no usage; `TooSmall` for a maximum below one push;
    ///   `NotMapped` for an intent that the CPU does not write.
    /// - `Allocation` where the first buffer cannot be had.
    ///
    /// # Safety
    /// 1. Usage and queue families are valid for the allocator's device (VUID-VkBufferCreateInfo-None-09499,
    ///    -sharingMode-01419).
    /// 2. The GPU is done with a frame's slices before the frame is reclaimed, whichever way, or dropped without an
    ///    end, and with all of them before the ring is dropped (VUID-vkDestroyBuffer-buffer-00922).
    /// 3. Work that uses a frame's slices is submitted after the frame has ended.
    /// 4. The device outlives the ring.
    #[expect(unsafe_code, reason = "takes the promise of all frames to come")]
    pub unsafe fn new(allocator: A, info: &FrameRingCreateInfo) -> Result<Self, FrameRingError> {
        let (alignment, sizing) = info.check(allocator.properties())?;
        let mut state = State::new(&sizing);
        state.add_block(open_block(&allocator, &info.traits(), (sizing.first, sizing.unit), &sizing)?);
        Ok(Self {
            state: Mutex::new(state),
            growth: Mutex::new(()),
            sizing,
            alignment,
            traits: info.traits(),
            id: NEXT_RING.fetch_add(1, Ordering::Relaxed),
            allocator,
        })
    }

    /// Opens a frame. After 24 and 48 frames, and then every 120, the ring's shape is judged, which may open a buffer
    /// and give others back.
    ///
    /// # Errors
    /// `FramesInFlight` where as many as may be are open, or ended and not reclaimed.
    ///
    /// # Complexity
    /// O(frames in flight).
    pub fn begin_frame(&self) -> Result<Frame<'_, A>, FrameRingError> {
        let mut state = self.state.lock();
        let Some(number) = state.begin() else {
            let limit = u32::try_from(self.sizing.frame_count).unwrap_or(u32::MAX);
            return Err(FrameRingError::FramesInFlight { limit });
        };
        let is_window_over = state.note_frame();
        drop(state);
        let frame = Frame::new(self, number);
        if is_window_over {
            self.reshape();
        }
        Ok(frame)
    }

    /// Takes back the bytes of all frames that ended with a point of at most `completed`; returns how many frames.
    ///
    /// A point below an earlier one changes nothing. `u64::MAX` stands for an idle device: all frames ended with a
    /// point so far are taken back, and later ones wait for theirs as ever. Those of [`Frame::end_owned`] have none:
    /// they wait for [`reclaim_frame`](Self::reclaim_frame).
    pub fn reclaim(&self, completed: u64) -> u32 {
        let mut state = self.state.lock();
        let count = state.reclaim(completed);
        let drained = state.take_drained();
        drop(state);
        self.close(drained);
        count
    }

    /// Takes back the bytes of a frame that ended by [`Frame::end_owned`].
    ///
    /// # Errors
    /// `ForeignFrame`: another ring made it; it is handed back and nothing has changed.
    pub fn reclaim_frame(&self, frame: EndedFrame) -> Result<(), ForeignFrame> {
        if frame.ring != self.id {
            return Err(ForeignFrame { frame });
        }
        self.release_frame(frame.number);
        Ok(())
    }

    /// Returns what the ring holds, in numbers.
    pub fn statistics(&self) -> FrameRingStatistics {
        self.state.lock().statistics()
    }

    /// Returns what the offset of every push is a multiple of, in bytes, for the ring's usage on this device.
    pub fn alignment(&self) -> u64 {
        self.alignment
    }

    fn want(&self, size: u64, alignment: u64) -> Result<Want, FrameRingError> {
        Want::new(size, alignment, (self.alignment, &self.sizing))
    }

    /// Takes a chunk for a frame, from a new block where no other has room.
    fn chunk_for(&self, frame: u32, want: &Want) -> Result<Grant, FrameRingError> {
        let taken = self.state.lock().take_chunk(frame, want, &self.sizing);
        if let Some(grant) = taken {
            return Ok(grant);
        }
        let _growth = self.growth.lock();
        // Somebody else may have opened a block meanwhile.
        let taken = self.state.lock().take_chunk(frame, want, &self.sizing);
        match taken {
            Some(grant) => Ok(grant),
            None => self.grow(frame, want),
        }
    }

    /// Opens a block and takes a chunk of it; the caller holds `growth`.
    fn grow(&self, frame: u32, want: &Want) -> Result<Grant, FrameRingError> {
        let size = self.size_to_open(want)?;
        let block = open_block(&self.allocator, &self.traits, (size, want.chunk), &self.sizing)?;
        let mut state = self.state.lock();
        state.add_block(block);
        let taken = state.take_chunk(frame, want, &self.sizing);
        drop(state);
        Ok(taken.expect("sizing I1: a block holds the chunk that opens it, and others are asked after it"))
    }

    /// Returns the size of the block to open, after giving empty blocks back where only that makes room for it.
    fn size_to_open(&self, want: &Want) -> Result<u64, FrameRingError> {
        for _ in 0..2 {
            let mut state = self.state.lock();
            match state.growth(want.chunk, &self.sizing) {
                Growth::Open(size) => return Ok(size),
                Growth::Full => break,
                Growth::GiveBackEmpty => {
                    let empty = state.take_all_empty();
                    drop(state);
                    self.close(empty);
                }
            }
        }
        Err(self.state.lock().full(want.chunk, &self.sizing))
    }

    /// Judges the ring's shape. A refusal is no error: the ring stays as it is, and asks again after the next window.
    fn reshape(&self) {
        let Some(_growth) = self.growth.try_lock() else { return };
        let judged = self.state.lock().judge(&self.sizing);
        if let Reshape::Replace(size) = judged {
            match Block::open(&self.allocator, &self.traits, size) {
                Ok(block) => {
                    let mut state = self.state.lock();
                    state.add_block(block);
                    state.drain_others();
                }
                Err(error) => log::debug!("a frame ring keeps its shape: {error}"),
            }
        }
        let drained = self.state.lock().take_drained();
        self.close(drained);
    }

    /// Flushes a frame and ends it.
    fn end_frame(&self, frame: u32, tail: Tail, ending: Ending) -> Result<(), EndFrameError> {
        self.state.lock().check_ending(ending)?;
        self.flush_frame(frame, tail)?;
        self.state.lock().end(frame, ending)
    }

    #[expect(unsafe_code, reason = "names ranges of blocks that the frame keeps open")]
    fn flush_frame(&self, frame: u32, tail: Tail) -> Result<(), DriverError> {
        let mut chunk = 0;
        loop {
            let batch = self.state.lock().written(frame, chunk, tail);
            if batch.next_chunk == chunk {
                return Ok(());
            }
            chunk = batch.next_chunk;
            let mut written = batch.ranges.into_iter().flatten();
            let Some(first) = written.next() else { continue };
            // SAFETY: the frame is open and has chunks of the block, so that stays open (S2).
            let mut ranges = [unsafe { first.memory_range() }; FLUSH_BATCH];
            let mut count = 1;
            for (range, written) in ranges[1..].iter_mut().zip(written) {
                // SAFETY: as above.
                *range = unsafe { written.memory_range() };
                count += 1;
            }
            self.allocator.device().flush(&ranges[..count])?;
        }
    }

    /// Takes a frame's bytes back: it is complete, or was cancelled.
    fn release_frame(&self, frame: u32) {
        let mut state = self.state.lock();
        state.release(frame);
        let drained = state.take_drained();
        drop(state);
        self.close(drained);
    }

    fn close(&self, blocks: Vec<Block>) {
        for block in blocks {
            block.close(&self.allocator);
        }
    }
}

/// Opens a block of the first size, or of a smaller one that is enough where memory is short.
fn open_block(
    allocator: &Allocator,
    traits: &BufferTraits,
    (mut size, enough): (u64, u64),
    sizing: &Sizing,
) -> Result<Block, FrameRingError> {
    loop {
        let error = match Block::open(allocator, traits, size) {
            Err(FrameRingError::Allocation(error)) if error.is_out_of_memory() => error.into(),
            opened_or_failed => return opened_or_failed,
        };
        match sizing.smaller(size, enough) {
            Some(smaller) => size = smaller,
            None => return Err(error),
        }
    }
}

impl<A: AllocatorRef> Drop for FrameRing<A> {
    /// Destroys all buffers; the GPU is done with them (`new`, duty 2), and no frame is open, since frames borrow.
    fn drop(&mut self) {
        let Self { state, allocator, .. } = self;
        state.get_mut().take_everything().for_each(|block| block.close(allocator));
    }
}

impl<A: AllocatorRef> fmt::Debug for FrameRing<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameRing")
            .field("usage", &self.traits.usage)
            .field("alignment", &self.alignment)
            .field("statistics", &self.statistics())
            .finish_non_exhaustive()
    }
}
