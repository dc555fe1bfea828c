//! Where the allocator on a driver is plugged in: one replay of one trace, and the report on a driver's devices.

use std::collections::BTreeMap;
use std::io::Write;

use freestone::trace::Trace;

use crate::driver::DriverChoice;
use crate::error::CliError;
use crate::json::Record;

/// Replays a trace twice on a fresh device each: over real resources for counts and bytes, over raw requirements for
/// times. Returns the record, and how many resources fell back for each reason.
///
/// # Errors
/// An operation that failed, at its line of the trace.
pub(crate) fn replay(
    _trace: &Trace,
    _driver: &DriverChoice,
    _is_validation_required: bool,
) -> Result<(Record, BTreeMap<String, u64>), CliError> {
    Err(CliError::NotConnected)
}

/// Prints what the allocator sees of a driver's devices.
///
/// # Errors
/// No driver, or an output that cannot be written.
pub(crate) fn devices(_driver: &DriverChoice, _out: &mut dyn Write) -> Result<(), CliError> {
    Err(CliError::NotConnected)
}
