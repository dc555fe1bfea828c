//! The whole allocator over the simulated driver: custom pools, resources, plans, budgets and failures under way.

use arbitrary::Unstructured;

use crate::common::model::{Compare, Model};
use crate::common::{Rig, decode};

/// A fuzzer compares less often: what is broken stays broken, and programs run that much faster.
const COMPARE: Compare = if cfg!(test) { Compare::AfterEachStep } else { Compare::AtTheEnd };

/// Runs the program that the bytes say, on the device that they say.
pub(crate) fn allocator(data: &[u8]) {
    let mut bytes = Unstructured::new(data);
    let Ok(profile) = decode::profile(&mut bytes) else { return };
    let steps = decode::program(&mut bytes, 60);
    Model::new(Rig::new(profile)).run(&steps, COMPARE);
}
