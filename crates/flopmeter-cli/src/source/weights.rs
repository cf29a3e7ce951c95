//! Headers of the safetensors files beside a config.json. No weight is read.

use super::file;
use flopmeter::weights::safetensors::{self, Index};
use flopmeter::weights::{Tensor, Weights};
use flopmeter::{Error, ErrorKind, Result};
use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// The name of a model's only file, and of the index where it has several.
const FILE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Tensors, and where they were read.
pub struct Found {
    pub weights: Arc<Weights>,
    pub note: String,
}

/// What was read so far.
#[derive(Default)]
struct Headers {
    tensors: Vec<Tensor>,
    files: usize,
    bytes_read: u64,
}

/// The weights of a folder, if it has any.
pub fn of_folder(folder: &Path) -> Result<Option<Found>> {
    // A broken link is there, and an error.
    let is_there = |name: &str| fs::symlink_metadata(folder.join(name)).is_ok();
    if is_there(INDEX) {
        of_index(&folder.join(INDEX)).map(Some)
    } else if is_there(FILE) {
        of_file(&folder.join(FILE)).map(Some)
    } else {
        Ok(None)
    }
}

/// The weights of one file, or of all those of which it is one.
pub fn of_file(path: &Path) -> Result<Found> {
    let mut headers = Headers::default();
    if let Some(index) = index_of_shard(path) {
        if !index.exists() {
            let fact = "is one of several files, and their index does not lie beside it";
            return Err(Error::new(ErrorKind::Place, file::shown(path), fact)
                .hint(format!("put {} there", file::shown(&index))));
        }
        return of_index(&index);
    }
    headers.read(path)?;
    headers.found().map_err(|error| error.within(&file::shown(path)))
}

/// The weights of the files of an index.
pub fn of_index(path: &Path) -> Result<Found> {
    let shown = file::shown(path);
    let text = file::text(path)?;
    let index = Index::parse(&text).map_err(|error| error.within(&shown))?;
    let mut headers = Headers { bytes_read: text.len() as u64, ..Headers::default() };
    for name in index.files() {
        let shard = path.with_file_name(name);
        if !shard.exists() {
            let tensor = index.tensors(name).next().unwrap_or_default();
            let fact = format!("does not exist, but the index has tensor `{tensor}` in it");
            return Err(Error::new(ErrorKind::Place, file::shown(&shard), fact)
                .hint("fetch the file, or give the config.json alone"));
        }
        let from = headers.tensors.len();
        headers.read(&shard)?;
        index
            .check(name, &headers.tensors[from..])
            .map_err(|error| error.within(&file::shown(&shard)))?;
    }
    headers.found().map_err(|error| error.within(&shown))
}

impl Headers {
    fn read(&mut self, path: &Path) -> Result<()> {
        let shown = file::shown(path);
        let unreadable = |error| file::unreadable(&shown, &error);
        let (mut file, size) = file::weights(path)?;
        let mut bytes = Vec::new();
        let mut read = |length: u64| {
            bytes.clear();
            (&mut file).take(length).read_to_end(&mut bytes).map_err(unreadable)?;
            Ok(std::mem::take(&mut bytes))
        };
        let start = read(safetensors::PREFIX)?;
        let length =
            safetensors::header_length(&start, size).map_err(|error| error.within(&shown))?;
        let header = read(length)?;
        self.tensors.append(
            &mut safetensors::tensors(&header, size).map_err(|error| error.within(&shown))?,
        );
        self.files += 1;
        self.bytes_read += safetensors::PREFIX + length;
        Ok(())
    }

    fn found(self) -> Result<Found> {
        let weights = Weights::new(self.tensors)?;
        let note = format!(
            "shapes and widths of {} tensors, {} bytes, from the headers of {} safetensors file{} ({} bytes \
             read)",
            weights.tensors(),
            weights.bytes(),
            self.files,
            if self.files == 1 { "" } else { "s" },
            self.bytes_read
        );
        Ok(Found { weights: Arc::new(weights), note })
    }
}

/// The index beside `model-00002-of-00003.safetensors`; `None` for a file that is whole.
fn index_of_shard(path: &Path) -> Option<std::path::PathBuf> {
    let digits = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let stem = path.file_stem()?.to_str()?;
    let (rest, count) = stem.rsplit_once("-of-")?;
    let (name, number) = rest.rsplit_once('-')?;
    (digits(count) && digits(number))
        .then(|| path.with_file_name(format!("{name}.safetensors.index.json")))
}
