//! Tiles of the canvas that an image fits best: Llama 3.2 Vision's, Llama 4's and Command A Vision's.

use super::{Cut, Image};

/// Canvases of up to `most` tiles of `side` pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Canvas {
    /// Pixels of a tile's side.
    pub side: u64,
    /// The most tiles, a view of the whole apart.
    pub most: u64,
    /// Patches of a tile's side.
    pub patches: u64,
    /// What the tiles are to the prompt.
    pub kind: Canvases,
}

/// Whose canvases they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Canvases {
    /// Llama 3.2 Vision's: one token stands for the image, and layers attend to what the tower gives.
    Attended,
    /// Command A Vision's: each tile's vectors and a token after them, and a view of the whole where there are several.
    Separated {
        /// Vectors that a tile becomes.
        features: u64,
    },
    /// Llama 4's: vectors of each tile, tokens between them, and a view of the whole where there are several tiles.
    Embedded {
        /// Vectors that a tile becomes.
        features: u64,
    },
}

impl Canvas {
    pub(super) fn cut(&self, image: Image) -> Cut {
        let (columns, rows) = self.arrangement(image);
        let tiles = columns * rows;
        let cut = |tiles, features, tokens| Cut::tiles(tiles, self.patches, features, tokens);
        match self.kind {
            // Vectors of the patches and of the class, attended to and not part of the prompt.
            Canvases::Attended => cut(tiles, tiles * (self.patches * self.patches + 1), 1),
            Canvases::Separated { features } => {
                let tiles = if tiles > 1 { tiles + 1 } else { tiles };
                cut(tiles, tiles * features, tiles * (features + 1) + 2)
            }
            // Start, image and end around the whole; tiles end in a separator each, between columns or after a row.
            Canvases::Embedded { features } if tiles == 1 => cut(1, features, features + 3),
            Canvases::Embedded { features } => {
                let all = (tiles + 1) * features;
                cut(tiles + 1, all, all + tiles + 3)
            }
        }
    }

    /// Columns and rows of the best canvas: the one that enlarges least or, where all shrink, shrinks least; of several
    /// the smallest.
    fn arrangement(&self, image: Image) -> (u64, u64) {
        let mut best: Option<(Fit, (u64, u64))> = None;
        for columns in 1..=self.most {
            for rows in 1..=self.most / columns {
                let fit = self.fit(image, columns, rows);
                if best.as_ref().is_none_or(|(known, _)| fit.is_better_than(known)) {
                    best = Some((fit, (columns, rows)));
                }
            }
        }
        best.map_or((1, 1), |(_, canvas)| canvas)
    }

    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    fn fit(&self, image: Image, columns: u64, rows: u64) -> Fit {
        let (width, height) = image.sides();
        let across = (columns * self.side) as f64;
        let down = (rows * self.side) as f64;
        let scale = match self.kind {
            Canvases::Attended | Canvases::Separated { .. } => (across / width).min(down / height),
            // The class compares tensors, which divide in single precision.
            Canvases::Embedded { .. } => {
                let single = |length: f64, of: f64| f64::from(length as f32 / of as f32);
                single(across, width).min(single(down, height))
            }
        };
        Fit { scale, tiles: columns * rows }
    }
}

/// How an image fits a canvas.
struct Fit {
    scale: f64,
    tiles: u64,
}

impl Fit {
    fn is_better_than(&self, other: &Self) -> bool {
        if self.scale == other.scale {
            return self.tiles < other.tiles;
        }
        match (self.scale >= 1.0, other.scale >= 1.0) {
            (true, true) => self.scale < other.scale,
            (true, false) => true,
            (false, true) => false,
            (false, false) => self.scale > other.scale,
        }
    }
}
