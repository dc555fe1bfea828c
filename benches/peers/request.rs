//! What the workloads ask for: one resource, as every peer understands it.

use crate::driver::{KIB, MIB};
use crate::random::Random;

/// The sort of memory; every peer is led to the same memory type for the same class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Device,
    Upload,
    Readback,
    /// Device-local and host-visible: the small heap.
    Stream,
}

/// One resource.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) size: u64,
    pub(crate) alignment: u64,
    pub(crate) class: Class,
    pub(crate) is_linear: bool,
    /// Freed within a few frames: some peers have a flag for that.
    pub(crate) is_short_lived: bool,
    /// Memory types that would do too, as bits.
    pub(crate) other_types: u32,
}

impl Request {
    pub(crate) fn new(size: u64, alignment: u64, class: Class, is_linear: bool) -> Self {
        Self {
            size: size.next_multiple_of(alignment),
            alignment,
            class,
            is_linear,
            is_short_lived: false,
            other_types: 0,
        }
    }

    /// Returns the memory type of the class and the others that would do, as bits.
    pub(crate) fn memory_type_bits(&self) -> u32 {
        1 << self.class as u32 | self.other_types
    }

    /// Lets a memory type of another class do too.
    pub(crate) fn or(self, class: Class) -> Self {
        Self { other_types: self.other_types | 1 << class as u32, ..self }
    }
}

/// How sizes are drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sizes {
    Fixed(u64),
    LogUniform(u64, u64),
}

impl Sizes {
    /// Draws a size in bytes.
    pub(crate) fn draw(self, random: &mut Random) -> u64 {
        match self {
            Self::Fixed(size) => size,
            Self::LogUniform(low, high) => random.log_uniform(low, high),
        }
    }
}

/// Draws a buffer, or with this chance in percent an image, in device memory.
pub(crate) fn buffer_or_image(random: &mut Random, sizes: Sizes, image_percent: usize) -> Request {
    let size = sizes.draw(random);
    if random.below(100) < image_percent {
        Request::new(size, KIB, Class::Device, false)
    } else {
        Request::new(size, 256, Class::Device, true)
    }
}

/// Draws an upload of a frame.
pub(crate) fn upload(random: &mut Random) -> Request {
    let size = random.log_uniform(64, 64 * KIB);
    Request { is_short_lived: true, ..Request::new(size, 256, Class::Upload, true) }
}

/// Draws a resource of a game's level: 40 % meshes, 35 % textures with their mip levels, 25 % small uploads.
pub(crate) fn level_resource(random: &mut Random) -> Request {
    match random.below(100) {
        0..=39 => {
            let size = random.log_normal(200.0 * KIB as f64).clamp(KIB, 32 * MIB);
            Request::new(size, 256, Class::Device, true)
        }
        40..=74 => texture(random),
        _ => Request::new(random.log_uniform(256, 64 * KIB), 256, Class::Upload, true),
    }
}

/// Draws a texture of 256 to 4,096 texels a side, block-compressed at a byte per texel.
fn texture(random: &mut Random) -> Request {
    let side: u64 = match random.below(100) {
        0..=29 => 256,
        30..=64 => 512,
        65..=91 => 1024,
        92..=98 => 2048,
        _ => 4096,
    };
    let sides = core::iter::successors(Some(side), |side| (*side > 1).then_some(side / 2));
    let bytes = sides.map(|side| side.div_ceil(4).pow(2) * 16).sum();
    let alignment = if bytes >= MIB { 64 * KIB } else { KIB };
    Request::new(bytes, alignment, Class::Device, false)
}
