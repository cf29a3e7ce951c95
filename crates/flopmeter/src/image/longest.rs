//! Pixtral's resizing: shrunk until the longer side fits, then rounded up to whole patches.

use super::{Cut, Image, whole};
use crate::error::{Error, ErrorKind, Result};

/// Sides of at most `edge` pixels, in squares of `merge` × `merge` patches; each row of squares ends in a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Longest {
    /// Pixels of a patch's side.
    pub patch: u64,
    /// Patches of the side of a square that becomes one vector.
    pub merge: u64,
    /// The most pixels of a side.
    pub edge: u64,
}

impl Longest {
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn cut(&self, image: Image) -> Result<Cut> {
        let (width, height) = image.sides();
        let ratio = (height / self.edge as f64).max(width / self.edge as f64);
        let fit = |length: f64| if ratio > 1.0 { (length / ratio).floor() } else { length };
        let squares = |length| {
            let pixels: u64 = whole(fit(length));
            pixels.div_ceil(self.patch * self.merge)
        };
        let (rows, columns) = (squares(height), squares(width));
        if rows == 0 || columns == 0 {
            let fact = format!(
                "`{image}` has no pixel left of its shorter side when its longer one is {}",
                self.edge
            );
            return Err(Error::new(ErrorKind::Workload, "image", fact)
                .hint("the model's processor refuses it"));
        }
        Ok(Cut {
            // The last separator is the image's end.
            tokens: rows * (columns + 1),
            ..Cut::whole(rows * self.merge, columns * self.merge, rows * columns)
        })
    }
}
