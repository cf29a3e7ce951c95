//! What the images and the clips of a request are to a model: rows for its towers, and tokens of each prompt.

use crate::audio::Tokens;
use crate::convention::Rule;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Model, too_large};
use crate::stack::{Reads, Stack};
use crate::workload::Workload;
use std::borrow::Cow;

/// Rows of a stack for what one prompt shows or sounds, and pairs of rows that see each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// What its linear layers are multiplied by.
    pub rows: u128,
    /// What its attention is multiplied by.
    pub pairs: u128,
}

impl Load {
    /// So many of it, `None` if that does not fit.
    pub(crate) fn times(self, count: u128) -> Option<Self> {
        let Self { rows, pairs } = self;
        Some(Self { rows: rows.checked_mul(count)?, pairs: pairs.checked_mul(count)? })
    }

    /// Both, `None` if that does not fit.
    pub(crate) fn plus(self, more: Self) -> Option<Self> {
        let (rows, pairs) =
            (self.rows.checked_add(more.rows)?, self.pairs.checked_add(more.pairs)?);
        Some(Self { rows, pairs })
    }
}

impl Model {
    /// Whether it has a tower that is counted: what stands before it sees or hears, and does nothing for text.
    pub fn perceives(&self) -> bool {
        let of_tower = |stack: &Stack| matches!(stack.reads(), Reads::Images(_) | Reads::Audio(_));
        self.stacks().iter().any(of_tower)
    }

    /// Whether its decoder attends to all of a sound, which an encoder as long as that reads.
    pub(crate) fn listens(&self) -> bool {
        self.extractor.is_some_and(|it| matches!(it.tokens, Tokens::Attended(_)))
    }

    /// A workload's requests with the tokens of their images and clips in the prompts.
    pub(crate) fn perceiving<'w>(
        &self,
        workload: &'w Workload,
        rule: Rule,
    ) -> Result<Cow<'w, Workload>> {
        let mut source = 0_u64;
        let cuts = self.cuts(workload.images())?;
        for cut in &cuts {
            let attended = self.processor().map_or(0, |it| it.attended(cut, rule));
            source = source.checked_add(attended).ok_or_else(too_large)?;
        }
        let heard = self.heard(workload.audio())?;
        if self.listens() {
            let [heard] = heard[..] else { return Err(not_one(heard.len())) };
            source = heard.features;
        }
        if cuts.is_empty() && heard.is_empty() {
            return Ok(Cow::Borrowed(workload));
        }
        if let Some(sequence) = workload.sequences().iter().find(|it| it.cached > 0 && source > 0) {
            let fact = format!(
                "is {}, before images or a sound that every layer of attention to them sees anew",
                sequence.cached
            );
            return Err(
                Error::new(ErrorKind::Workload, "cached", fact).hint("leave one of the two out")
            );
        }
        let perceiving = workload.perceiving(source, counted(cuts), counted(heard));
        perceiving.map(Cow::Owned).ok_or_else(too_large)
    }
}

/// The error of a request to an encoder of one clip.
fn not_one(clips: usize) -> Error {
    let fact = format!("is {clips} clips, and the encoder reads one");
    Error::new(ErrorKind::Workload, "audio", fact)
        .hint("give the length of the sound, and a request for each of several")
}

/// Equal ones together with their number.
fn counted<T: PartialEq>(all: Vec<T>) -> Vec<(T, u64)> {
    let mut counted: Vec<(T, u64)> = Vec::new();
    for one in all {
        match counted.iter_mut().find(|(known, _)| *known == one) {
            Some((_, count)) => *count += 1,
            None => counted.push((one, 1)),
        }
    }
    counted
}
