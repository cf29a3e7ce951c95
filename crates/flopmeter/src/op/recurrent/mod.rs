//! Layers that keep a state of one size instead of a cache that grows.

mod runs;

use super::{Op, Storage};
use crate::dtype::Dtype;
use crate::passes::Passes;
use runs::Runs;

/// One part of a recurrent layer, without the projections around it.
///
/// What the work needs is the recurrence itself, token by token: no chunked form multiplies less. An
/// element of a state takes one multiplication to decay, a multiply-add to take in the new token, and
/// a multiply-add to be read out: 5 FLOPs a token. The delta rule reads the state once more before it
/// writes: 7. Discretisation, gates and activations are not counted.
///
/// PyTorch's counter sees matrix products only, and `transformers` without fused kernels works in
/// chunks, padded: see [`by_reference`](Kind::by_reference).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recurrent {
    /// Name in the reference implementation, below the layer.
    pub module: &'static str,
    /// What it is.
    pub kind: Kind,
    /// How the weights are stored, where there are any.
    pub storage: Storage,
    /// How an element of the state is stored.
    pub state: Storage,
}

/// Kinds of recurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A causal convolution over time, each channel by itself: the last `kernel` inputs.
    Convolution {
        /// Channels.
        channels: u64,
        /// Positions that an output is made of, its own included.
        kernel: u64,
        /// Whether each channel has a bias.
        bias: bool,
    },
    /// Mamba's selective scan (arXiv:2312.00752, algorithm 2): a state of `state` for each channel.
    Selective {
        /// Channels.
        channels: u64,
        /// Elements of a channel's state.
        state: u64,
    },
    /// Mamba-2's state space duality (arXiv:2405.21060, section 6): a state of `head` × `state` for each head.
    Dual {
        /// Heads.
        heads: u64,
        /// Width of a head.
        head: u64,
        /// Elements of the state for each of them.
        state: u64,
        /// Tokens of a chunk in the chunked form.
        chunk: u64,
    },
    /// The gated delta rule (arXiv:2412.06464, section 3): a state of `key` × `value` for each head.
    Delta {
        /// Heads of values; heads of keys are repeated to as many.
        heads: u64,
        /// Width of a key.
        key: u64,
        /// Width of a value.
        value: u64,
    },
    /// Lightning attention (arXiv:2401.04658, section 3): a state of `head` × `head` for each head.
    Lightning {
        /// Heads.
        heads: u64,
        /// Width of a head's queries, keys and values.
        head: u64,
        /// Tokens of a block in the form of blocks.
        block: u64,
    },
}

/// Tokens of a chunk of the gated delta rule, a constant of the reference implementation.
const DELTA_CHUNK: u64 = 64;

/// What FLOPs are a product of, each factor with its name; unused ones are nameless and 1.
pub type Factors = [(&'static str, u128); 5];

const NONE: (&str, u128) = ("", 1);

impl Kind {
    /// The factors of the FLOPs of a token: what the work needs.
    pub fn needed(self) -> Factors {
        match self {
            Self::Convolution { channels, kernel, .. } => {
                [("2", 2), ("channels", channels.into()), ("kernel", kernel.into()), NONE, NONE]
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
            Self::Delta { heads, key, value } => [
                ("7", 7),
                ("heads", heads.into()),
                ("key width", key.into()),
                ("value width", value.into()),
                NONE,
            ],
        }
    }

    /// The terms of the FLOPs that PyTorch's counter counts in some passes, each a product.
    ///
    /// ```text
    /// convolution  every output of a padded input is computed, then cut: positions + kernel − 1 a
    ///              pass, where a cached pass has `kernel` old positions before its own, and a first one
    ///              at least `kernel`; 2 a step
    /// selective    the read-out: a product of the state with one vector a token
    /// dual         chunks of c, the last one padded: C·Bᵀ and its product with x (c²), states in and out
    ///              (2·c), then all states times all, the first included; a step: the read-out
    /// delta        chunks of 64, the last one padded: K·Kᵀ and Q·Kᵀ (keys), their product with the new
    ///              values, and three products with the state; a step: nothing, being element by element
    /// lightning    the state's update and read-out, every token; within blocks of a pass that follows
    ///              nothing, the last one short, Q·Kᵀ and its product with V as well
    /// ```
    pub fn by_reference(self, passes: Passes) -> Option<[Factors; 3]> {
        let runs = Runs::of(passes);
        let nothing: Factors = [("", 0), NONE, NONE, NONE, NONE];
        Some(match self {
            Self::Convolution { channels, kernel, .. } => {
                let positions = ("positions, padding included", runs.convolved(kernel)?);
                let factors =
                    [("2", 2), ("channels", channels.into()), ("kernel", kernel.into()), positions];
                let [two, channels, kernel, positions] = factors;
                [[two, channels, kernel, positions, NONE], nothing, nothing]
            }
            Self::Selective { channels, state } => {
                let tokens = ("tokens", passes.tokens()?);
                let read_out = [
                    ("2", 2),
                    ("channels", channels.into()),
                    ("state", state.into()),
                    tokens,
                    NONE,
                ];
                [read_out, nothing, nothing]
            }
            Self::Dual { heads, head, state, chunk } => {
                let (c, p, n) = (u128::from(chunk), u128::from(head), u128::from(state));
                let within = c.checked_mul(c)?.checked_mul(p + n)?;
                let between = c.checked_mul(2)?.checked_mul(p.checked_mul(n)?)?;
                let heads = ("heads", u128::from(heads));
                let chunks = ("chunks", runs.chunks(chunk)?);
                let passed = ("Σ (chunks + 1)²", runs.chunks_passed(chunk)?);
                [
                    [
                        ("2", 2),
                        heads,
                        (
                            "(chunk² · (head + state) + 2 · chunk · head · state)",
                            within.checked_add(between)?,
                        ),
                        chunks,
                        NONE,
                    ],
                    [("2", 2), heads, ("head", p), ("state", n), passed],
                    [("2", 2), heads, ("head", p), ("state", n), ("steps", runs.steps.into())],
                ]
            }
            Self::Lightning { heads, head, block } => {
                let (heads, head) = (("heads", u128::from(heads)), ("head", u128::from(head)));
                let squares = ("Σ tokens² of blocks", runs.block_squares(block)?);
                let tokens = ("tokens", passes.tokens()?);
                [
                    [("4", 4), heads, head, head, tokens],
                    [("4", 4), heads, head, squares, NONE],
                    nothing,
                ]
            }
            Self::Delta { heads, key, value } => {
                let (c, k, v) = (u128::from(DELTA_CHUNK), u128::from(key), u128::from(value));
                let one =
                    (c * c).checked_mul(2 * k + v)?.checked_add((3 * c).checked_mul(k * v)?)?;
                let chunk = [
                    ("2", 2),
                    ("heads", heads.into()),
                    ("(64² · (2 · key + value) + 3 · 64 · key · value)", one),
                    ("chunks of 64", runs.chunks(DELTA_CHUNK)?),
                    NONE,
                ];
                [chunk, nothing, nothing]
            }
        })
    }

    /// FLOPs of a token: what the work needs. Sizes are at most 2^24 and widths products of two, so it fits.
    pub fn flops_per_token(self) -> Option<u128> {
        product(&self.needed())
    }

    /// FLOPs that PyTorch's counter counts in some passes, `None` if they do not fit.
    pub fn flops_by_reference(self, passes: Passes) -> Option<u128> {
        let terms = self.by_reference(passes)?;
        terms.iter().try_fold(0_u128, |sum, term| sum.checked_add(product(term)?))
    }

    /// Parameters: a convolution's.
    pub fn parameters(self) -> u128 {
        match self {
            Self::Convolution { channels, kernel, bias } => {
                u128::from(channels) * (u128::from(kernel) + u128::from(bias))
            }
            Self::Selective { .. }
            | Self::Dual { .. }
            | Self::Delta { .. }
            | Self::Lightning { .. } => 0,
        }
    }

    /// The factors of the elements that are kept of a sequence: of a convolution the inputs that the
    /// next token needs.
    pub fn kept(self) -> [(&'static str, u128); 3] {
        match self {
            Self::Convolution { channels, kernel, .. } => {
                [("channels", channels.into()), ("(kernel − 1)", u128::from(kernel - 1)), NONE]
            }
            Self::Selective { channels, state } => {
                [("channels", channels.into()), ("state", state.into()), NONE]
            }
            Self::Dual { heads, head, state, .. } => {
                [("heads", heads.into()), ("head", head.into()), ("state", state.into())]
            }
            Self::Lightning { heads, head, .. } => {
                [("heads", heads.into()), ("head", head.into()), ("head", head.into())]
            }
            Self::Delta { heads, key, value } => {
                [("heads", heads.into()), ("key width", key.into()), ("value width", value.into())]
            }
        }
    }
}

impl Recurrent {
    /// A part of a recurrent layer.
    pub const fn new(module: &'static str, kind: Kind) -> Self {
        let bf16 = Storage::plain(Dtype::Bf16);
        Self { module, kind, storage: bf16, state: bf16 }
    }

    /// Bits that the weights are stored in.
    pub fn stored_bits(&self) -> u128 {
        self.kind.parameters() * self.storage.matrix_bits(1, 1)
    }

    /// Bits of the state of one sequence, `None` if they do not fit.
    ///
    /// ```
    /// use flopmeter::op::{Recurrent, RecurrentKind};
    /// // Mamba-2.8B: a state of 16 for each of 5120 channels, in bf16.
    /// let scan = Recurrent::new("mixer", RecurrentKind::Selective { channels: 5120, state: 16 });
    /// assert_eq!(scan.state_bits(), Some(5120 * 16 * 16));
    /// assert_eq!(scan.kind.flops_per_token(), Some(5 * 5120 * 16));
    /// ```
    pub fn state_bits(&self) -> Option<u128> {
        product(&self.kind.kept())?.checked_mul(self.state.matrix_bits(1, 1))
    }
}

impl From<Recurrent> for Op {
    fn from(recurrent: Recurrent) -> Self {
        Self::Recurrent(recurrent)
    }
}

fn product(factors: &[(&str, u128)]) -> Option<u128> {
    factors.iter().try_fold(1_u128, |product, (_, value)| product.checked_mul(*value))
}
