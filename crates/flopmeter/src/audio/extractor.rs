//! From the length of a clip to frames and tokens, as the feature extractors of the reference implementation do it.

use super::{Clip, Steps};
use crate::error::{Error, ErrorKind, Result};

/// How a model's processor makes frames of sound and how many tokens it puts for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extractor {
    /// Samples a second.
    pub rate: u64,
    /// Samples from one frame to the next.
    pub hop: u64,
    /// What is done with the length.
    pub windows: Windows,
    /// Frames of a piece that the tower hears on its own, where those are shorter than a window.
    pub piece: Option<u64>,
    /// Tokens for the frames.
    pub tokens: Tokens,
    /// Tokens that the processor puts around those.
    pub around: u64,
}

/// What an extractor does with the length of a clip, in samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Windows {
    /// Nothing, but that it has so many at least.
    AtLeast(u64),
    /// Cut off after so many, and filled up to them.
    One(u64),
    /// Split into windows of so many, `most` of them; the last one is filled up.
    Several {
        /// Samples of a window.
        samples: u64,
        /// Windows after which a clip is cut off.
        most: u64,
    },
    /// Filled up to a multiple of so many, with silence that is heard like sound.
    Filled(u64),
    /// Nothing: there is a frame wherever so many fit.
    Within(u64),
}

/// How many tokens stand for frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tokens {
    /// So many for all frames of a clip.
    OfClip(Steps),
    /// So many for the frames of each piece.
    OfPieces(Steps),
    /// None: a decoder attends to so many vectors for all frames of a clip.
    Attended(Steps),
}

/// What an extractor makes of one clip: equal pieces for the tower and one that is left, positions for the prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Heard {
    /// Whole pieces, each of which the tower hears on its own.
    pub whole: u64,
    /// Frames of a whole piece.
    pub frames: u64,
    /// Frames of the piece that is left, 0 if there is none.
    pub rest: u64,
    /// Frames that a piece is filled up to.
    pub filled: u64,
    /// Vectors that come out of tower and projector.
    pub features: u64,
    /// Positions that the clip adds to the prompt: its vectors, and what the processor puts around them.
    pub tokens: u64,
}

impl Heard {
    /// Frames of the whole clip.
    pub fn all_frames(&self) -> u64 {
        self.whole * self.frames + self.rest
    }
}

impl Extractor {
    /// What becomes of a clip.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Workload`] for a clip of no frame.
    pub fn hear(&self, clip: Clip) -> Result<Heard> {
        self.hear_among(clip, clip)
    }

    /// What becomes of one of several clips of a prompt, of which `longest` is the longest: where windows are as long as
    /// that, a shorter clip has the frame that begins in it and ends behind it.
    pub(crate) fn hear_among(&self, clip: Clip, longest: Clip) -> Result<Heard> {
        let samples = clip.samples(self.rate);
        let of_window = |samples: u64| samples / self.hop;
        let frames = |samples: u64, window: u64| samples.div_ceil(self.hop).min(of_window(window));
        let (whole, frames, rest, filled) = match self.windows {
            Windows::AtLeast(least) => {
                let longest = longest.samples(self.rate).max(least);
                let frames = frames(samples.max(least), longest);
                (0, 0, frames, frames)
            }
            Windows::One(window) => (0, 0, frames(samples.min(window), window), of_window(window)),
            Windows::Several { samples: window, most } => {
                let samples = samples.min(most.saturating_mul(window));
                let (whole, rest) = (samples / window, frames(samples % window, window));
                (whole, of_window(window), rest, of_window(window))
            }
            Windows::Within(window) => {
                let fitting = |more: u64| more / self.hop + 1;
                let frames = samples.checked_sub(window).map_or(0, fitting);
                (0, frames, frames, frames)
            }
            Windows::Filled(window) => {
                (samples.div_ceil(window), of_window(window), 0, of_window(window))
            }
        };
        let heard = Heard { whole, frames, rest, filled, features: 0, tokens: 0 };
        let all = heard.all_frames();
        if all == 0 {
            let fact = format!("`{clip}` is {samples} samples, less than a frame of {}", self.hop);
            return Err(Error::new(ErrorKind::Workload, "audio", fact).hint("give a longer clip"));
        }
        let heard = match self.piece {
            None => heard,
            Some(piece) => {
                let (whole, rest) = (all / piece, all % piece);
                let filled = if whole > 0 { piece } else { rest };
                Heard { whole, frames: piece, rest, filled, ..heard }
            }
        };
        let features = match self.tokens {
            Tokens::OfClip(steps) => steps.of(all),
            Tokens::OfPieces(steps) => heard
                .whole
                .saturating_mul(steps.of(heard.frames))
                .saturating_add(steps.of(heard.rest)),
            Tokens::Attended(steps) => {
                let features = steps.of(all);
                if features == 0 {
                    let fact = format!("`{clip}` leaves nothing behind the encoder's convolutions");
                    return Err(
                        Error::new(ErrorKind::Workload, "audio", fact).hint("give a longer clip")
                    );
                }
                return Ok(Heard { features, ..heard });
            }
        };
        Ok(Heard { features, tokens: features.saturating_add(self.around), ..heard })
    }

    /// The most seconds of a clip that it does not cut off, `None` if it cuts none.
    #[allow(clippy::cast_precision_loss)] // For people.
    pub fn longest_seconds(&self) -> Option<f64> {
        let samples = match self.windows {
            Windows::One(samples) => samples,
            Windows::Several { samples, most } => samples.saturating_mul(most),
            Windows::AtLeast(_) | Windows::Filled(_) | Windows::Within(_) => return None,
        };
        Some(samples as f64 / self.rate as f64)
    }
}
