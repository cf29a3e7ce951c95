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
/// The most lists in lists; real files have none.
const MOST_LISTS: u64 = 1 << 12;
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
    /// The byte of the file that is the first of those.
    base: u64,
    file: u64,
    left: Left,
}

/// How much more there may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Left {
    /// How many more numbers of lists are kept.
    numbers: u64,
    /// How many more texts and lists lists may have.
    texts: u64,
    lists: u64,
}

impl Default for Left {
    fn default() -> Self {
        Self { numbers: MOST_NUMBERS, texts: MOST_TEXTS, lists: MOST_LISTS }
    }
}

impl<'b> Reader<'b> {
    /// Reads the bytes of a file from one on.
    pub fn new(bytes: &'b [u8], base: u64, file: u64, left: Left) -> Self {
        let file = file.max(base + bytes.len() as u64);
        Self { bytes, at: 0, base, file, left }
    }

    /// The next byte of the file.
    pub fn at(&self) -> u64 {
        self.base + self.at as u64
    }

    pub fn left(&self) -> Left {
        self.left
    }

    pub fn file_bytes(&self) -> u64 {
        self.file
    }

    pub fn bad_at(&self, byte: u64, fact: impl Into<String>) -> Error {
        Error::new(ErrorKind::Weights, format!("byte {byte}"), fact)
    }

    fn bytes_left(&self) -> u64 {
        self.file - self.at()
    }

    /// The next `length` bytes.
    pub fn take(&mut self, length: u64) -> Read<&'b [u8]> {
        if length > self.bytes_left() {
            let fact = format!("needs {length} bytes more, and the file has {}", self.bytes_left());
            return Err(self
                .bad_at(self.at(), fact)
                .hint("the file is cut off, or it is no GGUF: fetch it again")
                .into());
        }
        let end = usize::try_from(length).ok().and_then(|length| self.at.checked_add(length));
        let Some(taken) = end.and_then(|end| self.bytes.get(self.at..end)) else {
            return Err(Stop::More(self.at() + length));
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
        if count * least > self.bytes_left() {
            let fact = format!("has {count} {what}, more than {} bytes hold", self.bytes_left());
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
            LIST => {
                let (kind, count) = self.list_front()?;
                self.list(kind, count, depth)
            }
            _ => {
                let at = self.at();
                let width = width(kind)
                    .ok_or_else(|| self.bad_at(at, format!("has the unknown type {kind}")))?;
                Ok(number(kind, self.take(width)?))
            }
        }
    }

    /// A text of which nothing is kept. A vocabulary has hundreds of thousands.
    pub fn pass_over_text(&mut self) -> Read<()> {
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

    /// The type of a list's items, and how many there are.
    pub fn list_front(&mut self) -> Read<(u32, u64)> {
        let (kind, at) = (self.u32()?, self.at());
        let count = self.u64()?;
        let least = match kind {
            STRING => 8,
            LIST => 12,
            _ => width(kind)
                .ok_or_else(|| self.bad_at(at, format!("has a list of the unknown type {kind}")))?,
        };
        if count.checked_mul(least).is_none_or(|bytes| bytes > self.bytes_left()) {
            let fact = format!("has a list of {count}, more than {} bytes hold", self.bytes_left());
            return Err(self.bad_at(at, fact).into());
        }
        let (left, most, what) = match kind {
            STRING => (&mut self.left.texts, MOST_TEXTS, "texts"),
            LIST => (&mut self.left.lists, MOST_LISTS, "lists"),
            _ => return Ok((kind, count)),
        };
        match left.checked_sub(count) {
            Some(less) => *left = less,
            None => {
                let fact = format!("has a list of {count} {what}; {most} in all are the most");
                return Err(self.bad_at(at, fact).into());
            }
        }
        Ok((kind, count))
    }

    /// The items of a list.
    pub fn list(&mut self, kind: u32, count: u64, depth: u32) -> Read<Value> {
        match kind {
            STRING => {
                for _ in 0..count {
                    self.pass_over_text()?;
                }
                Ok(Value::List(count))
            }
            LIST => {
                for _ in 0..count {
                    self.value_within(LIST, depth + 1)?;
                }
                Ok(Value::List(count))
            }
            _ => {
                let least = width(kind).unwrap_or(1);
                let bytes = self.take(count.saturating_mul(least))?;
                if count > LONGEST_LIST || count > self.left.numbers {
                    return Ok(Value::List(count));
                }
                self.left.numbers -= count;
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

pub(super) const STRING: u32 = 8;
pub(super) const LIST: u32 = 9;

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
