//! Columns of requests, counted row by row: NumPy's arrays and Arrow's.

use crate::arguments::{device, whole};
use crate::convention::named;
use crate::error::{Failure, Result};
use crate::model::Model;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, ArrayRef, Decimal128Array, Float64Array, PrimitiveArray, UInt64Array};
use arrow_buffer::{ArrowNativeType, NullBuffer, ScalarBuffer};
use arrow_cast::CastOptions;
use arrow_schema::DataType;
use flopmeter::{Convention, Error, ErrorKind, Hardware, RequestCounter};
use flopmeter_report::Machine;
use flopmeter_source::Source;
use numpy::{IntoPyArray, PyArray1, PyArrayMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3_arrow::PyArray;
use pyo3_arrow::input::AnyArray;
use std::sync::Arc;

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
    let arrow = table.arrow;
    let nulls = table.nulls.clone();
    match dtype {
        "uint64" => {
            let counts = py.detach(|| {
                table.each(0, |flops| {
                    u64::try_from(flops).map_err(|_| {
                        let fact = format!("is {flops} FLOPs, more than 64 bits hold");
                        Error::new(ErrorKind::Overflow, "`dtype`", fact).hint("take \"exact\"")
                    })
                })
            })?;
            given(py, counts, nulls, arrow)
        }
        #[allow(clippy::cast_precision_loss)] // It is what was asked for.
        "float64" => {
            let counts = py.detach(|| table.each(0.0, |flops| Ok(flops as f64)))?;
            given_floats(py, counts, nulls, arrow)
        }
        "exact" => {
            let counts = py.detach(|| table.each(0, Ok))?;
            exact(py, &counts, nulls, arrow)
        }
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
    let times = Times::read(&seconds)?;
    table.join("seconds", &times.0)?;
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
    let (nulls, arrow) = (table.nulls.clone(), table.arrow || times.0.arrow);
    let ratios = py.detach(|| {
        table.each_row(0.0, |row, model, flops| {
            hardware[model].flops_utilization(flops, times.0.value(row))
        })
    })?;
    given_floats(py, ratios, nulls, arrow)
}

/// A column: a value for each row, or one for all.
struct Column<T: ArrowNativeType> {
    values: ScalarBuffer<T>,
    /// From a row's place to the next row's: 0 where one value is for all.
    step: usize,
    nulls: Option<NullBuffer>,
    /// Whether Arrow gave it.
    arrow: bool,
}

impl<T: ArrowNativeType> Column<T> {
    fn one(value: T) -> Self {
        Self { values: vec![value].into(), step: 0, nulls: None, arrow: false }
    }

    fn of<P: arrow_array::ArrowPrimitiveType<Native = T>>(
        array: &PrimitiveArray<P>,
        arrow: bool,
    ) -> Self {
        Self { values: array.values().clone(), step: 1, nulls: array.nulls().cloned(), arrow }
    }

    fn value(&self, row: usize) -> T {
        self.values[row * self.step]
    }

    /// How many rows it has, if it says so.
    fn rows(&self) -> Option<usize> {
        (self.step > 0).then_some(self.values.len())
    }
}

/// Columns of requests.
struct Table {
    sources: Vec<Arc<Source>>,
    convention: Convention,
    codes: Column<u64>,
    prompt: Column<u64>,
    generate: Column<u64>,
    cached: Column<u64>,
    rows: Option<usize>,
    nulls: Option<NullBuffer>,
    arrow: bool,
}

impl Table {
    fn read(
        models: Vec<Bound<'_, Model>>,
        codes: Option<Bound<'_, PyAny>>,
        [prompt, generate, cached]: [Bound<'_, PyAny>; 3],
        convention: Convention,
    ) -> Result<Self> {
        let sources = models.iter().map(|model| Arc::clone(&model.get().source)).collect();
        let codes = match codes {
            Some(codes) => numbers("codes", &codes)?,
            None => Column::one(0),
        };
        let mut table = Self {
            sources,
            convention,
            codes: Column::one(0),
            prompt: numbers("prompt", &prompt)?,
            generate: numbers("generate", &generate)?,
            cached: numbers("cached", &cached)?,
            rows: None,
            nulls: None,
            arrow: false,
        };
        table.join("codes", &codes)?;
        table.codes = codes;
        let columns: [(&str, Column<u64>); 3] = [
            ("prompt", std::mem::replace(&mut table.prompt, Column::one(0))),
            ("generate", std::mem::replace(&mut table.generate, Column::one(0))),
            ("cached", std::mem::replace(&mut table.cached, Column::one(0))),
        ];
        for (name, column) in &columns {
            table.join(name, column)?;
        }
        let [prompt, generate, cached] = columns.map(|(_, column)| column);
        (table.prompt, table.generate, table.cached) = (prompt, generate, cached);
        Ok(table)
    }

    /// Rows and nulls that a further column has.
    fn join<T: ArrowNativeType>(&mut self, name: &str, column: &Column<T>) -> Result<()> {
        match (self.rows, column.rows()) {
            (Some(rows), Some(more)) if rows != more => {
                let fact = format!("has {more} rows, and the columns before it have {rows}");
                return Err(Error::new(ErrorKind::Workload, format!("`{name}`"), fact).into());
            }
            (rows, more) => self.rows = rows.or(more),
        }
        self.nulls = NullBuffer::union(self.nulls.as_ref(), column.nulls.as_ref());
        self.arrow |= column.arrow;
        Ok(())
    }

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
        let counters: Vec<RequestCounter<'_>> =
            self.sources.iter().map(|source| source.model.counter(&self.convention)).collect();
        let count = |row: usize| {
            let code = usize::try_from(self.codes.value(row)).unwrap_or(usize::MAX);
            let Some(counter) = counters.get(code) else {
                let fact = format!("is {code}, and there are {} models", counters.len());
                return Err(Error::new(ErrorKind::Workload, "`codes`", fact));
            };
            let lengths = [&self.prompt, &self.cached, &self.generate].map(|it| it.value(row));
            of(row, code, counter.total(lengths[0], lengths[1], lengths[2])?)
        };
        let mut out = Vec::with_capacity(self.rows.unwrap_or(1));
        for row in 0..self.rows.unwrap_or(1) {
            out.push(match &self.nulls {
                Some(nulls) if nulls.is_null(row) => null,
                _ => count(row).map_err(|error| error.within(&format!("row {row}")))?,
            });
        }
        Ok(out)
    }
}

/// Seconds, of any width.
struct Times(Column<f64>);

impl Times {
    fn read(value: &Bound<'_, PyAny>) -> Result<Self> {
        if let Ok(one) = value.extract::<f64>() {
            return Ok(Self(Column::one(one)));
        }
        let (array, arrow) = array("seconds", value)?;
        if !array.data_type().is_numeric() {
            return Err(not_of("seconds", array.data_type(), "numbers"));
        }
        let floats = arrow_cast::cast(&array, &DataType::Float64).map_err(unlike("seconds"))?;
        Ok(Self(Column::of(floats.as_primitive::<arrow_array::types::Float64Type>(), arrow)))
    }
}

/// A column of whole numbers, or one number.
fn numbers(name: &str, value: &Bound<'_, PyAny>) -> Result<Column<u64>> {
    if !value.hasattr("__len__")? && !is_arrow(value)? {
        return Ok(Column::one(whole(name, value)?));
    }
    let (array, arrow) = array(name, value)?;
    if !array.data_type().is_integer() {
        return Err(not_of(name, array.data_type(), "whole numbers"));
    }
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let numbers = arrow_cast::cast_with_options(&array, &DataType::UInt64, &strict);
    let numbers = numbers.map_err(|error| {
        let signed = arrow_cast::cast(&array, &DataType::Int64).ok();
        let negative = signed.as_ref().and_then(|signed| {
            let signed = signed.as_primitive::<arrow_array::types::Int64Type>();
            let row = signed.iter().position(|value| value.is_some_and(|value| value < 0))?;
            Some((row, signed.value(row)))
        });
        match negative {
            Some((row, value)) => {
                let fact = format!("is {value}, and at least 0 is counted");
                Error::new(ErrorKind::Workload, format!("`{name}`, row {row}"), fact).into()
            }
            None => unlike(name)(error),
        }
    })?;
    Ok(Column::of(numbers.as_primitive::<UInt64Type>(), arrow))
}

fn is_arrow(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(value.hasattr("__arrow_c_array__")? || value.hasattr("__arrow_c_stream__")?)
}

/// An array of Arrow's or of NumPy's as one of Arrow's, and whether it was one.
fn array(name: &str, value: &Bound<'_, PyAny>) -> Result<(ArrayRef, bool)> {
    if is_arrow(value)? {
        let chunked = value.extract::<AnyArray>()?.into_chunked_array().map_err(PyErr::from)?;
        let chunks: Vec<&dyn Array> = chunked.chunks().iter().map(|chunk| &**chunk).collect();
        let array = match chunks.as_slice() {
            [] => arrow_array::new_empty_array(chunked.field().data_type()),
            chunks => arrow_select::concat::concat(chunks).map_err(unlike(name))?,
        };
        return Ok((array, true));
    }
    let Ok(untyped) = value.cast::<PyUntypedArray>() else {
        let kind = value.get_type().name()?.to_string();
        let text = format!("`{name}`: is of type {kind}; give an array of NumPy or Arrow");
        return Err(PyTypeError::new_err(text).into());
    };
    if untyped.ndim() != 1 {
        let fact = format!("has {} dimensions, and a column has one", untyped.ndim());
        return Err(Error::new(ErrorKind::Workload, format!("`{name}`"), fact).into());
    }
    macro_rules! of_type {
        ($($native:ty)*) => {
            $(if let Ok(array) = value.cast::<PyArray1<$native>>() {
                let array = array.readonly();
                let values: Vec<$native> = match array.as_slice() {
                    Ok(values) => values.to_vec(),
                    Err(_) => array.as_array().iter().copied().collect(),
                };
                return Ok((Arc::new(PrimitiveArray::<<$native as Native>::Type>::from(values)), false));
            })*
        };
    }
    of_type!(u64 i64 u32 i32 u16 i16 u8 i8 f64 f32);
    let dtype = untyped.dtype().str()?.to_string();
    let text = format!("`{name}`: is of dtype {dtype}, and whole numbers are counted");
    Err(PyTypeError::new_err(text).into())
}

/// Arrow's type of a native one.
trait Native {
    type Type: arrow_array::ArrowPrimitiveType<Native = Self>;
}

macro_rules! native {
    ($($native:ty: $type:ident)*) => {
        $(impl Native for $native {
            type Type = arrow_array::types::$type;
        })*
    };
}

native! {
    u64: UInt64Type i64: Int64Type u32: UInt32Type i32: Int32Type u16: UInt16Type i16: Int16Type
    u8: UInt8Type i8: Int8Type f64: Float64Type f32: Float32Type
}

fn not_of(name: &str, data_type: &DataType, what: &str) -> Failure {
    let text = format!("`{name}`: is a column of {data_type}, and {what} are taken");
    PyTypeError::new_err(text).into()
}

fn unlike(name: &str) -> impl Fn(arrow_schema::ArrowError) -> Failure {
    let name = name.to_owned();
    move |error| PyTypeError::new_err(format!("`{name}`: {error}")).into()
}

fn given(
    py: Python<'_>,
    values: Vec<u64>,
    nulls: Option<NullBuffer>,
    arrow: bool,
) -> Result<Bound<'_, PyAny>> {
    if arrow {
        return column(py, Arc::new(UInt64Array::new(values.into(), nulls)));
    }
    Ok(values.into_pyarray(py).into_any())
}

fn given_floats(
    py: Python<'_>,
    values: Vec<f64>,
    nulls: Option<NullBuffer>,
    arrow: bool,
) -> Result<Bound<'_, PyAny>> {
    if arrow {
        return column(py, Arc::new(Float64Array::new(values.into(), nulls)));
    }
    Ok(values.into_pyarray(py).into_any())
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
    column(py, Arc::new(decimals))
}

/// A column that other libraries take through Arrow's capsules.
fn column(py: Python<'_>, array: ArrayRef) -> Result<Bound<'_, PyAny>> {
    Ok(Bound::new(py, PyArray::from_array_ref(array))?.into_any())
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(crate::model::_model, module)?)?;
    module.add_function(wrap_pyfunction!(_flops_array, module)?)?;
    module.add_function(wrap_pyfunction!(_utilization_array, module)?)
}
