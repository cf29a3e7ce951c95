//! The columns of a sweep, each of one type.

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int32Array, StringArray, UInt64Array,
};
use flopmeter::{Error, ErrorKind, Result};
use flopmeter_report::sweep::{self, Cell, Unit};
use pyo3::prelude::*;
use pyo3::types::PyList;
use std::ops::Range;
use std::sync::Arc;

/// A column.
pub struct Column {
    pub name: &'static str,
    values: Values,
}

/// Its values; what is not known is none.
enum Values {
    /// The different words, and the place of each row's.
    Words(Vec<String>, Vec<Option<i32>>),
    Whole(Vec<Option<u128>>),
    Real(Vec<Option<f64>>),
    Truth(Vec<Option<bool>>),
}

impl Column {
    /// An empty one.
    pub fn new(column: &sweep::Column) -> Self {
        let values = match column.unit {
            Unit::Word => Values::Words(Vec::new(), Vec::new()),
            Unit::Count | Unit::Whole(_) => Values::Whole(Vec::new()),
            Unit::Real(_) | Unit::Share => Values::Real(Vec::new()),
            Unit::Truth => Values::Truth(Vec::new()),
        };
        Self { name: column.name, values }
    }

    /// Adds a cell. A column's cells are of its unit.
    pub fn push(&mut self, cell: &Cell<'_>) {
        match (&mut self.values, cell) {
            (Values::Words(known, places), Cell::Word(word)) => places.push(place(known, word)),
            (Values::Words(_, places), _) => places.push(None),
            (Values::Whole(values), Cell::Whole(value)) => values.push(Some(*value)),
            (Values::Whole(values), _) => values.push(None),
            (Values::Real(values), cell) => values.push(cell.value()),
            (Values::Truth(values), Cell::Truth(value)) => values.push(Some(*value)),
            (Values::Truth(values), _) => values.push(None),
        }
    }

    /// Adds the cells of another of the same kind.
    pub fn append(&mut self, more: Self) {
        match (&mut self.values, more.values) {
            (Values::Words(known, places), Values::Words(words, more)) => {
                let moved: Vec<Option<i32>> = words.iter().map(|word| place(known, word)).collect();
                let at = |place: i32| usize::try_from(place).ok().and_then(|at| moved[at]);
                places.extend(more.into_iter().map(|place| place.and_then(at)));
            }
            (Values::Whole(values), Values::Whole(more)) => values.extend(more),
            (Values::Real(values), Values::Real(more)) => values.extend(more),
            (Values::Truth(values), Values::Truth(more)) => values.extend(more),
            _ => {}
        }
    }

    /// Some of its rows, for Python.
    pub fn values<'py>(&self, py: Python<'py>, rows: Range<usize>) -> PyResult<Bound<'py, PyList>> {
        match &self.values {
            Values::Words(known, places) => {
                let word = |place: &Option<i32>| {
                    place.and_then(|place| known.get(usize::try_from(place).ok()?))
                };
                PyList::new(py, places[rows].iter().map(word))
            }
            Values::Whole(values) => PyList::new(py, &values[rows]),
            Values::Real(values) => PyList::new(py, &values[rows]),
            Values::Truth(values) => PyList::new(py, &values[rows]),
        }
    }

    /// All of it, for Arrow.
    pub fn array(&self) -> Result<ArrayRef> {
        Ok(match &self.values {
            Values::Words(known, places) => {
                let places = Int32Array::from(places.clone());
                let words = Arc::new(StringArray::from_iter_values(known));
                let wrong = |error: arrow_schema::ArrowError| self.wrong(error.to_string());
                let array = DictionaryArray::<Int32Type>::try_new(places, words);
                Arc::new(array.map_err(wrong)?)
            }
            Values::Whole(values) => {
                let fits = |value: u128| {
                    let wide = || self.wrong(format!("has {value}, which 64 bits cannot hold"));
                    u64::try_from(value).map_err(|_| wide().hint("`to_dict` has it"))
                };
                let values = values.iter().map(|value| value.map(fits).transpose());
                Arc::new(values.collect::<Result<UInt64Array>>()?)
            }
            Values::Real(values) => Arc::new(Float64Array::from(values.clone())),
            Values::Truth(values) => Arc::new(BooleanArray::from(values.clone())),
        })
    }

    fn wrong(&self, fact: String) -> Error {
        Error::new(ErrorKind::Overflow, format!("column `{}`", self.name), fact)
    }
}

/// The place of a word among the known ones, which are few.
fn place(known: &mut Vec<String>, word: &str) -> Option<i32> {
    let at = known.iter().position(|it| it == word).unwrap_or_else(|| {
        known.push(word.to_owned());
        known.len() - 1
    });
    i32::try_from(at).ok()
}
