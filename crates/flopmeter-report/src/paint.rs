//! Styles of words in a terminal.

use anstyle::{AnsiColor, Style};
use std::fmt::Display;

/// A style that can be put around a word; a terminal that shows no colour shows the word alone.
pub struct Paint(Style);

/// For the word `error`.
pub const ERROR: Paint = Paint(AnsiColor::Red.on_default().bold());
/// For titles.
pub const TITLE: Paint = Paint(Style::new().bold());

impl Paint {
    /// The word in this style.
    pub fn apply(&self, word: impl Display) -> String {
        format!("{}{word}{}", self.0.render(), self.0.render_reset())
    }
}
