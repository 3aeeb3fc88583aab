//! A valid journal, changed as the input says, then opened, read and written to.
#![no_main]

use kronika_log::{Belief, fuzz_open};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let Err(broken) = fuzz_open(input, Belief::InForgeries) {
        panic!("{broken}");
    }
});
