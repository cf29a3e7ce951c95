//! What a step is made of: the passes of a draft, and the pass that verifies them.

use super::pieces::{Cost, Expected, Piece, straight};
use super::starts::{Moments, Starts};
use crate::component::Counts;
use crate::convention::Rule;
use crate::exact::times;
use crate::model::Model;
use crate::passes::{Mask, Passes};

/// The decode phase of one sequence: `tokens` after the first, at offsets 0 to `tokens − 1`.
///
/// A step that begins at an offset has the token there as its last known one, which nobody has computed yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub starts: Starts,
    pub prompt: u64,
    /// Whether a prefill pass runs.
    pub computed: bool,
    pub tokens: u64,
}

/// The most ends of chunks at which a run is cut. What is beyond is taken as the mean of one chunk.
const MOST_ENDS: u64 = 256;

impl Run {
    /// Tokens that a step drafts: one less than are left, at most K.
    pub fn offered(&self, offset: u64) -> u64 {
        (self.starts.step - 1).min(self.tokens - 1 - offset)
    }

    /// The target's pass of a step: the last known token and the drafted ones.
    pub fn verification(&self, offset: u64) -> Passes {
        Passes::Prefill { past: self.prompt + offset, new: self.offered(offset) + 1 }
    }

    /// A cost of each step, summed over all. `model` says where the cost may fall back.
    pub fn over_steps<const N: usize>(
        &self,
        model: &Model,
        cost: Cost<'_, N>,
    ) -> Option<[Expected; N]> {
        self.summed(model, self.tokens, cost, |from, to| self.starts.moments(from, to))
    }

    /// A cost of each offset before `end`, summed with a weight.
    pub fn summed<const N: usize>(
        &self,
        model: &Model,
        end: u64,
        cost: Cost<'_, N>,
        weight: impl Fn(u64, u64) -> Option<Moments>,
    ) -> Option<[Expected; N]> {
        let mut sums = [Expected::default(); N];
        self.cuts(model).pieces(0, end, cost, &mut |piece| {
            let moments = weight(piece.from, piece.to)?;
            for (at, sum) in sums.iter_mut().enumerate() {
                sum.add_steps(&piece, at, moments)?;
            }
            Some(())
        })?;
        Some(sums)
    }

    /// Offsets at which a cost may turn: after the first step, as a window fills, at ends of chunks, near the
    /// answer's end.
    pub fn cuts(&self, model: &Model) -> Cuts {
        let end_is_near = self.tokens.saturating_sub(self.starts.step - 1);
        let mut cuts = Cuts { at: vec![1, end_is_near], mean: None };
        for mask in model.masks() {
            let full = match mask {
                Mask::Sliding { window } | Mask::Selected { most: window } => Some(window),
                // Entries and blocks come by steps, which are taken as straight where there are many.
                Mask::Compressed { every: size, most: Some(most) }
                | Mask::Blocks { size, most, .. } => Some(size.saturating_mul(most)),
                _ => None,
            };
            if let Some(full) = full.map(|full| full.saturating_sub(self.prompt)) {
                cuts.at.extend([full.saturating_sub(1), full, full.saturating_add(1)]);
            }
            let Mask::Chunked { chunk } = mask else { continue };
            let mut end = chunk - self.prompt % chunk;
            for _ in 0..MOST_ENDS {
                // A step that begins shortly before it has tokens on both sides, and so may the token before a step.
                let before = end.saturating_sub(self.starts.step - 1);
                cuts.at.extend([before, end, end.saturating_add(1)]);
                end = end.saturating_add(chunk);
            }
            if end < end_is_near && cuts.mean.is_none_or(|mean| end < mean.from) {
                cuts.mean = Some(Mean { from: end, to: end_is_near, chunk });
            }
        }
        cuts
    }
}

/// Where a cost may fall back or turn the other way.
#[derive(Debug, Clone, Default)]
pub(super) struct Cuts {
    at: Vec<u64>,
    mean: Option<Mean>,
}

/// A range in which the mean of a chunk stands in for each.
#[derive(Debug, Clone, Copy)]
struct Mean {
    from: u64,
    to: u64,
    chunk: u64,
}

impl Cuts {
    /// With those of another run.
    pub fn and(mut self, other: Self) -> Self {
        self.at.extend(other.at);
        self.mean = match (self.mean, other.mean) {
            (Some(one), Some(other)) => {
                Some(Mean { from: one.from.max(other.from), to: one.to.min(other.to), ..one })
            }
            (one, other) => one.or(other),
        };
        self
    }

    /// The straight pieces of a cost over `from..to`.
    pub fn pieces<const N: usize>(
        &self,
        from: u64,
        to: u64,
        cost: Cost<'_, N>,
        visit: &mut dyn FnMut(Piece<N>) -> Option<()>,
    ) -> Option<()> {
        let mut cuts: Vec<u64> = self.at.iter().copied().chain([to]).collect();
        if let Some(Mean { from, to, .. }) = self.mean {
            cuts.retain(|cut| *cut <= from || *cut >= to);
            cuts.extend([from, to]);
        }
        cuts.retain(|cut| (from..=to).contains(cut));
        cuts.sort_unstable();
        cuts.dedup();
        let mut from = from;
        for to in cuts {
            match self.mean {
                Some(mean) if (mean.from..mean.to).contains(&from) && to - from > mean.chunk => {
                    visit(mean_of_chunk(from, to, mean.chunk, cost)?)?;
                }
                _ => straight(from, to, cost, visit)?,
            }
            from = to;
        }
        Some(())
    }
}

/// A straight line through the chunks of a range: through the mean of the first, with the rise from it to the next.
fn mean_of_chunk<const N: usize>(
    from: u64,
    to: u64,
    chunk: u64,
    cost: Cost<'_, N>,
) -> Option<Piece<N>> {
    let every = Starts { step: 2, acceptance: 0.0 };
    let mut sums = [Expected::default(); N];
    straight(from, from + chunk, cost, &mut |piece| {
        let moments = every.moments(piece.from, piece.to)?;
        for (at, sum) in sums.iter_mut().enumerate() {
            sum.add_steps(&piece, at, moments)?;
        }
        Some(())
    })?;
    let (here, next) = (cost(from)?, cost(from + chunk)?);
    let mut piece = Piece { from, to, first: [0; N], rise: [0; N], over: chunk };
    for at in 0..N {
        let mean = sums[at].whole / u128::from(chunk);
        let rise = next[at].saturating_sub(here[at]);
        let to_middle = times(rise, (chunk - 1).into())? / (2 * u128::from(chunk));
        piece.first[at] = mean.saturating_sub(to_middle);
        piece.rise[at] = i128::try_from(rise).ok()?;
    }
    Some(piece)
}

/// What drafts: a model of its own, or layers that predict further tokens.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    /// The model, or one of the layers.
    pub model: Model,
    /// How many layers that predict there are, if it is those.
    pub prediction_layers: Option<u64>,
}

impl Draft {
    /// How many of its parts are stored.
    pub fn stored(&self) -> u64 {
        self.prediction_layers.unwrap_or(1)
    }

    /// How many of them draft `tokens` tokens: each layer predicts one, and the last ones again if more are asked for.
    pub fn used(&self, tokens: u64) -> u64 {
        self.stored().min(tokens)
    }

    /// The passes of a step that begins at an offset, one token each.
    ///
    /// A layer that predicts takes a token together with the hidden state of the one before it, so its positions are
    /// one behind, and its pass over the prompt drafts the first token of the first step.
    pub fn passes(&self, run: &Run, offset: u64) -> Passes {
        let (past, count) = (run.prompt + offset, run.offered(offset));
        match self.prediction_layers {
            None => Passes::Decode { past, count },
            Some(_) if offset == 0 && (run.computed || run.prompt == 0) => {
                let made = self.used(run.starts.step - 1);
                Passes::Decode { past, count: count.saturating_sub(made) }
            }
            Some(_) => Passes::Decode { past: past - 1, count },
        }
    }

    /// FLOPs of all of a run's passes, expected.
    pub fn flops(&self, run: &Run, rule: Rule) -> Option<[Expected; Counts::LEN]> {
        let model = &self.model;
        let mut sums = run.over_steps(model, &|offset| {
            let passes = self.passes(run, offset);
            Some(model.pass_flops(passes, passes.count(), rule)?.into_array())
        })?;
        let late = self.over_late_tokens(run, &|offset| {
            Some(late_flops(model, run, offset, rule)?.into_array())
        })?;
        for (sum, more) in sums.iter_mut().zip(late) {
            sum.add_times(more, 1)?;
        }
        Some(sums)
    }

    /// Tokens that a draft computes late, for each step of a range.
    pub fn late_tokens_per_step(&self, run: &Run, from: u64, to: u64) -> Option<f64> {
        let starts = &run.starts;
        let begun = starts.moments(from, to)?.steps();
        if begun == 0.0 {
            return Some(0.0);
        }
        let late = if self.prediction_layers.is_none() {
            starts.after_whole_ones(from, to)?.steps()
        } else {
            let used = self.used(starts.step - 1) as f64;
            used * starts.moments_between(from, to)?.steps() + (used - 1.0) * begun
        };
        Some(late / begun)
    }

    /// A cost of each token that a draft computes late, in the first pass of a step, summed. `offset` is the step's,
    /// and the token the one before it.
    ///
    /// A model has not seen its own last token when all that it drafted was accepted. A layer that predicts is
    /// given the target's hidden states of all accepted tokens, each layer those of all.
    pub fn over_late_tokens<const N: usize>(
        &self,
        run: &Run,
        cost: Cost<'_, N>,
    ) -> Option<[Expected; N]> {
        // No step drafts after the last token but one.
        let end = run.tokens.saturating_sub(1);
        let starts = &run.starts;
        if self.prediction_layers.is_none() {
            return run
                .summed(&self.model, end, cost, |from, to| starts.after_whole_ones(from, to));
        }
        let used = u128::from(self.used(starts.step - 1));
        let cost = &|offset| if offset == 0 { Some([0; N]) } else { cost(offset) };
        let mut sums = [Expected::default(); N];
        let begun = run.summed(&self.model, end, cost, |from, to| starts.moments(from, to))?;
        let between =
            run.summed(&self.model, end, cost, |from, to| starts.moments_between(from, to))?;
        for (sum, (begun, between)) in sums.iter_mut().zip(begun.into_iter().zip(between)) {
            sum.add_times(begun, used - 1)?;
            sum.add_times(between, used)?;
        }
        for offset in end.saturating_sub(starts.step - 1).max(1)..end {
            let none_follows = starts.none_follows(offset, end);
            for (sum, cost) in sums.iter_mut().zip(cost(offset)?) {
                sum.remove(times(cost, used)?, none_follows)?;
            }
        }
        Some(sums)
    }
}

/// FLOPs of the token before a step's first, computed in the same pass.
pub(super) fn late_flops(model: &Model, run: &Run, offset: u64, rule: Rule) -> Option<Counts> {
    let past = run.prompt + offset;
    if past == 0 {
        return Some(Counts::default());
    }
    let both = model.pass_flops(Passes::Prefill { past: past - 1, new: 2 }, 1, rule)?;
    let alone = model.pass_flops(Passes::Prefill { past, new: 1 }, 1, rule)?;
    both.checked_sub(&alone)
}
