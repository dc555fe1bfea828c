//! What a user asks for, and the request that the lower floors see.
//!
//! ```text
//!   AllocationRequirements (the resource's)  +  AllocationCreateInfo (the user's wishes)
//!        -> AllocationRequest: checked and rounded once
//!        -> PoolRequest: the same, for one memory type
//! ```
//!
//! Kinds (`bufferImageGranularity`): a non-linear request rounds size and alignment up to whole pages, so no page ever
//! holds two kinds. Atoms (`nonCoherentAtomSize`): a pool of non-coherent memory cuts whole atoms only, so no atom ever
//! has two owners.

use ash::vk;

use super::custom_pool::CustomPool;
use super::error::AllocationError;
use crate::device::{DedicatedFor, DedicatedPreference, Requirements};
use crate::memory_type::{Bound, ExtraFlags, Intent, TypeRequest};
use crate::pool::placement::{self, PlacementInput, Strategy};
use crate::pool::{DedicatedUse, HostAccess, Kind, Lifetime, MemoryPriority, Pool, PoolRequest};
use crate::suballocator::{End, Request};

/// Whether a buffer's memory needs a device address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceAddress {
    /// No shader holds an address into the memory.
    NotNeeded,
    /// `VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT` is set; the feature must have been declared.
    Needed,
}

/// What memory a resource needs: `VkMemoryRequirements`, and what they do not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllocationRequirements {
    /// Bytes; above 0.
    pub size: u64,
    /// Alignment in bytes; a power of two.
    pub alignment: u64,
    /// The memory types that the resource may lie in, one bit each.
    pub memory_type_bits: u32,
    /// Whether the resource is linear; see [`Kind::NonLinear`] where that is not known.
    pub kind: Kind,
    /// Whether the memory needs a device address.
    pub device_address: DeviceAddress,
    /// What the driver says of a dedicated allocation.
    pub dedicated: DedicatedPreference,
}

impl AllocationRequirements {
    /// Takes over a driver's requirements. Kind and need of a device address must be said: the driver does not.
    ///
    /// The driver's wish for a dedicated allocation is taken to be none; see [`dedicated`](Self::dedicated).
    pub fn new(requirements: vk::MemoryRequirements, kind: Kind, device_address: DeviceAddress) -> Self {
        Self {
            size: requirements.size,
            alignment: requirements.alignment,
            memory_type_bits: requirements.memory_type_bits,
            kind,
            device_address,
            dedicated: DedicatedPreference::None,
        }
    }

    pub(crate) fn of_resource(requirements: &Requirements, kind: Kind, device_address: DeviceAddress) -> Self {
        Self {
            size: requirements.size,
            alignment: requirements.alignment,
            memory_type_bits: requirements.memory_type_bits,
            kind,
            device_address,
            dedicated: requirements.dedicated,
        }
    }
}

/// What the user wishes: the intent, and whatever else matters.
///
/// # Examples
/// ```
/// use freestone::AllocationCreateInfo;
///
/// let info = AllocationCreateInfo::gpu_only().name("teapot vertices").within_budget();
/// ```
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is one wish of the user's")]
pub struct AllocationCreateInfo<'a> {
    pub(crate) intent: Intent,
    pub(crate) flags: ExtraFlags,
    pub(crate) name: Option<&'a str>,
    pub(crate) dedicated: DedicatedUse,
    pub(crate) can_alias: bool,
    pub(crate) within_budget: bool,
    pub(crate) may_spill: bool,
    pub(crate) priority: Option<MemoryPriority>,
    pub(crate) lifetime: Lifetime,
    pub(crate) end: Option<End>,
    pub(crate) min_alignment: u64,
    pub(crate) pool: Option<&'a CustomPool>,
    /// Whether any wish needs a closer look than the fast path takes: flags, a priority, a lifetime, memory of its own,
    /// a name, an end, an alignment, a pool.
    is_special: bool,
    /// Whether a pool is the only wish that needs one, if any does.
    is_plain_in_pool: bool,
}

impl<'a> AllocationCreateInfo<'a> {
    /// Asks for memory with an intent and no other wish.
    #[must_use]
    pub fn new(intent: Intent) -> Self {
        Self {
            intent,
            flags: ExtraFlags::default(),
            name: None,
            dedicated: DedicatedUse::Auto,
            can_alias: false,
            within_budget: false,
            may_spill: true,
            priority: None,
            lifetime: Lifetime::Any,
            end: None,
            min_alignment: 1,
            pool: None,
            is_special: false,
            is_plain_in_pool: true,
        }
    }

    /// Asks for memory that only the GPU touches.
    #[must_use]
    pub fn gpu_only() -> Self {
        Self::new(Intent::GpuOnly)
    }

    /// Asks for memory that the CPU writes once, in order, and the GPU copies from.
    #[must_use]
    pub fn upload() -> Self {
        Self::new(Intent::Upload)
    }

    /// Asks for memory that the CPU writes each frame and the GPU reads in place.
    #[must_use]
    pub fn stream() -> Self {
        Self::new(Intent::Stream)
    }

    /// Asks for memory that the GPU writes and the CPU reads.
    #[must_use]
    pub fn readback() -> Self {
        Self::new(Intent::Readback)
    }

    /// Asks for memory of attachments whose contents no frame keeps; for a buffer it means `gpu_only`.
    #[must_use]
    pub fn transient() -> Self {
        Self::new(Intent::Transient)
    }

    /// Takes no memory type without these flags.
    #[must_use]
    pub fn required_flags(mut self, flags: vk::MemoryPropertyFlags) -> Self {
        self.flags.required |= flags;
        self.look_closer(!flags.is_empty())
    }

    /// Prefers memory types with these flags.
    #[must_use]
    pub fn preferred_flags(mut self, flags: vk::MemoryPropertyFlags) -> Self {
        self.flags.preferred |= flags;
        self.look_closer(!flags.is_empty())
    }

    /// Avoids memory types with these flags, as long as another will do.
    #[must_use]
    pub fn avoided_flags(mut self, flags: vk::MemoryPropertyFlags) -> Self {
        self.flags.avoided |= flags;
        self.look_closer(!flags.is_empty())
    }

    /// Names the allocation, for leak reports and [`memory_map`](super::Allocator::memory_map). The name is kept in a
    /// side table: one heap call.
    #[must_use]
    pub fn name(mut self, name: &'a str) -> Self {
        self.name = Some(name);
        self.look_closer(true)
    }

    /// Says whether the memory is dedicated to one resource.
    #[must_use]
    pub fn dedicated(mut self, dedicated: DedicatedUse) -> Self {
        self.dedicated = dedicated;
        self.look_closer(dedicated == DedicatedUse::Always)
    }

    /// Announces that other resources will be created inside the allocation: it never carries the dedicated info.
    #[must_use]
    pub fn can_alias(mut self) -> Self {
        self.can_alias = true;
        self
    }

    /// Fails rather than exceed the driver's budget.
    #[must_use]
    pub fn within_budget(mut self) -> Self {
        self.within_budget = true;
        self
    }

    /// Fails rather than take another memory type than the best.
    #[must_use]
    pub fn without_spilling(mut self) -> Self {
        self.may_spill = false;
        self
    }

    /// Gives the memory a priority, where `VK_EXT_memory_priority` is declared.
    ///
    /// Each priority has blocks of its own, the first of 1 MiB, and keeps one when idle until `trim` or 300 ticks: use
    /// a handful of values, not one for each resource.
    #[must_use]
    pub fn priority(mut self, priority: MemoryPriority) -> Self {
        self.priority = Some(priority);
        self.look_closer(true)
    }

    /// Says that the resource will be freed soon: within some frames, or when a level has been loaded.
    ///
    /// It shares blocks with others of which that was said, and with nothing else while there are pools to be had. So
    /// what stays does not lie scattered over blocks that the short-lived have left, none of which can go back. Such
    /// blocks are at least one more of each memory type in use: say it where much comes and goes between what stays. In
    /// a custom pool it has no effect.
    #[must_use]
    pub fn short_lived(mut self) -> Self {
        self.lifetime = Lifetime::Short;
        self.is_special = true;
        self
    }

    /// Places the range at one end of free space: the two stacks of a linear pool, or a hint to TLSF.
    #[must_use]
    pub fn end(mut self, end: End) -> Self {
        self.end = Some(end);
        self.look_closer(true)
    }

    /// Aligns the offset in the memory object to at least this many bytes, a power of two, whatever the resource
    /// requires: for scratch memory of acceleration structures, descriptor buffers, or tiles of one's own.
    #[must_use]
    pub fn min_alignment(mut self, alignment: u64) -> Self {
        self.min_alignment = alignment;
        self.look_closer(true)
    }

    /// Takes the memory from a custom pool. Its memory type is the pool's, whatever the intent.
    #[must_use]
    pub fn pool(mut self, pool: &'a CustomPool) -> Self {
        self.pool = Some(pool);
        self.is_special = true;
        self
    }

    /// Notes whether a wish needs a closer look, also in a pool.
    fn look_closer(mut self, is_so: bool) -> Self {
        self.is_special |= is_so;
        self.is_plain_in_pool &= !is_so;
        self
    }

    /// Returns the same wishes for a buffer, which is never lazily allocated: `transient` means `gpu_only` for it.
    pub(crate) fn for_buffer(&self) -> Self {
        let intent = if self.intent == Intent::Transient { Intent::GpuOnly } else { self.intent };
        Self { intent, ..*self }
    }

    pub(crate) fn type_request(&self) -> TypeRequest {
        TypeRequest { intent: self.intent, extra: self.flags }
    }

    /// Returns whether the host must be able to reach the memory.
    pub(crate) fn host_access(&self) -> HostAccess {
        let is_required = self.flags.required.contains(vk::MemoryPropertyFlags::HOST_VISIBLE);
        if is_required || self.intent.needs_host_access() { HostAccess::Needed } else { HostAccess::NotNeeded }
    }
}

/// A request as it came: a plain one is served at once, any other is checked first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AllocationRequest<'a> {
    pub requirements: &'a AllocationRequirements,
    pub info: &'a AllocationCreateInfo<'a>,
    pub dedicated_for: Option<DedicatedFor>,
    /// Whether it shares memory with nothing, whatever the caller says: what may be of either kind.
    pub is_alone: bool,
}

impl<'a> AllocationRequest<'a> {
    #[inline]
    pub(crate) fn new(requirements: &'a AllocationRequirements, info: &'a AllocationCreateInfo<'a>) -> Self {
        Self { requirements, info, dedicated_for: None, is_alone: false }
    }
}

impl AllocationRequest<'_> {
    /// Checks what can be checked without looking at a memory type.
    ///
    /// # Errors
    /// `ZeroSize`, `BadAlignment`, or `DedicatedConflict`.
    pub(crate) fn check(&self) -> Result<(), AllocationError> {
        let Self { requirements, info, .. } = self;
        if requirements.size == 0 {
            return Err(AllocationError::ZeroSize);
        }
        for alignment in [requirements.alignment, info.min_alignment] {
            if !alignment.is_power_of_two() {
                return Err(AllocationError::BadAlignment { alignment });
            }
        }
        if self.caller() == DedicatedUse::Never && requirements.dedicated == DedicatedPreference::Required {
            let conflict = if info.can_alias { "can_alias" } else { "DedicatedUse::Never" };
            return Err(AllocationError::DedicatedConflict { conflict });
        }
        if info.can_alias && info.dedicated == DedicatedUse::Always {
            return Err(AllocationError::DedicatedConflict { conflict: "can_alias" });
        }
        Ok(())
    }

    /// Returns whether a range of an existing block is the first choice, and [`check`](Self::check) has nothing to find
    /// but a size of 0.
    #[inline]
    pub(crate) fn prefers_sharing(&self) -> bool {
        let AllocationRequirements { alignment, dedicated, .. } = *self.requirements;
        let is_aligned = alignment.is_power_of_two() && self.info.min_alignment.is_power_of_two();
        let is_always = self.info.dedicated == DedicatedUse::Always;
        is_aligned && dedicated == DedicatedPreference::None && !is_always && !self.is_alone
    }

    /// Returns whether it wishes for nothing but memory of its intent, and needs no device address: then it needs no
    /// closer look, but at its size and its alignment.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        let AllocationRequirements { dedicated, device_address, .. } = *self.requirements;
        // One test for all of them.
        let wishes = dedicated as u8 | device_address as u8 | u8::from(self.info.is_special) | u8::from(self.is_alone);
        wishes == 0
    }

    /// Returns whether the pool that it names is its only wish.
    #[inline]
    pub(crate) fn is_plain_in_pool(&self) -> bool {
        let AllocationRequirements { alignment, dedicated, device_address, .. } = *self.requirements;
        let is_plain = dedicated == DedicatedPreference::None && device_address == DeviceAddress::NotNeeded;
        self.info.is_plain_in_pool && is_plain && alignment.is_power_of_two() && !self.is_alone
    }

    /// Returns what the caller says of a dedicated allocation: one that others alias is never dedicated.
    fn caller(&self) -> DedicatedUse {
        if self.info.can_alias { DedicatedUse::Never } else { self.info.dedicated }
    }

    /// Returns the info that ties dedicated memory to its resource. Lazy memory is memory of its own whatever the
    /// caller says; the info is not.
    #[inline]
    pub(crate) fn dedication(&self) -> Option<DedicatedFor> {
        self.dedicated_for.filter(|_| self.caller() != DedicatedUse::Never)
    }

    /// Returns the property flags without which a memory type cannot serve.
    pub(crate) fn required_flags(&self) -> vk::MemoryPropertyFlags {
        let host = if self.info.host_access() == HostAccess::Needed {
            vk::MemoryPropertyFlags::HOST_VISIBLE
        } else {
            vk::MemoryPropertyFlags::empty()
        };
        self.info.flags.required | host
    }

    /// Rounds the request for a pool; `None` where its size or alignment would overflow.
    #[inline]
    pub(crate) fn range_in(&self, pool: &Pool) -> Option<Request> {
        let AllocationRequirements { kind, size, alignment, .. } = *self.requirements;
        let (size, alignment) = pool.round(kind, size, alignment.max(self.info.min_alignment))?;
        Some(Request { size, alignment, end: self.info.end })
    }

    /// Makes the pool's request of it; `None` where its size or alignment would overflow.
    pub(crate) fn for_pool(&self, pool: &Pool, bound: Bound) -> Option<PoolRequest> {
        let range = self.range_in(pool)?;
        range.size.checked_add(range.alignment)?;
        Some(PoolRequest {
            range,
            exact_size: self.requirements.size,
            kind: self.requirements.kind,
            access: self.info.host_access(),
            dedicated_for: self.dedication(),
            bound,
        })
    }

    /// Chooses how the request would be placed in a pool: now, and where a preferred dedicated allocation is refused.
    pub(crate) fn strategies(&self, pool: &Pool, request: &PoolRequest) -> (Strategy, Strategy) {
        let settings = pool.settings();
        let input = PlacementInput {
            size: request.range.size,
            live_bytes: pool.counts().live_bytes().saturating_add(request.range.size),
            block_cap: settings.growth.cap,
            driver: self.requirements.dedicated,
            caller: self.caller(),
            must_be_alone: self.is_alone || pool.must_be_alone(request),
            may_own: settings.may_own,
        };
        (placement::choose(&input), placement::large_or_shared(&input))
    }
}
