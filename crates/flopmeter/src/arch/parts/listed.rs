//! What configs list layer by layer.

use crate::config::Config;
use crate::error::{Error, Result, shown};

/// Refuses a list under `key` that has not one entry for each layer.
pub(crate) fn one_each<T>(c: &Config, key: &str, list: &[T], layers: u64) -> Result<()> {
    if list.len() as u64 == layers { Ok(()) } else { Err(unlike(c, key, list, layers)) }
}

/// Refuses a list of layers that has more than there are.
pub(crate) fn one_at_most<T>(c: &Config, key: &str, list: &[T], layers: u64) -> Result<()> {
    if list.len() as u64 <= layers { Ok(()) } else { Err(unlike(c, key, list, layers)) }
}

/// The error of a list whose length does not go with the number of layers.
pub(crate) fn unlike<T>(c: &Config, key: &str, list: &[T], layers: u64) -> Error {
    c.contradiction(key, &format!("has {} entries for {layers} layers", list.len()))
}

/// The error of a kind of layer that nobody counts.
pub(crate) fn uncounted_kind(c: &Config, key: &str, kind: &str) -> Error {
    let fact = format!("has a layer of a kind that is not counted: \"{}\"", shown(kind));
    c.contradiction(key, &fact)
}
