//! Where the transients of a frame lie: plain data, made without a device.
//!
//! ```text
//!   requests -> checked -> grouped by memory types -> placed -> who takes over whose bytes
//!                 a lazy one is a page of its own
//! ```
//!
//! Invariants:
//! - P1: two resources of one page that are alive at one time share no byte, and no page of `bufferImageGranularity`
//!   where their kinds differ: where a page of memory holds both kinds, non-linear resources take whole pages of it.
//! - P2: every placement lies inside its page, at a multiple of its alignment, in memory that it allows.

use core::ops::{Range, RangeInclusive};

use super::error::TransientError;
use super::group::group;
use super::place::{Item, Layout, place};
use super::takeover::{Extent, Takeover, each_takeover};
use crate::allocator::{AllocationRequirements, DeviceAddress};
use crate::device::DedicatedPreference;
use crate::pool::Kind;
use crate::suballocator::align::align_down;

/// A resource that lives for a part of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransientRequest {
    /// What memory it needs. A driver's preference for a dedicated allocation is passed over; sharing saves more.
    pub requirements: AllocationRequirements,
    /// The number of the first pass that uses it. Any numbers will do that grow with time.
    pub first_use: u32,
    /// The number of the last pass that uses it.
    pub last_use: u32,
    /// Whether lazily allocated memory serves it, where it allows such a type: an image whose usage has
    /// `TRANSIENT_ATTACHMENT`, and which is neither loaded nor stored.
    pub may_be_lazy: bool,
}

impl TransientRequest {
    /// Asks for memory from the first to the last pass that uses it.
    pub fn new(requirements: AllocationRequirements, uses: RangeInclusive<u32>) -> Self {
        let (first_use, last_use) = uses.into_inner();
        Self { requirements, first_use, last_use, may_be_lazy: false }
    }

    /// Allows lazily allocated memory.
    #[must_use]
    pub fn may_be_lazy(self) -> Self {
        Self { may_be_lazy: true, ..self }
    }
}

/// A run of memory that resources share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransientPage {
    /// What memory it needs: the requirements of all that lie in it.
    pub requirements: AllocationRequirements,
    /// Bytes alive at its fullest time, each size rounded up to its alignment: no placement needs less.
    pub bound: u64,
    /// Whether it is lazily allocated, for one resource alone.
    pub is_lazy: bool,
}

/// Where a resource lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransientPlacement {
    /// The number of its page.
    pub page: usize,
    /// Where it begins in its page, in bytes.
    pub offset: u64,
    /// Bytes that are its own while it is alive: its size, or whole pages of the granularity.
    pub size: u64,
}

/// What a plan must know of the device.
#[derive(Debug)]
pub(super) struct Rules<F> {
    /// `bufferImageGranularity`, a power of two.
    pub granularity: u64,
    /// The memory types that are lazily allocated and may be taken.
    pub lazy_types: u32,
    /// Which type would be taken of a mask's.
    pub best: F,
}

/// Where everything of a frame lies, and what must wait for what.
///
/// # Examples
/// ```
/// use freestone::{AllocationRequirements, DeviceAddress, Kind, TransientPlan, TransientRequest, ash::vk};
///
/// let target = |size, uses| {
///     let requirements = vk::MemoryRequirements { size, alignment: 65_536, memory_type_bits: 0b11 };
///     let requirements = AllocationRequirements::new(requirements, Kind::NonLinear, DeviceAddress::NotNeeded);
///     TransientRequest::new(requirements, uses)
/// };
/// // A shadow map, a scene, and a bloom chain that begins when the shadow map is no longer read.
/// let plan = TransientPlan::new(&[target(16 << 20, 0..=1), target(8 << 20, 1..=3), target(12 << 20, 2..=3)], 1)?;
/// assert_eq!(plan.bytes(), 24 << 20, "and not 36");
/// assert_eq!(plan.takeovers(2)[0].resource, 0, "the bloom chain waits for the shadow map's last reader");
/// # Ok::<(), freestone::TransientError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransientPlan {
    pages: Vec<TransientPage>,
    placements: Vec<TransientPlacement>,
    /// By the taker's number; `spans` says whose are where.
    takeovers: Vec<Takeover>,
    spans: Vec<Range<usize>>,
}

impl TransientPlan {
    /// Plans a frame on a device of which only `bufferImageGranularity` is known: memory types are as good as each
    /// other, and none is lazily allocated. [`TransientMemory`](super::TransientMemory) knows its device.
    ///
    /// # Errors
    /// The variants of [`TransientError`] that name what is wrong with a request, and `BadGranularity`.
    ///
    /// # Complexity
    /// O(n²) with a small factor: 200 resources in some hundred microseconds (`cargo bench --bench transient`).
    pub fn new(requests: &[TransientRequest], granularity: u64) -> Result<Self, TransientError> {
        let best = |mask: u32| (mask != 0).then_some(0);
        Self::with_rules(requests, &Rules { granularity, lazy_types: 0, best })
    }

    pub(super) fn with_rules<F>(requests: &[TransientRequest], rules: &Rules<F>) -> Result<Self, TransientError>
    where
        F: Fn(u32) -> Option<u32>,
    {
        if !rules.granularity.is_power_of_two() {
            return Err(TransientError::BadGranularity { granularity: rules.granularity });
        }
        check(requests, rules)?;
        let shared: Vec<usize> = (0..requests.len()).filter(|&index| !rules.is_lazy(&requests[index])).collect();
        let masks: Vec<u32> = shared.iter().map(|&index| rules.types(&requests[index])).collect();
        let (homes, groups) = group(&masks, &rules.best);
        let nowhere = TransientPlacement { page: 0, offset: 0, size: 0 };
        let mut plan = Self { placements: vec![nowhere; requests.len()], ..Self::default() };
        let mut all = Vec::with_capacity(requests.len());
        for (number, &memory_type_bits) in groups.iter().enumerate() {
            let members = shared.iter().zip(&homes).filter(|&(_, &home)| home == number).map(|(&index, _)| index);
            let members: Vec<usize> = members.collect();
            plan.add_page(requests, &members, memory_type_bits, (rules.granularity, false), &mut all);
        }
        for index in (0..requests.len()).filter(|&index| rules.is_lazy(&requests[index])) {
            plan.add_page(requests, &[index], rules.types(&requests[index]), (rules.granularity, true), &mut all);
        }
        plan.keep_takeovers(all);
        Ok(plan)
    }

    /// Returns where each resource lies, in the order of the requests.
    pub fn placements(&self) -> &[TransientPlacement] {
        &self.placements
    }

    /// Returns the runs of memory that are needed.
    pub fn pages(&self) -> &[TransientPage] {
        &self.pages
    }

    /// Returns whose bytes a resource takes over: before its first use, a barrier must wait for the last uses of these,
    /// and make what they wrote available; an image begins in the layout `UNDEFINED`. Empty for a number that is not in
    /// the plan.
    pub fn takeovers(&self, index: usize) -> &[Takeover] {
        self.spans.get(index).map_or(&[], |span| &self.takeovers[span.clone()])
    }

    /// Returns the bytes of all pages; those of lazily allocated ones may never come to be.
    pub fn bytes(&self) -> u64 {
        self.pages.iter().map(|page| page.requirements.size).sum()
    }

    /// Returns the bytes that no placement could do without: the sum of the pages' bounds.
    pub fn bound(&self) -> u64 {
        self.pages.iter().map(|page| page.bound).sum()
    }

    /// Returns whether each resource lies where it does in a plan before and takes over the same. Then each byte has
    /// the same owners in the same order, and the takeovers name what a frame of that plan ended with.
    pub(super) fn goes_on_from(&self, before: &Self) -> bool {
        let takes_over_the_same = self.takeovers == before.takeovers && self.spans == before.spans;
        self.placements == before.placements && takes_over_the_same
    }

    /// Returns whether another resource touches a resource's pages of a granularity and none of its bytes. The page of
    /// the plan begins at `base` in its memory object.
    pub(super) fn has_neighbour(&self, index: usize, base: u64, granularity: u64) -> bool {
        let own = self.placements[index];
        let first = align_down(base + own.offset, granularity);
        let end = (base + own.offset + own.size).next_multiple_of(granularity);
        let is_neighbour = |other: &TransientPlacement| {
            let shares_bytes = other.offset < own.offset + own.size && own.offset < other.offset + other.size;
            let shares_pages = base + other.offset < end && first < base + other.offset + other.size;
            other.page == own.page && shares_pages && !shares_bytes
        };
        self.placements.iter().any(is_neighbour)
    }

    /// Places the members of a page and finds out who takes over from whom.
    fn add_page(
        &mut self,
        requests: &[TransientRequest],
        members: &[usize],
        memory_type_bits: u32,
        (granularity, is_lazy): (u64, bool),
        takeovers: &mut Vec<(usize, Takeover)>,
    ) {
        let kind_of = |index: usize| requests[index].requirements.kind;
        let is_mixed = members.iter().any(|&index| kind_of(index) != kind_of(members[0]));
        let page_size = if is_mixed { granularity } else { 1 };
        let items: Vec<Item> = members.iter().map(|&index| item(&requests[index], page_size)).collect();
        let Layout { offsets, height, bound } = place(&items);
        let size = height.next_multiple_of(page_size);
        let number = self.pages.len();
        self.pages.push(TransientPage {
            requirements: common(requests, members, memory_type_bits, (size, page_size)),
            bound,
            is_lazy,
        });
        let mut extents = Vec::with_capacity(members.len());
        for ((&resource, item), offset) in members.iter().zip(&items).zip(offsets) {
            self.placements[resource] = TransientPlacement { page: number, offset, size: item.size };
            let Item { size, first_use, last_use, .. } = *item;
            // Its bytes are enough: one of the other kind that comes to their pages has the whole of them (P1).
            extents.push(Extent { resource, offset, end: offset + size, first_use, last_use });
        }
        each_takeover(&mut extents, |taker, takeover| takeovers.push((taker, takeover)));
    }

    /// Sorts what was found by who takes over.
    fn keep_takeovers(&mut self, mut all: Vec<(usize, Takeover)>) {
        all.sort_unstable_by_key(|&(taker, Takeover { resource, frame, .. })| (taker, frame as u8, resource));
        all.dedup();
        let mut start = 0;
        for index in 0..self.placements.len() {
            let end = start + all[start..].iter().take_while(|(taker, _)| *taker == index).count();
            self.spans.push(start..end);
            start = end;
        }
        self.takeovers = all.into_iter().map(|(_, takeover)| takeover).collect();
    }
}

impl<F> Rules<F> {
    /// Returns whether a resource gets lazily allocated memory.
    fn is_lazy(&self, request: &TransientRequest) -> bool {
        request.may_be_lazy && request.requirements.memory_type_bits & self.lazy_types != 0
    }

    /// Returns the memory types that a resource may lie in.
    fn types(&self, request: &TransientRequest) -> u32 {
        let mask = if self.is_lazy(request) { self.lazy_types } else { !self.lazy_types };
        request.requirements.memory_type_bits & mask
    }
}

/// Checks every request, and that nothing can overflow: offsets stay below the sum of all sizes and alignments.
fn check<F>(requests: &[TransientRequest], rules: &Rules<F>) -> Result<(), TransientError>
where
    F: Fn(u32) -> Option<u32>,
{
    let mut sum = rules.granularity;
    for (index, request) in requests.iter().enumerate() {
        let AllocationRequirements { size, alignment, memory_type_bits, dedicated, .. } = request.requirements;
        let &TransientRequest { first_use, last_use, .. } = request;
        if size == 0 {
            return Err(TransientError::ZeroSize { index });
        }
        if !alignment.is_power_of_two() {
            return Err(TransientError::BadAlignment { index, alignment });
        }
        if (rules.best)(rules.types(request)).is_none() && !rules.is_lazy(request) {
            return Err(TransientError::NoMemoryType { index, memory_type_bits });
        }
        if last_use < first_use {
            return Err(TransientError::UsesReversed { index, first_use, last_use });
        }
        if dedicated == DedicatedPreference::Required {
            return Err(TransientError::Dedicated { index });
        }
        // Twice the alignment: the size is rounded up to it, and so is the offset.
        let most = alignment.max(rules.granularity).checked_mul(2).and_then(|bytes| bytes.checked_add(size));
        sum = most.and_then(|most| sum.checked_add(most)).ok_or(TransientError::TooLarge { index, size })?;
    }
    Ok(())
}

/// Makes the planner's item of a request; in a mixed page a non-linear one takes whole pages of the granularity (P1).
fn item(request: &TransientRequest, page_size: u64) -> Item {
    let AllocationRequirements { size, alignment, kind, .. } = request.requirements;
    let &TransientRequest { first_use, last_use, .. } = request;
    if kind == Kind::Linear {
        return Item { size, alignment, first_use, last_use };
    }
    Item { size: size.next_multiple_of(page_size), alignment: alignment.max(page_size), first_use, last_use }
}

/// Returns what memory all members of a page can lie in.
fn common(
    requests: &[TransientRequest],
    members: &[usize],
    memory_type_bits: u32,
    (size, page_size): (u64, u64),
) -> AllocationRequirements {
    let all = || members.iter().map(|&index| &requests[index].requirements);
    let is_linear = all().all(|requirements| requirements.kind == Kind::Linear);
    let needs_address = all().any(|requirements| requirements.device_address == DeviceAddress::Needed);
    AllocationRequirements {
        size,
        alignment: all().map(|requirements| requirements.alignment).max().unwrap_or(1).max(page_size),
        memory_type_bits,
        kind: if is_linear { Kind::Linear } else { Kind::NonLinear },
        device_address: if needs_address { DeviceAddress::Needed } else { DeviceAddress::NotNeeded },
        dedicated: DedicatedPreference::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_touch_the_pages_and_share_no_byte() {
        let place = |page, offset, size| TransientPlacement { page, offset, size };
        let placements =
            vec![place(0, 0, 100), place(0, 100, 100), place(0, 4096, 50), place(0, 150, 20), place(1, 50, 10)];
        let plan = TransientPlan { pages: Vec::new(), placements, takeovers: Vec::new(), spans: Vec::new() };
        for base in [0, 4096, 65_536] {
            let found = [0, 1, 2, 3, 4].map(|index| plan.has_neighbour(index, base, 1024));
            assert_eq!(found, [true, true, false, true, false], "{base}");
            assert_eq!([0, 1, 2].map(|index| plan.has_neighbour(index, base, 1)), [false; 3], "{base}");
        }
    }
}
