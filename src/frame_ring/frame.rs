//! One frame of a ring: what is pushed, where it lies, and its end.
//!
//! Invariants:
//! - F1: bytes are lent for as long as the frame is borrowed; ending and dropping it need it unborrowed. So nobody
//!   writes to a frame that has ended, or to bytes that another frame has.

use core::fmt;
use core::mem::MaybeUninit;
use core::slice;

use ash::vk;
use bytemuck::NoUninit;

use super::FrameRing;
use super::alignment::combine;
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
/// `Send`, and `Sync`: threads may push into one frame, or have one each. Dropping a frame that has not ended cancels
/// it: its bytes are free at once, and the GPU must never see them.
pub struct Frame<'r, A: AllocatorRef> {
    ring: &'r FrameRing<A>,
    number: u32,
    cursor: Mutex<Cursor>,
    is_ended: bool,
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
        Self { ring, number, cursor: Mutex::default(), is_ended: false }
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
    /// One copy; the ring's lock is taken once for each chunk of bytes, and the driver is called where the ring grows.
    ///
    /// # Examples
    /// See [`FrameRing`].
    pub fn push<T: NoUninit>(&self, values: &[T]) -> Result<FrameSlice, FrameRingError> {
        self.push_aligned(values, 1)
    }

    /// Copies values, at an offset that is a multiple of `alignment` too: any number above 0, a vertex stride of 12 for
    /// instance, so that the offset is a whole number of vertices.
    ///
    /// # Errors
    /// As [`push`](Self::push), and `BadAlignment`.
    pub fn push_aligned<T: NoUninit>(&self, values: &[T], alignment: u64) -> Result<FrameSlice, FrameRingError> {
        let bytes: &[u8] = bytemuck::cast_slice(values);
        let of_type = align_of::<T>() as u64;
        let bad = FrameRingError::BadAlignment { asked: alignment, usage: of_type };
        let alignment = combine(alignment, of_type).ok_or(bad)?;
        let reservation = self.reserve(bytes.len() as u64, alignment)?;
        // SAFETY: `u8` and `MaybeUninit<u8>` have one layout, and writing initialised bytes leaves them initialised.
        let source = unsafe { slice::from_raw_parts(bytes.as_ptr().cast::<MaybeUninit<u8>>(), bytes.len()) };
        reservation.bytes.copy_from_slice(source);
        Ok(reservation.slice)
    }

    /// Reserves bytes and lends them, to be written in place before the frame ends.
    ///
    /// # Errors
    /// As [`push_aligned`](Self::push_aligned).
    pub fn reserve(&self, size: u64, alignment: u64) -> Result<Reservation<'_>, FrameRingError> {
        if self.is_ended {
            return Err(FrameRingError::FrameEnded);
        }
        let want = self.ring.want(size, alignment)?;
        let taken = self.cursor.lock().take(&want);
        let piece = if let Some(piece) = taken {
            piece
        } else {
            let grant = self.ring.chunk_for(self.number, &want)?;
            self.cursor.lock().refill(&grant, &want)
        };
        let (source, offset) = (piece.source, piece.offset);
        let device_address = source.device_address.map(|address| address + offset);
        let slice = FrameSlice { buffer: source.buffer, offset, size, device_address };
        // SAFETY: the piece is of a chunk that this frame keeps until it has ended, so its block stays open while
        // the frame is borrowed (F1, S2); the GPU is given the bytes after the end only (`FrameRing::new`, duty 3).
        let bytes = unsafe { piece.bytes() };
        Ok(Reservation { slice, bytes })
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
        self.ring.end_frame(self.number, self.cursor.get_mut().tail(), ending)?;
        self.is_ended = true;
        Ok(())
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
