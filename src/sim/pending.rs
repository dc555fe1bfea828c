//! What is still in use on the queues, as far as the application can know.
//!
//! A submission is carried out at once, but an application may only rely on that after it has waited: for the fence, for a
//! timeline semaphore's value, for the queue or for the device. Until then the resources that its commands use, and the
//! memory under them, are *pending* and must not be destroyed or freed.
//!
//! ```text
//!   vkQueueSubmit ──► Submission { queue, fence, semaphores, uses } ──► wait, status, value ──► completed, with all before
//! ```
//!
//! Invariant (I1): submissions are listed in the order in which they came; completing one completes all before it on the
//! same queue, as the signal operations of Vulkan promise.
//!
//! # Source
//!
//! "Implicit Synchronization Guarantees" in the Vulkan specification; VUID-vkFreeMemory-memory-00677,
//! VUID-vkDestroyBuffer-buffer-00922, VUID-vkDestroyImage-image-01000.

use super::handle::ObjectKind;
use super::world::{ResourceId, World};
use ash::vk;
use ash::vk::Handle;
use std::collections::BTreeSet;

/// One call of `vkQueueSubmit`.
#[derive(Default)]
pub(super) struct Submission {
    /// The queue, by its address.
    pub(super) queue: usize,
    pub(super) fence: u64,
    /// Timeline semaphores and the values that they reach.
    pub(super) semaphores: Vec<(u64, u64)>,
    /// Resources, and the memory to which they were bound.
    pub(super) uses: BTreeSet<ResourceId>,
}

/// All submissions that nobody has waited for.
#[derive(Default)]
pub(super) struct Pending {
    submissions: Vec<Submission>,
}

impl Pending {
    /// Lists a submission; one that uses nothing is of no interest.
    pub(super) fn push(&mut self, submission: Submission) {
        if !submission.uses.is_empty() {
            self.submissions.push(submission);
        }
    }

    /// Tells whether an object is in use.
    pub(super) fn uses(&self, kind: ObjectKind, handle: u64) -> bool {
        self.submissions.iter().any(|submission| submission.uses.contains(&ResourceId { kind, handle }))
    }

    /// The fence was seen signaled.
    pub(super) fn saw_fence(&mut self, fence: vk::Fence) {
        self.complete(|submission| submission.fence == fence.as_raw());
    }

    /// The timeline semaphore was seen at this value.
    pub(super) fn saw_semaphore(&mut self, semaphore: vk::Semaphore, value: u64) {
        self.complete(|submission| {
            submission.semaphores.iter().any(|(other, reached)| *other == semaphore.as_raw() && *reached <= value)
        });
    }

    /// The queue was seen idle.
    pub(super) fn saw_queue_idle(&mut self, queue: usize) {
        self.submissions.retain(|submission| submission.queue != queue);
    }

    /// The device was seen idle.
    pub(super) fn saw_device_idle(&mut self) {
        self.submissions.clear();
    }

    /// Completes the submissions for which something was seen, and those before them on their queues (I1).
    fn complete(&mut self, is_seen: impl Fn(&Submission) -> bool) {
        while let Some(last) = self.submissions.iter().rposition(&is_seen) {
            let queue = self.submissions[last].queue;
            let mut place = 0;
            self.submissions.retain(|submission| {
                place += 1;
                submission.queue != queue || place > last + 1
            });
        }
    }
}

impl World {
    /// Returns a resource with the memory to which it is bound, as a submission uses them.
    pub(super) fn used(&mut self, id: ResourceId) -> impl Iterator<Item = ResourceId> + use<> {
        let binding = self.resources(id.kind).get(id.handle).ok().and_then(|resource| resource.binding);
        let memory = binding.map(|(handle, _)| ResourceId { kind: ObjectKind::DeviceMemory, handle });
        core::iter::once(id).chain(memory)
    }
}
