//! What releases itself when it is dropped, and the ready-made mixture of buffers and images.

use core::fmt;

use crate::resource::{AllocatorRef, Buffer, Image};

/// Says that dropping a value releases all that it stands for: [`RetireQueue::collect`] may do so.
///
/// Plain handles, [`Allocation`](crate::Allocation)s and frames of a ring do not release anything when dropped; they go
/// through [`RetireQueue::collect_with`]. Implement it for types of your own that do, an enum of owned resources for
/// instance.
///
/// [`RetireQueue::collect`]: super::RetireQueue::collect
/// [`RetireQueue::collect_with`]: super::RetireQueue::collect_with
pub trait ReleasedByDrop {}

impl<A: AllocatorRef> ReleasedByDrop for Buffer<A> {}
impl<A: AllocatorRef> ReleasedByDrop for Image<A> {}
impl<T: ReleasedByDrop + ?Sized> ReleasedByDrop for Box<T> {}
impl<T: ReleasedByDrop> ReleasedByDrop for Vec<T> {}
impl<T: ReleasedByDrop> ReleasedByDrop for Option<T> {}
impl<T: ReleasedByDrop, U: ReleasedByDrop> ReleasedByDrop for (T, U) {}

/// A buffer or an image, for a queue that holds both.
///
/// # Examples
/// ```
/// use freestone::{Allocator, Buffer, Image, RetireQueue, Retired};
///
/// fn replace<'a>(queue: &RetireQueue<Retired<&'a Allocator>>, buffer: Buffer<&'a Allocator>, image: Image<&'a Allocator>) {
///     queue.retire(buffer.into(), 7);
///     queue.retire(image.into(), 8);
/// }
/// ```
pub enum Retired<A: AllocatorRef> {
    /// A buffer.
    Buffer(Buffer<A>),
    /// An image.
    Image(Image<A>),
}

impl<A: AllocatorRef> ReleasedByDrop for Retired<A> {}

impl<A: AllocatorRef> From<Buffer<A>> for Retired<A> {
    fn from(buffer: Buffer<A>) -> Self {
        Self::Buffer(buffer)
    }
}

impl<A: AllocatorRef> From<Image<A>> for Retired<A> {
    fn from(image: Image<A>) -> Self {
        Self::Image(image)
    }
}

impl<A: AllocatorRef> fmt::Debug for Retired<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Buffer(buffer) => buffer.fmt(f),
            Self::Image(image) => image.fmt(f),
        }
    }
}
