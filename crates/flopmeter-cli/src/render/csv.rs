//! CSV: the JSON flattened, one column a path (`flops.total`), one row a result.

use crate::visible::visible;
use flopmeter::{Error, ErrorKind, Result};
use serde::Serialize;
use serde_json::Value;

pub fn render(value: &impl Serialize) -> Result<String> {
    let failed =
        |error: &dyn std::fmt::Display| Error::new(ErrorKind::Overflow, "CSV", error.to_string());
    let text = serde_json::to_string(value).map_err(|error| failed(&error))?;
    let value: Value = serde_json::from_str(&text).map_err(|error| failed(&error))?;
    let rows: Vec<Vec<(String, String)>> = results(&value)
        .into_iter()
        .map(|result| {
            let mut cells = Vec::new();
            flatten(String::new(), result, &mut cells);
            cells
        })
        .collect();
    // Rows may lack each other's cells (a device without FP8): the heading is their union, in order.
    let mut heading: Vec<&str> = Vec::new();
    for (name, _) in rows.iter().flatten() {
        if !heading.contains(&name.as_str()) {
            heading.push(name);
        }
    }
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&heading).map_err(|error| failed(&error))?;
    for row in &rows {
        let cell = |name: &&str| {
            row.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
        };
        writer.write_record(heading.iter().map(cell)).map_err(|error| failed(&error))?;
    }
    let bytes = writer.into_inner().map_err(|error| failed(&error))?;
    String::from_utf8(bytes).map_err(|error| failed(&error))
}

/// The rows of a list (`devices`, `models`, the lines of an explanation), or the one result.
fn results(value: &Value) -> Vec<&Value> {
    if let Some(sections) = value.get("sections").and_then(Value::as_array) {
        let lines = sections.iter().filter_map(|section| section.get("lines")?.as_array());
        return lines.flatten().collect();
    }
    ["devices", "models"]
        .iter()
        .find_map(|list| value.get(list)?.as_array())
        .map_or_else(|| vec![value], |list| list.iter().collect())
}

fn flatten(path: String, value: &Value, cells: &mut Vec<(String, String)>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::Object(object) => {
            object.iter().for_each(|(key, value)| flatten(below(key), value, cells));
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            let numbered = items.iter().enumerate();
            numbered.for_each(|(at, item)| flatten(below(&at.to_string()), item, cells));
        }
        Value::Array(items) => {
            let words: Vec<String> = items.iter().map(word).collect();
            cells.push((path, words.join("; ")));
        }
        scalar => cells.push((path, word(scalar))),
    }
}

fn word(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => visible(text),
        other => other.to_string(),
    }
}
