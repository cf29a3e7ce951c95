//! Idefics2's resizing: neither side longer than one number of pixels nor shorter than another, in proportion or not; and
//! perhaps the four quarters of the image, each resized alike, beside it.

use super::{ALIKE, Ahead, Cut, Image, refused, whole};
use crate::error::Result;

/// Sides of `shortest` to `longest` pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounded {
    /// The fewest pixels of a side.
    pub shortest: u64,
    /// The most pixels of a side.
    pub longest: u64,
    /// Pixels of a patch's side; what is left of a side is cut off.
    pub patch: u64,
    /// Vectors that an image or a quarter becomes.
    pub features: u64,
    /// Whether the quarters are seen too.
    pub quarters: bool,
}

impl Bounded {
    pub(super) fn cut(&self, image: Image) -> Result<Cut> {
        let (width, height) = (image.width(), image.height());
        if self.quarters && height < 2 {
            return Err(refused(image, "is one pixel high, of which there are no halves"));
        }
        let [rows, columns] = self.patches([height, width]);
        let mut others = ALIKE;
        let mut pieces = 1;
        if self.quarters {
            let halves = |side: u64| [side / 2, side - side / 2];
            let all = halves(height).into_iter().flat_map(|h| halves(width).map(|w| [h, w]));
            for (other, quarter) in others.iter_mut().zip(all) {
                *other = (self.patches(quarter), 1);
            }
            pieces = 5;
        }
        Ok(Cut {
            tiles: 1,
            rows,
            columns,
            others,
            features: pieces * self.features,
            // One before each and one at the end.
            tokens: pieces * (self.features + 1) + 1,
            ahead: Ahead::Never,
        })
    }

    /// Rows and columns of what is so many pixels high and wide.
    #[allow(clippy::cast_precision_loss)]
    fn patches(&self, [mut height, mut width]: [u64; 2]) -> [u64; 2] {
        let ratio = width as f64 / height as f64;
        if width >= height && width > self.longest {
            width = self.longest;
            height = whole(width as f64 / ratio);
        } else if height > width && height > self.longest {
            height = self.longest;
            width = whole(height as f64 * ratio);
        }
        [height, width].map(|side| side.max(self.shortest) / self.patch)
    }
}
