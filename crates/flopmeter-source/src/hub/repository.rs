//! A repository on the Hub: its config.json, what lies beside it, and the headers of its weights; or those
//! of a GGUF file.

use super::answer::Part;
use super::client::{Asked, Client};
use super::progress::Progress;
use super::{Id, choice, is_hash, parallel};
use crate::visible::shortened;
use crate::weights::{self, Budget, Found, Headers};
use crate::{Source, file, gguf};
use flopmeter::weights::Tensor;
use flopmeter::weights::safetensors::{self, Index, LONGEST_INDEX};
use flopmeter::{Error, ErrorKind, Result};
use serde::Deserialize;
use std::collections::BTreeSet;

const CONFIG: &str = "config.json";
/// What is read first of a file of weights that no index describes: most headers end before it.
const FIRST: u64 = 64 << 10;
/// What a tensor takes in a header, its name aside, and what stands around them all.
const BYTES_OF_A_TENSOR: u64 = 112;
const BYTES_AROUND: u64 = 1 << 10;
/// What is read first of a file that an index describes is not less, and not more, than this.
const LEAST: u64 = 4 << 10;
const MOST: u64 = 1 << 20;
/// The longest description of a repository that is read.
const LONGEST_DESCRIPTION: u64 = 4 << 20;

/// A repository at a commit.
pub struct Repository<'c> {
    client: &'c Client,
    id: &'c Id<'c>,
    name: String,
    commit: String,
    files: BTreeSet<String>,
}

/// What the Hub says of one.
#[derive(Deserialize)]
struct Description {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

impl<'c> Repository<'c> {
    /// Asks which commit the revision is, and which files it has. All else is read at that commit, so that
    /// a change meanwhile mixes nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Network`], [`ErrorKind::Access`] or [`ErrorKind::Place`], as the Hub refuses.
    pub fn look_up(client: &'c Client, id: &'c Id<'c>) -> Result<Self> {
        let name = id.repository();
        let asked = Asked { repository: &name, revision: id.revision(), file: None };
        let text = client.get(asked, Part::Whole { most: LONGEST_DESCRIPTION })?.bytes;
        let wrong = |fact: String| {
            Error::new(ErrorKind::Network, asked.place(), fact)
                .hint("is HF_ENDPOINT the address of a Hub?")
        };
        let host = client.settings.endpoint.host();
        let description: Description = serde_json::from_slice(&text)
            .map_err(|_| wrong(format!("{host} describes it in no way that is known")))?;
        if !is_hash(&description.sha) {
            let sha = shortened(&description.sha);
            return Err(wrong(format!("{host} says that it is at `{sha}`, no hash of a commit")));
        }
        let files = description.siblings.into_iter().map(|sibling| sibling.rfilename).collect();
        Ok(Self { client, id, name, commit: description.sha, files })
    }

    /// The model.
    ///
    /// # Errors
    ///
    /// The same, and whatever the files are refused for.
    pub fn model(&self) -> Result<Source> {
        let mut source = match self.text(CONFIG)? {
            Some(config) if !self.id.names_a_file() => self.configured(&config)?,
            _ => self.gguf()?,
        };
        source.model = self.id.with_nominal(source.model);
        source.notes.insert(0, self.note());
        Ok(source)
    }

    /// The model of its config.json.
    fn configured(&self, config: &str) -> Result<Source> {
        let found = self.weights()?;
        let (found, note) = found.map(|found| (found.weights, found.note)).unzip();
        let place = self.asked(CONFIG).place();
        let model = file::model_of(config, &place, &|name| self.text(name), found)?;
        let notes = note.into_iter().collect();
        Ok(Source { id: self.id.shown(), model, builtin: None, notes })
    }

    /// The model of a GGUF file, or of those into which one was split.
    fn gguf(&self) -> Result<Source> {
        let names = choice::choose(&self.name, &self.files, self.id.label)?;
        let progress = Progress::new(&self.name, names.len(), self.client.settings.progress);
        let parts = parallel::each(names.len(), |at| {
            let asked = self.asked(&names[at]);
            let part = gguf::header(asked.place(), gguf::MOST_AT_ONCE, |from, to, bytes| {
                let mut answer = self.client.get(asked, Part::Bytes { from, to })?;
                bytes.append(&mut answer.bytes);
                Ok(answer.file_bytes)
            })?;
            progress.step();
            Ok(part)
        })?;
        drop(progress);
        gguf::of_parts(parts, &self.id.shown())
    }

    /// What was read from where.
    fn note(&self) -> String {
        let (requests, bytes) = self.client.used();
        format!(
            "read from {} at commit {} (revision {}): {requests} requests, {bytes} bytes; none of it is kept",
            self.client.settings.endpoint.host(),
            self.commit,
            shortened(self.id.revision()),
        )
    }

    fn asked<'a>(&'a self, file: &'a str) -> Asked<'a> {
        Asked { repository: &self.name, revision: &self.commit, file: Some(file) }
    }

    /// The text of a short file, if the repository has it.
    fn text(&self, name: &str) -> Result<Option<String>> {
        if !self.files.contains(name) {
            return Ok(None);
        }
        let asked = self.asked(name);
        let most = if name == weights::INDEX { LONGEST_INDEX } else { file::LONGEST_FILE };
        let bytes = self.client.get(asked, Part::Whole { most })?.bytes;
        file::utf_8(bytes, &asked.place()).map(Some)
    }

    /// The headers of its safetensors files, if it has any.
    fn weights(&self) -> Result<Option<Found>> {
        if let Some(text) = self.text(weights::INDEX)? {
            return self.indexed(&text).map(Some);
        }
        if !self.files.contains(weights::FILE) {
            return Ok(None);
        }
        let mut headers = Headers::default();
        let (tensors, bytes_read) = self.header(weights::FILE, FIRST, &Budget::default())?;
        let within = |error: Error| error.within(&self.asked(weights::FILE).place());
        tensors.iter().try_for_each(|tensor| headers.tensor(tensor.lent())).map_err(within)?;
        headers.file(bytes_read);
        Ok(Some(headers.found()))
    }

    fn indexed(&self, text: &str) -> Result<Found> {
        let within = |error: Error| error.within(&self.asked(weights::INDEX).place());
        let index = Index::parse(&text).map_err(within)?;
        let names: Vec<&str> = index.files().collect();
        if let Some(missing) = names.iter().find(|name| !self.files.contains(**name)) {
            let tensor = shortened(&index.first_tensor(missing).unwrap_or_default());
            let fact =
                format!("is not in the repository, but the index has tensor `{tensor}` in it");
            return Err(Error::new(ErrorKind::Place, self.asked(missing).place(), fact));
        }
        let progress = Progress::new(&self.name, names.len(), self.client.settings.progress);
        let budget = Budget::default();
        let read = parallel::each(names.len(), |at| {
            let tensors = index
                .names(names[at])
                .map_or(0, |names| names.bytes() + names.count() as u64 * BYTES_OF_A_TENSOR);
            let first = (BYTES_AROUND + tensors).clamp(LEAST, MOST);
            let (tensors, bytes_read) = self.header(names[at], first, &budget)?;
            // Here and not at the end: so no header holds more than its index has.
            index
                .check(names[at], &tensors)
                .map_err(|error| error.within(&self.asked(names[at]).place()))?;
            progress.step();
            Ok((tensors, bytes_read))
        })?;
        drop(progress);
        let mut headers = Headers::after(text.len() as u64);
        for (tensors, bytes_read) in read {
            tensors.iter().try_for_each(|tensor| headers.tensor(tensor.lent())).map_err(within)?;
            headers.file(bytes_read);
        }
        Ok(headers.found())
    }

    /// The tensors of a safetensors file, and how many bytes were read for them: `first` at once, and the
    /// rest of the header if it is longer.
    fn header(&self, name: &str, first: u64, budget: &Budget) -> Result<(Vec<Tensor>, u64)> {
        let asked = self.asked(name);
        let within = |error: Error| error.within(&asked.place());
        let start = self.client.get(asked, Part::Bytes { from: 0, to: first })?;
        let (mut bytes, size) = (start.bytes, start.file_bytes);
        let length = safetensors::header_length(&bytes, size).map_err(within)?;
        let (from, end) = (bytes.len() as u64, safetensors::PREFIX + length);
        budget.take(end, &asked.place())?;
        if end > from {
            let rest = self.client.get(asked, Part::Bytes { from, to: end })?;
            if rest.file_bytes != size {
                let fact = format!("has {size} bytes, and then {}", rest.file_bytes);
                return Err(Error::new(ErrorKind::Network, asked.place(), fact)
                    .hint("try again: the file changed while it was read"));
            }
            bytes.extend(rest.bytes);
        }
        let at = |byte: u64| usize::try_from(byte).unwrap_or(usize::MAX).min(bytes.len());
        let header = &bytes[at(safetensors::PREFIX)..at(end)];
        let tensors = safetensors::tensors(header, size).map_err(within)?;
        Ok((tensors, bytes.len() as u64))
    }
}
