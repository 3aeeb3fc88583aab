//! What must not compile, with the words in which it is said: `ui/*.rs` beside their `.stderr`.
//!
//! `TRYBUILD=overwrite` writes the words anew; read them before they are kept.

use std::process::Command;

#[test]
fn mistakes_are_named_where_they_are_made() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}

/// The compiler's own words change with it, so they are compared only under the release that the
/// workspace names as its `rust-version`. Under others the text around ours would fail, not ours.
#[test]
fn missing_derives_are_explained_by_the_compiler() {
    let release = concat!("rustc ", env!("CARGO_PKG_RUST_VERSION"), ".");
    let rustc = std::env::var_os("RUSTC").unwrap_or("rustc".into());
    let version = Command::new(rustc).arg("--version").output().expect("rustc built this test");
    if String::from_utf8_lossy(&version.stdout).starts_with(release) {
        trybuild::TestCases::new().compile_fail("tests/ui/rustc/*.rs");
    }
}
