//! Many points: every combination of what is gone through, a row each. What is kept at a time does not grow with their
//! number.
//!
//! ```text
//! Ranges ─► Grid ─► cells of a point ─► Choice ─► Row
//! ```

mod axes;
mod blocks;
mod cells;
mod choice;
mod conventions;
mod grid;
mod places;
mod plans;
mod ranges;
mod requests;
mod steps;
mod values;

pub use blocks::each;
pub use cells::{Cell, Column, Unit};
pub use choice::Goal;
pub use plans::LeftOut;
pub use ranges::{Ranges, Sizes};
pub use values::Values;

use choice::Choice;
use flopmeter::device::Device;
use flopmeter::{Error, ErrorKind, Result};
use flopmeter_source::Source;
use grid::Grid;
use plans::Last;
use std::ops::Range;

/// Columns of the busiest rank.
const OF_RANKS: [Column; 3] = [
    Column::new("rank_flops", "a rank", Unit::Whole("FLOP")),
    Column::new("sent_bytes", "sent", Unit::Whole("B")),
    Column::new("link_seconds", "links", Unit::Real("s")),
];

/// Their cells: FLOPs, and what is sent over the links of a device.
fn of_ranks(flops: u128, sent: u128, device: Option<&Device>) -> [Cell<'static>; 3] {
    let link = device.and_then(Device::link);
    [Cell::Whole(flops), Cell::Whole(sent), Cell::of(link.map(|link| sent as f64 / link.0))]
}

/// A sweep, ready to be counted.
pub struct Sweep {
    grid: Grid,
    choice: Choice,
    columns: Vec<Column>,
}

/// The best point and how good it is, the greater the better.
pub type Best = Option<(f64, usize)>;

/// A row that has been counted.
#[derive(Debug, Clone, Copy)]
pub struct Row<'r, 's> {
    /// Its cells, one a column.
    pub cells: &'r [Cell<'s>],
    /// Whether it keeps the limits.
    pub keeps: bool,
    /// Whether it is the best.
    pub is_best: bool,
}

impl Sweep {
    /// Reads what is gone through.
    ///
    /// # Errors
    ///
    /// If something is not known by its name, there are too many points, or all of them or the largest cannot be counted.
    pub fn new(ranges: &Ranges) -> Result<Self> {
        let grid = Grid::new(ranges)?;
        let chooses = ranges.best.is_some() || !ranges.limits.is_empty();
        if chooses
            && ranges.devices.is_empty()
            && ranges.peak.is_empty()
            && ranges.bandwidth.is_none()
        {
            let fact = "is missing, and which row is best or within a limit is a device's";
            return Err(Error::new(ErrorKind::Peak, "--device", fact));
        }
        if let Some((goal, limit)) =
            ranges.limits.iter().find(|(_, limit)| !(limit.is_finite() && *limit > 0.0))
        {
            let fact = format!("of {} is {limit}, and has to be a number above zero", goal.name());
            return Err(Error::new(ErrorKind::Workload, "limit", fact));
        }
        let mut columns: Vec<Column> =
            grid.axes.columns().into_iter().map(|(column, _)| column).collect();
        columns.extend(grid.columns());
        let choice = Choice::new(&columns, &ranges.limits, ranges.best)?;
        if choice.has_limits() {
            columns.push(Column::exact("within_limits", Unit::Truth));
        }
        if choice.best().is_some() {
            columns.push(Column::exact("best", Unit::Truth));
        }
        Ok(Self { grid, choice, columns })
    }

    /// The model.
    pub fn source(&self) -> &Source {
        &self.grid.source
    }

    /// All columns of a row, the axes first.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The columns of the axes, each with its one place as it is shown, if it has one alone.
    pub fn axes(&self) -> Vec<(Column, Option<String>)> {
        self.grid.axes.columns()
    }

    /// What a table has of a row: the places of cells, and how wide they get.
    pub fn table(&self) -> Vec<(usize, usize)> {
        let axes = self.axes();
        let place = |(at, column): (usize, &Column)| {
            let width = match axes.get(at) {
                Some((_, Some(_))) => return None,
                Some((_, None)) => self.grid.axes.width(at),
                None => column.unit.width(),
            };
            Some((at, width.max(column.heading?.chars().count())))
        };
        self.columns.iter().enumerate().filter_map(place).collect()
    }

    /// What a table's head has: the axes of one place alone, and the convention.
    pub fn said(&self) -> String {
        let alone = self.axes().into_iter().filter_map(|(column, alone)| {
            let heading = column.heading.filter(|_| column.name != "convention")?;
            Some(format!("{heading} {}", alone?))
        });
        let mut said = alone.collect::<Vec<_>>().join(", ");
        if let Some(convention) = self.grid.convention() {
            said += &format!("; convention {}", convention.id);
        }
        said
    }

    /// How many points there are, those without a row included.
    pub fn points(&self) -> usize {
        self.grid.count
    }

    /// What a reader should know of model and devices.
    pub fn notes(&self) -> Vec<String> {
        self.grid.notes()
    }

    /// Whether rows are held against limits.
    pub fn has_limits(&self) -> bool {
        self.choice.has_limits()
    }

    /// By what the best row is chosen, if one is.
    pub fn goal(&self) -> Option<Goal> {
        self.choice.best()
    }

    /// The cell that the best row is chosen by, as it is shown.
    pub fn best_cell(&self, cells: &[Cell<'_>]) -> String {
        self.choice.best_cell(cells, &self.columns)
    }

    /// The best row, the first of equal ones. It has to be known before the first row is written.
    ///
    /// # Errors
    ///
    /// If a point has no number.
    pub fn best(&self) -> Result<Best> {
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
        each(self.points(), of, |next| {
            best = better(best, next);
            Ok::<_, Error>(())
        })?;
        Ok(best)
    }

    /// Gives some rows to `take`, in their order, and back what has none.
    ///
    /// # Errors
    ///
    /// If a point has no number.
    pub fn rows(
        &self,
        points: Range<usize>,
        best: Best,
        mut take: impl FnMut(Row<'_, '_>),
    ) -> Result<LeftOut> {
        let (mut last, mut cells) = (Last::default(), Vec::new());
        let mut left_out = LeftOut::default();
        for point in points {
            if !self.grid.cells(point, &mut last, &mut cells)?.counted(&mut left_out) {
                continue;
            }
            let keeps = self.choice.keeps(&cells);
            let is_best = best.is_some_and(|(_, best)| best == point);
            if self.choice.has_limits() {
                cells.push(Cell::Truth(keeps));
            }
            if self.choice.best().is_some() {
                cells.push(Cell::Truth(is_best));
            }
            take(Row { cells: &cells, keeps, is_best });
        }
        Ok(left_out)
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
