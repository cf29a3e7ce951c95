//! Named ways of counting.

use crate::error::Result;
use crate::keywords::extracted;
use crate::request::Maybe;
use crate::shown;
use flopmeter::{Error, ErrorKind};
use flopmeter_report::report::convention::ConventionReport;
use flopmeter_report::{ALL, ONE_AT_A_TIME};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;

/// A named way of counting.
#[pyclass(frozen, eq, hash, module = "flopmeter", get_all)]
#[derive(PartialEq, Eq, Hash)]
pub struct Convention {
    /// Its name.
    id: &'static str,
    /// Whether it counts requests.
    requests: bool,
    /// Whether it counts steps of training.
    steps: bool,
    /// What it counts: its formula, in a sentence.
    counts: &'static str,
    /// Where it comes from.
    source: &'static str,
}

#[pymethods]
impl Convention {
    /// The same facts as the command's JSON.
    fn to_dict<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        shown::dict(py, &ConventionReport::of(&named(self.id)?))
    }

    fn __str__(&self) -> &str {
        self.id
    }

    fn __repr__(&self) -> String {
        format!("<flopmeter.Convention {}>", self.id)
    }
}

/// Every convention, the default first.
#[pyfunction]
fn conventions() -> Vec<Convention> {
    let one = |convention| {
        let ConventionReport { id, requests, steps, counts, source } =
            ConventionReport::of(convention);
        Convention { id, requests, steps, counts, source }
    };
    flopmeter::Convention::ALL.iter().map(one).collect()
}

/// A convention by its name.
pub fn named(name: &str) -> Result<flopmeter::Convention> {
    match name {
        ALL => Err(Error::new(ErrorKind::Convention, "`all`", ONE_AT_A_TIME)
            .hint("`flopmeter.sweep(model, ..., convention=\"all\")` has a row by each")
            .into()),
        _ => Ok(name.parse()?),
    }
}

/// The convention that an argument names.
pub fn convention(given: Maybe<'_, '_>) -> Result<flopmeter::Convention> {
    match given {
        Some(name) => named(&extracted::<PyBackedStr>("convention", name)?),
        None => Ok(flopmeter::Convention::MODEL),
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Convention>()?;
    module.add_function(wrap_pyfunction!(conventions, module)?)
}
