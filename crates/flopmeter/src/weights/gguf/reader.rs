//! Bytes → numbers, texts and values, never past the end and never more than there can be.

use super::Value;
use crate::error::{Error, ErrorKind};

/// Longer lists and texts are passed over: none of them shapes a model.
const LONGEST_LIST: u64 = 4096;
const LONGEST_TEXT: u64 = 1024;
/// The most numbers that are kept of all lists.
const MOST_NUMBERS: u64 = 1 << 17;
/// The most texts of all lists: a vocabulary and its merges are some hundred thousand.
const MOST_TEXTS: u64 = 1 << 20;
const LONGEST_NAME: u64 = 65_535;
const DEEPEST: u32 = 2;

/// Why reading ends.
pub(super) enum Stop {
    /// So many bytes of the file are needed.
    More(u64),
    Bad(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Bad(error)
    }
}

impl Stop {
    pub fn within(self, outer: &str) -> Self {
        match self {
            Self::Bad(error) => Self::Bad(error.within(outer)),
            more => more,
        }
    }
}

type Read<T> = Result<T, Stop>;

/// The first bytes of a file.
pub(super) struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
    file: u64,
    /// How many more numbers of lists are kept.
    room: u64,
    /// How many more texts lists may have.
    texts: u64,
}

impl<'b> Reader<'b> {
    pub fn new(bytes: &'b [u8], file: u64) -> Self {
        let file = file.max(bytes.len() as u64);
        Self { bytes, at: 0, file, room: MOST_NUMBERS, texts: MOST_TEXTS }
    }

    pub fn at(&self) -> u64 {
        self.at as u64
    }

    pub fn file_bytes(&self) -> u64 {
        self.file
    }

    pub fn bad_at(&self, byte: u64, fact: impl Into<String>) -> Error {
        Error::new(ErrorKind::Weights, format!("byte {byte}"), fact)
    }

    fn left(&self) -> u64 {
        self.file - self.at()
    }

    /// The next `length` bytes.
    pub fn take(&mut self, length: u64) -> Read<&'b [u8]> {
        if length > self.left() {
            let fact = format!("needs {length} bytes more, and the file has {}", self.left());
            return Err(self
                .bad_at(self.at(), fact)
                .hint("the file is cut off, or it is no GGUF: fetch it again")
                .into());
        }
        let end = self.at() + length;
        let Some(taken) = usize::try_from(end).ok().and_then(|end| self.bytes.get(self.at..end))
        else {
            return Err(Stop::More(end));
        };
        self.at += taken.len();
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N as u64)?);
        Ok(out)
    }

    pub fn u32(&mut self) -> Read<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Read<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A number of things that take at least `least` bytes each.
    pub fn count(&mut self, least: u64, most: u64, what: &str) -> Read<u64> {
        let at = self.at();
        let count = self.u64()?;
        if count > most {
            return Err(self.bad_at(at, format!("has {count} {what}; {most} are the most")).into());
        }
        if count * least > self.left() {
            let fact = format!("has {count} {what}, more than {} bytes hold", self.left());
            return Err(self.bad_at(at, fact).into());
        }
        Ok(count)
    }

    /// A name.
    pub fn text(&mut self) -> Read<String> {
        let at = self.at();
        let length = self.u64()?;
        if length > LONGEST_NAME {
            let fact = format!("a name has {length} bytes; {LONGEST_NAME} are the most");
            return Err(self.bad_at(at, fact).into());
        }
        let bytes = self.take(length)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => {
                let byte = at + 8 + error.valid_up_to() as u64;
                Err(self.bad_at(byte, "is not UTF-8 text").into())
            }
        }
    }

    pub fn value(&mut self, kind: u32) -> Read<Value> {
        self.value_within(kind, 0)
    }

    fn value_within(&mut self, kind: u32, depth: u32) -> Read<Value> {
        match kind {
            STRING => {
                let length = self.u64()?;
                let bytes = self.take(length)?;
                if length > LONGEST_TEXT {
                    return Ok(Value::Other);
                }
                Ok(std::str::from_utf8(bytes).map_or(Value::Other, |text| Value::Text(text.into())))
            }
            LIST if depth == DEEPEST => {
                Err(self.bad_at(self.at(), "has lists of lists that are too deep").into())
            }
            LIST => self.list(depth),
            _ => {
                let at = self.at();
                let width = width(kind)
                    .ok_or_else(|| self.bad_at(at, format!("has the unknown type {kind}")))?;
                Ok(number(kind, self.take(width)?))
            }
        }
    }

    /// A text of which nothing is kept. A vocabulary has hundreds of thousands.
    fn pass_over_text(&mut self) -> Read<()> {
        let there = self.bytes.get(self.at..).and_then(<[u8]>::split_first_chunk);
        if let Some((length, rest)) = there
            && let Ok(length) = usize::try_from(u64::from_le_bytes(*length))
            && length <= rest.len()
        {
            self.at += 8 + length;
            return Ok(());
        }
        let length = self.u64()?;
        self.take(length).map(|_| ())
    }

    fn list(&mut self, depth: u32) -> Read<Value> {
        let (kind, at) = (self.u32()?, self.at());
        let count = self.u64()?;
        let least = match kind {
            STRING => 8,
            LIST => 12,
            _ => width(kind)
                .ok_or_else(|| self.bad_at(at, format!("has a list of the unknown type {kind}")))?,
        };
        if count.checked_mul(least).is_none_or(|bytes| bytes > self.left()) {
            let fact = format!("has a list of {count}, more than {} bytes hold", self.left());
            return Err(self.bad_at(at, fact).into());
        }
        match kind {
            STRING if count > self.texts => {
                let fact = format!("has a list of {count} texts; {MOST_TEXTS} in all are the most");
                Err(self.bad_at(at, fact).into())
            }
            STRING => {
                self.texts -= count;
                for _ in 0..count {
                    self.pass_over_text()?;
                }
                Ok(Value::List(count))
            }
            LIST if count > LONGEST_LIST => {
                let fact = format!("has a list of {count} lists; {LONGEST_LIST} are the most");
                Err(self.bad_at(at, fact).into())
            }
            LIST => {
                for _ in 0..count {
                    self.value_within(LIST, depth + 1)?;
                }
                Ok(Value::List(count))
            }
            _ => {
                let bytes = self.take(count * least)?;
                if count > LONGEST_LIST || count > self.room {
                    return Ok(Value::List(count));
                }
                self.room -= count;
                let size = usize::try_from(least).unwrap_or(1);
                let numbers = bytes.chunks_exact(size).map(|bytes| match number(kind, bytes) {
                    Value::Number(number) => Some(number),
                    _ => None,
                });
                Ok(numbers.collect::<Option<_>>().map_or(Value::List(count), Value::Numbers))
            }
        }
    }
}

const STRING: u32 = 8;
const LIST: u32 = 9;

/// Bytes of a value that is neither a text nor a list.
fn width(kind: u32) -> Option<u64> {
    Some(match kind {
        0 | 1 | 7 => 1,
        2 | 3 => 2,
        4..=6 => 4,
        10..=12 => 8,
        _ => return None,
    })
}

/// A whole number that is not negative, or something else.
fn number(kind: u32, bytes: &[u8]) -> Value {
    let mut wide = [0; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    let number = u64::from_le_bytes(wide);
    let negative = bytes.last().is_some_and(|byte| *byte >= 0x80);
    match kind {
        0 | 2 | 4 | 7 | 10 => Value::Number(number),
        1 | 3 | 5 | 11 if !negative => Value::Number(number),
        _ => Value::Other,
    }
}
