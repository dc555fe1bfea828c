//! Which memory objects are opened, which make way, and who is refused: what a reading of ladder, pools and plans found
//! wrong, each with the case that showed it.

mod common;

use common::{Rig, linear, mib, two_heaps};
use freestone::{Allocation, AllocationCreateInfo, DedicatedUse};

fn free_all(rig: &Rig, allocations: impl IntoIterator<Item = Allocation>) {
    allocations.into_iter().for_each(|allocation| rig.free(allocation).expect("it is alive"));
}

#[test]
fn dedicated_objects_and_names_are_bookkeeping_too() {
    let rig = Rig::new(two_heaps(mib(1024), mib(1024)));
    let info = AllocationCreateInfo::gpu_only().dedicated(DedicatedUse::Always);
    let host_bytes = || rig.detailed_statistics().host_bytes;
    let first = rig.allocate(&linear(256), &info).expect("there is memory");
    let with_one = host_bytes();
    let mut live: Vec<_> = (0..100).map(|_| rig.allocate(&linear(256), &info).expect("there is memory")).collect();
    let with_all = host_bytes();
    assert!(with_all - with_one >= 100 * 32, "{with_one}, then {with_all}");
    live.push(rig.allocate(&linear(256), &info.name("a name of twenty-six bytes")).expect("there is memory"));
    assert!(host_bytes() - with_all >= 26 + 32, "{with_all}, then {}", host_bytes());
    free_all(&rig, live);
    free_all(&rig, [first]);
    rig.finish();
}
