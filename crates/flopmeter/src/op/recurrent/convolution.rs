//! Convolutions over time.

/// A causal convolution over time: `y[t, channel] = Σ w[channel, k, i]·x[t − k·dilation, i]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Convolution {
    /// Channels.
    pub channels: u64,
    /// Positions that an output is made of, its own included.
    pub kernel: u64,
    /// Channels that an output is made of: its own alone, or those of a group.
    pub group: u64,
    /// From one position to the next.
    pub dilation: u64,
    /// Whether each channel has a bias.
    pub bias: bool,
    /// How the reference implementation pads a pass.
    pub padding: Padding,
}

/// How the reference implementation pads a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Padding {
    /// On both sides, and what is too much is cut.
    Both,
    /// On both sides and without what was before; a single token is taken element by element
    /// (RecurrentGemma).
    Anew,
    /// Not at all: its weights change from token to token, and it is taken element by element.
    Elements,
    /// On one side, with what was before; so many positions more that a convolution after it needs.
    Before(u64),
}

impl Convolution {
    /// Each channel by itself, over positions that follow each other, without a bias.
    ///
    /// ```
    /// use flopmeter::op::{Convolution, RecurrentKind};
    /// // Mamba-2.8B: four positions of 5120 channels.
    /// let convolution = RecurrentKind::Convolution(Convolution::new(5120, 4));
    /// assert_eq!(convolution.flops_per_token(), Some(2 * 5120 * 4));
    /// ```
    pub const fn new(channels: u64, kernel: u64) -> Self {
        Self { channels, kernel, group: 1, dilation: 1, bias: false, padding: Padding::Both }
    }

    /// Parameters.
    pub(super) fn parameters(&self) -> u128 {
        let weights = u128::from(self.kernel) * u128::from(self.group);
        u128::from(self.channels) * (weights + u128::from(self.bias))
    }
}
