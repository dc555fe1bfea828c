//! What is still in use on the queues, as far as the application can know.
//!
//! A submission is carried out at once, but an application may only rely on that after it has waited: for the fence,
//! for a timeline semaphore's value, for the queue or for the device. Until then the resources that its commands use,
//! and the memory under them, are *pending* and must not be destroyed or freed.
//!
//! ```text
//!   vkQueueSubmit ──► Submission { queue, fence, waits, signals, uses } ──► wait, status, value ──► completed, with all before
//! ```
//!
//! Invariants: (I1) submissions are listed in the order in which they came; completing one completes all before it on
//! the same queue, as the signal operations of Vulkan promise; (I2) completing one that waited for a semaphore
//! completes what signaled it, on whatever queue.
//!
//! # Source
//!
//! "Implicit Synchronization Guarantees" in the Vulkan specification; VUID-vkFreeMemory-memory-00677,
//! VUID-vkDestroyBuffer-buffer-00922, VUID-vkDestroyImage-image-01000.

use super::handle::ObjectKind;
use super::world::{ResourceId, Semaphore, World};
use std::collections::BTreeSet;

/// One batch of a call of `vkQueueSubmit`. Of semaphores it has the values; those of a binary one are counted here.
#[derive(Default)]
pub(super) struct Submission {
    /// The queue, by its address.
    pub(super) queue: usize,
    /// The fence of the call, if this is its last batch.
    pub(super) fence: u64,
    /// Semaphores and the values that they had to reach before.
    pub(super) waits: Vec<(u64, u64)>,
    /// Semaphores and the values that they reach after.
    pub(super) signals: Vec<(u64, u64)>,
    /// Command buffers, resources, and the memory to which they were bound.
    pub(super) uses: BTreeSet<ResourceId>,
}

/// What somebody saw, and what it may tell of submissions.
#[derive(Clone, Copy)]
pub(super) enum Seen {
    /// The fence is signaled.
    Fence(u64),
    /// The semaphore has at least this value.
    Semaphore(u64, u64),
    /// The queue, by its address, is idle.
    Queue(usize),
}

impl Seen {
    /// Tells whether the submission must have been completed.
    fn tells_of(self, submission: &Submission) -> bool {
        match self {
            Self::Fence(fence) => submission.fence == fence,
            Self::Semaphore(semaphore, value) => {
                submission.signals.iter().any(|(other, reached)| *other == semaphore && *reached <= value)
            }
            Self::Queue(queue) => submission.queue == queue,
        }
    }
}

/// All submissions that nobody has waited for.
#[derive(Default)]
pub(super) struct Pending {
    submissions: Vec<Submission>,
}

impl Pending {
    /// Lists a submission; one whose end tells of nothing that is in use is of no interest.
    pub(super) fn push(&mut self, submission: Submission) {
        let is_behind = self.submissions.iter().any(|other| other.queue == submission.queue);
        if is_behind || !submission.uses.is_empty() || !submission.waits.is_empty() {
            self.submissions.push(submission);
        }
    }

    /// Tells whether an object is in use.
    pub(super) fn uses(&self, kind: ObjectKind, handle: u64) -> bool {
        self.submissions.iter().any(|submission| submission.uses.contains(&ResourceId { kind, handle }))
    }

    /// The device was seen idle.
    pub(super) fn saw_device_idle(&mut self) {
        self.submissions.clear();
    }

    /// Takes the submission at a place and those before it on its queue out (I1).
    fn take_until(&mut self, last: usize) -> Vec<Submission> {
        let queue = self.submissions[last].queue;
        let behind = self.submissions.split_off(last + 1);
        let (done, mut kept): (Vec<_>, Vec<_>) =
            core::mem::take(&mut self.submissions).into_iter().partition(|submission| submission.queue == queue);
        kept.extend(behind);
        self.submissions = kept;
        done
    }
}

impl World {
    /// Tells whether something that was submitted to a queue waits for what is to come.
    pub(super) fn is_behind(&self, queue: usize) -> bool {
        let own = self.pending.submissions.iter().filter(|submission| submission.queue == queue);
        own.flat_map(|submission| &submission.waits).any(|&wait| self.is_to_come(wait))
    }

    /// Completes the submissions of which something tells that was seen, and all that had to be before them (I1, I2).
    pub(super) fn saw(&mut self, seen: Seen) {
        let mut sights = vec![self.passed(seen)];
        while let Some(&seen) = sights.last() {
            let Some(last) = self.pending.submissions.iter().rposition(|submission| seen.tells_of(submission)) else {
                sights.pop();
                continue;
            };
            for (semaphore, value) in self.pending.take_until(last).into_iter().flat_map(|done| done.waits) {
                sights.push(self.passed(Seen::Semaphore(semaphore, value)));
            }
        }
    }

    /// Raises what is known of a semaphore to the next value that it was given: it cannot have stopped in between.
    fn passed(&mut self, seen: Seen) -> Seen {
        match seen {
            Seen::Semaphore(handle, value) => {
                let step = self.semaphores.get_mut(handle).ok().and_then(|semaphore| semaphore.step(value));
                Seen::Semaphore(handle, step.unwrap_or(value))
            }
            other => other,
        }
    }

    /// Returns a resource with the memory to which it is bound, as a submission uses them.
    pub(super) fn used(&mut self, id: ResourceId) -> impl Iterator<Item = ResourceId> + use<> {
        let binding = self.resources(id.kind).get(id.handle).ok().and_then(|resource| resource.binding);
        let memory = binding.map(|(handle, _)| ResourceId { kind: ObjectKind::DeviceMemory, handle });
        core::iter::once(id).chain(memory)
    }
}

impl Semaphore {
    /// Returns the first value of at least `awaited` that a timeline was given, and forgets those below.
    fn step(&mut self, awaited: u64) -> Option<u64> {
        let below = self.steps.partition_point(|step| *step < awaited);
        self.steps.drain(..below);
        self.steps.front().copied()
    }
}
