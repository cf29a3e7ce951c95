//! Columns of requests, counted row by row.

use crate::arguments::{device, whole};
use crate::column::{Column, View, given, shared, unlike};
use crate::convention::named;
use crate::error::Result;
use crate::model::Model;
use arrow_array::Decimal128Array;
use arrow_array::types::{ArrowPrimitiveType, Float64Type, UInt64Type};
use arrow_buffer::NullBuffer;
use flopmeter::{Convention, Error, ErrorKind, Hardware, RequestCounter};
use flopmeter_report::Machine;
use flopmeter_source::Source;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use std::sync::Arc;

/// Rows that are read at a time: what is between their columns and their counts stays in a processor's nearest cache.
const PIECE: usize = 1024;

/// FLOPs of each row: `models` are those that `codes` number, one for all rows without.
#[pyfunction]
#[pyo3(signature = (models, codes, prompt, generate, cached, convention, dtype))]
#[allow(clippy::too_many_arguments, reason = "columns")]
fn _flops_array<'py>(
    py: Python<'py>,
    models: Vec<Bound<'py, Model>>,
    codes: Option<Bound<'py, PyAny>>,
    prompt: Bound<'py, PyAny>,
    generate: Bound<'py, PyAny>,
    cached: Bound<'py, PyAny>,
    convention: &str,
    dtype: &str,
) -> Result<Bound<'py, PyAny>> {
    let table = Table::read(models, codes, [prompt, generate, cached], named(convention)?)?;
    let requests = table.requests();
    let Shape { nulls, arrow, .. } = table.shape.clone();
    match dtype {
        "uint64" => {
            let counts = py.detach(|| {
                requests.each(0, |flops| {
                    u64::try_from(flops).map_err(|_| {
                        let fact = format!("is {flops} FLOPs, more than 64 bits hold");
                        Error::new(ErrorKind::Overflow, "`dtype`", fact).hint("take \"exact\"")
                    })
                })
            })?;
            given(py, counts, nulls, arrow)
        }
        "float64" => {
            given(py, py.detach(|| requests.each(0.0, |flops| Ok(float(flops))))?, nulls, arrow)
        }
        "exact" => exact(py, &py.detach(|| requests.each(0, Ok))?, nulls, arrow),
        _ => {
            let text = format!("`dtype`: is {dtype:?}; give \"uint64\", \"float64\" or \"exact\"");
            Err(PyTypeError::new_err(text).into())
        }
    }
}

/// MFU of each row on some devices that took `seconds` for it.
#[pyfunction]
#[allow(clippy::too_many_arguments, reason = "columns")]
fn _utilization_array<'py>(
    py: Python<'py>,
    models: Vec<Bound<'py, Model>>,
    codes: Option<Bound<'py, PyAny>>,
    prompt: Bound<'py, PyAny>,
    generate: Bound<'py, PyAny>,
    cached: Bound<'py, PyAny>,
    seconds: Bound<'py, PyAny>,
    device: Bound<'py, PyAny>,
    devices: Bound<'py, PyAny>,
    convention: &str,
) -> Result<Bound<'py, PyAny>> {
    let mut table = Table::read(models, codes, [prompt, generate, cached], named(convention)?)?;
    let seconds = Column::<Float64Type>::numbers("seconds", &seconds)?;
    table.shape.join(&seconds)?;
    let device = self::device(&device)?;
    let count = whole("devices", &devices)?;
    let hardware = table
        .sources
        .iter()
        .map(|source| {
            let dtype = source.model.quantization().compute;
            Ok(Machine::of(device.clone(), count, dtype)?.hardware)
        })
        .collect::<flopmeter::Result<Vec<Hardware>>>()?;
    let (requests, seconds) = (table.requests(), seconds.view());
    let Shape { nulls, arrow, .. } = table.shape.clone();
    let ratios = py.detach(|| {
        let seconds = seconds.piece(0..table.shape.rows())?;
        requests.each_row(0.0, |row, model, flops| {
            hardware[model].flops_utilization(flops, seconds[row])
        })
    })?;
    given(py, ratios, nulls, arrow)
}

/// Columns of requests.
struct Table<'py> {
    sources: Vec<Arc<Source>>,
    convention: Convention,
    codes: Column<'py, UInt64Type>,
    prompt: Column<'py, UInt64Type>,
    generate: Column<'py, UInt64Type>,
    cached: Column<'py, UInt64Type>,
    shape: Shape,
}

/// What columns of one table have together.
#[derive(Clone, Default)]
struct Shape {
    /// How many rows they have, if one says so.
    rows: Option<usize>,
    /// Where one of them has no value.
    nulls: Option<NullBuffer>,
    /// Whether Arrow gave one of them.
    arrow: bool,
}

impl Shape {
    fn rows(&self) -> usize {
        self.rows.unwrap_or(1)
    }

    fn join<P: ArrowPrimitiveType>(&mut self, column: &Column<'_, P>) -> Result<()> {
        match (self.rows, column.len()) {
            (Some(rows), Some(more)) if rows != more => {
                let fact = format!("has {more} rows, and the columns before it have {rows}");
                let place = format!("`{}`", column.name());
                return Err(Error::new(ErrorKind::Workload, place, fact).into());
            }
            (rows, more) => self.rows = rows.or(more),
        }
        self.nulls = NullBuffer::union(self.nulls.as_ref(), column.nulls());
        self.arrow |= column.is_arrow();
        Ok(())
    }
}

impl<'py> Table<'py> {
    fn read(
        models: Vec<Bound<'py, Model>>,
        codes: Option<Bound<'py, PyAny>>,
        [prompt, generate, cached]: [Bound<'py, PyAny>; 3],
        convention: Convention,
    ) -> Result<Self> {
        let mut shape = Shape::default();
        let mut column = |name, value: &Bound<'py, PyAny>| {
            let column = Column::whole_numbers(name, value)?;
            shape.join(&column)?;
            Ok::<_, crate::error::Failure>(column)
        };
        let codes = match codes {
            Some(codes) => column("codes", &codes)?,
            None => Column::one("codes", 0),
        };
        let prompt = column("prompt", &prompt)?;
        let generate = column("generate", &generate)?;
        let cached = column("cached", &cached)?;
        let sources = models.iter().map(|model| Arc::clone(&model.get().source)).collect();
        Ok(Self { sources, convention, codes, prompt, generate, cached, shape })
    }

    /// The same for a thread without Python's lock.
    fn requests(&self) -> Requests<'_> {
        let sources = self.sources.iter();
        Requests {
            counters: sources.map(|source| source.model.counter(&self.convention)).collect(),
            codes: self.codes.view(),
            lengths: [&self.prompt, &self.cached, &self.generate].map(Column::view),
            shape: &self.shape,
        }
    }
}

/// Requests, and what counts them.
struct Requests<'a> {
    counters: Vec<RequestCounter<'a>>,
    codes: View<'a, UInt64Type>,
    /// Of the prompt, of what is cached and of what is generated.
    lengths: [View<'a, UInt64Type>; 3],
    shape: &'a Shape,
}

impl Requests<'_> {
    fn each<T: Copy>(
        &self,
        null: T,
        of: impl Fn(u128) -> flopmeter::Result<T>,
    ) -> flopmeter::Result<Vec<T>> {
        self.each_row(null, |_, _, flops| of(flops))
    }

    /// Counts row by row; where a row has a null, nothing is counted.
    fn each_row<T: Copy>(
        &self,
        null: T,
        of: impl Fn(usize, usize, u128) -> flopmeter::Result<T>,
    ) -> flopmeter::Result<Vec<T>> {
        let rows = self.shape.rows();
        let nulls = self.shape.nulls.as_ref();
        let mut out = Vec::with_capacity(rows);
        for start in (0..rows).step_by(PIECE) {
            let piece = start..rows.min(start + PIECE);
            let codes = self.codes.piece(piece.clone())?;
            let [prompt, cached, generate] = &self.lengths;
            let prompt = prompt.piece(piece.clone())?;
            let cached = cached.piece(piece.clone())?;
            let generate = generate.piece(piece.clone())?;
            let lengths = prompt.iter().zip(&*cached).zip(&*generate);
            for ((row, &code), ((&prompt, &cached), &generate)) in piece.zip(&*codes).zip(lengths) {
                let count = || {
                    let model = usize::try_from(code).unwrap_or(usize::MAX);
                    let counter = self.counters.get(model).ok_or_else(|| self.no_model(code))?;
                    of(row, model, counter.total(prompt, cached, generate)?)
                };
                out.push(match nulls {
                    Some(nulls) if nulls.is_null(row) => null,
                    _ => count().map_err(|error| of_row(error, row))?,
                });
            }
        }
        Ok(out)
    }

    #[cold]
    fn no_model(&self, code: u64) -> Error {
        let fact = format!("is {code}, and there are {} models", self.counters.len());
        Error::new(ErrorKind::Workload, "`codes`", fact)
    }
}

#[cold]
fn of_row(error: Error, row: usize) -> Error {
    error.within(&format!("row {row}"))
}

/// The nearest float. From 64 bits a processor makes one by itself.
#[allow(clippy::cast_precision_loss, reason = "it is what was asked for")]
fn float(flops: u128) -> f64 {
    #[cold] // It is a call, and is made ahead of the question whether it is needed where it seems cheap.
    #[inline(never)]
    fn of_more(flops: u128) -> f64 {
        flops as f64
    }
    u64::try_from(flops).map_or_else(|_| of_more(flops), |flops| flops as f64)
}

/// The first number that has more digits than a decimal.
const MOST: i128 = 10_i128.pow(38);

/// Decimals of 38 digits, or Python's own integers.
fn exact<'py>(
    py: Python<'py>,
    values: &[u128],
    nulls: Option<NullBuffer>,
    arrow: bool,
) -> Result<Bound<'py, PyAny>> {
    if !arrow {
        let integers = pyo3::types::PyList::new(py, values)?;
        let options = pyo3::types::PyDict::new(py);
        options.set_item("dtype", "object")?;
        return Ok(py.import("numpy")?.call_method("array", (integers,), Some(&options))?);
    }
    let decimals = values.iter().enumerate().map(|(row, &value)| {
        i128::try_from(value).ok().filter(|value| *value < MOST).ok_or_else(|| {
            let fact = format!("is {value} FLOPs, more than a decimal holds");
            Error::new(ErrorKind::Overflow, format!("row {row}"), fact)
        })
    });
    let decimals = decimals.collect::<flopmeter::Result<Vec<i128>>>()?;
    let decimals = Decimal128Array::new(decimals.into(), nulls)
        .with_precision_and_scale(38, 0)
        .map_err(unlike("dtype"))?;
    shared(py, Arc::new(decimals))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(crate::model::_model, module)?)?;
    module.add_function(wrap_pyfunction!(_flops_array, module)?)?;
    module.add_function(wrap_pyfunction!(_utilization_array, module)?)
}
