//! Memory for a plan, kept from frame to frame, and the resources inside it.
//!
//! Invariants:
//! - M1: `pages[n]` meets the requirements of the plan's page `n`.
//! - M2: a plan that fails changes nothing: neither the plan before nor its memory.

use core::fmt;
use core::ops::RangeInclusive;

use ash::vk;

use super::error::TransientError;
use super::keep::{Kept, assign};
use super::plan::{TransientPlan, TransientRequest};
use super::rules::{is_lazy, lazily, rules};
use crate::allocator::{
    AliasError, Allocation, AllocationCreateInfo, AllocationError, AllocationRequirements, DeviceAddress,
};
use crate::device::Requirements;
use crate::pool::Kind;
use crate::resource::{AllocatorRef, kind_of};

/// Memory that a plan no longer needs. The frames before may still use it: destroy the resources in it and
/// [free](crate::Allocator::free) it when the GPU is done with them.
#[derive(Debug, Default)]
#[must_use = "this memory is freed by handing it to the allocator when the GPU is done with it"]
pub struct OutdatedMemory {
    /// The memory.
    pub allocations: Vec<Allocation>,
}

/// What [`TransientMemory::plan`] has changed.
#[derive(Debug)]
#[must_use = "what is outdated must be freed, and resources be made anew where something has changed"]
pub struct TransientChange {
    /// Whether every resource lies where it lay and takes over what it took over: those that exist go on, and the
    /// takeovers hold for the old plan's last frame too. Where not, they must be made anew, and the first frame of the
    /// new plan must wait for all of that frame: the takeovers name what a frame of the new plan ends with.
    pub is_same: bool,
    /// Memory that is no longer needed.
    pub outdated: OutdatedMemory,
}

/// Plans the transients of a frame, keeps memory for them, and makes resources inside it.
///
/// # Examples
/// ```
/// # use freestone::{sim, Allocator, AllocatorCreateInfo};
/// use freestone::{AllocationCreateInfo, TransientMemory, ash::vk};
///
/// # let vulkan = sim::SimDevice::new(sim::Profile::discrete_rebar());
/// # vulkan.control().allow_aliasing(true);
/// # let info = AllocatorCreateInfo::new(vulkan.entry(), vulkan.instance(), vulkan.physical_device(), vulkan.device());
/// # // SAFETY: the objects belong together and outlive the allocator.
/// # let allocator = unsafe { Allocator::new(info) }?;
/// # let device = vulkan.device();
/// let target = |edge| {
///     vk::ImageCreateInfo::default()
///         .image_type(vk::ImageType::TYPE_2D)
///         .format(vk::Format::R8G8B8A8_UNORM)
///         .extent(vk::Extent3D { width: edge, height: edge, depth: 1 })
///         .mip_levels(1)
///         .array_layers(1)
///         .samples(vk::SampleCountFlags::TYPE_1)
///         .usage(vk::ImageUsageFlags::COLOR_ATTACHMENT | vk::ImageUsageFlags::SAMPLED)
/// };
/// let mut transients = TransientMemory::new(&allocator, AllocationCreateInfo::gpu_only());
/// let (shadow, bloom) = (target(1024), target(512));
/// // SAFETY: the create-infos are valid.
/// let requests = unsafe { [transients.image_request(&shadow, 0..=1)?, transients.image_request(&bloom, 2..=3)?] };
/// let change = transients.plan(&requests)?;
/// assert!(!change.is_same && change.outdated.allocations.is_empty());
/// // SAFETY: as above; both are destroyed before the memory goes.
/// let (shadow, bloom) = unsafe { (transients.create_image(0, &shadow)?, transients.create_image(1, &bloom)?) };
/// assert_eq!(transients.layout().placements()[1].offset, 0, "the bloom lies where the shadow map lay");
/// // The next frame: nothing changes, and nothing is asked of the driver.
/// assert!(transients.plan(&requests)?.is_same);
/// # // SAFETY: the GPU has never seen them.
/// # unsafe { device.destroy_image(shadow, None); device.destroy_image(bloom, None) };
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TransientMemory<A: AllocatorRef> {
    info: AllocationCreateInfo<'static>,
    requests: Vec<TransientRequest>,
    plan: TransientPlan,
    pages: Vec<Allocation>,
    allocator: A,
}

impl<A: AllocatorRef> TransientMemory<A> {
    /// Starts with no plan and no memory. The wishes hold for all memory; lazily allocated memory is taken besides, for
    /// requests that allow it, where flags and pool do.
    pub fn new(allocator: A, info: AllocationCreateInfo<'static>) -> Self {
        Self {
            info: info.can_alias(),
            requests: Vec::new(),
            plan: TransientPlan::default(),
            pages: Vec::new(),
            allocator,
        }
    }

    /// Describes an image for a plan: asks the driver what it needs, by creating and destroying one where
    /// [`Allocator::requirements_of_image`](crate::Allocator::requirements_of_image) has no answer. An image whose
    /// usage has `TRANSIENT_ATTACHMENT` may be lazily allocated.
    ///
    /// # Errors
    /// `Allocation` where such an image is not supported here, or the driver fails.
    ///
    /// # Safety
    /// `image_info` and its pNext chain are valid for the allocator's device.
    pub unsafe fn image_request(
        &self,
        image_info: &vk::ImageCreateInfo<'_>,
        uses: RangeInclusive<u32>,
    ) -> Result<TransientRequest, TransientError> {
        // SAFETY: the caller's duty.
        let known = unsafe { self.allocator.requirements_of_image(image_info) }?;
        let requirements = if let Some(requirements) = known {
            requirements
        } else {
            // SAFETY: the caller's duty; what is not supported was refused above.
            let reported = unsafe { self.probe_image(image_info) }?;
            self.allocator.requirements_for(&reported, kind_of(image_info.tiling), DeviceAddress::NotNeeded)
        };
        let request = TransientRequest::new(requirements, uses);
        let is_transient = image_info.usage.contains(vk::ImageUsageFlags::TRANSIENT_ATTACHMENT);
        Ok(if is_transient { request.may_be_lazy() } else { request })
    }

    /// Describes a buffer for a plan; see [`image_request`](Self::image_request).
    ///
    /// # Errors
    /// `Allocation` where such a buffer is not supported here, or the driver fails.
    ///
    /// # Safety
    /// `buffer_info` and its pNext chain are valid for the allocator's device.
    pub unsafe fn buffer_request(
        &self,
        buffer_info: &vk::BufferCreateInfo<'_>,
        uses: RangeInclusive<u32>,
    ) -> Result<TransientRequest, TransientError> {
        // SAFETY: the caller's duty.
        let known = unsafe { self.allocator.requirements_of_buffer(buffer_info) }?;
        let requirements = if let Some(requirements) = known {
            requirements
        } else {
            // SAFETY: the caller's duty; what is not supported was refused above.
            let reported = unsafe { self.probe_buffer(buffer_info) }?;
            // Where device addresses are declared, every block carries the flag: nothing more is needed for them.
            AllocationRequirements::of_resource(&reported, Kind::Linear, DeviceAddress::NotNeeded)
        };
        Ok(TransientRequest::new(requirements, uses))
    }

    /// Plans a frame and sees to its memory. The same requests as before cost a comparison; memory that still fits is
    /// kept, so frames that come and go between a few sets make no driver call.
    ///
    /// # Errors
    /// What is wrong with a request, or `Allocation` where memory cannot be had or no memory type allows the wishes.
    /// The plan before and its memory stay.
    pub fn plan(&mut self, requests: &[TransientRequest]) -> Result<TransientChange, TransientError> {
        if self.requests == requests {
            return Ok(TransientChange { is_same: true, outdated: OutdatedMemory::default() });
        }
        let plan = TransientPlan::with_rules(requests, &rules(&self.allocator, &self.info)?)?;
        let kept: Vec<Kept> = self.pages.iter().map(|memory| self.kept(memory)).collect();
        let assigned = assign(plan.pages(), &kept);
        let fresh = self.allocate_missing(&plan, &assigned)?;
        let outdated = self.replace_pages(&assigned, fresh);
        let is_same = plan.goes_on_from(&self.plan) && assigned.iter().copied().eq((0..kept.len()).map(Some));
        self.requests.clear();
        self.requests.extend_from_slice(requests);
        self.plan = plan;
        Ok(TransientChange { is_same, outdated })
    }

    /// Returns the plan.
    pub fn layout(&self) -> &TransientPlan {
        &self.plan
    }

    /// Returns the memory that a resource lies in, and where, in bytes from the start of the allocation.
    ///
    /// # Errors
    /// `NoSuchResource`.
    pub fn memory(&self, index: usize) -> Result<(&Allocation, u64), TransientError> {
        let count = self.plan.placements().len();
        let placement = self.plan.placements().get(index).ok_or(TransientError::NoSuchResource { index, count })?;
        Ok((&self.pages[placement.page], placement.offset))
    }

    /// Returns the bytes of memory that are kept, at least those of the plan.
    pub fn bytes(&self) -> u64 {
        self.pages.iter().map(Allocation::size).sum()
    }

    /// Creates an image where the plan has its place.
    ///
    /// # Errors
    /// `NoSuchResource`; `LargerThanPlanned` or `OtherKind` where it is not what was planned; `Dedicated` where the
    /// driver requires that and the plan was not told; `Allocation`. Nothing is left behind.
    ///
    /// # Safety
    /// 1. `image_info` and its pNext chain are valid for the allocator's device.
    /// 2. The image is destroyed, with Vulkan, before its memory goes: with this value, or freed as outdated.
    /// 3. The barriers are recorded that [`TransientPlan::takeovers`] asks for.
    pub unsafe fn create_image(
        &self,
        index: usize,
        image_info: &vk::ImageCreateInfo<'_>,
    ) -> Result<vk::Image, TransientError> {
        let (memory, offset) = self.memory(index)?;
        let kind = kind_of(image_info.tiling);
        if self.allocator.lies_alone(kind) {
            return Err(TransientError::Dedicated { index });
        }
        self.check_kind(index, kind.unwrap_or(Kind::NonLinear))?;
        // SAFETY: duties 1 to 3.
        let image = unsafe { self.allocator.create_aliasing_image(image_info, memory, offset) };
        let image = image.map_err(|error| self.not_made(index, error))?;
        // SAFETY: the image is alive; disjoint ones are refused when they are created.
        let reported = unsafe { self.allocator.device().image_requirements(image) };
        self.check_size(index, &reported).inspect_err(|_| {
            // SAFETY: the image was created above, and nobody has seen it.
            unsafe { self.allocator.device().destroy_image(image) };
        })?;
        Ok(image)
    }

    /// Creates a buffer where the plan has its place. One that was planned as `NonLinear`, for want of knowing, gets it
    /// where all that lies on its pages of `bufferImageGranularity` shares bytes with it; so does a linear image.
    ///
    /// # Errors
    /// As [`create_image`](Self::create_image).
    ///
    /// # Safety
    /// As [`create_image`](Self::create_image).
    pub unsafe fn create_buffer(
        &self,
        index: usize,
        buffer_info: &vk::BufferCreateInfo<'_>,
    ) -> Result<vk::Buffer, TransientError> {
        let (memory, offset) = self.memory(index)?;
        self.check_kind(index, Kind::Linear)?;
        // SAFETY: duties 1 to 3.
        let buffer = unsafe { self.allocator.create_aliasing_buffer(buffer_info, memory, offset) };
        let buffer = buffer.map_err(|error| self.not_made(index, error))?;
        // SAFETY: the buffer is alive.
        let reported = unsafe { self.allocator.device().buffer_requirements(buffer) };
        self.check_size(index, &reported).inspect_err(|_| {
            // SAFETY: the buffer was created above, and nobody has seen it.
            unsafe { self.allocator.device().destroy_buffer(buffer) };
        })?;
        Ok(buffer)
    }

    /// Gives up plan and memory, for whoever wants no transients for a while.
    pub fn clear(&mut self) -> OutdatedMemory {
        self.requests.clear();
        self.plan = TransientPlan::default();
        OutdatedMemory { allocations: core::mem::take(&mut self.pages) }
    }

    /// Checks that a resource of that kind conflicts with no other on its pages of the granularity. Who shares bytes
    /// with it is never alive with it, and a takeover stands between the two.
    fn check_kind(&self, index: usize, kind: Kind) -> Result<(), TransientError> {
        let planned = self.requests[index].requirements.kind;
        let granularity = self.allocator.granularity();
        if kind == planned || granularity <= 1 {
            return Ok(());
        }
        let (memory, _) = self.memory(index)?;
        let is_apart = kind == Kind::Linear && !self.plan.has_neighbour(index, memory.offset(), granularity);
        if is_apart { Ok(()) } else { Err(TransientError::OtherKind { index }) }
    }

    /// Checks that a resource needs no more than its place has.
    fn check_size(&self, index: usize, reported: &Requirements) -> Result<(), TransientError> {
        if reported.size <= self.plan.placements()[index].size {
            Ok(())
        } else {
            Err(self.larger(index, reported.size))
        }
    }

    fn larger(&self, index: usize, required: u64) -> TransientError {
        TransientError::LargerThanPlanned { index, planned: self.plan.placements()[index].size, required }
    }

    /// Says of a resource of the plan why it could not be made.
    fn not_made(&self, index: usize, error: AllocationError) -> TransientError {
        match error {
            AllocationError::Alias(AliasError::RequiresDedicated) => TransientError::Dedicated { index },
            // What is of the kind that was planned shares no page with another kind, and what is as large fits.
            AllocationError::Alias(AliasError::SharedPage { .. }) => TransientError::OtherKind { index },
            AllocationError::Alias(AliasError::DoesNotFit { size, .. }) => self.larger(index, size),
            other => other.into(),
        }
    }

    /// Allocates for the pages that no kept memory serves, all or none.
    fn allocate_missing(
        &self,
        plan: &TransientPlan,
        assigned: &[Option<usize>],
    ) -> Result<Vec<Allocation>, AllocationError> {
        let mut fresh = Vec::new();
        let missing = plan.pages().iter().zip(assigned).filter(|(_, kept)| kept.is_none());
        for (page, _) in missing {
            let wishes = if page.is_lazy { lazily(&self.info) } else { self.info };
            match self.allocator.allocate(&page.requirements, &wishes) {
                Ok(allocation) => fresh.push(allocation),
                Err(error) => {
                    fresh.into_iter().rev().for_each(|allocation| self.allocator.take_back(allocation));
                    return Err(error);
                }
            }
        }
        Ok(fresh)
    }

    /// Puts kept and fresh memory in the order of the pages (M1), and returns the rest.
    fn replace_pages(&mut self, assigned: &[Option<usize>], fresh: Vec<Allocation>) -> OutdatedMemory {
        let mut old: Vec<Option<Allocation>> = self.pages.drain(..).map(Some).collect();
        let mut fresh = fresh.into_iter();
        for kept in assigned {
            let memory = match kept {
                Some(number) => old[*number].take(),
                None => fresh.next(),
            };
            self.pages.extend(memory);
        }
        debug_assert_eq!(self.pages.len(), assigned.len(), "M1");
        OutdatedMemory { allocations: old.into_iter().flatten().collect() }
    }

    fn kept(&self, memory: &Allocation) -> Kept {
        let memory_type_index = memory.memory_type_index();
        Kept {
            size: memory.size(),
            offset: memory.offset(),
            memory_type_index,
            kind: memory.kind(),
            is_lazy: is_lazy(&self.allocator, memory_type_index),
        }
    }

    /// Asks what an image needs by creating one.
    ///
    /// # Safety
    /// The create-info is valid, and not one of a disjoint image.
    unsafe fn probe_image(&self, info: &vk::ImageCreateInfo<'_>) -> Result<Requirements, AllocationError> {
        let device = self.allocator.device();
        // SAFETY: the caller's duty.
        let image = unsafe { device.create_image(info) }?;
        // SAFETY: the image was created a line above, and is not disjoint.
        let reported = unsafe { device.image_requirements(image) };
        // SAFETY: nobody else has seen the image.
        unsafe { device.destroy_image(image) };
        Ok(reported)
    }

    /// Asks what a buffer needs by creating one.
    ///
    /// # Safety
    /// The create-info is valid.
    unsafe fn probe_buffer(&self, info: &vk::BufferCreateInfo<'_>) -> Result<Requirements, AllocationError> {
        let device = self.allocator.device();
        // SAFETY: the caller's duty.
        let buffer = unsafe { device.create_buffer(info) }?;
        // SAFETY: the buffer was created a line above.
        let reported = unsafe { device.buffer_requirements(buffer) };
        // SAFETY: nobody else has seen the buffer.
        unsafe { device.destroy_buffer(buffer) };
        Ok(reported)
    }
}

impl<A: AllocatorRef> Drop for TransientMemory<A> {
    /// Frees all memory: what was created in it has been destroyed (duty 2 of `create_image`).
    fn drop(&mut self) {
        for memory in self.pages.drain(..) {
            let freed = self.allocator.free(memory);
            debug_assert!(freed.is_ok(), "the allocator has made it");
        }
    }
}

impl<A: AllocatorRef> fmt::Debug for TransientMemory<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransientMemory").field("plan", &self.plan).field("pages", &self.pages).finish_non_exhaustive()
    }
}
