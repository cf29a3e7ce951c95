//! Layers that keep a state of one size instead of a cache that grows.

mod by_reference;
mod convolution;
mod gradients;
mod needed;
mod runs;

pub(crate) use runs::RunAmount;

use super::{Op, Storage};
use crate::dtype::Dtype;
use crate::passes::Passes;

pub use convolution::{Convolution, Padding};

/// One part of a recurrent layer, without the projections around it.
///
/// What the work needs is the recurrence itself, token by token: no chunked form multiplies less. An
/// element of a state takes one multiplication to decay, a multiply-add to take in the new token, and
/// a multiply-add to be read out: 5 FLOPs a token. The delta rule reads the state once more before it
/// writes: 7. Where it differs, [`needed`](Kind::needed) says how. Discretisation, gates and activations
/// are not counted.
///
/// PyTorch's counter sees matrix products only, and `transformers` without fused kernels works in
/// chunks, padded: see [`flops_by_reference`](Kind::flops_by_reference).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recurrent {
    /// Name in the reference implementation, below the layer.
    pub module: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Whether the weights are another op's: the layer runs again.
    pub shared_weights: bool,
    /// How the weights are stored, where there are any.
    pub storage: Storage,
    /// How an element of the state is stored.
    pub state: Storage,
}

/// Kinds of recurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A causal convolution over time.
    Convolution(Convolution),
    /// RWKV's token shift (arXiv:2305.13048, section 3.1.1): an input mixed with the one before it, each
    /// channel by itself, `mixes` times.
    Shift {
        /// Channels.
        channels: u64,
        /// How often it is mixed, each time with weights of its own.
        mixes: u64,
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
    ///
    /// Kimi's delta attention too (arXiv:2510.26692, section 3), which decays each channel of a key by
    /// itself: as many multiplications a token, and other products in a chunk.
    Delta {
        /// Heads of values; heads of keys are repeated to as many.
        heads: u64,
        /// Width of a key.
        key: u64,
        /// Width of a value.
        value: u64,
        /// Whether each channel of a key decays by itself.
        by_channel: bool,
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
    /// The real-gated linear recurrent unit (Griffin, arXiv:2402.19427, section 2.4): one number for each
    /// channel, which is the output too.
    Gated {
        /// Channels.
        channels: u64,
    },
    /// A projection of the token before, a half of Zaya's values (arXiv:2510.04476, section 3.2).
    Delayed {
        /// Width of the input.
        from: u64,
        /// Width of the output, which is what is kept.
        to: u64,
        /// Whether it has a bias.
        bias: bool,
    },
    /// RWKV-4's weighted sum of values (arXiv:2305.13048, section 3.1.2): a numerator and a denominator
    /// for each channel.
    Weighted {
        /// Channels.
        channels: u64,
    },
    /// xLSTM's matrix memory, mLSTM (arXiv:2405.04517, section 2.3): a state of `key` × `value` and a
    /// normaliser of `key` for each head.
    Matrix {
        /// Heads.
        heads: u64,
        /// Width of a query and of a key.
        key: u64,
        /// Width of a value.
        value: u64,
        /// Tokens of a chunk in the chunked form.
        chunk: u64,
    },
}

/// What FLOPs are a product of, each factor with its name; unused ones are nameless and 1.
pub type Factors = [(&'static str, u128); 5];

const NONE: (&str, u128) = ("", 1);

impl Kind {
    /// FLOPs of a token: what the work needs. Sizes are at most 2^24 and widths products of two, so it fits.
    pub fn flops_per_token(self) -> Option<u128> {
        product(&self.needed())
    }

    /// FLOPs that PyTorch's counter counts in some passes, `None` if they do not fit.
    ///
    /// ```text
    /// convolution  every output of a padded input is computed, then cut: positions + kernel − 1 a
    ///              pass, where a cached pass has `kernel` old positions before its own, and a first one
    ///              at least `kernel`; 2 a step. See [`Padding`] for those that are padded otherwise
    /// delayed      the product of every token, and of nothing before the first
    /// selective    the read-out: a product of the state with one vector a token
    /// dual         chunks of c, the last one padded: C·Bᵀ and its product with x (c²), states in and out
    ///              (2·c), then all states times all, the first included; a step: the read-out
    /// delta        chunks of 64, the last one padded: K·Kᵀ and Q·Kᵀ (keys), their product with the new
    ///              values, and three products with the state; a step: nothing, being element by element
    ///              Kimi's has one product with the keys less and one with the values more
    /// lightning    the state's update and read-out, every token; within blocks of a pass that follows
    ///              nothing, the last one short, Q·Kᵀ and its product with V as well
    /// matrix       whole chunks of c: Q·Kᵀ and its product with V (c²), states in and out (2·c), the
    ///              normaliser out; what is left of a pass, and a step: the update of the state, and the
    ///              read-out of the state and of the normaliser
    /// shift, gated, weighted: nothing, being element by element
    /// ```
    pub fn flops_by_reference(self, passes: Passes) -> Option<u128> {
        self.by_reference()?.iter().try_fold(0_u128, |sum, term| {
            sum.checked_add(term.each()?.checked_mul(term.amount.of(passes)?)?)
        })
    }
}

impl Recurrent {
    /// A part of a recurrent layer.
    pub const fn new(module: &'static str, kind: Kind) -> Self {
        let bf16 = Storage::plain(Dtype::Bf16);
        Self { module, kind, shared_weights: false, storage: bf16, state: bf16 }
    }

    /// Number of parameters.
    pub fn parameters(&self) -> u128 {
        if self.shared_weights { 0 } else { self.kind.parameters() }
    }

    /// Bits that the weights are stored in.
    pub fn stored_bits(&self) -> u128 {
        if self.shared_weights { 0 } else { self.read_bits() }
    }

    /// Bits of weights that a pass reads.
    pub(crate) fn read_bits(&self) -> u128 {
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
