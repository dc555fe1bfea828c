//! One frame of a ring: what is pushed, where it lies, and its end.
//!
//! ```text
//!   frame ── cursor ─► push, reserve      the thread that owns the frame: no lock is taken but for the next chunk
//!     ├── writer ── cursor ─► push, reserve      another thread; or the same, for bytes that are lent side by side
//!     └── writer ── cursor ─► push, reserve
//! ```
//!
//! Invariants:
//! - F1: bytes are lent for as long as the frame is borrowed; ending and dropping it need it unborrowed. So nobody
//!   writes to a frame that has ended, or to bytes that another frame has.
//! - F2: a frame that has ended has nothing in its cursor, so that a push finds out where it asks for more.

use core::fmt;
use core::mem::{self, MaybeUninit};
use core::slice;

use ash::vk;
use bytemuck::NoUninit;

use super::FrameRing;
use super::alignment::combine;
use super::block::{Piece, Source};
use super::cursor::Cursor;
use super::error::{EndFrameError, FrameRingError};
use super::state::Ending;
use crate::resource::AllocatorRef;
use crate::sync::Mutex;

/// Where pushed bytes lie: plain data for descriptors, copies, vertex bindings and shaders.
///
/// Valid until its frame is reclaimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameSlice {
    /// The buffer. Rings have one, or few while they grow.
    pub buffer: vk::Buffer,
    /// Where the bytes begin in the buffer.
    pub offset: u64,
    /// How many bytes there are.
    pub size: u64,
    /// The address of the first byte for shaders; `None` without the usage `SHADER_DEVICE_ADDRESS`.
    pub device_address: Option<vk::DeviceAddress>,
}

impl FrameSlice {
    /// Returns it as a descriptor takes it.
    pub fn descriptor(&self) -> vk::DescriptorBufferInfo {
        vk::DescriptorBufferInfo { buffer: self.buffer, offset: self.offset, range: self.size }
    }
}

/// Bytes of a frame to be written in place.
#[derive(Debug)]
#[non_exhaustive]
pub struct Reservation<'f> {
    /// Where they lie.
    pub slice: FrameSlice,
    /// The bytes, uninitialised. The memory may be write-combined: write each byte once, in order, and read none.
    pub bytes: &'f mut [MaybeUninit<u8>],
}

/// An open frame: pushes bytes into its ring until it ends.
///
/// One thread at a time pushes into it, and takes no lock but for each chunk of bytes. Other threads push into the same
/// frame by a [`FrameWriter`] each, or have frames of their own that end with the same point. Dropping a frame that has
/// not ended cancels it: its bytes are free at once, and the GPU must never see them.
pub struct Frame<'r, A: AllocatorRef> {
    ring: &'r FrameRing<A>,
    number: u32,
    is_ended: bool,
    /// Locked only to give it to a writer and to get it back.
    cursor: Mutex<Cursor>,
}

/// Pushes into a frame beside others: what each thread takes that writes to it.
///
/// Its bytes are lent for as long as the frame is borrowed, so several reservations may be held side by side. What it
/// leaves of its last chunk goes to the next writer of the frame.
///
/// # Examples
/// ```
/// # use freestone::{sim, Allocator, AllocatorCreateInfo, FrameRing, FrameRingCreateInfo, FrameRingError, ash::vk};
/// # let vulkan = sim::SimDevice::new(sim::Profile::unified());
/// # let info = AllocatorCreateInfo::new(vulkan.entry(), vulkan.instance(), vulkan.physical_device(), vulkan.device());
/// # // SAFETY: the objects belong together and outlive the allocator.
/// # let allocator = unsafe { Allocator::new(info) }?;
/// # let info = FrameRingCreateInfo::new(vk::BufferUsageFlags::UNIFORM_BUFFER);
/// # // SAFETY: the usage is valid; nothing is submitted.
/// # let ring = unsafe { FrameRing::new(&allocator, &info) }?;
/// let mut frame = ring.begin_frame()?;
/// std::thread::scope(|scope| {
///     let record = |thread: u32| {
///         let mut writer = frame.writer();
///         (0..100).map(|draw| writer.push(&[thread, draw])).collect::<Result<Vec<_>, _>>()
///     };
///     let threads = [0, 1, 2].map(|thread| scope.spawn(move || record(thread)));
///     threads.map(|thread| thread.join().expect("it does not panic"));
/// });
/// frame.end(1)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct FrameWriter<'f, A: AllocatorRef> {
    frame: &'f Frame<'f, A>,
    cursor: Cursor,
}

/// A frame that has ended, owned: to be handed to [`FrameRing::reclaim_frame`] when its work is complete, by way of a
/// [`RetireQueue`](crate::RetireQueue) for instance. It is move-only: what is reclaimed once cannot be reclaimed twice.
///
/// Dropped, it stays in flight for as long as its ring lives.
#[derive(Debug)]
#[must_use = "a frame that is not reclaimed stays in flight"]
pub struct EndedFrame {
    pub(super) ring: u64,
    pub(super) number: u32,
}

impl<'r, A: AllocatorRef> Frame<'r, A> {
    pub(super) fn new(ring: &'r FrameRing<A>, number: u32) -> Self {
        Self { ring, number, is_ended: false, cursor: Mutex::default() }
    }

    /// Copies values into the frame, at an offset that suits the ring's usage and the type.
    ///
    /// # Errors
    /// - `ZeroSize` for no values, or values without bytes; `TooLarge`; `FrameEnded`.
    /// - `Full` where frames in flight hold all that the ring may have; `Allocation` where it cannot grow.
    ///
    /// Whatever fails, what was pushed before stays, and the next push may succeed.
    ///
    /// # Complexity
    /// One addition and one copy; the ring's lock is taken once for each chunk of bytes, and the driver is called where
    /// the ring grows.
    ///
    /// # Examples
    /// See [`FrameRing`].
    #[inline]
    pub fn push<T: NoUninit>(&mut self, values: &[T]) -> Result<FrameSlice, FrameRingError> {
        self.push_aligned(values, 1)
    }

    /// Copies values, at an offset that is a multiple of `alignment` too: any number above 0, a vertex stride of 12 for
    /// instance, so that the offset is a whole number of vertices.
    ///
    /// # Errors
    /// As [`push`](Self::push), and `BadAlignment`.
    #[inline]
    pub fn push_aligned<T: NoUninit>(&mut self, values: &[T], alignment: u64) -> Result<FrameSlice, FrameRingError> {
        let reservation = self.reserve(size_of_val(values) as u64, alignment_for::<T>(alignment)?)?;
        Ok(reservation.fill(values))
    }

    /// Reserves bytes and lends them, to be written in place before the frame ends. Where several such are written side
    /// by side, a [`writer`](Self::writer) reserves them.
    ///
    /// # Errors
    /// As [`push_aligned`](Self::push_aligned).
    #[inline]
    pub fn reserve(&mut self, size: u64, alignment: u64) -> Result<Reservation<'_>, FrameRingError> {
        let piece = match self.cursor.get_mut().cut(size, alignment, self.ring.alignment) {
            Some(piece) => piece,
            None => self.take(size, alignment)?,
        };
        // SAFETY: the piece is of a chunk that this frame keeps until it has ended, so its block stays open while
        // the frame is borrowed (F1, S2); the GPU is given the bytes after the end only (`FrameRing::new`, duty 3).
        Ok(unsafe { Reservation::of(piece) })
    }

    /// Begins to push from one more thread. A writer has a chunk of its own and takes no lock but for the next.
    pub fn writer(&self) -> FrameWriter<'_, A> {
        FrameWriter { frame: self, cursor: mem::take(&mut *self.cursor.lock()) }
    }

    #[cold]
    fn take(&mut self, size: u64, alignment: u64) -> Result<Piece, FrameRingError> {
        let mut cursor = mem::take(self.cursor.get_mut());
        let taken = self.take_by(&mut cursor, size, alignment);
        *self.cursor.get_mut() = cursor;
        taken
    }

    /// Takes a piece of any kind, by a cursor which has none at hand: from what it has, else from a further chunk.
    #[cold]
    fn take_by(&self, cursor: &mut Cursor, size: u64, alignment: u64) -> Result<Piece, FrameRingError> {
        if self.is_ended {
            return Err(FrameRingError::FrameEnded);
        }
        let want = self.ring.want(size, alignment)?;
        if let Some(piece) = cursor.take(&want) {
            return Ok(piece);
        }
        let grant = self.ring.chunk_for(self.number, &want)?;
        Ok(cursor.refill(&grant, &want))
    }

    /// Ends the frame: flushes what was written where memory is not coherent, and leaves it to the GPU until
    /// [`FrameRing::reclaim`] hears that `point` is completed. Submit its work afterwards.
    ///
    /// Points may be equal, and never fall: frames of several threads end with the point of their common submission.
    ///
    /// # Errors
    /// - `AlreadyEnded`; `OutOfOrder`, `AlreadyCompleted`, `IdlePoint`: the point cannot be that of this frame's work.
    /// - `Flush` where the driver failed to.
    ///
    /// The frame is open still unless it had ended before: end it again, or drop it.
    ///
    /// # Complexity
    /// One driver call where memory is not coherent (one more for each 16 ranges that are apart), else none.
    pub fn end(&mut self, point: u64) -> Result<(), EndFrameError> {
        self.end_as(Ending::At(point))
    }

    /// Ends the frame as [`end`](Self::end) does, and returns it as a key that is reclaimed by itself, in any order.
    ///
    /// # Errors
    /// `AlreadyEnded` or `Flush`, as [`end`](Self::end).
    pub fn end_owned(&mut self) -> Result<EndedFrame, EndFrameError> {
        self.end_as(Ending::Owned)?;
        Ok(EndedFrame { ring: self.ring.id, number: self.number })
    }

    fn end_as(&mut self, ending: Ending) -> Result<(), EndFrameError> {
        if self.is_ended {
            return Err(EndFrameError::AlreadyEnded);
        }
        let cursor = self.cursor.get_mut();
        self.ring.end_frame(self.number, cursor.tail(), ending)?;
        *cursor = Cursor::default();
        self.is_ended = true;
        Ok(())
    }
}

impl<'f, A: AllocatorRef> FrameWriter<'f, A> {
    /// Copies values into the frame, as [`Frame::push`] does.
    ///
    /// # Errors
    /// As [`Frame::push`].
    #[inline]
    pub fn push<T: NoUninit>(&mut self, values: &[T]) -> Result<FrameSlice, FrameRingError> {
        self.push_aligned(values, 1)
    }

    /// Copies values, at an offset that is a multiple of `alignment` too, as [`Frame::push_aligned`] does.
    ///
    /// # Errors
    /// As [`Frame::push_aligned`].
    #[inline]
    pub fn push_aligned<T: NoUninit>(&mut self, values: &[T], alignment: u64) -> Result<FrameSlice, FrameRingError> {
        let reservation = self.reserve(size_of_val(values) as u64, alignment_for::<T>(alignment)?)?;
        Ok(reservation.fill(values))
    }

    /// Reserves bytes and lends them for as long as the frame is borrowed, beside all that were lent before.
    ///
    /// # Errors
    /// As [`Frame::push_aligned`].
    #[inline]
    pub fn reserve(&mut self, size: u64, alignment: u64) -> Result<Reservation<'f>, FrameRingError> {
        let frame = self.frame;
        let piece = match self.cursor.cut(size, alignment, frame.ring.alignment) {
            Some(piece) => piece,
            None => frame.take_by(&mut self.cursor, size, alignment)?,
        };
        // SAFETY: as for `Frame::reserve`; the frame is borrowed for `'f`.
        Ok(unsafe { Reservation::of(piece) })
    }
}

impl Reservation<'_> {
    /// Lends a piece.
    ///
    /// # Safety
    /// The piece's block stays open for as long as the reservation lasts, and the device does not touch the bytes
    /// meanwhile.
    #[inline]
    unsafe fn of(piece: Piece) -> Self {
        let (offset, Source { buffer, device_address, .. }) = (piece.offset, piece.source);
        let device_address = device_address.map(|address| address + offset);
        let slice = FrameSlice { buffer, offset, size: piece.size as u64, device_address };
        // SAFETY: the caller's duties.
        let bytes = unsafe { piece.bytes() };
        Self { slice, bytes }
    }

    /// Fills the bytes with values, which have as many.
    #[inline]
    fn fill<T: NoUninit>(self, values: &[T]) -> FrameSlice {
        let bytes: &[u8] = bytemuck::cast_slice(values);
        // SAFETY: `u8` and `MaybeUninit<u8>` have one layout, and writing initialised bytes leaves them initialised.
        let source = unsafe { slice::from_raw_parts(bytes.as_ptr().cast::<MaybeUninit<u8>>(), bytes.len()) };
        self.bytes.copy_from_slice(source);
        self.slice
    }
}

/// Returns the alignment of a push of values, in bytes.
#[inline]
fn alignment_for<T>(asked: u64) -> Result<u64, FrameRingError> {
    let of_type = align_of::<T>() as u64;
    combine(asked, of_type).ok_or(FrameRingError::BadAlignment { asked, usage: of_type })
}

impl<A: AllocatorRef> Drop for FrameWriter<'_, A> {
    /// Leaves the rest of the chunk to the frame, where it is more than the frame has.
    fn drop(&mut self) {
        self.frame.cursor.lock().keep_larger(mem::take(&mut self.cursor));
    }
}

impl<A: AllocatorRef> Drop for Frame<'_, A> {
    fn drop(&mut self) {
        if !self.is_ended {
            self.ring.release_frame(self.number);
        }
    }
}

impl<A: AllocatorRef> fmt::Debug for Frame<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame").field("number", &self.number).field("is_ended", &self.is_ended).finish_non_exhaustive()
    }
}

impl<A: AllocatorRef> fmt::Debug for FrameWriter<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameWriter").field("frame", self.frame).finish_non_exhaustive()
    }
}
