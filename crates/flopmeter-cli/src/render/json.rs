//! JSON, the interface for programs.

use crate::visible;
use flopmeter::{Error, ErrorKind, Result};
use serde::Serialize;

pub fn render(value: &impl Serialize) -> Result<String> {
    serde_json::to_string_pretty(value)
        .map(|text| visible::json(&text) + "\n")
        .map_err(|error| Error::new(ErrorKind::Overflow, "JSON", error.to_string()))
}
