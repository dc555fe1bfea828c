//! *Policy*: which memory of the plan before serves the next one.

use super::plan::TransientPage;
use crate::pool::Kind;

/// Memory that is kept although a plan needs less: a half of it may be idle, but frames that come and go between two
/// sizes make no driver call. What is smaller than this is kept whatever it wastes.
const KEPT_HOWEVER_IDLE: u64 = 1 << 20;

/// What is known of memory that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub size: u64,
    /// In its memory object.
    pub offset: u64,
    pub memory_type_index: u32,
    pub kind: Kind,
    pub is_lazy: bool,
}

impl Kept {
    /// Returns whether it can hold a page, and wastes no more than it may.
    fn serves(&self, page: &TransientPage) -> bool {
        let need = &page.requirements;
        let is_allowed = need.memory_type_bits & (1 << self.memory_type_index) != 0;
        let holds = need.size <= self.size && self.offset.is_multiple_of(need.alignment);
        let is_tight = self.size <= KEPT_HOWEVER_IDLE.max(need.size.saturating_mul(2));
        is_allowed && holds && is_tight && self.kind == need.kind && self.is_lazy == page.is_lazy
    }
}

/// Returns for each page the number of the memory that serves it, the tightest first come: `None` where none does.
pub(super) fn assign(pages: &[TransientPage], kept: &[Kept]) -> Vec<Option<usize>> {
    let mut is_taken = vec![false; kept.len()];
    let mut assigned = Vec::with_capacity(pages.len());
    for page in pages {
        let free = (0..kept.len()).filter(|&number| !is_taken[number] && kept[number].serves(page));
        let tightest = free.min_by_key(|&number| (kept[number].size, number));
        if let Some(number) = tightest {
            is_taken[number] = true;
        }
        assigned.push(tightest);
    }
    assigned
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocator::{AllocationRequirements, DeviceAddress};
    use ash::vk;

    fn page(size: u64) -> TransientPage {
        let requirements = vk::MemoryRequirements { size, alignment: 256, memory_type_bits: 0b10 };
        let requirements = AllocationRequirements::new(requirements, Kind::NonLinear, DeviceAddress::NotNeeded);
        TransientPage { requirements, bound: size, is_lazy: false }
    }

    fn kept(size: u64) -> Kept {
        Kept { size, offset: 512, memory_type_index: 1, kind: Kind::NonLinear, is_lazy: false }
    }

    #[test]
    fn the_tightest_memory_serves() {
        let memory = [kept(8 << 20), kept(4 << 20), kept(5 << 20)];
        assert_eq!(assign(&[page(4 << 20), page(4 << 20), page(9 << 20)], &memory), [Some(1), Some(2), None]);
    }

    #[test]
    fn what_wastes_more_than_half_is_given_up() {
        assert_eq!(assign(&[page(3 << 20)], &[kept(6 << 20)]), [Some(0)]);
        assert_eq!(assign(&[page((3 << 20) - 1)], &[kept(6 << 20)]), [None]);
        assert_eq!(assign(&[page(1)], &[kept(1 << 20)]), [Some(0)], "too small to matter");
    }

    #[test]
    fn memory_of_another_sort_does_not_serve() {
        let sorts = [
            Kept { offset: 128, ..kept(1 << 20) },
            Kept { memory_type_index: 0, ..kept(1 << 20) },
            Kept { kind: Kind::Linear, ..kept(1 << 20) },
            Kept { is_lazy: true, ..kept(1 << 20) },
        ];
        assert_eq!(assign(&[page(1 << 20)], &sorts), [None]);
    }
}
