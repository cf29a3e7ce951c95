//! GGUF, versions 2 and 3: the metadata and the table of tensors of a file.
//!
//! ```text
//! "GGUF"  version u32  tensors u64  keys u64
//! keys    name, type u32, value
//! tensors name, dimensions u32, sizes u64 each (the innermost first), type u32, offset u64
//! …       padding, then the tensors' bytes
//! ```
//!
//! All of it little-endian; a text is a length u64 and so many bytes.

mod architectures;
mod config;
mod file;
mod keys;
pub(super) mod names;
mod parser;
mod reader;
mod types;

use super::{Tensor, at_tensor};
use crate::error::{Error, Result};
pub use parser::Parser;
use reader::{Reader, Stop};
use std::collections::BTreeMap;

/// The most of a file that is read as its header. A vocabulary of 262,144 texts of 8 bytes, with scores and
/// types, takes 6 MB, and 514,906 merges of two of them 13 MB.
pub const LONGEST_READ: u64 = 24 << 20;
/// The longest name of a tensor; ggml keeps 64 bytes, the end of the text among them.
const LONGEST_NAME: usize = 63;
/// The most tensors of a file: 512 layers, which are the most that llama.cpp has, of 32.
const MOST_TENSORS: u64 = 1 << 14;
const MOST_DIMENSIONS: u32 = 4;

/// The header of a file.
#[derive(Debug, Clone)]
pub struct Header {
    /// The version of the format.
    pub version: u32,
    /// The length of the header in bytes.
    pub bytes: u64,
    /// The tensors, in the order of the file.
    pub tensors: Vec<Tensor>,
    keys: BTreeMap<String, Value>,
}

/// What the first bytes of a file gave.
#[derive(Debug)]
pub enum Parsed {
    /// All of the header.
    Header(Header),
    /// The header goes on: at least so many bytes of the file are needed.
    More(u64),
}

/// A value of the metadata, as far as it matters.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Number(u64),
    Text(String),
    /// A short list of whole numbers.
    Numbers(Vec<u64>),
    /// A list of so many values.
    List(u64),
    /// A fraction, a negative number, a long text.
    Other,
}

impl Header {
    /// Reads a header from the first bytes of a file of `file_bytes`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Weights`](crate::ErrorKind::Weights) for what is no header, and for tensors that overlap, lie outside the file or
    /// are of an unknown type.
    ///
    /// # Example
    ///
    /// ```
    /// use flopmeter::weights::gguf::{Header, Parsed};
    ///
    /// let mut file = b"GGUF\x03\0\0\0".to_vec();
    /// file.extend([0; 16]); // no tensors, no keys
    /// let Parsed::Header(header) = Header::parse(&file, 24)? else { panic!("all is there") };
    /// assert_eq!((header.version, header.tensors.len()), (3, 0));
    /// assert!(matches!(Header::parse(&file[..20], 24)?, Parsed::More(24)));
    /// # Ok::<(), flopmeter::Error>(())
    /// ```
    pub fn parse(bytes: &[u8], file_bytes: u64) -> Result<Parsed> {
        Parser::default().parse(bytes, file_bytes)
    }

    /// Each `general.architecture` that is read, and the `model_type` that it is; some are several.
    pub fn architectures() -> impl Iterator<Item = (&'static str, &'static str)> {
        architectures::all()
    }

    /// A whole number of the metadata.
    pub fn number(&self, key: &str) -> Option<u64> {
        match self.keys.get(key)? {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// A text of the metadata.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.keys.get(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// A tensor and the offset of its bytes.
fn tensor(r: &mut Reader<'_>) -> std::result::Result<(u64, Tensor), Stop> {
    let (at, name) = (r.at(), r.text()?);
    if name.len() > LONGEST_NAME {
        let fact = format!("has a name of {} bytes; {LONGEST_NAME} are the most", name.len());
        return Err(r.bad_at(at, fact).into());
    }
    let bad = |fact: String| Stop::from(at_tensor(&name, fact));
    let dimensions = r.u32()?;
    if dimensions > MOST_DIMENSIONS {
        return Err(bad(format!("has {dimensions} dimensions; {MOST_DIMENSIONS} are the most")));
    }
    let mut shape = Vec::new();
    for _ in 0..dimensions {
        shape.push(r.u64()?);
    }
    let kind = r.u32()?;
    let offset = r.u64()?;
    let Some(kind) = types::find(kind) else {
        return Err(unknown_type(&name, kind).into());
    };
    let row = shape.first().copied().unwrap_or(1);
    if !row.is_multiple_of(kind.block) {
        let fact = format!(
            "has rows of {row}, which blocks of {} ({}) do not fill",
            kind.block, kind.name
        );
        return Err(bad(fact));
    }
    let blocks = shape[usize::from(!shape.is_empty())..]
        .iter()
        .try_fold(row / kind.block, |product, size| product.checked_mul(*size));
    let Some(bytes) = blocks.and_then(|blocks| blocks.checked_mul(kind.bytes)) else {
        return Err(bad(format!("has shape {shape:?}, more than any file holds")));
    };
    // The format has the innermost size first.
    shape.reverse();
    Ok((offset, Tensor { name, shape, storage: kind.storage(), bytes }))
}

fn unknown_type(tensor: &str, kind: u32) -> Error {
    match types::REMOVED.iter().find(|(id, _)| *id == kind) {
        Some((_, name)) => {
            let fact = format!("has the quantisation type {kind} ({name}), which ggml has no more");
            at_tensor(tensor, fact).hint("quantise the model anew, or give its config.json")
        }
        None => at_tensor(tensor, format!("has the unknown quantisation type {kind}"))
            .hint("the file may be newer than flopmeter, or damaged; give the model's config.json"),
    }
}

fn check_places(placed: &[(u64, Tensor)], start: u64, alignment: u64, file: u64) -> Result<()> {
    let mut order: Vec<&(u64, Tensor)> = placed.iter().collect();
    order.sort_by_key(|(offset, tensor)| (*offset, tensor.bytes));
    let mut next = 0;
    for (offset, tensor) in order {
        if offset % alignment != 0 {
            let fact = format!("begins at {offset}, which {alignment} does not divide");
            return Err(at_tensor(&tensor.name, fact));
        }
        if *offset < next {
            let fact = format!("begins at {offset}, within the one before, which ends at {next}");
            return Err(at_tensor(&tensor.name, fact));
        }
        let end = offset.checked_add(tensor.bytes);
        next = match end.and_then(|end| end.checked_add(start)) {
            Some(last) if last <= file => last - start,
            _ => {
                let fact = format!(
                    "has {} bytes at {offset} of the data; the file ends before",
                    tensor.bytes
                );
                return Err(
                    at_tensor(&tensor.name, fact).hint("the file is cut off: fetch it again")
                );
            }
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests;
