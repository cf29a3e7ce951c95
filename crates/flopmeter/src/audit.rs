//! A table of published figures, recomputed: which convention gives them, or that none does.
//!
//! ```text
//! header, cells ─► Table ─► Entry ─┬─ model or shape, sequence ─► FLOPs of a token, by every convention ─┐
//!                                  ├─ throughput, devices, peak ─────────────────────────────────────────┼─► Audit
//!                                  └─ claimed TFLOP/s, MFU, HFU ─────────────────────────────────────────┘
//! ```
//!
//! A cell that cannot be read is an error with its line and column. A row that says too little to be recomputed is told
//! so: none is passed over.
//!
//! ```
//! use flopmeter::audit::{Table, Verdict};
//! use flopmeter::Builtin;
//!
//! let header = ["model", "seq_len", "devices", "peak", "throughput", "unit", "mfu"];
//! // A token takes 6 · 6,607,077,376 for weights and 6 · 32 · 4096 · 4097 for pairs; · 3100 ÷ 312e12 = 42.59 %.
//! let row = ["llama2:7b", "4096", "1", "312e12", "3100", "tokens/s", "42.6 %"];
//! let table = Table::read(&header, [(2, row)])?;
//! let audit = table.entries()[0].audit(|name| Builtin::find(name)?.model());
//! assert_eq!(audit.verdict(), Verdict::Reproduces);
//! assert!(audit.best().any(|figure| figure.convention.id == "model"));
//! # Ok::<(), flopmeter::Error>(())
//! ```

mod cells;
mod column;
mod entry;
mod fit;
mod printed;
mod shape;

pub use column::Column;
pub use entry::{Claims, Entry, Throughput, Unit};
pub use fit::{Audit, Figure, Fit, Rates, Verdict};
pub use printed::Printed;
pub use shape::{FeedForward, ModelShape};

use crate::error::{Error, ErrorKind, Result, shown};
use cells::Cells;

/// The most rows of a table.
const MOST_ROWS: usize = 1 << 20;

/// A table whose every cell was read.
#[derive(Debug, Clone)]
pub struct Table {
    entries: Vec<Entry>,
    unread: Vec<String>,
    notes: Vec<String>,
}

impl Table {
    /// Reads a table: the names of its columns, and its rows with the line that each begins on.
    ///
    /// Names are those of [`Column::all`], in any case and order.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Table`] for a header that lacks a column or has one twice, a row of another length, and a cell that
    /// is not what its column holds; each with line and column.
    pub fn read<T: AsRef<str>, R: AsRef<[T]>>(
        header: &[T],
        rows: impl IntoIterator<Item = (u64, R)>,
    ) -> Result<Self> {
        let mut unread = Vec::new();
        let mut columns: Vec<Option<Column>> = Vec::with_capacity(header.len());
        for name in header {
            let column = Column::of(name.as_ref());
            if let Some(column) = column.filter(|column| columns.contains(&Some(*column))) {
                let fact = format!("means `{}`, which another column is already", column.name());
                return Err(Error::new(
                    ErrorKind::Table,
                    format!("header, column `{}`", shown(name.as_ref())),
                    fact,
                )
                .hint("leave one of them out"));
            }
            if column.is_none() {
                unread.push(shown(name.as_ref()).to_string());
            }
            columns.push(column);
        }
        Self::lacks_nothing(&columns)?;
        let rows: Vec<(u64, R)> = rows.into_iter().take(MOST_ROWS + 1).collect();
        let mut cells = Vec::with_capacity(rows.len());
        for (at, (line, row)) in rows.iter().enumerate() {
            let (row, place) = (row.as_ref(), || format!("line {line}"));
            if row.len() != columns.len() {
                let fact = format!("has {} cells, and the header has {}", row.len(), columns.len());
                return Err(Error::new(ErrorKind::Table, place(), fact)
                    .hint("a cell with a comma in it stands in quotes"));
            }
            if at == MOST_ROWS {
                let fact = format!("is one row more than {MOST_ROWS}");
                return Err(Error::new(ErrorKind::Table, place(), fact).hint("cut the table"));
            }
            cells.push(Cells::of(*line, &columns, row));
        }
        let mut table = Self { entries: Vec::new(), unread, notes: Vec::new() };
        let percent = |column: Column, notes: &mut Vec<String>| {
            let above =
                cells.iter().find(|row| row.number(column).is_some_and(|value| value > 1.0));
            if let Some(row) = above {
                notes.push(format!(
                    "`{}` is above 1 in line {}: the column is read as percent",
                    column.name(),
                    row.line
                ));
            }
            above.is_some()
        };
        let percent = [Column::Mfu, Column::Hfu].map(|column| percent(column, &mut table.notes));
        table.entries = cells.iter().map(|row| Entry::read(row, percent)).collect::<Result<_>>()?;
        Ok(table)
    }

    fn lacks_nothing(columns: &[Option<Column>]) -> Result<()> {
        let has = |column| columns.contains(&Some(column));
        let missing = |what: &str| {
            let known: Vec<&str> = Column::all().map(|(_, names)| names[0]).collect();
            Err(Error::new(ErrorKind::Table, "header", format!("names no column {what}"))
                .hint(format!("columns are {}", known.join(", "))))
        };
        if columns.iter().all(Option::is_none) {
            return missing("that is known; the first line holds the names of the columns");
        }
        let has_shape = has(Column::Layers) && has(Column::Hidden);
        if !has(Column::Model) && !has_shape {
            return missing("`model`, nor `layers` and `hidden`");
        }
        if !Column::CLAIMS.iter().any(|column| has(*column)) {
            return missing("with a claimed figure: `tflops`, `mfu`, `hfu`");
        }
        if !has(Column::Sequence) {
            return missing("`seq_len`");
        }
        Ok(())
    }

    /// Its rows, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Columns that nobody reads, by their names.
    pub fn unread(&self) -> &[String] {
        &self.unread
    }

    /// How it was read.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}
