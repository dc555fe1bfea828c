//! How an arena's buffers come and go: one thread at a time makes one, with no lock held.

use std::sync::Arc;

use ash::vk;

use super::fit::{Fit, next_buffer_size};
use super::state::{ArenaBuffer, State};
use super::{Arena, ArenaError, ArenaRange};
use crate::allocator::AllocationError;
use crate::resource::AllocatorRef;

/// How often an arena may be asked for another buffer; far above what any driver gives.
const MAX_BUFFER_COUNT: u32 = 1 << 16;

/// The turn of the one thread that makes a buffer; whoever waits looks again when it ends, by a panic too.
pub(super) struct Turn<'a, A: AllocatorRef> {
    pub(super) arena: &'a Arena<A>,
}

impl<A: AllocatorRef> Arena<A> {
    /// Makes a buffer with room for a range, and takes the range: for the one thread whose turn it is.
    pub(super) fn grow(&self, fit: &Fit) -> Result<ArenaRange, ArenaError> {
        let size = self.make_room(fit)?;
        let buffer = match self.open(size) {
            // The range alone may fit where a buffer of the usual size does not.
            Err(error) if error.is_out_of_memory() && size > self.own_size(fit) => self.open(self.own_size(fit)),
            opened => opened,
        }?;
        let mut state = self.state.lock();
        let placed = state.publish(buffer, fit);
        match placed {
            Ok(placed) => Ok(self.hand_out(&state, placed, fit)),
            Err(buffer) => {
                drop(state);
                debug_assert!(false, "offset 0 of a buffer with enough bytes suits every range");
                self.destroy([Arc::new(buffer)]);
                Err(ArenaError::TooLarge { size: fit.size(), largest: self.bounds.largest })
            }
        }
    }

    /// Chooses the size of the next buffer. Where the limits leave no room, empty buffers go first.
    fn make_room(&self, fit: &Fit) -> Result<u64, ArenaError> {
        if fit.size() > self.bounds.largest {
            return Err(ArenaError::TooLarge { size: fit.size(), largest: self.bounds.largest });
        }
        let mut state = self.state.lock();
        if let Ok(size) = self.next_size(fit, &state, 0, 0) {
            return Ok(size);
        }
        let (empty_count, empty_bytes) =
            (state.suballocator.empty_regions().count(), state.suballocator.empty_region_bytes());
        let empty_count = u32::try_from(empty_count).unwrap_or(u32::MAX);
        let size = self.next_size(fit, &state, empty_count, empty_bytes)?;
        let retired = state.retire_empty();
        drop(state);
        self.destroy(retired);
        Ok(size)
    }

    /// Returns the size of the next buffer, if so many buffers and bytes were gone.
    fn next_size(&self, fit: &Fit, state: &State, gone_count: u32, gone_bytes: u64) -> Result<u64, ArenaError> {
        let (size, free) = (fit.size(), state.free_bytes());
        let limit = self.info.max_buffer_count.min(MAX_BUFFER_COUNT);
        if state.buffer_count().saturating_sub(gone_count) >= limit {
            return Err(ArenaError::BufferLimit { size, limit, free });
        }
        let reserved = state.suballocator.region_bytes();
        let left = self.info.max_bytes.saturating_sub(reserved - gone_bytes);
        let limit = self.info.max_bytes;
        next_buffer_size(size, left, &self.bounds).ok_or(ArenaError::ByteLimit { size, reserved, limit, free })
    }

    /// Returns the size of a buffer for a range alone.
    fn own_size(&self, fit: &Fit) -> u64 {
        fit.size().next_multiple_of(self.bounds.unit)
    }

    #[expect(unsafe_code, reason = "creates a buffer as the user has described it")]
    fn open(&self, size: u64) -> Result<ArenaBuffer, AllocationError> {
        let info = self.info.buffer_info(size);
        // SAFETY: duty 1 of `new`: the create-info is valid. Duty 2: the GPU is done with the buffer when it is
        // destroyed, since nothing lives in it by then, or the arena goes.
        let (handle, allocation) = unsafe { self.allocator.create_buffer(&info, &self.info.memory) }?;
        let address = if self.info.usage.contains(vk::BufferUsageFlags::SHADER_DEVICE_ADDRESS) {
            // SAFETY: the buffer was created and bound just now, with this usage.
            unsafe { self.allocator.buffer_device_address(handle) }
        } else {
            None
        };
        Ok(ArenaBuffer { handle, allocation, size, address })
    }

    #[expect(unsafe_code, reason = "destroys what it has created")]
    pub(super) fn destroy(&self, buffers: impl IntoIterator<Item = Arc<ArenaBuffer>>) -> u64 {
        let mut bytes = 0;
        for buffer in buffers {
            // Only `write` holds another reference, and only while a range of the buffer is borrowed.
            let Ok(ArenaBuffer { handle, allocation, size, .. }) = Arc::try_unwrap(buffer) else {
                debug_assert!(false, "A3: a buffer is retired when nobody writes into it");
                continue;
            };
            // SAFETY: the buffer is alive, this arena's, and out of the index; the GPU is done with it (duty 2 of
            // `new`).
            let destroyed = unsafe { self.allocator.destroy_buffer(handle, allocation) };
            debug_assert!(destroyed.is_ok(), "the arena's allocator has made its buffers");
            bytes += size;
        }
        bytes
    }
}

impl<A: AllocatorRef> Drop for Turn<'_, A> {
    fn drop(&mut self) {
        self.arena.state.lock().is_growing = false;
        self.arena.grown.notify_all();
    }
}
