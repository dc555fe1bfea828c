//! *Policy*: who takes over whose bytes, and so which barriers the aliases need.
//!
//! The resources of a page are walked in the order of their first uses, over a map of who had each byte last. Only the
//! last owner counts: it has waited for those before it.
//!
//! ```text
//!   bytes   [ a  ][ a    ][ b     ]      c takes over from a and b; what is left of them stays theirs
//!                 [ c          ]
//! ```
//!
//! Bytes that nothing had before in this frame were had last by the previous frame's owners.

/// A resource whose bytes another takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Takeover {
    /// The number of the earlier resource, in the order of the requests.
    pub resource: usize,
    /// Its last use, which the later resource's first use must wait for.
    pub last_use: u32,
    /// The frame of that use.
    pub frame: TakeoverFrame,
}

/// Which frame's use a takeover waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TakeoverFrame {
    /// The same frame's.
    This,
    /// The previous frame's, for who submits frames without a wait between them; the resource may be the same one.
    Previous,
}

/// A resource's bytes in its page, and its life.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    pub resource: usize,
    pub offset: u64,
    pub end: u64,
    pub first_use: u32,
    pub last_use: u32,
}

/// Bytes with the extent that had them last.
#[derive(Clone, Copy, Debug)]
struct Owned {
    start: u64,
    end: u64,
    owner: usize,
}

/// Calls `found` with the resource that takes over, and what it takes over, for all of one page. The extents end up in
/// the order of their first uses.
pub(super) fn each_takeover(extents: &mut [Extent], mut found: impl FnMut(usize, Takeover)) {
    extents.sort_unstable_by_key(|extent| (extent.first_use, extent.resource));
    let mut owners: Vec<Owned> = Vec::with_capacity(extents.len());
    let mut fresh: Vec<Owned> = Vec::new();
    let (mut met, mut cut) = (Vec::new(), Vec::new());
    for (owner, extent) in extents.iter().enumerate() {
        meet(&owners, extent, &mut met);
        report(extents, owner, &met, TakeoverFrame::This, &mut found);
        gaps(extent, owner, &met, &mut fresh);
        take(&mut owners, extent, owner, &mut cut);
    }
    for &Owned { start, end, owner } in &fresh {
        let extent = Extent { offset: start, end, ..extents[owner] };
        meet(&owners, &extent, &mut met);
        report(extents, owner, &met, TakeoverFrame::Previous, &mut found);
    }
}

/// Collects who has bytes of an extent, by offset.
fn meet(owners: &[Owned], extent: &Extent, met: &mut Vec<Owned>) {
    let first = owners.partition_point(|owned| owned.end <= extent.offset);
    met.clear();
    met.extend(owners[first..].iter().take_while(|owned| owned.start < extent.end));
}

fn report(
    extents: &[Extent],
    taker: usize,
    met: &[Owned],
    frame: TakeoverFrame,
    found: &mut impl FnMut(usize, Takeover),
) {
    for (index, owned) in met.iter().enumerate() {
        if met[..index].iter().all(|other| other.owner != owned.owner) {
            let Extent { resource, last_use, .. } = extents[owned.owner];
            found(extents[taker].resource, Takeover { resource, last_use, frame });
        }
    }
}

/// Collects the bytes of an extent that nobody had.
fn gaps(extent: &Extent, owner: usize, met: &[Owned], fresh: &mut Vec<Owned>) {
    let mut start = extent.offset;
    for owned in met {
        if owned.start > start {
            fresh.push(Owned { start, end: owned.start, owner });
        }
        start = owned.end;
    }
    if start < extent.end {
        fresh.push(Owned { start, end: extent.end, owner });
    }
}

/// Makes an extent the owner of its bytes; others keep what lies outside.
fn take(owners: &mut Vec<Owned>, extent: &Extent, owner: usize, cut: &mut Vec<Owned>) {
    let first = owners.partition_point(|owned| owned.end <= extent.offset);
    let count = owners[first..].iter().take_while(|owned| owned.start < extent.end).count();
    cut.clear();
    cut.extend(
        owners[first..first + count]
            .first()
            .filter(|owned| owned.start < extent.offset)
            .map(|owned| Owned { end: extent.offset, ..*owned }),
    );
    cut.push(Owned { start: extent.offset, end: extent.end, owner });
    cut.extend(
        owners[first..first + count]
            .last()
            .filter(|owned| owned.end > extent.end)
            .map(|owned| Owned { start: extent.end, ..*owned }),
    );
    owners.splice(first..first + count, cut.drain(..));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takeovers(lives: &[(u64, u64, u32, u32)]) -> Vec<(usize, usize, TakeoverFrame)> {
        let extent =
            |(resource, &(offset, end, first_use, last_use))| Extent { resource, offset, end, first_use, last_use };
        let mut extents: Vec<Extent> = lives.iter().enumerate().map(extent).collect();
        let mut all = Vec::new();
        each_takeover(&mut extents, |taker, takeover| all.push((taker, takeover.resource, takeover.frame)));
        all.sort_unstable_by_key(|&(taker, resource, frame)| (taker, frame == TakeoverFrame::Previous, resource));
        all
    }

    #[test]
    fn only_the_last_owner_of_each_byte_counts() {
        use TakeoverFrame::{Previous, This};
        let found = takeovers(&[(0, 10, 0, 0), (0, 10, 1, 1), (0, 10, 2, 2)]);
        assert_eq!(found, [(0, 2, Previous), (1, 0, This), (2, 1, This)]);
    }

    #[test]
    fn what_is_left_of_an_owner_stays_its_own() {
        use TakeoverFrame::{Previous, This};
        // c lies over the end of a and the beginning of b; d over what is left of a.
        let found = takeovers(&[(0, 20, 0, 0), (20, 40, 0, 1), (10, 30, 2, 3), (0, 10, 3, 3)]);
        let expected = [
            (0, 2, Previous),
            (0, 3, Previous),
            (1, 1, Previous),
            (1, 2, Previous),
            (2, 0, This),
            (2, 1, This),
            (3, 0, This),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_hole_is_left_on_both_sides() {
        use TakeoverFrame::{Previous, This};
        let found = takeovers(&[(0, 30, 0, 0), (10, 20, 1, 1), (0, 30, 2, 2)]);
        assert_eq!(found, [(0, 2, Previous), (1, 0, This), (2, 0, This), (2, 1, This)]);
    }

    #[test]
    fn what_is_left_behind_a_hole_is_not_met_in_it() {
        use TakeoverFrame::{Previous, This};
        let found = takeovers(&[(0, 30, 0, 0), (10, 20, 1, 1), (10, 20, 2, 2)]);
        assert_eq!(found, [(0, 0, Previous), (0, 2, Previous), (1, 0, This), (2, 1, This)]);
    }

    #[test]
    fn the_previous_frame_had_only_what_nothing_had_in_this_one() {
        use TakeoverFrame::{Previous, This};
        let found = takeovers(&[(0, 10, 0, 0), (0, 20, 1, 1), (0, 10, 2, 2)]);
        assert_eq!(found, [(0, 2, Previous), (1, 0, This), (1, 1, Previous), (2, 1, This)]);
        let found = takeovers(&[(10, 20, 0, 0), (0, 20, 1, 1), (10, 20, 2, 2)]);
        assert_eq!(found, [(0, 2, Previous), (1, 0, This), (1, 1, Previous), (2, 1, This)]);
    }

    #[test]
    fn what_lies_across_an_end_is_not_met_behind_it() {
        use TakeoverFrame::{Previous, This};
        let found = takeovers(&[(0, 10, 0, 0), (0, 10, 1, 1), (5, 15, 2, 2)]);
        let expected = [(0, 1, Previous), (0, 2, Previous), (1, 0, This), (2, 1, This), (2, 2, Previous)];
        assert_eq!(found, expected);
    }

    #[test]
    fn alone_it_takes_over_from_its_own_last_frame() {
        assert_eq!(takeovers(&[(0, 10, 3, 4)]), [(0, 0, TakeoverFrame::Previous)]);
    }
}
