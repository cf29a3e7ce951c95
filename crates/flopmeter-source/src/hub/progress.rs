//! A line on a terminal that says how far it is, and goes away.

use crate::visible::shortened;
use std::io::{self, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// What ends sooner is not worth a line.
const SOON: Duration = Duration::from_millis(300);

/// What is written over: no more than the narrowest terminal that is usual.
const COLUMNS: usize = 79;

/// How many of several files are read.
pub struct Progress<'n> {
    name: &'n str,
    count: usize,
    start: Instant,
    /// How many are read, and whether the line is there.
    state: Mutex<(usize, bool)>,
    shown: bool,
}

impl<'n> Progress<'n> {
    /// Progress on `count` files of a name; nothing is written unless it is `shown`.
    pub fn new(name: &'n str, count: usize, shown: bool) -> Self {
        Self { name, count, start: Instant::now(), state: Mutex::default(), shown }
    }

    /// One more is read.
    pub fn step(&self) {
        let Ok(mut state) = self.state.lock() else { return };
        state.0 += 1;
        if self.shown && self.start.elapsed() >= SOON {
            state.1 = true;
            write(&format!("\r{:<COLUMNS$}", line(self.name, state.0, self.count)));
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if self.state.get_mut().is_ok_and(|state| state.1) {
            write(&format!("\r{:COLUMNS$}\r", ""));
        }
    }
}

/// What a terminal of 80 columns holds: the name, a bar of 20, the numbers.
fn line(name: &str, done: usize, count: usize) -> String {
    const WIDTH: usize = 20;
    let full = (done.min(count) * WIDTH).checked_div(count).unwrap_or(WIDTH);
    let name: String = shortened(name).chars().take(36).collect();
    format!("{name} [{}{}] {done} of {count} files", "=".repeat(full), " ".repeat(WIDTH - full))
}

/// If nobody can read it, nothing is lost.
fn write(text: &str) {
    let mut out = io::stderr().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::{COLUMNS, line};

    #[test]
    fn the_line_fits_a_terminal() {
        assert_eq!(line("a/b", 0, 4), "a/b [                    ] 0 of 4 files");
        assert_eq!(line("a/b", 3, 4), "a/b [===============     ] 3 of 4 files");
        assert_eq!(line("a/b", 4, 4), "a/b [====================] 4 of 4 files");
        assert!(line(&"é\n".repeat(99), 4096, 4096).chars().count() <= COLUMNS);
    }
}
