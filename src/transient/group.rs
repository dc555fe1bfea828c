//! *Policy*: which resources may share a page of memory, by the memory types that they allow.
//!
//! A page lies in one memory type, so those that share it must all allow that type. The more share, the more bytes are
//! taken over; but nothing is drawn into a worse memory type than it would get alone. The narrowest masks choose first,
//! since the others can follow them.

/// Returns the group of each mask, and the types that all masks of a group allow.
///
/// `best` ranks: it returns the type that would be taken of a mask's; groups are joined where it says the same of the
/// group, of the mask, and of what both allow.
pub(super) fn group(masks: &[u32], best: impl Fn(u32) -> Option<u32>) -> (Vec<usize>, Vec<u32>) {
    let mut distinct = masks.to_vec();
    distinct.sort_unstable_by_key(|&mask| (mask.count_ones(), mask));
    distinct.dedup();
    let mut groups: Vec<u32> = Vec::new();
    let mut homes = Vec::with_capacity(distinct.len());
    for &mask in &distinct {
        let joins = |&common: &u32| {
            let both = common & mask;
            both != 0 && best(both) == best(mask) && best(both) == best(common)
        };
        let home = groups.iter().position(joins).unwrap_or(groups.len());
        match groups.get_mut(home) {
            Some(common) => *common &= mask,
            None => groups.push(mask),
        }
        homes.push(home);
    }
    let home_of = |mask| distinct.iter().position(|other| other == mask).map_or(0, |index| homes[index]);
    (masks.iter().map(home_of).collect(), groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_with_a_type_in_common_share() {
        let any = |mask: u32| (mask != 0).then_some(0);
        assert_eq!(group(&[0b0111, 0b0011, 0b1000, 0b0111], any), (vec![1, 1, 0, 1], vec![0b1000, 0b0011]));
        assert_eq!(group(&[], any), (vec![], vec![]));
    }

    #[test]
    fn nothing_is_drawn_into_a_worse_type() {
        // Type 0 is the best, where it is allowed.
        let lowest = |mask: u32| (mask != 0).then(|| mask.trailing_zeros());
        assert_eq!(group(&[0b11, 0b10], lowest), (vec![1, 0], vec![0b10, 0b11]));
        assert_eq!(group(&[0b11, 0b01], lowest), (vec![0, 0], vec![0b01]));
    }
}
