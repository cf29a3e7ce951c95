//! config.json → typed values. Remembers which keys were read and which defaults stood in.

mod json;
mod nested;
mod shape;
mod size;

use crate::error::{Error, ErrorKind, Result, shown};
use crate::weights::Weights;
use serde_json::{Map, Value};
use shape::looks_like_a_shape;
use std::cell::RefCell;
use std::sync::Arc;

/// The largest config text that is read, in bytes. The longest real one, with a list of every module that is not
/// quantised, has 3.1 MB.
const LONGEST_TEXT: usize = 6 << 20;

/// A parsed config.json: an object whose sizes are read by key, each read remembered.
///
/// # Example
///
/// ```
/// use flopmeter::Config;
///
/// let config = Config::parse(r#"{"hidden_size": 4096, "num_attention_heads": 0}"#)?;
/// assert_eq!(config.size("hidden_size")?, 4096);
/// let error = config.size("num_attention_heads").unwrap_err();
/// assert_eq!(error.fact(), "is 0, which is no size");
/// assert_eq!(error.hints(), ["a size is a whole number from 1 to 16777216"]);
/// # Ok::<(), flopmeter::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Config {
    object: Map<String, Value>,
    /// `text_config.` for a nested object, empty at the top.
    prefix: String,
    /// The type of the nearest object around a nested one that names a type, empty at the top.
    outer_type: String,
    read: RefCell<Vec<&'static str>>,
    notes: RefCell<Vec<String>>,
    weights: Option<Arc<Weights>>,
    /// Whether nothing but the weights' shapes tells what it is, whatever its type is called.
    by_shapes: bool,
}

impl Config {
    /// Reads the text of a config.json.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Syntax`] for text that is longer than 6 MiB, not JSON, nested deeper
    /// than 127 levels, of more than 98,304 values or 32,768 objects, or not an object; [`ErrorKind::Config`] for an object
    /// that has a key twice, with different values. A byte order mark is passed over.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > LONGEST_TEXT {
            return Err(Error::new(
                ErrorKind::Syntax,
                "config",
                format!("is {} bytes long; the longest that is read is {LONGEST_TEXT}", text.len()),
            )
            .hint("give a config.json, not weights or a tokenizer"));
        }
        // Some editors put the mark before UTF-8, where it marks nothing.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.trim().is_empty() {
            return Err(Error::new(ErrorKind::Syntax, "config", "is empty")
                .hint("give the model's config.json"));
        }
        Self::from_value(json::parse(text)?)
    }

    /// Takes an already parsed config.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Syntax`] if it is not an object.
    pub fn from_value(value: Value) -> Result<Self> {
        match value {
            Value::Object(object) => Ok(Self::of(object, String::new(), String::new())),
            other => Err(Error::new(
                ErrorKind::Syntax,
                "config",
                format!("is {}, not an object", kind_of(&other)),
            )
            .hint("give the model's config.json")),
        }
    }

    /// Whether it is an object of another config.
    pub(crate) fn is_part(&self) -> bool {
        !self.prefix.is_empty()
    }

    fn of(object: Map<String, Value>, prefix: String, outer_type: String) -> Self {
        Self {
            object,
            prefix,
            outer_type,
            read: RefCell::default(),
            notes: RefCell::default(),
            weights: None,
            by_shapes: false,
        }
    }

    /// With the tensors that lie beside it: their shapes check the count, and their storage is the weights'.
    #[must_use]
    pub fn with_weights(mut self, weights: Arc<Weights>) -> Self {
        self.weights = Some(weights);
        self
    }

    /// As one of which only the shapes of its weights tell more.
    pub(crate) fn by_shapes(mut self) -> Self {
        self.by_shapes = true;
        self
    }

    /// Whether it is such a one.
    pub(crate) fn is_by_shapes(&self) -> bool {
        self.by_shapes
    }

    /// The tensors that lie beside it.
    pub(crate) fn weights(&self) -> Option<&Arc<Weights>> {
        self.weights.as_ref()
    }

    /// The value at a key, `None` where it is absent or null. Counts as a read.
    fn get(&self, key: &'static str) -> Option<&Value> {
        self.read.borrow_mut().push(key);
        self.object.get(key).filter(|value| !value.is_null())
    }

    /// Whether a key is there and not null. Does not count as a read.
    pub fn has(&self, key: &str) -> bool {
        self.object.get(key).is_some_and(|value| !value.is_null())
    }

    /// The config's `model_type`, empty if it states none.
    pub fn model_type(&self) -> &str {
        self.object.get("model_type").and_then(Value::as_str).unwrap_or("")
    }

    /// The type whose class reads this object: its own, or that of the object around it.
    fn class(&self) -> &str {
        Some(self.model_type()).filter(|own| !own.is_empty()).unwrap_or(&self.outer_type)
    }

    /// A size that must be there: a whole number from 1 to 2^24.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if it is missing, null, not a whole number, zero or out of range.
    pub fn size(&self, key: &'static str) -> Result<u64> {
        self.maybe(key)?.ok_or_else(|| self.missing(key))
    }

    /// A size under the first of several spellings that is there.
    ///
    /// # Errors
    ///
    /// As [`size`](Self::size); the error names the first spelling.
    pub fn size_of(&self, keys: &[&'static str]) -> Result<u64> {
        self.maybe_of(keys)?.ok_or_else(|| self.missing(keys[0]))
    }

    /// A size, or `None` where it is absent or null.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if it is there and not a size.
    pub fn maybe(&self, key: &'static str) -> Result<Option<u64>> {
        self.get(key).map(|value| self.as_size(key, value, 1)).transpose()
    }

    /// A size under the first of several spellings that is there, or `None`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if it is there and not a size, or if two spellings disagree.
    pub fn maybe_of(&self, keys: &[&'static str]) -> Result<Option<u64>> {
        let mut found: Option<(&'static str, u64)> = None;
        for key in keys {
            let Some(size) = self.maybe(key)? else { continue };
            match found {
                None => found = Some((key, size)),
                Some((first, other)) if other != size => {
                    return Err(self.contradiction(
                        first,
                        &format!("is {other}, but `{key}`, another name of it, is {size}"),
                    ));
                }
                Some(_) => {}
            }
        }
        Ok(found.map(|(_, size)| size))
    }

    /// A size for which the reference implementation has a default, or a rule that makes it of others,
    /// where the key is absent or null; using it is noted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if it is there and not a size.
    pub fn size_or(&self, key: &'static str, default: u64) -> Result<u64> {
        self.size_of_or(&[key], default)
    }

    /// The same under the first of several spellings that is there.
    ///
    /// # Errors
    ///
    /// As [`maybe_of`](Self::maybe_of).
    pub fn size_of_or(&self, keys: &[&'static str], default: u64) -> Result<u64> {
        if let Some(size) = self.maybe_of(keys)? {
            return Ok(size);
        }
        let spelled = keys.iter().find(|key| self.object.contains_key(**key));
        self.note_default(spelled.unwrap_or(&keys[0]), &default.to_string());
        Ok(default)
    }

    /// A size that null switches off and for which the reference implementation has a default where the
    /// key is absent (`sliding_window`); using the default is noted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if it is there and neither null nor a size.
    pub fn maybe_or(&self, key: &'static str, default: u64) -> Result<Option<u64>> {
        if self.object.contains_key(key) {
            return self.maybe(key);
        }
        self.size_or(key, default).map(Some)
    }

    /// A count for which the reference implementation has a default; null means 0.
    ///
    /// Using the default is noted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if it is there and not a whole number from 0 to 2^24.
    pub fn count_or(&self, key: &'static str, default: u64) -> Result<u64> {
        if !self.object.contains_key(key) {
            self.note_default(key, &default.to_string());
            return Ok(default);
        }
        Ok(self.count(key)?.unwrap_or(0))
    }

    /// A count that may be zero (layers that are dense, experts that are shared), or `None`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if it is there and not a whole number from 0 to 2^24.
    pub fn count(&self, key: &'static str) -> Result<Option<u64>> {
        self.get(key).map(|value| self.as_size(key, value, 0)).transpose()
    }

    /// A switch; absent or null means `default`, as in the reference implementation.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if it is there and neither true nor false.
    pub fn flag(&self, key: &'static str, default: bool) -> Result<bool> {
        match self.get(key) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(self.wrong(key, other, "true or false")),
        }
    }

    /// A switch that decides a size; using its default is noted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if it is there and neither true nor false.
    pub fn flag_or(&self, key: &'static str, default: bool) -> Result<bool> {
        let flag = self.flag(key, default)?;
        if !self.has(key) {
            self.note_default(key, &default.to_string());
        }
        Ok(flag)
    }

    /// A text, or `None` where it is absent or null.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if it is there and not a text.
    pub fn text(&self, key: &'static str) -> Result<Option<&str>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(key, other, "a text")),
        }
    }

    /// A fraction or any other number, or `None` where it is absent or null.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if it is there and not a number.
    pub fn number(&self, key: &'static str) -> Result<Option<f64>> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => {
                value.as_f64().map(Some).ok_or_else(|| self.wrong(key, value, "a number"))
            }
        }
    }

    /// A list of texts, one a layer (`layer_types`), or `None`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if it is there and anything else.
    pub fn texts(&self, key: &'static str) -> Result<Option<Vec<&str>>> {
        self.list(key, "a list of texts", Value::as_str)
    }

    /// A list of whole numbers (`mlp_only_layers`, `no_rope_layers`), or `None`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if it is there and anything else.
    pub fn counts(&self, key: &'static str) -> Result<Option<Vec<u64>>> {
        self.list(key, "a list of whole numbers", |value| {
            value.as_u64().or_else(|| value.as_bool().map(u64::from))
        })
    }

    fn list<'c, T>(
        &'c self,
        key: &'static str,
        wanted: &str,
        item: impl Fn(&'c Value) -> Option<T>,
    ) -> Result<Option<Vec<T>>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value
            .as_array()
            .and_then(|items| items.iter().map(item).collect())
            .map(Some)
            .ok_or_else(|| self.wrong(key, value, wanted))
    }

    /// A value as it stands, for the few keys that have several shapes.
    pub fn raw(&self, key: &'static str) -> Option<&Value> {
        self.get(key)
    }

    /// Says something about the estimate that a reader should know.
    pub fn note(&self, note: String) {
        self.notes.borrow_mut().push(note);
    }

    /// Notes that a key which is absent or null was taken as the reference implementation takes it.
    ///
    /// Once a key.
    pub fn note_default(&self, key: &str, default: &str) {
        let absence = self.absence(key);
        if self.notes.borrow().iter().any(|note| note.starts_with(&absence)) {
            return;
        }
        let class = shown(self.class());
        self.note(format!("{absence}; the reference implementation of `{class}` takes {default}"));
    }

    /// Says of a key that is not there whether it is absent or null.
    pub fn absence(&self, key: &str) -> String {
        let absence = if self.object.contains_key(key) { "null" } else { "absent" };
        format!("{} is {absence}", self.place(key))
    }

    /// What was said so far.
    pub fn notes(&self) -> Vec<String> {
        self.notes.borrow().clone()
    }

    /// Keys that were read, with their values as far as they are short, in the order of reading.
    pub fn keys(&self) -> Vec<(String, String)> {
        let read = self.read.borrow();
        let mut keys: Vec<(String, String)> = Vec::with_capacity(read.len());
        for (at, key) in read.iter().enumerate() {
            let Some(value) = self.object.get(*key).filter(|_| !read[..at].contains(key)) else {
                continue;
            };
            let value = match value {
                Value::Array(items) => format!("a list of {}", items.len()),
                Value::Object(_) => continue,
                Value::String(text) => shown(text),
                scalar => scalar.to_string(),
            };
            keys.push((format!("{}{key}", self.prefix), value));
        }
        keys
    }

    /// Keys that look like shapes and that nobody read, with their place; 64 of them where there are more.
    pub fn unread(&self) -> Vec<String> {
        // More than anyone reads; a config may have thousands.
        const MOST: usize = 64;
        let read = self.read.borrow();
        self.object
            .iter()
            .filter(|(key, value)| {
                // Most were read, and to know that is the cheaper.
                !read.iter().any(|seen| seen == key) && looks_like_a_shape(key, value)
            })
            .take(MOST)
            .map(|(key, _)| format!("{}{key}", self.prefix))
            .collect()
    }

    /// An error at a key that contradicts another.
    pub fn contradiction(&self, key: &str, fact: &str) -> Error {
        Error::new(ErrorKind::Config, self.place(key), fact)
    }

    fn missing(&self, key: &str) -> Error {
        let error = Error::new(ErrorKind::Config, self.place(key), "is missing");
        match self.class() {
            "" => error,
            class => error.hint(format!("a config of type `{}` states it", shown(class))),
        }
    }

    fn wrong(&self, key: &str, value: &Value, wanted: &str) -> Error {
        Error::new(
            ErrorKind::Config,
            self.place(key),
            format!("is {}, not {wanted}", kind_of(value)),
        )
    }

    fn place(&self, key: &str) -> String {
        format!("`{}{key}`", self.prefix)
    }
}

fn kind_of(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => format!("the text \"{}\"", shown(text)),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
    }
}
