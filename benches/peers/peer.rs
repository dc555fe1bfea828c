//! The peers behind one small trait, each used as its own documentation tells.

use ash::vk;
use ash::vk::Handle as _;

use crate::driver::{Driver, Objects};
use crate::request::{Class, Request};

/// Where a resource lies, for the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) memory: u64,
    pub(crate) offset: u64,
}

/// An allocator.
pub(crate) trait Peer: Sized {
    /// What frees an allocation.
    type Handle;
    /// Whether its time is the driver's own, so that it is not taken off.
    const IS_DRIVER: bool = false;
    /// How many driver objects it needs.
    const OBJECTS: Objects = Objects::Promised;

    fn new(driver: &Driver) -> Self;
    fn allocate(&mut self, request: &Request) -> Option<Self::Handle>;
    fn free(&mut self, handle: Self::Handle);
    /// Gives back what is kept without need, where the peer can.
    fn trim(&mut self) {}
    /// Returns where it lies; `None` for a peer that hands out nothing.
    fn place(&self, handle: &Self::Handle) -> Option<Place>;
}

/// Does nothing: what the harness costs. It is taken off every count of instructions.
#[derive(Debug)]
pub(crate) struct Nothing(u64);

impl Peer for Nothing {
    type Handle = u64;

    fn new(_driver: &Driver) -> Self {
        Self(0)
    }

    #[inline(never)]
    fn allocate(&mut self, request: &Request) -> Option<u64> {
        self.0 = self.0.wrapping_add(request.size);
        Some(self.0)
    }

    #[inline(never)]
    fn free(&mut self, handle: u64) {
        self.0 = self.0.wrapping_sub(handle);
    }

    fn place(&self, _handle: &u64) -> Option<Place> {
        None
    }
}

/// One driver allocation per resource.
pub(crate) struct OnePerResource {
    device: ash::Device,
}

impl Peer for OnePerResource {
    type Handle = vk::DeviceMemory;
    const IS_DRIVER: bool = true;
    const OBJECTS: Objects = Objects::Unlimited;

    fn new(driver: &Driver) -> Self {
        Self { device: driver.sim.device().clone() }
    }

    #[inline(never)]
    fn allocate(&mut self, request: &Request) -> Option<vk::DeviceMemory> {
        let memory_type_index = request.memory_type_bits().trailing_zeros();
        let info = vk::MemoryAllocateInfo::default().allocation_size(request.size).memory_type_index(memory_type_index);
        // SAFETY: the device is alive, the create-info valid.
        let memory = unsafe { self.device.allocate_memory(&info, None) }.ok()?;
        if request.class != Class::Device {
            // SAFETY: the memory is host-visible and not mapped yet; freeing it unmaps it.
            unsafe { self.device.map_memory(memory, 0, vk::WHOLE_SIZE, vk::MemoryMapFlags::empty()) }.ok()?;
        }
        Some(memory)
    }

    #[inline(never)]
    fn free(&mut self, handle: vk::DeviceMemory) {
        // SAFETY: the memory was made by `allocate`; nothing is bound to it.
        unsafe { self.device.free_memory(handle, None) };
    }

    fn place(&self, handle: &vk::DeviceMemory) -> Option<Place> {
        Some(Place { memory: handle.as_raw(), offset: 0 })
    }
}
