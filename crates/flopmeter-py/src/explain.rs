//! Arithmetic, formula by formula.

use crate::error::Result;
use crate::shown;
use flopmeter_report::explain::{self, Explanation as Explained};
use pyo3::prelude::*;

/// Name, formula, numbers, result.
type Line = (String, String, String, String);

/// The arithmetic from the config to the count, formula by formula.
#[pyclass(frozen, module = "flopmeter")]
pub struct Explanation(pub Explained);

#[pymethods]
impl Explanation {
    /// The sections, each a title and its lines: name, formula, numbers, result.
    #[getter]
    fn sections(&self) -> Vec<(String, Vec<Line>)> {
        let line = |line: &explain::LineReport| {
            let explain::LineReport { name, formula, numbers, result } = line;
            (name.clone(), formula.clone(), numbers.clone(), result.clone())
        };
        let section = |section: &explain::SectionReport| {
            (section.title.clone(), section.lines.iter().map(line).collect())
        };
        self.0.sections.iter().map(section).collect()
    }

    /// The FLOPs that it explains.
    #[getter]
    fn total(&self) -> u128 {
        self.0.total
    }

    /// The same facts as the command's JSON.
    fn to_dict<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        shown::dict(py, &self.0)
    }

    fn _repr_html_(&self) -> String {
        shown::html(explain::document(&self.0))
    }

    fn __str__(&self) -> String {
        shown::text(explain::document(&self.0))
    }

    fn __repr__(&self) -> String {
        format!("<flopmeter.Explanation of {} FLOPs of {}>", self.0.total, self.0.model)
    }
}
