//! Entry points that ask about buffers and images: requirements, layout, device address.

use super::function::Function;
use super::handle::ObjectKind;
use super::object::{Ask, DeviceObject};
use super::pnext::{find, find_mut, tags};
use super::profile::Features;
use super::requirements::{Requirements, of_buffer, of_image};
use super::resource::{judge_buffer, judge_image};
use super::world::ResourceId;
use ash::vk;
use ash::vk::Handle;
use core::mem::MaybeUninit;

/// Returns the requirements of a live resource; those of nothing, recorded, for a wrong handle.
fn requirements(device: &DeviceObject, id: ResourceId, function: Function, rule: &'static str) -> Requirements {
    match device.world().resources(id.kind).get(id.handle) {
        Ok(resource) => resource.requirements,
        Err(bad) => {
            device.violate(rule, function, format!("{:?} {:#x} {bad}", id.kind, id.handle));
            Requirements::NONE
        }
    }
}

/// Judges a question about a whole image, of which each plane may have memory of its own.
fn judge_disjoint(device: &DeviceObject, function: Function, image: vk::Image, rule: &'static str) {
    if device.world().images.get(image.as_raw()).is_ok_and(|image| image.is_disjoint) {
        device.violate(rule, function, format!("image {image:?} is disjoint, and no plane is named"));
    }
}

fn fill(
    device: &DeviceObject,
    function: Function,
    requirements: Requirements,
    output: &mut vk::MemoryRequirements2<'_>,
) {
    output.memory_requirements = requirements.to_vk();
    let knows_dedicated = device.version >= vk::API_VERSION_1_1 || device.has_extension(c"VK_KHR_dedicated_allocation");
    // SAFETY: the application hands over a valid chain to which nothing else refers.
    let dedicated = unsafe { find_mut::<vk::MemoryDedicatedRequirements<'_>>(output.p_next) };
    if dedicated.is_some() && !knows_dedicated {
        let message = "VkMemoryDedicatedRequirements, but VK_KHR_dedicated_allocation is not enabled".to_owned();
        device.violate("VUID-VkMemoryRequirements2-pNext-pNext", function, message);
    }
    if let Some(dedicated) = dedicated.filter(|_| knows_dedicated) {
        dedicated.prefers_dedicated_allocation = vk::Bool32::from(requirements.prefers_dedicated);
        dedicated.requires_dedicated_allocation = vk::Bool32::from(requirements.requires_dedicated);
    }
}

pub(super) extern "system" fn buffer_requirements(
    device: &DeviceObject,
    buffer: vk::Buffer,
    output: &mut MaybeUninit<vk::MemoryRequirements>,
) {
    let id = ResourceId { kind: ObjectKind::Buffer, handle: buffer.as_raw() };
    let function = Function::GetBufferMemoryRequirements;
    output.write(Requirements::NONE.to_vk());
    device.call(Ask::new(function), || {
        output.write(requirements(device, id, function, "VUID-vkGetBufferMemoryRequirements-buffer-parameter").to_vk());
    });
}

pub(super) extern "system" fn image_requirements(
    device: &DeviceObject,
    image: vk::Image,
    output: &mut MaybeUninit<vk::MemoryRequirements>,
) {
    let id = ResourceId { kind: ObjectKind::Image, handle: image.as_raw() };
    let function = Function::GetImageMemoryRequirements;
    output.write(Requirements::NONE.to_vk());
    device.call(Ask::new(function), || {
        judge_disjoint(device, function, image, "VUID-vkGetImageMemoryRequirements-image-01588");
        output.write(requirements(device, id, function, "VUID-vkGetImageMemoryRequirements-image-parameter").to_vk());
    });
}

pub(super) extern "system" fn buffer_requirements2(
    device: &DeviceObject,
    info: &vk::BufferMemoryRequirementsInfo2<'_>,
    output: &mut vk::MemoryRequirements2<'_>,
) {
    let id = ResourceId { kind: ObjectKind::Buffer, handle: info.buffer.as_raw() };
    let function = Function::GetBufferMemoryRequirements2;
    device.call(Ask::new(function), || {
        fill(
            device,
            function,
            requirements(device, id, function, "VUID-VkBufferMemoryRequirementsInfo2-buffer-parameter"),
            output,
        );
    });
}

pub(super) extern "system" fn image_requirements2(
    device: &DeviceObject,
    info: &vk::ImageMemoryRequirementsInfo2<'_>,
    output: &mut vk::MemoryRequirements2<'_>,
) {
    let id = ResourceId { kind: ObjectKind::Image, handle: info.image.as_raw() };
    let function = Function::GetImageMemoryRequirements2;
    device.call(Ask::new(function), || {
        // SAFETY: the application hands over a valid chain.
        if unsafe { find::<vk::ImagePlaneMemoryRequirementsInfo<'_>>(info.p_next) }.is_none() {
            judge_disjoint(device, function, info.image, "VUID-VkImageMemoryRequirementsInfo2-image-01589");
        }
        fill(
            device,
            function,
            requirements(device, id, function, "VUID-VkImageMemoryRequirementsInfo2-image-parameter"),
            output,
        );
    });
}

pub(super) extern "system" fn device_buffer_requirements(
    device: &DeviceObject,
    info: &vk::DeviceBufferMemoryRequirements<'_>,
    output: &mut vk::MemoryRequirements2<'_>,
) {
    let function = Function::GetDeviceBufferMemoryRequirements;
    device.call(Ask::new(function), || {
        // SAFETY: null, or valid by Vulkan's rules.
        if let Some(info) = unsafe { info.p_create_info.as_ref() } {
            judge_buffer(device, function, info);
            fill(device, function, of_buffer(&device.profile, info), output);
        }
    });
}

/// Judges the create-info of an image that does not exist, and the plane of it that is asked about.
fn judge_unmade_image(device: &DeviceObject, info: &vk::ImageCreateInfo<'_>, plane: vk::ImageAspectFlags) {
    judge_image(device, Function::GetDeviceImageMemoryRequirements, info);
    // SAFETY: the application hands over a valid chain.
    let tags = unsafe { tags(info.p_next) };
    let lacks = |tag| !tags.contains(&tag);
    let lacks_swapchain = lacks(vk::StructureType::IMAGE_SWAPCHAIN_CREATE_INFO_KHR);
    let is_one_thing = !info.flags.contains(vk::ImageCreateFlags::DISJOINT) || !plane.is_empty();
    let lacks_layout = lacks(vk::StructureType::IMAGE_DRM_FORMAT_MODIFIER_EXPLICIT_CREATE_INFO_EXT);
    #[rustfmt::skip]
    let checks = [
        (lacks_swapchain, "VUID-VkDeviceImageMemoryRequirements-pCreateInfo-06416", "a swapchain is chained"),
        (lacks_layout, "VUID-VkDeviceImageMemoryRequirements-pCreateInfo-06776", "a DRM format modifier's layout is chained"),
        (is_one_thing, "VUID-VkDeviceImageMemoryRequirements-pCreateInfo-06417", "it is disjoint, and no plane is named"),
    ];
    device.judge(Function::GetDeviceImageMemoryRequirements, &checks, || "an image that does not exist".to_owned());
}

pub(super) extern "system" fn device_image_requirements(
    device: &DeviceObject,
    info: &vk::DeviceImageMemoryRequirements<'_>,
    output: &mut vk::MemoryRequirements2<'_>,
) {
    device.call(Ask::new(Function::GetDeviceImageMemoryRequirements), || {
        // SAFETY: null, or valid by Vulkan's rules.
        let create_info = unsafe { info.p_create_info.as_ref() };
        if let Some(create_info) = create_info {
            judge_unmade_image(device, create_info, info.plane_aspect);
        }
        if let Some(requirements) = create_info.and_then(|info| of_image(&device.profile, info)) {
            fill(device, Function::GetDeviceImageMemoryRequirements, requirements, output);
        }
    });
}

pub(super) extern "system" fn subresource_layout(
    device: &DeviceObject,
    image: vk::Image,
    subresource: &vk::ImageSubresource,
    output: &mut MaybeUninit<vk::SubresourceLayout>,
) {
    let function = Function::GetImageSubresourceLayout;
    output.write(vk::SubresourceLayout::default());
    device.call(Ask::new(function), || {
        let mut world = device.world();
        let resource = match world.resources(ObjectKind::Image).get(image.as_raw()) {
            Ok(resource) => resource,
            Err(bad) => {
                return device.violate(
                    "VUID-vkGetImageSubresourceLayout-image-parameter",
                    function,
                    format!("image {image:?} {bad}"),
                );
            }
        };
        if !resource.tells_layout {
            device.violate(
                "VUID-vkGetImageSubresourceLayout-image-07790",
                function,
                format!("image {image:?} has optimal tiling"),
            );
        }
        let part = resource.shape.and_then(|shape| shape.subresource(subresource.mip_level, subresource.array_layer));
        match part {
            None => {
                let message = format!(
                    "image {image:?} has no mip level {} or layer {}",
                    subresource.mip_level, subresource.array_layer
                );
                device.violate("VUID-vkGetImageSubresourceLayout-mipLevel-01716", function, message);
            }
            Some(part) => {
                let (row_pitch, depth_pitch) = (part.row_pitch, part.depth_pitch);
                let array_pitch = part.size;
                output.write(vk::SubresourceLayout {
                    offset: part.offset,
                    size: part.size,
                    row_pitch,
                    array_pitch,
                    depth_pitch,
                });
            }
        }
    });
}

pub(super) extern "system" fn buffer_device_address(
    device: &DeviceObject,
    info: &vk::BufferDeviceAddressInfo<'_>,
) -> u64 {
    let function = Function::GetBufferDeviceAddress;
    device.call(Ask::new(function), || {
        if !device.features.contains(Features::BUFFER_DEVICE_ADDRESS) {
            let message = "bufferDeviceAddress is not enabled".to_owned();
            device.violate("VUID-vkGetBufferDeviceAddress-bufferDeviceAddress-03324", function, message);
        }
        let world = device.world();
        let buffer = match world.buffers.get(info.buffer.as_raw()) {
            Ok(buffer) => buffer,
            Err(bad) => {
                let message = format!("buffer {:?} {bad}", info.buffer);
                device.violate("VUID-VkBufferDeviceAddressInfo-buffer-parameter", function, message);
                return 0;
            }
        };
        if !buffer.needs_device_address {
            let message = format!("buffer {:?} has no usage SHADER_DEVICE_ADDRESS", info.buffer);
            device.violate("VUID-VkBufferDeviceAddressInfo-buffer-02601", function, message);
        }
        let place = buffer.binding.and_then(|(memory, offset)| Some(world.memories.get(memory).ok()?.address + offset));
        if place.is_none() && !buffer.is_sparse {
            let message = format!("buffer {:?} is not bound to live memory", info.buffer);
            device.violate("VUID-VkBufferDeviceAddressInfo-buffer-02600", function, message);
        }
        place.unwrap_or(0)
    })
}
