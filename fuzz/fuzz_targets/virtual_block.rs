//! The virtual block over any algorithm: see `tests/fuzz/targets/suballocators.rs`.
#![no_main]

#[allow(dead_code, reason = "each target takes its own")]
#[path = "../../tests/fuzz/targets/suballocators.rs"]
mod suballocators;

libfuzzer_sys::fuzz_target!(|data: &[u8]| suballocators::virtual_block(data));
