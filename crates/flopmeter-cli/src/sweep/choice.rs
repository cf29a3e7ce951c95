//! Which rows are within the limits, and which of them is the best.

use super::cells::{Cell, Column};
use crate::args::Goal;
use flopmeter::{Error, ErrorKind, Result};

/// What is asked of a row, by the places of its cells.
pub struct Choice {
    limits: Vec<(usize, Goal, f64)>,
    best: Option<(usize, Goal)>,
    fits: Option<usize>,
}

impl Choice {
    pub fn new(columns: &[Column], limits: &[(Goal, f64)], best: Option<Goal>) -> Result<Self> {
        let place = |name: &str| columns.iter().position(|column| column.name == name);
        let of = |goal: Goal| {
            place(column(goal)).ok_or_else(|| {
                let fact = "is of requests, and these are steps of training";
                Error::new(ErrorKind::Workload, goal.name(), fact)
                    .hint("latency, throughput, throughput-per-device, mfu and memory are of both")
            })
        };
        let limits = limits.iter().map(|&(goal, value)| Ok((of(goal)?, goal, value)));
        Ok(Self {
            limits: limits.collect::<Result<_>>()?,
            best: best.map(|goal| Ok::<_, Error>((of(goal)?, goal))).transpose()?,
            fits: place("fits"),
        })
    }

    pub fn has_limits(&self) -> bool {
        !self.limits.is_empty()
    }

    /// By what the best row is chosen.
    pub fn best(&self) -> Option<Goal> {
        self.best.map(|(_, goal)| goal)
    }

    /// What the best row is chosen by, in a row.
    pub fn best_cell(&self, cells: &[Cell<'_>], columns: &[Column]) -> String {
        self.best.map(|(at, _)| cells[at].shown(columns[at].unit)).unwrap_or_default()
    }

    /// Whether a row keeps every limit. What is not known keeps none.
    pub fn keeps(&self, cells: &[Cell<'_>]) -> bool {
        self.limits.iter().all(|&(at, goal, limit)| {
            cells[at].value().is_some_and(|value| match goal.is_cost() {
                true => value <= limit,
                false => value >= limit,
            })
        })
    }

    /// How good a row is that may be chosen: the greater the better.
    pub fn merit(&self, cells: &[Cell<'_>]) -> Option<f64> {
        let (at, goal) = self.best?;
        let fits = self.fits.is_none_or(|fits| cells[fits] != Cell::Truth(false));
        let value = cells[at].value().filter(|_| fits && self.keeps(cells))?;
        Some(if goal.is_cost() { -value } else { value })
    }
}

/// The column that a goal is read from.
fn column(goal: Goal) -> &'static str {
    match goal {
        Goal::Latency => "seconds",
        Goal::Ttft => "prefill_seconds",
        Goal::Tpot => "seconds_per_token",
        Goal::Throughput => "tokens_per_second",
        Goal::ThroughputPerDevice => "tokens_per_second_per_device",
        Goal::Mfu => "mfu",
        Goal::Mbu => "mbu",
        Goal::Memory => "memory_bytes_per_device",
    }
}
