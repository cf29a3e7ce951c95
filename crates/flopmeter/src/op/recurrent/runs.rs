//! Passes as a recurrent layer of the reference implementation sees them: steps of one token that
//! follow others, and runs over a whole piece of a sequence.

use crate::exact::{divide, squares_to, sum_to, times};
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
    pub fn of(self, passes: Passes) -> Option<u128> {
        let runs = Runs::of(passes);
        match self {
            Self::Tokens => passes.tokens(),
            Self::Steps => Some(runs.steps.into()),
            Self::Convolved(kernel) => runs.convolved(kernel),
            Self::ConvolvedAnew(kernel) => runs.convolved_anew(kernel),
            Self::Padded(more) => passes.tokens()?.checked_add(times(more.into(), runs.passes())?),
            Self::Delayed => passes.tokens()?.checked_add(runs.first_passes()),
            Self::Chunks(chunk) => runs.chunks(chunk),
            Self::WholeChunks(chunk) => runs.whole_chunks(chunk),
            Self::TokensLeft(chunk) => {
                passes.tokens()?.checked_sub(times(chunk.into(), runs.whole_chunks(chunk)?)?)
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
    fn sum(self, up_to: impl Fn(u128) -> Option<u128>) -> Option<u128> {
        let before = u128::from(self.first) - 1;
        up_to(before + u128::from(self.count))?.checked_sub(up_to(before)?)
    }

    /// Positions that a convolution computes: padded on both sides, and of an input that is filled up to
    /// `kernel`, or follows as many.
    pub fn convolved(self, kernel: u64) -> Option<u128> {
        let k = u128::from(kernel);
        let inputs = self.sum(|n| {
            let tokens = sum_to(n + 1)?;
            if self.continued {
                tokens.checked_add(times(n, k)?)
            } else {
                // Those that are shorter are filled up.
                let short = n.min(k);
                let filled = times(short, k)?.checked_sub(sum_to(short + 1)?)?;
                tokens.checked_add(filled)
            }
        })?;
        inputs
            .checked_add(times(self.count.into(), k - 1)?)?
            .checked_add(times(2, self.steps.into())?)
    }

    /// Positions that a convolution computes which begins every pass anew: those of passes of more than one
    /// token, padded on both sides and cut on one.
    pub fn convolved_anew(self, kernel: u64) -> Option<u128> {
        let more = u128::from(kernel) - 1;
        self.sum(|n| {
            // All runs of up to n tokens but the one of one token.
            sum_to(n + 1)?.checked_add(times(n, more)?)?.checked_sub(u128::from(n > 0) * (1 + more))
        })
    }

    /// Chunks that runs fill.
    pub fn whole_chunks(self, chunk: u64) -> Option<u128> {
        self.sum(|n| {
            let (whole, rest) = divide(n, chunk);
            times(sum_to(whole)?, chunk.into())?.checked_add(times(whole, rest + 1)?)
        })
    }

    /// Chunks, the last one of a run perhaps padded.
    pub fn chunks(self, chunk: u64) -> Option<u128> {
        self.sum(|n| {
            let (whole, rest) = divide(n, chunk);
            times(sum_to(whole + 1)?, chunk.into())?.checked_add(times(rest, whole + 1)?)
        })
    }

    /// Σ of the squares of the blocks' tokens, the last one of a run perhaps short; none after others.
    pub fn block_squares(self, block: u64) -> Option<u128> {
        if self.continued {
            return Some(0);
        }
        let size = u128::from(block);
        self.sum(|n| {
            let (whole, rest) = divide(n, block);
            // Blocks that are whole in runs of 1 … n tokens, then those that are not.
            let wholes = times(size, sum_to(whole)?)?.checked_add(times(whole, rest + 1)?)?;
            let short = times(whole, squares_to(size)?)?.checked_add(squares_to(rest + 1)?)?;
            wholes.checked_mul(size * size)?.checked_add(short)
        })
    }

    /// Σ (chunks + 1)²: every run hands each chunk's state, and the one before it, to every other.
    pub fn chunks_passed(self, chunk: u64) -> Option<u128> {
        self.sum(|n| {
            let (whole, rest) = divide(n, chunk);
            // Σ over j = 1 … whole of (j + 1)².
            let full = squares_to(whole + 2)?.checked_sub(1)?;
            let last = times(whole + 2, whole + 2)?;
            times(full, chunk.into())?.checked_add(times(rest, last)?)
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
                let _ = (runs.convolved(size), runs.chunks(size), runs.chunks_passed(size), runs.block_squares(size));
                let _ = (runs.convolved_anew(size), runs.whole_chunks(size));
            }
        }
    }
}
