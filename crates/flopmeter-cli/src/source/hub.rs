//! A Hub id, `org/name@revision` → the model: from the local cache, the built-in table or the Hub itself.

mod address;
mod answer;
mod cache;
mod client;
mod parallel;
mod progress;
mod refusal;
mod repository;
mod settings;

use super::{Source, from_table};
use crate::visible::shortened;
use cache::Cached;
use client::Client;
use flopmeter::flops::nominal_billions;
use flopmeter::{Builtin, Error, ErrorKind, Model, Result};
use repository::Repository;
use settings::{Environment, Settings};
use std::env;

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

    /// The model: of the snapshot that the local cache has; else the built-in one, unless a revision is
    /// named; else as the Hub has it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Place`] for what neither has, [`ErrorKind::Network`] and [`ErrorKind::Access`] if the
    /// Hub cannot be asked or refuses; whatever the files are refused for.
    pub fn find(&self) -> Result<Source> {
        let environment = Environment(&|name| env::var_os(name));
        let lacking = match self.cached(environment.cache().as_deref())? {
            Cached::Model(source) => return Ok(*source),
            Cached::Broken(error) => Some(error),
            Cached::Nothing => None,
        };
        let id = self.repository();
        let built_in = match self.revision {
            None => from_table(&id),
            Some(_) => Err(Error::new(ErrorKind::Model, place(&id), "")),
        };
        let mut source = match (built_in, environment.offline()) {
            (Ok(source), _) => source,
            (Err(unknown), Some(variable)) => {
                return Err(self.offline(lacking, unknown, variable));
            }
            (Err(unknown), None) => {
                let client = Client::new(Settings::read(&environment)?)?;
                let found =
                    Repository::look_up(&client, self).map_err(|error| match error.kind() {
                        ErrorKind::Access => error,
                        // A name that is not found is often one that is mistyped.
                        _ => unknown.hints().iter().fold(error, |error, hint| error.hint(hint)),
                    })?;
                found.model()?
            }
        };
        if let Some(lacking) = lacking {
            let note =
                format!("the local cache is left aside: {} {}", lacking.place(), lacking.fact());
            source.notes.push(note);
        }
        Ok(source)
    }

    /// Why there is nothing, when the Hub may not be asked.
    fn offline(&self, lacking: Option<Error>, unknown: Error, variable: &str) -> Error {
        let error = match (lacking, self.revision) {
            (Some(lacking), _) => lacking,
            (None, Some(revision)) => {
                let fact = format!("has no revision `{}` in the local cache", shortened(revision));
                Error::new(ErrorKind::Place, place(&self.repository()), fact)
                    .hint(self.command())
                    .hint("or leave the revision out")
            }
            (None, None) => unknown,
        };
        error.hint(format!("{variable} is set: without it the Hub is asked"))
    }

    fn repository(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    fn revision(&self) -> &str {
        self.revision.unwrap_or(DEFAULT_REVISION)
    }

    /// With the number of parameters that the name states, for the convention that takes it.
    fn with_nominal(&self, model: Model) -> Model {
        let id = self.repository();
        let row = Builtin::find(&id).ok();
        match row.and_then(|row| row.nominal_billions).or_else(|| nominal_billions(&id)) {
            Some(billions) => model.with_nominal_billions(billions),
            None => model,
        }
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
    use super::Id;

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
}
