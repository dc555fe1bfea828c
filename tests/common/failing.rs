//! Lets the nth driver call of an operation fail, for all n and with every result that the call may have.

use core::cell::Cell;
use core::fmt::{Debug, Display};

use ash::vk;
use freestone::sim::{Function, Profile};
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    fail_each_attempt(rig, &|probe| probe.attempt(&mut (), |()| (), |()| operation(rig)).undo(rig))
}

/// Runs a scenario, which attempts one operation by the probe and undoes all that it does, until the operation has no
/// nth call: each call fails in a run of its own, with each result.
#[track_caller]
pub(crate) fn fail_each_attempt(rig: &Rig, scenario: &dyn Fn(&Probe<'_>)) -> Tally {
    let mut probe = Probe { rig, fault: None, results: Cell::default(), tally: Cell::default() };
    let fired = rig.control().faults_fired().len();
    let mut run = |n: u64, fault: Option<vk::Result>| {
        let before = state_of(rig);
        probe.fault = Some((n, fault));
        scenario(&probe);
        rig.trim();
        let what = probe.what();
        assert_eq!(without_history(state_of(rig)), without_history(before), "{what}, and all was undone");
        rig.control().assert_clean();
        rig.validate().unwrap_or_else(|violation| panic!("{what}: {violation}"));
        (probe.results.take(), probe.tally.get())
    };
    let tally = (1..).find_map(|n| {
        let (results, mut tally) = run(n, None);
        for &result in &results {
            let (_, now) = run(n, Some(result));
            if now.survived > tally.survived {
                run(n, None);
            }
            tally = now;
        }
        results.is_empty().then_some(tally)
    });
    let tally = tally.expect("an operation has an end");
    let happened = rig.control().faults_fired().len() - fired;
    assert_eq!(happened, (tally.failed + tally.survived) as usize, "each failure happened");
    eprintln!("calls failed: {} reported, {} got by", tally.failed, tally.survived);
    tally
}

/// Fails one call of the one operation that a scenario attempts; in a run without a fault it says how that call may
/// fail.
pub(crate) struct Probe<'a> {
    rig: &'a Rig,
    /// Which call, and how it fails.
    fault: Option<(u64, Option<vk::Result>)>,
    results: Cell<Vec<vk::Result>>,
    tally: Cell<Tally>,
}

impl Probe<'_> {
    /// Carries an operation out. Where it fails, nothing has changed at the driver, in the allocator's counters and in
    /// what `look` sees, and it is carried out once more, which succeeds.
    #[track_caller]
    pub(crate) fn attempt<T, M, E: Display, L: Debug + PartialEq>(
        &self,
        subject: &mut T,
        look: impl Fn(&T) -> L,
        operation: impl FnMut(&mut T) -> Result<M, E>,
    ) -> M {
        self.attempt_alone(subject, |subject| (state_of(self.rig), look(subject)), operation)
    }

    /// Does the same where the operation may give back what is empty, or keep it: `look` alone is compared.
    #[track_caller]
    pub(crate) fn attempt_alone<T, M, E: Display, L: Debug + PartialEq>(
        &self,
        subject: &mut T,
        look: impl Fn(&T) -> L,
        mut operation: impl FnMut(&mut T) -> Result<M, E>,
    ) -> M {
        let Some((n, Some(result))) = self.fault else {
            return self.count(subject, operation);
        };
        let (control, what, mut tally) = (self.rig.control(), self.what(), self.tally.get());
        let before = look(subject);
        control.fail_nth(n, result);
        let outcome = operation(subject);
        control.clear_faults();
        tally.failed += u32::from(outcome.is_err());
        tally.survived += u32::from(outcome.is_ok());
        self.tally.set(tally);
        outcome.unwrap_or_else(|error| {
            assert_eq!(look(subject), before, "{what}: {error}");
            control.assert_clean();
            self.rig.validate().unwrap_or_else(|violation| panic!("{what}: {violation}"));
            operation(subject).unwrap_or_else(|error| panic!("{what}, once; the second time: {error}"))
        })
    }

    /// Carries an operation out without a fault, and notes the results with which its nth call may fail.
    fn count<T, M, E: Display>(&self, subject: &mut T, mut operation: impl FnMut(&mut T) -> Result<M, E>) -> M {
        self.rig.control().take_calls();
        let made = operation(subject).unwrap_or_else(|error| panic!("nothing fails yet: {error}"));
        let calls = self.rig.control().take_calls();
        let nth = self.fault.map_or(1, |(n, _)| n) - 1;
        let mut failable = calls.iter().filter(|call| call.function.can_fail());
        let call = failable.nth(usize::try_from(nth).expect("few calls"));
        self.results.set(call.map(|call| results_of(call.function)).unwrap_or_default());
        made
    }

    fn what(&self) -> String {
        let (n, result) = self.fault.unwrap_or_default();
        result.map_or_else(|| "nothing fails".to_owned(), |result| format!("call {n} answers {result:?}"))
    }
}

/// Returns the results with which a function may fail: what the specification lists for it, and what any may answer.
fn results_of(function: Function) -> Vec<vk::Result> {
    let mut results = function.failures().to_vec();
    let of_any = [vk::Result::ERROR_UNKNOWN, vk::Result::ERROR_VALIDATION_FAILED_EXT];
    results.extend(of_any.into_iter().filter(|result| !function.failures().contains(result)));
    results
}

/// Lets every call of the driver that can fail fail, and none is made.
#[track_caller]
pub(crate) fn silently<R>(rig: &Rig, run: impl FnOnce() -> R) -> R {
    let before = rig.control().failable_calls();
    rig.control().fail_when(|_| Some(vk::Result::ERROR_DEVICE_LOST));
    let outcome = run();
    rig.control().clear_faults();
    assert_eq!(rig.control().failable_calls(), before);
    outcome
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
