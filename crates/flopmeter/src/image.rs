//! Image size → what a model's processor makes of it: tiles, their patches, and the positions in the prompt.
//!
//! ```text
//! Image ─► Processor ─► Cut: tiles of rows × columns patches ─► the tower
//!                            features + separators           ─► the prompt
//! ```
//!
//! Each kind of processor is a file, and each follows its class in the reference implementation to the bit: where that
//! divides in floating point, so does this.

mod anyres;
mod bounded;
mod budget;
mod canvas;
mod covered;
mod crops;
mod limited;
mod longest;
mod model;
mod ratio;
mod resized;
mod seen;
mod split;
mod viewed;

pub use anyres::{Anyres, Layout};
pub use bounded::Bounded;
pub use budget::Budget;
pub use canvas::{Canvas, Canvases};
pub use covered::Covered;
pub use crops::Crops;
pub use limited::Limited;
pub use longest::Longest;
pub use ratio::Tiled;
pub use resized::{Enlarged, Resized};
pub use seen::Seen;
pub use split::Split;
pub use viewed::{Tiles, Viewed};

use crate::convention::Rule;
use crate::error::{Error, ErrorKind, Result, shown};
use std::fmt;
use std::str::FromStr;

/// The longest side that is believed, in pixels.
const LONGEST_SIDE: u64 = 1 << 24;

/// The size of an image in pixels, each side from 1 to 2^24.
///
/// ```
/// use flopmeter::image::Image;
///
/// let image: Image = "1280x720".parse()?;
/// assert_eq!((image.width(), image.height()), (1280, 720));
/// assert!("0x5".parse::<Image>().is_err());
/// # Ok::<(), flopmeter::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Image {
    width: u64,
    height: u64,
}

impl Image {
    /// An image of so many pixels.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Workload`] for a side of no pixels or of more than 2^24.
    pub fn new(width: u64, height: u64) -> Result<Self> {
        match [width, height].into_iter().find(|side| !(1..=LONGEST_SIDE).contains(side)) {
            None => Ok(Self { width, height }),
            Some(side) => {
                Err(wrong(&format!("{width}x{height}"), &format!("has a side of {side} pixels")))
            }
        }
    }

    /// Pixels from left to right.
    pub fn width(self) -> u64 {
        self.width
    }

    /// Pixels from top to bottom.
    pub fn height(self) -> u64 {
        self.height
    }

    /// Sides as the processors divide them. Exact: they are at most 2^24.
    #[allow(clippy::cast_precision_loss)]
    fn sides(self) -> (f64, f64) {
        (self.width as f64, self.height as f64)
    }
}

impl FromStr for Image {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let sides = text.split_once(['x', '×', 'X']);
        let whole = |side: &str| side.trim().parse::<u64>().ok();
        match sides.and_then(|(width, height)| Some((whole(width)?, whole(height)?))) {
            Some((width, height)) => Self::new(width, height),
            None => Err(wrong(text, "is no size of an image")),
        }
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

fn wrong(image: &str, fact: &str) -> Error {
    Error::new(ErrorKind::Workload, "image", format!("`{}` {fact}", shown(image)))
        .hint("width and height in pixels, each from 1 to 16777216, such as `1280x720`")
}

/// The error of an image that a model's processor refuses.
fn refused(image: Image, fact: &str) -> Error {
    Error::new(ErrorKind::Workload, "image", format!("`{image}` {fact}"))
        .hint("the model's processor refuses it")
}

/// What a processor makes of one image: equal tiles for the tower, positions for the prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cut {
    /// Tiles that the tower sees, each on its own.
    pub tiles: u64,
    /// Rows of patches in a tile.
    pub rows: u64,
    /// Columns of patches in a tile.
    pub columns: u64,
    /// Rows and columns of patches of what is beside the tiles and has shapes of its own, with how many of each there
    /// are.
    pub others: [([u64; 2], u64); 4],
    /// Vectors that come out of tower and projector.
    pub features: u64,
    /// Positions that the image adds to the prompt: its vectors, and what the processor puts between and around them.
    pub tokens: u64,
    /// Where its vectors see those after them in the prompt too.
    pub ahead: Ahead,
}

/// Nothing beside the tiles.
const ALIKE: [([u64; 2], u64); 4] = [([0; 2], 0); 4];

/// The layers of the text part in which a vector of an image sees those of the same image that come after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ahead {
    /// None: as tokens do.
    Never,
    /// Those with a window.
    InWindows,
    /// All.
    Always,
}

impl Cut {
    /// One tile of `rows` × `columns` patches, of which `features` vectors come that are the image's tokens.
    pub(crate) const fn whole(rows: u64, columns: u64, features: u64) -> Self {
        let tokens = features;
        let others = ALIKE;
        Self { tiles: 1, rows, columns, others, features, tokens, ahead: Ahead::Never }
    }

    /// So many tiles of `side` × `side` patches.
    pub(crate) const fn tiles(tiles: u64, side: u64, features: u64, tokens: u64) -> Self {
        Self { tiles, tokens, ..Self::whole(side, side, features) }
    }

    /// Pairs of one of its vectors and a later one.
    pub(crate) fn pairs_ahead(&self) -> u64 {
        self.features * (self.features.saturating_sub(1)) / 2
    }

    /// Patches of a tile.
    pub fn patches(&self) -> u64 {
        self.rows * self.columns
    }

    /// Rows and columns of all that the tower sees, with how many of them there are: of tiles first.
    pub fn pieces(&self) -> impl Iterator<Item = ([u64; 2], u64)> {
        let others = self.others.into_iter().filter(|(_, count)| *count > 0);
        std::iter::once(([self.rows, self.columns], self.tiles)).chain(others)
    }
}

/// How a model cuts an image.
#[derive(Debug, Clone, PartialEq)]
pub enum Processor {
    /// Whatever its size, the image becomes this.
    Square(Cut),
    /// Resized to whole patches within two numbers of pixels.
    Resized(Resized),
    /// Shrunk until its longer side fits, and rounded up to whole patches.
    Longest(Longest),
    /// Fitted into the best of several canvases of tiles, and what is padding taken out again.
    Anyres(Anyres),
    /// Stretched over tiles of the nearest ratio of sides.
    Tiled(Tiled),
    /// Fitted into the best canvas of tiles, padding and all.
    Canvas(Canvas),
    /// Enlarged or shrunk until its longer side fits, and cut into tiles.
    Split(Split),
    /// Enlarged or shrunk to as many patches as there may be.
    Budget(Budget),
    /// Shrunk to no more patches than there may be, and filled up to whole squares of them.
    Limited(Limited),
    /// Stretched over the fewest tiles that show most of it.
    Covered(Covered),
    /// Stretched over tiles of the nearest ratio of sides, beside a view in proportion.
    Viewed(Viewed),
    /// Kept within two lengths of sides, and perhaps seen in quarters too.
    Bounded(Bounded),
    /// Fitted into crops, the rest of which is padding that its tower leaves out, and a view of the whole.
    Crops(Crops),
}

impl Processor {
    /// What becomes of an image.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Workload`] for an image that the processor refuses.
    pub fn cut(&self, image: Image) -> Result<Cut> {
        self.cut_among(image, 1)
    }

    /// What becomes of one of several images of a prompt.
    pub(crate) fn cut_among(&self, image: Image, images: usize) -> Result<Cut> {
        match self {
            Self::Square(cut) => Ok(*cut),
            Self::Resized(processor) => processor.cut(image),
            Self::Longest(processor) => processor.cut(image),
            Self::Anyres(processor) => Ok(processor.cut(image, images == 1)),
            Self::Tiled(processor) => Ok(processor.cut(image)),
            Self::Canvas(processor) => Ok(processor.cut(image)),
            Self::Split(processor) => Ok(processor.cut(image)),
            Self::Budget(processor) => processor.cut(image),
            Self::Limited(processor) => Ok(processor.cut(image)),
            Self::Covered(processor) => Ok(processor.cut(image)),
            Self::Viewed(processor) => processor.cut(image),
            Self::Bounded(processor) => processor.cut(image),
            Self::Crops(processor) => processor.cut(image),
        }
    }
}

impl Processor {
    /// Positions that layers attend to for an image, beside the tokens that it adds to the prompt.
    pub(crate) fn attended(&self, cut: &Cut, rule: Rule) -> u64 {
        match self {
            Self::Canvas(Canvas { kind: Canvases::Attended, most, .. }) => {
                let tiles = if rule == Rule::ByReference { *most } else { cut.tiles };
                tiles * (cut.patches() + 1)
            }
            _ => 0,
        }
    }
}

/// A float of pixels, tiles or patches that is whole and not negative, as a number.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn whole(number: f64) -> u64 {
    number as u64
}
