//! The local cache of the Hub's client: `org/name@revision` → the config.json of a snapshot.
//!
//! ```text
//! <cache>/models--org--name/refs/<revision>             a commit's hash
//!                          /snapshots/<hash>/config.json  a link into blobs/
//! ```
//!
//! Nothing is fetched.

use super::{Source, file, weights};
use crate::visible::shortened;
use flopmeter::flops::nominal_billions;
use flopmeter::{Builtin, Error, ErrorKind, Result};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// The revision that is meant where none is named.
const DEFAULT_REVISION: &str = "main";

/// A repository on the Hub at a revision.
#[derive(Debug, PartialEq, Eq)]
pub struct Id<'n> {
    owner: &'n str,
    name: &'n str,
    revision: Option<&'n str>,
}

impl<'n> Id<'n> {
    /// Reads `org/name` and `org/name@revision`; `None` for what is no Hub id.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Model`] for a revision that is none: it would lead out of the cache.
    pub fn parse(text: &'n str) -> Result<Option<Self>> {
        let text = text.trim();
        let (repository, revision) = match text.split_once('@') {
            Some((repository, revision)) => (repository, Some(revision)),
            None => (text, None),
        };
        let Some((owner, name)) = repository.split_once('/') else { return Ok(None) };
        if !is_name(owner) || !is_name(name) {
            return Ok(None);
        }
        if let Some(revision) = revision
            && !is_revision(revision)
        {
            return Err(Error::new(ErrorKind::Model, place(text), "has a revision that is none")
                .hint("give a branch, a tag or the hash of a commit after the @"));
        }
        Ok(Some(Self { owner, name, revision }))
    }

    fn repository(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    fn folder(&self) -> String {
        format!("models--{}--{}", self.owner, self.name)
    }

    /// The model, if the cache has the revision.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Place`] for a cache that lacks what it names, or a revision that is asked for by name
    /// and not there; whatever the config is refused for.
    pub fn cached(&self) -> Result<Option<Source>> {
        let missing = |fact: &str| {
            Error::new(ErrorKind::Place, place(&self.repository()), fact).hint(self.command())
        };
        let not_there = || match self.revision {
            Some(revision) => {
                let fact = format!("has no revision `{}` in the local cache", shortened(revision));
                Err(missing(&fact).hint("or leave the revision out"))
            }
            None => Ok(None),
        };
        let Some(folder) = cache(&|name| env::var_os(name)).map(|at| at.join(self.folder())) else {
            return not_there();
        };
        let Some((hash, named)) = self.commit(&folder)? else { return not_there() };
        let snapshot = folder.join("snapshots").join(&hash);
        if !snapshot.is_dir() {
            if named {
                return Err(broken(
                    &snapshot,
                    &format!("does not exist, but `{}` names it", self.revision()),
                )
                .hint(self.command()));
            }
            return not_there();
        }
        let config = snapshot.join("config.json");
        match fs::metadata(&config) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let fact = if config.is_symlink() {
                    "is a link to a file that does not exist"
                } else {
                    "is not in the snapshot"
                };
                return Err(broken(&config, fact).hint(self.command()));
            }
            Err(error) => return Err(file::unreadable(&file::shown(&config), &error)),
        }
        let id = self.repository();
        // A snapshot has what was asked for of the weights, often not all.
        let (found, partial) = match weights::of_folder(&snapshot) {
            Ok(found) => (found, None),
            Err(error) if error.kind() == ErrorKind::Place => {
                (None, Some("not all weights are in the cache: the config alone is counted".into()))
            }
            Err(error) => return Err(error),
        };
        let (found, headers) = found.map(|found| (found.weights, found.note)).unzip();
        let mut model = file::model(&config, found)?;
        let row = Builtin::find(&id).ok();
        let stated = row.and_then(|row| row.nominal_billions).or_else(|| nominal_billions(&id));
        if let Some(billions) = stated {
            model = model.with_nominal_billions(billions);
        }
        let note = if named {
            let revision = shortened(self.revision());
            format!("config of snapshot {hash} (revision {revision}) in the local Hub cache")
        } else {
            format!("config of snapshot {hash} in the local Hub cache")
        };
        let notes = [Some(note), headers, partial].into_iter().flatten().collect();
        Ok(Some(Source { id, model, builtin: None, notes }))
    }

    fn revision(&self) -> &str {
        self.revision.unwrap_or(DEFAULT_REVISION)
    }

    /// The commit of the revision, and whether a reference names it.
    fn commit(&self, folder: &Path) -> Result<Option<(String, bool)>> {
        let revision = self.revision();
        let reference = folder.join("refs").join(revision);
        if reference.is_file() {
            let text = file::text(&reference)?;
            let hash = text.trim();
            if !is_hash(hash) {
                return Err(
                    broken(&reference, "does not hold the hash of a commit").hint(self.command())
                );
            }
            return Ok(Some((hash.to_owned(), true)));
        }
        Ok(is_hash(revision).then(|| (revision.to_owned(), false)))
    }

    /// What brings the config into the cache.
    fn command(&self) -> String {
        let revision = match self.revision {
            Some(revision) => format!(" --revision {}", shortened(revision)),
            None => String::new(),
        };
        format!("fetch it: `hf download {} config.json{revision}`", self.repository())
    }
}

/// The cache's folder, as the Hub's client finds it.
fn cache(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let home = || variable("HOME").or_else(|| variable("USERPROFILE")).filter(|at| !at.is_empty());
    let folder = |name: &str| -> Option<PathBuf> {
        let at = PathBuf::from(variable(name).filter(|at| !at.is_empty())?);
        // The client expands a leading `~` too.
        match at.strip_prefix("~") {
            Ok(below) => Some(PathBuf::from(home()?).join(below)),
            Err(_) => Some(at),
        }
    };
    folder("HF_HUB_CACHE")
        .or_else(|| folder("HUGGINGFACE_HUB_CACHE"))
        .or_else(|| folder("HF_HOME").map(|at| at.join("hub")))
        .or_else(|| folder("XDG_CACHE_HOME").map(|at| at.join("huggingface").join("hub")))
        .or_else(|| Some(PathBuf::from(home()?).join(".cache").join("huggingface").join("hub")))
}

fn broken(path: &Path, fact: &str) -> Error {
    Error::new(ErrorKind::Place, file::shown(path), fact)
}

fn place(name: &str) -> String {
    format!("`{}`", shortened(name))
}

/// The Hub's own rule for the two halves of an id.
fn is_name(text: &str) -> bool {
    let ends = ['-', '.'];
    (1..=96).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && !text.starts_with(ends)
        && !text.ends_with(ends)
        && !text.contains("--")
        && !text.contains("..")
}

/// A branch (`main`, `refs/pr/3`), a tag (`v1.0`) or a hash: parts that stay below a folder.
fn is_revision(text: &str) -> bool {
    text.len() <= 255
        && text.split('/').all(|part| {
            !part.is_empty()
                && !part.starts_with('.')
                && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.+".contains(c))
        })
}

fn is_hash(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::{Id, cache};
    use std::path::PathBuf;

    #[test]
    fn what_is_an_id() {
        let id = |text| Id::parse(text).ok().flatten();
        let whole = |revision| Some(Id { owner: "a-b", name: "c.1", revision });
        assert_eq!(id("a-b/c.1"), whole(None));
        assert_eq!(id(" a-b/c.1@refs/pr/3 "), whole(Some("refs/pr/3")));
        for none in ["a", "a:7b", "a/b/c", "a/..", "../a", "a/.b", "a/b--c", "a/é", "", "/", "a/"]
        {
            assert_eq!(id(none), None, "{none}");
        }
        for revision in ["", ".", "..", "../x", "a//b", "/a", "a/..", "a\\b", "a\0", "~"] {
            assert!(Id::parse(&format!("a/b@{revision}")).is_err(), "{revision}");
        }
    }

    #[test]
    fn where_the_cache_is() {
        let of = |set: &[(&str, &str)]| {
            cache(&|name| set.iter().find(|(known, _)| *known == name).map(|(_, at)| at.into()))
        };
        let mut set = vec![("HOME", "/h")];
        let mut next = |at: Option<(&'static str, &'static str)>, wanted: &str| {
            set.extend(at);
            assert_eq!(of(&set), Some(PathBuf::from(wanted)));
        };
        next(None, "/h/.cache/huggingface/hub");
        next(Some(("XDG_CACHE_HOME", "/x")), "/x/huggingface/hub");
        next(Some(("HF_HOME", "~/f")), "/h/f/hub");
        next(Some(("HF_HUB_CACHE", "/c")), "/c");
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("HF_HOME", ""), ("HOME", "/h")]), of(&[("HOME", "/h")]));
    }
}
