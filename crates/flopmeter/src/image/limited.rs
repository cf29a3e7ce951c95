//! Kimi K2.5's resizing: shrunk to no more patches than there may be, never enlarged, filled up to whole squares.

use super::{Cut, Image, whole};

/// At most `most` patches and `side` in a row or a column, in squares of `merge` × `merge`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limited {
    /// Pixels of a patch's side.
    pub patch: u64,
    /// Patches of the side of a square that becomes one vector.
    pub merge: u64,
    /// The most patches.
    pub most: u64,
    /// The most patches of a side.
    pub side: u64,
}

impl Limited {
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn cut(&self, image: Image) -> Cut {
        let (width, height) = image.sides();
        let patches = |length: u64| (length / self.patch).max(1);
        let all = patches(image.width()) * patches(image.height());
        let longest = self.side * self.patch;
        let scale = (self.most as f64 / all as f64).sqrt();
        let scale = scale.min(longest as f64 / height).min(longest as f64 / width).min(1.0);
        let squares = |length: f64| {
            let pixels = whole(length * scale).clamp(1, longest);
            pixels.div_ceil(self.patch * self.merge)
        };
        let (rows, columns) = (squares(height), squares(width));
        Cut::whole(rows * self.merge, columns * self.merge, rows * columns)
    }
}
