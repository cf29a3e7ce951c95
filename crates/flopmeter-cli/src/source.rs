//! MODEL → model: a path, or a name that is built in.

use crate::visible::shortened;
use flopmeter::flops::nominal_billions;
use flopmeter::{Builtin, Config, Error, ErrorKind, Model, Result};
use std::fs;
use std::io::{self, Read};
use std::path::Path;

/// The longest config that is read from a file; the core reads no longer one either.
const LONGEST_FILE: u64 = 16 << 20;

/// A model and the name that it was found under.
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
pub fn find(name: &str) -> Result<Source> {
    let path = Path::new(name);
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => from_file(&path.join("config.json"), name),
        Ok(_) => from_file(path, name),
        Err(error) if is_no_file(&error) && !looks_like_a_path(name) => from_table(name),
        Err(error) => Err(unreadable(name, &error)),
    }
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

fn from_file(path: &Path, name: &str) -> Result<Source> {
    let shown = shortened(&path.display().to_string());
    let end =
        path.extension().and_then(|end| end.to_str()).unwrap_or_default().to_ascii_lowercase();
    let is_index = name.to_ascii_lowercase().ends_with(".safetensors.index.json");
    if is_index || ["gguf", "safetensors", "bin", "pt", "pth"].contains(&end.as_str()) {
        return Err(Error::new(ErrorKind::Syntax, shown, "holds weights, which are not read yet")
            .hint("give the config.json beside it"));
    }
    let text = read(path, &shown)?;
    let model = Config::parse(&text)
        .and_then(|config| {
            Ok(match quantization_beside(path)? {
                Some(quantization) => config.with_quantization(quantization),
                None => config,
            })
        })
        .and_then(|config| Model::from_config(&config))
        .map_err(|error| error.within(&shown))?;
    Ok(Source { id: name.to_owned(), model, builtin: None, notes: Vec::new() })
}

/// What modelopt writes beside a config.json that may say nothing of it.
fn quantization_beside(path: &Path) -> Result<Option<Config>> {
    const NAME: &str = "hf_quant_config.json";
    let beside = path.with_file_name(NAME);
    let absent = || matches!(fs::metadata(&beside), Err(error) if is_no_file(&error));
    if path.file_name().is_none_or(|name| name != "config.json") || absent() {
        return Ok(None);
    }
    read(&beside, NAME)
        .and_then(|text| Config::parse(&text).map_err(|error| error.within(NAME)))
        .map(Some)
}

/// The text of a config.
fn read(path: &Path, shown: &str) -> Result<String> {
    let metadata = fs::metadata(path).map_err(|error| unreadable(shown, &error))?;
    if !metadata.is_file() {
        return Err(
            Error::new(ErrorKind::Syntax, shown, "is not a file").hint("give a config.json")
        );
    }
    if metadata.len() > LONGEST_FILE {
        return Err(Error::new(
            ErrorKind::Syntax,
            shown,
            format!(
                "is {} bytes long; the longest config that is read is {LONGEST_FILE}",
                metadata.len()
            ),
        )
        .hint("give a config.json, not weights or a tokenizer"));
    }
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(LONGEST_FILE).read_to_end(&mut bytes))
        .map_err(|error| unreadable(shown, &error))?;
    let utf_16 = matches!(bytes.first_chunk(), Some([0xFF, 0xFE] | [0xFE, 0xFF]));
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let hint =
            if utf_16 { "it is UTF-16; save it as UTF-8" } else { "give the model's config.json" };
        Error::new(ErrorKind::Syntax, format!("{shown}: byte {at}"), "is not UTF-8 text").hint(hint)
    })
}

fn unreadable(name: &str, error: &io::Error) -> Error {
    let fact = match error.kind() {
        io::ErrorKind::NotFound => "does not exist".to_owned(),
        io::ErrorKind::PermissionDenied => "may not be read".to_owned(),
        _ => format!("cannot be read: {error}"),
    };
    Error::new(ErrorKind::Syntax, shortened(name), fact)
        .hint("give a config.json, a folder that holds one, or a model's name")
}

/// Nothing is there, or nothing can be: no file has a name that long.
fn is_no_file(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidFilename)
}

fn looks_like_a_path(name: &str) -> bool {
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
