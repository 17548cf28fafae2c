//! One program for all targets: `FUZZ_TARGET` names it, libFuzzer reads the arguments. `make fuzz` runs it.
#![no_main]

use std::sync::OnceLock;

use fuzz::Target;
use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<&Target> = OnceLock::new();

#[expect(
    clippy::disallowed_methods,
    clippy::panic,
    reason = "the arguments are libFuzzer's, and nobody else hears of it"
)]
fn named() -> &'static Target {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    Target::named(&name).unwrap_or_else(|| panic!("FUZZ_TARGET names no target: {name:?}"))
}

fuzz_target!(|input: &[u8]| (TARGET.get_or_init(named).run)(input));
