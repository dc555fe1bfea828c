//! What lives in a soak: a buffer, an image or plain memory, full of a pattern of its own.
//!
//! Contents are written and read by the host where memory is mapped, and by the device; who writes and who reads is
//! drawn anew each time. Plain memory shows itself to the device through a buffer that aliases it.
//!
//! Invariant: the first `known` bytes hold the pattern.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ash::vk;
use freestone::{AccessError, Allocation, AllocationError, Allocator, FreeError};

use super::gpu::{Gpu, Picture};
use super::pattern;
use super::shadow::Shadow;
use super::upsets::Upsets;
use crate::vulkan::Counter;

/// A whole number of these, in bytes, is what a buffer requires whose size is one. Source: the largest alignment that
/// drivers are seen to ask of a transfer buffer.
const WITNESS_UNIT: u64 = 256;
/// So often is a flush or an invalidate tried that the driver was told to fail. By taste; failures come singly.
const TRIES: u32 = 64;

/// What all threads of an episode share.
pub(crate) struct Ground<'a> {
    pub(crate) allocator: &'a Allocator,
    pub(crate) device: &'a ash::Device,
    pub(crate) counter: &'a Counter,
    pub(crate) gpu: Mutex<Gpu<'a>>,
    pub(crate) shadow: Mutex<Shadow>,
    /// Where the driver is simulated.
    pub(crate) upsets: Option<Upsets>,
    /// Whether buffers may have a device address.
    pub(crate) has_addresses: bool,
    /// Whether one thread works: then counters can be compared before and after.
    pub(crate) is_alone: bool,
}

/// One lifetime.
#[derive(Debug)]
pub(crate) struct Thing {
    pub(crate) shape: Shape,
    pub(crate) memory: Allocation,
    pub(crate) pattern: u32,
    pub(crate) known: u64,
    pub(crate) name: Option<String>,
    /// The custom pool it came from, by its place.
    pub(crate) pool: Option<usize>,
}

/// What is bound to the memory.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// A buffer of so many bytes, in whole words.
    Buffer(vk::Buffer, u64),
    /// An image whose texels are words.
    Image(Picture),
    /// An attachment that holds nothing between two render passes.
    Attachment(vk::Image),
    /// Nothing.
    Memory,
}

/// Who writes or reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hand {
    Host,
    Device,
}

impl<'a> Ground<'a> {
    /// Fills a thing with its pattern.
    ///
    /// # Errors
    /// Whatever stood in the way, which nothing should.
    pub(crate) fn fill(&self, thing: &mut Thing, hand: Hand) -> Result<(), String> {
        let (is_mapped, word) = (thing.memory.mapped_ptr().is_some(), thing.pattern);
        thing.known = match thing.shape {
            Shape::Attachment(_) => 0,
            Shape::Image(picture) => {
                self.gpu().fill_image(picture, word)?;
                4 * u64::from(picture.1) * u64::from(picture.2)
            }
            Shape::Buffer(_, size) if is_mapped && hand == Hand::Host => self.fill_mapped(thing, size)?,
            Shape::Buffer(buffer, size) => {
                self.gpu().fill_buffer(buffer, size, word)?;
                size
            }
            Shape::Memory if is_mapped && hand == Hand::Host => self.fill_mapped(thing, thing.memory.size())?,
            Shape::Memory => match self.with_witness(thing, thing.memory.size(), |gpu, buffer, size| {
                gpu.fill_buffer(buffer, size, word).map(|()| size)
            })? {
                Some(size) => size,
                None if is_mapped => self.fill_mapped(thing, thing.memory.size())?,
                None => 0,
            },
        };
        Ok(())
    }

    /// Compares a thing with its pattern. Returns how many bytes were compared.
    ///
    /// # Errors
    /// Where they differ, and what is there.
    pub(crate) fn check(&self, thing: &Thing, hand: Hand) -> Result<u64, String> {
        let (is_mapped, word) = (thing.memory.mapped_ptr().is_some(), thing.pattern);
        if thing.name.is_some() && self.allocator.name_of(&thing.memory) != thing.name {
            return Err(format!("{thing:?} is named {:?}", self.allocator.name_of(&thing.memory)));
        }
        let difference = match thing.shape {
            _ if thing.known == 0 => return Ok(0),
            Shape::Attachment(_) => return Ok(0),
            Shape::Image(picture) => self.gpu().difference_in_image(picture, word)?,
            Shape::Buffer(..) | Shape::Memory if is_mapped && hand == Hand::Host => self.difference_in_mapped(thing)?,
            Shape::Buffer(buffer, size) => self.gpu().difference_in_buffer((buffer, size), word)?,
            Shape::Memory => {
                let look = |gpu: &mut Gpu<'a>, buffer, size| gpu.difference_in_buffer((buffer, size), word);
                self.with_witness(thing, thing.known, look)?.flatten()
            }
        };
        match difference {
            None => Ok(thing.known),
            Some((at, found)) => Err(format!("byte {at} of {thing:?} begins {found:#010x}: somebody else wrote there")),
        }
    }

    /// Destroys a thing, which the shadow forgets first.
    ///
    /// # Errors
    /// It is not where it was, or the allocator does not know it.
    pub(crate) fn destroy(&self, thing: Thing) -> Result<(), String> {
        lock(&self.shadow).strike(&thing.memory)?;
        self.destroy_unseen(thing).map_err(|error| format!("what lives cannot be freed: {error}"))
    }

    /// Destroys a thing, whatever the shadow knows.
    pub(crate) fn destroy_unseen(&self, thing: Thing) -> Result<(), FreeError> {
        match thing.shape {
            // SAFETY: made by this allocator; the device is done: `Gpu` waits.
            Shape::Buffer(buffer, _) => unsafe { self.allocator.destroy_buffer(buffer, thing.memory) },
            // SAFETY: as above.
            Shape::Image((image, ..)) | Shape::Attachment(image) => unsafe {
                self.allocator.destroy_image(image, thing.memory)
            },
            Shape::Memory => self.allocator.free(thing.memory),
        }
    }

    fn gpu(&self) -> MutexGuard<'_, Gpu<'a>> {
        lock(&self.gpu)
    }

    fn fill_mapped(&self, thing: &mut Thing, size: u64) -> Result<u64, String> {
        for (offset, bytes) in pattern::pieces(size, thing.pattern) {
            // The device may have written here: for this owner, or for one before. Atoms are taken over before they
            // are written, as a cache would.
            persist(|| self.allocator.invalidate(&thing.memory, offset, bytes.len() as u64))?;
            thing.memory.write(offset, &bytes).map_err(|error| format!("a write: {error}"))?;
            persist(|| self.allocator.flush(&thing.memory, offset, bytes.len() as u64))?;
        }
        Ok(size)
    }

    fn difference_in_mapped(&self, thing: &Thing) -> Result<Option<(u64, u32)>, String> {
        for (offset, expected) in pattern::pieces(thing.known, thing.pattern) {
            persist(|| self.allocator.invalidate(&thing.memory, offset, expected.len() as u64))?;
            let mut found = vec![0_u8; expected.len()];
            // SAFETY: all known bytes were written; the device is done, with a barrier to the host behind its writes;
            // the range was invalidated just now.
            unsafe { thing.memory.read(offset, &mut found) }.map_err(|error| format!("a read: {error}"))?;
            if let Some(at) = found.iter().zip(&expected).position(|(found, expected)| found != expected) {
                return Ok(Some((offset + at as u64, u32::from(found[at]))));
            }
        }
        Ok(None)
    }

    /// Looks at the first bytes of plain memory through a buffer that aliases them; `None` where no buffer may lie
    /// there.
    fn with_witness<R>(
        &self,
        thing: &Thing,
        bytes: u64,
        look: impl FnOnce(&mut Gpu<'a>, vk::Buffer, u64) -> Result<R, String>,
    ) -> Result<Option<R>, String> {
        let size = bytes / WITNESS_UNIT * WITNESS_UNIT;
        if size == 0 {
            return Ok(None);
        }
        let info = transfer_buffer(size);
        // SAFETY: the create-info is valid; the buffer is destroyed below, before the allocation is freed; every use
        // is waited for.
        let buffer = match unsafe { self.allocator.create_aliasing_buffer(&info, &thing.memory, 0) } {
            Ok(buffer) => buffer,
            Err(AllocationError::Alias(_) | AllocationError::Resource(_)) => return Ok(None),
            Err(error) => return Err(format!("an aliasing buffer: {error}")),
        };
        let seen = look(&mut lock(&self.gpu), buffer, size);
        // SAFETY: made above; the device is done with it.
        unsafe { self.device.destroy_buffer(buffer, None) };
        seen.map(Some)
    }
}

/// Describes a buffer that can be filled and copied.
pub(crate) fn transfer_buffer(size: u64) -> vk::BufferCreateInfo<'static> {
    let usage = vk::BufferUsageFlags::TRANSFER_SRC | vk::BufferUsageFlags::TRANSFER_DST;
    vk::BufferCreateInfo::default().size(size).usage(usage)
}

/// Takes a lock, whoever panicked under it: a finding is reported in any case.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Repeats a call that the driver may have been told to fail.
fn persist(mut call: impl FnMut() -> Result<(), AccessError>) -> Result<(), String> {
    let mut outcome = call();
    for _ in 0..TRIES {
        let Err(AccessError::Driver(_)) = outcome else { break };
        outcome = call();
    }
    outcome.map_err(|error| error.to_string())
}
