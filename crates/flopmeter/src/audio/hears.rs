//! Which rows a stack of layers works on for the clips of a prompt, and how many pairs of them see each other.

use super::{Heard, Steps};
use crate::convention::Rule;
use crate::exact::times;
use crate::perception::Load;

/// What a stack of a tower reads of the clips of a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hears {
    steps: Steps,
    extent: Extent,
    sees: Sees,
}

/// Which frames of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Extent {
    /// Those of the sound.
    Sound,
    /// Those of the sound; the reference implementation has every piece as long as the longest is filled up.
    FilledByReference,
    /// Those of the sound; the reference implementation has every piece as long as a whole one.
    WholeByReference,
    /// All that it is filled up to: nothing hides what is no sound.
    Filled,
    /// No frames: the vectors that come out.
    Features,
}

/// What rows see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sees {
    /// All rows of their piece.
    Piece,
    /// Those of the same window of so many rows, of the rows of all pieces of a clip in one line.
    Windows(u64),
}

impl Hears {
    /// The frames of the sound.
    pub const fn sound(steps: Steps) -> Self {
        Self { steps, extent: Extent::Sound, sees: Sees::Piece }
    }

    /// The frames of the sound; the reference implementation computes as many for every piece as for the longest.
    pub const fn filled_by_reference(steps: Steps) -> Self {
        Self { extent: Extent::FilledByReference, ..Self::sound(steps) }
    }

    /// The frames of the sound; the reference implementation computes as many for every piece as for a whole one.
    pub const fn whole_by_reference(steps: Steps) -> Self {
        Self { extent: Extent::WholeByReference, ..Self::sound(steps) }
    }

    /// The frames of the sound and of what it is filled up with.
    pub const fn filled(steps: Steps) -> Self {
        Self { extent: Extent::Filled, ..Self::sound(steps) }
    }

    /// The vectors that come out.
    pub const fn features() -> Self {
        Self { extent: Extent::Features, ..Self::sound(Steps::ALL) }
    }

    /// The same with rows that see others than those of their piece.
    #[must_use]
    pub const fn seeing(mut self, sees: Sees) -> Self {
        self.sees = sees;
        self
    }

    /// What the clips of one prompt are to it, each with how many there are.
    ///
    /// `None` if a sum does not fit 128 bits.
    pub(crate) fn load(self, clips: &[(Heard, u64)], rule: Rule) -> Option<Load> {
        let longest = |of: fn(&Heard) -> u64| clips.iter().map(|(heard, _)| of(heard)).max();
        let filled = match (self.extent, rule) {
            (Extent::Filled, _) | (Extent::FilledByReference, Rule::ByReference) => {
                longest(|heard| heard.filled)
            }
            (Extent::WholeByReference, Rule::ByReference) => longest(|heard| heard.frames),
            _ => None,
        };
        let mut sum = Load::default();
        for (heard, count) in clips {
            let one = self.load_of_one(heard, filled)?;
            sum.rows = sum.rows.checked_add(times(one.rows, (*count).into())?)?;
            sum.pairs = sum.pairs.checked_add(times(one.pairs, (*count).into())?)?;
        }
        Some(sum)
    }

    fn load_of_one(self, heard: &Heard, filled: Option<u64>) -> Option<Load> {
        if self.extent == Extent::Features {
            return Some(Load { rows: heard.features.into(), pairs: 0 });
        }
        let rows_of = |frames: u64| u128::from(self.steps.of(filled.unwrap_or(frames)));
        let pieces = [
            (u128::from(heard.whole), rows_of(heard.frames)),
            (u128::from(heard.rest > 0), rows_of(heard.rest)),
        ];
        let mut sum = Load::default();
        for (count, rows) in pieces {
            let all = times(count, rows)?;
            sum.rows = sum.rows.checked_add(all)?;
            sum.pairs = sum.pairs.checked_add(times(all, rows)?)?;
        }
        if let Sees::Windows(window) = self.sees {
            let window = u128::from(window.max(1));
            let (whole, rest) = (sum.rows / window, sum.rows % window);
            sum.pairs = times(times(whole, window)?, window)?.checked_add(rest * rest)?;
        }
        Some(sum)
    }

    /// What the pairs are a sum of, in words.
    pub(crate) fn pairs_in_words(self) -> &'static str {
        match self.sees {
            Sees::Piece => "Σ over pieces of rows²",
            Sees::Windows(_) => "Σ over windows of rows²",
        }
    }
}
