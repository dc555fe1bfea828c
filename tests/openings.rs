//! Which memory objects are opened, which make way, and who is refused: what a reading of ladder, pools and plans found
//! wrong, each with the case that showed it.

mod common;

use common::{Rig, linear, mib, two_heaps};
use freestone::sim::KIB;
use freestone::{Allocation, AllocationCreateInfo, DedicatedUse, Intent};

fn free_all(rig: &Rig, allocations: impl IntoIterator<Item = Allocation>) {
    allocations.into_iter().for_each(|allocation| rig.free(allocation).expect("it is alive"));
}

#[test]
fn a_plan_and_limits_leave_the_slots_where_they_are() {
    let rig = Rig::new(two_heaps(mib(1024), mib(1024)));
    let info = AllocationCreateInfo::gpu_only();
    let [live, small] = [512 * KIB, 256].map(|size| rig.allocate(&linear(size), &info).expect("there is memory"));
    free_all(&rig, [small]);
    rig.prewarm(Intent::GpuOnly, mib(8)).expect("there is memory");
    let before = rig.detailed_statistics();
    assert!(before.ranges.free_slot_count > 0, "slots are kept");
    rig.plan(&linear(mib(100)), &info).expect("there is memory");
    assert_eq!(rig.detailed_statistics().ranges, before.ranges, "a plan changes nothing");
    rig.limits(Intent::GpuOnly).expect("there is a type");
    assert_eq!(rig.detailed_statistics().ranges, before.ranges, "limits change nothing");
    free_all(&rig, [live]);
    rig.finish();
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
