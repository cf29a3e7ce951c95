//! A text on the disk, and a config.json → model.

use crate::visible::shortened;
use flopmeter::weights::Weights;
use flopmeter::{Config, Error, ErrorKind, Model, Result};
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

/// The longest config that is read from a file; the core reads no longer one either.
const LONGEST_FILE: u64 = 16 << 20;

/// The model of a config.json, held against weights if they are at hand.
pub fn model(path: &Path, weights: Option<Arc<Weights>>) -> Result<Model> {
    let text = text(path)?;
    Config::parse(&text)
        .and_then(|config| {
            let config = match quantization_beside(path)? {
                Some(quantization) => config.with_quantization(quantization),
                None => config,
            };
            Ok(match weights {
                Some(weights) => config.with_weights(weights),
                None => config,
            })
        })
        .and_then(|config| Model::from_config(&config))
        .map_err(|error| error.within(&shown(path)))
}

/// What modelopt writes beside a config.json that may say nothing of it.
fn quantization_beside(path: &Path) -> Result<Option<Config>> {
    const NAME: &str = "hf_quant_config.json";
    let beside = path.with_file_name(NAME);
    if path.file_name().is_none_or(|name| name != "config.json") || !beside.exists() {
        return Ok(None);
    }
    text(&beside)
        .and_then(|text| Config::parse(&text).map_err(|error| error.within(NAME)))
        .map(Some)
}

/// The text of a config.json, of another short JSON file, or of a reference.
pub fn text(path: &Path) -> Result<String> {
    let shown = shown(path);
    let metadata = fs::metadata(path).map_err(|error| unreadable(&shown, &error))?;
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
        .map_err(|error| unreadable(&shown, &error))?;
    let utf_16 = matches!(bytes.first_chunk(), Some([0xFF, 0xFE] | [0xFE, 0xFF]));
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let hint =
            if utf_16 { "it is UTF-16; save it as UTF-8" } else { "give the model's config.json" };
        Error::new(ErrorKind::Syntax, format!("{shown}: byte {at}"), "is not UTF-8 text").hint(hint)
    })
}

/// A file of weights, open at its start, and its length in bytes: something that is no file is not opened.
pub fn weights(path: &Path) -> Result<(fs::File, u64)> {
    let shown = shown(path);
    let unreadable = |error| unreadable(&shown, &error);
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(Error::new(ErrorKind::Weights, shown, "is not a file"));
    }
    let file = fs::File::open(path).map_err(unreadable)?;
    Ok((file, metadata.len()))
}

/// A path as it stands in a message.
pub fn shown(path: &Path) -> String {
    shortened(&path.display().to_string())
}

/// Why a file gives nothing.
pub fn unreadable(name: &str, error: &io::Error) -> Error {
    let fact = match error.kind() {
        io::ErrorKind::NotFound => "does not exist".to_owned(),
        io::ErrorKind::PermissionDenied => "may not be read".to_owned(),
        _ => format!("cannot be read: {error}"),
    };
    Error::new(ErrorKind::Syntax, shortened(name), fact)
        .hint("give a config.json, a folder that holds one, or a model's name")
}
