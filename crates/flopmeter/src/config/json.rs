//! JSON text → value, more strictly than serde_json reads it: bounded in its number of values, and
//! without keys that contradict each other. Numbers that are none, which Python writes bare, are texts.

use crate::error::{Error, ErrorKind, Result, cause, shown};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;

/// The most values that are read. The longest real config, with a list of every module that is not
/// quantised, has 67,072; 2^18 of them take some 10 MB.
const MOST_VALUES: u32 = 1 << 18;
/// The most keys of one object; 21,843 labels are the most of real files.
const MOST_KEYS: usize = 1 << 15;

pub(super) fn parse(text: &str) -> Result<Value> {
    let mut left = MOST_VALUES;
    let text = quoted(text);
    let mut deserializer = serde_json::Deserializer::from_str(&text);
    Values { left: &mut left }
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            let (kind, fact) = match error.classify() {
                Category::Data => (ErrorKind::Config, cause(&error)),
                _ => (ErrorKind::Syntax, format!("is not JSON: {}", cause(&error))),
            };
            Error::new(kind, place, fact).hint("give the model's config.json")
        })
}

/// The same with quotes around `Infinity`, `-Infinity` and `NaN` outside of texts: whoever reads one as a
/// number is told that it is none.
fn quoted(text: &str) -> Cow<'_, str> {
    const BARE: [&str; 3] = ["-Infinity", "Infinity", "NaN"];
    if !BARE.iter().any(|word| text.contains(word)) {
        return text.into();
    }
    let mut quoted = String::with_capacity(text.len() + 16);
    let (mut rest, mut in_text) = (text, false);
    while let Some(at) = rest.find(['"', '\\', '-', 'I', 'N']) {
        let (before, from) = rest.split_at(at);
        quoted.push_str(before);
        let word = BARE.into_iter().find(|word| !in_text && from.starts_with(word));
        // What a backslash in a text escapes ends no text.
        let escaped = if in_text && from.starts_with('\\') {
            from.chars().nth(1).map_or(0, char::len_utf8)
        } else {
            0
        };
        let (piece, after) = from.split_at(word.map_or(1 + escaped, str::len));
        if word.is_some() {
            quoted.extend(["\"", piece, "\""]);
        } else {
            quoted.push_str(piece);
            in_text ^= piece == "\"";
        }
        rest = after;
    }
    quoted.push_str(rest);
    quoted.into()
}

/// Reads a value, and may read so many more.
struct Values<'n> {
    left: &'n mut u32,
}

impl Values<'_> {
    fn again(&mut self) -> Values<'_> {
        Values { left: self.left }
    }
}

impl<'de> DeserializeSeed<'de> for Values<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<Value, D::Error> {
        *self.left = self.left.checked_sub(1).ok_or_else(|| {
            serde::de::Error::custom(format_args!(
                "has more than {MOST_VALUES} values, the most that are read"
            ))
        })?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Values<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> std::result::Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(
        mut self,
        mut items: A,
    ) -> std::result::Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self.again())? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(
        mut self,
        mut entries: A,
    ) -> std::result::Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(self.again())?;
            // Python takes the last, others the first; the same twice is harmless.
            if object.get(&key).is_some_and(|first| *first != value) {
                return Err(serde::de::Error::custom(format_args!(
                    "has `{}` a second time, with another value",
                    shown(&key)
                )));
            }
            object.insert(key, value);
            if object.len() > MOST_KEYS {
                return Err(serde::de::Error::custom(format_args!(
                    "has an object of more than {MOST_KEYS} keys, the most that are read"
                )));
            }
        }
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST_VALUES, parse};
    use crate::ErrorKind;
    use serde_json::{Value, json};

    fn error(text: &str) -> String {
        parse(text).expect_err("no JSON").to_string()
    }

    #[test]
    fn every_kind_of_value_is_read_as_serde_json_reads_it() {
        let text =
            r#"{"a": [1, -2, 3.5, 1e40, true, null, "x\u00e9", {}], "b": 18446744073709551615}"#;
        assert_eq!(parse(text).unwrap(), serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn a_key_may_be_there_twice_only_with_one_value() {
        assert_eq!(parse(r#"{"a": 1, "a": 1}"#).unwrap(), json!({"a": 1}));
        let error = parse(r#"{"a": {"b": 1, "b": 2}}"#).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert_eq!(error.fact(), "has `b` a second time, with another value");
        // The second `b` is in columns 16 to 21.
        assert!(["line 1, column 21", "line 1, column 22"].contains(&error.place()), "{error}");
    }

    #[test]
    fn numbers_that_are_none_are_texts() {
        let text = r#"{"time_step_limit": [0.0, Infinity], "b": -Infinity, "NaN \" NaN": NaN}"#;
        assert_eq!(
            parse(text).unwrap(),
            json!({"time_step_limit": [0.0, "Infinity"], "b": "-Infinity", "NaN \" NaN": "NaN"})
        );
        assert_eq!(parse(r#"{"a": "\\", "b": NaN}"#).unwrap(), json!({"a": "\\", "b": "NaN"}));
        assert!(error("[Infinity5]").contains("is not JSON"));
        assert!(error("[\"NaN\\").contains("is not JSON"));
    }

    #[test]
    fn what_follows_the_value_is_no_json() {
        assert_eq!(
            error("{} {}"),
            "line 1, column 4: is not JSON: trailing characters; give the model's config.json"
        );
    }

    #[test]
    fn a_list_without_end_is_given_up() {
        // The list is a value too.
        let list = |items: u32| format!("[{}1]", "1,".repeat(items as usize - 1));
        assert!(parse(&list(MOST_VALUES - 1)).is_ok());
        let error = error(&list(MOST_VALUES));
        assert!(error.contains("has more than 262144 values"), "{error}");
    }

    #[test]
    fn an_object_without_end_is_given_up() {
        let object = |keys: usize| {
            let entries: Vec<String> = (0..keys).map(|key| format!("\"{key}\": 0")).collect();
            format!("{{{}}}", entries.join(","))
        };
        assert!(parse(&object(super::MOST_KEYS)).is_ok());
        let error = error(&object(super::MOST_KEYS + 1));
        assert!(error.contains("has an object of more than 32768 keys"), "{error}");
    }

    #[test]
    fn nesting_ends_at_127_levels() {
        let nested = |levels| "[".repeat(levels) + &"]".repeat(levels);
        assert!(parse(&nested(127)).is_ok());
        assert!(error(&nested(128)).contains("recursion limit"));
        assert!(error(&"[".repeat(100_000)).contains("recursion limit"));
    }
}
