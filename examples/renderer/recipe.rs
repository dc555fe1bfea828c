//! How a pipeline is described and made, and how WGSL becomes SPIR-V.

use std::error::Error;
use std::ffi::CStr;
use std::mem::offset_of;

use freestone::ash::{self, vk};

use crate::overlay::Quad;
use crate::shapes::Vertex;
use crate::targets::DEPTH_FORMAT;

/// A compiled shader, for as long as pipelines are made of it.
pub(crate) struct Shader<'a> {
    device: &'a ash::Device,
    module: vk::ShaderModule,
}

impl<'a> Shader<'a> {
    /// Compiles WGSL.
    ///
    /// # Errors
    /// What is wrong with it, in naga's words, or where the call fails.
    pub(crate) fn new(device: &'a ash::Device, wgsl: &str) -> Result<Self, Box<dyn Error>> {
        let words = compile(wgsl)?;
        let info = vk::ShaderModuleCreateInfo::default().code(&words);
        // SAFETY: naga has validated the shader and writes valid SPIR-V.
        let module = unsafe { device.create_shader_module(&info, None) }?;
        Ok(Self { device, module })
    }
}

impl Drop for Shader<'_> {
    fn drop(&mut self) {
        // SAFETY: a pipeline does not need its module once it is made.
        unsafe { self.device.destroy_shader_module(self.module, None) };
    }
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

/// What the vertex shader reads from buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Nothing,
    Mesh,
    /// Nothing of a mesh but where it is.
    MeshShape,
    Quads,
}

/// What becomes of depth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    None,
    /// Nearer surfaces hide others.
    Written,
    /// The same, with a bias, so that surfaces do not shade themselves.
    Shadow,
    /// Drawn where nothing else is.
    Behind,
}

/// What becomes of the colour that was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blend {
    Replace,
    Add,
    Over,
}

/// Everything about a pipeline.
#[derive(Clone, Copy)]
pub(crate) struct Recipe<'a> {
    pub(crate) shader: &'a Shader<'a>,
    pub(crate) vertex: &'static CStr,
    pub(crate) fragment: Option<&'static CStr>,
    pub(crate) layout: vk::PipelineLayout,
    pub(crate) input: Input,
    pub(crate) colour: Option<vk::Format>,
    pub(crate) depth: Depth,
    pub(crate) blend: Blend,
}

impl Recipe<'_> {
    /// Makes the pipeline.
    ///
    /// # Errors
    /// Where the call fails.
    pub(crate) fn make(&self, device: &ash::Device) -> Result<vk::Pipeline, vk::Result> {
        let (bindings, attributes) = self.input.describe();
        let stages = self.stages();
        let input = vk::PipelineVertexInputStateCreateInfo::default()
            .vertex_binding_descriptions(&bindings)
            .vertex_attribute_descriptions(&attributes);
        let assembly =
            vk::PipelineInputAssemblyStateCreateInfo::default().topology(vk::PrimitiveTopology::TRIANGLE_LIST);
        let viewport = vk::PipelineViewportStateCreateInfo::default().viewport_count(1).scissor_count(1);
        let rasterization = self.rasterization();
        let samples =
            vk::PipelineMultisampleStateCreateInfo::default().rasterization_samples(vk::SampleCountFlags::TYPE_1);
        let depth = self.depth.state();
        let blends = [self.blend.state()];
        let blend = vk::PipelineColorBlendStateCreateInfo::default().attachments(if self.colour.is_some() {
            &blends
        } else {
            &[]
        });
        let set_later = [vk::DynamicState::VIEWPORT, vk::DynamicState::SCISSOR];
        let dynamic = vk::PipelineDynamicStateCreateInfo::default().dynamic_states(&set_later);
        let mut rendering = vk::PipelineRenderingCreateInfo::default().color_attachment_formats(self.colour.as_slice());
        if self.depth != Depth::None {
            rendering = rendering.depth_attachment_format(DEPTH_FORMAT);
        }
        let info = [vk::GraphicsPipelineCreateInfo::default()
            .stages(&stages)
            .vertex_input_state(&input)
            .input_assembly_state(&assembly)
            .viewport_state(&viewport)
            .rasterization_state(&rasterization)
            .multisample_state(&samples)
            .depth_stencil_state(&depth)
            .color_blend_state(&blend)
            .dynamic_state(&dynamic)
            .layout(self.layout)
            .push_next(&mut rendering)];
        // SAFETY: module and layout are alive, and the layout has the shader's bindings.
        let made = unsafe { device.create_graphics_pipelines(vk::PipelineCache::null(), &info, None) };
        made.map(|pipelines| pipelines[0]).map_err(|(_, result)| result)
    }

    fn stages(&self) -> Vec<vk::PipelineShaderStageCreateInfo<'static>> {
        let stage = |stage, name| {
            vk::PipelineShaderStageCreateInfo::default().stage(stage).module(self.shader.module).name(name)
        };
        let fragment = self.fragment.map(|name| stage(vk::ShaderStageFlags::FRAGMENT, name));
        [stage(vk::ShaderStageFlags::VERTEX, self.vertex)].into_iter().chain(fragment).collect()
    }

    fn rasterization(&self) -> vk::PipelineRasterizationStateCreateInfo<'static> {
        let is_biased = self.depth == Depth::Shadow;
        let is_solid = matches!(self.input, Input::Mesh | Input::MeshShape);
        vk::PipelineRasterizationStateCreateInfo::default()
            .cull_mode(if is_solid { vk::CullModeFlags::BACK } else { vk::CullModeFlags::NONE })
            .front_face(vk::FrontFace::COUNTER_CLOCKWISE)
            .depth_bias_enable(is_biased)
            .depth_bias_constant_factor(if is_biased { 2.0 } else { 0.0 })
            .depth_bias_slope_factor(if is_biased { 2.0 } else { 0.0 })
            .line_width(1.0)
    }
}

impl Depth {
    fn state(self) -> vk::PipelineDepthStencilStateCreateInfo<'static> {
        let is_written = matches!(self, Self::Written | Self::Shadow);
        vk::PipelineDepthStencilStateCreateInfo::default()
            .depth_test_enable(self != Self::None)
            .depth_write_enable(is_written)
            .depth_compare_op(vk::CompareOp::LESS_OR_EQUAL)
    }
}

impl Blend {
    fn state(self) -> vk::PipelineColorBlendAttachmentState {
        let (source, kept) = match self {
            Self::Replace => (vk::BlendFactor::ONE, vk::BlendFactor::ZERO),
            Self::Add => (vk::BlendFactor::ONE, vk::BlendFactor::ONE),
            Self::Over => (vk::BlendFactor::SRC_ALPHA, vk::BlendFactor::ONE_MINUS_SRC_ALPHA),
        };
        vk::PipelineColorBlendAttachmentState::default()
            .blend_enable(self != Self::Replace)
            .src_color_blend_factor(source)
            .dst_color_blend_factor(kept)
            .src_alpha_blend_factor(vk::BlendFactor::ONE)
            .dst_alpha_blend_factor(kept)
            .color_write_mask(vk::ColorComponentFlags::RGBA)
    }
}

type Described = (Vec<vk::VertexInputBindingDescription>, Vec<vk::VertexInputAttributeDescription>);

impl Input {
    fn describe(self) -> Described {
        let attribute = |location: usize, format: vk::Format, offset: usize| vk::VertexInputAttributeDescription {
            location: location as u32,
            binding: 0,
            format,
            offset: offset as u32,
        };
        let binding = |stride: usize, input_rate| {
            vec![vk::VertexInputBindingDescription { binding: 0, stride: stride as u32, input_rate }]
        };
        match self {
            Self::Nothing => (Vec::new(), Vec::new()),
            Self::Mesh => (
                binding(size_of::<Vertex>(), vk::VertexInputRate::VERTEX),
                vec![
                    attribute(0, vk::Format::R32G32B32_SFLOAT, offset_of!(Vertex, position)),
                    attribute(1, vk::Format::R8G8B8A8_SNORM, offset_of!(Vertex, normal)),
                    attribute(2, vk::Format::R8G8B8A8_SNORM, offset_of!(Vertex, tangent)),
                    attribute(3, vk::Format::R32G32_SFLOAT, offset_of!(Vertex, uv)),
                ],
            ),
            Self::MeshShape => (
                binding(size_of::<Vertex>(), vk::VertexInputRate::VERTEX),
                vec![attribute(0, vk::Format::R32G32B32_SFLOAT, offset_of!(Vertex, position))],
            ),
            Self::Quads => (
                binding(size_of::<Quad>(), vk::VertexInputRate::INSTANCE),
                vec![
                    attribute(0, vk::Format::R32G32B32A32_SFLOAT, offset_of!(Quad, place)),
                    attribute(1, vk::Format::R32G32B32A32_SFLOAT, offset_of!(Quad, texels)),
                    attribute(2, vk::Format::R8G8B8A8_UNORM, offset_of!(Quad, colour)),
                ],
            ),
        }
    }
}
