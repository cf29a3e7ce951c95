//! InternVL's tiles: the arrangement whose ratio of sides is nearest, and a small view of the whole beside it.

use super::{Cut, Image};

/// Tiles of `side` pixels, `least` to `most` of them, and one of the whole image where there are several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tiled {
    /// Pixels of a tile's side.
    pub side: u64,
    /// The fewest tiles.
    pub least: u64,
    /// The most tiles, the view of the whole apart.
    pub most: u64,
    /// Patches of a tile's side.
    pub patches: u64,
    /// Vectors that a tile becomes.
    pub features: u64,
    /// Tokens beside the vectors of a tile.
    pub around_tile: u64,
    /// Tokens beside all tiles.
    pub around: u64,
}

impl Tiled {
    pub(super) fn cut(&self, image: Image) -> Cut {
        let [columns, rows] = Self::nearest(self.side, (self.least, self.most), image);
        let tiles = columns * rows;
        // The whole, too, where it is not the only tile.
        let tiles = if tiles > 1 { tiles + 1 } else { tiles };
        let features = tiles * self.features;
        let tokens = features + tiles * self.around_tile + self.around;
        Cut::tiles(tiles, self.patches, features, tokens)
    }

    /// Columns and rows of tiles of `side` pixels, within two numbers of them. Arrangements are tried by their number of
    /// tiles; of equally near ones a larger is taken while the image covers more than half of it.
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn nearest(side: u64, (least, most): (u64, u64), image: Image) -> [u64; 2] {
        let (width, height) = image.sides();
        let ratio = width / height;
        let mut best = [1, 1];
        let mut nearest = f64::INFINITY;
        for tiles in least..=most {
            for columns in (1..=tiles).filter(|columns| tiles.is_multiple_of(*columns)) {
                let rows = tiles / columns;
                let distance = (ratio - columns as f64 / rows as f64).abs();
                let covered = 0.5 * (side * side) as f64 * columns as f64 * rows as f64;
                if distance < nearest {
                    nearest = distance;
                    best = [columns, rows];
                } else if distance == nearest && width * height > covered {
                    best = [columns, rows];
                }
            }
        }
        best
    }
}
