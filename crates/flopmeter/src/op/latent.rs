//! Multi-head latent attention: scores and values over a compressed cache.

use super::{Op, Storage};
use crate::component::Component;
use crate::dtype::Dtype;
use crate::exact::{Whole, times};
use crate::passes::{Mask, Passes};
use crate::terms::{Amount, Each, Terms};
use crate::workload::Run;

/// Latent attention of one layer (DeepSeek-V2, arXiv:2405.04434, section 2.1), without the projections
/// before the latent and after the values.
///
/// The cache keeps one latent of `rank` and one rotary key of `rope` a token, for all heads. Two exact
/// forms give the same result:
///
/// ```text
/// expanded  latent[t, rank] · Wᵀ[rank, heads·(nope + v)]      2·rank·heads·(nope + v) a cached token
///           scores  q[heads, s, nope + rope] · k              2·heads·(nope + rope) a pair
///           values  p[heads, s, t] · v[heads, t, v]           2·heads·v a pair
/// absorbed  q[heads, s, nope] · W_k, and later · W_v          2·rank·heads·(nope + v) a new token
///           scores  q[heads, s, rank + rope] · latent         2·heads·(rank + rope) a pair
///           values  p[heads, s, t] · latent[t, rank]          2·heads·rank a pair
/// ```
///
/// Expanding is cheaper for a prompt, absorbing for a decode step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Latent {
    /// Name in the reference implementation, below the layer.
    pub module: &'static str,
    /// Heads, of queries and of keys and values alike.
    pub heads: u64,
    /// Width of the cached latent.
    pub rank: u64,
    /// Width of a key's part that comes from the latent.
    pub nope: u64,
    /// Width of a key's rotary part, which all heads share.
    pub rope: u64,
    /// Width of a value.
    pub value: u64,
    /// What a token sees.
    pub mask: Mask,
    /// How the expansion's weights are stored.
    pub storage: Storage,
    /// How an element of the cache is stored.
    pub cache: Storage,
    /// Ranks that share the cache by its tokens.
    pub cache_ranks: u64,
}

/// How latent attention is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// Keys and values are made from every latent in sight, in every pass.
    Expanded,
    /// Queries and values are taken into the latent space instead.
    Absorbed,
}

impl Form {
    /// Both forms.
    pub const ALL: [Self; 2] = [Self::Expanded, Self::Absorbed];

    /// The name that `explain` prints.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Expanded => "expanded",
            Self::Absorbed => "absorbed",
        }
    }

    /// Tokens that are taken between the latent and the heads.
    pub fn expanded_tokens(self, passes: Passes, mask: Mask) -> Option<u128> {
        self.expanded_tokens_among(|| passes.pairs(mask), passes, mask)
    }

    /// The same where the pairs of the mask are known, of which it may be made.
    #[inline(always)]
    pub(crate) fn expanded_tokens_among<N: Whole>(
        self,
        pairs: impl FnOnce() -> Option<N>,
        passes: Passes,
        mask: Mask,
    ) -> Option<N> {
        match self {
            Self::Expanded => passes.context_among(pairs, mask),
            Self::Absorbed => N::of(passes.tokens()?),
        }
    }

    /// The cheaper form for some passes that have `pairs`, the expanded one where both cost the same. An expanded token
    /// costs `expansion`, a pair in each form one of `pair`.
    #[inline(always)]
    pub(crate) fn cheapest<N: Whole>(
        passes: Passes,
        mask: Mask,
        pairs: N,
        expansion: u128,
        [expanded, absorbed]: [u128; 2],
    ) -> Option<InForm<N>> {
        let expanded = Self::Expanded.over(passes, mask, pairs, [expansion, expanded])?;
        let absorbed = Self::Absorbed.over(passes, mask, pairs, [expansion, absorbed])?;
        Some(if absorbed.flops < expanded.flops { absorbed } else { expanded })
    }

    /// Some passes in this form.
    #[inline(always)]
    fn over<N: Whole>(
        self,
        passes: Passes,
        mask: Mask,
        pairs: N,
        [expansion, pair]: [u128; 2],
    ) -> Option<InForm<N>> {
        let expanded = self.expanded_tokens_among(|| Some(pairs), passes, mask)?;
        let flops = times(expansion, expanded.into())?.checked_add(times(pair, pairs.into())?)?;
        Some(InForm { form: self, expanded, pairs, flops })
    }
}

/// Latent attention of some passes in a form.
pub(crate) struct InForm<N> {
    pub form: Form,
    /// Tokens that are taken between the latent and the heads.
    pub expanded: N,
    pub pairs: N,
    pub flops: u128,
}

impl Latent {
    /// Latent attention of a layer.
    pub const fn new(
        module: &'static str,
        heads: u64,
        rank: u64,
        nope: u64,
        rope: u64,
        value: u64,
    ) -> Self {
        let bf16 = Storage::plain(Dtype::Bf16);
        let mask = Mask::Causal;
        let (storage, cache, cache_ranks) = (bf16, bf16, 1);
        Self { module, heads, rank, nope, rope, value, mask, storage, cache, cache_ranks }
    }

    /// With tokens that see only `most` positions, which an [`Indexer`](super::Indexer) chooses.
    ///
    /// The reference implementation masks the others and multiplies all.
    #[must_use]
    pub const fn selecting(mut self, most: u64) -> Self {
        self.mask = Mask::Selected { most };
        self
    }

    /// What the reference implementation's cache keeps: a window, or everything.
    pub fn cache_mask(&self) -> Mask {
        match self.mask {
            Mask::Sliding { .. } => self.mask,
            _ => Mask::Causal,
        }
    }

    /// FLOPs of taking one token between the latent and the heads: the same in both forms.
    pub fn expansion_flops_per_token(&self) -> u128 {
        2 * u128::from(self.rank) * self.heads_of(self.nope + self.value)
    }

    /// FLOPs of the scores of one pair in a form.
    pub fn score_flops_per_pair(&self, form: Form) -> u128 {
        match form {
            Form::Expanded => 2 * self.heads_of(self.nope + self.rope),
            Form::Absorbed => 2 * self.heads_of(self.rank + self.rope),
        }
    }

    /// FLOPs of the values of one pair in a form.
    pub fn value_flops_per_pair(&self, form: Form) -> u128 {
        match form {
            Form::Expanded => 2 * self.heads_of(self.value),
            Form::Absorbed => 2 * self.heads_of(self.rank),
        }
    }

    /// FLOPs of a row and of a pair, in `repeat` layers; `None` if they do not fit.
    pub(crate) fn flops(&self, repeat: u64) -> Option<LatentFlops> {
        let all = |flops: u128| flops.checked_mul(repeat.into());
        let pair = |form| {
            let (scores, values) =
                (all(self.score_flops_per_pair(form))?, all(self.value_flops_per_pair(form))?);
            scores.checked_add(values)?;
            Some([(Component::AttentionScores, scores), (Component::AttentionValues, values)])
        };
        Some(LatentFlops {
            mask: self.mask,
            cache_mask: self.cache_mask(),
            expansion: [(Component::AttentionProjections, all(self.expansion_flops_per_token())?)],
            pairs: [pair(Form::Expanded)?, pair(Form::Absorbed)?],
        })
    }

    /// Parameters of the expansion.
    pub fn parameters(&self) -> u128 {
        u128::from(self.rank) * self.heads_of(self.nope + self.value)
    }

    /// Bits that the expansion's weights are stored in.
    pub fn stored_bits(&self) -> u128 {
        self.storage.matrix_bits(self.rank, self.heads * (self.nope + self.value))
    }

    /// Elements that the cache keeps of a token.
    pub fn cached_elements_per_token(&self) -> u128 {
        u128::from(self.rank) + u128::from(self.rope)
    }

    /// Bits that the cache keeps of a token, a rank's share of them where some share it.
    pub fn cached_bits_per_token(&self) -> u128 {
        let bits = self.cached_elements_per_token() * self.cache.matrix_bits(1, 1);
        bits.div_ceil(self.cache_ranks.into())
    }

    fn heads_of(&self, width: u64) -> u128 {
        u128::from(self.heads) * u128::from(width)
    }
}

/// FLOPs of latent attention in some layers, by what they are multiplied by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LatentFlops {
    /// What a token sees.
    pub mask: Mask,
    /// What the reference implementation's cache keeps.
    cache_mask: Mask,
    /// Of a token that is taken between the latent and the heads.
    expansion: [(Component, u128); 1],
    /// Of a pair, in each form; the sum fits.
    pairs: [[(Component, u128); 2]; 2],
}

impl LatentFlops {
    /// Adds what the reference implementation runs: all latents expanded, whole score matrices.
    pub fn add_by_reference(&self, terms: &mut Terms) -> Option<()> {
        let [(component, flops)] = self.expansion;
        terms.push(Amount::Context(self.cache_mask), component, flops)?;
        for (component, flops) in self.pairs[Form::Expanded as usize] {
            terms.push(Amount::Squares(self.cache_mask), component, flops)?;
        }
        Some(())
    }

    /// The cheaper form for a run of passes, the expanded one where both cost the same.
    pub fn cheapest(&self, passes: Passes) -> Option<Form> {
        Some(self.cheapest_over(passes, passes.pairs(self.mask)?)?.form)
    }

    /// The same where the pairs are known.
    fn cheapest_over<N: Whole>(&self, passes: Passes, pairs: N) -> Option<InForm<N>> {
        let each = Form::ALL.map(|form| self.each(form).map(|each| each.all));
        let [[expansion, expanded], [_, absorbed]] = each;
        Form::cheapest(passes, self.mask, pairs, expansion, [expanded, absorbed])
    }

    /// Visits what some runs are a sum of, each in its cheaper form.
    pub fn visit<N: Whole, const RUNS: usize>(
        &self,
        runs: &[Run; RUNS],
        visit: &mut impl FnMut(Each<'_>, [N; RUNS]) -> Option<()>,
    ) -> Option<()> {
        let pairs: [N; RUNS] = Passes::pairs_of(runs.each_ref().map(|run| run.passes), self.mask)?;
        let (mut expanded, mut in_form) = ([N::from(0); RUNS], [[N::from(0); RUNS]; 2]);
        for (at, run) in runs.iter().enumerate() {
            let cheapest = self.cheapest_over(run.passes, pairs[at])?;
            expanded[at] = cheapest.expanded;
            in_form[cheapest.form as usize][at] = pairs[at];
        }
        visit(self.each(Form::Expanded)[0], expanded)?;
        for (form, pairs) in Form::ALL.into_iter().zip(in_form) {
            visit(self.each(form)[1], pairs)?;
        }
        Some(())
    }

    /// FLOPs of a token that is expanded, and of a pair.
    pub fn each(&self, form: Form) -> [Each<'_>; 2] {
        let pair = &self.pairs[form as usize];
        [
            Each { all: self.expansion[0].1, parts: &self.expansion },
            Each { all: pair[0].1 + pair[1].1, parts: pair },
        ]
    }
}

impl From<Latent> for Op {
    fn from(latent: Latent) -> Self {
        Self::Latent(latent)
    }
}
