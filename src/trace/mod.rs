//! Recorded workloads: which buffers and images an application had, and when.
//!
//! ```text
//!   NAME.csv[.zst] ──reader──> lines ──parse──> Event ──reader──> Trace   (checked: see I1 to I4)
//!   NAME.stats.json ──stats──> Statistics           what the application's own allocator reserved
//!   Resource + Model ──model──> Requirements        what a simulated device would ask for
//! ```
//!
//! # Format
//!
//! Text, one event a line, usually under Zstandard (`.zst`). Lines that begin with `#` are the header; the first
//! one is `# freestone-trace 1`, others are `# key: value`. Every other line has these columns, comma-separated:
//!
//! `time_us,frame,thread,op,id,kind,size,alignment,memory_type_bits,class,dedicated,usage,name`
//!
//! | column | meaning |
//! |---|---|
//! | `time_us` | microseconds since the first event |
//! | `frame` | presents (or submits: the header says which) so far |
//! | `thread` | small number of the calling thread |
//! | `op` | `alloc`: the resource was bound to memory; `free`: it went away. A `free` line ends after `id` |
//! | `id` | number of the allocation; never used twice |
//! | `kind` | `buffer`, `image_linear`, `image_optimal` |
//! | `size`, `alignment` | the recording driver's `VkMemoryRequirements` |
//! | `memory_type_bits` | hexadecimal |
//! | `class` | `device`, `upload`, `device_upload`, `readback`: see [`Class`] |
//! | `dedicated` | `none`, `prefers`, `requires` (the driver), `app` (the application's choice) |
//! | `usage` | `VkBufferUsageFlags` or `VkImageUsageFlags`, hexadecimal |
//! | `name` | images: `dimension:format:WxHxD:mMIPS:lLAYERS:sSAMPLES` first; then, each after a `;`, a debug name of at most 1024 bytes and any of `alias`, `import`, `export`. Buffers: the debug name and the flags |
//!
//! A format is Vulkan's name for it without `VK_FORMAT_` (and, if one likes, without the endings `_PACK8`,
//! `_PACK16`, `_PACK32` and `_BLOCK`), or `formatN` by its number.
//!
//! # Invariants of a [`Trace`]
//!
//! * I1: an id is allocated once, and freed at most once, later.
//! * I2: every size is at least 1, every alignment a power of two.
//! * I3: extents, mip levels, layers and samples of images are at least 1.
//! * I4: events are in the file's order; each knows its line.
//!
//! What is not checked is what only a driver can know: whether a usage goes with a format, say.
#![forbid(unsafe_code)]

mod error;
mod event;
mod format;
mod model;
mod parse;
mod reader;
mod stats;

pub use error::{Problem, TraceError};
pub use event::{
    Class, Dedicated, Dimension, Event, Extent, ImageDescription, Kind, Operation, Resource, Shape, Sharing,
};
pub use format::{format_from_name, format_name};
pub use model::{Model, Requirements};
pub use reader::{Header, Reader, Trace};
pub use stats::{AppMemory, Statistics};
