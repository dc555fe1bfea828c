//! *Policy*: a shared block, an own block, or a dedicated allocation.
//!
//! ```text
//!   driver requires, or the caller asks ........................ dedicated (info attached, exact size)
//!   driver prefers, from 1 MiB, and nothing aliases ............ dedicated, else as below
//!   lazily allocated memory, or all blocks are too small ....... memory of its own, never shared
//!   from max(4 MiB, live / 16), or above half the growth cap ... own block
//!   everything else ............................................ shared block
//! ```
//!
//! Pure functions of plain data. An *own block* is opened exactly as large as the resource and is a block like any
//! other afterwards; a *dedicated* allocation belongs to one resource and goes back with it.

use crate::device::DedicatedPreference;

/// From this size a resource may get a block of its own, in bytes. 2 or 8 MiB instead cost 30 driver calls, or 1 %
/// of memory, on the recorded applications.
pub(crate) const OWN_BLOCK_FROM: u64 = 4 << 20;
/// From this share (1/n) of what is live a resource gets a block of its own.
const OWN_BLOCK_SHARE: u64 = 16;
/// From this size the driver's preference for a dedicated allocation is followed, in bytes. Below it the driver
/// object costs more than it buys (the Khronos best-practices layer warns below the same size).
pub(crate) const DEDICATED_FROM: u64 = 1 << 20;

/// What the caller says about a dedicated allocation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DedicatedUse {
    /// Dedicated where the driver requires it, or prefers it for a large resource.
    #[default]
    Auto,
    /// Always dedicated.
    Always,
    /// Never dedicated; an error where the driver requires it. What no block can hold has a memory object of its own
    /// all the same, but is not tied to it: lazily allocated memory, and what only the largest object of all just
    /// holds.
    Never,
}

/// Where a resource is placed once no existing block has room, or before that where it must not share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Strategy {
    /// A range of a block that others share.
    Shared,
    /// A block exactly as large as the resource.
    OwnBlock,
    /// A memory object for this resource alone; `is_required` where sharing is no alternative.
    Dedicated { is_required: bool },
}

/// What the choice depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlacementInput {
    /// Bytes asked for.
    pub size: u64,
    /// Bytes alive in the pool, this request counted.
    pub live_bytes: u64,
    /// The cap of the pool's growth, in bytes. Where much is live shared blocks are larger, up to four times the cap;
    /// the border for own blocks does not move with them.
    pub block_cap: u64,
    /// What the driver says.
    pub driver: DedicatedPreference,
    /// What the caller says.
    pub caller: DedicatedUse,
    /// Whether no block serves: the memory type is lazily allocated, or the largest block is a little too small.
    pub must_be_alone: bool,
    /// Whether the pool may open blocks for one large resource.
    pub may_own: bool,
}

/// Chooses where a resource goes.
pub(crate) fn choose(input: &PlacementInput) -> Strategy {
    let is_required = input.driver == DedicatedPreference::Required || input.caller == DedicatedUse::Always;
    if is_required || input.must_be_alone {
        return Strategy::Dedicated { is_required: true };
    }
    let may_be_dedicated = input.caller == DedicatedUse::Auto && input.may_own;
    if may_be_dedicated && input.driver == DedicatedPreference::Preferred && input.size >= DEDICATED_FROM {
        return Strategy::Dedicated { is_required: false };
    }
    large_or_shared(input)
}

/// Chooses between the two kinds of block.
pub(crate) fn large_or_shared(input: &PlacementInput) -> Strategy {
    let is_large = input.size >= OWN_BLOCK_FROM.max(input.live_bytes / OWN_BLOCK_SHARE);
    if input.may_own && (is_large || input.size > input.block_cap / 2) {
        return Strategy::OwnBlock;
    }
    Strategy::Shared
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn input(size: u64) -> PlacementInput {
        PlacementInput {
            size,
            live_bytes: size,
            block_cap: 64 * MIB,
            driver: DedicatedPreference::None,
            caller: DedicatedUse::Auto,
            must_be_alone: false,
            may_own: true,
        }
    }

    #[test]
    fn small_resources_share() {
        assert_eq!(choose(&input(256)), Strategy::Shared);
        assert_eq!(choose(&input(4 * MIB - 1)), Strategy::Shared);
    }

    #[test]
    fn large_resources_own_their_block() {
        assert_eq!(choose(&input(4 * MIB)), Strategy::OwnBlock);
        let among_many = PlacementInput { live_bytes: 1 << 30, ..input(5 * MIB) };
        assert_eq!(choose(&among_many), Strategy::Shared);
        let half_the_cap = PlacementInput { live_bytes: 1 << 30, ..input(32 * MIB) };
        assert_eq!(choose(&half_the_cap), Strategy::Shared);
        let above_half_the_cap = PlacementInput { live_bytes: 1 << 30, ..input(33 * MIB) };
        assert_eq!(choose(&above_half_the_cap), Strategy::OwnBlock);
    }

    #[test]
    fn a_preference_of_the_driver_counts_from_one_mebibyte() {
        let preferred = |size| PlacementInput { driver: DedicatedPreference::Preferred, ..input(size) };
        assert_eq!(choose(&preferred(MIB - 1)), Strategy::Shared);
        assert_eq!(choose(&preferred(MIB)), Strategy::Dedicated { is_required: false });
        let refused = PlacementInput { caller: DedicatedUse::Never, ..preferred(MIB) };
        assert_eq!(choose(&refused), Strategy::Shared);
    }

    #[test]
    fn a_requirement_always_counts() {
        let required = PlacementInput { driver: DedicatedPreference::Required, ..input(16) };
        assert_eq!(choose(&required), Strategy::Dedicated { is_required: true });
        let asked = PlacementInput { caller: DedicatedUse::Always, ..input(16) };
        assert_eq!(choose(&asked), Strategy::Dedicated { is_required: true });
        let alone = PlacementInput { must_be_alone: true, ..input(16) };
        assert_eq!(choose(&alone), Strategy::Dedicated { is_required: true });
    }

    #[test]
    fn a_pool_of_fixed_blocks_never_opens_others() {
        assert_eq!(choose(&PlacementInput { may_own: false, ..input(40 * MIB) }), Strategy::Shared);
    }
}
