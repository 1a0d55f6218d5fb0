//! What rustc says about right and wrong uses of the macros.
//!
//! Each file in `ui/fail` is named after its topic, and registers what it declares, so that a
//! follow-up error would show. Record new texts with `TRYBUILD=overwrite`.

#[test]
fn right_uses_compile() {
    trybuild::TestCases::new().pass("tests/ui/pass/*.rs");
}

#[test]
fn wrong_uses_are_told_once_each_with_advice() {
    trybuild::TestCases::new().compile_fail("tests/ui/fail/*.rs");
}
