//! What a graphics card would ask for a recorded resource: a pure function, for devices of no hardware.
//!
//! Traces hold the numbers of a software driver: buffers of exactly their size at 64 bytes, images at 16 bytes and
//! without padding. A card rounds up. This model does so by rule, so that results on a simulated device can be
//! compared with each other and with those of other allocators measured under the same rule:
//!
//! | resource | alignment; the size is rounded up to a multiple of it |
//! |---|---|
//! | buffer with a texel, uniform or storage usage | the greatest of the device's three minimum offset alignments |
//! | any other buffer | 16 |
//! | linear image | 256, or the above where it is greater |
//! | optimal image of 256 KiB and more | 64 KiB |
//! | optimal image of 16 KiB and more | 4 KiB |
//! | smaller optimal image | the buffer-image granularity, at least 256, at most 4 KiB |
//!
//! With offset alignments of 256 and a granularity of 1024 this is the `hw` model under which the goals of this
//! project were measured. Every memory type is allowed for everything. Images get no padding but the rounding.
//!
//! What the model does not do: prefer or require dedicated memory; know about compression or tile modes.

use super::event::{Kind, Resource, Shape};

use ash::vk;

/// Alignment of buffers that only the fixed functions read: enough for any vertex or index. Source: the `hw` model.
const PLAIN_BUFFER_ALIGNMENT: u64 = 16;
/// Least alignment of images: a row of texels that copy engines like. Source: the `hw` model.
const LEAST_IMAGE_ALIGNMENT: u64 = 256;
/// Optimal images of this size and more lie on large pages. Source: the `hw` model.
const LARGE_IMAGE: Tier = Tier { from: 256 << 10, alignment: 64 << 10 };
/// Optimal images of this size and more lie on pages. Source: the `hw` model.
const MEDIUM_IMAGE: Tier = Tier { from: 16 << 10, alignment: 4 << 10 };

struct Tier {
    from: u64,
    alignment: u64,
}

/// The properties of a device that its requirements follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    /// The greatest of `minTexelBufferOffsetAlignment`, `minUniformBufferOffsetAlignment` and
    /// `minStorageBufferOffsetAlignment`; a power of two.
    pub offset_alignment: u64,
    /// `bufferImageGranularity`; a power of two.
    pub granularity: u64,
    /// One bit for each memory type of the device.
    pub memory_type_bits: u32,
}

/// What a device asks for, as plain data: a `VkMemoryRequirements`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requirements {
    /// Bytes.
    pub size: u64,
    /// A power of two.
    pub alignment: u64,
    /// The memory types that may be bound.
    pub memory_type_bits: u32,
}

impl Model {
    /// Builds the model of a device from what it reports.
    pub fn new(limits: &vk::PhysicalDeviceLimits, memory_type_count: u32) -> Self {
        let offsets = [
            limits.min_texel_buffer_offset_alignment,
            limits.min_uniform_buffer_offset_alignment,
            limits.min_storage_buffer_offset_alignment,
        ];
        Self {
            offset_alignment: offsets.into_iter().max().unwrap_or(1).max(1),
            granularity: limits.buffer_image_granularity.max(1),
            memory_type_bits: bits(memory_type_count),
        }
    }

    /// Returns what the device would ask for a recorded resource; `None` where the rounded size exceeds 64 bits.
    pub fn requirements(&self, resource: &Resource) -> Option<Requirements> {
        let alignment = self.alignment(resource);
        let size = resource.size.checked_next_multiple_of(alignment)?;
        Some(Requirements { size, alignment, memory_type_bits: self.memory_type_bits })
    }

    fn alignment(&self, resource: &Resource) -> u64 {
        match resource.kind() {
            Kind::Buffer if is_read_by_shaders(&resource.shape) => self.offset_alignment.max(PLAIN_BUFFER_ALIGNMENT),
            Kind::Buffer => PLAIN_BUFFER_ALIGNMENT,
            Kind::ImageLinear => self.offset_alignment.max(LEAST_IMAGE_ALIGNMENT),
            Kind::ImageOptimal if resource.size >= LARGE_IMAGE.from => LARGE_IMAGE.alignment,
            Kind::ImageOptimal if resource.size >= MEDIUM_IMAGE.from => MEDIUM_IMAGE.alignment,
            Kind::ImageOptimal => self.granularity.clamp(LEAST_IMAGE_ALIGNMENT, MEDIUM_IMAGE.alignment),
        }
    }
}

/// Whether shaders see the buffer at an offset that the device restricts.
fn is_read_by_shaders(shape: &Shape) -> bool {
    let restricted = vk::BufferUsageFlags::UNIFORM_TEXEL_BUFFER
        | vk::BufferUsageFlags::STORAGE_TEXEL_BUFFER
        | vk::BufferUsageFlags::UNIFORM_BUFFER
        | vk::BufferUsageFlags::STORAGE_BUFFER;
    matches!(shape, Shape::Buffer { usage } if usage.intersects(restricted))
}

fn bits(count: u32) -> u32 {
    1_u32.checked_shl(count).map_or(u32::MAX, |next| next - 1)
}

#[cfg(test)]
mod tests {
    use super::{Model, Requirements, bits, vk};
    use crate::trace::{Operation, Resource, Trace};

    const HW: Model = Model { offset_alignment: 256, granularity: 1024, memory_type_bits: 0b111 };

    fn resource(kind: &str, size: u64, usage: &str, name: &str) -> Resource {
        let line = format!("0,0,0,alloc,0,{kind},{size},64,f,device,none,{usage},{name}");
        let trace = Trace::read_from(line.as_bytes(), "model.csv").expect("a good line");
        match trace.events.into_iter().next().map(|event| event.operation) {
            Some(Operation::Allocate(resource)) => resource,
            other => panic!("{other:?}"),
        }
    }

    fn asked(model: &Model, kind: &str, size: u64, usage: &str) -> (u64, u64) {
        let name = if kind == "buffer" { "" } else { "2d:R8_UNORM:1x1x1:m1:l1:s1" };
        let Requirements { size, alignment, .. } =
            model.requirements(&resource(kind, size, usage, name)).expect("fits");
        (size, alignment)
    }

    #[test]
    fn the_table_row_by_row() {
        for usage in ["4", "8", "10", "20", "13"] {
            assert_eq!(asked(&HW, "buffer", 257, usage), (512, 256), "usage {usage}");
        }
        assert_eq!(asked(&HW, "buffer", 17, "c3"), (32, 16));
        assert_eq!(asked(&HW, "image_linear", 1, "2"), (256, 256));
        assert_eq!(asked(&HW, "image_optimal", (16 << 10) - 1, "6"), (16 << 10, 1 << 10));
        assert_eq!(asked(&HW, "image_optimal", 16 << 10, "6"), (16 << 10, 4 << 10));
        assert_eq!(asked(&HW, "image_optimal", (256 << 10) - 1, "6"), (256 << 10, 4 << 10));
        assert_eq!(asked(&HW, "image_optimal", (256 << 10) + 1, "6"), (320 << 10, 64 << 10));
    }

    #[test]
    fn a_devices_own_alignments_count() {
        let fine = Model { offset_alignment: 4, granularity: 1, ..HW };
        assert_eq!(asked(&fine, "buffer", 17, "10"), (32, 16));
        assert_eq!(asked(&fine, "image_linear", 17, "2"), (256, 256));
        assert_eq!(asked(&fine, "image_optimal", 17, "6"), (256, 256));
        let coarse = Model { offset_alignment: 1024, granularity: 65536, ..HW };
        assert_eq!(asked(&coarse, "buffer", 17, "10"), (1024, 1024));
        assert_eq!(asked(&coarse, "image_linear", 17, "2"), (1024, 1024));
        assert_eq!(asked(&coarse, "image_optimal", 17, "6"), (4096, 4096));
    }

    #[test]
    fn a_size_beyond_64_bits_is_none() {
        assert_eq!(HW.requirements(&resource("buffer", u64::MAX, "10", "")), None);
    }

    #[test]
    fn built_from_limits() {
        let limits = vk::PhysicalDeviceLimits::default()
            .min_texel_buffer_offset_alignment(16)
            .min_uniform_buffer_offset_alignment(256)
            .min_storage_buffer_offset_alignment(32)
            .buffer_image_granularity(1024);
        assert_eq!(Model::new(&limits, 3), HW);
        assert_eq!(bits(0), 0);
        assert_eq!(bits(32), u32::MAX);
    }
}
