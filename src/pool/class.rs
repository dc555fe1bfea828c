//! What separates pools of one memory type: blocks of different classes never mix.

use core::fmt;

/// Whether a resource's bytes lie in rows or in a layout of the driver's own (`bufferImageGranularity`).
///
/// # Source
/// Vulkan specification, section 12.7 "Resource Memory Association", "Buffer-Image Granularity".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A buffer, or an image with linear tiling.
    Linear,
    /// An image with optimal tiling. Where what is allocated for may be of either kind (DRM format modifiers, video
    /// sessions), say this and [`DedicatedUse::Always`](crate::DedicatedUse::Always): then it shares a page with
    /// neither.
    NonLinear,
}

/// The priority of a pool's blocks in 1/255, for `VK_EXT_memory_priority`; the default is 0.5, as the extension's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemoryPriority(u8);

impl MemoryPriority {
    /// Rounds a priority from 0 (may be moved out of device memory first) to 1 to a step of 1/255.
    ///
    /// Values outside are clamped; a value that is no number is the default.
    #[must_use]
    pub fn new(priority: f32) -> Self {
        if priority.is_nan() {
            return Self::default();
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=255 before")]
        Self((priority.clamp(0.0, 1.0) * 255.0).round() as u8)
    }

    /// Returns the priority as a number from 0 to 1.
    pub fn value(self) -> f32 {
        f32::from(self.0) / 255.0
    }
}

impl Default for MemoryPriority {
    fn default() -> Self {
        Self(128)
    }
}

impl fmt::Debug for MemoryPriority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryPriority({:.2})", self.value())
    }
}

/// How long what lies in a block stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Lifetime {
    /// Nobody has said.
    #[default]
    Any,
    /// Not long: its owner says so.
    Short,
}

/// The properties in which all blocks of a pool agree, beside the memory type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct BlockClass {
    /// Blocks carry `VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT`.
    pub device_address: bool,
    /// Blocks carry this priority, where `VK_EXT_memory_priority` is declared.
    pub priority: MemoryPriority,
    /// Blocks hold only what stays so long.
    pub lifetime: Lifetime,
    /// Blocks hold one kind of resource only, where the granularity is too large for rounding.
    pub kind: Option<Kind>,
}
