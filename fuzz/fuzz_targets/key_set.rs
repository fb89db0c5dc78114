#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| undercroft_fuzz::parsers::key_set(bytes));
