//! Update programs over random rows (`flow_engines::update`).
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| flow_engines::fuzz("update", bytes));
