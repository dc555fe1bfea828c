//! What the integration tests share: an allocator on a simulated device, requests, a shadow of what lives, snapshots.
#![allow(dead_code, reason = "each test binary uses its own part")]

#[cfg(not(miri))]
pub(crate) mod decode;
pub(crate) mod failing;
#[cfg(not(miri))]
pub(crate) mod model;
pub(crate) mod operations;
#[cfg(not(miri))]
pub(crate) mod program;
pub(crate) mod seed;

use core::ops::Deref;
use std::collections::BTreeMap;

use ash::vk;
use ash::vk::Handle;
use freestone::sim::{self, Control, Heap, KIB, MIB, MemoryType, Profile, SimDevice};
use freestone::{
    Allocation, AllocationError, AllocationRequirements, Allocator, AllocatorCreateInfo, AttemptKind, AttemptRecord,
    DeviceAddress, Features, Kind, Statistics,
};

/// An allocator on a simulated device; the allocator goes first.
pub(crate) struct Rig {
    allocator: Kept,
    pub(crate) vulkan: SimDevice,
}

/// An allocator that is left alone when a test has failed: one whose invariants are broken would panic again, and end
/// the process before the failing program could be made smaller.
struct Kept(Option<Allocator>);

impl Drop for Kept {
    fn drop(&mut self) {
        if std::thread::panicking() {
            core::mem::forget(self.0.take());
        }
    }
}

impl Rig {
    /// Makes an allocator that declares what the device has enabled.
    pub(crate) fn new(profile: Profile) -> Self {
        Self::with(SimDevice::new(profile), |info| info)
    }

    /// Makes an allocator with more wishes.
    pub(crate) fn with(
        vulkan: SimDevice,
        adapt: impl FnOnce(AllocatorCreateInfo<'_>) -> AllocatorCreateInfo<'_>,
    ) -> Self {
        let info = adapt(create_info(&vulkan));
        // SAFETY: the objects belong together; `drop` below lets the allocator go first, and the tests let no
        // allocation out of it.
        let allocator = unsafe { Allocator::new(info) }.expect("a simulated device serves an allocator");
        Self { allocator: Kept(Some(allocator)), vulkan }
    }

    pub(crate) fn control(&self) -> &Control {
        self.vulkan.control()
    }

    /// Frees what is empty, drops the allocator and checks that the driver saw no wrong use and no leak.
    #[track_caller]
    pub(crate) fn finish(mut self) {
        self.validate().expect("every invariant holds");
        drop(self.allocator.0.take());
        self.control().assert_clean();
        let violations = self.vulkan_finish();
        assert!(violations.is_empty(), "at the end: {violations:?}");
    }

    fn vulkan_finish(self) -> Vec<sim::Violation> {
        self.vulkan.finish()
    }
}

impl Deref for Rig {
    type Target = Allocator;

    fn deref(&self) -> &Allocator {
        self.allocator.0.as_ref().expect("`finish` alone takes it")
    }
}

/// Begins an allocator's create-info with what the device has enabled.
pub(crate) fn create_info(vulkan: &SimDevice) -> AllocatorCreateInfo<'_> {
    AllocatorCreateInfo::new(vulkan.entry(), vulkan.instance(), vulkan.physical_device(), vulkan.device())
        .api_version(vulkan.api_version())
        .features(declared(vulkan))
}

/// Returns the features that the device has enabled, as the allocator knows them.
pub(crate) fn declared(vulkan: &SimDevice) -> Features {
    let has = |feature| vulkan.features().contains(feature);
    Features {
        buffer_device_address: has(sim::Features::BUFFER_DEVICE_ADDRESS),
        device_coherent_memory: has(sim::Features::DEVICE_COHERENT_MEMORY),
        protected_memory: has(sim::Features::PROTECTED_MEMORY),
        memory_priority: has(sim::Features::MEMORY_PRIORITY),
        maintenance4: has(sim::Features::MAINTENANCE4),
        dedicated_allocation: vulkan.profile().has_extension(c"VK_KHR_dedicated_allocation"),
        ..Features::default()
    }
}

/// Asks for linear bytes in any memory type.
pub(crate) fn linear(size: u64) -> AllocationRequirements {
    requirements(size, 256, Kind::Linear)
}

/// Asks for non-linear bytes in any memory type.
pub(crate) fn non_linear(size: u64) -> AllocationRequirements {
    requirements(size, 1024, Kind::NonLinear)
}

/// Asks for bytes in any memory type.
pub(crate) fn requirements(size: u64, alignment: u64, kind: Kind) -> AllocationRequirements {
    let requirements = vk::MemoryRequirements { size, alignment, memory_type_bits: !0 };
    AllocationRequirements::new(requirements, kind, DeviceAddress::NotNeeded)
}

/// Describes a storage buffer.
pub(crate) fn buffer_info(size: u64) -> vk::BufferCreateInfo<'static> {
    vk::BufferCreateInfo::default().size(size).usage(vk::BufferUsageFlags::STORAGE_BUFFER)
}

/// Describes a sampled image of so many texels in a row and a column, 4 bytes each.
pub(crate) fn image_info(edge: u32) -> vk::ImageCreateInfo<'static> {
    vk::ImageCreateInfo::default()
        .image_type(vk::ImageType::TYPE_2D)
        .format(vk::Format::R8G8B8A8_UNORM)
        .extent(vk::Extent3D { width: edge, height: edge, depth: 1 })
        .mip_levels(1)
        .array_layers(1)
        .samples(vk::SampleCountFlags::TYPE_1)
        .usage(vk::ImageUsageFlags::SAMPLED)
}

/// Returns the models and the devices of the corpus.
pub(crate) fn every_device() -> Vec<Profile> {
    Profile::all().into_iter().chain(Profile::corpus()).collect()
}

/// A device with a heap of its own and one of the host, each of so many bytes and with one memory type.
pub(crate) fn two_heaps(device_bytes: u64, host_bytes: u64) -> Profile {
    let mut profile = Profile::discrete_rebar();
    "two-heaps".clone_into(&mut profile.name);
    profile.heaps =
        vec![heap(device_bytes, vk::MemoryHeapFlags::DEVICE_LOCAL), heap(host_bytes, vk::MemoryHeapFlags::empty())];
    let visible = vk::MemoryPropertyFlags::HOST_VISIBLE | vk::MemoryPropertyFlags::HOST_COHERENT;
    profile.memory_types = vec![
        MemoryType { property_flags: vk::MemoryPropertyFlags::DEVICE_LOCAL, heap_index: 0 },
        MemoryType { property_flags: visible, heap_index: 1 },
    ];
    profile
}

/// A unified device with one small heap, for what must not take long.
pub(crate) fn tiny() -> Profile {
    let mut profile = Profile::unified();
    "tiny".clone_into(&mut profile.name);
    profile.heaps = vec![heap(8 * 64 * KIB, vk::MemoryHeapFlags::DEVICE_LOCAL)];
    profile
}

fn heap(size: u64, flags: vk::MemoryHeapFlags) -> Heap {
    Heap { size, flags, budget: None, foreign_usage: 0 }
}

/// Everything that must be as before when a call has failed: at the driver and in the allocator's counters.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct State {
    driver: sim::Snapshot,
    statistics: Statistics,
}

/// Takes a picture of driver and allocator. The peak is left out: it is a fact of the past, not something held.
pub(crate) fn state_of(rig: &Rig) -> State {
    let mut statistics = rig.statistics();
    statistics.peak_reserved_bytes = 0;
    // A pool is made at its first use and costs nothing: one that is empty is as good as none.
    statistics.pools.retain(|(_, pool)| pool.counters != freestone::PoolStatistics::default());
    State { driver: rig.control().snapshot(), statistics }
}

/// What lives, by memory object and offset: no two may share a byte.
#[derive(Debug, Default)]
pub(crate) struct Shadow {
    objects: BTreeMap<u64, BTreeMap<u64, (u64, Kind)>>,
}

impl Shadow {
    /// Enters an allocation.
    ///
    /// # Panics
    /// Where it shares a byte with another, or a page with another of the other kind.
    #[track_caller]
    pub(crate) fn enter(&mut self, allocation: &Allocation, granularity: u64) {
        let (start, end, kind) = (allocation.offset(), allocation.offset() + allocation.size(), allocation.kind());
        let ranges = self.objects.entry(allocation.memory().as_raw()).or_default();
        let before = ranges.range(..=start).next_back();
        let after = ranges.range(start..).next();
        for (&other, &(other_end, other_kind)) in before.into_iter().chain(after) {
            assert!(other_end <= start || end <= other, "{start}..{end} overlaps {other}..{other_end}");
            let pages = |start: u64, end: u64| (start / granularity, (end - 1) / granularity);
            let (own, others) = (pages(start, end), pages(other, other_end));
            let shares_page = own.0 <= others.1 && others.0 <= own.1;
            assert!(
                kind == other_kind || !shares_page,
                "{start}..{end} and {other}..{other_end} share a page of two kinds"
            );
        }
        ranges.insert(start, (end, kind));
    }

    /// Strikes an allocation out that is about to be freed.
    #[track_caller]
    pub(crate) fn strike(&mut self, allocation: &Allocation) {
        let ranges = self.objects.get_mut(&allocation.memory().as_raw()).expect("its memory object is known");
        let (end, _) = ranges.remove(&allocation.offset()).expect("it was entered");
        assert_eq!(end, allocation.offset() + allocation.size());
        if ranges.is_empty() {
            self.objects.remove(&allocation.memory().as_raw());
        }
    }

    /// Returns how many allocations live.
    pub(crate) fn len(&self) -> usize {
        self.objects.values().map(BTreeMap::len).sum()
    }

    /// Checks that every memory object holding an allocation is alive at the driver and holds it.
    #[track_caller]
    pub(crate) fn check(&self, vulkan: &SimDevice) {
        let sizes: BTreeMap<u64, u64> =
            vulkan.memory_objects().iter().map(|object| (object.memory.as_raw(), object.size)).collect();
        for (memory, ranges) in &self.objects {
            let end = ranges.values().map(|(end, _)| *end).max().unwrap_or(0);
            assert!(
                sizes.get(memory).is_some_and(|size| end <= *size),
                "memory {memory:#x} holds {end} bytes: {sizes:?}"
            );
        }
    }
}

/// Returns what an error tried, in order.
#[track_caller]
pub(crate) fn attempts(error: &AllocationError) -> &[AttemptRecord] {
    match error {
        AllocationError::OutOfMemory { attempts, .. } | AllocationError::Driver { attempts, .. } => attempts.records(),
        other => panic!("{other}: this error tried nothing"),
    }
}

/// Returns what an error tried, as (what, memory type, bytes), in order.
#[track_caller]
pub(crate) fn steps(error: &AllocationError) -> Vec<(AttemptKind, u32, u64)> {
    attempts(error).iter().map(|record| (record.attempt, record.memory_type_index, record.bytes)).collect()
}

/// A small generator for programs: splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators").
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Returns a size whose magnitude is as likely as any other, from 1 to `2^bits`.
    pub(crate) fn size(&mut self, bits: u32) -> u64 {
        let magnitude = self.below(u64::from(bits) + 1);
        1 + self.below(1 << magnitude)
    }
}

/// Mebibytes, for readable sizes.
pub(crate) const fn mib(count: u64) -> u64 {
    count * MIB
}

impl State {
    /// Forgets how many allocations were ever made and freed: an operation that got by has counted, rightly.
    pub(crate) fn forget_history(&mut self) {
        let Statistics { heaps, memory_types, pools, total, .. } = &mut self.statistics;
        let of_types = memory_types.iter_mut().map(|memory_type| &mut memory_type.counters);
        let of_pools = pools.iter_mut().map(|(_, pool)| &mut pool.counters);
        let of_heaps = heaps.iter_mut().map(|heap| &mut heap.counters);
        for counters in of_types.chain(of_pools).chain(of_heaps).chain([total]) {
            counters.allocated_count = 0;
            counters.freed_count = 0;
        }
        self.statistics.pools.retain(|(_, pool)| pool.counters != freestone::PoolStatistics::default());
    }
}
