//! A header, piece by piece: each byte is walked over once, and what was is not needed again.

use super::reader::{LIST, Left, Reader, STRING, Stop};
use super::{Header, LONGEST_READ, MOST_TENSORS, Parsed, Value, check_places, tensor};
use crate::error::{Error, ErrorKind, Result, shown};
use crate::weights::Tensor;
use std::collections::BTreeMap;

const MOST_KEYS: u64 = 1 << 12;
/// The longest key that is kept; none that is read is half as long.
const LONGEST_KEY: usize = 256;
const DEFAULT_ALIGNMENT: u64 = 32;

/// Reads a header of which more and more comes.
///
/// # Example
///
/// ```
/// use flopmeter::weights::gguf::{Parsed, Parser};
///
/// let mut file = b"GGUF\x03\0\0\0".to_vec();
/// file.extend([0; 16]); // no tensors, no keys
/// let mut parser = Parser::default();
/// assert!(matches!(parser.parse(&file[..20], 24)?, Parsed::More(24)));
/// // What it did not take is to be there the next time.
/// let rest = &file[parser.at() as usize..];
/// assert!(matches!(parser.parse(rest, 24)?, Parsed::Header(_)));
/// # Ok::<(), flopmeter::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Parser {
    /// The byte up to which all is taken.
    at: u64,
    left: Left,
    front: Option<Front>,
    keys: BTreeMap<String, Value>,
    /// How many keys were read, those that are not kept among them.
    keys_read: u64,
    /// The list of texts that is being read.
    texts: Option<Texts>,
    placed: Vec<(u64, Tensor)>,
}

/// What a file begins with.
#[derive(Debug, Clone, Copy)]
struct Front {
    version: u32,
    tensors: u64,
    keys: u64,
}

#[derive(Debug)]
struct Texts {
    key: String,
    count: u64,
    left: u64,
}

impl Parser {
    /// The byte of the file from which on bytes are to be given.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Reads on in a file of `file_bytes`, of which the bytes from [`Self::at`] on are given.
    ///
    /// # Errors
    ///
    /// As [`Header::parse`].
    pub fn parse(&mut self, bytes: &[u8], file_bytes: u64) -> Result<Parsed> {
        let mut r = Reader::new(bytes, self.at, file_bytes, self.left);
        let given = self.at + bytes.len() as u64;
        loop {
            match self.step(&mut r) {
                Ok(None) => (self.at, self.left) = (r.at(), r.left()),
                Ok(Some(header)) => return Ok(Parsed::Header(header)),
                Err(Stop::More(end)) if end <= LONGEST_READ => return Ok(Parsed::More(end)),
                Err(Stop::More(end)) => {
                    let fact = format!(
                        "the header goes on to byte {end}; the longest that is read is {LONGEST_READ}"
                    );
                    return Err(Error::new(ErrorKind::Weights, format!("byte {given}"), fact));
                }
                Err(Stop::Bad(error)) => return Err(error),
            }
        }
    }

    /// Reads one thing more; the header once it is whole.
    fn step(&mut self, r: &mut Reader<'_>) -> std::result::Result<Option<Header>, Stop> {
        let Some(front) = self.front else {
            self.front = Some(front(r)?);
            return Ok(None);
        };
        if let Some(texts) = &mut self.texts {
            while texts.left > 0 {
                r.pass_over_text().map_err(|stop| stop.within(&in_key(&texts.key)))?;
                texts.left -= 1;
                self.at = r.at();
            }
            if let Some(Texts { key, count, .. }) = self.texts.take() {
                self.keep(key, Value::List(count));
            }
        } else if self.keys_read < front.keys {
            self.key(r)?;
        } else if (self.placed.len() as u64) < front.tensors {
            self.placed.push(tensor(r)?);
        } else {
            return self.header(front, r).map(Some);
        }
        Ok(None)
    }

    fn key(&mut self, r: &mut Reader<'_>) -> std::result::Result<(), Stop> {
        let at = r.at();
        let key = r.text()?;
        if self.keys.contains_key(&key) {
            let fact = format!("has the key `{}` a second time", shown(&key));
            return Err(r.bad_at(at, fact).into());
        }
        let within = |stop: Stop| stop.within(&in_key(&key));
        let kind = r.u32()?;
        if kind == LIST {
            let (kind, count) = r.list_front().map_err(within)?;
            if kind == STRING {
                self.texts = Some(Texts { key, count, left: count });
                return Ok(());
            }
            let value = r.list(kind, count, 0).map_err(within)?;
            self.keep(key, value);
        } else {
            let value = r.value(kind).map_err(within)?;
            self.keep(key, value);
        }
        Ok(())
    }

    fn keep(&mut self, key: String, value: Value) {
        self.keys_read += 1;
        if key.len() <= LONGEST_KEY {
            self.keys.insert(key, value);
        }
    }

    fn header(&mut self, front: Front, r: &Reader<'_>) -> std::result::Result<Header, Stop> {
        let alignment = match self.keys.get("general.alignment") {
            None => DEFAULT_ALIGNMENT,
            Some(Value::Number(number)) if number.is_power_of_two() && *number <= 1 << 20 => {
                *number
            }
            Some(_) => {
                let fact = "is no alignment: a power of two is one";
                return Err(Error::new(ErrorKind::Weights, "key `general.alignment`", fact).into());
            }
        };
        let start = r.at().next_multiple_of(alignment);
        check_places(&self.placed, start, alignment, r.file_bytes())?;
        let tensors = std::mem::take(&mut self.placed);
        Ok(Header {
            version: front.version,
            bytes: r.at(),
            tensors: tensors.into_iter().map(|(_, tensor)| tensor).collect(),
            keys: std::mem::take(&mut self.keys),
        })
    }
}

fn front(r: &mut Reader<'_>) -> std::result::Result<Front, Stop> {
    if r.take(4)? != b"GGUF" {
        return Err(r.bad_at(0, "does not begin with \"GGUF\"").into());
    }
    let version = r.u32()?;
    match version {
        2 | 3 => {}
        _ if version.swap_bytes() == 3 => {
            return Err(r.bad_at(4, "is big-endian, which is not read").into());
        }
        _ => return Err(r.bad_at(4, format!("has version {version}; 2 and 3 are read")).into()),
    }
    let tensors = r.count(24, MOST_TENSORS, "tensors")?;
    let keys = r.count(13, MOST_KEYS, "keys")?;
    Ok(Front { version, tensors, keys })
}

fn in_key(key: &str) -> String {
    format!("key `{}`", shown(key))
}
