//! *Policy*: whether bytes are written where they belong, or staged and copied.
//!
//! On unified memory and with a resizable BAR a target may be mapped; one write is then better than a write and a copy,
//! and nothing is recorded. A write in place needs no barrier either: what the host wrote before `vkQueueSubmit` is
//! visible to what is submitted (Vulkan specification, "Host Write Ordering Guarantees").
//!
//! Images are always staged. The host may touch a linear image in the layouts `PREINITIALIZED` and `GENERAL` only; one
//! that is to be sampled in another layout needs a command anyway, and one that stays in `GENERAL` is slower to use
//! than to copy. A resource that changes its queue family is staged too: the command that releases it is recorded with
//! the copy, and without it the acquisition would have no counterpart. And a write in place must not overtake a copy to
//! the same buffer that is recorded or in flight and runs later: that would have the last word.

/// How bytes get to their target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// They were written where they belong, and nothing was recorded.
    InPlace,
    /// They were written to staging memory, and copies were recorded.
    Staged,
}

/// What the choice depends on.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is one fact")]
pub(super) struct WayInput {
    /// Whether the caller lent the target's memory, and it is mapped.
    pub(super) is_mapped: bool,
    /// Whether the target is an image.
    pub(super) is_image: bool,
    /// Whether ownership is handed to another queue family.
    pub(super) changes_family: bool,
    /// Whether a part was staged already.
    pub(super) has_begun: bool,
    /// Whether copies to the same buffer are recorded or in flight.
    pub(super) has_copies: bool,
}

/// Chooses the way.
pub(super) fn choose(input: WayInput) -> Way {
    let must_be_recorded = input.is_image || input.changes_family || input.has_begun || input.has_copies;
    if input.is_mapped && !must_be_recorded { Way::InPlace } else { Way::Staged }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPPED_BUFFER: WayInput =
        WayInput { is_mapped: true, is_image: false, changes_family: false, has_begun: false, has_copies: false };

    #[test]
    fn only_a_mapped_buffer_that_stays_where_it_is_is_written_in_place() {
        assert_eq!(choose(MAPPED_BUFFER), Way::InPlace);
        assert_eq!(choose(WayInput { is_mapped: false, ..MAPPED_BUFFER }), Way::Staged);
        assert_eq!(choose(WayInput { is_image: true, ..MAPPED_BUFFER }), Way::Staged);
        assert_eq!(choose(WayInput { changes_family: true, ..MAPPED_BUFFER }), Way::Staged);
        assert_eq!(choose(WayInput { has_begun: true, ..MAPPED_BUFFER }), Way::Staged);
        assert_eq!(choose(WayInput { has_copies: true, ..MAPPED_BUFFER }), Way::Staged);
    }
}
