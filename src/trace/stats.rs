//! What the recorder counted: above all, what the application's own allocator reserved.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use super::error::{Problem, TraceError, one_line};
use super::reader::name_of;

/// The part of a `.stats.json` that a replay is compared with.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct Statistics {
    /// The application, with its version.
    pub app: String,
    /// Number of `alloc` lines.
    pub allocs: u64,
    /// Number of `free` lines.
    pub frees: u64,
    /// Most bytes of resources alive at once, by the recording driver's sizes.
    pub peak_live_bytes: u64,
    /// What the application's own allocator took from the driver.
    pub app_device_memory: AppMemory,
}

/// What an application's own allocator took from the driver while it was recorded.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct AppMemory {
    /// Calls of `vkAllocateMemory`, in all.
    #[serde(rename = "vkAllocateMemory")]
    pub driver_allocations: u64,
    /// Most device-memory objects alive at once.
    pub peak_live_objects: u64,
    /// Most bytes of device memory alive at once: what the application had reserved.
    pub peak_live_bytes: u64,
}

impl Statistics {
    /// Reads the statistics that lie beside a trace (`NAME.stats.json`); `None` where there are none.
    ///
    /// # Errors
    /// The file is there and cannot be read, or is something else.
    pub fn beside(trace: &Path) -> Result<Option<Self>, TraceError> {
        let file = stats_file(trace);
        if file.exists() { Self::read(&file).map(Some) } else { Ok(None) }
    }

    /// Reads one `.stats.json`.
    ///
    /// # Errors
    /// The file cannot be read, or is something else.
    pub fn read(file: &Path) -> Result<Self, TraceError> {
        let opened = File::open(file).map_err(|error| TraceError::new(file, None, Problem::Open(error)))?;
        serde_json::from_reader(BufReader::new(opened)).map_err(|error| {
            if error.is_io() {
                return TraceError::new(file, None, Problem::Read(error.into()));
            }
            let line = (error.line() > 0).then_some(error.line() as u64);
            TraceError::new(file, line, Problem::Statistics(one_line(&error)))
        })
    }
}

fn stats_file(trace: &Path) -> PathBuf {
    trace.with_file_name(format!("{}.stats.json", name_of(trace)))
}

#[cfg(test)]
mod tests {
    use super::{Path, Statistics, stats_file};

    #[test]
    fn the_file_lies_beside_the_trace() {
        assert_eq!(stats_file(Path::new("a/b.csv.zst")), Path::new("a/b.stats.json"));
        assert_eq!(stats_file(Path::new("a.b.csv")), Path::new("a.b.stats.json"));
        for odd in ["a.b.csv.ZST", "a.b.CSV.zst", "a.b.Csv"] {
            assert_eq!(stats_file(Path::new(odd)), Path::new("a.b.stats.json"));
        }
    }

    #[test]
    fn reads_what_the_applications_reserved() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces");
        let of = |name: &str| Statistics::beside(&folder.join(name)).expect("readable").expect("there");
        assert_eq!(of("mpv-gpunext.csv.zst").app_device_memory.peak_live_bytes, 141_366_272);
        assert_eq!(of("threejs-webgpu-dawn.csv.zst").app_device_memory.driver_allocations, 542);
        assert_eq!(Statistics::beside(&folder.join("none.csv.zst")).expect("not an error"), None);
    }

    #[test]
    fn another_file_is_refused_by_name_and_line() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let error = Statistics::read(&file).expect_err("not JSON");
        assert!(error.to_string().contains("Cargo.toml:1: not the statistics of a trace"), "{error}");
        let error = Statistics::read(Path::new(env!("CARGO_MANIFEST_DIR"))).expect_err("a folder");
        assert!(error.to_string().contains(": cannot be "), "{error}");
    }
}
