//! `model.safetensors.index.json`: which tensor lies in which file.

use super::json::IndexJson;
use crate::error::{Error, ErrorKind, Result, cause, shown};
use crate::weights::{Tensor, at_tensor};
use std::collections::{BTreeMap, BTreeSet};

/// The most files of a model.
const MOST_FILES: usize = 4096;

/// An index of files.
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
pub struct Index {
    /// The tensors of each file.
    files: BTreeMap<String, BTreeSet<String>>,
}

impl Index {
    /// Reads the text of an index.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Weights`] for text that is none, and for files that do not lie beside it.
    pub fn parse(text: &str) -> Result<Self> {
        let json: IndexJson = serde_json::from_str(text).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            Error::new(
                ErrorKind::Weights,
                place,
                format!("is no index of tensors: {}", cause(&error)),
            )
            .hint("give the folder's own model.safetensors.index.json")
        })?;
        let mut files: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (name, file) in json.weight_map {
            if let Some(names) = files.get_mut(&file) {
                names.insert(name);
                continue;
            }
            let beside = !file.is_empty()
                && ![".", ".."].contains(&&*file)
                && !file.contains(['/', '\\', ':', '\0']);
            if !beside {
                let fact = format!("lies in `{}`, which is no file beside the index", shown(&file));
                return Err(at_tensor(&name, fact));
            }
            files.insert(file, BTreeSet::from([name]));
            if files.len() > MOST_FILES {
                let fact = format!("names more than {MOST_FILES} files");
                return Err(Error::new(ErrorKind::Weights, "`weight_map`", fact));
            }
        }
        if files.is_empty() {
            return Err(Error::new(ErrorKind::Weights, "`weight_map`", "names no tensor"));
        }
        Ok(Self { files })
    }

    /// The files that it names.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// The tensors that it has in a file.
    pub fn tensors(&self, file: &str) -> impl Iterator<Item = &str> {
        self.files.get(file).into_iter().flatten().map(String::as_str)
    }

    /// Holds the tensors of one of its files against it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Weights`] for a tensor that either has and the other does not.
    pub fn check(&self, file: &str, tensors: &[Tensor]) -> Result<()> {
        let named = self.files.get(file);
        for Tensor { name, .. } in tensors {
            if named.is_some_and(|names| names.contains(name)) {
                continue;
            }
            let other = self.files.iter().find(|(_, names)| names.contains(name));
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
