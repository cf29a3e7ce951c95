//! The passes that a sequence runs in a phase.

use super::{Sequence, Workload};
use crate::exact::Whole;
use crate::passes::{Mask, Passes};

/// Which part of a request's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The pass over the prompt, which gives the first token.
    Prefill,
    /// The passes that give the others.
    Decode,
}

impl Phase {
    /// Both, in order.
    pub const ALL: [Self; 2] = [Self::Prefill, Self::Decode];

    /// The key in every output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prefill => "prefill",
            Self::Decode => "decode",
        }
    }
}

/// The passes of one sequence in a phase, and what they work on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub passes: Passes,
    /// Tokens that are sampled.
    pub sampled: u64,
    /// Positions of the source, 0 where there is none.
    pub source: u64,
    /// Pairs of a token and one after it that it sees, in a pass over the prompt: in all layers, and in those with a
    /// window besides.
    pub ahead: [u128; 2],
}

impl Run {
    /// One pass over `rows` positions, of which nothing is sampled.
    pub const fn once(rows: u64) -> Self {
        Self {
            passes: Passes::Prefill { past: 0, new: rows },
            sampled: 0,
            source: 0,
            ahead: [0, 0],
        }
    }

    /// Pairs of a token and a position that it sees.
    pub fn pairs(&self, mask: Mask) -> Option<u128> {
        Self::pairs_of(std::array::from_ref(self), mask).map(|[pairs]| pairs)
    }

    /// Those of each of some runs.
    #[inline]
    pub fn pairs_of<N: Whole, const RUNS: usize>(
        runs: &[Self; RUNS],
        mask: Mask,
    ) -> Option<[N; RUNS]> {
        let mut pairs: [N; RUNS] = Passes::pairs_of(runs.each_ref().map(|run| run.passes), mask)?;
        for (pairs, run) in pairs.iter_mut().zip(runs) {
            if run.ahead != [0, 0] {
                let ahead = run.pairs_ahead(mask).checked_mul(run.passes.count().into())?;
                *pairs = pairs.plus(N::of(ahead)?)?;
            }
        }
        Some(pairs)
    }

    /// Those of a token and one after it, in a pass.
    pub fn pairs_ahead(&self, mask: Mask) -> u128 {
        let [always, in_windows] = self.ahead;
        let windowed = matches!(mask, Mask::Sliding { .. });
        always.saturating_add(if windowed { in_windows } else { 0 })
    }

    /// Positions of the source whose keys and values the passes compute.
    pub fn source_rows(&self) -> u128 {
        u128::from(self.source) * u128::from(self.passes.sources())
    }
}

impl Workload {
    /// The passes of one sequence in a phase.
    pub fn passes(&self, sequence: &Sequence, phase: Phase) -> Passes {
        let Sequence { prompt, cached, .. } = *sequence;
        match phase {
            Phase::Prefill => Passes::Prefill { past: cached, new: prompt - cached },
            Phase::Decode if self.kv_cache => {
                Passes::Decode { past: prompt, count: sequence.steps() }
            }
            Phase::Decode => {
                Passes::Recompute { first: prompt.saturating_add(1), count: sequence.steps() }
            }
        }
    }

    /// The passes of one sequence in a phase, with what they work on.
    pub(crate) fn run(&self, sequence: &Sequence, source: u64, phase: Phase) -> Run {
        let passes = self.passes(sequence, phase);
        let ahead = match passes {
            // Passes of one token, which is no image's and not the prompt's.
            Passes::Decode { .. } => [0, 0],
            _ if self.whole_prompts => {
                let prompt = u128::from(sequence.prompt);
                [prompt * prompt.saturating_sub(1) / 2, 0]
            }
            _ => self.perceived.as_deref().map_or([0, 0], |it| it.ahead.map(u128::from)),
        };
        Run { passes, sampled: self.sampled(sequence, phase), source, ahead }
    }

    /// Tokens that a phase of one sequence samples, one for each pass that generates.
    pub fn sampled(&self, sequence: &Sequence, phase: Phase) -> u64 {
        match phase {
            Phase::Prefill if self.scored => sequence.prompt - sequence.cached,
            // Scoring a prompt samples nothing.
            Phase::Prefill => sequence.samples_first().into(),
            Phase::Decode => sequence.steps(),
        }
    }
}
