//! `model.safetensors.index.json`: which tensor lies in which file.

use super::at_byte;
use super::json::{Cursor, Quoted, Read, Wrong};
use crate::error::{Error, ErrorKind, Result, shown};
use crate::weights::{MOST_TENSORS, Tensor, at_tensor};
use foldhash::fast::RandomState;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The most files of a model.
const MOST_FILES: usize = 1024;
/// The longest index that is read: 60 layers of 384 experts with a packed weight and three scales each take 28 MB. It is
/// no header, and costs what it is long: one of its length takes about as long whatever stands in it.
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
    text: &'t str,
    /// The tensors of each file, in their order.
    files: BTreeMap<Cow<'t, str>, Vec<Span>>,
}

/// Where a name stands in the text, its quotes included: half of what a reference takes, for there are many.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: u32,
    to: u32,
}

impl<'t> Index<'t> {
    /// Reads the text of an index.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Weights`] for text that is none, and for files that do not lie beside it.
    pub fn parse(text: &'t str) -> Result<Self> {
        let files = files(text).map_err(|wrong| {
            let hint = wrong.hint("give the folder's own model.safetensors.index.json");
            at_byte(wrong.at as u64, format!("the index {}", wrong.fact)).hint(hint)
        })?;
        let index = Self { text, files };
        for file in index.files() {
            let beside = !file.is_empty()
                && ![".", ".."].contains(&file)
                && !file.contains(['/', '\\', ':', '\0']);
            if !beside {
                let fact = format!("lies in `{}`, which is no file beside the index", shown(file));
                let first = index.tensors(file).next().unwrap_or_default();
                return Err(at_tensor(&first, fact));
            }
        }
        if index.files.is_empty() {
            return Err(Error::new(ErrorKind::Weights, "`weight_map`", "names no tensor"));
        }
        Ok(index)
    }

    /// The files that it names.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(|file| &**file)
    }

    /// The tensors that it has in a file.
    pub fn tensors(&self, file: &str) -> impl Iterator<Item = Cow<'t, str>> {
        let text = self.text;
        self.files.get(file).into_iter().flatten().map(move |span| span.name(text))
    }

    /// Holds the tensors of one of its files against it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Weights`] for a tensor that either has and the other does not.
    pub fn check(&self, file: &str, tensors: &[Tensor]) -> Result<()> {
        let mut check = self.check_file(file);
        tensors.iter().try_for_each(|tensor| check.tensor(&tensor.name))?;
        check.done()
    }

    /// Holds one of its files against it, tensor by tensor.
    pub fn check_file<'i>(&'i self, file: &str) -> Check<'i, 't> {
        Check { index: self, left: self.tensors(file).collect() }
    }
}

/// What the index has of a file and the file did not show yet.
#[derive(Debug)]
pub struct Check<'i, 't> {
    index: &'i Index<'t>,
    left: HashSet<Cow<'t, str>, RandomState>,
}

impl Check<'_, '_> {
    /// A tensor that the file has, each of them once.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Weights`] for one that the index does not have in it.
    pub fn tensor(&mut self, name: &str) -> Result<()> {
        if self.left.remove(name) {
            return Ok(());
        }
        let index = self.index;
        let other = index.files().find(|file| index.tensors(file).any(|it| it == name));
        let fact = match other {
            Some(other) => {
                format!("is in the file, but the index has it in `{}`", shown(other))
            }
            None => "is in the file, but not in the index".to_owned(),
        };
        Err(at_tensor(name, fact))
    }

    /// All of the file was shown.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Weights`] for a tensor that was not.
    pub fn done(self) -> Result<()> {
        match self.left.iter().min() {
            Some(name) => Err(at_tensor(name, "is in the index, but not in the file")),
            None => Ok(()),
        }
    }
}

impl Span {
    fn of(quoted: Quoted<'_>) -> Option<Self> {
        let from = u32::try_from(quoted.at + 1).ok()?;
        Some(Self { from, to: from.checked_add(u32::try_from(quoted.raw.len()).ok()?)? })
    }

    /// The name; one whose escapes say nothing as it stands, for no file has it.
    fn name(self, text: &str) -> Cow<'_, str> {
        let raw = text.get(self.from as usize..self.to as usize).unwrap_or_default();
        Quoted { at: 0, raw }.value().unwrap_or(raw.into())
    }
}

/// The name → file map, by file.
fn files(text: &str) -> Read<BTreeMap<Cow<'_, str>, Vec<Span>>> {
    let mut cursor = Cursor::new(text);
    let mut map = None;
    cursor.object(|cursor, key| match key.raw {
        "weight_map" if map.is_some() => Err(cursor.wrong("has `weight_map` twice")),
        "weight_map" => {
            map = Some(weight_map(cursor)?);
            Ok(())
        }
        _ => cursor.pass(),
    })?;
    cursor.end()?;
    map.ok_or_else(|| cursor.wrong("has no `weight_map`"))
}

fn weight_map<'t>(cursor: &mut Cursor<'t>) -> Read<BTreeMap<Cow<'t, str>, Vec<Span>>> {
    // Looked up for each tensor as they are spelled, and put in order once.
    let mut places: HashMap<&'t str, usize, RandomState> = HashMap::default();
    let mut files: Vec<(Quoted<'t>, Vec<Span>)> = Vec::new();
    let mut tensors = 0;
    cursor.object(|cursor, name| {
        let file = cursor.text()?;
        tensors += 1;
        if tensors > MOST_TENSORS {
            return Err(cursor.over_most(MOST_TENSORS, "tensors"));
        }
        let place = *places.entry(file.raw).or_insert(files.len());
        if place == MOST_FILES {
            return Err(cursor.over_most(MOST_FILES, "files"));
        }
        if place == files.len() {
            files.push((file, Vec::new()));
        }
        let span = Span::of(name).ok_or_else(|| cursor.wrong("is too long"))?;
        files[place].1.push(span);
        Ok(())
    })?;
    let mut map: BTreeMap<Cow<'t, str>, Vec<Span>> = BTreeMap::new();
    for (file, mut names) in files {
        let value = file.value().ok_or_else(|| Wrong {
            at: file.at,
            fact: "has a file's name with an escape that says nothing".into(),
            over: false,
        })?;
        map.entry(value).or_default().append(&mut names);
    }
    Ok(map)
}
