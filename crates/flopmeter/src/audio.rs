//! Length of a clip → what a model's processor makes of it: frames, the pieces that the tower hears, and the positions in
//! the prompt.
//!
//! ```text
//! Clip ─► Extractor ─► Heard: pieces of frames ─► the tower
//!                             tokens           ─► the prompt
//! ```
//!
//! How many rows a layer of the tower has for a number of frames is its [`Steps`]; each is a convolution's stride or
//! vectors that are put together.

mod clip;
mod extractor;
mod hears;
mod model;
mod steps;

pub use clip::Clip;
pub use extractor::{Extractor, Heard, Tokens, Windows};
pub use hears::{Hears, Sees};
pub use steps::Steps;
