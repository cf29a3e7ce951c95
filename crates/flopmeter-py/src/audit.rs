//! Tables of published figures, recomputed.

use crate::error::Result;
use crate::shown;
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_cast::cast;
use arrow_schema::DataType;
use flopmeter::audit::Table;
use flopmeter::{Error, ErrorKind};
use flopmeter_report::render;
use flopmeter_report::report::audit::AuditReport;
use flopmeter_source::table;
use pyo3::prelude::*;
use pyo3_arrow::PyTable;
use std::path::PathBuf;
use std::sync::Arc;

/// The audit of a file of comma-separated cells.
#[pyfunction]
fn _audit_file(py: Python<'_>, path: PathBuf) -> Result<Audit> {
    Ok(Audit(py.detach(|| table::read(&path).map(|table| AuditReport::of(&table)))?))
}

/// The audit of rows of text.
#[pyfunction]
fn _audit_rows(py: Python<'_>, header: Vec<String>, rows: Vec<Vec<String>>) -> Result<Audit> {
    Ok(py.detach(|| of_rows(&header, rows))?)
}

/// The audit of a table of Arrow's.
#[pyfunction]
fn _audit_arrow(py: Python<'_>, table: PyTable) -> Result<Audit> {
    let (batches, schema) = table.into_inner();
    let header: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    Ok(py.detach(|| {
        let mut rows = Vec::new();
        for batch in &batches {
            let columns: Vec<ArrayRef> =
                batch.columns().iter().zip(&header).map(texts).collect::<flopmeter::Result<_>>()?;
            for row in 0..batch.num_rows() {
                let cell = |column: &ArrayRef| {
                    let column = column.as_string::<i32>();
                    if column.is_null(row) { String::new() } else { column.value(row).to_owned() }
                };
                rows.push(columns.iter().map(cell).collect());
            }
        }
        of_rows(&header, rows)
    })?)
}

/// A column as the text of its cells. What is no number is not known, and a whole number has no point: a column of integers
/// in which one is missing has become one of floats.
fn texts((column, name): (&ArrayRef, &String)) -> flopmeter::Result<ArrayRef> {
    if let Some(floats) = column.as_primitive_opt::<Float64Type>() {
        let text = |value: f64| (!value.is_nan()).then(|| value.to_string());
        let texts = floats.iter().map(|value| value.and_then(text));
        return Ok(Arc::new(texts.collect::<StringArray>()));
    }
    cast(column, &DataType::Utf8).map_err(|_| {
        let fact = format!("is of type {}, which is no text and no number", column.data_type());
        Error::new(ErrorKind::Table, format!("column `{name}`"), fact)
    })
}

/// Rows are numbered from 1; a header stands in line 0.
fn of_rows(header: &[String], rows: Vec<Vec<String>>) -> flopmeter::Result<Audit> {
    let table = Table::read(header, (1..).zip(rows))?;
    Ok(Audit(AuditReport::of(&table)))
}

/// A table of published figures, recomputed by every convention.
#[pyclass(frozen, module = "flopmeter")]
pub struct Audit(AuditReport);

#[pymethods]
impl Audit {
    /// How many rows have which verdict.
    #[getter]
    fn verdicts<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        shown::dict(py, &self.0.verdicts)
    }

    /// How many rows each convention reproduces, and how many it could be held against.
    #[getter]
    fn conventions<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        shown::dict(py, &self.0.conventions)
    }

    /// The rows: what is claimed, the verdict, the conventions that come nearest, every convention's figures.
    #[getter]
    fn rows<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        shown::dict(py, &self.0.rows)
    }

    /// What to know before trusting it.
    #[getter]
    fn notes(&self) -> Vec<String> {
        shown::notes(&self.0.notes)
    }

    /// The same facts as the command's JSON.
    fn to_dict<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        shown::dict(py, &self.0)
    }

    fn __len__(&self) -> usize {
        self.0.rows.len()
    }

    fn _repr_html_(&self) -> String {
        shown::html(render::audit(&self.0, false))
    }

    fn __str__(&self) -> String {
        shown::text(render::audit(&self.0, false))
    }

    fn __repr__(&self) -> String {
        let verdicts = &self.0.verdicts;
        format!(
            "<flopmeter.Audit of {} rows: {} reproduce, {} within rounding, {} differ, {} unknown>",
            self.0.rows.len(),
            verdicts.reproduces,
            verdicts.within_rounding,
            verdicts.differs,
            verdicts.unknown
        )
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Audit>()?;
    module.add_function(wrap_pyfunction!(_audit_file, module)?)?;
    module.add_function(wrap_pyfunction!(_audit_rows, module)?)?;
    module.add_function(wrap_pyfunction!(_audit_arrow, module)?)
}
