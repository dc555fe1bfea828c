//! A device as a file: see `tests/fuzz/targets/parsers.rs`.
#![no_main]

#[allow(dead_code, reason = "each target takes its own")]
#[path = "../../tests/fuzz/targets/parsers.rs"]
mod parsers;

libfuzzer_sys::fuzz_target!(|data: &[u8]| parsers::profile(data));
