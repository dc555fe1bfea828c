//! Two compute pipelines on suballocated buffers: one gathers light, pass by pass, the other turns it into a picture.
//!
//! | binding | buffer | memory |
//! |---|---|---|
//! | 0 | what a pass is told | `stream`: written by the CPU before each pass |
//! | 1, 2, 3 | slabs, bays, stones | `gpu_only`, filled by copies |
//! | 4 | gathered light | `gpu_only` |
//! | 5 | the picture | `gpu_only`, copied to a `readback` buffer |

use std::error::Error;

use bytemuck::Pod;
use freestone::ash::{self, vk};
use freestone::{AllocationCreateInfo, Allocator, Buffer};

use crate::headless::{Vulkan, memory_barrier};
use crate::scene::{Frame, Scene, Stone};

type OwnBuffer<'a> = Buffer<&'a Allocator>;

const BINDING_COUNT: usize = 6;
const TRACE: &str = include_str!("../../shaders/quarry.wgsl");
const DEVELOP: &str = include_str!("../../shaders/develop.wgsl");
/// Invocations of a workgroup, as the shaders declare them.
const TRACE_TILE: u32 = 8;
const DEVELOP_GROUP: u32 = 64;

pub(crate) struct Renderer<'a> {
    vulkan: &'a Vulkan<'a>,
    allocator: &'a Allocator,
    frame: Frame,
    bindings: [OwnBuffer<'a>; BINDING_COUNT],
    result: OwnBuffer<'a>,
    objects: Objects<'a>,
    set: vk::DescriptorSet,
    trace: vk::Pipeline,
    develop: vk::Pipeline,
}

impl<'a> Renderer<'a> {
    /// Makes buffers and pipelines; the table of stones is left to be filled.
    ///
    /// # Errors
    /// Where memory, a shader or a call of Vulkan fails.
    pub(crate) fn new(
        vulkan: &'a Vulkan<'a>,
        allocator: &'a Allocator,
        scene: &Scene,
        frame: Frame,
    ) -> Result<Self, Box<dyn Error>> {
        let pixel_count = u64::from(frame.width) * u64::from(frame.height);
        let (storage, uniform) = (vk::BufferUsageFlags::STORAGE_BUFFER, vk::BufferUsageFlags::UNIFORM_BUFFER);
        let (from, to) = (vk::BufferUsageFlags::TRANSFER_SRC, vk::BufferUsageFlags::TRANSFER_DST);
        let (gpu_only, stream) = (AllocationCreateInfo::gpu_only(), AllocationCreateInfo::stream());
        let buffer = |size: u64, usage, info: AllocationCreateInfo<'_>| {
            let buffer_info = vk::BufferCreateInfo::default().size(size).usage(usage);
            // SAFETY: the create-info is valid; every submission is waited for before anything is dropped.
            unsafe { Buffer::new(allocator, &buffer_info, &info) }
        };
        let bindings = [
            buffer(size_of::<Frame>() as u64, uniform, stream.name("frame"))?,
            buffer(size_of_val(&scene.slabs[..]) as u64, storage | to, gpu_only.name("slabs"))?,
            buffer(size_of_val(&scene.bays[..]) as u64, storage | to, gpu_only.name("bays"))?,
            buffer(scene.stones.len() as u64 * size_of::<Stone>() as u64, storage | to, gpu_only.name("stones"))?,
            buffer(pixel_count * 16, storage, gpu_only.name("light"))?,
            buffer(pixel_count * 4, storage | from, gpu_only.name("picture"))?,
        ];
        let result = buffer(pixel_count * 4, to, AllocationCreateInfo::readback().name("result"))?;
        let mut objects = Objects::new(vulkan.device);
        let set = objects.descriptor_set(&bindings)?;
        let trace = objects.pipeline(TRACE)?;
        let develop = objects.pipeline(DEVELOP)?;
        let renderer = Self { vulkan, allocator, frame, bindings, result, objects, set, trace, develop };
        renderer.upload(1, &scene.slabs)?;
        renderer.upload(2, &scene.bays)?;
        Ok(renderer)
    }

    /// Returns the table of stones.
    pub(crate) fn stones(&self) -> vk::Buffer {
        self.bindings[3].handle()
    }

    /// Adds one sample to each pixel.
    ///
    /// # Errors
    /// Where a call of Vulkan fails.
    pub(crate) fn add_pass(&mut self, pass_index: u32) -> Result<(), Box<dyn Error>> {
        self.frame.pass_index = pass_index;
        self.bindings[0].write(0, &[self.frame])?;
        let tiles = |pixels: u32| pixels.div_ceil(TRACE_TILE);
        let (width, height) = (tiles(self.frame.width), tiles(self.frame.height));
        self.vulkan.submit(|device, commands| self.dispatch(device, commands, self.trace, (width, height)))?;
        Ok(())
    }

    /// Turns the light into a picture and returns its pixels: red in the lowest byte.
    ///
    /// # Errors
    /// Where a call of Vulkan fails.
    pub(crate) fn develop(&self) -> Result<Vec<u32>, Box<dyn Error>> {
        let pixel_count = self.frame.width * self.frame.height;
        let (picture, result) = (self.bindings[5].handle(), self.result.handle());
        self.vulkan.submit(|device, commands| {
            self.dispatch(device, commands, self.develop, (pixel_count.div_ceil(DEVELOP_GROUP), 1));
            let (compute, transfer) = (vk::PipelineStageFlags::COMPUTE_SHADER, vk::PipelineStageFlags::TRANSFER);
            let (written, read) = (vk::AccessFlags::SHADER_WRITE, vk::AccessFlags::TRANSFER_READ);
            memory_barrier(device, commands, (compute, written), (transfer, read));
            let whole = [vk::BufferCopy::default().size(u64::from(pixel_count) * 4)];
            // SAFETY: recording; both buffers are alive, made for it and of this size.
            unsafe { device.cmd_copy_buffer(commands, picture, result, &whole) };
            let copied = vk::AccessFlags::TRANSFER_WRITE;
            memory_barrier(
                device,
                commands,
                (transfer, copied),
                (vk::PipelineStageFlags::HOST, vk::AccessFlags::HOST_READ),
            );
        })?;
        let mut pixels = vec![0_u32; pixel_count as usize];
        self.allocator.invalidate(self.result.allocation(), 0, u64::from(pixel_count) * 4)?;
        // SAFETY: the GPU has written every byte, the last barrier showed them to the host, and they were invalidated.
        unsafe { self.result.allocation().read(0, &mut pixels) }?;
        Ok(pixels)
    }

    /// Records one dispatch that finds what earlier submissions have written.
    fn dispatch(
        &self,
        device: &ash::Device,
        commands: vk::CommandBuffer,
        pipeline: vk::Pipeline,
        (width, height): (u32, u32),
    ) {
        let compute = vk::PipelineStageFlags::COMPUTE_SHADER;
        let writers = compute | vk::PipelineStageFlags::TRANSFER;
        let written = vk::AccessFlags::SHADER_WRITE | vk::AccessFlags::TRANSFER_WRITE;
        let used = vk::AccessFlags::SHADER_READ | vk::AccessFlags::SHADER_WRITE;
        memory_barrier(device, commands, (writers, written), (compute, used));
        let (bind_point, layout) = (vk::PipelineBindPoint::COMPUTE, self.objects.layout);
        // SAFETY: recording; pipeline and set are alive and have this layout (all three calls).
        unsafe { device.cmd_bind_pipeline(commands, bind_point, pipeline) };
        // SAFETY: as above.
        unsafe { device.cmd_bind_descriptor_sets(commands, bind_point, layout, 0, &[self.set], &[]) };
        // SAFETY: as above; the shaders check that they are inside the picture.
        unsafe { device.cmd_dispatch(commands, width, height, 1) };
    }

    /// Fills a buffer by way of a staging buffer that lives no longer than that.
    fn upload<T: Pod>(&self, binding: usize, values: &[T]) -> Result<(), Box<dyn Error>> {
        let bytes = size_of_val(values) as u64;
        let info = vk::BufferCreateInfo::default().size(bytes).usage(vk::BufferUsageFlags::TRANSFER_SRC);
        // SAFETY: the create-info is valid; `submit` waits before the buffer is dropped.
        let mut staging =
            unsafe { Buffer::new(self.allocator, &info, &AllocationCreateInfo::upload().name("staging")) }?;
        staging.write(0, values)?;
        let whole = [vk::BufferCopy::default().size(bytes)];
        let target = self.bindings[binding].handle();
        self.vulkan.submit(|device, commands| {
            // SAFETY: recording; both buffers are alive, made for it and of this size.
            unsafe { device.cmd_copy_buffer(commands, staging.handle(), target, &whole) };
        })?;
        Ok(())
    }
}

/// Descriptors and pipelines, destroyed together.
struct Objects<'a> {
    device: &'a ash::Device,
    set_layout: vk::DescriptorSetLayout,
    layout: vk::PipelineLayout,
    pool: vk::DescriptorPool,
    pipelines: Vec<vk::Pipeline>,
}

impl<'a> Objects<'a> {
    fn new(device: &'a ash::Device) -> Self {
        Self {
            device,
            set_layout: vk::DescriptorSetLayout::null(),
            layout: vk::PipelineLayout::null(),
            pool: vk::DescriptorPool::null(),
            pipelines: Vec::new(),
        }
    }

    /// Makes layouts, pool and the one set. Binding 0 is a uniform buffer, the others are storage buffers.
    fn descriptor_set(&mut self, buffers: &[OwnBuffer<'_>; BINDING_COUNT]) -> Result<vk::DescriptorSet, vk::Result> {
        let kind = |binding: u32| {
            if binding == 0 { vk::DescriptorType::UNIFORM_BUFFER } else { vk::DescriptorType::STORAGE_BUFFER }
        };
        let numbered = 0..BINDING_COUNT as u32;
        let bindings: Vec<_> = numbered.map(|binding| layout_binding(binding, kind(binding))).collect();
        let info = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
        // SAFETY: the create-info is valid.
        self.set_layout = unsafe { self.device.create_descriptor_set_layout(&info, None) }?;
        let layouts = [self.set_layout];
        let info = vk::PipelineLayoutCreateInfo::default().set_layouts(&layouts);
        // SAFETY: as above.
        self.layout = unsafe { self.device.create_pipeline_layout(&info, None) }?;
        let size = |kind, count| vk::DescriptorPoolSize::default().ty(kind).descriptor_count(count);
        let sizes = [size(kind(0), 1), size(kind(1), BINDING_COUNT as u32 - 1)];
        let info = vk::DescriptorPoolCreateInfo::default().max_sets(1).pool_sizes(&sizes);
        // SAFETY: as above.
        self.pool = unsafe { self.device.create_descriptor_pool(&info, None) }?;
        let info = vk::DescriptorSetAllocateInfo::default().descriptor_pool(self.pool).set_layouts(&layouts);
        // SAFETY: the pool has room for this one set.
        let set = unsafe { self.device.allocate_descriptor_sets(&info) }?[0];
        let whole = |buffer: &OwnBuffer<'_>| {
            [vk::DescriptorBufferInfo::default().buffer(buffer.handle()).range(vk::WHOLE_SIZE)]
        };
        let infos: Vec<_> = buffers.iter().map(whole).collect();
        let mut writes = Vec::new();
        for (binding, info) in (0..).zip(&infos) {
            let write = vk::WriteDescriptorSet::default().dst_set(set).dst_binding(binding);
            writes.push(write.descriptor_type(kind(binding)).buffer_info(info));
        }
        // SAFETY: no submitted work uses the set; buffers and usages are those of the layout.
        unsafe { self.device.update_descriptor_sets(&writes, &[]) };
        Ok(set)
    }

    /// Compiles WGSL and makes a compute pipeline of its `main`.
    fn pipeline(&mut self, wgsl: &str) -> Result<vk::Pipeline, Box<dyn Error>> {
        let words = compile(wgsl)?;
        let info = vk::ShaderModuleCreateInfo::default().code(&words);
        // SAFETY: naga has validated the shader and writes valid SPIR-V.
        let module = unsafe { self.device.create_shader_module(&info, None) }?;
        let stage = vk::PipelineShaderStageCreateInfo::default()
            .stage(vk::ShaderStageFlags::COMPUTE)
            .module(module)
            .name(c"main");
        let info = [vk::ComputePipelineCreateInfo::default().stage(stage).layout(self.layout)];
        // SAFETY: module and layout are alive, and the layout has the shader's bindings.
        let made = unsafe { self.device.create_compute_pipelines(vk::PipelineCache::null(), &info, None) };
        // SAFETY: a pipeline does not need its module once it is made.
        unsafe { self.device.destroy_shader_module(module, None) };
        let made = made.map_err(|(_, result)| result)?;
        self.pipelines.extend(&made);
        Ok(made[0])
    }
}

impl Drop for Objects<'_> {
    fn drop(&mut self) {
        for &pipeline in &self.pipelines {
            // SAFETY: every submission was waited for (all four calls); null handles are allowed.
            unsafe { self.device.destroy_pipeline(pipeline, None) };
        }
        // SAFETY: as above; the pool takes its set with it.
        unsafe { self.device.destroy_descriptor_pool(self.pool, None) };
        // SAFETY: as above.
        unsafe { self.device.destroy_pipeline_layout(self.layout, None) };
        // SAFETY: as above.
        unsafe { self.device.destroy_descriptor_set_layout(self.set_layout, None) };
    }
}

fn layout_binding(binding: u32, kind: vk::DescriptorType) -> vk::DescriptorSetLayoutBinding<'static> {
    vk::DescriptorSetLayoutBinding::default()
        .binding(binding)
        .descriptor_type(kind)
        .descriptor_count(1)
        .stage_flags(vk::ShaderStageFlags::COMPUTE)
}

/// Compiles WGSL to SPIR-V 1.3.
fn compile(wgsl: &str) -> Result<Vec<u32>, Box<dyn Error>> {
    use naga::{back::spv, front::wgsl, valid};
    let module = wgsl::parse_str(wgsl).map_err(|error| error.emit_to_string(wgsl))?;
    let mut validator = valid::Validator::new(valid::ValidationFlags::all(), valid::Capabilities::empty());
    let info = validator.validate(&module).map_err(|error| error.emit_to_string(wgsl))?;
    let options = spv::Options { lang_version: (1, 3), force_loop_bounding: false, ..spv::Options::default() };
    Ok(spv::write_vec(&module, &info, &options, None)?)
}
