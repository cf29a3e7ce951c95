//! Ollama's store: a tag → its manifest → the GGUF files among the blobs.

use super::{Source, file, from_table, gguf};
use crate::visible::shortened;
use flopmeter::flops::nominal_billions;
use flopmeter::weights::ollama::Manifest;
use flopmeter::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::{env, fs};

/// What is meant where none is named.
const HOST: &str = "registry.ollama.ai";
const NAMESPACE: &str = "library";
const LATEST: &str = "latest";
/// Where the store of the service lies that Ollama's installer for Linux makes.
const OF_THE_SERVICE: &str = "/usr/share/ollama/.ollama/models";
/// How many installed tags a hint names.
const NAMED: usize = 5;

/// A tag: `qwen3:8b`, `qwen3` for its latest, `user/model:tag`, `host/user/model:tag`.
#[derive(Debug, PartialEq, Eq)]
pub struct Tag<'n> {
    text: &'n str,
    /// Host, namespace, name and tag: where the manifest lies.
    path: [&'n str; 4],
}

impl<'n> Tag<'n> {
    /// Reads a tag; `None` for what is none.
    pub fn parse(text: &'n str) -> Option<Self> {
        let text = text.trim();
        let (before, last) = match text.rsplit_once('/') {
            Some((before, last)) => (Some(before), last),
            None => (None, text),
        };
        let (name, tag) = last.split_once(':').unwrap_or((last, LATEST));
        let (host, namespace) = match before {
            None => (HOST, NAMESPACE),
            Some(before) => before.split_once('/').unwrap_or((HOST, before)),
        };
        // A host may name its port.
        let (domain, port) = host.split_once(':').unwrap_or((host, "0"));
        let is_host = is_name(domain) && (1..=5).contains(&port.len());
        let is_host = is_host && port.bytes().all(|byte| byte.is_ascii_digit());
        let is_tag = is_host && [namespace, name, tag].iter().all(|part| is_name(part));
        is_tag.then_some(Self { text, path: [host, namespace, name, tag] })
    }

    /// The model: what Ollama has installed, else what is built in.
    ///
    /// # Errors
    ///
    /// As for each of them.
    pub fn find(&self) -> Result<Source> {
        self.known().map_err(|error| match error.kind() {
            ErrorKind::Model => self.not_installed(error),
            _ => error,
        })
    }

    /// The same, where a name that is unknown may still be another's.
    pub fn known(&self) -> Result<Source> {
        match self.installed() {
            Ok(Some(source)) => Ok(source),
            Ok(None) => from_table(self.text),
            // The file's metadata are not read for every architecture that is built in.
            Err(error) if error.kind() == ErrorKind::Architecture => {
                let Ok(mut source) = from_table(self.text) else { return Err(error) };
                source.notes.push(format!(
                    "the installed file is left aside: {} {}",
                    error.place(),
                    error.fact()
                ));
                Ok(source)
            }
            Err(error) => Err(error),
        }
    }

    /// The model, if the store has it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Place`] for a store that lacks what it names; whatever the file is refused for.
    fn installed(&self) -> Result<Option<Source>> {
        let path: PathBuf = self.path.iter().collect();
        let mut manifests =
            stores().into_iter().map(|store| (store.join("manifests").join(&path), store));
        let Some((at, store)) = manifests.find(|(at, _)| at.is_file()) else { return Ok(None) };
        let manifest = Manifest::parse(&file::text(&at)?)
            .map_err(|error| error.within(&file::shown(&at)).hint(self.command()))?;
        let blobs = manifest.blobs.iter().map(|(name, size)| self.blob(&store, name, *size));
        let blobs: Vec<PathBuf> = blobs.collect::<Result<_>>()?;
        let mut source = gguf::of_files(&blobs, self.text)?;
        let others = manifest.others.iter();
        source.notes.extend(others.map(|other| format!("its {other} is not counted")));
        if let Some(billions) = nominal_billions(self.text) {
            source.model = source.model.with_nominal_billions(billions);
        }
        source.notes.insert(0, format!("{} as Ollama has it installed", self.whole()));
        Ok(Some(source))
    }

    fn blob(&self, store: &Path, name: &str, size: u64) -> Result<PathBuf> {
        let path = store.join("blobs").join(name);
        let fact = match fs::metadata(&path) {
            Ok(metadata) if metadata.len() == size => return Ok(path),
            Ok(metadata) => format!("has {} bytes, and the manifest says {size}", metadata.len()),
            Err(_) => format!("does not exist, and {} is made of it", shortened(self.text)),
        };
        Err(Error::new(ErrorKind::Place, file::shown(&path), fact).hint(self.command()))
    }

    /// Why there is none, and what to do where Ollama is in use.
    pub fn not_installed(&self, error: Error) -> Error {
        let stores = stores();
        if !stores.iter().any(|store| store.join("manifests").is_dir()) {
            return error;
        }
        let error = error.hint(format!("or {}", self.command()));
        match stores.iter().map(|store| self.others(store)).find(|others| !others.is_empty()) {
            Some(others) => error.hint(format!("Ollama has {}", others.join(", "))),
            None => error,
        }
    }

    /// Some tags of the same model that are installed.
    fn others(&self, store: &Path) -> Vec<String> {
        let [host, namespace, name, _] = self.path;
        let folder = store.join("manifests").join(host).join(namespace).join(name);
        let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| is_name(name)).collect();
        names.sort();
        let model = self.text.strip_suffix(&format!(":{}", self.path[3])).unwrap_or(self.text);
        names.iter().take(NAMED).map(|tag| format!("`{}:{tag}`", shortened(model))).collect()
    }

    /// The tag with its last part, which may not have been typed.
    fn whole(&self) -> String {
        let is_whole = self.text.ends_with(&format!(":{}", self.path[3]));
        let text = shortened(self.text);
        if is_whole { text } else { format!("{text}:{}", self.path[3]) }
    }

    /// What installs it.
    fn command(&self) -> String {
        format!("install it: `ollama pull {}`", shortened(self.text))
    }
}

/// The folders of stores, as Ollama finds them.
fn stores() -> Vec<PathBuf> {
    let variable = |name| env::var_os(name).filter(|at| !at.is_empty()).map(PathBuf::from);
    if let Some(store) = variable("OLLAMA_MODELS") {
        return vec![store];
    }
    let home = variable("HOME").or_else(|| variable("USERPROFILE"));
    let own = home.map(|home| home.join(".ollama").join("models"));
    own.into_iter().chain([PathBuf::from(OF_THE_SERVICE)]).collect()
}

/// A part that stays below its folder.
fn is_name(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && !text.starts_with('.')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

#[cfg(test)]
mod tests {
    use super::Tag;

    #[test]
    fn what_is_a_tag() {
        let path = |text| Tag::parse(text).map(|tag| tag.path.join("/"));
        let path = |text| path(text).unwrap_or_default();
        assert_eq!(path("qwen3:8b"), "registry.ollama.ai/library/qwen3/8b");
        assert_eq!(path("me/qwen3:8b"), "registry.ollama.ai/me/qwen3/8b");
        assert_eq!(path("hf.co/me/qwen3-GGUF:Q4_K_M"), "hf.co/me/qwen3-GGUF/Q4_K_M");
        assert_eq!(path("qwen3"), "registry.ollama.ai/library/qwen3/latest");
        assert_eq!(path("me/qwen3"), "registry.ollama.ai/me/qwen3/latest");
        assert_eq!(path("localhost:5000/me/a:1b"), "localhost:5000/me/a/1b");
        for none in [
            "",
            "qwen3:",
            ":8b",
            "a:..",
            "../a:b",
            "a/../b:c",
            "a/b/c/d:e",
            "a b:c",
            "..",
            "a/..",
            "a:b:c",
            "a:b/c/d",
            "a:123456/b/c",
            "a:/b/c",
            "a:5000/b",
        ] {
            assert_eq!(Tag::parse(none), None, "{none}");
        }
    }
}
