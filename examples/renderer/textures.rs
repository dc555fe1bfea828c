//! Textures: what a stone's surface is like, made by noise, with every mip level.
//!
//! | channel | holds |
//! |---|---|
//! | red, green | the normal, along the texture |
//! | blue | how bright the stone is |
//! | alpha | which of its two colours it has |

use freestone::ash::vk;
use freestone::{AllocationCreateInfo, Allocator, Image, ImageTarget, ResourceUse, Upload};

use crate::commands::colour_view;
use crate::headless::Vulkan;
use crate::noise::layered;
use crate::shapes::Detail;
use crate::streaming::{Bytes, Trouble};
use crate::texture_sets::TextureSets;
use crate::vector::{Vec3, vec3};

const FORMAT: vk::Format = vk::Format::R8G8B8A8_UNORM;

/// What a quarry yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Even, with fine pores.
    Limestone,
    /// In layers.
    Sandstone,
    /// Speckled.
    Granite,
    /// Clouds with veins.
    Marble,
    /// Soil and gravel.
    Ground,
    /// Along the grain.
    Wood,
}

/// A texture on the GPU, with the set that shaders read it by.
#[derive(Debug)]
pub(crate) struct Texture<'a> {
    /// Destroyed by [`Texture::destroy`], before the image.
    view: vk::ImageView,
    pub(crate) set: vk::DescriptorSet,
    #[expect(dead_code, reason = "owned: the image goes when the texture does")]
    image: Image<&'a Allocator>,
}

impl<'a> Texture<'a> {
    /// Makes an image for texels, and returns it with the upload that fills all its levels.
    ///
    /// # Errors
    /// Where there is no memory, or a call of Vulkan fails.
    pub(crate) fn new(
        vulkan: &Vulkan<'_>,
        allocator: &'a Allocator,
        sets: &TextureSets<'_>,
        texels: Texels,
    ) -> Result<(Self, Upload<Bytes>), Trouble> {
        let info = vk::ImageCreateInfo::default()
            .image_type(vk::ImageType::TYPE_2D)
            .format(texels.format)
            .extent(vk::Extent3D { width: texels.width, height: texels.height, depth: 1 })
            .mip_levels(texels.level_count)
            .array_layers(1)
            .samples(vk::SampleCountFlags::TYPE_1)
            .usage(vk::ImageUsageFlags::SAMPLED | vk::ImageUsageFlags::TRANSFER_DST);
        let memory = AllocationCreateInfo::gpu_only().name("texture");
        // SAFETY: the create-info is valid; textures go through the queue that waits for the GPU.
        let image = unsafe { Image::new(allocator, &info, &memory) }?;
        let view = colour_view(vulkan.device, image.handle(), texels.format, texels.level_count)?;
        let set = sets.allocate(view).inspect_err(|_| {
            // SAFETY: nothing uses the view yet.
            unsafe { vulkan.device.destroy_image_view(view, None) };
        })?;
        let target = ImageTarget::new(image.handle(), &info);
        let sampled = ResourceUse::image(
            vk::PipelineStageFlags::FRAGMENT_SHADER,
            vk::AccessFlags::SHADER_READ,
            vk::ImageLayout::SHADER_READ_ONLY_OPTIMAL,
        );
        let upload =
            Upload::to_image(target, target.regions(), texels.bytes)?.before(ResourceUse::undefined()).after(sampled);
        Ok((Self { view, set, image }, upload))
    }

    /// Destroys it; the GPU is done with it.
    pub(crate) fn destroy(self, vulkan: &Vulkan<'_>, sets: &TextureSets<'_>) {
        sets.free(self.set);
        // SAFETY: the caller's promise; the set that named the view is gone.
        unsafe { vulkan.device.destroy_image_view(self.view, None) };
    }
}

/// Texels of all levels, the largest first, tightly packed.
pub(crate) struct Texels {
    format: vk::Format,
    width: u32,
    height: u32,
    level_count: u32,
    bytes: Vec<u8>,
}

impl Texels {
    /// Takes texels of one byte and one level.
    pub(crate) fn plain((width, height): (u32, u32), bytes: Vec<u8>) -> Self {
        Self { format: vk::Format::R8_UNORM, width, height, level_count: 1, bytes }
    }

    /// Makes a stone's surface.
    pub(crate) fn of_stone(kind: Kind, detail: Detail, seed: f32) -> Self {
        let side = match detail {
            Detail::Coarse => 64,
            Detail::Fine => 256,
        };
        let mut level = surface(kind, side, seed);
        let (mut bytes, mut level_count, mut level_side) = (level.clone(), 1, side);
        while level_side > 1 {
            level = halve(&level, level_side as usize);
            bytes.extend_from_slice(&level);
            (level_count, level_side) = (level_count + 1, level_side / 2);
        }
        Self { format: FORMAT, width: side, height: side, level_count, bytes }
    }
}

/// What a surface is like at one point: its height, brightness, and share of the second colour.
struct Sample {
    height: f32,
    bright: f32,
    vein: f32,
}

impl Kind {
    /// Looks at a point of the texture, whose coordinates run from 0 to 1 and repeat.
    fn sample(self, u: f32, v: f32, seed: f32) -> Sample {
        let at = |across: f32, up: f32| vec3(u * across, v * up, seed);
        let fine = layered(at(32.0, 32.0), 2, Some(32));
        let broad = layered(at(4.0, 4.0), 4, Some(4));
        match self {
            Self::Limestone => {
                let pores = (layered(at(24.0, 24.0) + Vec3::all(5.0), 2, Some(24)) - 0.68).max(0.0) * 4.0;
                Sample {
                    height: fine * 0.35 + broad * 0.5 - pores,
                    bright: 0.86 + 0.14 * broad - 0.5 * pores,
                    vein: broad,
                }
            }
            Self::Sandstone => {
                let wave = layered(at(3.0, 3.0) + Vec3::all(9.0), 2, Some(3));
                let bands = layered(vec3(u * 2.0, v * 16.0 + wave * 2.0, seed + 3.0), 3, None);
                let bands =
                    bands + (layered(vec3(u * 2.0, (v - 1.0) * 16.0 + wave * 2.0, seed + 3.0), 3, None) - bands) * v;
                Sample {
                    height: bands * 0.8 + fine * 0.3,
                    bright: 0.78 + 0.26 * bands,
                    vein: (bands * 1.7 - 0.35).clamp(0.0, 1.0),
                }
            }
            Self::Granite => {
                let grains = layered(at(48.0, 48.0), 1, Some(48));
                let vein = ((grains - 0.5) * 2.0 + 0.4).clamp(0.0, 1.0);
                Sample { height: fine * 0.3 + broad * 0.2, bright: 0.75 + 0.25 * fine, vein: vein * 0.55 }
            }
            Self::Marble => {
                let ridge = 1.0 - (broad - 0.5).abs() * 9.0;
                Sample { height: broad * 0.15, bright: 0.9 + 0.1 * fine, vein: ridge.clamp(0.0, 1.0) * 0.7 }
            }
            Self::Ground => Sample { height: fine * 0.8 + broad * 1.2, bright: 0.7 + 0.3 * fine, vein: broad },
            Self::Wood => {
                let grain = layered(vec3(u * 3.0, v * 40.0, seed), 2, None);
                Sample { height: grain, bright: 0.6 + 0.4 * grain, vein: grain }
            }
        }
    }
}

/// Makes the largest level.
fn surface(kind: Kind, side: u32, seed: f32) -> Vec<u8> {
    let place = |index: u32| (index as f32 + 0.5) / side as f32;
    let samples: Vec<Sample> =
        (0..side * side).map(|index| kind.sample(place(index % side), place(index / side), seed)).collect();
    let height = |x: u32, y: u32| samples[((y % side) * side + x % side) as usize].height;
    // Slopes are those of a texture of 256 texels, whatever the side.
    let steepness = side as f32 / 256.0 * 2.0;
    let byte = |value: f32| (value.clamp(0.0, 1.0) * 255.0).round() as u8;
    let texel = |index: u32| {
        let (x, y) = (index % side, index / side);
        let slope_x = (height(x + 1, y) - height(x + side - 1, y)) * steepness;
        let slope_y = (height(x, y + 1) - height(x, y + side - 1)) * steepness;
        let normal = vec3(-slope_x, -slope_y, 1.0).normalize();
        let Sample { bright, vein, .. } = samples[index as usize];
        [byte(normal.x * 0.5 + 0.5), byte(normal.y * 0.5 + 0.5), byte(bright), byte(vein)]
    };
    (0..side * side).flat_map(texel).collect()
}

/// Makes the next level: each texel the mean of four.
fn halve(level: &[u8], side: usize) -> Vec<u8> {
    let half = side / 2;
    let texel = |x: usize, y: usize, channel: usize| u32::from(level[(y * side + x) * 4 + channel]);
    let mean = |index: usize| {
        let (x, y, channel) = (index / 4 % half * 2, index / 4 / half * 2, index % 4);
        let sum =
            texel(x, y, channel) + texel(x + 1, y, channel) + texel(x, y + 1, channel) + texel(x + 1, y + 1, channel);
        (sum.div_ceil(4)).min(255) as u8
    };
    (0..half * half * 4).map(mean).collect()
}
