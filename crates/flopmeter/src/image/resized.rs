//! Qwen2-VL's, GLM-4V's and PaddleOCR's resizing: whole patches, between a least and a greatest number of pixels, sides in
//! proportion.

use super::{Cut, Image, refused, whole};
use crate::error::Result;

/// The greatest ratio of sides that the reference implementation takes.
const GREATEST_RATIO: u64 = 200;

/// Resizes to a multiple of `patch · merge` on each side, with `least` to `most` pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resized {
    /// Pixels of a patch's side.
    pub patch: u64,
    /// Patches of the side of a square that becomes one vector.
    pub merge: u64,
    /// How many times its pixels count: 1, or the frames of a patch of GLM's.
    pub frames: u64,
    /// How an image that is smaller than a square of patches is enlarged first.
    pub enlarged: Enlarged,
    /// The fewest pixels of a resized image.
    pub least: u64,
    /// The most pixels of a resized image.
    pub most: u64,
    /// Tokens that the processor puts around an image's.
    pub around: u64,
}

/// How an image with a side shorter than a square of patches is enlarged before anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enlarged {
    /// It is not.
    Never,
    /// Both sides alike, to whole pixels at most (GLM-4V).
    Whole,
    /// To that height, then to that width, to the nearest pixel (PaddleOCR-VL).
    BySide,
}

impl Resized {
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn cut(&self, image: Image) -> Result<Cut> {
        let (width, height) = self.enlarged(image);
        if width.max(height) > GREATEST_RATIO as f64 * width.min(height) {
            let fact = format!("is more than {GREATEST_RATIO} times as long as it is wide");
            return Err(refused(image, &fact));
        }
        let (rows, columns) = self.squares(width, height);
        let cut = Cut::whole(rows * self.merge, columns * self.merge, rows * columns);
        Ok(Cut { tokens: cut.features + self.around, ..cut })
    }

    /// Width and height at which resizing begins.
    #[allow(clippy::cast_precision_loss)]
    fn enlarged(&self, image: Image) -> (f64, f64) {
        let (width, height) = image.sides();
        let side = (self.patch * self.merge) as f64;
        match self.enlarged {
            Enlarged::Whole if width.min(height) < side => {
                let scale = (side / height).max(side / width);
                ((width * scale).trunc(), (height * scale).trunc())
            }
            Enlarged::BySide => {
                let (mut width, mut height) = (width, height);
                if height < side {
                    (width, height) = ((width * side / height).round_ties_even(), side);
                }
                if width < side {
                    (width, height) = (side, (height * side / width).round_ties_even());
                }
                (width, height)
            }
            Enlarged::Never | Enlarged::Whole => (width, height),
        }
    }

    /// Rows and columns of squares of `merge` × `merge` patches.
    #[allow(clippy::cast_precision_loss)]
    fn squares(&self, width: f64, height: f64) -> (u64, u64) {
        let side = (self.patch * self.merge) as f64;
        let frames = self.frames as f64;
        // Python rounds halves to even.
        let (rows, columns) = ((height / side).round_ties_even(), (width / side).round_ties_even());
        let pixels = frames * (rows * side) * (columns * side);
        let (least, most) = (self.least as f64, self.most as f64);
        let (rows, columns) = if pixels > most {
            let shrink = (frames * height * width / most).sqrt();
            let fit = |length: f64| (length / shrink / side).floor().max(1.0);
            (fit(height), fit(width))
        } else if pixels < least {
            let grow = (least / (frames * height * width)).sqrt();
            let fit = |length: f64| (length * grow / side).ceil();
            (fit(height), fit(width))
        } else {
            (rows, columns)
        };
        (whole(rows), whole(columns))
    }
}
