//! The record of a replay, and the JSON file of records.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::CliError;
use crate::replay::Outcome;
use crate::timing::Percentiles;

/// What a replay of one trace on one driver showed: the fields of the JSON file.
///
/// All bytes of device memory are counted at the driver's function table, not by the library.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Record {
    /// Name of the trace.
    pub(crate) trace: String,
    /// Name of the driver, and of its device.
    pub(crate) driver: String,
    /// Resources that got memory.
    pub(crate) allocations: u64,
    /// Resources freed, those included that the trace leaves alive.
    pub(crate) frees: u64,
    /// Resources that were real buffers and images.
    pub(crate) created: u64,
    /// Resources that were memory by raw requirements only.
    pub(crate) fell_back: u64,
    /// Successful calls of `vkAllocateMemory`.
    pub(crate) driver_allocations: u64,
    /// Most bytes of device memory at once.
    pub(crate) peak_reserved_bytes: u64,
    /// The same, each device-memory object rounded up to the driver's page.
    pub(crate) peak_reserved_pages_bytes: u64,
    /// Most bytes of live resources at once, as the driver required them.
    pub(crate) peak_live_bytes: u64,
    /// Bytes of device memory after everything was freed.
    pub(crate) reserved_at_end_bytes: u64,
    /// Bytes of device memory after `trim()`.
    pub(crate) reserved_after_trim_bytes: u64,
    /// Mistakes that the simulated driver recorded.
    pub(crate) violations: u64,
    /// Messages of the validation layers.
    pub(crate) validation_messages: u64,
    /// Times of the allocations that did not call the driver.
    pub(crate) allocate_ns: Percentiles,
    /// Times of the frees that did not call the driver.
    pub(crate) free_ns: Percentiles,
    /// Operations of the timed pass that called the driver.
    pub(crate) driver_ops: u64,
}

/// What the driver's function table counted during a replay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DriverCounts {
    /// See [`Record::driver_allocations`].
    pub(crate) allocations: u64,
    /// See [`Record::peak_reserved_bytes`].
    pub(crate) peak_bytes: u64,
    /// See [`Record::peak_reserved_pages_bytes`].
    pub(crate) peak_pages_bytes: u64,
    /// See [`Record::reserved_at_end_bytes`].
    pub(crate) at_end_bytes: u64,
    /// See [`Record::reserved_after_trim_bytes`].
    pub(crate) after_trim_bytes: u64,
    /// See [`Record::violations`].
    pub(crate) violations: u64,
    /// See [`Record::validation_messages`].
    pub(crate) validation_messages: u64,
}

impl Record {
    /// Puts a record together: counts and bytes of the pass over real resources, times of the pass over raw
    /// requirements.
    pub(crate) fn new(names: (&str, &str), made: &Outcome, timed: &Outcome, driver: &DriverCounts) -> Self {
        Self {
            trace: names.0.into(),
            driver: names.1.into(),
            allocations: made.allocations,
            frees: made.frees,
            created: made.created,
            fell_back: made.fell_back,
            driver_allocations: driver.allocations,
            peak_reserved_bytes: driver.peak_bytes,
            peak_reserved_pages_bytes: driver.peak_pages_bytes,
            peak_live_bytes: made.peak_live_bytes,
            reserved_at_end_bytes: driver.at_end_bytes,
            reserved_after_trim_bytes: driver.after_trim_bytes,
            violations: driver.violations,
            validation_messages: driver.validation_messages,
            allocate_ns: timed.allocate.percentiles(),
            free_ns: timed.free.percentiles(),
            driver_ops: timed.allocate.driver_ops() + timed.free.driver_ops(),
        }
    }
}

/// The file that records go to: opened before the first replay, so that a wrong name costs none.
#[derive(Debug)]
pub(crate) struct JsonFile {
    name: PathBuf,
    file: File,
    /// It was not there before.
    is_new: bool,
}

impl JsonFile {
    /// Opens the file, or makes it. What it holds stays until [`JsonFile::write`].
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn open(name: &Path) -> Result<Self, CliError> {
        let made = File::options().write(true).create_new(true).open(name);
        let is_new = made.is_ok();
        let opened = made.or_else(|_| File::options().write(true).create(true).truncate(false).open(name));
        opened.map(|file| Self { name: name.into(), file, is_new }).map_err(|source| unwritten(name, source))
    }

    /// Leaves everything as it was: older records stay, and a file that was made for new ones goes.
    pub(crate) fn leave(self) {
        if self.is_new
            && let Err(error) = fs::remove_file(&self.name)
        {
            log::warn!("{} was made in vain, and stays: {error}", self.name.display());
        }
    }

    /// Writes records as a JSON array, in the place of what the file holds.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write(self, records: &[Record]) -> Result<(), CliError> {
        let Self { name, file, .. } = self;
        write_to(file, records).map_err(|source| unwritten(&name, source))
    }
}

fn write_to(file: File, records: &[Record]) -> io::Result<()> {
    // A pipe or a device has no length to set.
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    let mut out = BufWriter::new(file);
    serde_json::to_writer_pretty(&mut out, records)?;
    writeln!(out)?;
    out.flush()
}

fn unwritten(file: &Path, source: io::Error) -> CliError {
    CliError::Write { file: file.into(), source }
}

#[cfg(test)]
mod tests {
    use super::{DriverCounts, Outcome, Record};

    #[test]
    fn the_fields_in_their_order() {
        let made = Outcome { allocations: 3, created: 2, fell_back: 1, frees: 3, ..Outcome::default() };
        let driver = DriverCounts { allocations: 9, peak_bytes: 8, ..DriverCounts::default() };
        let record = Record::new(("vkcube", "sim:unified"), &made, &Outcome::default(), &driver);
        let text = serde_json::to_string(&[record]).expect("plain data");
        let expected = concat!(
            r#"[{"trace":"vkcube","driver":"sim:unified","allocations":3,"frees":3,"created":2,"fell_back":1,"#,
            r#""driver_allocations":9,"peak_reserved_bytes":8,"peak_reserved_pages_bytes":0,"peak_live_bytes":0,"#,
            r#""reserved_at_end_bytes":0,"reserved_after_trim_bytes":0,"violations":0,"validation_messages":0,"#,
            r#""allocate_ns":{"median":0,"p99":0,"max":0},"free_ns":{"median":0,"p99":0,"max":0},"driver_ops":0}]"#,
        );
        assert_eq!(text, expected);
    }
}
