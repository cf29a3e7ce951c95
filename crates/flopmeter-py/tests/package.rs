//! The package, built from the repository and installed in a Python environment of its own, passes its tests.
//!
//! `FLOPMETER_PYTHON` names the Python to take; without it the first of `python3.11`, `python3` and `python`.

use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn the_package_passes_its_tests() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let repository = package.join("../..");
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    let python = python(&environment);
    if !python.exists() {
        run(Command::new(interpreter()).args(["-m", "venv"]).arg(&environment));
    }
    let pip = || {
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "--quiet", "--disable-pip-version-check", "install"]);
        pip
    };
    run(pip().arg("--requirement").arg(package.join("tests/requirements.txt")));
    // As a user would; the same version is built anew.
    run(pip().args(["--force-reinstall", "--no-deps"]).arg(&repository));
    run(Command::new(&python)
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider"])
        .current_dir(package)
        .env("PYTHONDONTWRITEBYTECODE", "1"));
}

fn python(environment: &Path) -> PathBuf {
    environment.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" })
}

fn interpreter() -> String {
    if let Ok(python) = std::env::var("FLOPMETER_PYTHON") {
        return python;
    }
    let works = |python: &&str| {
        let version = "import sys; sys.exit(sys.version_info < (3, 10))";
        Command::new(python).args(["-c", version]).status().is_ok_and(|status| status.success())
    };
    let python = ["python3.11", "python3", "python"].into_iter().find(works);
    python.expect("a Python of at least 3.10: install one, or name it in FLOPMETER_PYTHON").into()
}

fn run(command: &mut Command) {
    // Cargo's words for this test are not meant for the build that pip starts.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO_PKG_")) {
        command.env_remove(name);
    }
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?}\n{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
}
