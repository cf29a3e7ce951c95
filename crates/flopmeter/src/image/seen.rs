//! Which rows of an image a stack of layers works on, and how many pairs of them see each other.

use super::Cut;
use crate::convention::Rule;
use crate::exact::times;
use crate::perception::Load;

/// What a stack of a tower reads of the images of a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Seen {
    rows: Rows,
    /// Whether nothing takes what comes of it: the reference implementation runs it all the same.
    for_nothing: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Rows {
    Patches { beside: u64 },
    Windows { side: u64 },
    Filled,
    SideBySide,
    Features,
    Once,
    Probe,
    Tiles { rows: u64, most: u64 },
    Together { rows: u64, most: u64 },
    UpTo { most: u64 },
    Averages { rows: u64, of: u64 },
    Compared,
    Queries { rows: u64 },
    QueriesOf { rows: u64, beside: u64 },
}

impl Seen {
    /// The patches of each tile, all of which see each other, and `beside` vectors more (that of the class).
    pub const fn patches(beside: u64) -> Self {
        Self::of(Rows::Patches { beside })
    }

    /// The patches in windows of `side` × `side`, cut off at the right and below.
    pub const fn windows(side: u64) -> Self {
        Self::of(Rows::Windows { side })
    }

    /// The patches of all images of a batch in one sequence, in which the reference implementation multiplies every
    /// one with every other.
    pub const fn side_by_side() -> Self {
        Self::of(Rows::SideBySide)
    }

    /// The patches; the reference implementation fills every image of a batch up to the largest height and width.
    pub const fn filled() -> Self {
        Self::of(Rows::Filled)
    }

    /// The vectors that come out.
    pub const fn features() -> Self {
        Self::of(Rows::Features)
    }

    /// One row an image.
    pub const fn once() -> Self {
        Self::of(Rows::Once)
    }

    /// No row, and one pair an image: its vector and the prompt's. The reference implementation compares every image of
    /// a batch with every prompt.
    pub const fn compared() -> Self {
        Self::of(Rows::Compared)
    }

    /// So many vectors of its own for each tile, which see each other.
    pub const fn queries(rows: u64) -> Self {
        Self::of(Rows::Queries { rows })
    }

    /// Those that attend to the patches of their tile, and to `beside` vectors more.
    pub const fn queries_of(rows: u64, beside: u64) -> Self {
        Self::of(Rows::QueriesOf { rows, beside })
    }

    /// One vector a tile that attends to its patches.
    pub const fn probe() -> Self {
        Self::of(Rows::Probe)
    }

    /// `rows` of each tile; the reference implementation fills an image up to `most` tiles.
    pub const fn tiles(rows: u64, most: u64) -> Self {
        Self::of(Rows::Tiles { rows, most })
    }

    /// The same, all rows of an image seeing each other; the reference implementation fills a tile's rows up to a
    /// multiple of eight.
    pub const fn together(rows: u64, most: u64) -> Self {
        Self::of(Rows::Together { rows, most })
    }

    /// The patches; the reference implementation fills each image up to `most`.
    pub const fn up_to(most: u64) -> Self {
        Self::of(Rows::UpTo { most })
    }

    /// `rows` averages of `of` patches, which the reference implementation multiplies out.
    pub const fn averages(rows: u64, of: u64) -> Self {
        Self::of(Rows::Averages { rows, of }).for_nothing()
    }

    const fn of(rows: Rows) -> Self {
        Self { rows, for_nothing: false }
    }

    /// The same in layers that nothing needs.
    #[must_use]
    pub const fn for_nothing(mut self) -> Self {
        self.for_nothing = true;
        self
    }

    /// What the images of one prompt are to it, each cut with how many there are; `batch` prompts have the same.
    ///
    /// `None` if a sum does not fit 128 bits.
    pub(crate) fn load(self, cuts: &[(Cut, u64)], batch: u128, rule: Rule) -> Option<Load> {
        let by_reference = rule == Rule::ByReference;
        if self.for_nothing && !by_reference {
            return Some(Load::default());
        }
        let mut sum = Load::default();
        for (cut, count) in cuts {
            let one = self.load_of_one(cut, by_reference)?;
            sum.rows = sum.rows.checked_add(times(one.rows, (*count).into())?)?;
            sum.pairs = sum.pairs.checked_add(times(one.pairs, (*count).into())?)?;
        }
        match self.rows {
            Rows::SideBySide if by_reference => {
                sum.pairs = sum.rows.checked_mul(sum.rows)?.checked_mul(batch)?;
            }
            Rows::Compared if by_reference => sum.pairs = sum.pairs.checked_mul(batch)?,
            Rows::Filled if by_reference => {
                let largest = |side: fn(&Cut) -> u64| cuts.iter().map(|(cut, _)| side(cut)).max();
                let (rows, columns) = (largest(|cut| cut.rows), largest(|cut| cut.columns));
                let filled = times(rows.unwrap_or(0).into(), columns.unwrap_or(0).into())?;
                let images = cuts.iter().map(|(_, count)| u128::from(*count)).sum();
                sum.rows = times(filled, images)?;
            }
            _ => {}
        }
        Some(sum)
    }

    fn load_of_one(self, cut: &Cut, by_reference: bool) -> Option<Load> {
        let tiles = u128::from(cut.tiles);
        let patches = u128::from(cut.patches());
        let of_each = |copies: u128, rows: u128| {
            let rows_of_all = copies.checked_mul(rows)?;
            Some(Load { rows: rows_of_all, pairs: rows_of_all.checked_mul(rows)? })
        };
        match self.rows {
            Rows::Patches { beside } => of_each(tiles, patches + u128::from(beside)),
            Rows::SideBySide | Rows::Filled => of_each(tiles, patches),
            Rows::Windows { side } => {
                // (height · width)² of a window, summed over rows and columns of windows.
                let squares = |length: u64| {
                    let (whole, rest) = (u128::from(length / side), u128::from(length % side));
                    whole * u128::from(side) * u128::from(side) + rest * rest
                };
                let pairs = squares(cut.rows).checked_mul(squares(cut.columns))?;
                Some(Load { rows: tiles.checked_mul(patches)?, pairs: tiles.checked_mul(pairs)? })
            }
            Rows::Features => Some(Load { rows: cut.features.into(), pairs: 0 }),
            Rows::Once => Some(Load { rows: 1, pairs: 0 }),
            Rows::Compared => Some(Load { rows: 0, pairs: 1 }),
            Rows::Queries { rows } => of_each(tiles, rows.into()),
            Rows::QueriesOf { rows, beside } => {
                let rows = tiles.checked_mul(rows.into())?;
                let pairs = rows.checked_mul(patches + u128::from(beside))?;
                Some(Load { rows, pairs })
            }
            Rows::Probe => Some(Load { rows: tiles, pairs: tiles.checked_mul(patches)? }),
            Rows::Tiles { rows, most } => {
                let tiles = if by_reference { u128::from(most) } else { tiles };
                Some(Load { rows: tiles.checked_mul(rows.into())?, pairs: 0 })
            }
            Rows::Together { rows, most } if by_reference => {
                of_each(1, u128::from(most).checked_mul(rows.next_multiple_of(8).into())?)
            }
            Rows::UpTo { most } if by_reference => of_each(tiles, most.into()),
            Rows::UpTo { .. } => of_each(tiles, patches),
            Rows::Averages { rows, of } => {
                let rows = tiles.checked_mul(rows.into())?;
                Some(Load { rows, pairs: rows.checked_mul(of.into())? })
            }
            Rows::Together { rows, .. } => of_each(1, tiles.checked_mul(rows.into())?),
        }
    }

    /// What the pairs are a sum of, in words.
    pub(crate) fn pairs_in_words(self, rule: Rule) -> &'static str {
        match (self.rows, rule) {
            (Rows::SideBySide, Rule::ByReference) => "rows · rows of the whole batch",
            (Rows::Compared, Rule::ByReference) => "images of the whole batch",
            (Rows::Compared, _) => "images",
            (Rows::QueriesOf { .. }, _) => "Σ over tiles of queries · what they see",
            (Rows::Windows { .. }, _) => "Σ over windows of (height · width)²",
            (Rows::Averages { .. }, _) => "Σ over images of averages · rows",
            (Rows::Probe, _) => "Σ over tiles of their patches",
            (Rows::Together { .. }, _) => "Σ over images of (tiles · rows)²",
            _ => "Σ over tiles of rows²",
        }
    }
}
