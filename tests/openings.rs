//! Which memory objects are opened, which make way, and who is refused: what a reading of ladder, pools and plans found
//! wrong, each with the case that showed it.

mod common;

use std::thread;
use std::time::Duration;

use ash::vk;
use common::{Rig, buffer_info, linear, mib, two_heaps};
use freestone::sim::Function;
use freestone::{Allocation, AllocationCreateInfo};

const REFUSED: vk::Result = vk::Result::ERROR_OUT_OF_DEVICE_MEMORY;
/// Only a test that fails waits so long.
const HANG: Duration = Duration::from_secs(20);

fn free_all(rig: &Rig, allocations: impl IntoIterator<Item = Allocation>) {
    allocations.into_iter().for_each(|allocation| rig.free(allocation).expect("it is alive"));
}

/// Other threads free all else while a creation is about to fail: what it takes back is the last.
#[test]
fn an_allocator_that_a_failed_creation_leaves_idle_rests() {
    let rig = Rig::new(two_heaps(mib(1024), mib(1024)));
    let info = AllocationCreateInfo::gpu_only();
    let others = [256, mib(20)].map(|size| rig.allocate(&linear(size), &info).expect("there is memory"));
    rig.control().fail_nth_of(Function::BindBufferMemory, 1, REFUSED);
    thread::scope(|scope| {
        let gate = rig.control().block(Function::BindBufferMemory);
        // SAFETY: the create-info is valid; nothing is submitted.
        let worker = scope.spawn(|| unsafe { rig.create_buffer(&buffer_info(256), &info) });
        assert!(gate.wait_for_arrivals(1, HANG), "it has memory and binds it");
        free_all(&rig, others);
        gate.open();
        let made = worker.join().expect("no panic");
        assert!(made.is_err(), "the driver does not bind: {made:?}");
    });
    assert_eq!(rig.statistics().total.reserved_bytes(), mib(1), "one small block is kept");
    rig.finish();
}
