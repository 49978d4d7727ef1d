//! Decode plans and scans over random payloads, of which some are damaged (`flow_engines::decode`).
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| flow_engines::fuzz("decode", bytes));
