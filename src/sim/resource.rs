//! Entry points of buffers and images: create, destroy, requirements, layout, device address.

use super::callbacks::{CallbackRules, HostShadow};
use super::function::Function;
use super::handle::ObjectKind;
use super::object::{Ask, DeviceObject, Mode};
use super::profile::Features;
use super::requirements::{is_linear, of_buffer, of_image, shape, usage_of};
use super::world::{Resource, ResourceId};
use ash::vk;
use ash::vk::Handle;
use core::mem::MaybeUninit;

const BUFFER_CALLBACKS: CallbackRules =
    CallbackRules { given: "VUID-vkDestroyBuffer-buffer-00923", none: "VUID-vkDestroyBuffer-buffer-00924" };
const IMAGE_CALLBACKS: CallbackRules =
    CallbackRules { given: "VUID-vkDestroyImage-image-01001", none: "VUID-vkDestroyImage-image-01002" };

/// Tells whether a buffer is too large for a driver whose limit its program could not ask for.
fn is_too_large_unawares(device: &DeviceObject, info: &vk::BufferCreateInfo<'_>) -> bool {
    info.size > device.profile.max_buffer_size && !device.can_tell(vk::API_VERSION_1_3, c"VK_KHR_maintenance4")
}

/// Judges the create-info of a buffer, whether it is created or asked about ahead.
pub(super) fn judge_buffer(device: &DeviceObject, function: Function, info: &vk::BufferCreateInfo<'_>) {
    let (limit, usage) = (device.profile.max_buffer_size, usage_of(info));
    let fits = info.size <= limit || is_too_large_unawares(device, info);
    let has = |feature| device.features.contains(feature);
    let is_protected = info.flags.contains(vk::BufferCreateFlags::PROTECTED);
    let is_sparse = info.flags.contains(vk::BufferCreateFlags::SPARSE_BINDING);
    #[rustfmt::skip]
    let checks = [
        (info.size > 0, "VUID-VkBufferCreateInfo-size-00912", "the size is zero"),
        (fits, "VUID-VkBufferCreateInfo-size-06409", "the size is above maxBufferSize"),
        (!usage.is_empty(), "VUID-VkBufferCreateInfo-usage-requiredbitmask", "no usage is given"),
        (!is_sparse || has(Features::SPARSE_BINDING), "VUID-VkBufferCreateInfo-flags-00915", "sparseBinding is not enabled"),
        (!is_protected || has(Features::PROTECTED_MEMORY), "VUID-VkBufferCreateInfo-flags-01887", "protectedMemory is not enabled"),
    ];
    device.judge(function, &checks, || format!("buffer of {} bytes, usage {usage:?}", info.size));
}

/// Judges the create-info of an image, whether it is created or asked about ahead.
pub(super) fn judge_image(device: &DeviceObject, function: Function, info: &vk::ImageCreateInfo<'_>) {
    let vk::Extent3D { width, height, depth } = info.extent;
    let has = |feature| device.features.contains(feature);
    let is_protected = info.flags.contains(vk::ImageCreateFlags::PROTECTED);
    let is_sparse = info.flags.contains(vk::ImageCreateFlags::SPARSE_BINDING);
    let longest = width.max(height).max(depth);
    let fits_levels = info.mip_levels <= 32 - longest.leading_zeros();
    #[rustfmt::skip]
    let checks = [
        (width > 0, "VUID-VkImageCreateInfo-extent-00944", "the width is zero"),
        (height > 0, "VUID-VkImageCreateInfo-extent-00945", "the height is zero"),
        (depth > 0, "VUID-VkImageCreateInfo-extent-00946", "the depth is zero"),
        (info.mip_levels > 0, "VUID-VkImageCreateInfo-mipLevels-00947", "there is no mip level"),
        (info.array_layers > 0, "VUID-VkImageCreateInfo-arrayLayers-00948", "there is no array layer"),
        (fits_levels, "VUID-VkImageCreateInfo-mipLevels-00958", "there are more mip levels than the extent has"),
        (!info.usage.is_empty(), "VUID-VkImageCreateInfo-usage-requiredbitmask", "no usage is given"),
        (!is_sparse || has(Features::SPARSE_BINDING), "VUID-VkImageCreateInfo-flags-00969", "sparseBinding is not enabled"),
        (!is_protected || has(Features::PROTECTED_MEMORY), "VUID-VkImageCreateInfo-flags-01890", "protectedMemory is not enabled"),
    ];
    device.judge(function, &checks, || format!("image of {width} x {height} x {depth}"));
}

pub(super) extern "system" fn create_buffer(
    device: &DeviceObject,
    info: &vk::BufferCreateInfo<'_>,
    callbacks: Option<&vk::AllocationCallbacks<'_>>,
    buffer: &mut MaybeUninit<vk::Buffer>,
) -> vk::Result {
    buffer.write(vk::Buffer::null());
    device.judged(Ask::sized(Function::CreateBuffer, info.size), |mode| {
        judge_buffer(device, Function::CreateBuffer, info);
        if mode == Mode::Refuse || is_too_large_unawares(device, info) {
            return vk::Result::ERROR_OUT_OF_DEVICE_MEMORY;
        }
        let usage = usage_of(info);
        let created = HostShadow::take(device.state(), Function::CreateBuffer, callbacks).and_then(|shadow| {
            let resource = Resource {
                requirements: of_buffer(&device.profile, info),
                size: info.size,
                is_linear: true,
                tells_layout: false,
                may_alias: false,
                is_sparse: info.flags.contains(vk::BufferCreateFlags::SPARSE_BINDING),
                is_protected: info.flags.contains(vk::BufferCreateFlags::PROTECTED),
                is_disjoint: false,
                needs_device_address: usage.contains(vk::BufferUsageFlags2KHR::SHADER_DEVICE_ADDRESS),
                is_source: usage.contains(vk::BufferUsageFlags2KHR::TRANSFER_SRC),
                is_destination: usage.contains(vk::BufferUsageFlags2KHR::TRANSFER_DST),
                shape: None,
                binding: None,
                shadow,
            };
            insert(device, ObjectKind::Buffer, resource)
        });
        created.map_or_else(|result| result, |handle| answer(buffer, vk::Buffer::from_raw(handle)))
    })
}

pub(super) extern "system" fn create_image(
    device: &DeviceObject,
    info: &vk::ImageCreateInfo<'_>,
    callbacks: Option<&vk::AllocationCallbacks<'_>>,
    image: &mut MaybeUninit<vk::Image>,
) -> vk::Result {
    image.write(vk::Image::null());
    device.judged(Ask::new(Function::CreateImage), |mode| {
        judge_image(device, Function::CreateImage, info);
        let Some(requirements) = of_image(&device.profile, info).filter(|_| mode == Mode::CarryOut) else {
            return vk::Result::ERROR_OUT_OF_DEVICE_MEMORY;
        };
        let created = HostShadow::take(device.state(), Function::CreateImage, callbacks).and_then(|shadow| {
            let resource = Resource {
                requirements,
                size: requirements.size,
                is_linear: is_linear(info),
                tells_layout: info.tiling != vk::ImageTiling::OPTIMAL,
                may_alias: info.flags.contains(vk::ImageCreateFlags::ALIAS),
                is_sparse: info.flags.contains(vk::ImageCreateFlags::SPARSE_BINDING),
                is_protected: info.flags.contains(vk::ImageCreateFlags::PROTECTED),
                is_disjoint: info.flags.contains(vk::ImageCreateFlags::DISJOINT),
                needs_device_address: false,
                is_source: info.usage.contains(vk::ImageUsageFlags::TRANSFER_SRC),
                is_destination: info.usage.contains(vk::ImageUsageFlags::TRANSFER_DST),
                shape: Some(shape(&device.profile, info)),
                binding: None,
                shadow,
            };
            insert(device, ObjectKind::Image, resource)
        });
        created.map_or_else(|result| result, |handle| answer(image, vk::Image::from_raw(handle)))
    })
}

fn answer<T>(place: &mut MaybeUninit<T>, value: T) -> vk::Result {
    place.write(value);
    vk::Result::SUCCESS
}

fn insert(device: &DeviceObject, kind: ObjectKind, resource: Resource) -> Result<u64, vk::Result> {
    let handle = device.world().resources(kind).insert(resource).ok_or(vk::Result::ERROR_OUT_OF_HOST_MEMORY)?;
    device.state().born(kind);
    Ok(handle)
}

pub(super) extern "system" fn destroy_buffer(
    device: &DeviceObject,
    buffer: vk::Buffer,
    callbacks: Option<&vk::AllocationCallbacks<'_>>,
) {
    let id = ResourceId { kind: ObjectKind::Buffer, handle: buffer.as_raw() };
    device.call(Ask::new(Function::DestroyBuffer), || {
        if let Some(resource) = destroy(device, id, Function::DestroyBuffer, "VUID-vkDestroyBuffer-buffer-parameter") {
            resource.shadow.give_back(device.state(), Function::DestroyBuffer, callbacks, BUFFER_CALLBACKS);
        }
    });
}

pub(super) extern "system" fn destroy_image(
    device: &DeviceObject,
    image: vk::Image,
    callbacks: Option<&vk::AllocationCallbacks<'_>>,
) {
    let id = ResourceId { kind: ObjectKind::Image, handle: image.as_raw() };
    device.call(Ask::new(Function::DestroyImage), || {
        if let Some(resource) = destroy(device, id, Function::DestroyImage, "VUID-vkDestroyImage-image-parameter") {
            resource.shadow.give_back(device.state(), Function::DestroyImage, callbacks, IMAGE_CALLBACKS);
        }
    });
}

/// Takes a resource out of the world; `None` for the null handle and, recorded, for a wrong one.
fn destroy(device: &DeviceObject, id: ResourceId, function: Function, rule: &'static str) -> Option<Resource> {
    if id.handle == 0 {
        return None;
    }
    let mut world = device.world();
    if world.pending.uses(id.kind, id.handle) {
        let is_image = id.kind == ObjectKind::Image;
        let rule = if is_image { "VUID-vkDestroyImage-image-01000" } else { "VUID-vkDestroyBuffer-buffer-00922" };
        let message = format!("nobody has waited for a submission that uses {:?} {:#x}", id.kind, id.handle);
        device.violate(rule, function, message);
    }
    match world.resources(id.kind).remove(id.handle) {
        Err(bad) => {
            device.violate(rule, function, format!("{:?} {:#x} {bad}", id.kind, id.handle));
            None
        }
        Ok(resource) => {
            world.unbind(id, &resource);
            world.forget(id.handle);
            device.state().died(id.kind, 1);
            Some(resource)
        }
    }
}
