//! Matrix products with weights, dense or routed to experts.

use super::{Distances, Op, Storage};
use crate::component::Component;
use crate::dtype::Dtype;
use crate::passes::Mask;

/// `y = x · Wᵀ`, `W` being `to` × `from`.
///
/// ```text
/// x[rows, from] · Wᵀ[from, to] -> y[rows, to]     2·from·to a row
/// ```
///
/// A routed one exists `experts.total` times and each row runs through `experts.active` of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Linear {
    /// Name in the reference implementation, below the layer.
    pub module: &'static str,
    /// What its FLOPs are counted under.
    pub component: Component,
    /// Width of the input.
    pub from: u64,
    /// Width of the output.
    pub to: u64,
    /// Parameters of the bias, 0 if there is none. It is not counted in FLOPs.
    pub bias: u64,
    /// Which tokens run through it.
    pub rows: Rows,
    /// Experts, if it is routed.
    pub experts: Option<Experts>,
    /// Whether the weights are another op's (a head that is the embedding table).
    pub shared_weights: bool,
    /// How the weights are stored.
    pub storage: Storage,
    /// Width of an element of the bias in bits: no quantisation touches it.
    pub bias_bits: u64,
}

/// Which tokens run through an op.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rows {
    /// Every new one.
    All,
    /// Those after which a token is sampled; the reference implementation runs every new one.
    Sampled,
    /// Every new one; the reference implementation runs every one in its cache again, in every pass.
    Anew {
        /// What its cache keeps.
        cache: Mask,
    },
    /// One a pass of each sequence (a pooler).
    Pass,
    /// None: vectors of distances, once for a whole batch, as many as its longest sequence meets.
    Distances(Distances),
    /// Every new one of an encoder's one pass; the reference implementation runs as many as are a multiple of `to`, and
    /// `more` beside.
    Filled {
        /// What the sequence is filled up to.
        to: u64,
        /// Positions that it has then beside.
        more: u64,
        /// The longest sequence that is left as it is.
        beyond: u64,
    },
    /// None: sums of so many tokens each of an encoder's one pass, and none for those that are left.
    SumsOf(u64),
    /// None: the positions of the source that cross-attention attends to, once while a cache keeps what comes out.
    Source,
}

/// How many experts there are and how many a token runs through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Experts {
    /// All of them.
    pub total: u64,
    /// Those that a token is routed to.
    pub active: u64,
    /// Those that the reference implementation runs for each token.
    pub run_by_reference: u64,
    /// Which of them are here, and whose tokens run through them.
    pub spread: Spread,
}

/// How the experts of a layer are spread over ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Spread {
    /// Experts that are held here.
    pub held: u64,
    /// Ranks that share the rows of a replica's tokens evenly: routing is taken to be balanced.
    pub shared_by: u64,
    /// Tokens that are routed to the experts here, for each token of the replica: a numerator and a denominator.
    pub meets: [u64; 2],
}

impl Experts {
    /// `active` of `total`, all of them here, and the reference implementation runs no others.
    pub const fn routed(active: u64, total: u64) -> Self {
        let spread = Spread { held: total, shared_by: 1, meets: [1, 1] };
        Self { total, active, run_by_reference: active, spread }
    }

    /// Distinct experts of those here that so many tokens of the replica are routed to, expected:
    /// held · (1 − (1 − k/E)^t).
    pub(crate) fn distinct(&self, tokens: f64) -> f64 {
        self.spread.held as f64 * (1.0 - self.missed_by(tokens))
    }

    /// The probability that so many tokens of the replica are all routed past an expert.
    pub(crate) fn missed_by(&self, tokens: f64) -> f64 {
        let [meet, of] = self.spread.meets.map(|count| count as f64);
        (1.0 - self.active as f64 / self.total as f64).powf(tokens * meet / of)
    }
}

impl Linear {
    /// A dense product without a bias that every token runs through.
    pub const fn new(module: &'static str, component: Component, from: u64, to: u64) -> Self {
        Self {
            module,
            component,
            from,
            to,
            bias: 0,
            rows: Rows::All,
            experts: None,
            shared_weights: false,
            storage: Storage::plain(Dtype::Bf16),
            bias_bits: Dtype::Bf16.bits(),
        }
    }

    /// With a bias, if `present`.
    #[must_use]
    pub const fn bias(mut self, present: bool) -> Self {
        self.bias = if present { self.to } else { 0 };
        self
    }

    /// Routed to experts.
    #[must_use]
    pub const fn experts(mut self, experts: Experts) -> Self {
        self.experts = Some(experts);
        self
    }

    /// Run for sampled tokens only.
    #[must_use]
    pub const fn sampled(mut self) -> Self {
        self.rows = Rows::Sampled;
        self
    }

    /// Run for one row a pass of each sequence.
    #[must_use]
    pub const fn once_a_pass(mut self) -> Self {
        self.rows = Rows::Pass;
        self
    }

    /// Run over the source instead of the tokens.
    #[must_use]
    pub const fn of_source(mut self) -> Self {
        self.rows = Rows::Source;
        self
    }

    /// Run over the tokens of an encoder, which the reference implementation fills up.
    #[must_use]
    pub const fn filled(mut self, to: u64, more: u64) -> Self {
        self.rows = Rows::Filled { to, more, beyond: 0 };
        self
    }

    /// The same where the sequence is longer than `beyond`.
    #[must_use]
    pub const fn filled_beyond(mut self, to: u64, beyond: u64) -> Self {
        self.rows = Rows::Filled { to, more: 0, beyond };
        self
    }

    /// Run over sums of so many tokens each instead of the tokens.
    #[must_use]
    pub const fn of_sums(mut self, every: u64) -> Self {
        self.rows = Rows::SumsOf(every);
        self
    }

    /// Run over vectors of distances instead of the tokens.
    #[must_use]
    pub const fn of_distances(mut self, distances: Distances) -> Self {
        self.rows = Rows::Distances(distances);
        self
    }

    /// With the weights of another op, if `shared`.
    #[must_use]
    pub const fn sharing_weights(mut self, shared: bool) -> Self {
        self.shared_weights = shared;
        self
    }

    /// FLOPs of one row: what the work needs.
    pub fn flops_per_row(&self) -> u128 {
        self.flops_of(self.experts.map_or(1, |experts| experts.active))
    }

    /// FLOPs of one row as the reference implementation runs it.
    pub fn flops_per_row_by_reference(&self) -> u128 {
        self.flops_of(self.experts.map_or(1, |experts| experts.run_by_reference))
    }

    /// Sizes are at most 2^24 and widths products of two of them, so it fits.
    fn flops_of(&self, copies: u64) -> u128 {
        let shared_by = self.experts.map_or(1, |experts| experts.spread.shared_by);
        2 * u128::from(self.from) * u128::from(self.to) * u128::from(copies) / u128::from(shared_by)
    }

    /// Parameters, all experts included.
    pub fn parameters(&self) -> u128 {
        self.per_copy() * self.copies()
    }

    /// Parameters that one token's pass uses.
    pub fn active_parameters(&self) -> u128 {
        self.per_copy() * u128::from(self.experts.map_or(1, |experts| experts.active))
    }

    fn copies(&self) -> u128 {
        u128::from(self.experts.map_or(1, |experts| experts.spread.held))
    }

    fn per_copy(&self) -> u128 {
        if self.shared_weights {
            return u128::from(self.bias);
        }
        u128::from(self.from) * u128::from(self.to) + u128::from(self.bias)
    }

    /// Bits that one copy is stored in.
    pub fn stored_bits_per_copy(&self) -> u128 {
        let bias = u128::from(self.bias) * u128::from(self.bias_bits);
        if self.shared_weights { bias } else { self.storage.matrix_bits(self.from, self.to) + bias }
    }

    /// Bits that all copies are stored in.
    pub fn stored_bits(&self) -> u128 {
        self.stored_bits_per_copy() * self.copies()
    }
}

impl From<Linear> for Op {
    fn from(linear: Linear) -> Self {
        Self::Linear(linear)
    }
}
