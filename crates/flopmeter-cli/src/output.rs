//! What a command says, in the form that was asked for.

use crate::args::Format;
use flopmeter::Result;
use flopmeter_report::render::{self, Document};
use flopmeter_report::report::Report;
use serde::Serialize;

/// A document, or the value that it was made from.
pub fn document(document: &Document, value: &impl Serialize, format: Format) -> Result<String> {
    match format {
        Format::Table => Ok(render::table(document)),
        Format::Markdown => Ok(render::markdown(document)),
        Format::Json => render::json(value),
        Format::Csv => render::csv(value),
    }
}

/// An estimate or a utilisation.
pub fn report(report: &Report, format: Format) -> Result<String> {
    document(&render::summary(report), report, format)
}
