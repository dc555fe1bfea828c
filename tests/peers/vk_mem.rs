//! vk-mem: `gwihlidal/vk-mem-rs`. That handles are not copyable is a matter of `does_not_compile.md`.
//! That what is listed can be called, as its defragmentation cannot, is a matter of the lint `unnameable_types`.

use freestone::AllocationCreateInfo;
use freestone::sim::Profile;

use super::common::{Rig, linear, mib};
use super::{allocate, bytes_of, free_all, place};

/// No thread (found by reading): a handle is a pointer that may be copied, so that safe functions reach freed memory.
/// What a key says never changes while somebody holds it, whatever others do.
///
/// Seen to fail with: `MappedBase::at` that returns the block's first byte for every range.
#[test]
fn vk_mem_what_a_key_says_never_changes() {
    let rig = Rig::new(Profile::discrete_rebar());
    let info = AllocationCreateInfo::upload();
    let mut held: Vec<_> = (0..50_u8).map(|_| allocate(&rig, &linear(5000), &info)).collect();
    for (value, allocation) in (0..).zip(&mut held) {
        allocation.fill(0, 5000, value).expect("it is mapped");
    }
    let facts = |of: &[freestone::Allocation]| -> Vec<_> {
        of.iter().map(|one| (place(one), one.size(), one.mapped_ptr(), one.memory_type_index())).collect()
    };
    let before = facts(&held);
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let rig = &rig;
            scope.spawn(move || {
                for round in 0..200 {
                    free_all(rig, [allocate(rig, &linear((1 + round % 7) * mib(1) / 3 + thread), &info)]);
                    rig.trim();
                    rig.tick();
                }
            });
        }
    });
    assert_eq!(facts(&held), before);
    for (value, allocation) in (0..).zip(&held) {
        assert_eq!(bytes_of(allocation, 0, 5000), [value; 5000]);
    }
    free_all(&rig, held);
    rig.finish();
}
