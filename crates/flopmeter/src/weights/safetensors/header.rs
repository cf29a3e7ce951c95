//! The entries of a header.

use super::json::{Cursor, Quoted, Read, Wrong};
use crate::error::shown;
use std::borrow::Cow;

/// The most tensors of one file, and the most keys of its `__metadata__`, which some files have for each tensor. 48
/// layers of 128 experts, each of whose matrices is packed and has scales and zero points, have 56,200 in one file.
const MOST_TENSORS: usize = 7 << 13;
/// The longest name of a tensor; real ones have under 128 bytes, and each module's is kept.
const LONGEST_NAME: usize = 255;
/// The most parts of a name, which dots separate; real ones have up to 10, and an adapter's four more.
const MOST_PARTS: u8 = 16;
/// The most names with an escape, which each take a copy; real ones have none.
pub(super) const MOST_ESCAPED: usize = 1 << 12;
/// The most dimensions of a tensor.
const MOST_DIMENSIONS: usize = 16;

/// A tensor as it stands in the JSON.
pub(super) struct Entry<'c> {
    /// The byte where its name begins.
    pub at: usize,
    pub name: Cow<'c, str>,
    pub dtype: &'c str,
    pub shape: &'c [u64],
    pub offsets: [u64; 2],
}

/// Gives each of the entries of a header's JSON, in its order. `take` says whether to go on. How many bytes there are.
pub(super) fn entries(
    cursor: &mut Cursor<'_>,
    mut take: impl FnMut(Entry<'_>) -> Option<()>,
) -> Read<usize> {
    let mut shape = Vec::with_capacity(MOST_DIMENSIONS);
    let (mut described, mut count, mut escaped) = (false, 0, 0);
    cursor.object(|cursor, quoted| {
        let name = name(cursor, quoted)?;
        if name == "__metadata__" {
            drop(name);
            if described {
                return Err(cursor.wrong("has `__metadata__` twice"));
            }
            described = true;
            return texts(cursor);
        }
        drop(name);
        count += 1;
        if count > MOST_TENSORS {
            return Err(cursor.over_most(MOST_TENSORS, "tensors"));
        }
        escaped += usize::from(quoted.escaped);
        if escaped > MOST_ESCAPED {
            return Err(cursor.over_most(MOST_ESCAPED, "names with an escape"));
        }
        let (dtype, offsets) =
            info(cursor, &mut shape).map_err(|wrong| within(cursor, quoted, *wrong))?;
        let (name, dtype) = (cursor.value(quoted).unwrap_or_default(), cursor.raw(dtype));
        let taken = take(Entry { at: quoted.at(), name, dtype, shape: &shape, offsets });
        cursor.forget();
        taken.ok_or_else(|| cursor.wrong("is refused"))
    })?;
    cursor.end()?;
    Ok(cursor.position())
}

/// What a tensor is called.
fn name<'c>(cursor: &'c Cursor<'_>, quoted: Quoted) -> Read<Cow<'c, str>> {
    let Some(name) = cursor.value(quoted) else {
        return Err(cursor.wrong("has a name with an escape that says nothing"));
    };
    if name.len() > LONGEST_NAME {
        let fact = format!("has a name of {} bytes; {LONGEST_NAME} are the most", name.len());
        return Err(cursor.over(fact));
    }
    // A byte holds as many as a name can have.
    let dots = name.bytes().fold(0, |dots: u8, byte| dots.wrapping_add(u8::from(byte == b'.')));
    let parts = dots.saturating_add(1);
    if parts > MOST_PARTS {
        let fact = format!("has a name of {parts} parts; {MOST_PARTS} are the most");
        return Err(cursor.over(fact));
    }
    Ok(name)
}

/// An error in what is said of a tensor.
#[cold]
fn within(cursor: &Cursor<'_>, name: Quoted, wrong: Wrong) -> Box<Wrong> {
    let name = cursor.value(name).unwrap_or_default();
    Box::new(Wrong { fact: format!("says of `{}`: {}", shown(&name), wrong.fact), ..wrong })
}

/// What the JSON says of one tensor: its dtype and offsets, and its shape.
fn info(cursor: &mut Cursor<'_>, shape: &mut Vec<u64>) -> Read<(Quoted, [u64; 2])> {
    let (mut dtype, mut offsets, mut shaped) = (None, None, false);
    cursor.object(|cursor, key| {
        let twice = match cursor.raw(key) {
            "dtype" => dtype.replace(cursor.text()?).is_some(),
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
            true => Err(cursor.wrong(format!("it has the field `{}` twice", cursor.raw(key)))),
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
            return Err(cursor.over_most(MOST_DIMENSIONS, "dimensions"));
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
    let mut count = 0;
    cursor.object(|cursor, _| {
        count += 1;
        if count > MOST_TENSORS {
            return Err(cursor.over_most(MOST_TENSORS, "keys of `__metadata__`"));
        }
        cursor.forget();
        cursor.pass_text()
    })
}
