//! `model.safetensors.index.json`: which tensor lies in which file.

use crate::error::{Error, ErrorKind, Result, shown};
use crate::weights::{MOST_TENSORS, Tensor, at_tensor};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

/// The most files of a model.
const MOST_FILES: usize = 1024;
/// The longest index that is read: 60 layers of 384 experts with a packed weight and
/// three scales each take 28 MB.
pub const LONGEST_INDEX: u64 = 32 << 20;

/// An index of files. Names are those of the text, not copied.
///
/// # Example
///
/// ```
/// use flopmeter::weights::safetensors::Index;
/// let index = Index::parse(r#"{"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}"#)?;
/// assert_eq!(index.files().collect::<Vec<_>>(), ["1.safetensors", "2.safetensors"]);
/// assert!(Index::parse(r#"{"weight_map": {"a": "../1.safetensors"}}"#).is_err());
/// # Ok::<(), flopmeter::Error>(())
/// ```
#[derive(Debug)]
pub struct Index<'t> {
    /// The tensors of each file, in their order.
    files: BTreeMap<Cow<'t, str>, Vec<Cow<'t, str>>>,
}

impl<'t> Index<'t> {
    /// Reads the text of an index.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Weights`] for text that is none, and for files that do not lie beside it.
    pub fn parse(text: &'t str) -> Result<Self> {
        let json: Json<'t> = serde_json::from_str(text).map_err(|error| {
            let text = error.to_string();
            let cause = text.rsplit_once(" at line ").map_or(&*text, |(cause, _)| cause);
            let place = format!("line {}, column {}", error.line(), error.column());
            Error::new(ErrorKind::Weights, place, format!("is no index of tensors: {cause}"))
                .hint("give the folder's own model.safetensors.index.json")
        })?;
        let Json { weight_map: WeightMap(files) } = json;
        for (file, names) in &files {
            let beside = !file.is_empty()
                && ![".", ".."].contains(&&**file)
                && !file.contains(['/', '\\', ':', '\0']);
            if !beside {
                let fact = format!("lies in `{}`, which is no file beside the index", shown(file));
                let first = names.first().map_or("", |name| &**name);
                return Err(at_tensor(first, fact));
            }
        }
        if files.is_empty() {
            return Err(Error::new(ErrorKind::Weights, "`weight_map`", "names no tensor"));
        }
        Ok(Self { files })
    }

    /// The files that it names.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(|file| &**file)
    }

    /// The tensors that it has in a file.
    pub fn tensors(&self, file: &str) -> impl Iterator<Item = &str> {
        self.files.get(file).into_iter().flatten().map(|name| &**name)
    }

    /// Holds the tensors of one of its files against it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Weights`] for a tensor that either has and the other does not.
    pub fn check(&self, file: &str, tensors: &[Tensor]) -> Result<()> {
        let named: BTreeSet<&str> = self.tensors(file).collect();
        for Tensor { name, .. } in tensors {
            if named.contains(&**name) {
                continue;
            }
            let other = self.files.iter().find(|(_, names)| names.iter().any(|it| it == name));
            let fact = match other {
                Some((other, _)) => {
                    format!("is in the file, but the index has it in `{}`", shown(other))
                }
                None => "is in the file, but not in the index".to_owned(),
            };
            return Err(at_tensor(name, fact));
        }
        let there: BTreeSet<&str> = tensors.iter().map(|tensor| &*tensor.name).collect();
        match self.tensors(file).find(|name| !there.contains(name)) {
            Some(name) => Err(at_tensor(name, "is in the index, but not in the file")),
            None => Ok(()),
        }
    }
}

#[derive(Deserialize)]
struct Json<'t> {
    #[serde(borrow)]
    weight_map: WeightMap<'t>,
}

/// The name → file map, by file.
struct WeightMap<'t>(BTreeMap<Cow<'t, str>, Vec<Cow<'t, str>>>);

impl<'de: 't, 't> Deserialize<'de> for WeightMap<'t> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        from.deserialize_map(Entries)
    }
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = WeightMap<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of tensors to files")
    }

    fn visit_map<A: MapAccess<'de>>(
        self,
        mut map: A,
    ) -> std::result::Result<Self::Value, A::Error> {
        // Looked up for each tensor, and put in order once.
        let mut files: HashMap<Cow<'de, str>, Vec<Cow<'de, str>>> = HashMap::new();
        let mut tensors = 0;
        while let Some(name) = map.next_key_seed(Text)? {
            let file = map.next_value_seed(Text)?;
            tensors += 1;
            if tensors > MOST_TENSORS {
                return Err(A::Error::custom(format_args!("has more than {MOST_TENSORS} tensors")));
            }
            if let Some(names) = files.get_mut(&file) {
                names.push(name);
            } else if files.len() < MOST_FILES {
                files.insert(file, vec![name]);
            } else {
                return Err(A::Error::custom(format_args!("names more than {MOST_FILES} files")));
            }
        }
        Ok(WeightMap(files.into_iter().collect()))
    }
}

/// A text, as it stands where nothing in it is escaped.
struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(
        self,
        from: D,
    ) -> std::result::Result<Self::Value, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> std::result::Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> std::result::Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}
