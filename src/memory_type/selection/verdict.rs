//! What became of each memory type in a request, and why: for errors and reports.

use core::fmt;

use ash::vk::MemoryPropertyFlags as Flags;

/// Why a memory type cannot serve a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejection {
    /// It points to a heap that does not exist or is empty.
    NoHeap {
        /// The heap that it names.
        heap_index: u32,
    },
    /// It has flags that this crate does not know, so that their rules may not be met.
    UnknownFlags(Flags),
    /// It has flags that need a feature that was not declared.
    FeatureNotDeclared {
        /// The flags.
        flags: Flags,
        /// The feature.
        feature: &'static str,
    },
    /// It has flags that nothing in the request asks for, and that change how memory must be used.
    NotAskedFor(Flags),
    /// The resource may not lie in it (its bit is not in `memoryTypeBits`).
    NotInMemoryTypeBits,
    /// It lacks these required flags.
    Lacks(Flags),
}

/// What became of one memory type in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It is a candidate.
    Candidate {
        /// Its place in the order; 0 is the best.
        rank: u32,
        /// Flags that were wished for and that it lacks.
        lacking: Flags,
        /// Flags that it has and that were to be avoided.
        unwelcome: Flags,
        /// Whether it is taken from the small heap that host and device both reach, and the intent would rather not.
        is_precious: bool,
    },
    /// It is none.
    Rejected(Rejection),
}

/// What became of a memory type in a request, for reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TypeVerdict {
    /// The memory type.
    pub memory_type_index: u32,
    /// Whether and where it stands in the order.
    pub verdict: Verdict,
}

impl fmt::Display for TypeVerdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "type {} ", self.memory_type_index)?;
        match &self.verdict {
            Verdict::Candidate { rank, .. } => write!(formatter, "is choice {}", rank + 1),
            Verdict::Rejected(rejection) => rejection.fmt(formatter),
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHeap { heap_index } => {
                write!(formatter, "is of heap {heap_index}, which does not exist or is empty")
            }
            Self::UnknownFlags(flags) => write!(formatter, "has unknown flags {flags:?}"),
            Self::FeatureNotDeclared { flags, feature } => {
                write!(formatter, "is {flags:?}, and {feature} was not declared")
            }
            Self::NotAskedFor(flags) => write!(formatter, "is {flags:?}, which was not asked for"),
            Self::NotInMemoryTypeBits => formatter.write_str("is not allowed for the resource"),
            Self::Lacks(flags) => write!(formatter, "lacks {flags:?}"),
        }
    }
}
