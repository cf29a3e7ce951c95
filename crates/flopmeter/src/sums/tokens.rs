//! The requests that are counted most: a decoder's, of its work alone, and of lengths that leave nothing to look at.

use super::Sums;
use crate::component::{Component, Counts};
use crate::exact::Short;
use crate::op::{Form, InForm, LatentFlops};
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

/// Positions of a [`Short`] request: how many there are at each of its ends.
struct Lengths {
    cached: u64,
    prompt: u64,
    /// After the last pass.
    end: u64,
    /// Passes after the one over the prompt, of a token each.
    steps: u64,
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
        let lengths @ Lengths { cached, end, steps, .. } = Lengths::of(sequence)?;
        let sampled = steps + u64::from(sequence.samples_first());
        let mut total =
            product(self.computed.all, end - cached) + product(self.sampled.all, sampled);
        for (window, one) in &self.windows {
            total += product(one.all, seen(end, *window)? - seen(cached, *window)?);
        }
        for (mask, one) in &self.others {
            let [before, after] = [cached, end].map(|n| seen_by_others(*mask, n));
            total += product(one.all, after?.checked_sub(before?)?);
        }
        for latent in &self.latents {
            let [prefill, decode] = latent.phases(&lengths)?;
            total += prefill.flops + decode.flops;
        }
        Some(total)
    }

    /// Adds a request to the counts of its phases and gives all its FLOPs; `None` for those for which [`Self::total`] has
    /// none, and then some may be added.
    #[inline]
    pub fn add(&self, sequence: &Sequence, phases: [&mut Counts; 2]) -> Option<u128> {
        let lengths @ Lengths { cached, prompt, end, steps } = Lengths::of(sequence)?;
        let first = u64::from(sequence.samples_first());
        let [prefill, decode] = phases;
        let mut total = self.computed.add([prompt - cached, steps], prefill, decode);
        total += self.sampled.add([first, steps], prefill, decode);
        for (window, one) in &self.windows {
            let [before, asked, all] =
                [seen(cached, *window)?, seen(prompt, *window)?, seen(end, *window)?];
            total += one.add([asked - before, all - asked], prefill, decode);
        }
        for (mask, one) in &self.others {
            let [before, asked, all] = [cached, prompt, end].map(|n| seen_by_others(*mask, n));
            let pairs = [asked?.checked_sub(before?)?, all?.checked_sub(asked?)?];
            total += one.add(pairs, prefill, decode);
        }
        for latent in &self.latents {
            let [first, later] = latent.phases(&lengths)?;
            total += latent.expansion.add([first.expanded.0, later.expanded.0], prefill, decode);
            total += latent.pair(first.form).add_to(prefill, first.pairs.0);
            total += latent.pair(later.form).add_to(decode, later.pairs.0);
        }
        Some(total)
    }
}

impl Lengths {
    #[inline(always)]
    fn of(sequence: &Sequence) -> Option<Self> {
        let (Sequence { prompt, cached, .. }, steps) = (*sequence, sequence.steps());
        let is_short = sequence.end()? <= Short::LONGEST && cached <= prompt;
        is_short.then(|| Self { cached, prompt, end: prompt + steps, steps })
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

    /// Adds so much of the amount in each phase, and gives all its FLOPs.
    #[inline(always)]
    fn add(&self, [before, after]: [u64; 2], prefill: &mut Counts, decode: &mut Counts) -> u128 {
        for &(component, flops) in &self.parts {
            prefill[component] += product(flops, before);
            decode[component] += product(flops, after);
        }
        product(self.all, before + after)
    }

    /// Adds so much of it, and gives all its FLOPs.
    #[inline(always)]
    fn add_to(&self, counts: &mut Counts, amount: u64) -> u128 {
        for &(component, flops) in &self.parts {
            counts[component] += product(flops, amount);
        }
        product(self.all, amount)
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

    /// Each phase in its cheaper form.
    #[inline(always)]
    fn phases(&self, lengths: &Lengths) -> Option<[InForm<Short>; 2]> {
        let Lengths { cached, prompt, end, steps } = *lengths;
        let [before, asked, all] = [cached, prompt, end].map(|n| seen(n, self.window));
        let (before, asked, all) = (before?, asked?, all?);
        let prefill = Passes::Prefill { past: cached, new: prompt - cached };
        let decode = Passes::Decode { past: prompt, count: steps };
        Some([self.cheapest(prefill, asked - before)?, self.cheapest(decode, all - asked)?])
    }

    #[inline(always)]
    fn cheapest(&self, passes: Passes, pairs: u64) -> Option<InForm<Short>> {
        let pair = self.pairs.each_ref().map(|pair| pair.all.into());
        Form::cheapest(passes, self.mask, Short(pairs), self.expansion.all.into(), pair)
    }

    #[inline(always)]
    fn pair(&self, form: Form) -> &One {
        &self.pairs[form as usize]
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
