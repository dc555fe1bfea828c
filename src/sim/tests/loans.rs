//! Mapped bytes that are borrowed are watched over.

use super::super::{Profile, SimDevice};
use super::{allocate, free, map, rules};
use ash::vk;

fn mapped(sim: &SimDevice) -> vk::DeviceMemory {
    let memory = allocate(sim, 4096, 1).unwrap();
    map(sim, memory, 1024, 2048).unwrap();
    memory
}

fn unmap(sim: &SimDevice, memory: vk::DeviceMemory) {
    // SAFETY: the memory is mapped; whether bytes of it are borrowed is the driver's to find.
    unsafe { sim.device().unmap_memory(memory) };
}

#[test]
fn what_is_borrowed_is_neither_freed_nor_unmapped() {
    let sim = SimDevice::new(Profile::unified());
    let memory = mapped(&sim);
    let loan = sim.lend(memory, 1024..1040);
    assert_eq!(loan.range(), 1024..1040);
    unmap(&sim, memory);
    assert_eq!(rules(&sim), ["SIM-unmap-while-lent"]);
    free(&sim, memory);
    assert_eq!(rules(&sim), ["SIM-free-while-lent"]);
    drop(loan);
    let memory = mapped(&sim);
    drop(sim.lend(memory, 1024..1040));
    unmap(&sim, memory);
    free(&sim, memory);
    assert_eq!(sim.finish(), []);
}

#[test]
fn no_byte_is_borrowed_twice() {
    let sim = SimDevice::new(Profile::unified());
    let memory = mapped(&sim);
    let first = sim.lend(memory, 1100..1200);
    let neighbours = [sim.lend(memory, 1024..1100), sim.lend(memory, 1200..3072)];
    assert_eq!(rules(&sim), [""; 0]);
    let second = sim.lend(memory, 1199..1200);
    assert_eq!(rules(&sim), ["SIM-lent-twice"]);
    drop((first, second, neighbours));
    drop(sim.lend(memory, 1024..3072));
    free(&sim, memory);
    assert_eq!(sim.finish(), []);
}

#[test]
fn only_what_is_mapped_can_be_borrowed() {
    let sim = SimDevice::new(Profile::unified());
    let memory = mapped(&sim);
    drop(sim.lend(memory, 1023..1024));
    drop(sim.lend(memory, 3072..3073));
    assert_eq!(rules(&sim), ["SIM-loan-outside-mapping"; 2]);
    unmap(&sim, memory);
    drop(sim.lend(memory, 1024..1025));
    free(&sim, memory);
    drop(sim.lend(memory, 1024..1025));
    assert_eq!(rules(&sim), ["SIM-loan-outside-mapping"; 2]);
}
