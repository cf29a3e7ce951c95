//! Columns that Python gives, NumPy's arrays and Arrow's, and those that it is given back.

use crate::arguments::{of_another_type, whole};
use crate::error::{Failure, Result};
use crate::keywords::extracted;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray};
use arrow_buffer::{ArrowNativeType, NullBuffer, ScalarBuffer};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::DataType;
use flopmeter::{Error, ErrorKind};
use numpy::ndarray::{Axis, Slice};
use numpy::{
    Element, IntoPyArray, PyArray1, PyArrayMethods, PyReadonlyArray1, PyUntypedArray,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3_arrow::PyArray;
use pyo3_arrow::input::AnyArray;
use std::ops::Range;
use std::sync::Arc;

/// A column as it is held while Python's lock is: a value for each row, or one for all.
pub struct Column<'py, P: ArrowPrimitiveType> {
    name: &'static str,
    held: Held<'py, P::Native>,
}

enum Held<'py, T> {
    One(T),
    Arrow(ArrayRef),
    Numpy(Box<dyn Rows + 'py>),
}

/// An array of NumPy's, of whichever width.
trait Rows {
    fn len(&self) -> usize;
    fn pieces(&self) -> Pieces<'_>;
}

/// Some rows of a column as an array of Arrow's.
type Pieces<'a> = Box<dyn Fn(Range<usize>) -> ArrayRef + Send + Sync + 'a>;

impl<T: Native> Rows for PyReadonlyArray1<'_, T> {
    fn len(&self) -> usize {
        PyUntypedArrayMethods::len(&**self)
    }

    fn pieces(&self) -> Pieces<'_> {
        let rows = self.as_array();
        Box::new(move |piece| {
            let values = rows.slice_axis(Axis(0), Slice::from(piece)).to_vec();
            Arc::new(PrimitiveArray::<T::Type>::new(values.into(), None))
        })
    }
}

/// Arrow's type of one of NumPy's.
pub trait Native: Element + ArrowNativeType {
    type Type: ArrowPrimitiveType<Native = Self>;
}

macro_rules! natives {
    ($($native:ty: $type:ident)*) => {
        $(impl Native for $native {
            type Type = arrow_array::types::$type;
        })*

        fn rows_of<'py>(array: &Bound<'py, PyAny>) -> PyResult<Option<Box<dyn Rows + 'py>>> {
            $(if let Ok(array) = array.cast::<PyArray1<$native>>() {
                return Ok(Some(Box::new(array.try_readonly()?)));
            })*
            Ok(None)
        }
    };
}

natives! {
    u64: UInt64Type i64: Int64Type u32: UInt32Type i32: Int32Type u16: UInt16Type i16: Int16Type
    u8: UInt8Type i8: Int8Type f64: Float64Type f32: Float32Type
}

impl<'py> Column<'py, UInt64Type> {
    /// Whole numbers, or one for all rows.
    pub fn whole_numbers(name: &'static str, value: &Bound<'py, PyAny>) -> Result<Self> {
        if !value.hasattr("__len__")? && !is_arrow(value)? {
            return Ok(Self::one(name, whole(name, value)?));
        }
        Self::read(name, value, "whole numbers", DataType::is_integer)
    }
}

impl<'py> Column<'py, Float64Type> {
    /// Numbers of any width, or one for all rows.
    pub fn numbers(name: &'static str, value: &Bound<'py, PyAny>) -> Result<Self> {
        match value.extract::<f64>() {
            Ok(one) => Ok(Self::one(name, one)),
            Err(_) => Self::read(name, value, "numbers", DataType::is_numeric),
        }
    }
}

impl<'py, P: ArrowPrimitiveType> Column<'py, P> {
    /// The same for all rows.
    pub fn one(name: &'static str, value: P::Native) -> Self {
        Self { name, held: Held::One(value) }
    }

    fn read(
        name: &'static str,
        value: &Bound<'py, PyAny>,
        what: &str,
        taken: fn(&DataType) -> bool,
    ) -> Result<Self> {
        let held = match is_arrow(value)? {
            true => Held::Arrow(match arrow(name, value)? {
                // Nulls alone are of no type, and of this one too.
                nulls if nulls.data_type() == &DataType::Null => {
                    arrow_array::new_null_array(&P::DATA_TYPE, nulls.len())
                }
                array => array,
            }),
            false => Held::Numpy(numpy(name, value)?),
        };
        let column = Self { name, held };
        let data_type = column.view().rows(0..0).map(|none| none.data_type().clone());
        match data_type.filter(|data_type| !taken(data_type)) {
            None => Ok(column),
            Some(other) => {
                let text = format!("`{name}`: is a column of {other}, and {what} are taken");
                Err(PyTypeError::new_err(text).into())
            }
        }
    }

    /// What it is called.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// How many rows it has, if it says so.
    pub fn len(&self) -> Option<usize> {
        match &self.held {
            Held::One(_) => None,
            Held::Arrow(array) => Some(array.len()),
            Held::Numpy(rows) => Some(rows.len()),
        }
    }

    pub fn nulls(&self) -> Option<&NullBuffer> {
        match &self.held {
            Held::Arrow(array) => array.nulls(),
            Held::One(_) | Held::Numpy(_) => None,
        }
    }

    /// Whether Arrow gave it.
    pub fn is_arrow(&self) -> bool {
        matches!(self.held, Held::Arrow(_))
    }

    /// The same for a thread without Python's lock.
    pub fn view(&self) -> View<'_, P> {
        View {
            name: self.name,
            seen: match &self.held {
                Held::One(value) => Seen::One(*value),
                Held::Arrow(array) => Seen::Rows(Box::new(|piece: Range<usize>| {
                    array.slice(piece.start, piece.len())
                })),
                Held::Numpy(rows) => Seen::Rows(rows.pieces()),
            },
        }
    }
}

/// A column that needs no lock of Python's to be read.
pub struct View<'a, P: ArrowPrimitiveType> {
    name: &'static str,
    seen: Seen<'a, P>,
}

enum Seen<'a, P: ArrowPrimitiveType> {
    One(P::Native),
    Rows(Pieces<'a>),
}

impl<P: ArrowPrimitiveType> View<'_, P> {
    fn rows(&self, piece: Range<usize>) -> Option<ArrayRef> {
        match &self.seen {
            Seen::One(_) => None,
            Seen::Rows(rows) => Some(rows(piece)),
        }
    }

    /// The values of some of its rows, in the width that is counted in.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Workload`] with the row of a number that has no place there: one below zero.
    pub fn piece(&self, piece: Range<usize>) -> flopmeter::Result<ScalarBuffer<P::Native>> {
        let array = match &self.seen {
            Seen::One(value) => return Ok(vec![*value; piece.len()].into()),
            Seen::Rows(rows) => rows(piece.clone()),
        };
        let strict = CastOptions { safe: false, ..CastOptions::default() };
        let cast = cast_with_options(&array, &P::DATA_TYPE, &strict);
        let cast = cast.map_err(|error| self.unlike(&array, piece.start, &error))?;
        Ok(cast.as_primitive::<P>().values().clone())
    }

    #[cold]
    fn unlike(&self, array: &ArrayRef, start: usize, error: &arrow_schema::ArrowError) -> Error {
        let place = |row| format!("`{}`, row {row}", self.name);
        let signed = cast_with_options(array, &DataType::Int64, &CastOptions::default()).ok();
        let negative = signed.as_ref().and_then(|signed| {
            let signed = signed.as_primitive::<Int64Type>();
            let row = signed.iter().position(|value| value.is_some_and(|value| value < 0))?;
            Some((start + row, signed.value(row)))
        });
        match negative {
            Some((row, value)) => {
                let fact = format!("is {value}, and at least 0 is counted");
                Error::new(ErrorKind::Workload, place(row), fact)
            }
            None => Error::new(ErrorKind::Workload, place(start), error.to_string()),
        }
    }
}

fn is_arrow(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(value.hasattr("__arrow_c_array__")? || value.hasattr("__arrow_c_stream__")?)
}

fn arrow(name: &str, value: &Bound<'_, PyAny>) -> Result<ArrayRef> {
    let array: AnyArray = extracted(name, value)?;
    let chunked = array.into_chunked_array().map_err(PyErr::from)?;
    let chunks: Vec<&dyn Array> = chunked.chunks().iter().map(|chunk| &**chunk).collect();
    match chunks.as_slice() {
        [] => Ok(arrow_array::new_empty_array(chunked.field().data_type())),
        chunks => arrow_select::concat::concat(chunks).map_err(unlike(name)),
    }
}

fn numpy<'py>(name: &str, value: &Bound<'py, PyAny>) -> Result<Box<dyn Rows + 'py>> {
    let Ok(untyped) = value.cast::<PyUntypedArray>() else {
        return Err(of_another_type(name, value, "an array of NumPy or Arrow").into());
    };
    if untyped.ndim() != 1 {
        let fact = format!("has {} dimensions, and a column has one", untyped.ndim());
        return Err(Error::new(ErrorKind::Workload, format!("`{name}`"), fact).into());
    }
    // A field of packed records may begin anywhere, and a copy begins where its numbers may.
    let aligned = value.getattr("flags")?.getattr("aligned")?.is_truthy()?;
    let rows = rows_of(&if aligned { value.clone() } else { value.call_method0("copy")? })?;
    rows.ok_or_else(|| {
        let text = format!("`{name}`: is of dtype {}, and numbers are counted", untyped.dtype());
        PyTypeError::new_err(text).into()
    })
}

/// A column of the library that the others are of.
pub fn given<T: Native>(
    py: Python<'_>,
    values: Vec<T>,
    nulls: Option<NullBuffer>,
    arrow: bool,
) -> Result<Bound<'_, PyAny>> {
    match arrow {
        true => shared(py, Arc::new(PrimitiveArray::<T::Type>::new(values.into(), nulls))),
        false => Ok(values.into_pyarray(py).into_any()),
    }
}

/// A column that other libraries take through Arrow's capsules.
pub fn shared(py: Python<'_>, array: ArrayRef) -> Result<Bound<'_, PyAny>> {
    Ok(Bound::new(py, PyArray::from_array_ref(array))?.into_any())
}

/// What Arrow says of a column.
pub fn unlike(name: &str) -> impl Fn(arrow_schema::ArrowError) -> Failure {
    let name = name.to_owned();
    move |error| PyTypeError::new_err(format!("`{name}`: {error}")).into()
}
