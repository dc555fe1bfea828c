//! The other allocators in Rust: gpu-allocator and gpu-alloc.

use ash::vk;
use ash::vk::Handle as _;
use gpu_alloc_ash::AshMemoryDevice;
use gpu_allocator::MemoryLocation;
use gpu_allocator::vulkan::{AllocationCreateDesc, AllocationScheme, AllocatorCreateDesc};

use crate::driver::{Driver, MIB};
use crate::peer::{Peer, Place};
use crate::request::{Class, Request};

/// gpu-allocator 0.28, with blocks of its default sizes, or with small ones of 8 MiB (4 MiB in host-visible memory).
/// Allocations have empty names: its best case.
pub(crate) struct GpuAllocator<const SMALL_BLOCKS: bool = false>(gpu_allocator::vulkan::Allocator);

impl<const SMALL_BLOCKS: bool> Peer for GpuAllocator<SMALL_BLOCKS> {
    type Handle = gpu_allocator::vulkan::Allocation;

    fn new(driver: &Driver) -> Self {
        let mut debug_settings = gpu_allocator::AllocatorDebugSettings::default();
        debug_settings.log_leaks_on_shutdown = false;
        let description = AllocatorCreateDesc {
            instance: driver.sim.instance().clone(),
            device: driver.sim.device().clone(),
            physical_device: driver.sim.physical_device(),
            debug_settings,
            buffer_device_address: false,
            allocation_sizes: if SMALL_BLOCKS {
                gpu_allocator::AllocationSizes::new(8 * MIB, 4 * MIB)
            } else {
                gpu_allocator::AllocationSizes::default()
            },
        };
        Self(gpu_allocator::vulkan::Allocator::new(&description).expect("the description is complete"))
    }

    #[inline(never)]
    fn allocate(&mut self, request: &Request) -> Option<Self::Handle> {
        let location = match request.class {
            Class::Device => MemoryLocation::GpuOnly,
            Class::Upload | Class::Stream => MemoryLocation::CpuToGpu,
            Class::Readback => MemoryLocation::GpuToCpu,
        };
        let requirements = vk::MemoryRequirements {
            size: request.size,
            alignment: request.alignment,
            memory_type_bits: request.memory_type_bits(),
        };
        let description = AllocationCreateDesc {
            name: "",
            requirements,
            location,
            linear: request.is_linear,
            allocation_scheme: AllocationScheme::GpuAllocatorManaged,
        };
        self.0.allocate(&description).ok()
    }

    #[inline(never)]
    fn free(&mut self, handle: Self::Handle) {
        assert!(self.0.free(handle).is_ok(), "an allocation of this allocator");
    }

    fn place(&self, handle: &Self::Handle) -> Option<Place> {
        // SAFETY: the memory object is only compared, never used.
        let memory = unsafe { handle.memory() };
        Some(Place { memory: memory.as_raw(), offset: handle.offset() })
    }
}

/// gpu-alloc 0.6 with the configuration that its documentation starts with.
pub(crate) struct GpuAlloc {
    allocator: gpu_alloc::GpuAllocator<vk::DeviceMemory>,
    device: ash::Device,
}

impl Peer for GpuAlloc {
    type Handle = gpu_alloc::MemoryBlock<vk::DeviceMemory>;

    fn new(driver: &Driver) -> Self {
        let (instance, physical_device) = (driver.sim.instance(), driver.sim.physical_device());
        // SAFETY: the physical device is of this instance.
        let properties = unsafe { gpu_alloc_ash::device_properties(instance, vk::API_VERSION_1_3, physical_device) };
        let mut properties = properties.expect("the simulated driver answers");
        properties.buffer_device_address = false;
        let config = gpu_alloc::Config::i_am_prototyping();
        let allocator = gpu_alloc::GpuAllocator::new(config, properties);
        Self { allocator, device: driver.sim.device().clone() }
    }

    #[inline(never)]
    fn allocate(&mut self, request: &Request) -> Option<Self::Handle> {
        use gpu_alloc::UsageFlags;
        let mut usage = match request.class {
            Class::Device => UsageFlags::FAST_DEVICE_ACCESS,
            Class::Upload | Class::Stream => UsageFlags::UPLOAD,
            Class::Readback => UsageFlags::DOWNLOAD,
        };
        if request.is_short_lived {
            usage |= UsageFlags::TRANSIENT;
        }
        let request = gpu_alloc::Request {
            size: request.size,
            align_mask: request.alignment - 1,
            usage,
            memory_types: request.memory_type_bits(),
        };
        // SAFETY: the device is the one that the properties were read from.
        unsafe { self.allocator.alloc(AshMemoryDevice::wrap(&self.device), request) }.ok()
    }

    #[inline(never)]
    fn free(&mut self, handle: Self::Handle) {
        // SAFETY: the block came from this allocator and device; nothing is bound to it.
        unsafe { self.allocator.dealloc(AshMemoryDevice::wrap(&self.device), handle) };
    }

    fn place(&self, handle: &Self::Handle) -> Option<Place> {
        Some(Place { memory: handle.memory().as_raw(), offset: handle.offset() })
    }
}

impl Drop for GpuAlloc {
    fn drop(&mut self) {
        // SAFETY: every block was freed by the workload.
        unsafe { self.allocator.cleanup(AshMemoryDevice::wrap(&self.device)) };
    }
}
