//! Gemma 4's resizing: as large as its number of patches allows, sides in proportion and of whole squares.

use super::{Ahead, Cut, Image, refused, whole};
use crate::error::Result;

/// Sides of whole squares of `pool` × `pool` patches, at most `features` of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Pixels of a patch's side.
    pub patch: u64,
    /// Patches of the side of a square that is averaged to one vector.
    pub pool: u64,
    /// The most vectors.
    pub features: u64,
    /// Tokens beside the vectors.
    pub around: u64,
    /// Where its vectors see those after them.
    pub ahead: Ahead,
}

impl Budget {
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn cut(&self, image: Image) -> Result<Cut> {
        let (width, height) = image.sides();
        let side = (self.pool * self.patch) as f64;
        let pixels = (self.features * self.pool * self.pool * self.patch * self.patch) as f64;
        let factor = (pixels / (height * width)).sqrt();
        let squares = |length: f64| (factor * length / side).floor();
        // What is too thin is one square across, and whole ones along.
        let along = |long: f64, short: f64| (long / short).floor().min(self.features as f64);
        let (down, across) = match (squares(height), squares(width)) {
            (0.0, 0.0) => {
                return Err(refused(image, "has nothing left of either side when it is resized"));
            }
            (0.0, _) => (1.0, along(width, height)),
            (_, 0.0) => (along(height, width), 1.0),
            both => both,
        };
        if down * side * across * side > pixels {
            return Err(refused(image, "has more patches than there may be when it is resized"));
        }
        let features = whole(down * across);
        Ok(Cut {
            tokens: features + self.around,
            ahead: self.ahead,
            ..Cut::whole(whole(down) * self.pool, whole(across) * self.pool, features)
        })
    }
}
