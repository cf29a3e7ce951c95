//! What is believed to be a size, and what is said of anything else.

use super::Config;
use crate::error::{Error, ErrorKind, Result};
use serde_json::Value;

/// The largest size that is believed: 2^24, the widest real one (a vocabulary) being under 2^19.
/// Products of two sizes then fit `u64`, and every count of one layer fits `u128`.
const LARGEST_SIZE: u64 = 1 << 24;

impl Config {
    /// A value as a size, or as a count where `least` is 0.
    pub(super) fn as_size(&self, key: &str, value: &Value, least: u64) -> Result<u64> {
        let Value::Number(number) = value else {
            return Err(self.wrong(key, value, "a whole number").hint(sizes(least)));
        };
        let fact = match number.as_u64() {
            Some(size) if size < least => format!("is {size}, which is no size"),
            Some(size) if size > LARGEST_SIZE => {
                format!("is {size}; the largest size that is believed is {LARGEST_SIZE}")
            }
            Some(size) => return Ok(size),
            // Beyond 64 bits a whole number is read as a float.
            None if number.as_f64().is_some_and(|size| size >= u64::MAX as f64) => {
                format!("is {number}; the largest size that is believed is {LARGEST_SIZE}")
            }
            None => match number.as_f64().and_then(written_out) {
                Some(size) => {
                    let fact = format!("is {number}; a size is written without a fraction");
                    return Err(Error::new(ErrorKind::Config, self.place(key), fact)
                        .hint(format!("write {size}")));
                }
                None if least == 0 => format!("is {number}, not a whole number from zero up"),
                None => format!("is {number}, not a whole number above zero"),
            },
        };
        Err(Error::new(ErrorKind::Config, self.place(key), fact).hint(sizes(least)))
    }
}

/// What a size may be, or a count where `least` is 0.
fn sizes(least: u64) -> String {
    let what = if least == 0 { "count" } else { "size" };
    format!("a {what} is a whole number from {least} to {LARGEST_SIZE}")
}

/// A whole number that is believed and was written with a fraction, `32.0`, as it should be: `32`.
fn written_out(number: f64) -> Option<String> {
    let believed = (1.0..=LARGEST_SIZE as f64).contains(&number);
    (believed && number.fract() == 0.0).then(|| format!("{number:.0}"))
}
