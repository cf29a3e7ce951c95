//! The README's sessions are what the command prints.

#[test]
fn the_sessions_of_the_readme_run() {
    // TRYCMD=overwrite rewrites them.
    trycmd::TestCases::new().case("../../README.md").env("NO_COLOR", "1").run();
}
