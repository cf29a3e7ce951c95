//! The roofline of decoding with a draft.

use super::Speculation;
use super::bytes::{Side, Stretch};
use super::drafting::{Run, late_flops};
use super::pieces::Piece;
use super::starts::Moments;
use crate::convention::Rule;
use crate::error::Result;
use crate::exact::times;
use crate::model::{Model, too_large};
use crate::utilization::{Hardware, Ideal};
use crate::workload::{Phase, Workload};

impl Speculation {
    /// The shortest time in which the hardware can do a phase with this draft, expected: the sum over steps of
    /// max(FLOPs ÷ peak, bytes ÷ bandwidth) of the passes that draft and of the pass that verifies. `None` if the
    /// bandwidth is not known.
    ///
    /// FLOPs are those of convention `model`. The passes of one step's draft, which differ by a token of context,
    /// are bounded together.
    ///
    /// # Errors
    ///
    /// As [`bytes`](Self::bytes), and [`ErrorKind::Overflow`](crate::ErrorKind::Overflow) for a time that no float
    /// can say.
    pub fn ideal(
        &self,
        target: &Model,
        workload: &Workload,
        phase: Phase,
        hardware: &Hardware,
    ) -> Result<Option<Ideal>> {
        self.check(target, workload)?;
        if phase == Phase::Prefill {
            let own = target.ideal(workload, phase, hardware)?;
            let Some(prompts) = self.prompts(workload)? else { return Ok(own) };
            let drafts = self.draft().ideal(&prompts, phase, hardware)?;
            let used = self.draft.used(self.draft_tokens()) as f64;
            return Ok(own.zip(drafts).map(|(own, drafts)| own.and(drafts.scaled(used))));
        }
        let Some(bytes_per_second) = hardware.bytes_per_second() else { return Ok(None) };
        let rates = [hardware.flops_per_second(), bytes_per_second];
        let mut sum = Ideal { seconds: 0.0, compute_seconds: 0.0 };
        for stretch in self.stretches(workload) {
            for side in [Side::Drafting, Side::Verifying] {
                let part =
                    self.stretch_ideal(target, &stretch, side, rates).ok_or_else(too_large)?;
                sum = sum.and(part);
            }
        }
        sum.checked().map(Some)
    }

    fn stretch_ideal(
        &self,
        target: &Model,
        stretch: &Stretch,
        side: Side,
        [flops_per_second, bytes_per_second]: [f64; 2],
    ) -> Option<Ideal> {
        let mut sum = Ideal { seconds: 0.0, compute_seconds: 0.0 };
        let Some(longest) = stretch.longest() else { return Some(sum) };
        let model = self.model(side, target);
        let cost = |offset: u64| self.step_cost(side, model, stretch, longest, offset);
        self.cuts(target, stretch).pieces(stretch.from, stretch.to, &cost, &mut |piece| {
            let [_, _, _, passes, tokens] = piece.first.map(|first| first as f64);
            let mut compute = Line::of(&piece, 0, flops_per_second);
            let mut memory = Line::of(&piece, 2, 8.0 * bytes_per_second);
            if side == Side::Drafting {
                let share = self.draft.late_tokens_per_step(longest, piece.from, piece.to)?;
                let late = Line::of(&piece, 1, flops_per_second);
                compute.first += share * late.first;
                compute.rise += share * late.rise;
            }
            // The tokens of a pass are the same within a piece, but for the last steps of an answer.
            let each = if passes > 0.0 { tokens / passes } else { 0.0 };
            for routed in &model.sums.experts {
                let bits = passes * routed.experts.distinct(each) * routed.bits as f64;
                memory.first += bits / (8.0 * bytes_per_second);
            }
            let length = piece.to - piece.from;
            let change = compute.crosses(&memory, length);
            for (from, to) in [(0, change), (change, length)] {
                if from < to {
                    let moments = longest.starts.moments(piece.from + from, piece.from + to)?;
                    let [compute, memory] = [compute, memory].map(|line| line.over(moments, from));
                    sum.seconds += compute.max(memory);
                    sum.compute_seconds += if compute > memory { compute } else { 0.0 };
                }
            }
            Some(())
        })?;
        Some(sum)
    }

    /// FLOPs of a side's passes in one step of a batch and of a late token, exact bits, passes and tokens.
    fn step_cost(
        &self,
        side: Side,
        model: &Model,
        stretch: &Stretch,
        longest: &Run,
        offset: u64,
    ) -> Option<[u128; 5]> {
        let [passes, tokens] = self.passes_and_tokens(side, stretch, longest, offset)?;
        let weights = model.sums.dense_bits.checked_add(model.sums.sampled_bits)?;
        let looked_up = times(tokens, model.sums.looked_up_bits)?;
        let (mut flops, mut late, mut bits) =
            (0_u128, 0_u128, times(passes, weights)?.checked_add(looked_up)?);
        for (run, count) in &stretch.members {
            let own = self.passes(side, run, offset);
            let sampled = u64::try_from(own.tokens()?).ok()?;
            let of_one = model.pass_flops(own, sampled, Rule::Needed)?.total()?;
            flops = flops.checked_add(times(of_one, (*count).into())?)?;
            if side == Side::Drafting {
                let of_one = late_flops(model, run, offset, Rule::Needed)?.total()?;
                late = late.checked_add(times(of_one, (*count).into())?)?;
            }
            let [read, written] = model.cache_bits_moved(own)?;
            bits = bits.checked_add(times(read.checked_add(written)?, (*count).into())?)?;
        }
        Some([flops, late, bits, passes, tokens])
    }
}

/// Seconds of a step, straight over a piece.
#[derive(Debug, Clone, Copy)]
struct Line {
    first: f64,
    rise: f64,
}

impl Line {
    fn of<const N: usize>(piece: &Piece<N>, at: usize, rate: f64) -> Self {
        let rise = piece.rise[at] as f64 / piece.over as f64;
        Self { first: piece.first[at] as f64 / rate, rise: rise / rate }
    }

    fn at(&self, distance: u64) -> f64 {
        self.first + self.rise * distance as f64
    }

    /// The sum over the steps of a part that begins at a distance.
    fn over(&self, moments: Moments, from: u64) -> f64 {
        let (steps, distances) = match moments {
            Moments::Exact { steps, distances } => (steps as f64, distances as f64),
            Moments::Expected { steps, distances } => (steps, distances),
        };
        self.at(from) * steps + self.rise * distances
    }

    /// The first distance at which another line is the higher one than at the beginning; `length` if none.
    fn crosses(&self, other: &Self, length: u64) -> u64 {
        let above = |distance| self.at(distance) > other.at(distance);
        let first = above(0);
        if length < 2 || above(length - 1) == first {
            return length;
        }
        let (mut same, mut changed) = (0, length - 1);
        while changed - same > 1 {
            let middle = same + (changed - same) / 2;
            if above(middle) == first { same = middle } else { changed = middle }
        }
        changed
    }
}
