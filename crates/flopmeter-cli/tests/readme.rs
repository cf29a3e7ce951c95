//! The README's sessions are what the command prints.

#[test]
fn the_sessions_of_the_readme_run() {
    // TRYCMD=overwrite rewrites them.
    // A reader's own models are not there.
    trycmd::TestCases::new()
        .case("../../README.md")
        .env("NO_COLOR", "1")
        .env("HF_HUB_CACHE", "nowhere")
        .env("HF_HUB_OFFLINE", "1")
        .env("OLLAMA_MODELS", "nowhere")
        .run();
}

#[test]
fn the_ambiguous_name_of_the_readme_is_answered_as_it_shows() {
    let answer = std::process::Command::new(env!("CARGO_BIN_EXE_flopmeter"))
        .args(["devices", "H100"])
        .output()
        .expect("the command runs");
    assert_eq!(answer.status.code(), Some(1));
    let words = String::from_utf8(answer.stderr).expect("text");
    let shown = format!("$ flopmeter devices H100\n{words}");
    assert!(
        include_str!("../../../README.md").contains(&shown),
        "the README does not show:\n{words}"
    );
}
