//! What a recurrence needs: FLOPs of a token, parameters, what is kept.

use super::{Convolution, Factors, Kind, NONE};

impl Kind {
    /// The factors of the FLOPs of a token: what the work needs.
    ///
    /// ```text
    /// convolution  a multiply-add for each position that an output is made of
    /// shift        a convolution of two positions, for each mix
    /// delayed      a product with the token before, once
    /// selective, dual, lightning                  5 an element of the state
    /// delta        7 an element: what the key finds is read before it is replaced
    /// gated        3 a channel: the state is the output, nothing is read out
    /// weighted     9 a channel: 5 for the numerator; 3 for the denominator, whose values are all 1; and
    ///              their quotient
    /// matrix       5 an element of the state and of the normaliser, which is a value of width 1
    /// ```
    pub fn needed(self) -> Factors {
        match self {
            Self::Convolution(Convolution { channels, kernel, group, .. }) => [
                ("2", 2),
                ("channels", channels.into()),
                ("kernel", kernel.into()),
                if group > 1 { ("group", group.into()) } else { NONE },
                NONE,
            ],
            Self::Delayed { from, to, .. } => {
                [("2", 2), ("in", from.into()), ("out", to.into()), NONE, NONE]
            }
            Self::Selective { channels, state } => {
                [("5", 5), ("channels", channels.into()), ("state", state.into()), NONE, NONE]
            }
            Self::Dual { heads, head, state, .. } => [
                ("5", 5),
                ("heads", heads.into()),
                ("head", head.into()),
                ("state", state.into()),
                NONE,
            ],
            Self::Lightning { heads, head, .. } => [
                ("5", 5),
                ("heads", heads.into()),
                ("head", head.into()),
                ("head", head.into()),
                NONE,
            ],
            Self::Shift { channels, mixes } => [
                ("2", 2),
                ("positions", 2),
                ("channels", channels.into()),
                ("mixes", mixes.into()),
                NONE,
            ],
            Self::Gated { channels } => [("3", 3), ("channels", channels.into()), NONE, NONE, NONE],
            Self::Weighted { channels } => {
                [("9", 9), ("channels", channels.into()), NONE, NONE, NONE]
            }
            Self::Matrix { heads, key, value, .. } => [
                ("5", 5),
                ("heads", heads.into()),
                ("key width", key.into()),
                ("(value width + 1)", u128::from(value) + 1),
                NONE,
            ],
            Self::Delta { heads, key, value, .. } => [
                ("7", 7),
                ("heads", heads.into()),
                ("key width", key.into()),
                ("value width", value.into()),
                NONE,
            ],
        }
    }

    /// Parameters: a convolution's, a delayed projection's, and a shift's weight for each mix.
    pub fn parameters(self) -> u128 {
        match self {
            Self::Convolution(convolution) => convolution.parameters(),
            Self::Delayed { from, to, bias } => {
                u128::from(to) * (u128::from(from) + u128::from(bias))
            }
            Self::Shift { channels, mixes } => u128::from(channels) * u128::from(mixes),
            Self::Selective { .. }
            | Self::Dual { .. }
            | Self::Delta { .. }
            | Self::Lightning { .. }
            | Self::Gated { .. }
            | Self::Weighted { .. }
            | Self::Matrix { .. } => 0,
        }
    }

    /// The factors of the elements that are kept of a sequence: of a convolution the inputs that the
    /// next token needs. Exponents that sums are scaled by, lest they overflow, are kept with them.
    pub fn kept(self) -> [(&'static str, u128); 3] {
        match self {
            Self::Convolution(Convolution { channels, kernel, dilation, .. }) => [
                ("channels", channels.into()),
                ("(kernel − 1)", u128::from(kernel - 1)),
                if dilation > 1 { ("dilation", dilation.into()) } else { NONE },
            ],
            Self::Delayed { to, .. } => [("out", to.into()), NONE, NONE],
            Self::Selective { channels, state } => {
                [("channels", channels.into()), ("state", state.into()), NONE]
            }
            Self::Dual { heads, head, state, .. } => {
                [("heads", heads.into()), ("head", head.into()), ("state", state.into())]
            }
            Self::Lightning { heads, head, .. } => {
                [("heads", heads.into()), ("head", head.into()), ("head", head.into())]
            }
            Self::Delta { heads, key, value, .. } => {
                [("heads", heads.into()), ("key width", key.into()), ("value width", value.into())]
            }
            Self::Shift { channels, .. } | Self::Gated { channels } => {
                [("channels", channels.into()), NONE, NONE]
            }
            Self::Weighted { channels } => {
                [("channels", channels.into()), ("numerator, denominator, exponent", 3), NONE]
            }
            Self::Matrix { heads, key, value, .. } => {
                let kept = u128::from(key) * (u128::from(value) + 1) + 1;
                [("heads", heads.into()), ("(key width · (value width + 1) + 1)", kept), NONE]
            }
        }
    }
}
