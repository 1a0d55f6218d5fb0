#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| teleport_tests::fuzz::sealed_parts(data));
