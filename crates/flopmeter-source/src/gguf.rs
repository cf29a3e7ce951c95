//! A GGUF file, or those into which one was split: the headers only.

use super::{Source, file};
use flopmeter::weights::Tensor;
use flopmeter::weights::gguf::{Header, Parsed, Parser};
use flopmeter::{Error, ErrorKind, Model, Result};
use std::io::Read;
use std::path::{Path, PathBuf};

/// How much is read first.
const FIRST: u64 = 256 << 10;
/// How much more is read at once: of a file on the disk so much that it stays in the processor's cache; over a network,
/// where each time costs more than its bytes, four times as much as before and never more than this.
const MORE_OF_A_FILE: u64 = 512 << 10;
pub const MOST_AT_ONCE: u64 = 8 << 20;
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
    header(shown.clone(), MORE_OF_A_FILE, |from, to, bytes| {
        let length = to.min(size).saturating_sub(from);
        (&mut file)
            .take(length)
            .read_to_end(bytes)
            .map_err(|error| file::unreadable(&shown, &error))?;
        Ok(size)
    })
}

/// The header of a file of which `read` appends the bytes from one up to another, as far as there are any,
/// and gives the length of it all. At most so many bytes are asked for at once.
pub fn header(
    place: String,
    most: u64,
    mut read: impl FnMut(u64, u64, &mut Vec<u8>) -> Result<u64>,
) -> Result<Part> {
    let (mut parser, mut bytes) = (Parser::default(), Vec::new());
    let (mut bytes_read, mut wanted) = (0, FIRST);
    loop {
        let there = bytes.len();
        // Room that doubles would be most of what a long header costs.
        bytes.reserve_exact(usize::try_from(wanted - bytes_read).unwrap_or(0));
        let size = read(bytes_read, wanted, &mut bytes)?;
        let more = bytes.len() - there;
        bytes_read += more as u64;
        let from = parser.at();
        match parser.parse(&bytes, size).map_err(|error| error.within(&place))? {
            Parsed::Header(header) => return Ok(Part { place, header, bytes_read }),
            Parsed::More(_) if more == 0 => {
                let fact = "became shorter while it was read";
                return Err(Error::new(ErrorKind::Weights, place, fact));
            }
            Parsed::More(end) => {
                let taken = usize::try_from(parser.at() - from).unwrap_or(usize::MAX);
                bytes.drain(..taken.min(bytes.len()));
                wanted = end.max(4 * bytes_read).min(bytes_read + most).min(size);
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
