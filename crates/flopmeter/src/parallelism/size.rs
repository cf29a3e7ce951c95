//! Sizes that are shared out evenly, or not at all.

use crate::error::{Error, ErrorKind, Result};

/// The most parts that anything is cut into.
pub(super) const MOST: u64 = 1 << 20;

/// The most ranks that share a sequence: where they are unlike, each is counted.
pub(super) const MOST_CONTEXT: u64 = 1 << 10;

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

/// The length of each of the 2·ranks equal pieces that tokens are cut into, two for each of some ranks.
pub(crate) fn pieces(tokens: u64, ranks: u64) -> Result<u64> {
    let of_two = ranks.saturating_mul(2);
    if ranks == 1 || tokens.is_multiple_of(of_two) {
        return Ok(tokens / of_two);
    }
    let fact = format!("{tokens} tokens cannot be cut into 2·{ranks} equal pieces");
    let will_do = |ranks: u64| tokens.is_multiple_of(2 * ranks) || ranks == 1;
    let error = uneven("context", fact, ranks, will_do);
    Err(match tokens.checked_next_multiple_of(of_two) {
        Some(longer) => error.hint(format!("{longer} tokens can")),
        None => error,
    })
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

/// The largest number that is looked for.
pub(super) const LARGEST: u64 = 1 << 40;

/// The largest number for which a thing holds that holds for no larger one once it does not; 0 if not for 1.
pub(super) fn largest(holds: impl Fn(u64) -> Result<bool>) -> Result<u64> {
    let (mut least, mut most) = (0, LARGEST);
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
