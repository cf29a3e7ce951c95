//! MODEL → model: a path, a Hub id, a tag that Ollama has, or a name that is built in.
//!
//! The core takes text and returns values; what reads files, the environment and the network for it is here. Of weights
//! nothing but the headers is read.

pub mod adapter;
mod file;
mod gguf;
mod hub;
mod ollama;
pub mod table;
pub mod visible;
mod weights;

use flopmeter::flops::nominal_billions;
use flopmeter::{Builtin, Error, ErrorKind, Model, Result};
use ollama::Tag;
use std::fs;
use std::io;
use std::path::Path;
use weights::Found;

/// A model and the name that it was found under.
#[derive(Debug, Clone)]
pub struct Source {
    /// The Hub id, or the path as given.
    pub id: String,
    /// The model.
    pub model: Model,
    /// The row, if it is built in.
    pub builtin: Option<&'static Builtin>,
    /// What a reader should know about the name.
    pub notes: Vec<String>,
}

/// Finds a model by path or by name. What exists as a path is one.
///
/// # Errors
///
/// If nothing has this name, or what has it cannot be read.
///
/// # Example
///
/// ```
/// let source = flopmeter_source::find("llama3.1:8b")?;
/// assert_eq!(source.id, "meta-llama/Llama-3.1-8B-Instruct");
/// assert_eq!(source.model.parameters().total, 8_030_261_248);
/// # Ok::<(), flopmeter::Error>(())
/// ```
pub fn find(name: &str) -> Result<Source> {
    let path = Path::new(name);
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => from_folder(path, name),
        Ok(_) => from_file(path, name),
        Err(error) if is_no_file(&error) && !looks_like_a_path(name) => by_name(name),
        Err(error) => Err(file::unreadable(name, &error)),
    }
}

/// What the Hub's local cache or Ollama has stands before the built-in row; a Hub id that neither has is
/// fetched.
fn by_name(name: &str) -> Result<Source> {
    if let Some(id) = hub::Id::parse(name)? {
        return id.find();
    }
    Tag::parse(name).map_or_else(|| from_table(name), |tag| tag.find())
}

fn from_table(name: &str) -> Result<Source> {
    if name.trim().is_empty() {
        return Err(Error::new(ErrorKind::Model, "MODEL", "is empty")
            .hint("give a config.json, a folder that holds one, or a model's name"));
    }
    let (row, variant) = match (Builtin::find(name), Builtin::find_variant(name)) {
        (Ok(row), _) => (row, false),
        (Err(_), Some(row)) => (row, true),
        (Err(error), None) => return Err(error),
    };
    let mut notes: Vec<String> = row.note.map(str::to_owned).into_iter().collect();
    if variant {
        notes.push(format!("this tag is taken as a variant of {}", row.id));
    }
    if variant || row.ollama.iter().any(|tag| tag.eq_ignore_ascii_case(name.trim())) {
        let stored = match row.ollama_quantisation {
            Some(format) if !variant => format!("in {format} by default"),
            _ => "usually in about 4.5 to 5 bits a weight".to_owned(),
        };
        notes.push(format!(
            "Ollama stores this tag {stored}; bytes here are those of {} on the Hub (see --dtype)",
            row.id
        ));
    }
    let mut model = row.model()?;
    if let Some(billions) = nominal_billions(name.trim()) {
        model = model.with_nominal_billions(billions);
    }
    Ok(Source { id: row.id.to_owned(), model, builtin: Some(row), notes })
}

/// A folder as `transformers` saves it: a config.json, and the weights beside it.
fn from_folder(folder: &Path, name: &str) -> Result<Source> {
    let config = folder.join("config.json");
    file::text(&config)?;
    with_weights(&config, weights::of_folder(folder)?, name)
}

fn from_file(path: &Path, name: &str) -> Result<Source> {
    let end =
        path.extension().and_then(|end| end.to_str()).unwrap_or_default().to_ascii_lowercase();
    if end == "gguf" {
        return gguf::model(path, name);
    }
    if ["bin", "pt", "pth"].contains(&end.as_str()) {
        let fact = "holds weights, which are not read yet";
        return Err(Error::new(ErrorKind::Syntax, file::shown(path), fact)
            .hint("give the config.json beside it"));
    }
    let is_index = name.to_ascii_lowercase().ends_with(".safetensors.index.json");
    if !is_index && end != "safetensors" {
        return with_weights(path, None, name);
    }
    let config = path.with_file_name("config.json");
    file::text(&config)?;
    let found = if is_index { weights::of_index(path) } else { weights::of_file(path) }?;
    with_weights(&config, Some(found), name)
}

fn with_weights(config: &Path, found: Option<Found>, name: &str) -> Result<Source> {
    let (weights, note) = found.map(|found| (found.weights, found.note)).unzip();
    let model = file::model(config, weights)?;
    Ok(Source { id: name.to_owned(), model, builtin: None, notes: note.into_iter().collect() })
}

/// Nothing is there, or nothing can be: no file has a name that long.
fn is_no_file(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidFilename)
}

fn looks_like_a_path(name: &str) -> bool {
    if hub::Id::parse(name).is_ok_and(|id| id.is_some_and(|id| id.names_a_file())) {
        return false;
    }
    name.starts_with(['.', '/', '~', '\\'])
        || Path::new(name).extension().is_some_and(|end| {
            end.eq_ignore_ascii_case("json")
                || end.eq_ignore_ascii_case("gguf")
                || end.eq_ignore_ascii_case("safetensors")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{"model_type": "llama", "hidden_size": 128, "num_hidden_layers": 1,
        "vocab_size": 10, "num_attention_heads": 1, "intermediate_size": 256,
        "tie_word_embeddings": true, "torch_dtype": "bfloat16"}"#;

    #[test]
    fn a_quantisation_beside_the_config_is_read() -> io::Result<()> {
        let folder =
            std::env::temp_dir().join(format!("flopmeter-quantization-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let config = folder.join("config.json");
        let beside = folder.join("hf_quant_config.json");
        fs::write(&config, CONFIG)?;
        let find = |path: &Path| find(&path.display().to_string());
        let quantized = |path: &Path| find(path).map(|it| it.model.quantization().is_quantized());
        assert_eq!(quantized(&folder).ok(), Some(false));
        fs::write(&beside, r#"{"quantization": {"quant_algo": "NVFP4"}}"#)?;
        assert_eq!(quantized(&folder).ok(), Some(true));
        assert_eq!(quantized(&config).ok(), Some(true));
        fs::write(&beside, "[")?;
        let error = find(&folder).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("hf_quant_config.json"), "{error}");
        fs::remove_dir_all(&folder)
    }
}
