//! Scores and values of attention over keys and values.

use super::{Op, Storage};
use crate::passes::Mask;

/// Attention of one layer, without its projections.
///
/// ```text
/// scores  q[heads, s, qk] · k[heads, t, qk]ᵀ -> [heads, s, t]     2·heads·qk a pair
/// values  p[heads, s, t]  · v[heads, t, v]   -> [heads, s, v]     2·heads·v a pair
/// ```
///
/// A pair is a query and a key that it is multiplied with. Sharing keys among queries changes no FLOPs:
/// `kv_heads` only moves bytes. Softmax, scaling, sinks, rotary embedding and the mask are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Attention {
    /// Name in the reference implementation, below the layer.
    pub module: &'static str,
    /// Query heads.
    pub heads: u64,
    /// Heads of keys and values.
    pub kv_heads: u64,
    /// Width of a query and of a key.
    pub qk_dim: u64,
    /// Width of a value.
    pub v_dim: u64,
    /// What a token sees.
    pub mask: Mask,
    /// What the reference implementation's cache takes the mask for.
    ///
    /// It differs from `mask` where a window is only masked and never cut from the cache (GPT-Neo).
    pub cache_mask: Mask,
    /// Whether it reads the keys and values that an earlier layer keeps, and keeps none itself.
    pub shares_cache: bool,
    /// Whether the values are the keys, kept once.
    pub keys_are_values: bool,
    /// How often the reference implementation multiplies all of it.
    pub runs_by_reference: u64,
    /// What the reference implementation fills the widths of a head up to a multiple of, before it multiplies.
    pub filled_by_reference: u64,
    /// How an element of the cache is stored.
    pub cache: Storage,
    /// Ranks that share the cache by its tokens.
    pub cache_ranks: u64,
}

impl Attention {
    /// FLOPs of the scores of one pair.
    ///
    /// ```
    /// use flopmeter::op::Attention;
    /// use flopmeter::passes::Mask;
    /// // Llama-3.1-8B: 32 heads of 128.
    /// let layer = Attention::new("self_attn", 32, 8, 128, 128, Mask::Causal);
    /// assert_eq!(layer.score_flops_per_pair(), 2 * 32 * 128);
    /// assert_eq!(layer.cached_elements_per_token(), 2 * 8 * 128);
    /// ```
    pub fn score_flops_per_pair(&self) -> u128 {
        2 * u128::from(self.heads) * u128::from(self.qk_dim)
    }

    /// FLOPs of the values of one pair.
    pub fn value_flops_per_pair(&self) -> u128 {
        2 * u128::from(self.heads) * u128::from(self.v_dim)
    }

    /// Attention of a layer.
    pub const fn new(
        module: &'static str,
        heads: u64,
        kv_heads: u64,
        qk_dim: u64,
        v_dim: u64,
        mask: Mask,
    ) -> Self {
        Self {
            module,
            heads,
            kv_heads,
            qk_dim,
            v_dim,
            mask,
            cache_mask: mask,
            shares_cache: false,
            keys_are_values: false,
            runs_by_reference: 1,
            filled_by_reference: 1,
            cache: Storage::plain(crate::Dtype::Bf16),
            cache_ranks: 1,
        }
    }

    /// The same with the widths that the reference implementation multiplies.
    #[must_use]
    pub const fn by_reference(mut self) -> Self {
        self.qk_dim = self.qk_dim.next_multiple_of(self.filled_by_reference);
        self.v_dim = self.v_dim.next_multiple_of(self.filled_by_reference);
        self
    }

    /// With the keys and values of an earlier layer, if `shared`.
    #[must_use]
    pub const fn sharing_cache(mut self, shared: bool) -> Self {
        self.shares_cache = shared;
        self
    }

    /// Elements that the cache keeps of a token, for this layer or the one that it shares with: a key and a value for each KV head, or one vector that is both.
    pub fn cached_elements_per_token(&self) -> u128 {
        let values = if self.keys_are_values { 0 } else { self.v_dim };
        u128::from(self.kv_heads) * (u128::from(self.qk_dim) + u128::from(values))
    }

    /// Bits that the cache keeps of a token, a rank's share of them where some share it.
    pub fn cached_bits_per_token(&self) -> u128 {
        let bits = self.cached_elements_per_token() * self.cache.matrix_bits(1, 1);
        bits.div_ceil(self.cache_ranks.into())
    }
}

impl From<Attention> for Op {
    fn from(attention: Attention) -> Self {
        Self::Attention(attention)
    }
}
