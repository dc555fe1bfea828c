//! Entry points of device memory: allocate, free, map, unmap, flush, invalidate.
//!
//! ```text
//!   vkAllocateMemory ──► judge (world locked shortly) ──► Accounts::charge ──► callbacks ──► world
//!   vkFreeMemory     ──► world ──► Accounts::release, callbacks, bytes (no lock held)
//! ```
//!
//! What is wrong is recorded by the rules in `memory_rules.rs`; what cannot be carried out is refused with a result.

use super::accounts::Charge;
use super::cache::HostCache;
use super::callbacks::{CallbackRules, HostShadow};
use super::function::Function;
use super::handle::ObjectKind;
use super::loan::Loans;
use super::memory_rules::{judge_allocate, judge_count};
use super::object::{Ask, DeviceObject, Mode};
use super::pnext::{find, tags};
use super::profile::MemoryType;
use super::storage::{Bytes, Storage};
use super::world::{Memory, ResourceId};
use ash::vk;
use ash::vk::Handle;
use core::mem::MaybeUninit;
use std::collections::BTreeMap;

const CALLBACKS: CallbackRules =
    CallbackRules { given: "SIM-vkFreeMemory-callbacks-given", none: "SIM-vkFreeMemory-callbacks-none" };

/// Start of each memory object's device addresses is a multiple of this. Taste: above every alignment.
const ADDRESS_STEP: u64 = 1 << 20;

/// `VkMemoryAllocateInfo` with the parts of its chain that matter.
pub(super) struct AllocateAsk {
    pub(super) size: u64,
    pub(super) memory_type_index: u32,
    pub(super) dedicated: Option<(vk::Buffer, vk::Image)>,
    pub(super) flags: vk::MemoryAllocateFlags,
    pub(super) device_mask: u32,
    pub(super) capture_address: u64,
    pub(super) priority: Option<f32>,
    /// The structures in the chain.
    pub(super) chain: Vec<vk::StructureType>,
}

impl AllocateAsk {
    fn read(info: &vk::MemoryAllocateInfo<'_>) -> Self {
        // SAFETY: the application hands over a valid chain.
        let dedicated = unsafe { find::<vk::MemoryDedicatedAllocateInfo<'_>>(info.p_next) };
        // SAFETY: as above.
        let flags = unsafe { find::<vk::MemoryAllocateFlagsInfo<'_>>(info.p_next) };
        // SAFETY: as above.
        let priority = unsafe { find::<vk::MemoryPriorityAllocateInfoEXT<'_>>(info.p_next) };
        // SAFETY: as above.
        let capture = unsafe { find::<vk::MemoryOpaqueCaptureAddressAllocateInfo<'_>>(info.p_next) };
        // SAFETY: as above.
        let chain = unsafe { tags(info.p_next) };
        Self {
            size: info.allocation_size,
            memory_type_index: info.memory_type_index,
            dedicated: dedicated.map(|dedicated| (dedicated.buffer, dedicated.image)),
            flags: flags.map_or(vk::MemoryAllocateFlags::empty(), |flags| flags.flags),
            device_mask: flags.map_or(0, |flags| flags.device_mask),
            capture_address: capture.map_or(0, |capture| capture.opaque_capture_address),
            priority: priority.map(|priority| priority.priority),
            chain,
        }
    }

    fn dedicated_to(&self) -> Option<ResourceId> {
        let (buffer, image) = self.dedicated?;
        if image != vk::Image::null() {
            return Some(ResourceId { kind: ObjectKind::Image, handle: image.as_raw() });
        }
        (buffer != vk::Buffer::null()).then(|| ResourceId { kind: ObjectKind::Buffer, handle: buffer.as_raw() })
    }
}

pub(super) extern "system" fn allocate_memory(
    device: &DeviceObject,
    info: &vk::MemoryAllocateInfo<'_>,
    callbacks: Option<&vk::AllocationCallbacks<'_>>,
    memory: &mut MaybeUninit<vk::DeviceMemory>,
) -> vk::Result {
    let ask = Ask {
        function: Function::AllocateMemory,
        size: info.allocation_size,
        memory_type_index: Some(info.memory_type_index),
    };
    device.judged(ask, |mode| match allocate(device, mode, &AllocateAsk::read(info), callbacks) {
        Ok(handle) => {
            memory.write(vk::DeviceMemory::from_raw(handle));
            vk::Result::SUCCESS
        }
        Err(result) => {
            memory.write(vk::DeviceMemory::null());
            result
        }
    })
}

/// Takes from the heap what an allocation needs; returns its memory type too.
fn charge<'a>(device: &'a DeviceObject, mode: Mode, ask: &AllocateAsk) -> Result<(&'a MemoryType, Charge), vk::Result> {
    let (profile, address) = (&device.profile, core::ptr::from_ref(device).addr());
    let largest = profile.max_memory_allocation_size;
    let is_possible = mode == Mode::CarryOut && ask.size > 0 && (largest == 0 || ask.size <= largest);
    let kind = profile.memory_type(ask.memory_type_index).filter(|_| is_possible);
    let charge = |kind: &MemoryType| Charge {
        device: address,
        heap_index: kind.heap_index,
        bytes: ask.size,
        page_bytes: ask.size.checked_next_multiple_of(profile.page_size.max(1)).unwrap_or(u64::MAX),
        is_lazy: kind.property_flags.contains(vk::MemoryPropertyFlags::LAZILY_ALLOCATED),
    };
    let mut accounts = device.state().accounts();
    let count = accounts.count_of(address);
    let charged = kind.ok_or(vk::Result::ERROR_OUT_OF_DEVICE_MEMORY).and_then(|kind| {
        let charge = charge(kind);
        accounts.charge(&charge).map(|()| (kind, charge))
    });
    drop(accounts);
    judge_count(device, count);
    charged
}

fn allocate(
    device: &DeviceObject,
    mode: Mode,
    ask: &AllocateAsk,
    callbacks: Option<&vk::AllocationCallbacks<'_>>,
) -> Result<u64, vk::Result> {
    judge_allocate(device, ask);
    let (kind, charge) = charge(device, mode, ask)?;
    let shadow = HostShadow::take(device.state(), Function::AllocateMemory, callbacks)
        .inspect_err(|_| device.state().accounts().release(&charge))?;
    let mut world = device.world();
    let address = world.next_address;
    world.next_address += charge.bytes.next_multiple_of(ADDRESS_STEP) + ADDRESS_STEP;
    let inserted = world.memories.insert(Memory {
        charge,
        type_index: ask.memory_type_index,
        property_flags: kind.property_flags,
        dedicated: ask.dedicated_to(),
        has_device_address: ask.flags.contains(vk::MemoryAllocateFlags::DEVICE_ADDRESS),
        priority: ask.priority,
        address,
        mapping: None,
        storage: None,
        bound: BTreeMap::new(),
        longest_bound: 0,
        shadow,
        loans: Loans::default(),
    });
    drop(world);
    if inserted.is_some() {
        device.state().born(ObjectKind::DeviceMemory);
    } else {
        device.state().accounts().release(&charge);
    }
    inserted.ok_or(vk::Result::ERROR_OUT_OF_HOST_MEMORY)
}

pub(super) extern "system" fn free_memory(
    device: &DeviceObject,
    memory: vk::DeviceMemory,
    callbacks: Option<&vk::AllocationCallbacks<'_>>,
) {
    device.call(Ask::new(Function::FreeMemory), || {
        if memory == vk::DeviceMemory::null() {
            return;
        }
        let mut world = device.world();
        if world.pending.uses(ObjectKind::DeviceMemory, memory.as_raw()) {
            let message = format!("nobody has waited for a submission that uses memory {memory:?}");
            device.violate("VUID-vkFreeMemory-memory-00677", Function::FreeMemory, message);
        }
        let removed = world.memories.remove(memory.as_raw());
        world.forget(memory.as_raw());
        drop(world);
        match removed {
            Err(bad) => {
                let message = format!("memory {memory:?} {bad}");
                device.violate("VUID-vkFreeMemory-memory-parameter", Function::FreeMemory, message);
            }
            Ok(memory) => {
                if let Some(loan) = memory.loans.first_within(&(0..memory.size())) {
                    let message = format!("bytes {loan:?} of the memory are borrowed");
                    device.violate("SIM-free-while-lent", Function::FreeMemory, message);
                }
                device.state().count_free(!memory.bound.is_empty(), memory.mapping.is_some());
                device.state().accounts().release(&memory.charge);
                device.state().died(ObjectKind::DeviceMemory, 1);
                memory.shadow.give_back(device.state(), Function::FreeMemory, callbacks, CALLBACKS);
            }
        }
    });
}

/// Makes the bytes of a memory object, if it has none yet.
pub(super) fn ensure_storage<'a>(device: &DeviceObject, memory: &'a mut Memory) -> Option<&'a mut Storage> {
    if memory.storage.is_none() {
        let (size, alignment) = (memory.size(), device.profile.min_memory_map_alignment.max(64));
        let is_coherent = memory.property_flags.contains(vk::MemoryPropertyFlags::HOST_COHERENT);
        let has_cache = memory.is_host_visible() && !is_coherent && device.state().checks().host_cache;
        memory.storage = if has_cache {
            HostCache::new(size, alignment, device.profile.non_coherent_atom_size).map(Storage::Cached)
        } else {
            Bytes::uninitialised(size, alignment).map(Storage::Shared)
        };
    }
    memory.storage.as_mut()
}

pub(super) extern "system" fn get_commitment(
    device: &DeviceObject,
    memory: vk::DeviceMemory,
    bytes: &mut MaybeUninit<u64>,
) {
    let function = Function::GetDeviceMemoryCommitment;
    bytes.write(0);
    device.call(Ask::new(function), || match device.world().memories.get(memory.as_raw()) {
        Err(bad) => {
            device.violate(
                "VUID-vkGetDeviceMemoryCommitment-memory-parameter",
                function,
                format!("memory {memory:?} {bad}"),
            );
        }
        Ok(object) if object.charge.is_lazy => {
            bytes.write(device.state().accounts().committed(object.size()));
        }
        Ok(_) => {
            let message = format!("memory {memory:?} is not lazily allocated");
            device.violate("VUID-vkGetDeviceMemoryCommitment-memory-00690", function, message);
        }
    });
}

pub(super) extern "system" fn set_priority(device: &DeviceObject, memory: vk::DeviceMemory, priority: f32) {
    let function = Function::SetDeviceMemoryPriority;
    device.call(Ask::new(function), || match device.world().memories.get_mut(memory.as_raw()) {
        Err(bad) => device.violate(
            "VUID-vkSetDeviceMemoryPriorityEXT-memory-parameter",
            function,
            format!("memory {memory:?} {bad}"),
        ),
        Ok(object) => {
            if !(0.0..=1.0).contains(&priority) {
                let message = format!("priority {priority} is not in 0 to 1");
                device.violate("VUID-vkSetDeviceMemoryPriorityEXT-priority-06258", function, message);
            }
            object.priority = Some(priority);
        }
    });
}
