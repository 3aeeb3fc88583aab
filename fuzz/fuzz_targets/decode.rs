//! Any bytes through every decoder of the log.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let Err(broken) = kronika_log::fuzz_decode(input) {
        panic!("{broken}");
    }
});
