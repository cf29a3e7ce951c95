//! `model.safetensors.index.json`: which tensor lies in which file.

use super::at_byte;
use super::header::MOST_ESCAPED;
use super::json::{Cursor, Quoted, Read, Wrong};
use super::window::Text;
use crate::error::{Error, ErrorKind, Result, shown};
use crate::weights::{MOST_TENSORS, Tensor, at_tensor};
use foldhash::fast::RandomState;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::hash::BuildHasher;
use std::rc::Rc;

/// The most files of a model.
const MOST_FILES: usize = 1024;
/// The longest index that is read: 60 layers of 384 experts with a packed weight and three scales each take 28 MB. It is
/// no header, and costs what it is long: one of its length takes about as long whatever stands in it.
pub const LONGEST_INDEX: u64 = 32 << 20;

/// An index of files. Of tensors' names it keeps a hash each, and reads the text once more where an error is to name one.
///
/// # Example
///
/// ```
/// use flopmeter::weights::safetensors::Index;
///
/// let text = r#"{"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}"#;
/// let index = Index::parse(&text)?;
/// assert_eq!(index.files().collect::<Vec<_>>(), ["1.safetensors", "2.safetensors"]);
/// assert_eq!(index.first_tensor("2.safetensors").as_deref(), Some("b"));
///
/// let elsewhere = r#"{"weight_map": {"a": "../1.safetensors"}}"#;
/// assert!(Index::parse(&elsewhere).is_err());
/// # Ok::<(), flopmeter::Error>(())
/// ```
pub struct Index<'t> {
    text: &'t dyn Text,
    files: BTreeMap<String, Names>,
    hasher: RandomState,
}

/// The names of the tensors of one file.
#[derive(Debug, Default)]
pub struct Names {
    /// That by chance two of the most tensors have one happens once in 200 million models.
    hashes: Vec<u64>,
    /// The bytes that they take in the text.
    bytes: u64,
}

impl<'t> Index<'t> {
    /// Reads the text of an index, in pieces.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Weights`] for text that is none, and for files that do not lie beside it.
    pub fn parse(text: &'t dyn Text) -> Result<Self> {
        let hasher = RandomState::default();
        let files = files(text, &hasher).map_err(|wrong| {
            let hint = wrong.hint("give the folder's own model.safetensors.index.json");
            at_byte(wrong.at as u64, format!("the index {}", wrong.fact)).hint(hint)
        })?;
        let index = Self { text, files, hasher };
        for file in index.files() {
            let beside = !file.is_empty()
                && ![".", ".."].contains(&file)
                && !file.contains(['/', '\\', ':', '\0']);
            if !beside {
                let fact = format!("lies in `{}`, which is no file beside the index", shown(file));
                return Err(at_tensor(&index.first_tensor(file).unwrap_or_default(), fact));
            }
        }
        if index.files.is_empty() {
            return Err(Error::new(ErrorKind::Weights, "`weight_map`", "names no tensor"));
        }
        Ok(index)
    }

    /// The files that it names.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// The names of the tensors that it has in a file.
    pub fn names(&self, file: &str) -> Option<&Names> {
        self.files.get(file)
    }

    /// The first tensor that it has in a file; the text is read once more.
    pub fn first_tensor(&self, file: &str) -> Option<String> {
        let hashes = &self.names(file)?.hashes;
        self.first_of(|hash| hashes.first() == Some(&hash))
    }

    /// The first tensor of whose name the hash is asked for.
    fn first_of(&self, is_asked: impl Fn(u64) -> bool) -> Option<String> {
        let mut first = None;
        // The first that is asked for ends the reading.
        let _ = each(self.text, |cursor, name, _| {
            let name = spelled(cursor, name);
            if !is_asked(self.hasher.hash_one(&*name)) {
                return Ok(());
            }
            first = Some(name.into_owned());
            Err(cursor.wrong("is asked for"))
        });
        first
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
        let hashes = self.names(file).map_or(&[][..], |names| &names.hashes);
        Check { index: self, left: hashes.iter().copied().collect() }
    }
}

impl Names {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.hashes.len()
    }

    /// The bytes that they take together.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl fmt::Debug for Index<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").field("files", &self.files).finish_non_exhaustive()
    }
}

/// What the index has of a file and the file did not show yet.
#[derive(Debug)]
pub struct Check<'i, 't> {
    index: &'i Index<'t>,
    left: HashSet<u64, RandomState>,
}

impl Check<'_, '_> {
    /// A tensor that the file has, each of them once.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Weights`] for one that the index does not have in it.
    pub fn tensor(&mut self, name: &str) -> Result<()> {
        let hash = self.index.hasher.hash_one(name);
        if self.left.remove(&hash) {
            return Ok(());
        }
        let other = self.index.files.iter().find(|(_, names)| names.hashes.contains(&hash));
        let fact = match other {
            Some((other, _)) => {
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
        if self.left.is_empty() {
            return Ok(());
        }
        let name = self.index.first_of(|hash| self.left.contains(&hash)).unwrap_or_default();
        Err(at_tensor(&name, "is in the index, but not in the file"))
    }
}

/// What a name says; one whose escapes say nothing as it stands, for no file has it.
fn spelled<'c>(cursor: &'c Cursor<'_>, name: Quoted) -> Cow<'c, str> {
    cursor.value(name).unwrap_or_else(|| cursor.raw(name).into())
}

/// Gives each tensor's name and the file that it lies in.
fn each(
    text: &dyn Text,
    mut take: impl FnMut(&Cursor<'_>, Quoted, Quoted) -> Read<()>,
) -> Read<()> {
    let mut cursor = Cursor::new(text)?;
    let mut there = false;
    cursor.object(|cursor, key| match cursor.raw(key) {
        "weight_map" if there => Err(cursor.wrong("has `weight_map` twice")),
        "weight_map" => {
            there = true;
            cursor.object(|cursor, name| {
                let file = cursor.text()?;
                take(cursor, name, file)?;
                cursor.forget();
                Ok(())
            })
        }
        _ => cursor.pass(),
    })?;
    cursor.end()?;
    if there { Ok(()) } else { Err(cursor.wrong("has no `weight_map`")) }
}

/// The names of the tensors of each file.
fn files(text: &dyn Text, hasher: &RandomState) -> Read<BTreeMap<String, Names>> {
    // Looked up for each tensor as they are spelled, and put in order once.
    let mut places: HashMap<Rc<str>, usize, RandomState> = HashMap::default();
    let mut files: Vec<(Rc<str>, String, Names)> = Vec::new();
    let (mut tensors, mut escaped, mut last) = (0, 0, 0);
    each(text, |cursor, name, file| {
        tensors += 1;
        if tensors > MOST_TENSORS {
            return Err(cursor.over_most(MOST_TENSORS, "tensors"));
        }
        escaped += usize::from(name.escaped);
        if escaped > MOST_ESCAPED {
            return Err(cursor.over_most(MOST_ESCAPED, "names with an escape"));
        }
        let spelling = cursor.raw(file);
        // Most lie where the one before lies.
        let place = match files.get(last) {
            Some((before, ..)) if **before == *spelling => Some(last),
            _ => places.get(spelling).copied(),
        };
        last = match place {
            Some(place) => place,
            None if files.len() == MOST_FILES => {
                return Err(cursor.over_most(MOST_FILES, "files"));
            }
            None => {
                let says = cursor.value(file).ok_or_else(|| Wrong {
                    at: file.at(),
                    fact: "has a file's name with an escape that says nothing".into(),
                    over: false,
                })?;
                let spelling: Rc<str> = spelling.into();
                files.push((spelling.clone(), says.into_owned(), Names::default()));
                places.insert(spelling, files.len() - 1);
                files.len() - 1
            }
        };
        let name = spelled(cursor, name);
        let names = &mut files[last].2;
        names.hashes.push(hasher.hash_one(&*name));
        names.bytes += name.len() as u64;
        Ok(())
    })?;
    let mut map: BTreeMap<String, Names> = BTreeMap::new();
    for (_, file, mut names) in files {
        let there = map.entry(file).or_default();
        there.hashes.append(&mut names.hashes);
        there.bytes += names.bytes;
    }
    Ok(map)
}
