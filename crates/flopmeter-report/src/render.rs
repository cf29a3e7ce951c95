//! Forms of the output, one file each. What a command says is a [`Document`] for people and a
//! serialisable value for programs.

mod audit;
mod comparison;
mod csv;
mod html;
mod json;
mod markdown;
mod parallel;
mod summary;
mod table;
mod training;

use flopmeter_source::visible::visible;

/// What a command says to people.
#[derive(Debug, Clone)]
pub struct Document {
    /// A title, and a sentence or two about it.
    pub head: Vec<String>,
    /// Tables.
    pub blocks: Vec<Block>,
    /// What to know before trusting it.
    pub notes: Vec<String>,
}

impl Document {
    /// The same without anything that a terminal would obey: names and keys are strangers' text.
    fn visible(&self) -> Self {
        let lines = |lines: &[String]| lines.iter().map(|line| visible(line)).collect();
        let block = |block: &Block| Block {
            title: visible(&block.title),
            columns: block.columns.clone(),
            rows: block.rows.iter().map(|row| lines(row)).collect(),
        };
        Self {
            head: lines(&self.head),
            blocks: self.blocks.iter().map(block).collect(),
            notes: lines(&self.notes),
        }
    }
}

/// A table with a title.
#[derive(Debug, Clone)]
pub struct Block {
    /// Its title, empty if the head says it.
    pub title: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows, each as long as the columns.
    pub rows: Vec<Vec<String>>,
}

/// A document as tables without styles, for what is no terminal.
pub fn plain(document: &Document) -> String {
    anstream::adapter::strip_str(&table(document)).to_string()
}

/// A column of a table.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its heading.
    pub name: &'static str,
    /// Whether it holds numbers, which are set to the right.
    pub number: bool,
}

impl Column {
    /// A column of words.
    pub const fn text(name: &'static str) -> Self {
        Self { name, number: false }
    }

    /// A column of numbers.
    pub const fn number(name: &'static str) -> Self {
        Self { name, number: true }
    }
}

pub use audit::of as audit;
pub use comparison::of as comparison;
pub use csv::render as csv;
pub use html::render as html;
pub use json::render as json;
pub use markdown::render as markdown;
pub use parallel::{blocks as ranks, step_blocks as step_ranks};
pub use summary::{grouped, of as summary, percent, si, workload};
pub use table::render as table;
pub use training::{of as training, step};
