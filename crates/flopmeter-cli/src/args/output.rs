//! Options of how it is printed.

use clap::{Args, ValueEnum};

/// How it is printed.
#[derive(Debug, Args)]
pub struct OutputArgs {
    /// Form of the output
    ///
    /// JSON is an interface, stable and documented; CSV is the same, flattened.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// Forms of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For spreadsheets: a row of names, a row for each result.
    Csv,
    /// For issues and pages.
    Markdown,
}
