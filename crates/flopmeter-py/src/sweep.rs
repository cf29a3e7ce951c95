//! Every combination of what is asked for, as columns.

mod columns;
mod ranges;

use crate::error::Result;
use crate::shown;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Field, Schema};
use columns::Column;
use flopmeter::{Error, ErrorKind};
use flopmeter_report::render::{self, Block, Document};
use flopmeter_report::report::ModelReport;
use flopmeter_report::sweep::{self, LeftOut, Ranges, Row, Unit};
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict, PyList};
use pyo3_arrow::PyTable;
use std::ops::Range;
use std::sync::Arc;

/// The most points that are held; the command writes more of them, as it counts.
const MOST: usize = 1_000_000;
/// Rows that a table shows.
const SHOWN: usize = 20;

/// Every combination of lengths, batches, devices and parallel sizes, a row each.
///
/// What may have several values takes a number, a list, a `range` or the command's text, such as `"1..256x2"`: `prompt`,
/// `generate` and `batch` of requests; `sequence`, `batch` and `accumulate` of steps of training; `devices`; the parallel
/// sizes `tp`, `pp`, `dp`, `cp`, `dcp`, `ep`, `etp`, `virtual_stages` and `zero`. `device`, `dtype`, `convention` and
/// `recompute` take a name or several. `kv_dtype`, `flash`, `sp`, `peak` (FLOP/s by dtype) and `bandwidth` are the same for
/// all. `limit` maps what a row has to keep to a value (seconds, bytes, tokens a second or a share), and `best` says by what
/// the best of those that fit is chosen: latency, ttft, tpot, throughput, throughput-per-device, mfu, mbu or memory.
#[pyfunction]
#[pyo3(
    name = "sweep",
    signature = (model, prompt = None, generate = None, **ranges),
    text_signature = "(model, prompt=None, generate=1, **ranges)"
)]
fn swept(
    py: Python<'_>,
    model: &Bound<'_, PyAny>,
    prompt: Option<&Bound<'_, PyAny>>,
    generate: Option<&Bound<'_, PyAny>>,
    ranges: Option<&Bound<'_, PyDict>>,
) -> Result<Sweep> {
    let ranges = ranges::read(model, prompt, generate, ranges)?;
    Ok(py.detach(|| Sweep::count(&ranges))?)
}

/// A sweep: columns, the axes first. What is not known is None.
#[pyclass(frozen, mapping, module = "flopmeter")]
pub struct Sweep {
    head: Vec<String>,
    columns: Vec<Column>,
    rows: usize,
    /// The row that is chosen.
    best: Option<usize>,
    /// The first rows, as they are shown.
    table: Block,
    notes: Vec<String>,
}

impl Sweep {
    fn count(ranges: &Ranges) -> flopmeter::Result<Self> {
        let sweep = sweep::Sweep::new(ranges)?;
        if sweep.points() > MOST {
            let fact = format!("has {} points; at most {MOST} are held", sweep.points());
            return Err(Error::new(ErrorKind::Workload, "sweep", fact)
                .hint("take larger steps; the command's `sweep` writes as many as 100000000"));
        }
        let best = sweep.best()?;
        let empty = || -> Vec<Column> { sweep.columns().iter().map(Column::new).collect() };
        let block = |points: Range<usize>| {
            let (mut columns, mut rows, mut chosen) = (empty(), 0, None);
            let left_out = sweep.rows(points, best, |row: Row<'_, '_>| {
                for (column, cell) in columns.iter_mut().zip(row.cells) {
                    column.push(cell);
                }
                if row.is_best {
                    chosen = Some(rows);
                }
                rows += 1;
            })?;
            Ok((columns, rows, chosen, left_out))
        };
        let (mut columns, mut rows, mut chosen) = (empty(), 0, None);
        let mut left_out = LeftOut::default();
        sweep::each(sweep.points(), block, |(more, count, best, out)| {
            for (column, more) in columns.iter_mut().zip(more) {
                column.append(more);
            }
            chosen = chosen.or(best.map(|best: usize| rows + best));
            rows += count;
            left_out.and(out);
            Ok::<_, Error>(())
        })?;
        let mut notes = left_out.notes(sweep.points());
        notes.extend(sweep.notes());
        let head = vec![ModelReport::of(sweep.source()).title(), sweep.said()];
        Ok(Self { head, rows, best: chosen, table: table(&sweep)?, notes, columns })
    }

    fn document(&self) -> Document {
        let mut head = self.head.clone();
        if self.rows > self.table.rows.len() {
            head.push(format!("{} rows, the first {} of them", self.rows, self.table.rows.len()));
        }
        Document { head, blocks: vec![self.table.clone()], notes: self.notes.clone() }
    }
}

/// The first rows as the command shows them.
fn table(sweep: &sweep::Sweep) -> flopmeter::Result<Block> {
    let shown = || {
        sweep.table().into_iter().filter_map(|(at, _)| {
            let column = sweep.columns()[at];
            Some((at, column.heading?, column.unit))
        })
    };
    let heading = |(_, heading, unit)| match unit {
        Unit::Word => render::Column::text(heading),
        _ => render::Column::number(heading),
    };
    let mut rows = Vec::new();
    // Points without a row may stand before those with one.
    for from in (0..sweep.points()).step_by(SHOWN) {
        sweep.rows(from..sweep.points().min(from + SHOWN), None, |row| {
            if rows.len() < SHOWN {
                rows.push(shown().map(|(at, _, unit)| row.cells[at].shown(unit)).collect());
            }
        })?;
        if rows.len() == SHOWN {
            break;
        }
    }
    Ok(Block { title: String::new(), columns: shown().map(heading).collect(), rows })
}

#[pymethods]
impl Sweep {
    /// The names of the columns: those of the command's JSON.
    #[getter]
    fn columns(&self) -> Vec<&'static str> {
        self.columns.iter().map(|column| column.name).collect()
    }

    /// The best row, if one was asked for and any fits and keeps the limits.
    #[getter]
    fn best<'py>(&self, py: Python<'py>) -> Result<Option<Bound<'py, PyDict>>> {
        let Some(best) = self.best else { return Ok(None) };
        let dict = PyDict::new(py);
        for column in &self.columns {
            dict.set_item(column.name, column.values(py, best..best + 1)?.get_item(0)?)?;
        }
        Ok(Some(dict))
    }

    /// What to know before trusting it, and which combinations have no row.
    #[getter]
    fn notes(&self) -> Vec<String> {
        shown::notes(&self.notes)
    }

    /// The columns as lists, by their names.
    fn to_dict<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for column in &self.columns {
            dict.set_item(column.name, column.values(py, 0..self.rows)?)?;
        }
        Ok(dict)
    }

    fn __len__(&self) -> usize {
        self.rows
    }

    fn __getitem__<'py>(&self, py: Python<'py>, name: &str) -> Result<Bound<'py, PyList>> {
        match self.columns.iter().find(|column| column.name == name) {
            Some(column) => Ok(column.values(py, 0..self.rows)?),
            None => {
                let text =
                    format!("{name}: no such column; there are {}", self.columns().join(", "));
                Err(PyKeyError::new_err(text).into())
            }
        }
    }

    /// For what reads Arrow: pyarrow, polars, pandas, DuckDB. A count that 64 bits cannot hold is an error; `to_dict` has it.
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> Result<Bound<'py, PyAny>> {
        let arrays: Vec<ArrayRef> =
            self.columns.iter().map(Column::array).collect::<flopmeter::Result<_>>()?;
        let fields: Vec<Field> = (self.columns.iter().zip(&arrays))
            .map(|(column, array)| Field::new(column.name, array.data_type().clone(), true))
            .collect();
        let schema = Arc::new(Schema::new(fields));
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays)
            .map_err(|error| Error::new(ErrorKind::Workload, "sweep", error.to_string()))?;
        let table = PyTable::try_new(vec![batch], schema)?.into_pyobject(py)?;
        Ok(table.call_method1("__arrow_c_stream__", (requested_schema,))?)
    }

    fn _repr_html_(&self) -> String {
        shown::html(self.document())
    }

    fn __str__(&self) -> String {
        shown::text(self.document())
    }

    fn __repr__(&self) -> String {
        format!("<flopmeter.Sweep of {} rows and {} columns>", self.rows, self.columns.len())
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Sweep>()?;
    module.add_function(wrap_pyfunction!(swept, module)?)
}
