//! safetensors: the header of a file, and the index of several.
//!
//! ```text
//! 8 bytes   N, the header's length, little-endian
//! N bytes   {"name": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}, …, "__metadata__": {…}}
//! the rest  the tensors' bytes, without a hole, in the order of their offsets
//! ```

mod index;
mod json;

pub use index::{Index, LONGEST_INDEX};

use super::{Tensor, at_tensor};
use crate::dtype::Dtype;
use crate::error::{Error, ErrorKind, Result, shown};
use crate::op::{Scale, Storage};

/// Bytes before the header.
pub const PREFIX: u64 = 8;
/// The longest header that the format allows.
const LONGEST_ALLOWED: u64 = 100_000_000;
/// The longest header that is read: the most tensors of one file, at 150 bytes each, take 5 MB.
const LONGEST_READ: u64 = 5 << 20;

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
        return Err(at_byte(0, fact).hint("give the config.json alone"));
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
    let mut entries = json::entries(json)?;
    let data = file_bytes.saturating_sub(PREFIX).saturating_sub(json.len() as u64);
    entries.sort_by_key(|entry| entry.offsets);
    let mut end = 0;
    let mut tensors = Vec::with_capacity(entries.len());
    for entry in entries {
        let [from, to] = entry.offsets;
        let (shape, name) = (entry.shape, entry.name);
        if from != end || to < from {
            let what =
                if from < end { "overlap those before" } else { "leave a hole or go backwards" };
            return Err(at_tensor(&name, format!("its bytes {from}..{to} {what}: {end} is next")));
        }
        if to > data {
            let fact = format!("ends at byte {to} of the data, of which the file has {data}");
            return Err(at_tensor(&name, fact).hint("the file is cut off: fetch it again"));
        }
        let storage = storage(&entry.dtype).ok_or_else(|| {
            at_tensor(&name, format!("has the unknown dtype \"{}\"", shown(&entry.dtype)))
        })?;
        let bits = shape
            .iter()
            .try_fold(u64::try_from(storage.matrix_bits(1, 1)).unwrap_or(0), |bits, size| {
                bits.checked_mul(*size)
            });
        if bits.is_none_or(|bits| !bits.is_multiple_of(8) || bits / 8 != to - from) {
            let fact = format!(
                "has {} bytes, which {} of shape {shape:?} does not",
                to - from,
                entry.dtype
            );
            return Err(at_tensor(&name, fact));
        }
        end = to;
        tensors.push(Tensor { name, shape, storage, bytes: to - from });
    }
    if end != data {
        let fact = format!("the tensors end at byte {end} of the data, the file at {data}");
        return Err(at_byte(PREFIX + json.len() as u64 + end, fact));
    }
    Ok(tensors)
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
