//! What is gone through, an axis each; the last runs fastest.

use super::Values;
use super::cells::{Cell, Column, Unit};
use flopmeter::{Error, ErrorKind, Result};

/// The most points of a sweep: without parallel sizes it is counted in a few minutes.
const MOST: u128 = 100_000_000;

/// What an axis is of; all there are, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    Convention,
    Device,
    Dtype,
    Devices,
    Tensor,
    Pipeline,
    Data,
    Context,
    DecodeContext,
    Expert,
    ExpertTensor,
    VirtualStages,
    Zero,
    Prompt,
    Generate,
    Recompute,
    Sequence,
    Accumulate,
    Batch,
}

const COLUMNS: [Column; 19] = [
    Column::new("convention", "convention", Unit::Word),
    Column::new("device", "device", Unit::Word),
    Column::new("dtype", "dtype", Unit::Word),
    Column::new("devices", "devices", Unit::Count),
    Column::new("tp", "tp", Unit::Count),
    Column::new("pp", "pp", Unit::Count),
    Column::new("dp", "dp", Unit::Count),
    Column::new("cp", "cp", Unit::Count),
    Column::new("dcp", "dcp", Unit::Count),
    Column::new("ep", "ep", Unit::Count),
    Column::new("etp", "etp", Unit::Count),
    Column::new("virtual_stages", "virtual", Unit::Count),
    Column::new("zero", "zero", Unit::Count),
    Column::new("prompt", "prompt", Unit::Count),
    Column::new("generate", "generate", Unit::Count),
    Column::new("recompute", "recompute", Unit::Word),
    Column::new("sequence", "sequence", Unit::Count),
    Column::new("accumulate", "accumulate", Unit::Count),
    Column::new("batch", "batch", Unit::Count),
];

/// The places of an axis.
enum Places {
    Words(Vec<String>),
    Numbers(Values),
    /// One, of which nothing is known.
    Unknown,
}

struct Axis {
    of: Of,
    places: Places,
    count: u128,
}

/// All axes of a sweep, in their order.
#[derive(Default)]
pub struct Axes(Vec<Axis>);

/// Where a point is: a place on each axis, 0 on one that is not there.
#[derive(Debug, Clone, Copy)]
pub struct At([usize; COLUMNS.len()]);

impl At {
    pub fn place(&self, of: Of) -> usize {
        self.0[of as usize]
    }
}

impl Axes {
    /// Adds one behind the others: the order of [`Of`] is kept by whoever adds.
    pub fn words(&mut self, of: Of, words: impl IntoIterator<Item = String>) {
        let words: Vec<String> = words.into_iter().collect();
        self.0.push(Axis { of, count: words.len() as u128, places: Places::Words(words) });
    }

    pub fn numbers(&mut self, of: Of, values: &Values) {
        self.0.push(Axis { of, count: values.count(), places: Places::Numbers(values.clone()) });
    }

    pub fn unknown(&mut self, of: Of) {
        self.0.push(Axis { of, count: 1, places: Places::Unknown });
    }

    /// How many combinations they have.
    pub fn points(&self) -> Result<usize> {
        let all = self.0.iter().try_fold(1_u128, |points, axis| points.checked_mul(axis.count));
        all.filter(|all| *all <= MOST).and_then(|all| usize::try_from(all).ok()).ok_or_else(|| {
            let many = all.map_or("more than 2^128".into(), |points| points.to_string());
            let fact = format!("has {many} points; at most {MOST} are counted");
            Error::new(ErrorKind::Workload, "sweep", fact)
                .hint("take larger steps, or ranges that multiply: 1..65536x2")
        })
    }

    pub fn at(&self, point: usize) -> At {
        let mut at = [0; COLUMNS.len()];
        let mut rest = point;
        for axis in self.0.iter().rev().filter(|axis| axis.count > 1) {
            // All of them together are no more than `MOST`.
            let count = usize::try_from(axis.count).unwrap_or(usize::MAX);
            at[axis.of as usize] = rest % count;
            rest /= count;
        }
        At(at)
    }

    /// The number at a place, if the axis is one of numbers.
    pub fn number(&self, of: Of, at: &At) -> Option<u64> {
        let axis = self.0.iter().find(|axis| axis.of == of)?;
        match &axis.places {
            Places::Numbers(values) => values.get(at.place(of)),
            Places::Words(_) | Places::Unknown => None,
        }
    }

    /// The cells of a point, one an axis.
    pub fn cells<'s>(&'s self, at: &At, cells: &mut Vec<Cell<'s>>) {
        cells.extend(self.0.iter().map(|axis| axis.cell(at.place(axis.of))));
    }

    /// The columns, each with its one place as it is shown, if it has one alone. A table has none of what is unknown.
    pub fn columns(&self) -> Vec<(Column, Option<String>)> {
        let of = |axis: &Axis| {
            let column = COLUMNS[axis.of as usize];
            let alone = (axis.count == 1).then(|| axis.cell(0).shown(column.unit));
            match axis.places {
                Places::Unknown => (Column { heading: None, ..column }, alone),
                _ => (column, alone),
            }
        };
        self.0.iter().map(of).collect()
    }

    /// As wide as the cells of an axis get.
    pub fn width(&self, at: usize) -> usize {
        match &self.0[at].places {
            Places::Words(words) => words.iter().map(String::len).max().unwrap_or(0),
            Places::Numbers(values) => values.largest().to_string().len(),
            Places::Unknown => 1,
        }
    }
}

impl Axis {
    fn cell(&self, at: usize) -> Cell<'_> {
        match &self.places {
            Places::Words(words) => Cell::Word(&words[at]),
            Places::Numbers(values) => {
                values.get(at).map_or(Cell::Unknown, |value| Cell::Whole(value.into()))
            }
            Places::Unknown => Cell::Unknown,
        }
    }
}
