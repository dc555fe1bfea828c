//! Floor 7: keeps what the GPU may still use, and lets it go when the GPU has passed a point.
//!
//! ```text
//!   retire(resource, point) ──► [ heap: by era, lowest point first; equal points in the order of retiring ]
//!   retire(resource, MAX) ────► [ queue of what waits until the device is idle, in the order of retiring ]
//!   collect(completed) ──────►    every resource whose point is at most `completed`: dropped, or handed to the caller
//! ```
//!
//! A *point* is whatever the application counts its submissions in: the value of a timeline semaphore, or a number
//! that stands for a fence. Nothing here waits, and nothing here asks the driver.
//!
//! Invariants:
//! - I1: a resource leaves the queue through a `collect`, and only after a completed point that is at least its own, or
//!   after the device was idle behind its retiring.
//! - I2: no lock is held while a resource is dropped or handed over: releasing one may retire others.
//! - I3: the storage only grows when more resources wait than ever before, those at `u64::MAX` by themselves: a steady
//!   state makes no heap call.
//! - I4: collecting up to `u64::MAX`, because the device is idle, completes no point: work at the same points may be
//!   submitted behind it. It ends an *era*: all that was retired in it, or before, is due. Any other point is taken at
//!   its word.
//! - I5: what is retired during a `collect` hides nothing older from it: it stands behind earlier eras, and in its own
//!   its point counts as no lower than `completed` then, so it stands behind all that was due.
//!
//! What it does not do: it cannot tell that a plain handle was retired twice. What is move-only (owned buffers and
//! images, allocations, frames of a ring) cannot be: the second time does not compile.

#![forbid(unsafe_code)]

mod resource;

use core::cmp::Ordering;
use core::fmt;
use core::mem;
use std::collections::{BinaryHeap, VecDeque};

pub use self::resource::{ReleasedByDrop, Retired};
use crate::sync::Mutex;

/// A function of the user that hears what a dropped queue leaks.
type LeakCallback = Box<dyn Fn(&RetireLeak) + Send + Sync>;

/// Keeps resources until the GPU has passed the points at which they were retired.
///
/// `Send` and `Sync` where the resources are `Send`; every method takes `&self`. Different kinds of resources share a
/// queue by way of an enum: [`Retired`] for buffers and images, or one of your own. `T` is stored by value, so mixing
/// them costs no heap call.
///
/// # Examples
/// ```
/// # use freestone::{sim, ash::vk};
/// use freestone::{AllocationCreateInfo, Allocator, AllocatorCreateInfo, Buffer, RetireQueue};
///
/// # let vulkan = sim::SimDevice::new(sim::Profile::unified());
/// # let info = AllocatorCreateInfo::new(vulkan.entry(), vulkan.instance(), vulkan.physical_device(), vulkan.device());
/// # // SAFETY: the objects belong together and outlive the allocator.
/// # let allocator = unsafe { Allocator::new(info) }?;
/// let queue = RetireQueue::new();
/// let info = vk::BufferCreateInfo::default().size(1024).usage(vk::BufferUsageFlags::VERTEX_BUFFER);
/// // SAFETY: the create-info is valid; the buffer is dropped only by `collect`, when the GPU is done with it.
/// let buffer = unsafe { Buffer::new(&allocator, &info, &AllocationCreateInfo::gpu_only()) }?;
///
/// queue.retire(buffer, 7); // used for the last time by the work that signals 7
/// assert_eq!(queue.collect(6).released_count, 0);
/// assert_eq!(queue.collect(7).released_count, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Pairs, and whatever must be handed back to somebody, are handed over:
///
/// ```
/// # use freestone::{sim, ash::vk, Allocator, AllocatorCreateInfo, AllocationCreateInfo};
/// use freestone::{Allocation, RetireQueue};
///
/// # let vulkan = sim::SimDevice::new(sim::Profile::unified());
/// # let info = AllocatorCreateInfo::new(vulkan.entry(), vulkan.instance(), vulkan.physical_device(), vulkan.device());
/// # // SAFETY: the objects belong together and outlive the allocator.
/// # let allocator = unsafe { Allocator::new(info) }?;
/// # let info = vk::BufferCreateInfo::default().size(1024).usage(vk::BufferUsageFlags::VERTEX_BUFFER);
/// let queue: RetireQueue<(vk::Buffer, Allocation)> = RetireQueue::new();
/// // SAFETY: the create-info is valid.
/// queue.retire(unsafe { allocator.create_buffer(&info, &AllocationCreateInfo::gpu_only()) }?, 7);
///
/// let collected = queue.collect_with(7, 100, |(buffer, memory)| {
///     // SAFETY: the buffer is alive, and the GPU has passed the last work that uses it.
///     unsafe { allocator.destroy_buffer(buffer, memory) }.expect("this allocator made it");
/// });
/// assert_eq!((collected.released_count, collected.left_count), (1, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RetireQueue<T> {
    state: Mutex<State<T>>,
    leak_callback: Option<LeakCallback>,
}

struct State<T> {
    waiting: BinaryHeap<Entry<T>>,
    /// What was retired at `u64::MAX`.
    until_idle: VecDeque<Entry<T>>,
    /// The highest completed point heard of, `u64::MAX` aside.
    completed: u64,
    /// How often the device was idle (I4).
    era: u64,
    /// How often something was retired: orders equal points.
    retired_count: u64,
}

struct Entry<T> {
    /// The era in which it was retired.
    era: u64,
    /// The point given, or the one completed when it was retired, if that is higher (I5).
    point: u64,
    number: u64,
    resource: T,
}

/// What one `collect` may take: earlier eras, and its own up to a point, of what was retired before it began.
#[derive(Clone, Copy)]
struct Due {
    era: u64,
    point: u64,
    before: u64,
}

/// What one [`RetireQueue::collect`] did, and what it left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Collected {
    /// How many resources were released by this call.
    pub released_count: usize,
    /// How many are still in the queue, due or not.
    pub left_count: usize,
    /// The lowest point that one of those waits for, as [`RetireQueue::next_point`] says it.
    pub next_point: Option<u64>,
    /// Whether one of those is due already: the limit was reached, or `release` retired it. Collect again. What
    /// `release` retires while the device is idle is not due by that, but by the next `collect(u64::MAX)`: to drain a
    /// queue at the end, collect until `left_count` is 0.
    pub is_more_due: bool,
}

/// What a queue held when it was dropped. The GPU may still use it: it is leaked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetireLeak {
    /// How many resources were leaked.
    pub count: usize,
    /// The lowest point that one of them waited for.
    pub oldest_point: u64,
    /// The highest completed point that the queue had heard of.
    pub completed_point: u64,
}

impl<T> RetireQueue<T> {
    /// Creates an empty queue; nothing is allocated yet.
    pub fn new() -> Self {
        Self::with_capacity(0)
    }

    /// Creates an empty queue with room for so many resources: the first that many are retired without a heap call, and
    /// the first that many at `u64::MAX`.
    pub fn with_capacity(count: usize) -> Self {
        let (waiting, until_idle) = (BinaryHeap::with_capacity(count), VecDeque::with_capacity(count));
        let state = State { waiting, until_idle, completed: 0, era: 0, retired_count: 0 };
        Self { state: Mutex::new(state), leak_callback: None }
    }

    /// Calls a function, instead of writing to the log, when the queue is dropped with resources in it.
    #[must_use]
    pub fn on_leak(mut self, callback: impl Fn(&RetireLeak) + Send + Sync + 'static) -> Self {
        self.leak_callback = Some(Box::new(callback));
        self
    }

    /// Takes a resource that the GPU is done with when it has passed `point`.
    ///
    /// Points may come in any order. One that has been collected already counts as the highest that has, and makes the
    /// resource due at once: it goes with the next `collect`, whatever that one is told, and never within this call,
    /// whose caller may hold locks. At `u64::MAX` it waits until the device is said to be idle by `collect(u64::MAX)`.
    ///
    /// # Complexity
    /// O(1) where points come in order, else O(log n); a heap call only where more resources wait than ever before,
    /// those at `u64::MAX` counted by themselves.
    pub fn retire(&self, resource: T, point: u64) {
        self.state.lock().retire(resource, point);
    }

    /// Drops everything whose point is at most `completed`.
    ///
    /// A completed point that is lower than an earlier one counts as the earlier one: threads may read a semaphore in
    /// one order and get here in another. `u64::MAX` stands for an idle device: all that was retired before is due from
    /// then on, and no point is completed by it. What is retired later waits for its own, even at the same points.
    ///
    /// # Complexity
    /// O(log n) for each resource released; no heap call.
    pub fn collect(&self, completed: u64) -> Collected
    where
        T: ReleasedByDrop,
    {
        self.collect_up_to(completed, usize::MAX)
    }

    /// Drops what is due, at most `limit` resources: bounds the time that one frame spends on it.
    pub fn collect_up_to(&self, completed: u64, limit: usize) -> Collected
    where
        T: ReleasedByDrop,
    {
        self.collect_with(completed, limit, drop)
    }

    /// Hands what is due to `release`, at most `limit` resources, lowest points first.
    ///
    /// `release` may use the queue. What it retires is left for a later call, so this one ends.
    ///
    /// # Panics
    /// Where `release` does; the resource in its hands is its own, all others stay in the queue.
    pub fn collect_with(&self, completed: u64, limit: usize, mut release: impl FnMut(T)) -> Collected {
        let due = self.state.lock().note_completed(completed);
        let mut released_count = 0;
        while released_count < limit {
            let Some(resource) = self.state.lock().take_due(due) else { break };
            release(resource);
            released_count += 1;
        }
        self.state.lock().report(released_count)
    }

    /// Returns how many resources wait.
    pub fn len(&self) -> usize {
        self.state.lock().len()
    }

    /// Returns whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the lowest point that a resource waits for; one that was due when it was retired, or that an idle device
    /// made due, counts for a point that is completed.
    pub fn next_point(&self) -> Option<u64> {
        self.state.lock().next_point()
    }
}

impl<T> State<T> {
    fn retire(&mut self, resource: T, point: u64) {
        let (era, number) = (self.era, self.retired_count);
        let entry = Entry { era, point: point.max(self.completed), number, resource };
        self.retired_count += 1;
        if point == u64::MAX {
            return self.until_idle.push_back(entry);
        }
        self.waiting.push(entry);
    }

    /// Hears of a completed point; returns what may go now.
    fn note_completed(&mut self, completed: u64) -> Due {
        if completed == u64::MAX {
            self.era += 1;
        } else {
            self.completed = self.completed.max(completed);
        }
        self.due()
    }

    /// Returns what is due of all that is there.
    fn due(&self) -> Due {
        Due { era: self.era, point: self.completed, before: self.retired_count }
    }

    /// Takes the resource of the earliest era with the lowest point out, if that is due (I1).
    fn take_due(&mut self, due: Due) -> Option<T> {
        self.next().filter(|entry| due.has(entry))?;
        let is_in_heap = self.waiting.peek() > self.until_idle.front();
        let entry = if is_in_heap { self.waiting.pop() } else { self.until_idle.pop_front() };
        entry.map(|entry| entry.resource)
    }

    fn report(&self, released_count: usize) -> Collected {
        Collected {
            released_count,
            left_count: self.len(),
            next_point: self.next_point(),
            is_more_due: self.next().is_some_and(|entry| self.due().has(entry)),
        }
    }

    fn len(&self) -> usize {
        self.waiting.len() + self.until_idle.len()
    }

    /// Returns what goes first: where that is not due, nothing is.
    fn next(&self) -> Option<&Entry<T>> {
        self.waiting.peek().max(self.until_idle.front())
    }

    fn next_point(&self) -> Option<u64> {
        let next = self.next()?;
        Some(if next.era < self.era { next.point.min(self.completed) } else { next.point })
    }
}

impl Due {
    fn has<T>(self, entry: &Entry<T>) -> bool {
        entry.number < self.before && (entry.era < self.era || entry.point <= self.point)
    }
}

impl<T> Default for RetireQueue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for RetireQueue<T> {
    /// Leaks what is left, since the GPU may still use it, and reports it; quietly while panicking.
    fn drop(&mut self) {
        let state = self.state.get_mut();
        let Some(oldest_point) = state.next_point() else { return };
        let leak = RetireLeak { count: state.len(), oldest_point, completed_point: state.completed };
        let left = state.waiting.drain().chain(state.until_idle.drain(..));
        left.for_each(|entry| mem::forget(entry.resource));
        if std::thread::panicking() {
            return;
        }
        match &self.leak_callback {
            Some(callback) => callback(&leak),
            None => leak.log(),
        }
    }
}

impl RetireLeak {
    fn log(&self) {
        let Self { count, oldest_point, completed_point } = self;
        log::warn!(
            "a retire queue was dropped with {count} resources in it, which are leaked: the oldest waits for point \
             {oldest_point}, and the last one collected was {completed_point}; collect before the queue is dropped"
        );
    }
}

impl<T> fmt::Debug for RetireQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetireQueue")
            .field("len", &self.len())
            .field("next_point", &self.next_point())
            .finish_non_exhaustive()
    }
}

/// The lowest point of the earliest era is the greatest entry: `BinaryHeap` gives out the greatest first.
impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.era, other.point, other.number).cmp(&(self.era, self.point, self.number))
    }
}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Entry<T> {}

#[cfg(test)]
mod tests {
    use super::Entry;

    /// The heap asks for the order alone; who asks for equality hears nothing else.
    #[test]
    fn entries_are_equal_where_neither_goes_first() {
        let entry = |era, point, number| Entry { era, point, number, resource: () };
        let entries = [entry(0, 7, 0), entry(0, 7, 1), entry(0, 8, 2), entry(1, 7, 0)];
        for (index, one) in entries.iter().enumerate() {
            for (other_index, other) in entries.iter().enumerate() {
                assert_eq!(one == other, index == other_index);
                assert_eq!(one == other, one.cmp(other).is_eq());
            }
        }
    }
}
