//! An allocator that knows nothing of the simulation runs on it: proof that the driver is one.

use super::super::{Function, Profile, SimDevice};
use super::{bind_buffer, buffer, destroy_buffer};
use gpu_allocator::MemoryLocation;
use gpu_allocator::vulkan::{AllocationCreateDesc, AllocationScheme, Allocator, AllocatorCreateDesc};

fn run(sim: &SimDevice) {
    let mut allocator = Allocator::new(&AllocatorCreateDesc {
        instance: sim.instance().clone(),
        device: sim.device().clone(),
        physical_device: sim.physical_device(),
        debug_settings: gpu_allocator::AllocatorDebugSettings::default(),
        buffer_device_address: false,
        allocation_sizes: gpu_allocator::AllocationSizes::default(),
    })
    .unwrap();
    for location in [MemoryLocation::GpuOnly, MemoryLocation::CpuToGpu] {
        let one = buffer(sim, 1000);
        // SAFETY: device and buffer are valid.
        let requirements = unsafe { sim.device().get_buffer_memory_requirements(one) };
        let (name, linear) = ("peer", true);
        let allocation_scheme = AllocationScheme::GpuAllocatorManaged;
        let desc = AllocationCreateDesc { name, requirements, location, linear, allocation_scheme };
        let allocation = allocator.allocate(&desc).unwrap();
        // SAFETY: the allocation is not freed before the buffer is destroyed.
        let memory = unsafe { allocation.memory() };
        bind_buffer(sim, one, memory, allocation.offset()).unwrap();
        destroy_buffer(sim, one);
        allocator.free(allocation).unwrap();
    }
}

#[test]
#[cfg_attr(miri, ignore = "its blocks of 256 MiB are too much for Miri")]
fn gpu_allocator_runs_on_every_profile() {
    for profile in Profile::all() {
        let name = profile.name.clone();
        let sim = SimDevice::new(profile);
        run(&sim);
        assert!(sim.control().count(Function::AllocateMemory) > 0, "{name}");
        assert_eq!(sim.finish(), [], "{name}");
    }
}
