//! Which rows are within the limits, and which of them is the best.

use super::cells::{Cell, Column};
use flopmeter::{Error, ErrorKind, Result};
use std::str::FromStr;

/// By what one row is better than another. All are of the ideal time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Time of the whole request, or of a step.
    Latency,
    /// Time to the first token.
    Ttft,
    /// Time of a further token.
    Tpot,
    /// Tokens a second.
    Throughput,
    /// Tokens a second and device.
    ThroughputPerDevice,
    /// FLOPs of what the peak makes possible.
    Mfu,
    /// Bytes of what the bandwidth makes possible.
    Mbu,
    /// Bytes that a device holds.
    Memory,
}

impl Goal {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Latency,
        Self::Ttft,
        Self::Tpot,
        Self::Throughput,
        Self::ThroughputPerDevice,
        Self::Mfu,
        Self::Mbu,
        Self::Memory,
    ];

    /// Whether less is better.
    pub const fn is_cost(self) -> bool {
        matches!(self, Self::Latency | Self::Ttft | Self::Tpot | Self::Memory)
    }

    /// The name that is typed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Ttft => "ttft",
            Self::Tpot => "tpot",
            Self::Throughput => "throughput",
            Self::ThroughputPerDevice => "throughput-per-device",
            Self::Mfu => "mfu",
            Self::Mbu => "mbu",
            Self::Memory => "memory",
        }
    }
}

impl FromStr for Goal {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|goal| goal.name() == name).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|goal| goal.name()).collect();
            let fact = format!("nothing is called `{name}`; known: {}", names.join(", "));
            Error::new(ErrorKind::Workload, "goal", fact)
        })
    }
}

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
