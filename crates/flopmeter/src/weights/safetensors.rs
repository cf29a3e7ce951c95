//! safetensors: the header of a file, and the index of several.
//!
//! ```text
//! 8 bytes   N, the header's length, little-endian
//! N bytes   {"name": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}, …, "__metadata__": {…}}
//! the rest  the tensors' bytes, without a hole, in the order of their offsets
//! ```

mod header;
mod index;
mod json;
mod scan;
mod window;

pub use index::{Check, Index, LONGEST_INDEX, Names};
pub use window::Text;

use super::{Tensor, TensorRef, at_tensor};
use crate::dtype::Dtype;
use crate::error::{Error, ErrorKind, Result, shown};
use crate::op::{Scale, Storage};
use header::{Entry, entries};
use json::{Cursor, Wrong};
use std::borrow::Cow;

/// Bytes before the header.
pub const PREFIX: u64 = 8;
/// The longest header that the format allows.
const LONGEST_ALLOWED: u64 = 100_000_000;
/// The longest header that is read: 57,344 tensors of 128 bytes, which 48 layers of 128 experts with three tensors a
/// matrix take in one file. Of files that are split the longest have some 33,000, where 512 experts a layer are quantised
/// and each has four tensors a matrix.
const LONGEST_READ: u64 = 7 << 20;
const IS_IT_ONE: &str = "is it a safetensors file, and whole?";
const GIVE_CONFIG: &str = "give the config.json alone";

/// The length of the header, from a file's first 8 bytes and its length.
///
/// # Errors
///
/// [`ErrorKind::Weights`] for a length that the format does not allow, that is not read, or that the file
/// does not have.
///
/// # Example
///
/// ```
/// use flopmeter::weights::safetensors::header_length;
/// assert_eq!(header_length(&[2, 0, 0, 0, 0, 0, 0, 0], 10)?, 2);
/// assert!(header_length(&[0xFF; 8], 10).is_err());
/// # Ok::<(), flopmeter::Error>(())
/// ```
pub fn header_length(start: &[u8], file_bytes: u64) -> Result<u64> {
    let Some(start) = start.first_chunk::<8>() else {
        return Err(at_byte(
            0,
            format!("has {} bytes, not the 8 of a header's length", start.len()),
        )
        .hint("the file is cut off: fetch it again"));
    };
    let length = u64::from_le_bytes(*start);
    if length > LONGEST_ALLOWED {
        let fact = format!(
            "the header is said to have {length} bytes; the format allows {LONGEST_ALLOWED}"
        );
        return Err(at_byte(0, fact).hint("is it a safetensors file at all?"));
    }
    if length > LONGEST_READ {
        let fact =
            format!("the header has {length} bytes; the longest that is read is {LONGEST_READ}");
        return Err(at_byte(0, fact).hint(GIVE_CONFIG));
    }
    if length > file_bytes.saturating_sub(PREFIX) {
        let fact = format!("the header has {length} bytes, the whole file {file_bytes}");
        return Err(at_byte(0, fact).hint("the file is cut off: fetch it again"));
    }
    Ok(length)
}

/// The tensors of a header: its bytes without the 8 before them, and the length of the whole file.
///
/// # Errors
///
/// [`ErrorKind::Weights`] for what is no header, and for tensors that overlap, leave a hole, lie outside
/// the file or are not as long as dtype and shape say.
///
/// # Example
///
/// ```
/// use flopmeter::weights::safetensors;
///
/// let json = br#"{"a": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}}"#;
/// let tensors = safetensors::tensors(json, 8 + json.len() as u64 + 12)?;
/// assert_eq!((&*tensors[0].name, &*tensors[0].shape, tensors[0].bytes), ("a", &[2, 3][..], 12));
///
/// let error = safetensors::tensors(json, 8 + json.len() as u64 + 11).unwrap_err();
/// assert_eq!(error.place(), "tensor `a`");
/// # Ok::<(), flopmeter::Error>(())
/// ```
pub fn tensors(json: &[u8], file_bytes: u64) -> Result<Vec<Tensor>> {
    let mut tensors = Vec::new();
    each(&json, file_bytes, |tensor| {
        tensors.push(tensor.to_owned());
        Ok(())
    })?;
    Ok(tensors)
}

/// The same, read in pieces, one after the other and none of them kept: a header may be long.
///
/// # Errors
///
/// The same, which may come after some tensors, or after all of them; and what `take` refuses.
pub fn each(
    json: &dyn Text,
    file_bytes: u64,
    mut take: impl FnMut(TensorRef<'_>) -> Result<()>,
) -> Result<()> {
    let wrong = |wrong: Box<Wrong>| {
        let hint = wrong.hint(IS_IT_ONE);
        at_byte(PREFIX + wrong.at as u64, format!("the header {}", wrong.fact)).hint(hint)
    };
    let mut places = Vec::new();
    let mut refused = None;
    let mut cursor = Cursor::new(json).map_err(wrong)?;
    let read = entries(&mut cursor, |entry| {
        places.push((entry.offsets, entry.at));
        let taken = described(&entry).and_then(&mut take);
        taken.map_err(|error| refused = Some(error)).ok()
    });
    if let Some(error) = refused {
        return Err(error);
    }
    let length = read.map_err(wrong)? as u64;
    check_places(json, places, [PREFIX + length, file_bytes])
}

fn described<'e>(entry: &'e Entry<'_>) -> Result<TensorRef<'e>> {
    let Entry { name, dtype, shape, offsets: [from, to], .. } = entry;
    let storage = storage(dtype)
        .ok_or_else(|| at_tensor(name, format!("has the unknown dtype \"{}\"", shown(dtype))))?;
    let element = u64::try_from(storage.matrix_bits(1, 1)).unwrap_or(0);
    let bits = shape.iter().try_fold(element, |bits, size| bits.checked_mul(*size));
    // Offsets that go backwards are refused when all are there.
    let bytes = to.saturating_sub(*from);
    if from <= to && bits.is_none_or(|bits| !bits.is_multiple_of(8) || bits / 8 != bytes) {
        let fact = format!("has {bytes} bytes, which {dtype} of shape {shape:?} does not");
        return Err(at_tensor(name, fact));
    }
    Ok(TensorRef { name, shape, storage, bytes })
}

/// Holds the offsets of tensors, each with the byte where its name is, against each other and the data, which lies between
/// two bytes of the file.
fn check_places(
    json: &dyn Text,
    mut places: Vec<([u64; 2], usize)>,
    [start, file_bytes]: [u64; 2],
) -> Result<()> {
    places.sort_unstable();
    let wrong = |at: usize, fact: String| at_tensor(&name_at(json, at).unwrap_or_default(), fact);
    let data = file_bytes.saturating_sub(start);
    let mut end = 0;
    for ([from, to], at) in places {
        if from != end || to < from {
            let what =
                if from < end { "overlap those before" } else { "leave a hole or go backwards" };
            return Err(wrong(at, format!("its bytes {from}..{to} {what}: {end} is next")));
        }
        if to > data {
            let fact = format!("ends at byte {to} of the data, of which the file has {data}");
            return Err(wrong(at, fact).hint("the file is cut off: fetch it again"));
        }
        end = to;
    }
    if end != data {
        let fact = format!("the tensors end at byte {end} of the data, the file at {data}");
        return Err(at_byte(start + end, fact));
    }
    Ok(())
}

/// The text at a byte of the header, which is read once more up to there.
fn name_at(json: &dyn Text, at: usize) -> Option<String> {
    let mut cursor = Cursor::new(json).ok()?;
    cursor.pass_bytes(at).ok()?;
    let name = cursor.text().ok()?;
    cursor.value(name).map(Cow::into_owned)
}

/// How the format's dtypes are stored.
fn storage(dtype: &str) -> Option<Storage> {
    let packed = |name, bits| Storage::scaled(name, bits, [Scale::None; 2]);
    Some(match dtype {
        "F64" => Storage::plain(Dtype::Fp64),
        "F32" => Storage::plain(Dtype::Fp32),
        "F16" => Storage::plain(Dtype::Fp16),
        "BF16" => Storage::plain(Dtype::Bf16),
        "F8_E4M3" | "F8_E5M2" | "F8_E8M0" | "F8_E4M3FNUZ" | "F8_E5M2FNUZ" => {
            Storage::plain(Dtype::Fp8)
        }
        "F6_E2M3" | "F6_E3M2" => Storage::plain(Dtype::Fp6),
        "F4" => Storage::plain(Dtype::Fp4),
        "BOOL" | "U8" | "I8" => packed("int8", 8),
        "U16" | "I16" => packed("int16", 16),
        "U32" | "I32" => packed("int32", 32),
        "U64" | "I64" | "C64" => packed("int64", 64),
        _ => return None,
    })
}

fn at_byte(byte: u64, fact: impl Into<String>) -> Error {
    Error::new(ErrorKind::Weights, format!("byte {byte}"), fact)
}

#[cfg(test)]
mod tests;
