//! Many points, written as they are counted: what is kept at a time does not grow with their number.

mod axes;
mod blocks;
mod cells;
mod choice;
mod conventions;
mod grid;
mod places;
mod plans;
mod requests;
mod steps;

use crate::args::{Format, SweepArgs};
use cells::{Cell, Column, Unit};
use choice::Choice;
use flopmeter::device::Device;
use flopmeter::{Error, Result};
use flopmeter_report::paint::TITLE;
use flopmeter_report::report::ModelReport;
use flopmeter_source::visible;
use grid::Grid;
use plans::{Last, LeftOut};
use std::io::{self, Write};
use std::ops::Range;

/// A sweep, ready to be counted.
pub struct Sweep {
    grid: Grid,
    choice: Choice,
    format: Format,
    /// All of a row.
    columns: Vec<Column>,
    /// What a table has of it: places of cells, with their widths.
    table: Vec<(usize, usize)>,
    /// Axes with one place alone, for a table's head.
    alone: Vec<String>,
}

/// Why it ended before its end.
#[derive(Debug)]
pub enum Stop {
    /// A point has no number.
    Count(Error),
    /// Nobody takes what is written.
    Output(io::Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Count(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Columns of the busiest rank.
const OF_RANKS: [Column; 3] = [
    Column::new("rank_flops", "a rank", Unit::Of("FLOP")),
    Column::new("sent_bytes", "sent", Unit::Of("B")),
    Column::new("link_seconds", "links", Unit::Of("s")),
];

/// Their cells: FLOPs, and what is sent over the links of a device.
fn of_ranks(flops: u128, sent: u128, device: Option<&Device>) -> [Cell<'static>; 3] {
    let link = device.and_then(Device::link);
    [Cell::Whole(flops), Cell::Whole(sent), Cell::of(link.map(|link| sent as f64 / link.0))]
}

/// A point and how good it is.
type Best = Option<(f64, usize)>;

impl Sweep {
    /// Reads the arguments.
    pub fn read(args: &SweepArgs) -> Result<Self> {
        let grid = Grid::read(args)?;
        let axes = grid.axes.columns();
        let mut columns: Vec<Column> = axes.iter().map(|(column, _)| *column).collect();
        columns.extend(grid.columns());
        let choice = Choice::new(&columns, &args.limit, args.best)?;
        let mut table = Vec::new();
        let mut alone = Vec::new();
        for (at, column) in columns.iter().enumerate() {
            let Some(heading) = column.heading else { continue };
            let width = match axes.get(at) {
                Some((column, Some(value))) => {
                    // The convention ends the line.
                    if column.name != "convention" {
                        alone.push(format!("{heading} {value}"));
                    }
                    continue;
                }
                Some((_, None)) => grid.axes.width(at),
                None => column.unit.width(),
            };
            table.push((at, width.max(heading.chars().count())));
        }
        if choice.has_limits() {
            columns.push(Column::exact("within_limits", Unit::Truth));
        }
        if choice.best().is_some() {
            columns.push(Column::exact("best", Unit::Truth));
        }
        Ok(Self { grid, choice, format: args.output.format, columns, table, alone })
    }

    /// Whether people read it, and colours are for them.
    pub fn is_for_people(&self) -> bool {
        self.format == Format::Table
    }

    /// Counts and writes all of it; the notes that what is written has no place for are given back.
    pub fn write(&self, out: &mut impl Write) -> std::result::Result<Vec<String>, Stop> {
        let best = self.best()?;
        out.write_all(self.head().as_bytes())?;
        let rows = |rows: Range<usize>| self.rows(rows, best);
        let mut left_out = LeftOut::default();
        blocks::each(self.grid.count, rows, |(text, more)| {
            left_out.and(more);
            out.write_all(&text).map_err(Stop::from)
        })?;
        let mut left_out = left_out.notes(self.grid.count);
        if matches!(self.format, Format::Table | Format::Markdown) {
            out.write_all(self.foot(best, std::mem::take(&mut left_out))?.as_bytes())?;
        }
        out.flush()?;
        Ok(left_out)
    }

    /// The best row, the first of equal ones. It has to be known before the first row is written.
    fn best(&self) -> Result<Best> {
        let mut best: Best = None;
        if self.choice.best().is_none() {
            return Ok(best);
        }
        let of = |rows: Range<usize>| {
            let mut best: Best = None;
            let (mut last, mut cells) = (Last::default(), Vec::new());
            for row in rows {
                let counted = self.grid.cells(row, &mut last, &mut cells)?;
                if !counted.counted(&mut LeftOut::default()) {
                    continue;
                }
                best = better(best, self.choice.merit(&cells).map(|merit| (merit, row)));
            }
            Ok(best)
        };
        blocks::each(self.grid.count, of, |next| {
            best = better(best, next);
            Ok::<_, Error>(())
        })?;
        Ok(best)
    }

    fn rows(&self, rows: Range<usize>, best: Best) -> Result<(Vec<u8>, LeftOut)> {
        let mut text = Vec::new();
        let (mut last, mut cells) = (Last::default(), Vec::new());
        let mut left_out = LeftOut::default();
        let start = self.start();
        for row in rows {
            if !self.grid.cells(row, &mut last, &mut cells)?.counted(&mut left_out) {
                continue;
            }
            let keeps = self.choice.keeps(&cells);
            let is_best = best.is_some_and(|(_, best)| best == row);
            if self.choice.has_limits() {
                cells.push(Cell::Truth(keeps));
            }
            if self.choice.best().is_some() {
                cells.push(Cell::Truth(is_best));
            }
            let written = match self.format {
                Format::Csv => self.csv(&start, &cells, &mut text),
                Format::Json => self.json(&start, &cells, &mut text),
                Format::Table | Format::Markdown => {
                    let mark = match (is_best, keeps) {
                        (true, _) => "best",
                        (false, true) => "",
                        (false, false) => "over",
                    };
                    let shown = self.table.iter().map(|&(at, width)| {
                        (cells[at].shown(self.columns[at].unit), width, self.columns[at].unit)
                    });
                    self.line(shown, mark, &mut text)
                }
            };
            // A vector takes everything.
            written.unwrap_or_default();
        }
        Ok((text, left_out))
    }

    /// What every row begins with: the name of the model.
    fn start(&self) -> String {
        let id = &self.grid.source.id;
        match self.format {
            Format::Csv => {
                let id = visible::visible(id);
                let quoted = id.contains(['"', ',']);
                if quoted { format!("\"{}\"", id.replace('"', "\"\"")) } else { id }
            }
            Format::Json => {
                let id = serde_json::Value::from(id.as_str()).to_string();
                let id = visible::json(&id);
                format!("{{\"model\":{id}")
            }
            Format::Table | Format::Markdown => String::new(),
        }
    }

    fn csv(&self, start: &str, cells: &[Cell<'_>], out: &mut Vec<u8>) -> io::Result<()> {
        out.write_all(start.as_bytes())?;
        for cell in cells {
            out.push(b',');
            cell.csv(out)?;
        }
        out.write_all(b"\n")
    }

    fn json(&self, start: &str, cells: &[Cell<'_>], out: &mut Vec<u8>) -> io::Result<()> {
        out.write_all(start.as_bytes())?;
        for (column, cell) in self.columns.iter().zip(cells) {
            out.write_all(b",\"")?;
            out.write_all(column.name.as_bytes())?;
            out.write_all(b"\":")?;
            cell.json(out)?;
        }
        out.write_all(b"}\n")
    }

    /// A line of a table, and what marks it.
    fn line(
        &self,
        cells: impl Iterator<Item = (String, usize, Unit)>,
        mark: &str,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        if self.format == Format::Markdown {
            let cells: Vec<String> = cells.map(|(text, ..)| text).collect();
            let mark = if self.is_marked() { format!(" {mark} |") } else { String::new() };
            return writeln!(out, "| {} |{mark}", cells.join(" | "));
        }
        let mut line = String::new();
        for (text, width, unit) in cells {
            let fill = " ".repeat(width.saturating_sub(text.chars().count()));
            line += &match unit {
                Unit::Word => format!(" {text}{fill} "),
                _ => format!(" {fill}{text} "),
            };
        }
        line += mark;
        writeln!(out, "{}", line.trim_end())
    }

    fn is_marked(&self) -> bool {
        self.choice.has_limits() || self.choice.best().is_some()
    }

    fn head(&self) -> String {
        match self.format {
            Format::Json => return String::new(),
            Format::Csv => {
                let names: Vec<&str> = self.columns.iter().map(|column| column.name).collect();
                return format!("model,{}\n", names.join(","));
            }
            Format::Table | Format::Markdown => {}
        }
        let title = visible::visible(&ModelReport::of(&self.grid.source).title());
        let mut said = self.alone.join(", ");
        if let Some(convention) = self.grid.convention() {
            said += &format!("; convention {}", convention.id);
        }
        let headings = || {
            self.table.iter().filter_map(|&(at, width)| {
                let column = self.columns[at];
                Some((column.heading?.to_owned(), width, column.unit))
            })
        };
        let mut out = match self.format {
            Format::Markdown => format!("## {title}\n\n{said}\n\n"),
            _ => format!("{}\n{said}\n\n", TITLE.apply(title)),
        }
        .into_bytes();
        // A vector takes everything.
        self.line(headings(), "", &mut out).unwrap_or_default();
        if self.format == Format::Markdown {
            let rule = headings().map(|(.., unit)| match unit {
                Unit::Word => "---",
                _ => "---:",
            });
            let mark = if self.is_marked() { " --- |" } else { "" };
            let rule: Vec<&str> = rule.collect();
            out.extend(format!("| {} |{mark}\n", rule.join(" | ")).bytes());
        } else {
            let width: usize = self.table.iter().map(|(_, width)| width + 2).sum();
            let mark = if self.is_marked() { 4 } else { 0 };
            out.extend(format!("{}\n", "─".repeat(width + mark)).bytes());
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    /// The best row once more, and the notes.
    fn foot(&self, best: Best, left_out: Vec<String>) -> Result<String> {
        let mut out = String::new();
        let prefix = if self.format == Format::Markdown { "- " } else { "note: " };
        if self.format == Format::Markdown {
            out.push('\n');
        }
        if let Some(goal) = self.choice.best() {
            let (mut last, mut cells) = (Last::default(), Vec::new());
            let said = match best {
                None => "no row fits and keeps the limits".into(),
                Some((_, row)) => {
                    self.grid.cells(row, &mut last, &mut cells)?;
                    let named = self.grid.axes.columns().into_iter().zip(&cells);
                    let named = named.filter(|((_, alone), _)| alone.is_none());
                    let named = named.map(|((axis, _), cell)| {
                        format!("{} {}", axis.name, cell.shown(axis.unit))
                    });
                    let value = self.choice.best_cell(&cells, &self.columns);
                    [value].into_iter().chain(named).collect::<Vec<_>>().join(", ")
                }
            };
            out += &format!("{prefix}best {}: {said}\n", goal.name());
        }
        for note in left_out.into_iter().chain(self.grid.notes()) {
            out += &format!("{prefix}{}\n", visible::visible(&note));
        }
        Ok(out)
    }
}

/// The better of two, the first of equal ones.
fn better(first: Best, second: Best) -> Best {
    match (first, second) {
        (Some((a, _)), Some((b, _))) if b > a => second,
        (None, second) => second,
        (first, _) => first,
    }
}
