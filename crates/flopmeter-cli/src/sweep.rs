//! Many points, written as they are counted: what is kept at a time does not grow with their number.

use crate::args::{Format, SweepArgs};
use flopmeter::{Error, Result, device};
use flopmeter_report::paint::TITLE;
use flopmeter_report::report::ModelReport;
use flopmeter_report::sweep::{self, Best, Cell, LeftOut, Ranges, Unit};
use flopmeter_source::{self as source, visible};
use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;

/// A sweep, ready to be counted and written.
pub struct Sweep {
    counted: sweep::Sweep,
    format: Format,
    /// What a table has of a row: places of cells, with their widths.
    table: Vec<(usize, usize)>,
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

impl Sweep {
    /// Reads the arguments.
    pub fn read(args: &SweepArgs) -> Result<Self> {
        let counted = sweep::Sweep::new(&ranges(args)?)?;
        let table = counted.table();
        Ok(Self { counted, format: args.output.format, table })
    }

    /// Whether people read it, and colours are for them.
    pub fn is_for_people(&self) -> bool {
        self.format == Format::Table
    }

    /// Counts and writes all of it; the notes that what is written has no place for are given back.
    pub fn write(&self, out: &mut impl Write) -> std::result::Result<Vec<String>, Stop> {
        let best = self.counted.best()?;
        out.write_all(self.head().as_bytes())?;
        let rows = |rows: Range<usize>| self.rows(rows, best);
        let mut left_out = LeftOut::default();
        sweep::each(self.counted.points(), rows, |(text, more)| {
            left_out.and(more);
            out.write_all(&text).map_err(Stop::from)
        })?;
        let mut left_out = left_out.notes(self.counted.points());
        if matches!(self.format, Format::Table | Format::Markdown) {
            out.write_all(self.foot(best, std::mem::take(&mut left_out))?.as_bytes())?;
        }
        out.flush()?;
        Ok(left_out)
    }

    fn rows(&self, rows: Range<usize>, best: Best) -> Result<(Vec<u8>, LeftOut)> {
        let mut text = Vec::new();
        let start = self.start();
        let left_out = self.counted.rows(rows, best, |row| {
            let cells = row.cells;
            let written = match self.format {
                Format::Csv => self.csv(&start, cells, &mut text),
                Format::Json => self.json(&start, cells, &mut text),
                Format::Table | Format::Markdown => {
                    let mark = match (row.is_best, row.keeps) {
                        (true, _) => "best",
                        (false, true) => "",
                        (false, false) => "over",
                    };
                    let columns = self.counted.columns();
                    let shown = self.table.iter().map(|&(at, width)| {
                        (cells[at].shown(columns[at].unit), width, columns[at].unit)
                    });
                    self.line(shown, mark, &mut text)
                }
            };
            // A vector takes everything.
            written.unwrap_or_default();
        })?;
        Ok((text, left_out))
    }

    /// What every row begins with: the name of the model.
    fn start(&self) -> String {
        let id = &self.counted.source().id;
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
        for (column, cell) in self.counted.columns().iter().zip(cells) {
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
        self.counted.has_limits() || self.counted.goal().is_some()
    }

    fn head(&self) -> String {
        match self.format {
            Format::Json => return String::new(),
            Format::Csv => {
                let names: Vec<&str> =
                    self.counted.columns().iter().map(|column| column.name).collect();
                return format!("model,{}\n", names.join(","));
            }
            Format::Table | Format::Markdown => {}
        }
        let title = visible::visible(&ModelReport::of(self.counted.source()).title());
        let said = self.counted.said();
        let headings = || {
            self.table.iter().filter_map(|&(at, width)| {
                let column = self.counted.columns()[at];
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
        if let Some(goal) = self.counted.goal() {
            let mut said = "no row fits and keeps the limits".to_owned();
            if let Some((_, at)) = best {
                self.counted.rows(at..at + 1, best, |row| {
                    let axes = self.counted.axes();
                    let named = axes.iter().zip(row.cells);
                    let named = named.filter(|((_, alone), _)| alone.is_none());
                    let named = named.map(|((axis, _), cell)| {
                        format!("{} {}", axis.name, cell.shown(axis.unit))
                    });
                    let value = self.counted.best_cell(row.cells);
                    said = [value].into_iter().chain(named).collect::<Vec<_>>().join(", ");
                })?;
            }
            out += &format!("{prefix}best {}: {said}\n", goal.name());
        }
        for note in left_out.into_iter().chain(self.counted.notes()) {
            out += &format!("{prefix}{}\n", visible::visible(&note));
        }
        Ok(out)
    }
}

fn ranges(args: &SweepArgs) -> Result<Ranges> {
    let devices = args.device.iter().map(|name| device::find(name)).collect::<Result<_>>()?;
    Ok(Ranges {
        source: Arc::new(source::find(&args.model)?),
        prompt: args.prompt.clone(),
        generate: args.generate.clone(),
        sequence: args.sequence.clone(),
        recompute: args.recompute.clone(),
        accumulate: args.accumulate.clone(),
        flash: args.flash,
        batch: args.batch.clone(),
        conventions: args.convention.clone(),
        dtypes: args.dtype.clone(),
        kv_dtype: args.kv_dtype.clone(),
        devices,
        counts: args.devices.clone(),
        peak: args.peak.clone(),
        bandwidth: args.bandwidth,
        sizes: args.plans.sizes(),
        best: args.best,
        limits: args.limit.clone(),
    })
}
