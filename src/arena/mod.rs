//! Many ranges inside a few large buffers: meshes, indices, acceleration structures, descriptors.
//!
//! ```text
//!   allocate   lock -> one index over all buffers -> range                          no driver call
//!              no room: one thread makes a buffer, with no lock held, and publishes it; the others wait and look again
//!   free       lock -> merge with free neighbours                                   no driver call
//!   trim       lock -> empty buffers out of the index -> unlock -> destroyed
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `fit` | *policy*: alignments that are no power of two; the next buffer's size |
//! | `grow` | how buffers come and go, with no lock held |
//! | `state` | what lies behind the lock: the index and the buffers |
//! | `range` | [`ArenaRange`], what the user holds |
//! | `create_info`, `error` | what is asked for, and why it cannot be had |
//!
//! Invariants:
//! - A1: no driver call is made with the lock held.
//! - A2: a range is freed only in the arena, and the life of it, that made it: anything else is handed back.
//! - A3: a buffer with a live range is never destroyed, before the arena is.
//! - A4: a failed call leaves every live range and every count of them as it was.
//!
//! What it does not do: it moves no range, and writes nothing that only the GPU reaches.

#![deny(unsafe_code)]

mod create_info;
mod error;
mod fit;
mod grow;
mod range;
mod state;

use core::fmt;
use std::sync::Arc;

use ash::vk;
use bytemuck::NoUninit;

pub use self::create_info::ArenaCreateInfo;
pub use self::error::{ArenaError, ArenaFreeError, ArenaFreeReason};
use self::fit::{Bounds, Fit};
use self::grow::Turn;
pub use self::range::ArenaRange;
use self::range::Home;
use self::state::{ArenaBuffer, Placed, State};
use crate::allocator::AccessError;
use crate::pool::HostAccess;
use crate::resource::AllocatorRef;
use crate::sync::{Condvar, Mutex, Ordering, StaticU64};

/// What offsets and sizes are multiples of, in bytes, unless atoms are larger: vertex and index strides are multiples
/// of 4, and smaller pieces would only be gaps.
const UNIT: u64 = 4;

/// What the suballocator can count in one buffer, in units.
const MAX_UNITS: u64 = (1 << 42) - 1;

/// Numbers arenas, so that a range of one is foreign to every other.
static NEXT_ARENA: StaticU64 = StaticU64::new(1);

/// What an [`Arena`] holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArenaStatistics {
    /// Buffers.
    pub buffer_count: u32,
    /// Bytes of all buffers.
    pub reserved_bytes: u64,
    /// Bytes of the buffers in which nothing lives; [`Arena::trim`] gives them back.
    pub empty_bytes: u64,
    /// Live ranges.
    pub range_count: u64,
    /// What the live ranges asked for, in bytes.
    pub requested_bytes: u64,
    /// What they take: the same with padding, which alignments and whole units cost.
    pub used_bytes: u64,
    /// The largest free range, in bytes.
    pub largest_free_range: u64,
    /// Bytes of bookkeeping on the host heap.
    pub host_bytes: usize,
}

/// Cuts ranges of any size and alignment out of a few large buffers. Every method but `clear` takes `&self`.
///
/// # Examples
/// ```
/// # use freestone::{sim, AllocationCreateInfo, Allocator, AllocatorCreateInfo};
/// use freestone::{Arena, ArenaCreateInfo, ash::vk};
///
/// # let vulkan = sim::SimDevice::new(sim::Profile::unified());
/// # let info = AllocatorCreateInfo::new(vulkan.entry(), vulkan.instance(), vulkan.physical_device(), vulkan.device());
/// # // SAFETY: the objects belong together and outlive the allocator.
/// # let allocator = unsafe { Allocator::new(info) }?;
/// let usage = vk::BufferUsageFlags::VERTEX_BUFFER | vk::BufferUsageFlags::TRANSFER_DST;
/// // SAFETY: the usage is valid; the GPU never sees a range.
/// let meshes = unsafe { Arena::new(&allocator, &ArenaCreateInfo::new(usage)) }?;
/// // 100 vertices of 20 bytes, at a multiple of 20: they are drawn from `first_element(20)` on.
/// let teapot = meshes.allocate(100 * 20, 20)?;
/// assert_eq!(teapot.offset() % 20, 0);
/// assert!(teapot.first_element(20).is_some());
/// meshes.free(teapot)?;
/// assert_eq!(meshes.trim(), 16 << 20);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Arena<A: AllocatorRef> {
    info: ArenaCreateInfo,
    bounds: Bounds,
    state: Mutex<State>,
    /// Told whenever a growth has ended.
    grown: Condvar,
    id: u64,
    allocator: A,
}

impl<A: AllocatorRef> Arena<A> {
    /// Makes an arena. The first buffer is made when it is needed.
    ///
    /// # Errors
    /// `BufferSize` where the usual buffer has no bytes, or more than the device allows.
    ///
    /// # Safety
    /// 1. Usage, flags and queue families are valid for a buffer of the allocator's device, of any size up to the
    ///    larger of the usual one and the largest range asked for.
    /// 2. The GPU is done with a range before it is freed, and with all of them before the arena is cleared or dropped.
    /// 3. The device outlives the arena.
    #[expect(unsafe_code, reason = "its buffers are made and destroyed by safe calls")]
    pub unsafe fn new(allocator: A, info: &ArenaCreateInfo) -> Result<Self, ArenaError> {
        let properties = allocator.properties();
        let unit = match info.memory.host_access() {
            // So that no atom has two owners, wherever the memory is not coherent.
            HostAccess::Needed => UNIT.max(properties.non_coherent_atom_size),
            HostAccess::NotNeeded => UNIT,
        };
        let largest = properties.max_buffer_size.min(MAX_UNITS.saturating_mul(unit)) & !(unit - 1);
        let buffer_size = info.buffer_size.checked_next_multiple_of(unit).unwrap_or(u64::MAX);
        if buffer_size == 0 || buffer_size > largest {
            return Err(ArenaError::BufferSize { size: info.buffer_size, largest });
        }
        Ok(Self {
            info: info.clone(),
            bounds: Bounds { unit, buffer_size, largest },
            state: Mutex::new(State::new(unit)),
            grown: Condvar::new(),
            id: NEXT_ARENA.fetch_add(1, Ordering::Relaxed),
            allocator,
        })
    }

    /// Hands out a range of `size` bytes whose offset is a multiple of `alignment`: any number above 0, such as the
    /// stride of a vertex, or a power of two.
    ///
    /// Where two must divide the offset, ask for their least common multiple.
    ///
    /// # Errors
    /// - `ZeroSize`, `ZeroAlignment`, `TooLarge`: no arena could serve it.
    /// - `ByteLimit`, `BufferLimit`: the arena may not grow that far.
    /// - `Allocation`: the driver or the budget refuses a further buffer.
    ///
    /// Every live range is as it was; empty buffers may have gone, to make room below a limit.
    ///
    /// # Complexity
    /// O(1) where a buffer has room; no driver call and, in steady state, no heap call then. A larger range than any
    /// buffer has room for costs a buffer.
    pub fn allocate(&self, size: u64, alignment: u64) -> Result<ArenaRange, ArenaError> {
        let fit = Fit::new(size, alignment)?;
        let mut state = self.state.lock();
        loop {
            if let Some(placed) = state.place(&fit) {
                return Ok(self.hand_out(&state, placed, &fit));
            }
            if !state.is_growing {
                break;
            }
            self.grown.wait(&mut state);
        }
        state.is_growing = true;
        drop(state);
        let turn = Turn { arena: self };
        let grown = self.grow(&fit);
        drop(turn);
        grown
    }

    /// Frees a range. Its buffer stays; [`trim`](Self::trim) gives empty ones back.
    ///
    /// # Errors
    /// `Foreign` or `Stale`: the range is handed back, and nothing has changed.
    ///
    /// # Complexity
    /// O(1); no driver call and no heap call.
    pub fn free(&self, range: ArenaRange) -> Result<(), ArenaFreeError> {
        if range.home.arena != self.id {
            return Err(ArenaFreeError { reason: ArenaFreeReason::Foreign, range });
        }
        let mut state = self.state.lock();
        if range.home.epoch != state.epoch || state.free(range.key, range.size).is_err() {
            return Err(ArenaFreeError { reason: ArenaFreeReason::Stale, range });
        }
        Ok(())
    }

    /// Returns whether a range is this arena's and alive: whether [`free`](Self::free) would take it.
    pub fn is_alive(&self, range: &ArenaRange) -> bool {
        let state = self.state.lock();
        range.home == self.home(&state) && state.suballocator.resolve(range.key).is_some()
    }

    /// Writes values into a range that the host reaches, and flushes them where memory is not coherent.
    ///
    /// # Errors
    /// `NotMapped`, `OutOfBounds`, or `Foreign` where the range is not alive in this arena: nothing was written.
    /// `Driver`: nothing was flushed.
    #[expect(unsafe_code, reason = "copies into mapped memory")]
    pub fn write<T: NoUninit>(&self, range: &mut ArenaRange, offset: u64, values: &[T]) -> Result<(), AccessError> {
        let bytes: &[u8] = bytemuck::cast_slice(values);
        let (len, size) = (bytes.len() as u64, range.size);
        let out_of_bounds = AccessError::OutOfBounds { offset, len, size };
        if offset.checked_add(len).is_none_or(|end| end > size) {
            return Err(out_of_bounds);
        }
        let buffer = self.buffer_of(range).ok_or(AccessError::Foreign)?;
        let base = range.mapped.ok_or(AccessError::NotMapped)?;
        let start = usize::try_from(offset).map_err(|_| out_of_bounds)?;
        // SAFETY: the offset lies inside the range, and the range inside the mapping (I1 of `range`).
        let target = unsafe { base.add(start) };
        // SAFETY: `len` bytes from `target` lie inside the range, which is alive (checked above) and stays so: it is
        // borrowed, and `clear` needs `&mut self`. Nobody else has its bytes (I2 of `range`); the source is a slice.
        unsafe { target.as_ptr().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        self.allocator.flush(&buffer.allocation, range.offset + offset, len)
    }

    /// Forgets every range at once. All keys become stale; the buffers stay.
    pub fn clear(&mut self) {
        self.state.get_mut().clear();
    }

    /// Destroys the buffers in which nothing lives, and returns their bytes.
    pub fn trim(&self) -> u64 {
        let retired = self.state.lock().retire_empty();
        self.destroy(retired)
    }

    /// Returns the buffers, in the order of their places in the index.
    pub fn buffers(&self) -> Vec<vk::Buffer> {
        self.state.lock().buffers().map(|buffer| buffer.handle).collect()
    }

    /// Returns what the arena holds. The largest free range costs a walk through one list.
    pub fn statistics(&self) -> ArenaStatistics {
        let state = self.state.lock();
        ArenaStatistics {
            buffer_count: state.buffer_count(),
            reserved_bytes: state.suballocator.region_bytes(),
            empty_bytes: state.suballocator.empty_region_bytes(),
            range_count: state.suballocator.range_count(),
            requested_bytes: state.requested_bytes,
            used_bytes: state.suballocator.used_bytes(),
            largest_free_range: state.suballocator.largest_free_range(),
            host_bytes: state.suballocator.host_bytes(),
        }
    }

    /// Checks every invariant: for tests and for finding bugs. Linear in all ranges.
    ///
    /// # Errors
    /// The first invariant that does not hold, in words.
    pub fn validate(&self) -> Result<(), String> {
        self.state.lock().validate()
    }

    fn hand_out(&self, state: &State, placed: Placed, fit: &Fit) -> ArenaRange {
        let Placed { region, start, key } = placed;
        debug_assert_eq!(start % fit.alignment(), 0);
        let buffer = state.buffer(region).expect("S1: a region has its buffer");
        let has_own_atoms =
            !buffer.allocation.is_non_coherent() || self.info.memory.host_access() == HostAccess::Needed;
        ArenaRange {
            buffer: buffer.handle,
            offset: start,
            size: fit.size(),
            address: buffer.address.map(|base| base + start),
            mapped: if has_own_atoms { mapped_at(buffer, start) } else { None },
            key,
            home: self.home(state),
        }
    }

    fn home(&self, state: &State) -> Home {
        Home { arena: self.id, epoch: state.epoch }
    }

    /// Returns the buffer of a range that is alive here.
    fn buffer_of(&self, range: &ArenaRange) -> Option<Arc<ArenaBuffer>> {
        let state = self.state.lock();
        let spot = state.suballocator.resolve(range.key).filter(|_| range.home == self.home(&state))?;
        state.buffer(spot.region).cloned()
    }
}

/// Returns the host's address of an offset inside a buffer.
#[expect(unsafe_code, reason = "offsets a mapped address")]
fn mapped_at(buffer: &ArenaBuffer, offset: u64) -> Option<core::ptr::NonNull<u8>> {
    let base = buffer.allocation.mapped_ptr()?;
    let offset = usize::try_from(offset).ok()?;
    // SAFETY: the offset is that of a range inside the buffer, whose allocation is mapped as a whole.
    Some(unsafe { base.add(offset) })
}

impl<A: AllocatorRef> Drop for Arena<A> {
    /// Destroys all buffers; ranges that still exist are stale by then.
    fn drop(&mut self) {
        let retired = self.state.get_mut().retire_all();
        self.destroy(retired);
    }
}

impl<A: AllocatorRef> fmt::Debug for Arena<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arena").field("id", &self.id).field("statistics", &self.statistics()).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[expect(unsafe_code, reason = "makes an allocator and an arena on the simulated driver")]
mod tests {
    use super::*;
    use crate::allocator::{Allocator, AllocatorCreateInfo};
    use crate::sim::{Profile, SimDevice};

    #[test]
    fn a_broken_invariant_is_said() {
        let vulkan = SimDevice::new(Profile::unified());
        let (device, physical_device) = (vulkan.device(), vulkan.physical_device());
        let info = AllocatorCreateInfo::new(vulkan.entry(), vulkan.instance(), physical_device, device);
        // SAFETY: the objects belong together and outlive the allocator.
        let allocator = unsafe { Allocator::new(info) }.expect("a simulated device serves an allocator");
        let usage = vk::BufferUsageFlags::VERTEX_BUFFER;
        // SAFETY: the usage is valid for buffers of any size; the GPU never sees a range.
        let arena = unsafe { Arena::new(&allocator, &ArenaCreateInfo::new(usage)) }.expect("a sound description");
        assert_eq!(arena.validate(), Ok(()));
        arena.state.lock().requested_bytes += 1;
        let said = arena.validate().expect_err("nothing is used");
        assert!(said.starts_with("S2: 1 bytes were asked for"), "{said}");
    }
}
