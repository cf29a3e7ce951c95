//! The JSON of a header, read in bounded memory.

use super::{PREFIX, at_byte};
use crate::error::{Result, cause, shown};
use serde::Deserialize;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use std::fmt;

/// The most tensors of one file.
const MOST_TENSORS: usize = 1 << 15;
/// The longest name of a tensor; real ones have under 200 bytes.
const LONGEST_NAME: usize = 1024;
/// The most dimensions of a tensor.
const MOST_DIMENSIONS: usize = 16;

/// A tensor as it stands in the JSON.
pub(super) struct Entry {
    pub name: String,
    pub dtype: String,
    pub shape: Vec<u64>,
    pub offsets: [u64; 2],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Info {
    dtype: String,
    shape: Shape,
    data_offsets: [u64; 2],
}

struct Shape(Vec<u64>);

/// The entries of a header's JSON.
pub(super) fn entries(json: &[u8]) -> Result<Vec<Entry>> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let entries = deserializer
        .deserialize_map(Entries)
        .and_then(|entries| deserializer.end().map(|()| entries));
    entries.map_err(|error| {
        at_byte(
            PREFIX + position(json, error.line(), error.column()),
            format!("the header {}", cause(&error)),
        )
        .hint("is it a safetensors file, and whole?")
    })
}

/// The byte of a line and a column, both from 1.
fn position(json: &[u8], line: usize, column: usize) -> u64 {
    let start: usize = json
        .split_inclusive(|byte| *byte == b'\n')
        .take(line.saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    (start + column.saturating_sub(1)) as u64
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<Entry>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(
        self,
        mut map: A,
    ) -> std::result::Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        let mut described = false;
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                if described {
                    return Err(A::Error::custom("has `__metadata__` twice"));
                }
                described = true;
                map.next_value_seed(Texts)?;
                continue;
            }
            if name.len() > LONGEST_NAME {
                return Err(A::Error::custom(format_args!(
                    "has a name of {} bytes; {LONGEST_NAME} are the most",
                    name.len()
                )));
            }
            if entries.len() == MOST_TENSORS {
                return Err(A::Error::custom(format_args!("has more than {MOST_TENSORS} tensors")));
            }
            let info: Info = map.next_value().map_err(|error| {
                A::Error::custom(format_args!("says of `{}`: {error}", shown(&name)))
            })?;
            let Info { dtype, shape: Shape(shape), data_offsets: offsets } = info;
            entries.push(Entry { name, dtype, shape, offsets });
        }
        Ok(entries)
    }
}

/// Free texts by key, none of them kept.
struct Texts;

impl<'de> DeserializeSeed<'de> for Texts {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> std::result::Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Texts {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, Passed>()?.is_some() {}
        Ok(())
    }
}

/// A text that is passed over: nothing is kept of it.
struct Passed;

impl<'de> Deserialize<'de> for Passed {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Passed;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E>(self, _: &str) -> std::result::Result<Passed, E> {
                Ok(Passed)
            }
        }
        from.deserialize_str(Text)
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        struct Sizes;
        impl<'de> Visitor<'de> for Sizes {
            type Value = Shape;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a shape")
            }

            fn visit_seq<A: SeqAccess<'de>>(
                self,
                mut list: A,
            ) -> std::result::Result<Shape, A::Error> {
                let mut sizes = Vec::new();
                while let Some(size) = list.next_element()? {
                    if sizes.len() == MOST_DIMENSIONS {
                        return Err(A::Error::custom("a shape of more than 16 dimensions"));
                    }
                    sizes.push(size);
                }
                Ok(Shape(sizes))
            }
        }
        from.deserialize_seq(Sizes)
    }
}
