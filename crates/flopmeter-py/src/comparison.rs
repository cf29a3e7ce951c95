//! Why two conventions give different figures.

use crate::arguments::{source, whole};
use crate::convention::named;
use crate::error::Result;
use crate::keywords::Keywords;
use crate::shown;
use flopmeter::{Sequence, Step, Workload};
use flopmeter_report::render;
use flopmeter_report::report::comparison::{ComparisonReport, TermReport};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// What is counted: a request, or a step of training.
const REQUEST: &[&str] = &["prompt", "generate", "cached"];
const STEP: &[&str] = &["sequence", "packed"];

/// Why one convention differs from another, term by term, over a request or a step of training of a model.
///
/// `prompt`, `generate` and `cached` are those of a request, `sequence` or `packed` that of a step; `batch` is how many run
/// together.
#[pyfunction]
#[pyo3(signature = (a, b, model, **work))]
fn compare(
    a: &str,
    b: &str,
    model: &Bound<'_, PyAny>,
    work: Option<&Bound<'_, PyDict>>,
) -> Result<Comparison> {
    let keywords = Keywords::new(work, &[REQUEST, STEP, &["batch"]])?;
    let conventions = [&named(a)?, &named(b)?];
    let source = source(model)?;
    let batch = keywords.number("batch")?.unwrap_or(1);
    let given = |names: &[&str]| names.iter().any(|name| keywords.get(name).is_some());
    let step = match (keywords.get("sequence"), keywords.numbers("packed")?) {
        (Some(length), None) => Some(Step::new(whole("sequence", length)?, batch)?),
        (None, Some(lengths)) => Some(Step::packed(&lengths, batch)?),
        _ => None,
    };
    let report = match (keywords.number("prompt")?, step) {
        (Some(prompt), None) if !given(STEP) => {
            let sequence = Sequence {
                prompt,
                generate: keywords.number("generate")?.unwrap_or(1),
                cached: keywords.number("cached")?.unwrap_or(0),
                count: batch,
            };
            let workload = Workload::batch(vec![sequence])?;
            ComparisonReport::of_requests(&source, &workload, conventions)?
        }
        (None, Some(step)) if !given(REQUEST) => {
            ComparisonReport::of_step(&source, &step, conventions)?
        }
        _ => {
            let text =
                "give `prompt`, and with it `generate` and `cached`, or `sequence`, or `packed`";
            return Err(PyTypeError::new_err(text).into());
        }
    };
    Ok(Comparison(report))
}

/// Why one convention differs from another.
#[pyclass(frozen, module = "flopmeter")]
pub struct Comparison(ComparisonReport);

#[pymethods]
impl Comparison {
    /// The names of both.
    #[getter]
    fn conventions(&self) -> (&'static str, &'static str) {
        (self.0.from.id, self.0.to.id)
    }

    /// The FLOPs of both.
    #[getter]
    fn flops(&self) -> (u128, u128) {
        (self.0.from.flops, self.0.to.flops)
    }

    /// What the second has more, or less where it is negative.
    #[getter]
    fn difference(&self) -> i128 {
        self.0.difference
    }

    /// The second over the first.
    #[getter]
    fn ratio(&self) -> Option<f64> {
        self.0.ratio
    }

    /// The reasons, which add up to the difference.
    #[getter]
    fn terms(&self) -> Vec<Term> {
        let term = |term: &TermReport| Term {
            flops: term.flops,
            share: term.share,
            counts: term.counts.clone(),
            instead_of: term.instead_of.clone(),
        };
        self.0.terms.iter().map(term).collect()
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

    fn _repr_html_(&self) -> String {
        shown::html(render::comparison(&self.0))
    }

    fn __str__(&self) -> String {
        shown::text(render::comparison(&self.0))
    }

    fn __repr__(&self) -> String {
        let [from, to] = [&self.0.from, &self.0.to];
        format!(
            "Comparison({}={}, {}={}, difference={})",
            from.id, from.flops, to.id, to.flops, self.0.difference
        )
    }
}

/// One reason why two conventions differ.
#[pyclass(frozen, eq, module = "flopmeter", get_all)]
#[derive(PartialEq)]
pub struct Term {
    /// What it makes of the difference.
    flops: i128,
    /// The same as a share of what the first counts.
    share: Option<f64>,
    /// What the second counts.
    counts: String,
    /// What the first counts in its place.
    instead_of: String,
}

#[pymethods]
impl Term {
    fn __repr__(&self) -> String {
        format!(
            "Term(flops={:+}, counts='{}', instead_of='{}')",
            self.flops, self.counts, self.instead_of
        )
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Comparison>()?;
    module.add_class::<Term>()?;
    module.add_function(wrap_pyfunction!(compare, module)?)
}
