//! A GGUF file, or those into which one was split: the headers only.

use super::{Source, file};
use flopmeter::weights::Tensor;
use flopmeter::weights::gguf::{Header, Parsed};
use flopmeter::{Error, ErrorKind, Model, Result};
use std::io::Read;
use std::path::{Path, PathBuf};

/// How much is read first, four times as much then, and so on, but never more than this at once.
const FIRST: u64 = 256 << 10;
const MOST_AT_ONCE: u64 = 8 << 20;
/// The most files into which one is split; each needs a header of its own.
pub const MOST_FILES: u32 = 1000;

/// The header of one file, where it was read, and how many bytes were read for it.
pub struct Part {
    pub place: String,
    pub header: Header,
    pub bytes_read: u64,
}

/// The model of a file, and of those into which it was split.
pub fn model(path: &Path, name: &str) -> Result<Source> {
    of_files(&parts(path)?, name)
}

/// The model of all its files, in their order.
pub fn of_files(paths: &[PathBuf], name: &str) -> Result<Source> {
    let parts: Result<Vec<Part>> = paths.iter().map(|path| of_file(path)).collect();
    of_parts(parts?, name)
}

fn of_file(path: &Path) -> Result<Part> {
    let shown = file::shown(path);
    let (mut file, size) = file::weights(path)?;
    header(shown.clone(), |from, to| {
        let mut bytes = Vec::new();
        let length = to.min(size).saturating_sub(from);
        bytes.reserve_exact(usize::try_from(length).unwrap_or(0));
        (&mut file)
            .take(length)
            .read_to_end(&mut bytes)
            .map_err(|error| file::unreadable(&shown, &error))?;
        Ok((bytes, size))
    })
}

/// The header of a file of which `read` gives the bytes from one up to another, as far as there are any,
/// and the length of it all.
pub fn header(
    place: String,
    mut read: impl FnMut(u64, u64) -> Result<(Vec<u8>, u64)>,
) -> Result<Part> {
    let (mut bytes, mut wanted) = (Vec::new(), FIRST);
    loop {
        let from = bytes.len() as u64;
        let (more, size) = read(from, wanted)?;
        // Room that doubles would be most of what a long header costs.
        bytes.reserve_exact(more.len());
        bytes.extend(&more);
        let parsed = Header::parse(&bytes, size).map_err(|error| error.within(&place))?;
        let bytes_read = bytes.len() as u64;
        match parsed {
            Parsed::Header(header) => return Ok(Part { place, header, bytes_read }),
            Parsed::More(_) if more.is_empty() => {
                let fact = "became shorter while it was read";
                return Err(Error::new(ErrorKind::Weights, place, fact));
            }
            Parsed::More(end) => {
                wanted = end.max(4 * bytes_read).min(bytes_read + MOST_AT_ONCE).min(size);
            }
        }
    }
}

/// The model of all its files, in their order.
pub fn of_parts(parts: Vec<Part>, name: &str) -> Result<Source> {
    let (mut bytes_read, mut tensors, mut first) = (0, Vec::<Tensor>::new(), None);
    let count = parts.len() as u64;
    for Part { place, mut header, bytes_read: bytes } in parts {
        bytes_read += bytes;
        if let Some(stated) = header.number("split.count")
            && stated != count
        {
            let fact = format!("is one of {stated} files, and {count} are named so");
            return Err(Error::new(ErrorKind::Weights, place, fact).hint(
                "give a file under the name it was published with, such as x-00001-of-00003.gguf",
            ));
        }
        tensors.append(&mut header.tensors);
        first.get_or_insert((place, header));
    }
    let Some((place, header)) = first else {
        return Err(Error::new(ErrorKind::Place, name, "is made of no file"));
    };
    let held: u128 = tensors.iter().map(|tensor| u128::from(tensor.bytes)).sum();
    let s = if count == 1 { "" } else { "s" };
    let note = format!(
        "shapes and widths of {} tensors, {held} bytes, from the header{s} of {count} GGUF file{s} \
         ({bytes_read} bytes read)",
        tensors.len(),
    );
    let model = header
        .config(tensors)
        .and_then(|config| Model::from_config(&config))
        .map_err(|error| error.within(&place))?;
    let dtype = "GGUF states no dtype of its products: fp16 is taken for them and the cache (see --dtype, --kv-dtype)";
    let notes = vec![note, dtype.to_owned()];
    Ok(Source { id: name.to_owned(), model, builtin: None, notes })
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
pub fn split_name(path: &Path) -> Option<(&str, u32)> {
    let number = |text: &str| {
        let digits = text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| digits)
    };
    let (rest, count) = path.file_stem()?.to_str()?.rsplit_once("-of-")?;
    let (name, at) = rest.rsplit_once('-')?;
    number(at)?;
    Some((name, number(count)?))
}
