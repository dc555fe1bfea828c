//! The simulated driver that all peers run on: one device model, no checks, no log.

use crate::clock::ticks;
use ash::vk;
use freestone::sim::{Checks, Control, Function, Heap, MemoryType, Profile, SimDevice};

pub(crate) const KIB: u64 = freestone::sim::KIB;
pub(crate) const MIB: u64 = freestone::sim::MIB;
const GIB: u64 = freestone::sim::GIB;

/// How many objects the driver gives: what the specification promises, or any number; the last with heaps without end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Objects {
    Promised,
    Unlimited,
    UnlimitedAndVast,
}

/// A device with a heap of 24 GiB, one of 256 MiB behind the BAR, and 64 GiB of system memory; memory types in the
/// order of [`Class`](crate::request::Class).
#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) sim: SimDevice,
}

impl Driver {
    pub(crate) fn new(objects: Objects) -> Self {
        let mut profile = Profile::discrete_bar256();
        let local = vk::MemoryHeapFlags::DEVICE_LOCAL;
        profile.heaps =
            vec![heap(24 * GIB, local), heap(64 * GIB, vk::MemoryHeapFlags::empty()), heap(256 * MIB, local)];
        let device = vk::MemoryPropertyFlags::DEVICE_LOCAL;
        let host = vk::MemoryPropertyFlags::HOST_VISIBLE | vk::MemoryPropertyFlags::HOST_COHERENT;
        let cached = vk::MemoryPropertyFlags::HOST_CACHED;
        profile.memory_types = [(device, 0), (host, 1), (host | cached, 1), (device | host, 2)]
            .map(|(property_flags, heap_index)| MemoryType { property_flags, heap_index })
            .to_vec();
        if objects != Objects::Promised {
            profile.max_memory_allocation_count = u32::MAX;
        }
        if objects == Objects::UnlimitedAndVast {
            profile.heaps.iter_mut().for_each(|heap| heap.size = 1 << 50);
        }
        let sim = SimDevice::builder(profile).checks(Checks::NONE).build();
        Self { sim: sim.expect("the profile contradicts nothing") }
    }

    pub(crate) fn control(&self) -> &Control {
        self.sim.control()
    }

    /// Returns how often memory was allocated and freed.
    pub(crate) fn calls(&self) -> u64 {
        self.allocations() + self.control().count(Function::FreeMemory)
    }

    /// Returns how often memory was allocated.
    pub(crate) fn allocations(&self) -> u64 {
        self.control().count(Function::AllocateMemory)
    }

    /// Returns the bytes of all live memory objects.
    pub(crate) fn reserved(&self) -> u64 {
        self.control().reserved_bytes()
    }
}

fn heap(size: u64, flags: vk::MemoryHeapFlags) -> Heap {
    Heap { size, flags, budget: None, foreign_usage: 0 }
}

/// Allocates `count` memory objects and frees them: what the driver's own bookkeeping costs, in time and bytes.
pub(crate) fn exercise(driver: &Driver, count: u32, mut at_peak: impl FnMut()) {
    let device = driver.sim.device();
    let info = vk::MemoryAllocateInfo::default().allocation_size(64 * KIB).memory_type_index(0);
    // SAFETY: the device is alive, the create-info valid, and no callbacks are given.
    let allocate = |_| unsafe { device.allocate_memory(&info, None) }.expect("an empty device has room");
    let objects: Vec<_> = (0..count).map(allocate).collect();
    at_peak();
    for object in objects {
        // SAFETY: the object was made above and nothing uses it.
        unsafe { device.free_memory(object, None) };
    }
}

/// Times single allocations of memory, with up to `count` objects alive; frees them.
pub(crate) fn time_allocations(driver: &Driver, count: usize) -> Vec<u64> {
    let device = driver.sim.device();
    let info = vk::MemoryAllocateInfo::default().allocation_size(64 * MIB).memory_type_index(0);
    let (mut objects, mut samples) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for _ in 0..count {
        let start = ticks();
        // SAFETY: the device is alive, the create-info valid, and no callbacks are given.
        let object = unsafe { device.allocate_memory(&info, None) };
        samples.push(ticks() - start);
        objects.push(object.expect("the driver has room"));
    }
    for object in objects {
        // SAFETY: the object was made above and nothing uses it.
        unsafe { device.free_memory(object, None) };
    }
    samples
}
