//! Ollama's store: a tag → its manifest → the GGUF files among the blobs.

use super::{Source, file, gguf};
use crate::visible::shortened;
use flopmeter::flops::nominal_billions;
use flopmeter::weights::ollama::Manifest;
use flopmeter::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::{env, fs};

/// What stands before a tag that names neither.
const HOST: &str = "registry.ollama.ai";
const NAMESPACE: &str = "library";

/// A tag: `qwen3:8b`, `user/model:tag`, `host/user/model:tag`.
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
        let (model, tag) = text.rsplit_once(':')?;
        let parts: Vec<&str> = model.split('/').collect();
        let path = match parts[..] {
            [name] => [HOST, NAMESPACE, name, tag],
            [namespace, name] => [HOST, namespace, name, tag],
            [host, namespace, name] => [host, namespace, name, tag],
            _ => return None,
        };
        path.iter().all(|part| is_name(part)).then_some(Self { text, path })
    }

    /// The model, if the store has it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Place`] for a store that lacks what it names; whatever the file is refused for.
    pub fn installed(&self) -> Result<Option<Source>> {
        let Some(store) = store() else { return Ok(None) };
        let mut at = store.join("manifests");
        at.extend(self.path);
        if !at.is_file() {
            return Ok(None);
        }
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
        source.notes.insert(0, format!("{} as Ollama has it installed", shortened(self.text)));
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

    /// Whether there is a store in which it could be.
    pub fn has_store() -> bool {
        store().is_some_and(|at| at.join("manifests").is_dir())
    }

    /// What installs it.
    pub fn command(&self) -> String {
        format!("install it: `ollama pull {}`", shortened(self.text))
    }
}

/// The folder of the store, as Ollama finds it.
fn store() -> Option<PathBuf> {
    let variable = |name| env::var_os(name).filter(|at| !at.is_empty()).map(PathBuf::from);
    let home = || variable("HOME").or_else(|| variable("USERPROFILE"));
    variable("OLLAMA_MODELS").or_else(|| Some(home()?.join(".ollama").join("models")))
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
        for none in ["qwen3", "qwen3:", ":8b", "a:..", "../a:b", "a/../b:c", "a/b/c/d:e", "a b:c"] {
            assert_eq!(Tag::parse(none), None, "{none}");
        }
    }
}
