//! What must not compile, with the words in which it is said: `ui/*.rs` beside their `.stderr`.
//!
//! `TRYBUILD=overwrite` writes the words anew; read them before they are kept. What the compiler says of missing
//! impls in its own words differs from build to build and is not compared.

#[test]
fn mistakes_are_named_where_they_are_made() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
