//! The two targets of a replay: an allocator that makes real buffers and images, and one that gets raw requirements.

use ash::vk;
use freestone::trace::{Class, Resource};
use freestone::{Allocation, AllocationRequirements, Allocator};

use crate::replay::{Created, Prepared, Target};
use crate::resources::{Cookbook, Recipe};
use crate::sizes::{RawSizes, create_info};
use crate::vulkan::Counter;

/// Makes buffers and images; memory by raw requirements where the device cannot have them.
#[derive(Debug)]
pub(crate) struct RealResources<'a> {
    pub(crate) allocator: &'a Allocator,
    pub(crate) counter: &'a Counter,
    pub(crate) cookbook: Cookbook<'a>,
    pub(crate) sizes: RawSizes,
}

/// What to make, and in memory of which class.
#[derive(Debug)]
pub(crate) struct Order {
    class: Class,
    what: What,
}

#[derive(Debug)]
enum What {
    Resource(Recipe),
    Memory(AllocationRequirements),
}

/// A resource with its memory, or memory alone.
#[derive(Debug)]
pub(crate) enum Made {
    Buffer(vk::Buffer, Allocation),
    Image(vk::Image, Allocation),
    Memory(Allocation),
}

impl Target for RealResources<'_> {
    type Order = Order;
    type Handle = Made;

    fn prepare(&mut self, resource: &Resource) -> Result<Prepared<Order>, String> {
        let (what, fallback) = match self.cookbook.recipe(resource).and_then(|recipe| self.within_limits(recipe)) {
            Ok(recipe) => (What::Resource(recipe), None),
            Err(reason) => (What::Memory(self.sizes.requirements(resource)?), Some(reason)),
        };
        Ok(Prepared { order: Order { class: resource.class, what }, fallback })
    }

    fn create(&mut self, order: Order) -> Result<Created<Made>, String> {
        let info = create_info(order.class);
        let fail = |error: freestone::AllocationError| error.to_string();
        let handle = match order.what {
            What::Resource(Recipe::Buffer(buffer_info)) => {
                // SAFETY: the device supports what a recipe names; nothing is ever submitted to the GPU.
                let (buffer, memory) = unsafe { self.allocator.create_buffer(&buffer_info, &info) }.map_err(fail)?;
                Made::Buffer(buffer, memory)
            }
            What::Resource(Recipe::Image(image_info)) => {
                // SAFETY: as above.
                let (image, memory) = unsafe { self.allocator.create_image(&image_info, &info) }.map_err(fail)?;
                Made::Image(image, memory)
            }
            What::Memory(requirements) => Made::Memory(self.allocator.allocate(&requirements, &info).map_err(fail)?),
        };
        let bytes = handle.memory().size();
        Ok(Created { handle, bytes })
    }

    fn destroy(&mut self, handle: Made) -> Result<(), String> {
        let destroyed = match handle {
            // SAFETY: made by this allocator; nothing was ever submitted to the GPU.
            Made::Buffer(buffer, memory) => unsafe { self.allocator.destroy_buffer(buffer, memory) },
            // SAFETY: as above.
            Made::Image(image, memory) => unsafe { self.allocator.destroy_image(image, memory) },
            Made::Memory(memory) => self.allocator.free(memory),
        };
        destroyed.map_err(|error| error.to_string())
    }

    fn driver_calls(&self) -> u64 {
        self.counter.count().calls()
    }
}

impl RealResources<'_> {
    /// A driver need not refuse a buffer above its own limit, so it is not asked for one.
    fn within_limits(&self, recipe: Recipe) -> Result<Recipe, String> {
        let limit = self.allocator.properties().max_buffer_size;
        match recipe {
            Recipe::Buffer(info) if info.size > limit => Err(format!("a buffer above the device's {limit} bytes")),
            _ => Ok(recipe),
        }
    }
}

impl Made {
    fn memory(&self) -> &Allocation {
        match self {
            Self::Buffer(_, memory) | Self::Image(_, memory) | Self::Memory(memory) => memory,
        }
    }
}

/// Allocates by raw requirements only.
#[derive(Debug)]
pub(crate) struct RawMemory<'a> {
    pub(crate) allocator: &'a Allocator,
    pub(crate) counter: &'a Counter,
    pub(crate) sizes: RawSizes,
    /// Why there are no resources.
    pub(crate) reason: &'a str,
}

impl Target for RawMemory<'_> {
    type Order = (AllocationRequirements, Class);
    type Handle = Allocation;

    fn prepare(&mut self, resource: &Resource) -> Result<Prepared<Self::Order>, String> {
        let order = (self.sizes.requirements(resource)?, resource.class);
        Ok(Prepared { order, fallback: Some(self.reason.to_owned()) })
    }

    fn create(&mut self, (requirements, class): Self::Order) -> Result<Created<Allocation>, String> {
        let handle = self.allocator.allocate(&requirements, &create_info(class)).map_err(|error| error.to_string())?;
        let bytes = handle.size();
        Ok(Created { handle, bytes })
    }

    fn destroy(&mut self, handle: Allocation) -> Result<(), String> {
        self.allocator.free(handle).map_err(|error| error.to_string())
    }

    fn driver_calls(&self) -> u64 {
        self.counter.count().calls()
    }
}

#[cfg(test)]
mod tests {
    use super::{RawMemory, RawSizes, Target, vk};
    use crate::sizes::SizeChoice;
    use crate::stage::Stage;
    use freestone::sim::Profile;
    use std::iter::zip;

    #[test]
    fn a_mapping_is_a_call_of_the_driver() {
        let stage = Stage::simulated(Profile::unified());
        let counter = stage.counter();
        let allocator = stage.allocator(&counter).expect("an allocator");
        let sizes = RawSizes::new(&stage, SizeChoice::Created);
        let target = RawMemory { allocator: &allocator, counter: &counter, sizes, reason: "" };
        let is_visible = |flags: vk::MemoryPropertyFlags| flags.contains(vk::MemoryPropertyFlags::HOST_VISIBLE);
        let types = zip(0.., &allocator.properties().memory_types);
        let visible = types.filter(|(_, one)| is_visible(one.property_flags)).map(|(index, _)| index).next();
        let info = vk::MemoryAllocateInfo::default().allocation_size(4096);
        let info = info.memory_type_index(visible.expect("every device has host-visible memory"));
        // SAFETY: the info is valid.
        let memory = unsafe { counter.device.allocate_memory(&info, None) }.expect("there is memory");
        let before = target.driver_calls();
        // SAFETY: the memory is the device's and is not mapped yet.
        unsafe { counter.device.map_memory(memory, 0, vk::WHOLE_SIZE, vk::MemoryMapFlags::empty()) }.expect("mapped");
        assert_eq!(target.driver_calls(), before + 1);
        // SAFETY: nothing uses the memory.
        unsafe { counter.device.free_memory(memory, None) };
        assert_eq!(target.driver_calls(), before + 2);
    }
}
