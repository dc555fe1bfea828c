//! The whole allocator over the simulated driver: custom pools, resources, plans, budgets and failures under way.

use arbitrary::Unstructured;

use crate::common::model::{Compare, Model};
use crate::common::{Rig, decode, program};

/// Runs the program that the bytes say, on the device that they say.
pub(crate) fn allocator(data: &[u8]) {
    let mut bytes = Unstructured::new(data);
    let Ok(name) = decode::profile_name(&mut bytes) else { return };
    let steps = decode::program(&mut bytes, 60);
    Model::new(Rig::new(program::profile(name))).run(&steps, Compare::AtTheEnd);
}
