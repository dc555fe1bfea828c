//! freestone, as its users have it: default features, the shared handle, every check on.

use ash::vk;
use ash::vk::Handle as _;
use freestone::{
    Algorithm, Allocation, AllocationCreateInfo, AllocationRequirements, Allocator, AllocatorCreateInfo, CustomPool,
    DeviceAddress, Features, Intent, Kind, PoolCreateInfo,
};

use crate::driver::{Driver, MIB};
use crate::peer::{Peer, Place};
use crate::request::{Class, Request};

/// The allocator with its default pools.
pub(crate) struct Freestone {
    allocator: Allocator,
    infos: [AllocationCreateInfo<'static>; 4],
}

impl Freestone {
    pub(crate) fn open(driver: &Driver) -> Self {
        let infos = [Class::Device, Class::Upload, Class::Readback, Class::Stream].map(|class| {
            AllocationCreateInfo::new(match class {
                Class::Device => Intent::GpuOnly,
                Class::Upload => Intent::Upload,
                Class::Readback => Intent::Readback,
                Class::Stream => Intent::Stream,
            })
        });
        Self { allocator: open(driver), infos }
    }

    #[inline]
    pub(crate) fn serve(&self, request: &Request) -> Option<Allocation> {
        self.allocator.allocate(&requirements(request), &self.infos[request.class as usize]).ok()
    }

    /// Serves requests of one class.
    pub(crate) fn serve_many(&self, requests: &[Request]) -> Option<Vec<Allocation>> {
        let info = &self.infos[requests.first()?.class as usize];
        let requirements: Vec<_> = requests.iter().map(requirements).collect();
        self.allocator.allocate_many(&requirements, info).ok()
    }

    #[inline]
    pub(crate) fn take_back(&self, handle: Allocation) {
        assert!(self.allocator.free(handle).is_ok(), "an allocation of this allocator");
    }

    pub(crate) fn take_back_many(&self, handles: &mut Vec<Allocation>) {
        assert!(self.allocator.free_many(handles).is_ok(), "allocations of this allocator");
    }
}

impl Peer for Freestone {
    type Handle = Allocation;

    fn new(driver: &Driver) -> Self {
        Self::open(driver)
    }

    #[inline(never)]
    fn allocate(&mut self, request: &Request) -> Option<Allocation> {
        self.serve(request)
    }

    #[inline(never)]
    fn free(&mut self, handle: Allocation) {
        self.take_back(handle);
    }

    fn trim(&mut self) {
        self.allocator.trim();
    }

    fn place(&self, handle: &Allocation) -> Option<Place> {
        Some(Place { memory: handle.memory().as_raw(), offset: handle.offset() })
    }
}

/// A linear pool of one block, for what is freed in the order of its making.
pub(crate) struct LinearPool {
    allocator: Allocator,
    pool: Option<CustomPool>,
}

impl Peer for LinearPool {
    type Handle = Allocation;

    fn new(driver: &Driver) -> Self {
        let allocator = open(driver);
        let info = PoolCreateInfo::for_intent(Intent::Upload).algorithm(Algorithm::Linear);
        let info = info.block_size(92 * MIB).min_block_count(1).max_block_count(1);
        let pool = allocator.create_pool(&info).expect("the device has an upload type with room");
        Self { allocator, pool: Some(pool) }
    }

    #[inline(never)]
    fn allocate(&mut self, request: &Request) -> Option<Allocation> {
        let info = AllocationCreateInfo::upload().pool(self.pool.as_ref()?);
        self.allocator.allocate(&requirements(request), &info).ok()
    }

    #[inline(never)]
    fn free(&mut self, handle: Allocation) {
        assert!(self.allocator.free(handle).is_ok(), "an allocation of this allocator");
    }

    fn place(&self, handle: &Allocation) -> Option<Place> {
        Some(Place { memory: handle.memory().as_raw(), offset: handle.offset() })
    }
}

impl Drop for LinearPool {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.take() {
            assert!(self.allocator.destroy_pool(pool).is_ok(), "a workload frees all it allocates");
        }
    }
}

/// Opens an allocator on a driver that outlives it.
pub(crate) fn open(driver: &Driver) -> Allocator {
    open_with(driver, Features::default())
}

/// Does the same and declares features. Those that the driver lacks change what calls say, and it looks at nothing
/// here.
pub(crate) fn open_with(driver: &Driver, features: Features) -> Allocator {
    let sim = &driver.sim;
    let info = AllocatorCreateInfo::new(sim.entry(), sim.instance(), sim.physical_device(), sim.device());
    let info = info.api_version(vk::API_VERSION_1_3).features(features);
    // SAFETY: the objects belong together, and a workload's driver outlives its allocator; its checks are off.
    unsafe { Allocator::new(info) }.expect("the simulated driver has every function")
}

/// Returns what a driver would say a resource needs.
pub(crate) fn requirements(request: &Request) -> AllocationRequirements {
    let kind = if request.is_linear { Kind::Linear } else { Kind::NonLinear };
    let requirements = vk::MemoryRequirements {
        size: request.size,
        alignment: request.alignment,
        memory_type_bits: request.memory_type_bits(),
    };
    AllocationRequirements::new(requirements, kind, DeviceAddress::NotNeeded)
}
