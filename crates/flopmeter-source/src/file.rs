//! A text on the disk, and a config.json → model.

use crate::visible::shortened;
use flopmeter::weights::Weights;
use flopmeter::weights::safetensors::{LONGEST_INDEX, Text};
use flopmeter::{Config, Error, ErrorKind, Model, Result};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

/// The longest config that is read from a file; the core reads no longer one either.
pub const LONGEST_FILE: u64 = 6 << 20;
/// What modelopt writes beside a config.json that may say nothing of it.
const QUANTIZATION: &str = "hf_quant_config.json";

/// Where it is said how images are cut and sound is framed: first the file that says nothing else, then the one that has
/// an object for each.
const PREPROCESSOR: &str = "preprocessor_config.json";
const PROCESSOR: &str = "processor_config.json";

/// The model of a config.json and what lies beside it, held against weights if they are at hand.
pub fn model(path: &Path, weights: Option<Arc<Weights>>) -> Result<Model> {
    let has_company = path.file_name().is_some_and(|name| name == "config.json");
    let beside = |name: &str| match path.with_file_name(name) {
        other if has_company && other.exists() => text(&other).map(Some),
        _ => Ok(None),
    };
    model_of(&text(path)?, &shown(path), &beside, weights)
}

/// The model of the text of a config.json, wherever it is: `beside` gives the text of another file there,
/// if there is one.
pub fn model_of(
    text: &str,
    place: &str,
    beside: &dyn Fn(&str) -> Result<Option<String>>,
    weights: Option<Arc<Weights>>,
) -> Result<Model> {
    let read = || {
        let mut config = Config::parse(text)?;
        if let Some(text) = beside(QUANTIZATION)? {
            let quantization = Config::parse(&text).map_err(|error| error.within(QUANTIZATION))?;
            config = config.with_quantization(quantization);
        }
        if config.perceives() {
            if let Some(text) = beside(PREPROCESSOR)? {
                let stated = Config::parse(&text).map_err(|error| error.within(PREPROCESSOR))?;
                config = config.with_preprocessor(stated);
            }
            if let Some(text) = beside(PROCESSOR)? {
                let whole = Config::parse(&text).map_err(|error| error.within(PROCESSOR))?;
                config = config.with_processor(&whole).map_err(|error| error.within(PROCESSOR))?;
            }
        }
        if let Some(weights) = weights {
            config = config.with_weights(weights);
        }
        Model::from_config(&config)
    };
    read().map_err(|error| error.within(place))
}

/// The text of a config.json, of another short JSON file, or of a reference.
pub fn text(path: &Path) -> Result<String> {
    let shown = shown(path);
    let (file, length) = short(path, LONGEST_FILE, "config")?;
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    file.take(length).read_to_end(&mut bytes).map_err(|error| unreadable(&shown, &error))?;
    utf_8(bytes, &shown)
}

/// An index of safetensors files.
pub fn index(path: &Path) -> Result<Stretch> {
    let (file, length) = short(path, LONGEST_INDEX, "index")?;
    Ok(Stretch { file, from: 0, length })
}

/// A file of text, open, and its length.
fn short(path: &Path, longest: u64, what: &str) -> Result<(File, u64)> {
    let shown = shown(path);
    let metadata = fs::metadata(path).map_err(|error| unreadable(&shown, &error))?;
    if !metadata.is_file() {
        return Err(
            Error::new(ErrorKind::Syntax, shown, "is not a file").hint("give a config.json")
        );
    }
    if metadata.len() > longest {
        return Err(Error::new(
            ErrorKind::Syntax,
            shown,
            format!(
                "is {} bytes long; the longest {what} that is read is {longest}",
                metadata.len()
            ),
        )
        .hint("give a config.json, not weights or a tokenizer"));
    }
    let file = File::open(path).map_err(|error| unreadable(&shown, &error))?;
    Ok((file, metadata.len()))
}

/// A part of an open file.
pub struct Stretch {
    pub file: File,
    pub from: u64,
    pub length: u64,
}

impl Text for Stretch {
    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(self.from))?;
        Ok(Box::new(file.take(self.length)))
    }
}

/// The bytes of a short file as text.
pub fn utf_8(bytes: Vec<u8>, place: &str) -> Result<String> {
    let utf_16 = matches!(bytes.first_chunk(), Some([0xFF, 0xFE] | [0xFE, 0xFF]));
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let hint =
            if utf_16 { "it is UTF-16; save it as UTF-8" } else { "give the model's config.json" };
        Error::new(ErrorKind::Syntax, format!("{place}: byte {at}"), "is not UTF-8 text").hint(hint)
    })
}

/// A file of weights, open at its start, and its length in bytes: something that is no file is not opened.
pub fn weights(path: &Path) -> Result<(File, u64)> {
    let shown = shown(path);
    let unreadable = |error| unreadable(&shown, &error);
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(Error::new(ErrorKind::Weights, shown, "is not a file"));
    }
    let file = File::open(path).map_err(unreadable)?;
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
