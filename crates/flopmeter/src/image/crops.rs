//! Phi-4-multimodal's crops: as many squares as hold the image, enlarged in proportion to touch two of their edges, what
//! is left masked; and a view of the whole stretched over one.

use super::{ALIKE, Ahead, Cut, Image, Tiled, refused, whole};
use crate::error::Result;

/// Squares of `side` pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crops {
    /// Pixels of a crop's side.
    pub side: u64,
    /// Pixels of a patch's side.
    pub patch: u64,
    /// The most crops, the view apart.
    pub most: u64,
}

/// Patches of the side of a square that is averaged to one vector.
const AVERAGED: u64 = 2;

/// Pixels that either side has at least when it is resized.
const THINNEST: f64 = 10.0;

impl Crops {
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn cut(&self, image: Image) -> Result<Cut> {
        let [columns, rows] = match [image.width(), image.height()].map(|it| it.div_ceil(self.side))
        {
            [columns, rows] if columns * rows > self.most => {
                Tiled::nearest(self.side, (1, self.most), image)
            }
            fitting => fitting,
        };
        let (width, height) = image.sides();
        let sides = [(rows * self.side) as f64, (columns * self.side) as f64];
        let (by_height, by_width) = (sides[0] / height, sides[1] / width);
        let size = if by_width < by_height {
            [(height * by_width).trunc(), sides[1]]
        } else {
            [sides[0], (width * by_height).trunc()]
        };
        if size.iter().any(|side| *side < THINNEST) {
            let fact = format!("is too thin: a side of {} pixels is left", size[0].min(size[1]));
            return Err(refused(image, &fact));
        }
        // Whole patches of padding are masked.
        let of_crop = self.side / self.patch;
        let kept =
            |crops: u64, all: f64, size: f64| crops * of_crop - whole(all - size) / self.patch;
        let (down, across) = (kept(rows, sides[0], size[0]), kept(columns, sides[1], size[1]));
        let (full_down, full_across) = (down / of_crop, across / of_crop);
        let (edge_down, edge_across) = (down % of_crop, across % of_crop);
        let mut others = ALIKE;
        others[0] = ([of_crop, edge_across], if edge_across > 0 { full_down } else { 0 });
        others[1] = ([edge_down, of_crop], if edge_down > 0 { full_across } else { 0 });
        others[2] = ([edge_down, edge_across], u64::from(edge_down > 0 && edge_across > 0));
        let shown = full_down * full_across + others.iter().map(|(_, count)| count).sum::<u64>();
        others[3] = ([0, 0], rows * columns - shown);
        // A vector after each row, one before the view, and the view's own rows.
        let line = |down: u64, across: u64| down * (across + 1);
        let averaged = of_crop / AVERAGED;
        let features =
            line(down.div_ceil(AVERAGED), across.div_ceil(AVERAGED)) + 1 + line(averaged, averaged);
        Ok(Cut {
            tiles: 1 + full_down * full_across,
            rows: of_crop,
            columns: of_crop,
            others,
            features,
            tokens: features,
            ahead: Ahead::Never,
        })
    }
}
