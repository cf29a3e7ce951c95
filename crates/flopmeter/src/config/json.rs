//! JSON text → value, more strictly than serde_json reads it: bounded in its number of values, and
//! without keys that contradict each other. Numbers that are none, which Python writes bare, are texts.

use crate::error::{Error, ErrorKind, Result, cause, shown};
use memchr::{memchr, memchr2_iter};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::map::Entry;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;

/// The most values that are read. The longest real config, with a list of every module that is not
/// quantised, has 67,072.
const MOST_VALUES: u32 = 3 << 15;
/// The most keys of one object; 21,843 labels are the most of real files.
const MOST_KEYS: usize = 1 << 15;
/// The most objects: one of a single key takes 632 bytes.
const MOST_OBJECTS: u32 = 1 << 15;

const IS_IT_PUBLISHED: &str = "is it the config.json that the model was published with?";

pub(super) fn parse(text: &str) -> Result<Value> {
    let mut left = Left { values: MOST_VALUES, objects: MOST_OBJECTS };
    let text = quoted(text);
    let mut deserializer = serde_json::Deserializer::from_str(&text);
    Values { left: &mut left }
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            let none = || (ErrorKind::Syntax, format!("is not JSON: {}", cause(&error)));
            let ((kind, fact), hint) = match error.classify() {
                Category::Data => ((ErrorKind::Config, cause(&error)), IS_IT_PUBLISHED),
                Category::Eof => (none(), "it is cut off: fetch the model's config.json again"),
                _ => (none(), "mend it there, or fetch the model's config.json again"),
            };
            Error::new(kind, place, fact).hint(hint)
        })
}

/// The same with quotes around `Infinity`, `-Infinity` and `NaN` outside of texts: whoever reads one as a
/// number is told that it is none.
fn quoted(text: &str) -> Cow<'_, str> {
    const BARE: [&str; 3] = ["-Infinity", "Infinity", "NaN"];
    if memchr2_iter(b'I', b'N', text.as_bytes()).all(|at| !begins(text, at, &BARE[1..])) {
        return text.into();
    }
    let mut quoted = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while !rest.is_empty() {
        // Up to a text, and the text.
        let (outside, from) = rest.split_at(memchr(b'"', rest.as_bytes()).unwrap_or(rest.len()));
        quote(outside, &BARE, &mut quoted);
        let (inside, after) = from.split_at(end_of_text(from));
        quoted.push_str(inside);
        rest = after;
    }
    quoted.into()
}

/// Appends what is outside of texts, with quotes around words.
fn quote(outside: &str, words: &[&str], quoted: &mut String) {
    let mut copied = 0;
    for at in memchr2_iter(b'I', b'N', outside.as_bytes()) {
        let from = at - usize::from(outside[..at].ends_with('-'));
        let Some(word) = words.iter().find(|word| begins(outside, from, &[word])) else { continue };
        // A letter of the word before.
        if from < copied {
            continue;
        }
        quoted.extend([&outside[copied..from], "\"", word, "\""]);
        copied = from + word.len();
    }
    quoted.push_str(&outside[copied..]);
}

fn begins(text: &str, at: usize, words: &[&str]) -> bool {
    text.get(at..).is_some_and(|rest| words.iter().any(|word| rest.starts_with(word)))
}

/// Where a text ends that begins with a quote; with all there is, if nothing ends it.
fn end_of_text(text: &str) -> usize {
    let mut escaped = false;
    let mut bytes = text.bytes().enumerate().skip(1);
    let end = bytes.find(|(_, byte)| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}

/// How much more may be read.
struct Left {
    values: u32,
    objects: u32,
}

/// Reads a value, and may read so much more.
struct Values<'n> {
    left: &'n mut Left,
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
        self.left.values = self.left.values.checked_sub(1).ok_or_else(|| {
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
        self.left.objects = self.left.objects.checked_sub(1).ok_or_else(|| {
            serde::de::Error::custom(format_args!(
                "has more than {MOST_OBJECTS} objects, the most that are read"
            ))
        })?;
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(self.again())?;
            match object.entry(key) {
                Entry::Vacant(entry) => {
                    entry.insert(value);
                }
                // Python takes the last, others the first; the same twice is harmless.
                Entry::Occupied(entry) if *entry.get() == value => {}
                Entry::Occupied(entry) => {
                    return Err(serde::de::Error::custom(format_args!(
                        "has `{}` a second time, with another value",
                        shown(entry.key())
                    )));
                }
            }
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
        let text = r#"["-Infinity\\", -Infinity, "\"NaN", [NaN,NaN], "Infinity"]"#;
        let values = json!(["-Infinity\\", "-Infinity", "\"NaN", ["NaN", "NaN"], "Infinity"]);
        assert_eq!(parse(text).unwrap(), values);
        for none in ["[NaNaN]", "[-NaN]", "[--Infinity]", "[NaN", "[NaN, \"", "NN", "[I, NaN]"] {
            assert!(error(none).contains("is not JSON"), "{none}");
        }
        assert!(error("[Infinity5]").contains("is not JSON"));
        assert!(error("[\"NaN\\").contains("is not JSON"));
    }

    #[test]
    fn what_follows_the_value_is_no_json() {
        assert_eq!(
            error("{} {}"),
            "line 1, column 4: is not JSON: trailing characters; mend it there, or fetch the model's config.json again"
        );
    }

    #[test]
    fn a_list_without_end_is_given_up() {
        // The list is a value too.
        let list = |items: u32| format!("[{}1]", "1,".repeat(items as usize - 1));
        assert!(parse(&list(MOST_VALUES - 1)).is_ok());
        let error = error(&list(MOST_VALUES));
        assert!(error.contains("has more than 98304 values"), "{error}");
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

    /// So many modules have each a scheme of its own in the NVFP4 checkpoint of MiniMax-M3, of which most state two keys.
    #[test]
    fn schemes_of_every_module_are_read() {
        let module = |at| format!(r#""{at}": {{"quant_algo": "NVFP4", "group_size": 16}}"#);
        let modules: Vec<String> = (0..22_422).map(module).collect();
        assert!(parse(&format!("{{{}}}", modules.join(","))).is_ok());
    }

    #[test]
    fn objects_without_end_are_given_up() {
        let list = |objects: usize| format!("[{}{{}}]", "{},".repeat(objects - 1));
        assert!(parse(&list(super::MOST_OBJECTS as usize)).is_ok());
        let error = error(&list(super::MOST_OBJECTS as usize + 1));
        assert!(error.contains("has more than 32768 objects"), "{error}");
    }

    #[test]
    fn nesting_ends_at_127_levels() {
        let nested = |levels| "[".repeat(levels) + &"]".repeat(levels);
        assert!(parse(&nested(127)).is_ok());
        assert!(error(&nested(128)).contains("recursion limit"));
        assert!(error(&"[".repeat(100_000)).contains("recursion limit"));
    }
}
