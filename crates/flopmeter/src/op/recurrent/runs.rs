//! Passes as a recurrent layer of the reference implementation sees them: steps of one token that
//! follow others, and runs over a whole piece of a sequence.

use crate::exact::{Whole, squares_to, sum_through, sum_to};
use crate::passes::Passes;

/// What a recurrence is multiplied by in some passes of the reference implementation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunAmount {
    /// Tokens.
    Tokens,
    /// Steps of one token that follow others.
    Steps,
    /// Positions that a convolution of so many computes, padded on both sides.
    Convolved(u64),
    /// The same of one that begins every pass anew.
    ConvolvedAnew(u64),
    /// Tokens, and so many positions before those of each pass.
    Padded(u64),
    /// Tokens, and one before the first of all.
    Delayed,
    /// Chunks of so many tokens, the last one perhaps padded.
    Chunks(u64),
    /// Whole ones.
    WholeChunks(u64),
    /// Tokens that are in no whole one.
    TokensLeft(u64),
    /// Σ (chunks + 1)².
    ChunksPassed(u64),
    /// Σ of the squares of the tokens of blocks.
    BlockSquares(u64),
}

impl RunAmount {
    /// How much of it some passes have, `None` if that does not fit.
    pub fn of<N: Whole>(self, passes: Passes) -> Option<N> {
        let runs = Runs::of(passes);
        let tokens = || N::of(passes.tokens()?);
        match self {
            Self::Tokens => tokens(),
            Self::Steps => Some(runs.steps.into()),
            Self::Convolved(kernel) => runs.convolved(kernel),
            Self::ConvolvedAnew(kernel) => runs.convolved_anew(kernel),
            Self::Padded(more) => tokens()?.plus(N::from(more).times(N::of(runs.passes())?)?),
            Self::Delayed => tokens()?.plus(N::of(runs.first_passes())?),
            Self::Chunks(chunk) => runs.chunks(chunk),
            Self::WholeChunks(chunk) => runs.whole_chunks(chunk),
            Self::TokensLeft(chunk) => {
                tokens()?.minus(N::from(chunk).times(runs.whole_chunks(chunk)?)?)
            }
            Self::ChunksPassed(chunk) => runs.chunks_passed(chunk),
            Self::BlockSquares(block) => runs.block_squares(block),
        }
    }
}

/// Steps, and runs of `first`, `first + 1`, … tokens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Runs {
    /// Passes of one token after others.
    pub steps: u64,
    first: u64,
    count: u64,
    /// Whether the runs follow cached tokens.
    continued: bool,
}

impl Runs {
    pub fn of(passes: Passes) -> Self {
        let only_steps = |steps| Self { steps, first: 1, count: 0, continued: false };
        match passes {
            Passes::Prefill { new: 0, .. } | Passes::Recompute { count: 0, .. } => only_steps(0),
            Passes::Prefill { past: 1.., new: 1 } => only_steps(1),
            Passes::Prefill { past, new } => {
                Self { steps: 0, first: new, count: 1, continued: past > 0 }
            }
            // The first token of all has no state to step from.
            Passes::Decode { past: 0, count: count @ 1.. } => {
                Self { steps: count - 1, first: 1, count: 1, continued: false }
            }
            Passes::Decode { count, .. } => only_steps(count),
            // A run of nothing is no run.
            Passes::Recompute { first: 0, count } => {
                Self { steps: 0, first: 1, count: count - 1, continued: false }
            }
            Passes::Recompute { first, count } => Self { steps: 0, first, count, continued: false },
        }
    }

    /// Passes, be they steps or runs.
    pub fn passes(self) -> u128 {
        u128::from(self.steps) + u128::from(self.count)
    }

    /// Passes that follow nothing.
    pub fn first_passes(self) -> u128 {
        if self.continued { 0 } else { self.count.into() }
    }

    /// Σ over the runs of a quantity whose sum over runs of 1, 2, …, n tokens is given.
    fn sum<N: Whole>(self, up_to: impl Fn(N) -> Option<N>) -> Option<N> {
        let before = N::from(self.first).minus(1.into())?;
        up_to(before.plus(self.count.into())?)?.minus(up_to(before)?)
    }

    /// Positions that a convolution computes: padded on both sides, and of an input that is filled up to
    /// `kernel`, or follows as many.
    pub fn convolved<N: Whole>(self, kernel: u64) -> Option<N> {
        let k = N::from(kernel);
        let inputs = self.sum(|n: N| {
            let tokens = sum_through(n)?;
            if self.continued {
                tokens.plus(n.times(k)?)
            } else {
                // Those that are shorter are filled up.
                let short = n.min(k);
                tokens.plus(short.times(k)?.minus(sum_through(short)?)?)
            }
        })?;
        inputs
            .plus(N::from(self.count).times(k.minus(1.into())?)?)?
            .plus(N::from(self.steps).times(2.into())?)
    }

    /// Positions that a convolution computes which begins every pass anew: those of passes of more than one
    /// token, padded on both sides and cut on one.
    pub fn convolved_anew<N: Whole>(self, kernel: u64) -> Option<N> {
        let more = N::from(kernel).minus(1.into())?;
        self.sum(|n: N| {
            // All runs of up to n tokens but the one of one token.
            let all = sum_through(n)?.plus(n.times(more)?)?;
            if n > 0.into() { all.minus(more.plus(1.into())?) } else { Some(all) }
        })
    }

    /// Chunks that runs fill.
    pub fn whole_chunks<N: Whole>(self, chunk: u64) -> Option<N> {
        self.sum(|n: N| {
            let (whole, rest) = n.divide(chunk);
            sum_to(whole)?.times(chunk.into())?.plus(whole.times(rest.plus(1.into())?)?)
        })
    }

    /// Chunks, the last one of a run perhaps padded.
    pub fn chunks<N: Whole>(self, chunk: u64) -> Option<N> {
        self.sum(|n: N| {
            let (whole, rest) = n.divide(chunk);
            let begun = whole.plus(1.into())?;
            sum_to(begun)?.times(chunk.into())?.plus(rest.times(begun)?)
        })
    }

    /// Σ of the squares of the blocks' tokens, the last one of a run perhaps short; none after others.
    pub fn block_squares<N: Whole>(self, block: u64) -> Option<N> {
        if self.continued {
            return Some(0.into());
        }
        let size = N::from(block);
        self.sum(|n: N| {
            let (whole, rest) = n.divide(block);
            let next = rest.plus(1.into())?;
            // Blocks that are whole in runs of 1 … n tokens, then those that are not.
            let wholes = size.times(sum_to(whole)?)?.plus(whole.times(next)?)?;
            let short = whole.times(squares_to(size)?)?.plus(squares_to(next)?)?;
            wholes.times(size.times(size)?)?.plus(short)
        })
    }

    /// Σ (chunks + 1)²: every run hands each chunk's state, and the one before it, to every other.
    pub fn chunks_passed<N: Whole>(self, chunk: u64) -> Option<N> {
        self.sum(|n: N| {
            let (whole, rest) = n.divide(chunk);
            let last = whole.plus(2.into())?;
            // Σ over j = 1 … whole of (j + 1)².
            let full = squares_to(last)?.minus(1.into())?;
            full.times(chunk.into())?.plus(rest.times(last.times(last)?)?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Runs;
    use crate::passes::Passes;
    use proptest::prelude::*;

    /// By the sentences that define them.
    fn counted(past: u64, new: u64, kernel: u64, chunk: u64) -> [u128; 9] {
        let squares = (new / chunk) * chunk.pow(2) + (new % chunk).pow(2);
        let chunks = new.div_ceil(chunk);
        let anew = if new == 1 { 0 } else { new + kernel - 1 };
        let filled = new / chunk;
        let passed = (chunks + 1).pow(2);
        let counts = match (past, new) {
            (_, 0) => [0; 9],
            (1.., 1) => [1, 2, 0, 0, 0, 0, 0, 1, 0],
            (0, _) => {
                [0, new.max(kernel) + kernel - 1, chunks, passed, squares, anew, filled, 1, 1]
            }
            _ => [0, new + kernel + kernel - 1, chunks, passed, 0, anew, filled, 1, 0],
        };
        counts.map(u128::from)
    }

    fn summed(passes: Passes, kernel: u64, chunk: u64) -> [u128; 9] {
        let runs = Runs::of(passes);
        let sums = [
            Some(runs.steps.into()),
            runs.convolved(kernel),
            runs.chunks(chunk),
            runs.chunks_passed(chunk),
            runs.block_squares(chunk),
            runs.convolved_anew(kernel),
            runs.whole_chunks(chunk),
            Some(runs.passes()),
            Some(runs.first_passes()),
        ];
        sums.map(|sum| sum.expect("it fits"))
    }

    proptest! {
        #[test]
        fn sums_are_over_passes(past in 0u64..9, count in 0u64..60, kernel in 1u64..6, chunk in 1u64..9) {
            let sum = |passes: &mut dyn Iterator<Item = (u64, u64)>| {
                passes.fold([0; 9], |sum: [u128; 9], (past, new)| {
                    let more = counted(past, new, kernel, chunk);
                    std::array::from_fn(|at| sum[at] + more[at])
                })
            };
            prop_assert_eq!(
                summed(Passes::Prefill { past, new: count }, kernel, chunk),
                counted(past, count, kernel, chunk)
            );
            prop_assert_eq!(
                summed(Passes::Decode { past, count }, kernel, chunk),
                sum(&mut (past..past + count).map(|past| (past, 1)))
            );
            prop_assert_eq!(
                summed(Passes::Recompute { first: past, count }, kernel, chunk),
                sum(&mut (past..past + count).map(|new| (0, new)))
            );
        }

        #[test]
        fn the_largest_runs_overflow_or_fit_but_never_panic(a: u64, b: u64, size in 1u64..(1 << 24)) {
            for passes in [
                Passes::Prefill { past: a, new: b },
                Passes::Decode { past: a, count: b },
                Passes::Recompute { first: a, count: b },
            ] {
                let runs = Runs::of(passes);
                let _: [Option<u128>; 6] = [
                    runs.convolved(size),
                    runs.chunks(size),
                    runs.chunks_passed(size),
                    runs.block_squares(size),
                    runs.convolved_anew(size),
                    runs.whole_chunks(size),
                ];
            }
        }
    }
}
