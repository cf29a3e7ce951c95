//! Idefics3's splitting: the longer side to a number of pixels, both up to whole tiles, and a view of the whole.

use super::{Cut, Image, whole};

/// The most pixels of a side that the class keeps.
const LARGEST: u64 = 4096;

/// Tiles of `side` pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    /// Pixels of a tile's side.
    pub side: u64,
    /// Pixels of the longer side, to which smaller images are enlarged; `None` if no image is split.
    pub longest: Option<u64>,
    /// Patches of a tile's side.
    pub patches: u64,
    /// Vectors that a tile becomes.
    pub features: u64,
}

impl Split {
    pub(super) fn cut(&self, image: Image) -> Cut {
        let (columns, rows) = self.longest.map_or((1, 1), |longest| self.tiles(image, longest));
        let (tiles, ends) = if rows * columns > 1 { (rows * columns + 1, rows) } else { (1, 0) };
        let features = tiles * self.features;
        // Two before each tile and one at the end; between rows the end of a line, after the last an empty line.
        Cut::tiles(tiles, self.patches, features, features + 2 * tiles + ends + 1)
    }

    /// Columns and rows of tiles.
    fn tiles(&self, image: Image, longest: u64) -> (u64, u64) {
        let (width, height) = (image.width(), image.height());
        let mut size = scaled((width, height), longest);
        let shorter = if width >= height { &mut size.1 } else { &mut size.0 };
        *shorter = shorter.next_multiple_of(2).max(1);
        let longer = size.0.max(size.1);
        if longer > LARGEST {
            let (width, height) = scaled(size, LARGEST);
            size = (width.max(1), height.max(1));
        }
        let (width, height) = scaled(size, size.0.max(size.1).next_multiple_of(self.side));
        (width.div_ceil(self.side), height.div_ceil(self.side))
    }
}

/// Width and height with the longer one of so many pixels.
#[allow(clippy::cast_precision_loss)]
fn scaled((width, height): (u64, u64), longer: u64) -> (u64, u64) {
    let ratio = width as f64 / height as f64;
    if width >= height {
        (longer, whole(longer as f64 / ratio))
    } else {
        (whole(longer as f64 * ratio), longer)
    }
}
