//! The requests that are counted most: a decoder's, of its work alone, and of lengths that leave nothing to look at.

use crate::exact::Short;
use crate::op::{Form, LatentFlops};
use crate::passes::{Mask, Passes, seen_in_window};
use crate::sums::Sums;
use crate::terms::Amount;
use crate::workload::Sequence;

/// FLOPs of one of each amount that the work of a request is a sum of. All of them together fit 64 bits, so that no sum of
/// their products with a [`Short`] request's counts has to be looked at.
///
/// What a token costs the same in whichever pass it is, is counted in one run of all tokens.
#[derive(Debug, Clone, Default)]
pub(super) struct TokenFlops {
    /// Of a token that is computed.
    computed: u64,
    /// Of one that is sampled.
    sampled: u64,
    /// Of a pair of a token and one of the last positions, by how many of these it sees.
    windows: Vec<(u64, u64)>,
    /// Of a pair by another mask.
    others: Vec<(Mask, u64)>,
    /// Of latent attention, which each phase carries out in its cheaper form.
    latents: Vec<Latent>,
}

/// FLOPs of latent attention in some layers.
#[derive(Debug, Clone)]
struct Latent {
    mask: Mask,
    /// Positions that a token sees.
    window: u64,
    /// Of a token that is taken between the latent and the heads.
    expansion: u64,
    /// Of a pair, in each form.
    pairs: [u64; 2],
}

impl TokenFlops {
    /// `None` where what a token sees is behind it, where something is chosen or done once for a pass, and where FLOPs do
    /// not fit.
    pub(super) fn of(sums: &Sums) -> Option<Self> {
        let mut flops = Self::default();
        let mut all = 0_u64;
        let mut fit = |each: u128| {
            let each = u64::try_from(each).ok()?;
            all = all.checked_add(each)?;
            Some(each)
        };
        for term in sums.needed.iter() {
            let each = term.each().all;
            match term.amount {
                Amount::Tokens => flops.computed = fit(each)?,
                Amount::Sampled => flops.sampled = fit(each)?,
                Amount::Pairs(mask) if mask.keeps_cache() => match mask.window() {
                    Some(window) => flops.windows.push((window, fit(each)?)),
                    None => flops.others.push((mask, fit(each)?)),
                },
                // Over text there is no source.
                Amount::SourceRows | Amount::SourcePairs => {}
                _ => return None,
            }
        }
        for latent in &sums.latents {
            flops.latents.push(Latent::of(latent, &mut fit)?);
        }
        Some(flops)
    }

    /// `None` for a longer request, and if more is cached than the prompt has.
    #[inline]
    pub(super) fn total(&self, sequence: &Sequence) -> Option<u128> {
        let Sequence { prompt, cached, .. } = *sequence;
        if sequence.end()? > Short::LONGEST {
            return None;
        }
        let (new, steps) = (prompt.checked_sub(cached)?, sequence.steps());
        let sampled = steps + u64::from(sequence.samples_first());
        let end = prompt + steps;
        let mut total = product(self.computed, new + steps) + product(self.sampled, sampled);
        for &(window, flops) in &self.windows {
            total += product(flops, seen(end, window)? - seen(cached, window)?);
        }
        for &(mask, flops) in &self.others {
            total += product(flops, pairs_of_others(mask, cached, end)?);
        }
        for latent in &self.latents {
            let seen = |n: u64| seen(n, latent.window);
            let (before, asked, all) = (seen(cached)?, seen(prompt)?, seen(end)?);
            total += latent.least(Passes::Prefill { past: cached, new }, asked - before)?;
            total += latent.least(Passes::Decode { past: prompt, count: steps }, all - asked)?;
        }
        Some(total)
    }
}

impl Latent {
    /// `None` where a token sees no window, or if FLOPs do not fit.
    fn of(latent: &LatentFlops, fit: &mut impl FnMut(u128) -> Option<u64>) -> Option<Self> {
        let [expanded, absorbed] = Form::ALL.map(|form| latent.each(form).map(|each| each.all));
        Some(Self {
            mask: latent.mask,
            window: latent.mask.window()?,
            expansion: fit(expanded[0])?,
            pairs: [fit(expanded[1])?, fit(absorbed[1])?],
        })
    }

    /// FLOPs of some passes in the cheaper form.
    #[inline(always)]
    fn least(&self, passes: Passes, pairs: u64) -> Option<u128> {
        let expanded = self.in_form(Form::Expanded, passes, pairs)?;
        let absorbed = self.in_form(Form::Absorbed, passes, pairs)?;
        Some(expanded.min(absorbed))
    }

    #[inline(always)]
    fn in_form(&self, form: Form, passes: Passes, pairs: u64) -> Option<u128> {
        let tokens = form.expanded_tokens_among(|| Some(Short(pairs)), passes, self.mask)?;
        Some(product(self.expansion, tokens.0) + product(self.pairs[form as usize], pairs))
    }
}

/// Pairs of the first `n` tokens and the positions that each sees.
#[inline(always)]
fn seen(n: u64, window: u64) -> Option<u64> {
    seen_in_window(Short(n), window).map(|pairs| pairs.0)
}

/// Pairs of the tokens from the first that is not cached. Few models have these masks, and the others should not pay for
/// them.
#[inline(never)]
fn pairs_of_others(mask: Mask, cached: u64, end: u64) -> Option<u64> {
    mask.seen_by_first(end)?.checked_sub(mask.seen_by_first(cached)?)
}

fn product(flops: u64, amount: u64) -> u128 {
    u128::from(flops) * u128::from(amount)
}
