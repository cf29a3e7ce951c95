//! The requests that are counted most: a decoder's, of its work alone, and of lengths that leave nothing to look at.

use super::Sums;
use crate::component::{Component, Counts};
use crate::exact::Short;
use crate::op::{Form, LatentFlops};
use crate::passes::{Mask, Passes, seen_in_window};
use crate::terms::{Amount, Each};
use crate::workload::Sequence;

/// FLOPs of one of each amount that the work of a request is a sum of. All of them together fit 64 bits, so that no sum of
/// their products with a [`Short`] request's counts has to be looked at.
#[derive(Debug, Clone, Default)]
pub(crate) struct TokenFlops {
    /// Of a token that is computed.
    computed: One,
    /// Of one that is sampled.
    sampled: One,
    /// Of a pair of a token and one of the last positions, by how many of these it sees.
    windows: Vec<(u64, One)>,
    /// Of a pair by another mask.
    others: Vec<(Mask, One)>,
    /// Of latent attention, which each phase carries out in its cheaper form.
    latents: Vec<Latent>,
}

/// FLOPs of one of an amount: all of them, and of each component.
#[derive(Debug, Clone, Default)]
struct One {
    all: u64,
    parts: Vec<(Component, u64)>,
}

/// FLOPs of latent attention in some layers.
#[derive(Debug, Clone)]
struct Latent {
    mask: Mask,
    /// Positions that a token sees.
    window: u64,
    /// Of a token that is taken between the latent and the heads.
    expansion: One,
    /// Of a pair, in each form.
    pairs: [One; 2],
}

/// What the phases of a request add up to.
pub(crate) struct Phases<'c> {
    pub prefill: &'c mut Counts,
    pub decode: &'c mut Counts,
    pub total: &'c mut u128,
}

impl Phases<'_> {
    /// So much of an amount in the first phase, and so much in the second.
    #[inline(always)]
    fn add(&mut self, one: &One, [before, after]: [u64; 2]) {
        *self.total += product(one.all, before + after);
        for &(component, flops) in &one.parts {
            self.prefill[component] += product(flops, before);
            self.decode[component] += product(flops, after);
        }
    }
}

impl TokenFlops {
    /// `None` where what a token sees is behind it, where something is chosen or done once for a pass, and where FLOPs do
    /// not fit.
    pub fn of(sums: &Sums) -> Option<Self> {
        let mut flops = Self::default();
        let mut all = 0_u64;
        let mut fit = |each: Each<'_>| {
            let one = One::of(each)?;
            all = all.checked_add(one.all)?;
            Some(one)
        };
        for term in sums.needed.iter() {
            match term.amount {
                Amount::Tokens => flops.computed = fit(term.each())?,
                Amount::Sampled => flops.sampled = fit(term.each())?,
                Amount::Pairs(mask) if mask.keeps_cache() => match mask.window() {
                    Some(window) => flops.windows.push((window, fit(term.each())?)),
                    None => flops.others.push((mask, fit(term.each())?)),
                },
                // Over text there is no source.
                Amount::SourceRows | Amount::SourcePairs => {}
                _ => return None,
            }
        }
        for latent in &sums.latents {
            flops.latents.push(Latent::of(latent, &mut fit)?);
        }
        sums.of_distances.is_empty().then_some(flops)
    }

    /// All FLOPs of a request; what a token costs in whichever pass it is, in one run of all tokens. `None` for a longer
    /// request, and if more is cached than the prompt has.
    #[inline]
    pub fn total(&self, sequence: &Sequence) -> Option<u128> {
        let Sequence { prompt, cached, .. } = *sequence;
        if sequence.end()? > Short::LONGEST {
            return None;
        }
        let (new, steps) = (prompt.checked_sub(cached)?, sequence.steps());
        let sampled = steps + u64::from(sequence.samples_first());
        let end = prompt + steps;
        let mut total =
            product(self.computed.all, new + steps) + product(self.sampled.all, sampled);
        for (window, one) in &self.windows {
            total += product(one.all, seen(end, *window)? - seen(cached, *window)?);
        }
        for (mask, one) in &self.others {
            let [before, after] = [cached, end].map(|n| seen_by_others(*mask, n));
            total += product(one.all, after?.checked_sub(before?)?);
        }
        for latent in &self.latents {
            for (passes, pairs) in latent.phases(sequence)? {
                total += latent.cheapest(passes, pairs)?.2;
            }
        }
        Some(total)
    }

    /// Adds a request, phase by phase; `None` for those for which [`Self::total`] has none, and then some may be added.
    #[inline]
    pub fn add(&self, sequence: &Sequence, phases: &mut Phases<'_>) -> Option<()> {
        let Sequence { prompt, cached, .. } = *sequence;
        if sequence.end()? > Short::LONGEST {
            return None;
        }
        let (new, steps) = (prompt.checked_sub(cached)?, sequence.steps());
        let end = prompt + steps;
        phases.add(&self.computed, [new, steps]);
        phases.add(&self.sampled, [sequence.samples_first().into(), steps]);
        for (window, one) in &self.windows {
            let [before, asked, all] =
                [seen(cached, *window)?, seen(prompt, *window)?, seen(end, *window)?];
            phases.add(one, [asked - before, all - asked]);
        }
        for (mask, one) in &self.others {
            let [before, asked, all] = [cached, prompt, end].map(|n| seen_by_others(*mask, n));
            phases.add(one, [asked?.checked_sub(before?)?, all?.checked_sub(asked?)?]);
        }
        for latent in &self.latents {
            for (at, (passes, pairs)) in latent.phases(sequence)?.into_iter().enumerate() {
                let (form, expanded, _) = latent.cheapest(passes, pairs)?;
                let in_phase = |amount| if at == 0 { [amount, 0] } else { [0, amount] };
                phases.add(&latent.expansion, in_phase(expanded));
                phases.add(&latent.pairs[form as usize], in_phase(pairs));
            }
        }
        Some(())
    }
}

impl One {
    /// `None` if they do not fit.
    fn of(each: Each<'_>) -> Option<Self> {
        let fit = |(component, flops): &(Component, u128)| {
            Some((*component, u64::try_from(*flops).ok()?))
        };
        let parts = each.parts.iter().map(fit).collect::<Option<_>>()?;
        Some(Self { all: u64::try_from(each.all).ok()?, parts })
    }
}

impl Latent {
    /// `None` where a token sees no window, or if FLOPs do not fit.
    fn of(latent: &LatentFlops, fit: &mut impl FnMut(Each<'_>) -> Option<One>) -> Option<Self> {
        let [expansion, expanded] = latent.each(Form::Expanded);
        let [_, absorbed] = latent.each(Form::Absorbed);
        Some(Self {
            mask: latent.mask,
            window: latent.mask.window()?,
            expansion: fit(expansion)?,
            pairs: [fit(expanded)?, fit(absorbed)?],
        })
    }

    /// The passes of each phase, and their pairs.
    #[inline(always)]
    fn phases(&self, sequence: &Sequence) -> Option<[(Passes, u64); 2]> {
        let Sequence { prompt, cached, .. } = *sequence;
        let steps = sequence.steps();
        let [before, asked, all] = [cached, prompt, prompt + steps].map(|n| seen(n, self.window));
        Some([
            (Passes::Prefill { past: cached, new: prompt - cached }, asked? - before?),
            (Passes::Decode { past: prompt, count: steps }, all? - asked?),
        ])
    }

    /// The cheaper form for some passes, tokens that are expanded in it, and its FLOPs; the expanded one where both cost
    /// the same.
    #[inline(always)]
    fn cheapest(&self, passes: Passes, pairs: u64) -> Option<(Form, u64, u128)> {
        let in_form = |form: Form| {
            let tokens = form.expanded_tokens_among(|| Some(Short(pairs)), passes, self.mask)?.0;
            let pair = self.pairs[form as usize].all;
            Some((form, tokens, product(self.expansion.all, tokens) + product(pair, pairs)))
        };
        let (expanded, absorbed) = (in_form(Form::Expanded)?, in_form(Form::Absorbed)?);
        Some(if absorbed.2 < expanded.2 { absorbed } else { expanded })
    }
}

/// Pairs of the first `n` tokens and the positions that each sees.
#[inline(always)]
fn seen(n: u64, window: u64) -> Option<u64> {
    seen_in_window(Short(n), window).map(|pairs| pairs.0)
}

/// The same by another mask. Few models have these, and the others should not pay for them.
#[inline(never)]
fn seen_by_others(mask: Mask, n: u64) -> Option<u64> {
    mask.seen_by_first(n)
}

fn product(flops: u64, amount: u64) -> u128 {
    u128::from(flops) * u128::from(amount)
}
