//! Ovis2's tiles: the fewest whose shrinking leaves enough of the image, and a view of the whole before them.

use super::{Cut, Image, Tiled};

/// How much of an image tiles have to show.
const ENOUGH: f64 = 0.9;

/// Up to `most` tiles of `side` pixels, and one of the whole image where there are several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Covered {
    /// Pixels of a tile's side.
    pub side: u64,
    /// The fewest tiles, where their ratio of sides is to be the nearest instead.
    pub least: Option<u64>,
    /// The most tiles, the view of the whole apart.
    pub most: u64,
    /// Patches of a tile's side.
    pub patches: u64,
    /// Vectors that a tile becomes.
    pub features: u64,
}

impl Covered {
    pub(super) fn cut(&self, image: Image) -> Cut {
        let tiles = match self.least {
            None => self.fewest(image),
            Some(least) => Tiled::nearest(self.side, (least, self.most), image).iter().product(),
        };
        let (tiles, between) = if tiles > 1 { (tiles + 1, tiles - 1) } else { (1, 0) };
        let features = tiles * self.features;
        // Start, end, and one after the whole.
        Cut::tiles(tiles, self.patches, features, features + between + 3)
    }

    /// The number of tiles: of arrangements that show enough the smallest, or else the one that shows most.
    #[allow(clippy::cast_precision_loss)]
    fn fewest(&self, image: Image) -> u64 {
        let all = (image.width() * image.height()) as f64;
        let mut enough: Option<u64> = None;
        let mut best = (0.0, 1);
        for rows in 1..=self.most {
            for columns in 1..=self.most / rows {
                let tiles = rows * columns;
                let shown = self.shown(image, rows, columns) / all;
                if shown > ENOUGH {
                    enough = Some(enough.map_or(tiles, |fewest| fewest.min(tiles)));
                }
                if shown > best.0 || (shown == best.0 && tiles < best.1) {
                    best = (shown, tiles);
                }
            }
        }
        enough.unwrap_or(best.1)
    }

    /// Pixels of the image that remain when each tile's longer side is shrunk to `side`.
    #[allow(clippy::cast_precision_loss)]
    fn shown(&self, image: Image, rows: u64, columns: u64) -> f64 {
        let (height, width) = (image.height() / rows, image.width() / columns);
        let mut sum = 0.0;
        for row in 1..=rows {
            for column in 1..=columns {
                // The last have what is left over.
                let down = if row == rows { image.height() - (rows - 1) * height } else { height };
                let across =
                    if column == columns { image.width() - (columns - 1) * width } else { width };
                let (long, short) = (down.max(across) as f64, down.min(across) as f64);
                let side = self.side as f64;
                sum += if long > side { side * (short / long * side) } else { long * short };
            }
        }
        sum
    }
}
