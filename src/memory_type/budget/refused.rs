//! Why the budget refuses a reservation.

/// Why bytes or an object were not granted. All numbers are bytes unless they say otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The driver's budget for the heap would be exceeded. Free something, or ask without keeping to the budget.
    #[error(
        "heap {heap_index}{}: {asked} bytes asked, {} left of the budget of {budget} ({usage} in use)",
        locality(*is_device_local), budget.saturating_sub(*usage)
    )]
    OverBudget {
        /// The heap.
        heap_index: u32,
        /// Whether it is local to the device.
        is_device_local: bool,
        /// How much was asked for.
        asked: u64,
        /// How much the process uses.
        usage: u64,
        /// How much it may use.
        budget: u64,
    },
    /// The user's own limit for the heap would be exceeded. Free something, or raise the limit.
    #[error(
        "heap {heap_index}{}: {asked} bytes asked, {} left of the user's limit of {limit} ({usage} in use)",
        locality(*is_device_local), limit.saturating_sub(*usage)
    )]
    OverLimit {
        /// The heap.
        heap_index: u32,
        /// Whether it is local to the device.
        is_device_local: bool,
        /// How much was asked for.
        asked: u64,
        /// How much the process uses.
        usage: u64,
        /// How much it may use.
        limit: u64,
    },
    /// The heap itself is too small, or the part of a small BAR heap that may be used. Free something, or accept other
    /// memory types.
    #[error(
        "heap {heap_index}{}: {asked} bytes asked, {} left of the {cap} that can be taken ({own} held)",
        locality(*is_device_local), cap.saturating_sub(*own)
    )]
    OverHeap {
        /// The heap.
        heap_index: u32,
        /// Whether it is local to the device.
        is_device_local: bool,
        /// How much was asked for.
        asked: u64,
        /// How much the allocator holds.
        own: u64,
        /// How much it can hold: the heap's size, or 7/8 of a small BAR heap.
        cap: u64,
    },
    /// The device allows no more memory objects. Free some, or use larger blocks.
    #[error(
        "{count} memory objects are held, of at most {max} (a sixteenth of what the device allows is left to others)"
    )]
    TooManyObjects {
        /// How many memory objects the allocator holds.
        count: u32,
        /// How many it may hold.
        max: u32,
    },
}

/// Writes whether a heap is local, for messages.
fn locality(is_device_local: bool) -> &'static str {
    if is_device_local { " (device-local)" } else { "" }
}
