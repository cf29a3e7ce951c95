//! LFM2-VL's tiles: those of the arrangement whose ratio of sides is nearest, and a view of the whole in its own.

use super::{ALIKE, Ahead, Cut, Image, Tiled, refused, whole};
use crate::error::Result;

/// A view within two numbers of vectors; and tiles of an image that is much larger than the view may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Viewed {
    /// Pixels of a patch's side.
    pub patch: u64,
    /// Patches of the side of a square that becomes one vector.
    pub merge: u64,
    /// The fewest and the most vectors of the view.
    pub vectors: [u64; 2],
    /// How many times as many pixels as the view may have an image has that is not cut into tiles.
    pub tolerance: f64,
    /// The tiles, if an image is ever cut.
    pub tiles: Option<Tiles>,
}

/// Tiles beside a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tiles {
    /// Pixels of a tile's side.
    pub side: u64,
    /// The fewest, at least 2.
    pub least: u64,
    /// The most.
    pub most: u64,
    /// Whether the view is shown too.
    pub viewed: bool,
}

impl Viewed {
    /// The patches that every tile and view is filled up to.
    pub fn filled(&self) -> u64 {
        let of_tile = self.tiles.map_or(0, |tiles| tiles.side / self.patch);
        (of_tile * of_tile).max(self.vectors[1] * self.merge * self.merge)
    }

    pub(super) fn cut(&self, image: Image) -> Result<Cut> {
        let [down, across] = self.view(image);
        let (rows, columns) = (down * self.merge, across * self.merge);
        let Some(tiles) = self.tiles.filter(|_| self.is_large(image)) else {
            // One before the vectors and one after them.
            return Ok(Cut {
                tokens: down * across + 2,
                ..Cut::whole(rows, columns, down * across)
            });
        };
        if tiles.viewed && rows * columns > self.filled() {
            return Err(refused(image, "has more patches than tiles beside it are filled up to"));
        }
        let count = Tiled::nearest(tiles.side, (tiles.least, tiles.most), image).iter().product();
        let side = tiles.side / self.patch;
        let of_tile = (side / self.merge) * (side / self.merge);
        let mut others = ALIKE;
        let (mut features, mut pieces) = (count * of_tile, count);
        if tiles.viewed {
            others[0] = ([rows, columns], 1);
            (features, pieces) = (features + down * across, pieces + 1);
        }
        Ok(Cut {
            tiles: count,
            rows: side,
            columns: side,
            others,
            features,
            // One before each, one before all and one after all.
            tokens: features + pieces + 2,
            ahead: Ahead::Never,
        })
    }

    /// Pixels of the side of what becomes one vector.
    #[allow(clippy::cast_precision_loss)]
    fn square(&self) -> f64 {
        (self.patch * self.merge) as f64
    }

    /// Pixels of so many vectors.
    #[allow(clippy::cast_precision_loss)]
    fn pixels(&self, vectors: u64) -> f64 {
        vectors as f64 * self.square() * self.square()
    }

    #[allow(clippy::cast_precision_loss)]
    fn is_large(&self, image: Image) -> bool {
        let (width, height) = image.sides();
        let nearest = |side: f64| {
            ((side / self.square()).round_ties_even() * self.square()).max(self.patch as f64)
        };
        nearest(height) * nearest(width) > self.pixels(self.vectors[1]) * self.tolerance
    }

    /// Rows and columns of vectors of the view.
    fn view(&self, image: Image) -> [u64; 2] {
        let (width, height) = image.sides();
        let square = self.square();
        let [fewest, most] = self.vectors.map(|vectors| self.pixels(vectors));
        let sides = [height, width];
        let nearest = sides.map(|side| (side / square).round_ties_even().max(1.0));
        let pixels = nearest[0] * square * (nearest[1] * square);
        if pixels > most {
            let by = (height * width / most).sqrt();
            sides.map(|side| whole((side / by / square).floor().max(1.0)))
        } else if pixels < fewest {
            let by = (fewest / (height * width)).sqrt();
            sides.map(|side| whole((side * by / square).ceil()))
        } else {
            nearest.map(whole)
        }
    }
}
