//! Named ways of counting.

use crate::error::Result;
use crate::keywords::Keywords;
use flopmeter::Convention;
use pyo3::prelude::*;

/// The names of the conventions that count requests, and of those that count steps of training.
#[pyfunction]
fn conventions() -> (Vec<&'static str>, Vec<&'static str>) {
    let names = |counts: fn(&Convention) -> bool| {
        Convention::ALL.iter().filter(|it| counts(it)).map(|it| it.id).collect()
    };
    (names(Convention::counts_requests), names(Convention::counts_steps))
}

/// A convention by its name.
pub fn named(name: &str) -> Result<Convention> {
    Ok(name.parse()?)
}

/// The convention that a keyword names.
pub fn convention(keywords: &Keywords<'_>) -> Result<Convention> {
    keywords.read::<String>("convention")?.map_or(Ok(Convention::MODEL), |name| named(&name))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(conventions, module)?)
}
