//! JSON, the interface for programs.

use flopmeter::{Error, ErrorKind, Result};
use flopmeter_source::visible;
use serde::Serialize;

/// A value as JSON.
///
/// # Errors
///
/// If it cannot be written so.
pub fn render(value: &impl Serialize) -> Result<String> {
    serde_json::to_string_pretty(value)
        .map(|text| visible::json(&text) + "\n")
        .map_err(|error| Error::new(ErrorKind::Overflow, "JSON", error.to_string()))
}
