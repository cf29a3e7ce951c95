//! The entries of a header.

use super::json::{Cursor, Read, Wrong};
use crate::error::shown;
use memchr::memchr_iter;
use std::borrow::Cow;

/// The most tensors of one file.
const MOST_TENSORS: usize = 1 << 16;
/// The longest name of a tensor; real ones have under 200 bytes.
const LONGEST_NAME: usize = 1024;
/// The most parts of a name, which dots separate; real ones have under 16.
const MOST_PARTS: usize = 32;
/// The most dimensions of a tensor.
const MOST_DIMENSIONS: usize = 16;

/// A tensor as it stands in the JSON.
pub(super) struct Entry<'t, 's> {
    /// The byte where its name begins.
    pub at: usize,
    pub name: Cow<'t, str>,
    pub dtype: &'t str,
    pub shape: &'s [u64],
    pub offsets: [u64; 2],
}

/// Gives each of the entries of a header's JSON, in its order. `take` says whether to go on.
pub(super) fn entries<'t>(
    json: &'t str,
    mut take: impl FnMut(Entry<'t, '_>) -> Option<()>,
) -> Read<()> {
    let mut shape = Vec::with_capacity(MOST_DIMENSIONS);
    let (mut described, mut count) = (false, 0);
    let mut cursor = Cursor::new(json);
    cursor.object(|cursor, quoted| {
        let Some(name) = quoted.value() else {
            return Err(cursor.wrong("has a name with an escape that says nothing"));
        };
        if name == "__metadata__" {
            if described {
                return Err(cursor.wrong("has `__metadata__` twice"));
            }
            described = true;
            return texts(cursor);
        }
        if name.len() > LONGEST_NAME {
            let fact = format!("has a name of {} bytes; {LONGEST_NAME} are the most", name.len());
            return Err(cursor.wrong(fact));
        }
        let parts = 1 + memchr_iter(b'.', name.as_bytes()).count();
        if parts > MOST_PARTS {
            let fact = format!("has a name of {parts} parts; {MOST_PARTS} are the most");
            return Err(cursor.wrong(fact));
        }
        count += 1;
        if count > MOST_TENSORS {
            return Err(cursor.wrong(format!("has more than {MOST_TENSORS} tensors")));
        }
        let (dtype, offsets) = info(cursor, &mut shape).map_err(|wrong| Wrong {
            fact: format!("says of `{}`: {}", shown(&name), wrong.fact),
            ..wrong
        })?;
        let entry = Entry { at: quoted.at, name, dtype, shape: &shape, offsets };
        take(entry).ok_or_else(|| cursor.wrong("is refused"))
    })?;
    cursor.end()
}

/// What the JSON says of one tensor: its dtype and offsets, and its shape.
fn info<'t>(cursor: &mut Cursor<'t>, shape: &mut Vec<u64>) -> Read<(&'t str, [u64; 2])> {
    let (mut dtype, mut offsets, mut shaped) = (None, None, false);
    cursor.object(|cursor, key| {
        let twice = match key.raw {
            "dtype" => dtype.replace(cursor.text()?.raw).is_some(),
            "data_offsets" => offsets.replace(pair(cursor)?).is_some(),
            "shape" => {
                sizes(cursor, shape)?;
                std::mem::replace(&mut shaped, true)
            }
            other => {
                return Err(cursor.wrong(format!("it has the unknown field `{}`", shown(other))));
            }
        };
        match twice {
            true => Err(cursor.wrong(format!("it has the field `{}` twice", key.raw))),
            false => Ok(()),
        }
    })?;
    let missing = match (dtype, shaped, offsets) {
        (Some(dtype), true, Some(offsets)) => return Ok((dtype, offsets)),
        (None, ..) => "dtype",
        (_, false, _) => "shape",
        _ => "data_offsets",
    };
    Err(cursor.wrong(format!("it has no field `{missing}`")))
}

fn sizes(cursor: &mut Cursor<'_>, sizes: &mut Vec<u64>) -> Read<()> {
    sizes.clear();
    cursor.list(|cursor| {
        if sizes.len() == MOST_DIMENSIONS {
            return Err(
                cursor.wrong(format!("it has a shape of more than {MOST_DIMENSIONS} dimensions"))
            );
        }
        sizes.push(cursor.number()?);
        Ok(())
    })
}

fn pair(cursor: &mut Cursor<'_>) -> Read<[u64; 2]> {
    let (mut pair, mut count) = ([0; 2], 0);
    cursor.list(|cursor| {
        let number = cursor.number()?;
        if let Some(place) = pair.get_mut(count) {
            *place = number;
        }
        count += 1;
        Ok(())
    })?;
    match count {
        2 => Ok(pair),
        _ => Err(cursor.wrong(format!("it has {count} offsets, not 2"))),
    }
}

/// Free texts by key, none of them kept.
fn texts(cursor: &mut Cursor<'_>) -> Read<()> {
    cursor.object(|cursor, _| cursor.text().map(drop))
}
