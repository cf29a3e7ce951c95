//! The local cache of the Hub's client.
//!
//! ```text
//! <cache>/models--org--name/refs/<revision>             a commit's hash
//!                          /snapshots/<hash>/config.json  a link into blobs/
//! ```

use super::{Id, Source, choice, is_hash};
use crate::visible::shortened;
use crate::{file, gguf, weights};
use flopmeter::{Error, ErrorKind, Result};
use std::collections::BTreeSet;
use std::path::Path;
use std::{fs, io};

/// What the cache has of a revision.
pub enum Cached {
    /// Its config at least.
    Model(Box<Source>),
    /// Less than that, as after a download of other files: why it is of no use.
    Broken(Error),
    Nothing,
}

impl Id<'_> {
    /// What the cache has.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Place`] for a reference that is none; whatever the config is refused for.
    pub(super) fn cached(&self, cache: Option<&Path>) -> Result<Cached> {
        let Some(cache) = cache else { return Ok(Cached::Nothing) };
        let folder = cache.join(format!("models--{}--{}", self.owner, self.name));
        let Some((hash, named)) = self.commit(&folder)? else { return Ok(Cached::Nothing) };
        let snapshot = folder.join("snapshots").join(&hash);
        if !snapshot.is_dir() {
            let fact = format!("does not exist, but `{}` names it", self.revision());
            let broken = || Cached::Broken(broken(&snapshot, &fact).hint(self.command()));
            return Ok(if named { broken() } else { Cached::Nothing });
        }
        let mut source = match self.of_snapshot(&snapshot)? {
            Cached::Model(source) => source,
            other => return Ok(other),
        };
        let revision = shortened(self.revision());
        let named = if named { format!(" (revision {revision})") } else { String::new() };
        let note = format!("snapshot {hash}{named} in the local Hub cache");
        source.notes.insert(0, note);
        source.model = self.with_nominal(source.model);
        Ok(Cached::Model(source))
    }

    fn of_snapshot(&self, snapshot: &Path) -> Result<Cached> {
        let config = snapshot.join("config.json");
        let broken = |fact| Ok(Cached::Broken(broken(&config, fact).hint(self.command())));
        let is_link = config.is_symlink();
        match fs::metadata(&config) {
            Ok(_) if !self.names_a_file() => {}
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(file::unreadable(&file::shown(&config), &error));
            }
            Err(_) if is_link => return broken("is a link to a file that does not exist"),
            _ => {
                let files = gguf_files(snapshot);
                if files.is_empty() && !self.names_a_file() {
                    return broken("is not in the snapshot");
                }
                let chosen = choice::choose(&self.repository(), &files, self.label);
                return match chosen {
                    Ok(names) => {
                        let paths: Vec<_> = names.iter().map(|name| snapshot.join(name)).collect();
                        Ok(Cached::Model(Box::new(gguf::of_files(&paths, &self.shown())?)))
                    }
                    // The Hub may have it.
                    Err(error) if error.kind() == ErrorKind::Place => {
                        let fact = format!("{} in the local cache", error.fact());
                        let error = Error::new(ErrorKind::Place, error.place(), fact);
                        Ok(Cached::Broken(error.hint(self.command())))
                    }
                    Err(error) => Err(error),
                };
            }
        }
        // A snapshot has what was asked for of the weights, often not all.
        let (found, partial) = match weights::of_folder(snapshot) {
            Ok(found) => (found, None),
            Err(error) if error.kind() == ErrorKind::Place => {
                (None, Some("not all weights are in the cache: the config alone is counted".into()))
            }
            Err(error) => return Err(error),
        };
        let (found, headers) = found.map(|found| (found.weights, found.note)).unzip();
        let model = file::model(&config, found)?;
        let notes = [headers, partial].into_iter().flatten().collect();
        let source = Source { id: self.repository(), model, builtin: None, notes };
        Ok(Cached::Model(Box::new(source)))
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
}

/// The GGUF files of a snapshot, and of the folders in it.
fn gguf_files(snapshot: &Path) -> BTreeSet<String> {
    let names = |folder: &Path| -> Vec<String> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    };
    let mut files = BTreeSet::new();
    for name in names(snapshot) {
        if snapshot.join(&name).is_dir() {
            let below = names(&snapshot.join(&name));
            files.extend(below.iter().map(|file| format!("{name}/{file}")));
        } else {
            files.insert(name);
        }
    }
    files.retain(|name| name.ends_with(".gguf"));
    files
}

fn broken(path: &Path, fact: &str) -> Error {
    Error::new(ErrorKind::Place, file::shown(path), fact)
}
