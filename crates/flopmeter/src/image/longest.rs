//! Pixtral's resizing: shrunk until the longer side fits, then rounded up to whole patches.

use super::{Cut, Image, refused, whole};
use crate::error::Result;

/// Sides of at most `edge` pixels, in squares of `merge` × `merge` patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Longest {
    /// Pixels of a patch's side.
    pub patch: u64,
    /// Patches of the side of a square that becomes one vector.
    pub merge: u64,
    /// Pixels that sides are rounded up to whole numbers of.
    pub unit: u64,
    /// The most pixels of a side.
    pub edge: u64,
    /// Whether each row of squares ends in a token.
    pub ends: bool,
}

impl Longest {
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn cut(&self, image: Image) -> Result<Cut> {
        let (width, height) = image.sides();
        let ratio = (height / self.edge as f64).max(width / self.edge as f64);
        let fit = |length: f64| if ratio > 1.0 { (length / ratio).floor() } else { length };
        let patches = |length| {
            let pixels: u64 = whole(fit(length));
            pixels.div_ceil(self.unit) * self.unit / self.patch
        };
        let (rows, columns) = (patches(height), patches(width));
        let (down, across) = (rows / self.merge, columns / self.merge);
        if down == 0 || across == 0 {
            let fact = if ratio > 1.0 {
                let edge = self.edge;
                format!("has nothing left of its shorter side when its longer one is {edge}")
            } else {
                "is smaller than a square of patches".into()
            };
            return Err(refused(image, &fact));
        }
        let features = down * across;
        let ends = if self.ends { down } else { 0 };
        // The last of the ends is the image's.
        Ok(Cut { tokens: features + ends, ..Cut::whole(rows, columns, features) })
    }
}
