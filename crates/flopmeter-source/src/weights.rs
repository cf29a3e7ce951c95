//! Headers of the safetensors files beside a config.json. No weight is read.

use super::file::{self, Stretch};
use crate::visible::shortened;
use flopmeter::weights::safetensors::{self, Index};
use flopmeter::weights::{Collector, TensorRef, Weights};
use flopmeter::{Error, ErrorKind, Result};
use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The name of a model's only file, and of the index where it has several.
pub const FILE: &str = "model.safetensors";
pub const INDEX: &str = "model.safetensors.index.json";

/// The most bytes of all headers of a model together: 393,216 tensors, the most that are believed, of 170 bytes; those of
/// published models take up to 140.
const MOST_BYTES: u64 = 64 << 20;

/// Tensors, and where they were read.
pub struct Found {
    pub weights: Arc<Weights>,
    pub note: String,
}

/// How much of a model's headers is read at most.
#[derive(Default)]
pub struct Budget {
    taken: AtomicU64,
}

/// What was read so far.
#[derive(Default)]
pub struct Headers {
    tensors: Collector,
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
    if let Some(index) = index_of_shard(path) {
        if !index.exists() {
            let fact = "is one of several files, and their index does not lie beside it";
            return Err(Error::new(ErrorKind::Place, file::shown(path), fact)
                .hint(format!("put {} there", file::shown(&index))));
        }
        return of_index(&index);
    }
    let mut headers = Headers::default();
    header(path, &Budget::default(), &mut headers, |_| Ok(()))?;
    Ok(headers.found())
}

/// The weights of the files of an index.
pub fn of_index(path: &Path) -> Result<Found> {
    let shown = file::shown(path);
    let text = file::index(path)?;
    let index = Index::parse(&text).map_err(|error| error.within(&shown))?;
    let mut headers = Headers::after(text.length);
    let budget = Budget::default();
    for name in index.files() {
        let shard = path.with_file_name(name);
        if !shard.exists() {
            let tensor = shortened(&index.first_tensor(name).unwrap_or_default());
            let fact = format!("does not exist, but the index has tensor `{tensor}` in it");
            return Err(Error::new(ErrorKind::Place, file::shown(&shard), fact)
                .hint("fetch the file, or give the config.json alone"));
        }
        let mut check = index.check_file(name);
        header(&shard, &budget, &mut headers, |name| check.tensor(name))?;
        check.done().map_err(|error| error.within(&file::shown(&shard)))?;
    }
    Ok(headers.found())
}

impl Budget {
    /// Takes so many bytes of it, for the header of a file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Weights`] if there are not as many left.
    pub fn take(&self, bytes: u64, place: &str) -> Result<()> {
        if self.taken.fetch_add(bytes, Ordering::Relaxed) + bytes <= MOST_BYTES {
            return Ok(());
        }
        let fact = format!(
            "has a header of {bytes} bytes, with which those of all files together have more than {MOST_BYTES}, the \
             most that are read"
        );
        Err(Error::new(ErrorKind::Weights, place, fact).hint("give the config.json alone"))
    }
}

/// Puts the tensors of a file to the others, unless `check` refuses a name.
fn header(
    path: &Path,
    budget: &Budget,
    headers: &mut Headers,
    mut check: impl FnMut(&str) -> Result<()>,
) -> Result<()> {
    let shown = file::shown(path);
    let (mut file, size) = file::weights(path)?;
    let mut start = Vec::new();
    let read = (&mut file).take(safetensors::PREFIX).read_to_end(&mut start);
    read.map_err(|error| file::unreadable(&shown, &error))?;
    let length = safetensors::header_length(&start, size).map_err(|error| error.within(&shown))?;
    budget.take(safetensors::PREFIX + length, &shown)?;
    let header = Stretch { file, from: safetensors::PREFIX, length };
    headers.tensors.reserve(length);
    let add = |tensor: TensorRef<'_>| {
        check(tensor.name)?;
        headers.tensor(tensor)
    };
    safetensors::each(&header, size, add).map_err(|error| error.within(&shown))?;
    headers.file(safetensors::PREFIX + length);
    Ok(())
}

impl Headers {
    /// None yet, after so many bytes of an index.
    pub fn after(bytes_read: u64) -> Self {
        Self { bytes_read, ..Self::default() }
    }

    /// One tensor more.
    pub fn tensor(&mut self, tensor: TensorRef<'_>) -> Result<()> {
        self.tensors.add(tensor)
    }

    /// One file more, all of whose tensors were given.
    pub fn file(&mut self, bytes_read: u64) {
        self.files += 1;
        self.bytes_read += bytes_read;
    }

    /// All of them together.
    pub fn found(self) -> Found {
        let weights = self.tensors.done();
        let note = format!(
            "shapes and widths of {} tensors, {} bytes, from the headers of {} safetensors file{} ({} bytes \
             read)",
            weights.tensors(),
            weights.bytes(),
            self.files,
            if self.files == 1 { "" } else { "s" },
            self.bytes_read
        );
        Found { weights: Arc::new(weights), note }
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

#[cfg(test)]
mod tests {
    use super::{Budget, MOST_BYTES};

    #[test]
    fn headers_of_many_files_are_read_up_to_a_sum() {
        let budget = Budget::default();
        assert!(budget.take(MOST_BYTES - 7, "a").is_ok() && budget.take(7, "b").is_ok());
        let error = budget.take(1, "c").err().map(|error| error.to_string()).unwrap_or_default();
        assert!(
            error.starts_with("c: has a header of 1 bytes") && error.contains("more than 67108864"),
            "{error}"
        );
    }
}
