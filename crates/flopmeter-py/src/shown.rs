//! Values and documents of the report, as Python shows them.

use crate::error::Result;
use crate::words::in_python;
use flopmeter_report::render::{self, Document};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use serde::Serialize;

/// The value as dicts and lists, the same as the command's JSON: Python's own reader takes integers of any size.
pub fn dict<'py>(py: Python<'py>, value: &impl Serialize) -> Result<Bound<'py, PyAny>> {
    let text = render::json(value)?;
    let facts = py.import("json")?.call_method1("loads", (text,))?;
    name_in_python(&facts)?;
    Ok(facts)
}

/// Names what Python has in all notes among some facts.
fn name_in_python(facts: &Bound<'_, PyAny>) -> PyResult<()> {
    if let Ok(list) = facts.cast::<PyList>() {
        return list.iter().try_for_each(|fact| name_in_python(&fact));
    }
    let Ok(dict) = facts.cast::<PyDict>() else { return Ok(()) };
    if let Some(said) = dict.get_item("notes")? {
        dict.set_item("notes", notes(&said.extract::<Vec<String>>()?))?;
    }
    dict.values().iter().try_for_each(|fact| name_in_python(&fact))
}

/// Notes, with Python's names for what they name.
pub fn notes<'n>(said: impl IntoIterator<Item = &'n String>) -> Vec<String> {
    said.into_iter().map(|note| in_python(note)).collect()
}

/// A number in a `repr`.
pub fn known(value: Option<impl ToString>) -> String {
    value.map_or("None".to_owned(), |value| value.to_string())
}

/// A document for a notebook.
pub fn html(document: Document) -> String {
    render::html(&said_here(document))
}

/// A document for a terminal, without styles.
pub fn text(document: Document) -> String {
    render::plain(&said_here(document))
}

fn said_here(document: Document) -> Document {
    Document { notes: notes(&document.notes), ..document }
}
