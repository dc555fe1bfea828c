//! The whole allocator beside a shadow of what should be there; it runs the steps of a [`program`](super::program).

use core::fmt::Debug;
use std::collections::BTreeMap;

use ash::vk;
use ash::vk::Handle;
use freestone::sim::Loan;
use freestone::{AccessError, Allocation, AllocationError, CreatePoolError, CustomPool, DestroyPoolReason};

use super::program::{PoolWish, Step, Wish};
use super::{Rig, Shadow, buffer_info, image_info, state_of};

/// An allocator with its shadow.
pub(crate) struct Model {
    pub(crate) rig: Rig,
    pub(crate) live: Vec<Held>,
    shadow: Shadow,
    /// By number; a pool that was destroyed leaves its place empty.
    pools: Vec<Option<CustomPool>>,
    /// The mapped bytes of those that live: the driver sees when they are freed or unmapped, or given out twice.
    loans: BTreeMap<(u64, u64), Loan>,
    made: u64,
}

/// One live allocation, with all that depends on it.
pub(crate) struct Held {
    pub(crate) allocation: Allocation,
    pattern: u8,
    resource: Option<Resource>,
    /// The number of its custom pool.
    pool: Option<usize>,
}

enum Resource {
    Buffer(vk::Buffer),
    Image(vk::Image),
}

/// How often everything is compared: it costs as much as many steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compare {
    AfterEachStep,
    AtTheEnd,
}

impl Model {
    pub(crate) fn new(rig: Rig) -> Self {
        Self { rig, shadow: Shadow::default(), live: Vec::new(), pools: Vec::new(), loans: BTreeMap::new(), made: 0 }
    }

    /// Runs a program, then frees everything and looks for anything left.
    pub(crate) fn run(mut self, steps: &[Step], compare: Compare) {
        for step in steps {
            self.take(step);
            if compare == Compare::AfterEachStep {
                self.rig.validate().unwrap_or_else(|violation| panic!("after {step:?}: {violation}"));
                self.compare();
            }
        }
        self.rig.validate().unwrap_or_else(|violation| panic!("before the end: {violation}"));
        self.compare();
        self.end();
    }

    fn end(mut self) {
        self.rig.control().clear_faults();
        for held in std::mem::take(&mut self.live) {
            self.free(held);
        }
        for pool in std::mem::take(&mut self.pools).into_iter().flatten() {
            self.rig.destroy_pool(pool).expect("nothing of it is alive");
        }
        self.rig.trim();
        self.compare();
        assert_eq!(self.rig.control().reserved_bytes(), 0, "nothing is left");
        self.rig.finish();
    }

    pub(crate) fn take(&mut self, step: &Step) {
        match step {
            Step::Allocate(wish) => self.allocate(wish, None),
            Step::AllocateMany(wishes) => self.allocate_many(wishes),
            Step::Free(number) if !self.live.is_empty() => {
                let held = self.live.swap_remove(number % self.live.len());
                self.free(held);
            }
            Step::FreeMost(keep) => {
                let mut memory = Vec::new();
                for (number, held) in std::mem::take(&mut self.live).into_iter().enumerate() {
                    match held.resource {
                        _ if number % keep == 0 => self.live.push(held),
                        None => memory.push(self.part_with(held)),
                        Some(_) => self.free(held),
                    }
                }
                self.rig.free_many(&mut memory).expect("all are alive");
                assert!(memory.is_empty());
            }
            Step::Plan(wish) => self.plan(wish),
            Step::CreatePool(wish) => self.create_pool(wish),
            Step::DestroyPool(number) => self.destroy_pool(*number),
            Step::AllocateInPool(number, wish) if !self.pools.is_empty() => {
                self.allocate(wish, Some(number % self.pools.len()));
            }
            Step::CreateBuffer(wish) => self.create_buffer(wish),
            Step::CreateImage(wish) => self.create_image(wish),
            Step::Access(number) if !self.live.is_empty() => self.access(number % self.live.len()),
            Step::Trim => drop(self.rig.trim()),
            Step::Prewarm(intent, bytes) => drop(self.rig.prewarm(*intent, *bytes)),
            Step::Tick(count) => (0..*count).for_each(|_| self.rig.tick()),
            Step::Budget { heap_index, bytes } => {
                self.rig.control().set_budget(*heap_index, Some(*bytes));
                self.rig.update_budget();
            }
            Step::Foreign { heap_index, bytes } => {
                self.rig.control().set_foreign_usage(*heap_index, *bytes);
                self.rig.update_budget();
            }
            Step::Fail { n, result } => self.rig.control().fail_nth(*n, *result),
            Step::Free(_) | Step::AllocateInPool(..) | Step::Access(_) => {}
        }
    }

    fn allocate(&mut self, wish: &Wish, pool: Option<usize>) {
        let custom = match pool.map(|number| &self.pools[number]) {
            Some(None) => return,
            Some(Some(custom)) => Some(custom),
            None => None,
        };
        let info = custom.map_or_else(|| wish.info(), |custom| wish.info().pool(custom));
        let before = self.rig.statistics().total;
        match self.rig.allocate(&wish.requirements(), &info) {
            Ok(allocation) => {
                assert!(custom.is_none_or(|custom| custom.memory_type_index() == allocation.memory_type_index()));
                self.hold(allocation, wish, None, pool);
            }
            Err(error) => {
                check_refusal(&error, wish, pool.is_some() || wish.is_choosy());
                let after = self.rig.statistics().total;
                assert_eq!(
                    (before.allocation_count, before.allocation_bytes, before.allocated_count, before.dedicated_bytes),
                    (after.allocation_count, after.allocation_bytes, after.allocated_count, after.dedicated_bytes),
                );
                assert!(after.block_bytes <= before.block_bytes, "{wish:?}");
            }
        }
    }

    fn allocate_many(&mut self, wishes: &[Wish]) {
        let Some(first) = wishes.first() else { return };
        let requirements: Vec<_> = wishes.iter().map(Wish::requirements).collect();
        let before = self.rig.statistics().total;
        match self.rig.allocate_many(&requirements, &first.info()) {
            Ok(allocations) => {
                assert_eq!(allocations.len(), wishes.len());
                for (allocation, wish) in allocations.into_iter().zip(wishes) {
                    self.hold(allocation, &Wish { intent: first.intent, more: first.more, ..wish.clone() }, None, None);
                }
            }
            Err(error) => {
                check_refusal(&error, first, first.is_choosy());
                let after = self.rig.statistics().total;
                assert_eq!(
                    (before.allocation_count, before.allocation_bytes, before.allocated_count),
                    (after.allocation_count, after.allocation_bytes, after.allocated_count),
                    "all or nothing"
                );
            }
        }
    }

    fn hold(&mut self, mut allocation: Allocation, wish: &Wish, resource: Option<Resource>, pool: Option<usize>) {
        if resource.is_none() {
            assert_eq!(allocation.offset() % wish.alignment, 0, "{wish:?}");
            assert_eq!(allocation.size(), wish.size, "{wish:?}");
        }
        let flags = self.rig.properties().flags_of(allocation.memory_type_index());
        assert!(flags.contains(wish.required_flags()), "{wish:?}");
        self.shadow.enter(&allocation, self.rig.properties().buffer_image_granularity);
        assert!(allocation.mapped_ptr().is_some() || !wish.intent.needs_host_access(), "{wish:?}");
        self.made += 1;
        let pattern = u8::try_from(self.made % 251).expect("a byte");
        fill_ends(&mut allocation, pattern);
        if allocation.mapped_ptr().is_some() {
            let (memory, start) = (allocation.memory(), allocation.offset());
            let loan = self.rig.vulkan.lend(memory, start..start + allocation.size());
            self.loans.insert((memory.as_raw(), start), loan);
        }
        self.live.push(Held { allocation, pattern, resource, pool });
    }

    /// A plan changes nothing, and names what an allocation would take.
    fn plan(&mut self, wish: &Wish) {
        let (before, calls) = (state_of(&self.rig), self.rig.control().total_calls());
        match self.rig.plan(&wish.requirements(), &wish.info()) {
            Ok(plan) => {
                let bits = self.rig.properties().memory_types.len();
                assert!((plan.memory_type_index as usize) < bits && plan.verdicts.len() == bits, "{plan:?}");
            }
            Err(error) => check_refusal(&error, wish, wish.is_choosy()),
        }
        assert_eq!(state_of(&self.rig), before);
        assert_eq!(self.rig.control().total_calls(), calls);
    }

    fn create_pool(&mut self, wish: &PoolWish) {
        if self.pools.len() >= 8 {
            return;
        }
        match self.rig.create_pool(&wish.info()) {
            Ok(pool) => self.pools.push(Some(pool)),
            Err(CreatePoolError::Allocation(error)) => check_refusal(&error, wish, true),
            Err(CreatePoolError::BadBlockSize { .. } | CreatePoolError::SlotTooLarge { .. }) => {}
            Err(error) => panic!("{wish:?}: {error}"),
        }
    }

    fn destroy_pool(&mut self, number: usize) {
        if self.pools.is_empty() {
            return;
        }
        let number = number % self.pools.len();
        let Some(pool) = self.pools[number].take() else { return };
        let in_use = self.live.iter().filter(|held| held.pool == Some(number)).count() as u64;
        match self.rig.destroy_pool(pool) {
            Ok(()) => assert_eq!(in_use, 0),
            Err(error) => {
                assert_eq!(error.reason, DestroyPoolReason::InUse { count: in_use });
                self.pools[number] = Some(error.pool);
            }
        }
    }

    fn create_buffer(&mut self, wish: &Wish) {
        // SAFETY: the create-info is valid; nothing is submitted.
        match unsafe { self.rig.create_buffer(&buffer_info(wish.size), &wish.info()) } {
            Ok((buffer, allocation)) => self.hold(allocation, wish, Some(Resource::Buffer(buffer)), None),
            Err(error) => check_refusal(&error, wish, wish.is_choosy()),
        }
    }

    fn create_image(&mut self, wish: &Wish) {
        let edge = u32::try_from(1 + wish.size % 700).expect("small");
        let tiling = if wish.is_linear { vk::ImageTiling::LINEAR } else { vk::ImageTiling::OPTIMAL };
        // SAFETY: the create-info is valid; nothing is submitted.
        match unsafe { self.rig.create_image(&image_info(edge).tiling(tiling), &wish.info()) } {
            Ok((image, allocation)) => self.hold(allocation, wish, Some(Resource::Image(image)), None),
            Err(error) => check_refusal(&error, wish, wish.is_choosy()),
        }
    }

    /// Writes through the allocator, which flushes; the neighbours' bytes stay.
    fn access(&mut self, number: usize) {
        let Held { allocation, pattern, .. } = &mut self.live[number];
        let len = usize::try_from(allocation.size().min(16)).expect("small");
        let bytes = [*pattern; 16];
        let outcome = self.rig.write(allocation, 0, &bytes[..len]);
        let is_mapped = allocation.mapped_ptr().is_some();
        match outcome {
            Ok(()) | Err(AccessError::Driver(_)) => assert!(is_mapped),
            Err(AccessError::NotMapped) => assert!(!is_mapped),
            Err(error) => panic!("{error}"),
        }
        check_ends(allocation, *pattern);
    }

    /// Checks what an allocation holds, and forgets it.
    fn part_with(&mut self, held: Held) -> Allocation {
        check_ends(&held.allocation, held.pattern);
        self.shadow.strike(&held.allocation);
        self.loans.remove(&(held.allocation.memory().as_raw(), held.allocation.offset()));
        held.allocation
    }

    fn free(&mut self, mut held: Held) {
        let resource = held.resource.take();
        let allocation = self.part_with(held);
        let freed = match resource {
            None => self.rig.free(allocation),
            // SAFETY: the GPU has never seen it.
            Some(Resource::Buffer(buffer)) => unsafe { self.rig.destroy_buffer(buffer, allocation) },
            // SAFETY: as above.
            Some(Resource::Image(image)) => unsafe { self.rig.destroy_image(image, allocation) },
        };
        freed.expect("it is alive");
    }

    /// Compares the allocator's counters with the driver's and the shadow's.
    #[track_caller]
    pub(crate) fn compare(&self) {
        let statistics = self.rig.statistics();
        let control = self.rig.control();
        assert_eq!(statistics.total.allocation_count, self.live.len() as u64);
        assert_eq!(self.shadow.len(), self.live.len());
        assert_eq!(statistics.object_count, control.memory_object_count());
        assert_eq!(statistics.total.object_count(), u64::from(control.memory_object_count()));
        let peak = statistics.total.reserved_bytes().max(control.peak_reserved_bytes());
        assert!(statistics.peak_reserved_bytes >= peak, "{peak} bytes were reserved: {statistics:?}");
        for heap in &statistics.heaps {
            let driver = control.heap(heap.heap_index).expect("the heap exists");
            assert_eq!(heap.counters.reserved_bytes(), driver.bytes + driver.lazy_bytes, "{heap:?}");
            assert!(heap.counters.allocation_bytes <= heap.counters.reserved_bytes(), "{heap:?}");
            assert!(heap.counters.empty_bytes <= heap.counters.block_bytes, "{heap:?}");
        }
        let detailed = self.rig.detailed_statistics();
        assert_eq!(detailed.blocks.len() as u64, statistics.total.object_count());
        assert_eq!(detailed.ranges.used_count, statistics.total.allocation_count);
        assert_eq!(detailed.blocks.iter().map(|block| block.size).sum::<u64>(), statistics.total.reserved_bytes());
        let ranges = detailed.ranges;
        let bytes = ranges.used_bytes + ranges.free_bytes + ranges.free_slot_bytes + ranges.unusable_bytes;
        assert_eq!(bytes, statistics.total.reserved_bytes());
        self.shadow.check(&self.rig.vulkan);
    }
}

/// An error of a well-formed request has one of these causes.
#[track_caller]
fn check_refusal(error: &AllocationError, wish: &impl Debug, may_lack_type: bool) {
    let is_expected = match error {
        AllocationError::OutOfMemory { .. }
        | AllocationError::Driver { .. }
        | AllocationError::DedicatedConflict { .. }
        | AllocationError::Resource(_) => true,
        // A pool's memory type may be one that the request's intent cannot use, or whose blocks are none: lazy memory.
        // And it may be for the other kind. Flags that are required no memory type may have.
        AllocationError::NoMemoryType { .. }
        | AllocationError::PoolMismatch { .. }
        | AllocationError::UnsupportedFlags(_)
        | AllocationError::Unsupported { .. }
        | AllocationError::OtherKind { .. } => may_lack_type,
        _ => false,
    };
    assert!(is_expected, "{wish:?}: {error}");
    assert!(!error.to_string().contains('\n'), "a message is one line");
}

/// Writes a pattern to both ends of an allocation: a neighbour that overlaps would write over it.
fn fill_ends(allocation: &mut Allocation, pattern: u8) {
    if allocation.mapped_ptr().is_some() {
        let len = allocation.size().min(64);
        allocation.fill(0, len, pattern).expect("it is mapped");
        allocation.fill(allocation.size() - len, len, pattern).expect("it is mapped");
    }
}

#[track_caller]
fn check_ends(allocation: &Allocation, pattern: u8) {
    if allocation.mapped_ptr().is_some() {
        let len = usize::try_from(allocation.size().min(64)).expect("small");
        for offset in [0, allocation.size() - len as u64] {
            // SAFETY: `fill_ends` wrote these bytes; no device writes them.
            let bytes = unsafe { allocation.slice::<u8>(offset, len) }.expect("it is mapped");
            assert!(bytes.iter().all(|byte| *byte == pattern), "somebody else wrote into {allocation:?}");
        }
    }
}
