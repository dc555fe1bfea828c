//! Entry points of objects that the driver accepts, counts and never looks into: shaders, pipelines, descriptors,
//! views. What descriptors are of is in `descriptor.rs`.
//!
//! They let a headless compute program run: its memory is used and checked, its shaders are not carried out. What they
//! refer to is checked where memory is concerned: an image view needs an image that is bound, a descriptor a live
//! buffer.

use super::callbacks::{CallbackRules, HostShadow};
use super::descriptor::Named;
use super::function::Function;
use super::handle::ObjectKind;
use super::object::{Ask, CommandBufferObject, DeviceObject, Mode};
use super::pnext::array;
use super::record::record;
use super::world::ResourceId;
use ash::vk;
use ash::vk::Handle;
use core::ffi::c_void;
use core::mem::MaybeUninit;

const CALLBACKS: CallbackRules =
    CallbackRules { given: "SIM-destroy-callbacks-given", none: "SIM-destroy-callbacks-none" };

/// One object of this file.
pub(super) struct Passive {
    /// The function that made it, which stands for its kind.
    maker: Function,
    /// The descriptor pool to which a descriptor set belongs.
    pool: Option<u64>,
    /// Resources that a descriptor set or a view names.
    pub(super) named: Named,
    shadow: HostShadow,
}

fn make(
    device: &DeviceObject,
    maker: Function,
    pool: Option<u64>,
    callbacks: Option<&vk::AllocationCallbacks<'_>>,
) -> Result<u64, vk::Result> {
    let shadow = HostShadow::take(device.state(), maker, callbacks)?;
    let made = device.world().passive.insert(Passive { maker, pool, named: Named::new(), shadow });
    let handle = made.ok_or(vk::Result::ERROR_OUT_OF_HOST_MEMORY)?;
    device.state().born(ObjectKind::Passive);
    Ok(handle)
}

fn create(
    device: &DeviceObject,
    maker: Function,
    callbacks: Option<&vk::AllocationCallbacks<'_>>,
    output: &mut MaybeUninit<u64>,
) -> vk::Result {
    output.write(0);
    device.call(Ask::new(maker), || make_one(device, maker, callbacks, output))
}

/// Makes an object into the application's place.
fn make_one(
    device: &DeviceObject,
    maker: Function,
    callbacks: Option<&vk::AllocationCallbacks<'_>>,
    output: &mut MaybeUninit<u64>,
) -> vk::Result {
    make(device, maker, None, callbacks).map_or_else(
        |result| result,
        |handle| {
            output.write(handle);
            vk::Result::SUCCESS
        },
    )
}

fn destroy(
    device: &DeviceObject,
    (maker, function): (Function, Function),
    handle: u64,
    callbacks: Option<&vk::AllocationCallbacks<'_>>,
) {
    device.call(Ask::new(function), || {
        if handle == 0 {
            return;
        }
        let removed = device.world().passive.remove(handle);
        match removed {
            Err(bad) => device.violate("SIM-passive-handle", function, format!("object {handle:#x} {bad}")),
            Ok(object) => {
                if object.maker != maker {
                    let message = format!("object {handle:#x} was made by {}", object.maker);
                    device.violate("SIM-passive-handle", function, message);
                }
                device.world().forget(handle);
                device.state().died(ObjectKind::Passive, 1);
                object.shadow.give_back(device.state(), function, callbacks, CALLBACKS);
            }
        }
    });
}

/// Writes the pair of entry points of one kind: both versions of Vulkan's signature have this shape for all kinds.
macro_rules! passive {
    ($($create:ident = $maker:ident, $destroy:ident = $breaker:ident;)+) => {
        $(
            pub(super) extern "system" fn $create(
                device: &DeviceObject,
                _: *const c_void,
                callbacks: Option<&vk::AllocationCallbacks<'_>>,
                output: &mut MaybeUninit<u64>,
            ) -> vk::Result {
                create(device, Function::$maker, callbacks, output)
            }

            pub(super) extern "system" fn $destroy(
                device: &DeviceObject,
                handle: u64,
                callbacks: Option<&vk::AllocationCallbacks<'_>>,
            ) {
                destroy(device, (Function::$maker, Function::$breaker), handle, callbacks);
            }
        )+
    };
}

passive! {
    create_shader_module = CreateShaderModule, destroy_shader_module = DestroyShaderModule;
    create_set_layout = CreateDescriptorSetLayout, destroy_set_layout = DestroyDescriptorSetLayout;
    create_pipeline_layout = CreatePipelineLayout, destroy_pipeline_layout = DestroyPipelineLayout;
    create_pipeline_cache = CreatePipelineCache, destroy_pipeline_cache = DestroyPipelineCache;
    create_sampler = CreateSampler, destroy_sampler = DestroySampler;
}

pub(super) extern "system" fn create_descriptor_pool(
    device: &DeviceObject,
    _: *const c_void,
    callbacks: Option<&vk::AllocationCallbacks<'_>>,
    output: &mut MaybeUninit<u64>,
) -> vk::Result {
    create(device, Function::CreateDescriptorPool, callbacks, output)
}

pub(super) extern "system" fn destroy_descriptor_pool(
    device: &DeviceObject,
    pool: u64,
    callbacks: Option<&vk::AllocationCallbacks<'_>>,
) {
    drop_sets(device, pool);
    let functions = (Function::CreateDescriptorPool, Function::DestroyDescriptorPool);
    destroy(device, functions, pool, callbacks);
}

/// Frees every descriptor set of a pool.
fn drop_sets(device: &DeviceObject, pool: u64) {
    let mut world = device.world();
    let of_pool = world.passive.iter().filter(|(_, object)| object.pool == Some(pool));
    let handles: Vec<u64> = of_pool.map(|(handle, _)| handle).collect();
    for handle in &handles {
        let _ = world.passive.remove(*handle);
        world.forget(*handle);
    }
    device.state().died(ObjectKind::Passive, handles.len() as u64);
}

pub(super) extern "system" fn create_image_view(
    device: &DeviceObject,
    info: &vk::ImageViewCreateInfo<'_>,
    callbacks: Option<&vk::AllocationCallbacks<'_>>,
    output: &mut MaybeUninit<u64>,
) -> vk::Result {
    output.write(0);
    device.judged(Ask::new(Function::CreateImageView), |mode| {
        judge_view(device, info.image);
        if mode == Mode::Refuse {
            return vk::Result::ERROR_OUT_OF_DEVICE_MEMORY;
        }
        make(device, Function::CreateImageView, None, callbacks).map_or_else(
            |result| result,
            |handle| {
                let named = ResourceId { kind: ObjectKind::Image, handle: info.image.as_raw() };
                device.world().name_in(handle, (0, 0), Some(named));
                output.write(handle);
                vk::Result::SUCCESS
            },
        )
    })
}

fn judge_view(device: &DeviceObject, image: vk::Image) {
    let function = Function::CreateImageView;
    let world = device.world();
    let is_live = |(memory, _): (u64, u64)| world.memories.get(memory).is_ok();
    match world.images.get(image.as_raw()).map(|image| image.is_sparse || image.binding.is_some_and(is_live)) {
        Err(bad) => {
            device.violate("VUID-VkImageViewCreateInfo-image-parameter", function, format!("image {image:?} {bad}"));
        }
        Ok(false) => {
            let message = format!("image {image:?} is not bound to live memory");
            device.violate("VUID-VkImageViewCreateInfo-image-01020", function, message);
        }
        Ok(true) => {}
    }
}

pub(super) extern "system" fn destroy_image_view(
    device: &DeviceObject,
    view: u64,
    callbacks: Option<&vk::AllocationCallbacks<'_>>,
) {
    destroy(device, (Function::CreateImageView, Function::DestroyImageView), view, callbacks);
}

pub(super) extern "system" fn create_compute_pipelines(
    device: &DeviceObject,
    _: u64,
    count: u32,
    _: *const vk::ComputePipelineCreateInfo<'_>,
    callbacks: Option<&vk::AllocationCallbacks<'_>>,
    output: *mut u64,
) -> vk::Result {
    let maker = Function::CreateComputePipelines;
    device.call(Ask::new(maker), || make_many(device, (maker, count, None), callbacks, output))
}

pub(super) extern "system" fn destroy_pipeline(
    device: &DeviceObject,
    pipeline: u64,
    callbacks: Option<&vk::AllocationCallbacks<'_>>,
) {
    destroy(device, (Function::CreateComputePipelines, Function::DestroyPipeline), pipeline, callbacks);
}

pub(super) extern "system" fn allocate_sets(
    device: &DeviceObject,
    info: &vk::DescriptorSetAllocateInfo<'_>,
    output: *mut u64,
) -> vk::Result {
    let maker = Function::AllocateDescriptorSets;
    let ask = (maker, info.descriptor_set_count, Some(info.descriptor_pool.as_raw()));
    device.call(Ask::new(maker), || make_many(device, ask, None, output))
}

/// Makes several objects into the application's array.
fn make_many(
    device: &DeviceObject,
    (maker, count, pool): (Function, u32, Option<u64>),
    callbacks: Option<&vk::AllocationCallbacks<'_>>,
    output: *mut u64,
) -> vk::Result {
    for index in 0..count as usize {
        let made = make(device, maker, pool, callbacks);
        // SAFETY: the application gives room for `count` handles.
        let place = unsafe { output.add(index) };
        // SAFETY: as above.
        unsafe { place.write(made.unwrap_or(0)) };
        if let Err(result) = made {
            return result;
        }
    }
    vk::Result::SUCCESS
}

pub(super) extern "system" fn free_sets(device: &DeviceObject, _: u64, count: u32, sets: *const u64) -> vk::Result {
    let functions = (Function::AllocateDescriptorSets, Function::FreeDescriptorSets);
    // SAFETY: the application gives `count` handles.
    for set in unsafe { array(sets, count) } {
        destroy(device, functions, *set, None);
    }
    vk::Result::SUCCESS
}

pub(super) extern "system" fn bind_pipeline(shell: &CommandBufferObject, _: vk::PipelineBindPoint, _: u64) {
    record(shell, Function::CmdBindPipeline, "VUID-vkCmdBindPipeline-commandBuffer-recording", None);
}

#[rustfmt::skip]
pub(super) extern "system" fn push_constants(
    shell: &CommandBufferObject, _: u64, _: vk::ShaderStageFlags, _: u32, _: u32, _: *const c_void,
) {
    record(shell, Function::CmdPushConstants, "VUID-vkCmdPushConstants-commandBuffer-recording", None);
}
