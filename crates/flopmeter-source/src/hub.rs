//! A Hub id, `org/name@revision` → the model: from the local cache, the built-in table or the Hub itself.
//! `org/name:Q4_K_M` is a GGUF file of a repository.

mod address;
mod answer;
mod cache;
mod choice;
mod client;
mod parallel;
mod progress;
mod refusal;
mod repository;
mod settings;

use super::ollama::Tag;
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

/// What may stand before an id, as Ollama and a browser have it.
const PREFIXES: [&str; 3] = ["hf.co/", "huggingface.co/", "https://huggingface.co/"];

/// A repository on the Hub at a revision, or a GGUF file of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Id<'n> {
    text: &'n str,
    owner: &'n str,
    name: &'n str,
    revision: Option<&'n str>,
    /// A quantisation such as `Q4_K_M`, or the name of a file.
    label: Option<&'n str>,
}

impl<'n> Id<'n> {
    /// Reads `org/name[@revision][:label]`; `None` for what is no Hub id.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Model`] for a revision that is none: it would lead out of the cache.
    pub fn parse(text: &'n str) -> Result<Option<Self>> {
        let text = text.trim();
        let rest = PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix)).unwrap_or(text);
        let (rest, label) = match rest.split_once(':') {
            Some((rest, label)) => (rest, Some(label)),
            None => (rest, None),
        };
        let (repository, revision) = match rest.split_once('@') {
            Some((repository, revision)) => (repository, Some(revision)),
            None => (rest, None),
        };
        let Some((owner, name)) = repository.split_once('/') else { return Ok(None) };
        if !is_name(owner) || !is_name(name) || label.is_some_and(|label| !choice::is_label(label))
        {
            return Ok(None);
        }
        if let Some(revision) = revision
            && !is_revision(revision)
        {
            return Err(Error::new(ErrorKind::Model, place(text), "has a revision that is none")
                .hint("give a branch, a tag or the hash of a commit after the @"));
        }
        Ok(Some(Self { text, owner, name, revision, label }))
    }

    /// Whether it says which file of a repository is meant.
    pub fn names_a_file(&self) -> bool {
        self.label.is_some()
    }

    /// The model: of the snapshot that the local cache has; else, unless a revision is named, what Ollama
    /// has under this name or what is built in; else as the Hub has it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Place`] for what none has, [`ErrorKind::Network`] and [`ErrorKind::Access`] if the Hub
    /// cannot be asked or refuses; whatever the files are refused for.
    pub fn find(&self) -> Result<Source> {
        let environment = Environment(&|name| env::var_os(name));
        let lacking = match self.cached(environment.cache().as_deref())? {
            Cached::Model(source) => return Ok(*source),
            Cached::Broken(error) => Some(error),
            Cached::Nothing => None,
        };
        let mut source = match (self.known(), environment.offline()) {
            (Ok(source), _) => source,
            (Err(error), _) if error.kind() != ErrorKind::Model => return Err(error),
            (Err(unknown), Some(variable)) => return Err(self.offline(lacking, unknown, variable)),
            (Err(unknown), None) => {
                let client = Client::new(Settings::read(&environment)?)?;
                let found = Repository::look_up(&client, self);
                found.map_err(|error| self.perhaps_mistyped(error, &unknown))?.model()?
            }
        };
        if let Some(lacking) = lacking {
            let note =
                format!("the local cache is left aside: {} {}", lacking.place(), lacking.fact());
            source.notes.push(note);
        }
        Ok(source)
    }

    /// What Ollama has installed under this name, or what is built in.
    fn known(&self) -> Result<Source> {
        if self.revision.is_some() {
            return Err(Error::new(ErrorKind::Model, place(self.text), "has a revision"));
        }
        let Some(tag) = Tag::parse(self.text) else { return from_table(self.text) };
        tag.known().map_err(|error| match (error.kind(), self.label) {
            (ErrorKind::Model, Some(_)) => tag.not_installed(error),
            _ => error,
        })
    }

    /// Why the Hub does not describe it, and what else may have been meant.
    fn perhaps_mistyped(&self, error: Error, unknown: &Error) -> Error {
        let error = match error.kind() {
            ErrorKind::Access => return error,
            ErrorKind::Place if self.revision.is_none() => {
                error.hint("there is no such folder here either")
            }
            _ => error,
        };
        unknown.hints().iter().fold(error, |error, hint| error.hint(hint))
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

    /// How an estimate names it.
    fn shown(&self) -> String {
        match self.label {
            Some(label) => format!("{}:{label}", self.repository()),
            None => self.repository(),
        }
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
        let file = self.label.map_or("config.json", |_| "--include '*.gguf'");
        format!("fetch it: `hf download {} {file}{revision}`", self.repository())
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
        let parts = |text| id(text).map(|id| (id.owner, id.name, id.revision, id.label));
        assert_eq!(parts("a-b/c.1"), Some(("a-b", "c.1", None, None)));
        assert_eq!(parts(" a-b/c.1@refs/pr/3 "), Some(("a-b", "c.1", Some("refs/pr/3"), None)));
        assert_eq!(parts("hf.co/a/b:Q4_K_M"), Some(("a", "b", None, Some("Q4_K_M"))));
        assert_eq!(parts("a/b@v1:x/y.gguf"), Some(("a", "b", Some("v1"), Some("x/y.gguf"))));
        for none in [
            "a",
            "a:7b",
            "a/b/c",
            "a/..",
            "../a",
            "a/.b",
            "a/b--c",
            "a/é",
            "",
            "/",
            "a/",
            "a/b:",
            "a/b:../c",
            "hf.co/a",
            "http://a/b",
        ] {
            assert_eq!(id(none), None, "{none}");
        }
        for revision in ["", ".", "..", "../x", "a//b", "/a", "a/..", "a\\b", "a\0", "~"] {
            assert!(Id::parse(&format!("a/b@{revision}")).is_err(), "{revision}");
        }
    }
}
