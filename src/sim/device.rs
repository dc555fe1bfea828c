//! Entry points of devices: creation, destruction (which reports leaks), queues, names.

use super::feature_chain;
use super::function::Function;
use super::handle::{ObjectKind, Table};
use super::instance::strings;
use super::object::{Ask, DeviceObject, PhysicalObject, QueueObject, carry_out, loader_word};
use super::pnext::{array, find};
use super::profile::{Features, Profile};
use super::world::World;
use ash::vk;
use core::ffi::CStr;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;

/// Tells the handles of different devices apart; wraps around after 256 devices.
static NEXT_DEVICE: AtomicU32 = AtomicU32::new(0);

pub(super) extern "system" fn create_device(
    physical: &PhysicalObject,
    info: &vk::DeviceCreateInfo<'_>,
    callbacks: Option<&vk::AllocationCallbacks<'_>>,
    device: &mut MaybeUninit<vk::Device>,
) -> vk::Result {
    let state = &physical.control.state;
    carry_out(state, Ask::new(Function::CreateDevice), || {
        if let Some(callbacks) = callbacks {
            state.used_callbacks(Function::CreateDevice, callbacks.p_user_data as usize);
        }
        match make_device(physical, info) {
            Err(result) => result,
            Ok(object) => {
                state.born(ObjectKind::Device);
                device.write(DeviceObject::handle_of(Arc::as_ptr(&object)));
                physical.devices.lock().push(object);
                vk::Result::SUCCESS
            }
        }
    })
}

fn make_device(physical: &PhysicalObject, info: &vk::DeviceCreateInfo<'_>) -> Result<Arc<DeviceObject>, vk::Result> {
    let profile = &physical.profile;
    // SAFETY: the application gives valid names.
    let extensions = unsafe { strings(info.pp_enabled_extension_names, info.enabled_extension_count) };
    if !extensions.iter().all(|name| profile.has_extension(name)) {
        return Err(vk::Result::ERROR_EXTENSION_NOT_PRESENT);
    }
    let features = requested_features(info);
    if !profile.features.contains(features) {
        return Err(vk::Result::ERROR_FEATURE_NOT_PRESENT);
    }
    // SAFETY: the application gives valid queue create-infos.
    let queue_infos = unsafe { array(info.p_queue_create_infos, info.queue_create_info_count) };
    if !queue_infos.iter().all(|queue| has_queues(profile, queue)) {
        return Err(vk::Result::ERROR_INITIALIZATION_FAILED);
    }
    let number = NEXT_DEVICE.fetch_add(1, Ordering::Relaxed).to_le_bytes()[0];
    Ok(Arc::new_cyclic(|weak| DeviceObject {
        loader_word: loader_word(),
        profile: Arc::clone(profile),
        control: physical.control.clone(),
        version: physical.instance_version.min(profile.api_version),
        extensions,
        features,
        queues: queue_infos.iter().flat_map(|queue| queues(weak.as_ptr(), queue)).collect(),
        is_destroyed: AtomicBool::new(false),
        world: Mutex::new(World::new(number)),
        signaled: Condvar::new(),
        command_buffers: Mutex::new(Vec::new()),
    }))
}

fn requested_features(info: &vk::DeviceCreateInfo<'_>) -> Features {
    // SAFETY: the application hands over a valid chain.
    let mut features = unsafe { feature_chain::requested(info.p_next) };
    // SAFETY: null, or valid by Vulkan's rules.
    let direct = unsafe { info.p_enabled_features.as_ref() };
    // SAFETY: the application hands over a valid chain.
    let chained = unsafe { find::<vk::PhysicalDeviceFeatures2<'_>>(info.p_next) };
    let core = direct.or(chained.map(|chained| &chained.features));
    if core.is_some_and(|core| core.sparse_binding != vk::FALSE) {
        features |= Features::SPARSE_BINDING;
    }
    features
}

fn has_queues(profile: &Profile, info: &vk::DeviceQueueCreateInfo<'_>) -> bool {
    let family = profile.queue_families.get(info.queue_family_index as usize);
    family.is_some_and(|family| info.queue_count <= family.count)
}

fn queues(
    device: *const DeviceObject,
    info: &vk::DeviceQueueCreateInfo<'_>,
) -> impl Iterator<Item = Arc<QueueObject>> + use<> {
    let family = info.queue_family_index;
    (0..info.queue_count).map(move |index| Arc::new(QueueObject { loader_word: loader_word(), device, family, index }))
}

pub(super) extern "system" fn destroy_device(
    device: Option<&DeviceObject>,
    callbacks: Option<&vk::AllocationCallbacks<'_>>,
) {
    let Some(device) = device else {
        return;
    };
    device.call(Ask::new(Function::DestroyDevice), || {
        if let Some(callbacks) = callbacks {
            device.state().used_callbacks(Function::DestroyDevice, callbacks.p_user_data as usize);
        }
        device.is_destroyed.store(true, Ordering::Relaxed);
        device.state().died(ObjectKind::Device, 1);
        let world = core::mem::replace(&mut *device.world(), World::new(0));
        bury(device, &world);
    });
}

/// Reports what was left alive on a device, and takes it out of the counts.
fn bury(device: &DeviceObject, world: &World) {
    for (handle, memory) in world.memories.iter() {
        let detail = format!("{} bytes of memory type {}", memory.size(), memory.type_index);
        report_leak(device, world, ObjectKind::DeviceMemory, handle, &detail);
        device.state().accounts().release(&memory.charge);
    }
    for (handle, buffer) in world.buffers.iter() {
        report_leak(device, world, ObjectKind::Buffer, handle, &format!("{} bytes", buffer.size));
    }
    for (handle, image) in world.images.iter() {
        report_leak(device, world, ObjectKind::Image, handle, &format!("{} bytes", image.size));
    }
    report_leaks(device, world, &world.fences, ObjectKind::Fence);
    report_leaks(device, world, &world.semaphores, ObjectKind::Semaphore);
    report_leaks(device, world, &world.command_pools, ObjectKind::CommandPool);
    report_leaks(device, world, &world.passive, ObjectKind::Passive);
    let command_buffers = world.command_buffers.iter().count() as u64;
    device.state().died(ObjectKind::CommandBuffer, command_buffers);
}

fn report_leaks<T>(device: &DeviceObject, world: &World, table: &Table<T>, kind: ObjectKind) {
    for (handle, _) in table.iter() {
        report_leak(device, world, kind, handle, "");
    }
}

fn report_leak(device: &DeviceObject, world: &World, kind: ObjectKind, handle: u64, detail: &str) {
    device.state().died(kind, 1);
    let name = world.names.get(&handle).map_or("", String::as_str);
    let message = format!("{kind:?} {handle:#x} {name} is still alive {detail}");
    device.violate("VUID-vkDestroyDevice-device-05137", Function::DestroyDevice, message);
}

pub(super) extern "system" fn get_device_queue(
    device: &DeviceObject,
    family: u32,
    index: u32,
    queue: &mut MaybeUninit<vk::Queue>,
) {
    queue.write(vk::Queue::null());
    device.call(Ask::new(Function::GetDeviceQueue), || {
        let wanted = device.queues.iter().find(|queue| queue.family == family && queue.index == index);
        if wanted.is_none() {
            let message = format!("queue {index} of family {family} was not asked for when the device was created");
            device.violate("VUID-vkGetDeviceQueue-queueFamilyIndex-00384", Function::GetDeviceQueue, message);
        }
        queue.write(wanted.map_or(vk::Queue::null(), |queue| QueueObject::handle_of(Arc::as_ptr(queue))));
    });
}

pub(super) extern "system" fn set_object_name(
    device: &DeviceObject,
    info: &vk::DebugUtilsObjectNameInfoEXT<'_>,
) -> vk::Result {
    device.call(Ask::new(Function::SetDebugUtilsObjectName), || {
        if info.p_object_name.is_null() {
            device.world().names.remove(&info.object_handle);
        } else {
            // SAFETY: not null, hence a valid C string by Vulkan's rules.
            let name = unsafe { CStr::from_ptr(info.p_object_name) }.to_string_lossy().into_owned();
            device.world().names.insert(info.object_handle, name);
        }
        vk::Result::SUCCESS
    })
}
