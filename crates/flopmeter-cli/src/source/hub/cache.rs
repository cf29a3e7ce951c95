//! The local cache of the Hub's client.
//!
//! ```text
//! <cache>/models--org--name/refs/<revision>             a commit's hash
//!                          /snapshots/<hash>/config.json  a link into blobs/
//! ```

use super::{Id, Source, is_hash};
use crate::source::{file, weights};
use crate::visible::shortened;
use flopmeter::{Error, ErrorKind, Result};
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
        let config = snapshot.join("config.json");
        match fs::metadata(&config) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let fact = if config.is_symlink() {
                    "is a link to a file that does not exist"
                } else {
                    "is not in the snapshot"
                };
                return Ok(Cached::Broken(broken(&config, fact).hint(self.command())));
            }
            Err(error) => return Err(file::unreadable(&file::shown(&config), &error)),
        }
        // A snapshot has what was asked for of the weights, often not all.
        let (found, partial) = match weights::of_folder(&snapshot) {
            Ok(found) => (found, None),
            Err(error) if error.kind() == ErrorKind::Place => {
                (None, Some("not all weights are in the cache: the config alone is counted".into()))
            }
            Err(error) => return Err(error),
        };
        let (found, headers) = found.map(|found| (found.weights, found.note)).unzip();
        let model = self.with_nominal(file::model(&config, found)?);
        let note = if named {
            let revision = shortened(self.revision());
            format!("config of snapshot {hash} (revision {revision}) in the local Hub cache")
        } else {
            format!("config of snapshot {hash} in the local Hub cache")
        };
        let notes = [Some(note), headers, partial].into_iter().flatten().collect();
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

fn broken(path: &Path, fact: &str) -> Error {
    Error::new(ErrorKind::Place, file::shown(path), fact)
}
