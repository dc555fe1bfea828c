//! One line of a trace as plain data: what was made, or that it went away.

use ash::vk;

/// One line of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Line of the file, from 1, for messages.
    pub line: u64,
    /// Microseconds since the first event.
    pub time_us: u64,
    /// Frames (presents or submits, as the header says) so far.
    pub frame: u64,
    /// Number of the calling thread, in order of first appearance.
    pub thread: u32,
    /// Number of the allocation, never used twice.
    pub id: u64,
    /// What happened to it.
    pub operation: Operation,
}

/// What an event does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The resource was bound to memory.
    Allocate(Resource),
    /// The resource was destroyed, or its memory freed.
    Free,
}

/// A buffer or an image that had memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// `VkMemoryRequirements::size` on the recording driver, in bytes. For a buffer there: its own size.
    pub size: u64,
    /// `VkMemoryRequirements::alignment` on the recording driver, in bytes; a power of two.
    pub alignment: u64,
    /// The memory types the application was offered.
    pub memory_type_bits: u32,
    /// What sort of memory the application chose.
    pub class: Class,
    /// Who wanted memory of its own for it.
    pub dedicated: Dedicated,
    /// What it is.
    pub shape: Shape,
    /// The debug name, where the application set one.
    pub name: Option<String>,
    /// Whether its bytes were shared.
    pub sharing: Sharing,
}

impl Resource {
    /// Returns what the resource is as far as placement is concerned.
    pub fn kind(&self) -> Kind {
        match self.shape {
            Shape::Buffer { .. } => Kind::Buffer,
            Shape::Image { is_linear: true, .. } => Kind::ImageLinear,
            Shape::Image { is_linear: false, .. } => Kind::ImageOptimal,
        }
    }
}

/// What a resource is, with what is needed to make one like it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A buffer of [`Resource::size`] bytes.
    Buffer {
        /// The usages; those of several buffers in the same bytes are merged.
        usage: vk::BufferUsageFlags,
    },
    /// An image.
    Image {
        /// Whether the tiling is linear (else optimal).
        is_linear: bool,
        /// The usages.
        usage: vk::ImageUsageFlags,
        /// Dimension, format and extents.
        description: ImageDescription,
    },
}

/// The kinds of resource that a trace tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A buffer.
    Buffer,
    /// An image of linear tiling.
    ImageLinear,
    /// An image of optimal tiling.
    ImageOptimal,
}

impl Kind {
    /// Returns the word used in traces.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Buffer => "buffer",
            Self::ImageLinear => "image_linear",
            Self::ImageOptimal => "image_optimal",
        }
    }
}

/// What sort of memory the application chose, by the property flags of its memory type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Device-local and not host-visible. A replay asks for the intent `gpu_only`.
    Device,
    /// Host-visible and coherent. A replay asks for the intent `upload`.
    Upload,
    /// Device-local, host-visible and coherent. A replay asks for the intent `stream`.
    DeviceUpload,
    /// Host-visible, coherent and cached. A replay asks for the intent `readback`.
    Readback,
}

impl Class {
    /// Every class, in the order of the memory types the applications were offered.
    pub const ALL: [Self; 4] = [Self::Device, Self::Upload, Self::DeviceUpload, Self::Readback];

    /// Returns the word used in traces.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Upload => "upload",
            Self::DeviceUpload => "device_upload",
            Self::Readback => "readback",
        }
    }

    /// Returns the name of the intent that a replay asks for: the user's word for what the class was chosen for.
    pub fn intent_name(self) -> &'static str {
        match self {
            Self::Device => "gpu_only",
            Self::Upload => "upload",
            Self::DeviceUpload => "stream",
            Self::Readback => "readback",
        }
    }
}

/// Who wanted a device-memory object for this resource alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dedicated {
    /// Nobody.
    None,
    /// The driver preferred it.
    Prefers,
    /// The driver required it.
    Requires,
    /// The application chained `VkMemoryDedicatedAllocateInfo` of its own accord.
    App,
}

/// Whether a resource's bytes were anybody else's too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sharing {
    /// Partly overlapped another live resource.
    pub is_alias: bool,
    /// Lay in imported memory.
    pub is_import: bool,
    /// Lay in memory that could be exported.
    pub is_export: bool,
}

/// What is needed to make an image like the recorded one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageDescription {
    /// One, two or three dimensions.
    pub dimension: Dimension,
    /// The format.
    pub format: vk::Format,
    /// Width, height and depth in texels, each at least 1.
    pub extent: Extent,
    /// Number of mip levels, at least 1.
    pub mip_levels: u32,
    /// Number of array layers, at least 1.
    pub array_layers: u32,
    /// Samples per texel, exactly one bit.
    pub samples: vk::SampleCountFlags,
}

/// Number of an image's dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dimension {
    /// A line of texels.
    One,
    /// A plane of texels.
    Two,
    /// A volume of texels.
    Three,
}

/// Size of an image in texels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Extent {
    /// Texels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Planes.
    pub depth: u32,
}
