//! What chooses the keys that sparse attention looks at.

use super::{Op, Storage};
use crate::dtype::Dtype;
use crate::passes::Mask;

/// The scores of an indexer, without its projections (DeepSeek-V3.2's lightning indexer,
/// arXiv:2512.02556, section 2.1).
///
/// ```text
/// heads   q[heads, s, dim] · k[t, dim]ᵀ     -> [heads, s, t]     2·heads·dim a pair
/// sum     w[s, heads] · relu(those)         -> [s, t]            2·heads a pair
/// ```
///
/// Every key in sight is scored, by heads that share one key a token. The cache keeps that key.
/// Choosing the best scores is not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Indexer {
    /// Name in the reference implementation, below the layer.
    pub module: &'static str,
    /// Heads of its queries.
    pub heads: u64,
    /// Width of a query and of a key.
    pub dim: u64,
    /// What it may choose from.
    pub mask: Mask,
    /// What becomes of the scores of several heads.
    pub sum: HeadSum,
    /// Whether the reference implementation scores for each query only what it sees, and no rectangles.
    pub only_pairs: bool,
    /// How an element of the cache is stored.
    pub cache: Storage,
}

/// What becomes of an indexer's scores of several heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HeadSum {
    /// They are weighed and added up, as a product.
    Product,
    /// They are weighed and added up; the reference implementation does so element by element.
    Elements,
    /// They are not weighed.
    None,
}

impl Indexer {
    /// The indexer of a layer.
    ///
    /// ```
    /// use flopmeter::op::Indexer;
    /// // DeepSeek-V3.2: 64 heads of 128.
    /// let indexer = Indexer::new("self_attn.indexer", 64, 128);
    /// assert_eq!(indexer.flops_per_pair(), 2 * 64 * 128 + 2 * 64);
    /// assert_eq!(indexer.cached_elements_per_token(), 128);
    /// ```
    pub const fn new(module: &'static str, heads: u64, dim: u64) -> Self {
        Self {
            module,
            heads,
            dim,
            mask: Mask::Causal,
            sum: HeadSum::Product,
            only_pairs: false,
            cache: Storage::plain(Dtype::Bf16),
        }
    }

    /// FLOPs of the score of one pair, the sum over the heads included.
    pub fn flops_per_pair(&self) -> u128 {
        self.flops(self.sum != HeadSum::None)
    }

    /// FLOPs of it that PyTorch's counter sees.
    pub fn flops_per_pair_by_reference(&self) -> u128 {
        self.flops(self.sum == HeadSum::Product)
    }

    fn flops(&self, summed: bool) -> u128 {
        2 * u128::from(self.heads) * (u128::from(self.dim) + u128::from(summed))
    }

    /// Elements that the cache keeps of a token, or of an entry that stands for several.
    pub fn cached_elements_per_token(&self) -> u128 {
        self.dim.into()
    }

    /// Bits that the cache keeps of it.
    pub fn cached_bits_per_token(&self) -> u128 {
        self.cached_elements_per_token() * self.cache.matrix_bits(1, 1)
    }
}

impl From<Indexer> for Op {
    fn from(indexer: Indexer) -> Self {
        Self::Indexer(indexer)
    }
}
