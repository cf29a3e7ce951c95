//! CSV: the JSON flattened, one column a path (`flops.total`), one row a result.

use flopmeter::{Error, ErrorKind, Result};
use flopmeter_source::visible::visible;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::fmt;

/// A value as CSV.
///
/// # Errors
///
/// If it cannot be written as JSON.
pub fn render(value: &impl Serialize) -> Result<String> {
    flattened(value).map_err(|error| Error::new(ErrorKind::Overflow, "CSV", error.to_string()))
}

type Failure = Box<dyn std::error::Error>;

fn flattened(value: &impl Serialize) -> std::result::Result<String, Failure> {
    let text = serde_json::to_string(value)?;
    let value = Json::of(serde_json::from_str(&text)?)?;
    let mut rows: Vec<Vec<(String, String)>> = Vec::new();
    for result in results(&value) {
        let mut cells = Vec::new();
        flatten(String::new(), result, &mut cells);
        rows.push(cells);
    }
    // Rows may lack each other's cells (a device without FP8): the heading is their union, in order.
    let mut heading: Vec<&str> = Vec::new();
    for (name, _) in rows.iter().flatten() {
        if !heading.contains(&name.as_str()) {
            heading.push(name);
        }
    }
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&heading)?;
    for row in &rows {
        let cell = |name: &&str| {
            row.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
        };
        writer.write_record(heading.iter().map(cell))?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

/// JSON with its keys in order and its numbers as they are written: a count may be longer than any
/// number that serde_json keeps.
enum Json {
    Object(Vec<(String, Json)>),
    List(Vec<Json>),
    Scalar(String),
}

impl Json {
    fn of(raw: &RawValue) -> serde_json::Result<Self> {
        let text = raw.get();
        Ok(match text.as_bytes().first() {
            Some(b'{') => Self::Object(
                serde_json::from_str::<Entries<'_>>(text)?
                    .0
                    .into_iter()
                    .map(|(key, value)| Ok((key, Self::of(value)?)))
                    .collect::<serde_json::Result<_>>()?,
            ),
            Some(b'[') => Self::List(
                serde_json::from_str::<Vec<&RawValue>>(text)?
                    .into_iter()
                    .map(Self::of)
                    .collect::<serde_json::Result<_>>()?,
            ),
            Some(b'"') => Self::Scalar(visible(&serde_json::from_str::<String>(text)?)),
            _ if text == "null" => Self::Scalar(String::new()),
            _ => Self::Scalar(text.to_owned()),
        })
    }

    fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(entries) => {
                entries.iter().find(|(known, _)| known == key).map(|(_, value)| value)
            }
            Self::List(_) | Self::Scalar(_) => None,
        }
    }

    fn items(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) => Some(items),
            Self::Object(_) | Self::Scalar(_) => None,
        }
    }
}

/// An object's entries in order.
struct Entries<'t>(Vec<(String, &'t RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Entries<'de>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// The rows of a list (`devices`, `models`, `rows`, `conventions`, `terms`, the lines of an explanation), or the one result.
fn results(value: &Json) -> Vec<&Json> {
    if let Some(sections) = value.get("sections").and_then(Json::items) {
        let lines = sections.iter().filter_map(|section| section.get("lines")?.items());
        return lines.flatten().collect();
    }
    ["devices", "models", "rows", "conventions", "terms"]
        .iter()
        .find_map(|list| value.get(list)?.items())
        .map_or_else(|| vec![value], |list| list.iter().collect())
}

fn flatten(path: String, value: &Json, cells: &mut Vec<(String, String)>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Json::Object(entries) => {
            entries.iter().for_each(|(key, value)| flatten(below(key), value, cells));
        }
        Json::List(items) if items.iter().any(|item| matches!(item, Json::Object(_))) => {
            let numbered = items.iter().enumerate();
            numbered.for_each(|(at, item)| flatten(below(&at.to_string()), item, cells));
        }
        Json::List(items) => {
            let words = items.iter().map(|item| match item {
                Json::Scalar(text) => text.as_str(),
                Json::Object(_) | Json::List(_) => "",
            });
            cells.push((path, words.collect::<Vec<_>>().join("; ")));
        }
        Json::Scalar(text) => cells.push((path, text.clone())),
    }
}
