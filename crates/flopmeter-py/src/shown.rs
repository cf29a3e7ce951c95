//! Values and documents of the report, as Python shows them.

use crate::error::Result;
use flopmeter_report::render::{self, Document};
use pyo3::prelude::*;
use serde::Serialize;

/// The value as dicts and lists, the same as the command's JSON: Python's own reader takes integers of any size.
pub fn dict<'py>(py: Python<'py>, value: &impl Serialize) -> Result<Bound<'py, PyAny>> {
    let text = render::json(value)?;
    Ok(py.import("json")?.call_method1("loads", (text,))?)
}

/// A document for a notebook.
pub fn html(document: &Document) -> String {
    render::html(document)
}

/// A document for a terminal, without styles.
pub fn text(document: &Document) -> String {
    render::plain(document)
}
