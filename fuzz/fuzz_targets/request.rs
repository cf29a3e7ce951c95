#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    flopmeter_fuzz::request(bytes);
});
