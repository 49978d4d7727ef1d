//! Scalar programs over random rows (`flow_engines::scalar`).
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| flow_engines::fuzz("scalar", bytes));
