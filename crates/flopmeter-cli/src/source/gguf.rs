//! A GGUF file, or those into which one was split: the headers only.

use super::{Source, file};
use flopmeter::weights::Tensor;
use flopmeter::weights::gguf::{Header, Parsed};
use flopmeter::{Error, ErrorKind, Model, Result};
use std::io::Read;
use std::path::{Path, PathBuf};

/// How much is read first, and again as long as the header goes on.
const FIRST: u64 = 256 << 10;
/// The most files into which one is split; each needs a header of its own.
const MOST_FILES: u32 = 1000;

/// The model of a file, and of those into which it was split.
pub fn model(path: &Path, name: &str) -> Result<Source> {
    of_files(&parts(path)?, name)
}

/// The model of all its files, in their order.
pub fn of_files(paths: &[PathBuf], name: &str) -> Result<Source> {
    let (mut bytes_read, mut tensors, mut first) = (0, Vec::<Tensor>::new(), None);
    let count = paths.len() as u64;
    for path in paths {
        let shown = file::shown(path);
        let (mut header, bytes) = read(path)?;
        bytes_read += bytes;
        if let Some(stated) = header.number("split.count")
            && stated != count
        {
            let fact = format!("is one of {stated} files, and {count} are named so");
            return Err(Error::new(ErrorKind::Weights, shown, fact).hint(
                "give a file under the name it was published with, such as x-00001-of-00003.gguf",
            ));
        }
        tensors.append(&mut header.tensors);
        first.get_or_insert(header);
    }
    let (Some(header), Some(path)) = (first, paths.first()) else {
        return Err(Error::new(ErrorKind::Place, name, "is made of no file"));
    };
    let shown = file::shown(path);
    let held: u128 = tensors.iter().map(|tensor| u128::from(tensor.bytes)).sum();
    let note = format!(
        "shapes and widths of {} tensors, {held} bytes, from the header{} of {count} GGUF file{} ({bytes_read} \
         bytes read)",
        tensors.len(),
        if count == 1 { "" } else { "s" },
        if count == 1 { "" } else { "s" },
    );
    let model = header
        .config(tensors)
        .and_then(|config| Model::from_config(&config))
        .map_err(|error| error.within(&shown))?;
    let dtype = "GGUF states no dtype of its products: fp16 is taken for them and the cache (see --dtype, --kv-dtype)";
    let notes = vec![note, dtype.to_owned()];
    Ok(Source { id: name.to_owned(), model, builtin: None, notes })
}

/// The header of one file, and how many bytes were read for it.
fn read(path: &Path) -> Result<(Header, u64)> {
    let shown = file::shown(path);
    let unreadable = |error| file::unreadable(&shown, &error);
    let (mut file, size) = file::weights(path)?;
    let mut bytes = Vec::new();
    let mut wanted = FIRST;
    loop {
        let more = wanted.min(size).saturating_sub(bytes.len() as u64);
        bytes.reserve_exact(usize::try_from(more).unwrap_or(0));
        let read = (&mut file).take(more).read_to_end(&mut bytes).map_err(unreadable)?;
        let parsed = Header::parse(&bytes, size).map_err(|error| error.within(&shown))?;
        match parsed {
            Parsed::Header(header) => return Ok((header, bytes.len() as u64)),
            Parsed::More(_) if read == 0 => {
                return Err(Error::new(
                    ErrorKind::Weights,
                    shown,
                    "became shorter while it was read",
                ));
            }
            Parsed::More(end) => wanted = end.max(wanted * 4),
        }
    }
}

/// All files of which this is one, in their order: `x-00002-of-00003.gguf` has two beside it.
fn parts(path: &Path) -> Result<Vec<PathBuf>> {
    let Some((name, count)) = split_name(path) else { return Ok(vec![path.to_owned()]) };
    if !(1..=MOST_FILES).contains(&count) {
        let fact = format!("is one of {count} files; {MOST_FILES} are the most");
        return Err(Error::new(ErrorKind::Place, file::shown(path), fact));
    }
    let part = |number| path.with_file_name(format!("{name}-{number:05}-of-{count:05}.gguf"));
    let parts: Vec<PathBuf> = (1..=count).map(part).collect();
    match parts.iter().find(|part| !part.exists()) {
        None => Ok(parts),
        Some(missing) => Err(Error::new(
            ErrorKind::Place,
            file::shown(missing),
            format!("does not exist, and {} is one of {count} files", file::shown(path)),
        )
        .hint("fetch the file, or give the model's config.json")),
    }
}

/// `x` and 3 of `x-00002-of-00003.gguf`.
fn split_name(path: &Path) -> Option<(&str, u32)> {
    let number = |text: &str| {
        let digits = text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| digits)
    };
    let (rest, count) = path.file_stem()?.to_str()?.rsplit_once("-of-")?;
    let (name, at) = rest.rsplit_once('-')?;
    number(at)?;
    Some((name, number(count)?))
}
