//! *Policy*: what the user is going to do with memory, and what that asks of a memory type.
//!
//! Each intent is a row of data: flags without which it cannot be served, and wishes in falling order of weight. A type
//! that fulfils an earlier wish beats every type that does not, whatever the later wishes say; so the order below *is*
//! the policy, and there are no weights to balance.

use core::fmt;

use ash::vk::MemoryPropertyFlags as Flags;

/// What memory is for. It chooses the memory type; flags can be added to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Intent {
    /// Only the device touches it: textures, attachments, vertex buffers. Local memory; not the small part of it that
    /// the host can see.
    GpuOnly,
    /// Written once by the host, in order, and copied from by the device: staging. Visible memory off the device,
    /// coherent, not cached (such writes are combined).
    Upload,
    /// Written by the host each frame and read by the device where it lies: uniforms, particles. Local visible memory
    /// where there is some, else any visible memory.
    Stream,
    /// Written by the device and read by the host. Cached, if there is such a type: reading other memory is far slower.
    Readback,
    /// Attachments that live within a render pass. Lazily allocated where it exists, else as [`Intent::GpuOnly`].
    Transient,
}

/// One thing that an intent would like of a memory type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// The type should have these flags.
    Has(Flags),
    /// The type should not have these flags: they would waste something precious, or slow the intended use.
    Lacks(Flags),
    /// The type should not be taken from the small heap that host and device both reach.
    OutsideSmallBar,
}

/// What an intent asks of a memory type.
#[derive(Clone, Copy, Debug)]
pub(super) struct Preferences {
    /// A type without these is no candidate.
    pub(super) required: Flags,
    /// The wishes, the weightiest first.
    pub(super) wishes: &'static [Wish],
    /// Flags that make a type unsuitable unless asked for, and that this intent does ask for.
    pub(super) welcome: Flags,
}

impl Intent {
    /// All intents, in the order of their declaration.
    pub const ALL: [Self; 5] = [Self::GpuOnly, Self::Upload, Self::Stream, Self::Readback, Self::Transient];

    /// Returns what it asks of a memory type.
    pub(super) fn preferences(self) -> Preferences {
        let none = Flags::empty();
        match self {
            Self::GpuOnly => Preferences { required: none, wishes: GPU_ONLY, welcome: none },
            Self::Upload => Preferences { required: Flags::HOST_VISIBLE, wishes: UPLOAD, welcome: none },
            Self::Stream => Preferences { required: Flags::HOST_VISIBLE, wishes: STREAM, welcome: none },
            Self::Readback => Preferences { required: Flags::HOST_VISIBLE, wishes: READBACK, welcome: none },
            Self::Transient => Preferences { required: none, wishes: TRANSIENT, welcome: Flags::LAZILY_ALLOCATED },
        }
    }

    /// Returns whether the host must be able to reach the memory.
    pub fn needs_host_access(self) -> bool {
        self.preferences().required.contains(Flags::HOST_VISIBLE)
    }
}

impl fmt::Display for Intent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::GpuOnly => "gpu_only",
            Self::Upload => "upload",
            Self::Stream => "stream",
            Self::Readback => "readback",
            Self::Transient => "transient",
        })
    }
}

/// A full device spills to system memory before it floods the small BAR, which is kept for `stream`. Visible memory
/// costs nothing here, but a driver that offers hidden memory has a reason to.
const GPU_ONLY: &[Wish] = &[Wish::OutsideSmallBar, Wish::Has(Flags::DEVICE_LOCAL), Wish::Lacks(Flags::HOST_VISIBLE)];

/// Staging that lies in local memory takes it from what needs it. Coherent before uncached: a flush for each write
/// costs more than a cache that is not read.
const UPLOAD: &[Wish] = &[
    Wish::OutsideSmallBar,
    Wish::Lacks(Flags::DEVICE_LOCAL),
    Wish::Has(Flags::HOST_COHERENT),
    Wish::Lacks(Flags::HOST_CACHED),
];

/// The one intent that the small BAR is for; the budget keeps its last part free.
const STREAM: &[Wish] =
    &[Wish::Has(Flags::DEVICE_LOCAL), Wish::Has(Flags::HOST_COHERENT), Wish::Lacks(Flags::HOST_CACHED)];

/// Cached without coherent beats coherent without cached: an invalidate is cheap beside uncached reads. Never required:
/// there are devices without a cached type.
const READBACK: &[Wish] = &[
    Wish::OutsideSmallBar,
    Wish::Has(Flags::HOST_CACHED),
    Wish::Has(Flags::HOST_COHERENT),
    Wish::Lacks(Flags::DEVICE_LOCAL),
];

/// As `GPU_ONLY`, behind lazily allocated memory.
const TRANSIENT: &[Wish] = &[
    Wish::Has(Flags::LAZILY_ALLOCATED),
    Wish::OutsideSmallBar,
    Wish::Has(Flags::DEVICE_LOCAL),
    Wish::Lacks(Flags::HOST_VISIBLE),
];
