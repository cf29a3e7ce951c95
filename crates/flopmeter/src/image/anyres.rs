//! LLaVA-NeXT's resolutions: the image fitted into the best of several, padding taken out of its patches again.

use super::{Cut, Image, whole};

/// Canvases that an image is fitted into, in tiles of `side` pixels, and a view of the whole before them.
#[derive(Debug, Clone, PartialEq)]
pub struct Anyres {
    /// Pixels of a tile's side.
    pub side: u64,
    /// Patches of a tile's side.
    pub patches: u64,
    /// Height and width of each canvas in pixels, in the config's order.
    pub canvases: Vec<(u64, u64)>,
    /// What remains of the patches.
    pub layout: Layout,
}

/// How the patches of a canvas become tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Layout {
    /// All of them; a view of the whole has `extra` vectors beside its patches (that of its class).
    All {
        /// Vectors beside the patches.
        extra: u64,
    },
    /// Interpolated to fewer where they are more than 1.1² times those of so many tiles; of several images of a prompt,
    /// the view of the whole alone.
    AtMost {
        /// Tiles.
        tiles: u64,
    },
}

impl Anyres {
    /// `alone` if the prompt has no other image.
    pub(super) fn cut(&self, image: Image, alone: bool) -> Cut {
        if let (Layout::AtMost { .. }, false) = (self.layout, alone) {
            let base = self.patches * self.patches;
            return Cut::whole(self.patches, self.patches, base + 1);
        }
        let (height, width) = self.canvas(image);
        let tiles = height.div_ceil(self.side) * width.div_ceil(self.side);
        let base = self.patches * self.patches;
        let (rows, columns) = self.unpadded(image, height / self.side, width / self.side);
        let features = match self.layout {
            // A vector of its own ends each row.
            Layout::All { extra } => base + extra + rows * (columns + 1),
            Layout::AtMost { tiles } => {
                let (rows, columns) = fewer(rows, columns, tiles * base);
                base + rows * (columns + 1)
            }
        };
        Cut::tiles(tiles + 1, self.patches, features, features)
    }

    /// Height and width of the canvas that keeps most of the image's pixels and, of several, wastes fewest of its own.
    #[allow(clippy::cast_precision_loss)]
    fn canvas(&self, image: Image) -> (u64, u64) {
        let (width, height) = image.sides();
        let mut best = ((self.side, self.side), 0, u64::MAX);
        for &(canvas_height, canvas_width) in &self.canvases {
            let scale = (canvas_width as f64 / width).min(canvas_height as f64 / height);
            let kept = whole(width * scale) * whole(height * scale);
            let kept = kept.min(image.width() * image.height());
            let wasted = canvas_height * canvas_width - kept;
            if kept > best.1 || (kept == best.1 && wasted < best.2) {
                best = ((canvas_height, canvas_width), kept, wasted);
            }
        }
        best.0
    }

    /// Rows and columns of the patches of `down` × `across` tiles that the image covers.
    #[allow(clippy::cast_precision_loss)]
    fn unpadded(&self, image: Image, down: u64, across: u64) -> (u64, u64) {
        let (rows, columns) = (self.patches * down, self.patches * across);
        let (width, height) = image.sides();
        // Both sides lose the same, so that what is left over is even.
        let rest = |all: u64, covered: u64| all - (all - covered) / 2 * 2;
        if width / height > columns as f64 / rows as f64 {
            (rest(rows, (image.height() * columns / image.width()).min(rows)), columns)
        } else {
            (rows, rest(columns, (image.width() * rows / image.height()).min(columns)))
        }
    }
}

/// Rows and columns of at most about `most` patches.
#[allow(clippy::cast_precision_loss)]
fn fewer(rows: u64, columns: u64, most: u64) -> (u64, u64) {
    let ratio = ((rows * columns) as f64 / most as f64).sqrt();
    let shrunk =
        |length: u64| if ratio > 1.1 { whole((length as f64 / ratio).floor()) } else { length };
    (shrunk(rows), shrunk(columns))
}
