//! Lets the nth driver call of an operation fail, for all n and with every result that the call may have.

use ash::vk;
use freestone::sim::Profile;
use freestone::{Allocation, AllocationCreateInfo, CustomPool};

use super::{Rig, State, every_device, linear, mib, state_of};

/// What an operation yields, to be undone.
#[derive(Default)]
pub(crate) struct Made {
    pub(crate) allocations: Vec<Allocation>,
    pub(crate) buffers: Vec<vk::Buffer>,
    pub(crate) images: Vec<vk::Image>,
    pub(crate) pools: Vec<CustomPool>,
    /// Memory was opened for later: only a trim gives it back.
    pub(crate) is_kept: bool,
}

impl Made {
    pub(crate) fn of(allocations: Vec<Allocation>) -> Self {
        Self { allocations, ..Self::default() }
    }

    pub(crate) fn undo(self, rig: &Rig) {
        for buffer in self.buffers {
            // SAFETY: the GPU has never seen it.
            unsafe { rig.vulkan.device().destroy_buffer(buffer, None) };
        }
        for image in self.images {
            // SAFETY: the GPU has never seen it.
            unsafe { rig.vulkan.device().destroy_image(image, None) };
        }
        for allocation in self.allocations {
            rig.free(allocation).expect("it is alive");
        }
        for pool in self.pools {
            rig.destroy_pool(pool).expect("nothing of it is alive");
        }
        if self.is_kept {
            rig.trim();
        }
    }
}

pub(crate) type Operation<'a> = &'a dyn Fn(&Rig) -> Result<Made, String>;

/// How often an operation failed and how often it got by.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) failed: u32,
    pub(crate) survived: u32,
}

/// What is compared: everything but the numbers of what was ever made, which an operation that got by has raised.
fn without_history(mut state: State) -> State {
    state.forget_history();
    state
}

/// Lets the nth call fail, for all n and all results, until the operation has no nth call.
#[track_caller]
pub(crate) fn fail_each_call(rig: &Rig, operation: Operation<'_>) -> Tally {
    let mut tally = Tally::default();
    let fired = rig.control().faults_fired().len();
    for n in 1.. {
        let results = results_of_call(rig, n, operation);
        if results.is_empty() {
            break;
        }
        for result in results {
            let before = state_of(rig);
            rig.control().fail_nth(n, result);
            let outcome = operation(rig);
            rig.control().clear_faults();
            let what = format!("call {n} answers {result:?}");
            match outcome {
                Err(error) => {
                    tally.failed += 1;
                    assert_eq!(state_of(rig), before, "{what}: {error}");
                }
                Ok(made) => {
                    tally.survived += 1;
                    made.undo(rig);
                    rig.trim();
                    assert_eq!(without_history(state_of(rig)), without_history(before), "{what}, which was survived");
                }
            }
            rig.control().assert_clean();
            rig.validate().unwrap_or_else(|violation| panic!("{what}: {violation}"));
            let again = operation(rig).unwrap_or_else(|error| panic!("{what}, once; the second time: {error}"));
            again.undo(rig);
            rig.trim();
        }
    }
    assert_eq!(
        rig.control().faults_fired().len() - fired,
        (tally.failed + tally.survived) as usize,
        "each failure happened"
    );
    eprintln!("calls failed: {} reported, {} got by", tally.failed, tally.survived);
    tally
}

/// Returns the results with which the nth call of an operation may fail; none if there is no such call.
fn results_of_call(rig: &Rig, n: u64, operation: Operation<'_>) -> Vec<vk::Result> {
    rig.control().take_calls();
    let made = operation(rig).expect("nothing fails yet");
    let calls = rig.control().take_calls();
    made.undo(rig);
    rig.trim();
    let nth = usize::try_from(n - 1).expect("few calls");
    let mut failable = calls.iter().filter(|call| call.function.can_fail());
    let Some(call) = failable.nth(nth) else { return Vec::new() };
    // What the specification lists for the function, and what any function may answer.
    let mut results = call.function.failures().to_vec();
    let of_any = [vk::Result::ERROR_UNKNOWN, vk::Result::ERROR_VALIDATION_FAILED_EXT];
    results.extend(of_any.into_iter().filter(|result| !call.function.failures().contains(result)));
    results
}

/// An allocator with something alive in several pools and nothing empty.
pub(crate) fn furnished(profile: Profile) -> (Rig, Vec<Allocation>) {
    let rig = Rig::new(profile);
    let infos = [AllocationCreateInfo::gpu_only(), AllocationCreateInfo::upload(), AllocationCreateInfo::readback()];
    let live = infos.map(|info| rig.allocate(&linear(mib(1) - 256), &info).expect("there is memory")).into();
    rig.trim();
    (rig, live)
}

/// Runs an operation on every profile, on an allocator that is empty and on one that is not.
pub(crate) fn on_every_profile(operation: Operation<'_>) -> Tally {
    let mut sum = Tally::default();
    for profile in every_device() {
        for (rig, live) in [(Rig::new(profile.clone()), Vec::new()), furnished(profile)] {
            let Tally { failed, survived } = fail_each_call(&rig, operation);
            sum = Tally { failed: sum.failed + failed, survived: sum.survived + survived };
            Made::of(live).undo(&rig);
            rig.finish();
        }
    }
    sum
}
