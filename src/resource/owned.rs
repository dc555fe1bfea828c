//! Buffers and images that own their memory and go when they are dropped.
//!
//! The promise "the GPU is done before this is dropped" is made once, when they are created.

use core::fmt;
use core::mem::{ManuallyDrop, MaybeUninit};
use core::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use ash::vk;
use bytemuck::{AnyBitPattern, NoUninit, Pod};

use super::Resource;
use crate::allocator::{AccessError, Allocation, AllocationCreateInfo, AllocationError, Allocator};

mod sealed {
    #[expect(unnameable_types, reason = "that nobody else can name it is what seals")]
    pub trait Sealed {}
}

/// How an owned resource reaches its allocator: `&`, `Arc`, `Rc` or `Box`. Sealed: each keeps the allocator in place.
pub trait AllocatorRef: Deref<Target = Allocator> + sealed::Sealed {}

macro_rules! allocator_refs {
    ($($reference:ty),*) => {
        $(impl sealed::Sealed for $reference {}
        impl AllocatorRef for $reference {})*
    };
}

allocator_refs!(&Allocator, Arc<Allocator>, Rc<Allocator>, Box<Allocator>);

/// A resource with its memory; what buffers and images have in common.
struct Owned<A: AllocatorRef> {
    resource: Resource,
    allocation: ManuallyDrop<Allocation>,
    allocator: A,
}

impl<A: AllocatorRef> Owned<A> {
    fn new(resource: Resource, allocation: Allocation, allocator: A) -> Self {
        Self { resource, allocation: ManuallyDrop::new(allocation), allocator }
    }

    /// Gives up ownership without destroying anything.
    fn into_parts(self) -> (Allocation, A) {
        let mut owned = ManuallyDrop::new(self);
        // SAFETY: it is taken once, here; `owned` is never dropped, so nothing reads it afterwards.
        let allocation = unsafe { ManuallyDrop::take(&mut owned.allocation) };
        // SAFETY: it is read once, here; `owned` is never dropped, so nothing else drops it.
        let allocator = unsafe { core::ptr::read(&raw const owned.allocator) };
        (allocation, allocator)
    }
}

impl<A: AllocatorRef> Drop for Owned<A> {
    fn drop(&mut self) {
        // SAFETY: it is taken once, here; nothing reads it afterwards.
        let allocation = unsafe { ManuallyDrop::take(&mut self.allocation) };
        let destroyed = self.allocator.destroy(self.resource, allocation);
        debug_assert!(destroyed.is_ok(), "an owned resource is freed by the allocator that made it");
    }
}

/// What both kinds of owned resource offer.
macro_rules! owned_resource {
    ($name:ident, $handle:ty, $create_info:ty, $create:ident, $destroy:ident, $variant:ident, $noun:literal) => {
        impl<A: AllocatorRef> $name<A> {
            #[doc = concat!("Creates ", $noun, " with its memory.")]
            ///
            /// # Errors
            #[doc = concat!("As [`Allocator::", stringify!($create), "`].")]
            ///
            /// # Safety
            /// 1. The create-info and its pNext chain are valid for the allocator's device.
            /// 2. The GPU is done with the resource before the value is dropped, and where its parts are taken out,
            ///    before they are destroyed or the allocation is freed.
            /// 3. The device outlives the value.
            ///
            /// Where this fails, the reference is dropped: one in a `Box` takes the allocator with it.
            pub unsafe fn new(
                allocator: A,
                resource_info: &$create_info,
                info: &AllocationCreateInfo<'_>,
            ) -> Result<Self, AllocationError> {
                // SAFETY: duties 1 and 2.
                let (handle, allocation) = unsafe { allocator.$create(resource_info, info) }?;
                Ok(Self { handle, owned: Owned::new(Resource::$variant(handle), allocation, allocator) })
            }

            /// Returns the Vulkan handle; it is destroyed with this value.
            pub fn handle(&self) -> $handle {
                self.handle
            }

            /// Returns the memory.
            pub fn allocation(&self) -> &Allocation {
                &self.owned.allocation
            }

            /// Gives up ownership: the parts are destroyed with
            #[doc = concat!("[`Allocator::", stringify!($destroy), "`].")]
            pub fn into_parts(self) -> ($handle, Allocation, A) {
                let (allocation, allocator) = self.owned.into_parts();
                (self.handle, allocation, allocator)
            }

            /// Returns the bytes of the memory, which may be more than the resource itself has.
            pub fn size(&self) -> u64 {
                self.owned.allocation.size()
            }

            /// Names its memory, or names it anew.
            ///
            /// # Complexity
            /// As [`Allocator::set_name`].
            pub fn set_name(&mut self, name: &str) {
                let Owned { allocation, allocator, .. } = &mut self.owned;
                let named = allocator.set_name(allocation, name);
                debug_assert!(named.is_ok(), "the allocator that made it has it");
            }

            /// Makes device writes visible to the host where memory is not coherent, and copies them.
            ///
            /// # Errors
            /// As [`Allocator::read`].
            ///
            /// # Safety
            /// As [`Allocator::read`].
            pub unsafe fn read<T: AnyBitPattern + NoUninit>(
                &self,
                offset: u64,
                values: &mut [T],
            ) -> Result<(), AccessError> {
                // SAFETY: the caller's duties.
                unsafe { self.owned.allocator.read(&self.owned.allocation, offset, values) }
            }

            /// Writes values, and flushes them where memory is not coherent.
            ///
            /// # Errors
            /// As [`Allocator::write`].
            pub fn write<T: NoUninit>(&mut self, offset: u64, values: &[T]) -> Result<(), AccessError> {
                let Owned { allocation, allocator, .. } = &mut self.owned;
                allocator.write(allocation, offset, values)
            }

            /// Lends bytes in place, to be written: as [`Allocation::uninit_slice_mut`]. [`flush`](Self::flush) them.
            ///
            /// # Errors
            /// As [`Allocation::uninit_slice_mut`].
            pub fn uninit_slice_mut<T: Copy>(
                &mut self,
                offset: u64,
                count: usize,
            ) -> Result<&mut [MaybeUninit<T>], AccessError> {
                self.owned.allocation.uninit_slice_mut(offset, count)
            }

            /// Lends values in place, zeroed first: as [`Allocation::zeroed_slice_mut`]. [`flush`](Self::flush) them.
            ///
            /// # Errors
            /// As [`Allocation::zeroed_slice_mut`].
            pub fn zeroed_slice_mut<T: Pod>(&mut self, offset: u64, count: usize) -> Result<&mut [T], AccessError> {
                self.owned.allocation.zeroed_slice_mut(offset, count)
            }

            /// Makes device writes visible to the host where memory is not coherent, and lends the values in place.
            ///
            /// # Errors
            /// As [`Allocation::slice`], and as [`Allocator::invalidate`].
            ///
            /// # Safety
            /// As [`Allocation::slice`]; the invalidation is made here.
            pub unsafe fn slice<T: AnyBitPattern>(&self, offset: u64, count: usize) -> Result<&[T], AccessError> {
                let bytes = (count as u64).saturating_mul(size_of::<T>() as u64);
                self.owned.allocator.invalidate(&self.owned.allocation, offset, bytes)?;
                // SAFETY: the caller's duties; the range was invalidated just now.
                unsafe { self.owned.allocation.slice(offset, count) }
            }

            /// Makes what was written in place visible to the device: as [`Allocator::flush`].
            ///
            /// # Errors
            /// As [`Allocator::flush`].
            pub fn flush(&self, offset: u64, size: u64) -> Result<(), AccessError> {
                self.owned.allocator.flush(&self.owned.allocation, offset, size)
            }
        }

        impl<A: AllocatorRef> fmt::Debug for $name<A> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("handle", &self.handle)
                    .field("allocation", &*self.owned.allocation)
                    .finish()
            }
        }
    };
}

/// A buffer with its memory, destroyed when dropped.
pub struct Buffer<A: AllocatorRef> {
    handle: vk::Buffer,
    owned: Owned<A>,
}

owned_resource!(Buffer, vk::Buffer, vk::BufferCreateInfo<'_>, create_buffer, destroy_buffer, Buffer, "a buffer");

impl<A: AllocatorRef> Buffer<A> {
    /// Lends the memory to be written. Whoever is lent it leaves it where it is: another in its place would be freed
    /// with this buffer, so it never gets out of the crate.
    pub(crate) fn allocation_mut(&mut self) -> &mut Allocation {
        &mut self.owned.allocation
    }
}

/// An image with its memory, destroyed when dropped.
pub struct Image<A: AllocatorRef> {
    handle: vk::Image,
    owned: Owned<A>,
}

owned_resource!(Image, vk::Image, vk::ImageCreateInfo<'_>, create_image, destroy_image, Image, "an image");
