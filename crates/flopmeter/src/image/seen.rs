//! Which rows of an image a stack of layers works on, and how many pairs of them see each other.

use super::{ALIKE, Cut};
use crate::convention::Rule;
use crate::exact::times;
use crate::perception::Load;

/// What a stack of a tower reads of the images of a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Seen {
    rows: Rows,
    /// Whether the reference implementation fills every image of a batch up to as many pieces as the one with the most.
    stacked: bool,
    /// Whether nothing takes what comes of it: the reference implementation runs it all the same.
    for_nothing: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Rows {
    Patches { beside: u64 },
    Windows { side: u64 },
    Filled,
    Largest { beside: u64 },
    SideBySide,
    Features,
    Once,
    FeaturesUpTo { most: u64 },
    Probe { most: u64 },
    Tiles { rows: u64, most: u64 },
    Together { rows: u64, most: u64 },
    UpTo { most: u64 },
    Averages { rows: u64, of: u64 },
    Between { most: u64, of: u64 },
    Compared,
    Queries { rows: u64 },
    QueriesOf { rows: u64, beside: u64 },
    QueriesOfLargest { rows: u64, beside: u64 },
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

    /// The patches of each tile, which see each other, and `beside` vectors more; filled in the same way, and what fills
    /// them up sees and is seen.
    pub const fn largest(beside: u64) -> Self {
        Self::of(Rows::Largest { beside })
    }

    /// The vectors that come out.
    pub const fn features() -> Self {
        Self::of(Rows::Features)
    }

    /// The same; the reference implementation has `most` of each tile.
    pub const fn features_up_to(most: u64) -> Self {
        Self::of(Rows::FeaturesUpTo { most })
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

    /// The same; the reference implementation fills every image of a batch up to the largest height and width.
    pub const fn queries_of_largest(rows: u64, beside: u64) -> Self {
        Self::of(Rows::QueriesOfLargest { rows, beside })
    }

    /// One vector a tile that attends to its patches, which the reference implementation fills up to `most`.
    pub const fn probe(most: u64) -> Self {
        Self::of(Rows::Probe { most })
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

    /// What stands between `of` vectors for each patch, filled up to `most`, which the reference implementation
    /// multiplies out.
    pub const fn between(most: u64, of: u64) -> Self {
        Self::of(Rows::Between { most, of }).for_nothing()
    }

    const fn of(rows: Rows) -> Self {
        Self { rows, stacked: false, for_nothing: false }
    }

    /// The same in layers that nothing needs.
    #[must_use]
    pub const fn for_nothing(mut self) -> Self {
        self.for_nothing = true;
        self
    }

    /// The same; the reference implementation fills every image of a batch up to as many pieces as the one with the most
    /// has, all of them alike.
    #[must_use]
    pub const fn stacked(mut self) -> Self {
        self.stacked = true;
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
        if self.stacked && by_reference {
            return self.load_of_stack(cuts);
        }
        let mut sum = Load::default();
        let largest = if by_reference { largest(cuts)? } else { 0 };
        for (cut, count) in cuts {
            let one = self.load_of_one(cut, by_reference, largest)?;
            sum = sum.plus(one.times((*count).into())?)?;
        }
        match self.rows {
            Rows::SideBySide if by_reference => {
                sum.pairs = sum.rows.checked_mul(sum.rows)?.checked_mul(batch)?;
            }
            Rows::Compared if by_reference => sum.pairs = sum.pairs.checked_mul(batch)?,
            Rows::Filled if by_reference => {
                let images = cuts.iter().map(|(_, count)| u128::from(*count)).sum();
                sum.rows = largest.checked_mul(images)?;
            }
            _ => {}
        }
        Some(sum)
    }

    /// Of images that have as many pieces each.
    fn load_of_stack(self, cuts: &[(Cut, u64)]) -> Option<Load> {
        let pieces = |cut: &Cut| cut.pieces().map(|(_, count)| count).sum::<u64>();
        let most = cuts.iter().map(|(cut, _)| pieces(cut)).max().unwrap_or(0);
        let images: u128 = cuts.iter().map(|(_, count)| u128::from(*count)).sum();
        let Some((cut, _)) = cuts.first() else { return Some(Load::default()) };
        let one = self.load_of_one(&Cut { tiles: most, others: ALIKE, ..*cut }, true, 0)?;
        one.times(images)
    }

    fn load_of_one(self, cut: &Cut, by_reference: bool, largest: u128) -> Option<Load> {
        let tiles = u128::from(cut.tiles);
        let patches = u128::from(cut.patches());
        // Of every piece, its patches filled up to `most` where the reference implementation does that.
        let of_pieces = |most: u128, load: &dyn Fn(u128) -> Option<Load>| {
            let filled = if by_reference { most } else { 0 };
            cut.pieces().try_fold(Load::default(), |sum, ([rows, columns], count)| {
                let patches = times(rows.into(), columns.into())?.max(filled);
                sum.plus(load(patches)?.times(count.into())?)
            })
        };
        let square = |rows: u128| Some(Load { rows, pairs: rows.checked_mul(rows)? });
        let of_each = |copies: u128, rows: u128| square(rows)?.times(copies);
        match self.rows {
            Rows::Patches { beside } => of_each(tiles, patches + u128::from(beside)),
            Rows::UpTo { most } => of_pieces(most.into(), &square),
            Rows::Probe { most } => {
                of_pieces(most.into(), &|patches| Some(Load { rows: 1, pairs: patches }))
            }
            Rows::Between { most, of } => of_pieces(most.into(), &|patches| {
                Some(Load { rows: patches, pairs: patches.checked_mul(of.into())? })
            }),
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
            Rows::FeaturesUpTo { most } if by_reference => {
                of_pieces(0, &|_| Some(Load { rows: most.into(), pairs: 0 }))
            }
            Rows::Largest { beside } => {
                of_pieces(largest, &|patches| square(patches.checked_add(beside.into())?))
            }
            Rows::QueriesOfLargest { rows, beside } => of_pieces(largest, &|patches| {
                let seen = patches.checked_add(beside.into())?;
                Some(Load { rows: rows.into(), pairs: seen.checked_mul(rows.into())? })
            }),
            Rows::Features | Rows::FeaturesUpTo { .. } => {
                Some(Load { rows: cut.features.into(), pairs: 0 })
            }
            Rows::Once => Some(Load { rows: 1, pairs: 0 }),
            Rows::Compared => Some(Load { rows: 0, pairs: 1 }),
            Rows::Queries { rows } => of_each(tiles, rows.into()),
            Rows::QueriesOf { rows, beside } => {
                let rows = tiles.checked_mul(rows.into())?;
                let pairs = rows.checked_mul(patches + u128::from(beside))?;
                Some(Load { rows, pairs })
            }
            Rows::Tiles { rows, most } => {
                let tiles = if by_reference { u128::from(most) } else { tiles };
                Some(Load { rows: tiles.checked_mul(rows.into())?, pairs: 0 })
            }
            Rows::Together { rows, most } if by_reference => {
                of_each(1, u128::from(most).checked_mul(rows.next_multiple_of(8).into())?)
            }
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
            (Rows::QueriesOf { .. } | Rows::QueriesOfLargest { .. }, _) => {
                "Σ over tiles of queries · what they see"
            }
            (Rows::Windows { .. }, _) => "Σ over windows of (height · width)²",
            (Rows::Between { .. }, _) => "Σ over tiles of rows · vectors between which they are",
            (Rows::Averages { .. }, _) => "Σ over images of averages · rows",
            (Rows::Probe { .. }, _) => "Σ over tiles of their patches",
            (Rows::Together { .. }, _) => "Σ over images of (tiles · rows)²",
            _ => "Σ over tiles of rows²",
        }
    }
}

/// Patches of what is as high as the highest of some images and as wide as the widest.
fn largest(cuts: &[(Cut, u64)]) -> Option<u128> {
    let pieces = || cuts.iter().flat_map(|(cut, _)| cut.pieces());
    let [rows, columns] = [0, 1].map(|side| pieces().map(|(piece, _)| piece[side]).max());
    times(rows.unwrap_or(0).into(), columns.unwrap_or(0).into())
}
