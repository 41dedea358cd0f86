//! The laws under libFuzzer: `CONVOKE_FUZZ_TARGET` says which of them.
#![no_main]

use std::sync::LazyLock;

use convoke_fuzz::{TARGETS, Target};
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let wanted = std::env::var("CONVOKE_FUZZ_TARGET").unwrap_or_default();
    let found = TARGETS.iter().find(|target| target.name == wanted);
    found.unwrap_or_else(|| panic!("CONVOKE_FUZZ_TARGET is {wanted:?}; {:?}", TARGETS.map(|target| target.name)))
});

fuzz_target!(|data: &[u8]| (TARGET.check)(data));
