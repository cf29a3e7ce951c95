//! Sizes that are shared out evenly, or not at all.

use crate::error::{Error, ErrorKind, Result};

/// The most parts that anything is cut into.
pub(super) const MOST: u64 = 1 << 20;

/// `size` over `parts`, or an error that offers the nearest numbers of parts that divide it.
pub(super) fn share(place: &str, what: &str, size: u64, parts: u64) -> Result<u64> {
    if size.is_multiple_of(parts) {
        return Ok(size / parts);
    }
    Err(uneven(
        place,
        format!("{size} {what} cannot be shared evenly by {parts}"),
        parts,
        |parts| size.is_multiple_of(parts),
    ))
}

/// The error, with the nearest numbers of parts on either side that will do.
pub(super) fn uneven(
    place: &str,
    fact: String,
    parts: u64,
    will_do: impl Fn(u64) -> bool,
) -> Error {
    let below = (1..parts.min(MOST)).rev().find(|parts| will_do(*parts));
    let above = (parts + 1..=parts.saturating_mul(4).min(MOST)).find(|parts| will_do(*parts));
    let error = Error::new(ErrorKind::Parallelism, place, fact);
    match (below, above) {
        (Some(below), Some(above)) => error.hint(format!("the nearest are {below} and {above}")),
        (Some(only), None) | (None, Some(only)) => error.hint(format!("the nearest is {only}")),
        (None, None) => error,
    }
}

/// The largest number for which a thing holds that holds for no larger one once it does not; 0 if not for 1.
pub(super) fn largest(holds: impl Fn(u64) -> Result<bool>) -> Result<u64> {
    let (mut least, mut most) = (0, 1_u64 << 40);
    while least < most {
        let middle = least + (most - least).div_ceil(2);
        if holds(middle)? {
            least = middle;
        } else {
            most = middle - 1;
        }
    }
    Ok(least)
}
