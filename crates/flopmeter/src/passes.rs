//! Runs of forward passes, and what they add up to in closed form.
//!
//! Nothing here loops over tokens: every sum has a formula, so a request of a million tokens costs
//! what a request of ten costs.

mod mask;

use crate::exact::{Whole, divide, squares_to, sum_to, times};

pub use mask::Mask;
pub(crate) use mask::seen_in_window;
use mask::sum_of_products;

/// A run of forward passes over one sequence.
///
/// The four sums that a cost is made of, each in closed form and each `None` if it does not fit:
///
/// ```text
/// tokens   new tokens                       what a linear layer is multiplied by
/// pairs    (query, visible key)             what attention needs
/// squares  (query, key in the score matrix) what eager attention multiplies
/// visible  keys that a pass has to read     what the cache delivers
/// ```
///
/// # Example
///
/// ```
/// use flopmeter::passes::{Mask, Passes};
///
/// let prompt = Passes::Prefill { past: 0, new: 8192 };
/// assert_eq!(prompt.pairs(Mask::Causal), Some(8192 * 8193 / 2));
/// // Token 8193 sees itself and 8192 others, the next one more.
/// let two_steps = Passes::Decode { past: 8192, count: 2 };
/// assert_eq!(two_steps.pairs(Mask::Causal), Some(8193 + 8194));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Passes {
    /// One pass over `new` tokens that follow `past` cached ones.
    Prefill {
        /// Tokens in the cache before the pass.
        past: u64,
        /// Tokens that the pass computes.
        new: u64,
    },
    /// `count` passes of one token each.
    Decode {
        /// Tokens in the cache before the first pass; one more before each next.
        past: u64,
        /// Number of passes.
        count: u64,
    },
    /// `count` passes that each compute a whole sequence anew.
    Recompute {
        /// Tokens of the first pass; one more in each next.
        first: u64,
        /// Number of passes.
        count: u64,
    },
}

impl Passes {
    /// Number of passes; a prefill of nothing is no pass.
    pub fn count(self) -> u64 {
        match self {
            Self::Prefill { new, .. } => u64::from(new > 0),
            Self::Decode { count, .. } | Self::Recompute { count, .. } => count,
        }
    }

    /// Tokens that are computed.
    pub fn tokens(self) -> Option<u128> {
        match self {
            Self::Prefill { new, .. } => Some(new.into()),
            Self::Decode { count, .. } => Some(count.into()),
            Self::Recompute { first, count } => {
                sum_to(end(first, count))?.checked_sub(sum_to(first.into())?)
            }
        }
    }

    /// Passes that compute the keys and values of a source anew: the first over a sequence, after which the
    /// cache has them, and every one that keeps no cache.
    pub fn sources(self) -> u64 {
        match self {
            Self::Prefill { past, new } => u64::from(past == 0 && new > 0),
            Self::Decode { .. } => 0,
            Self::Recompute { count, .. } => count,
        }
    }

    /// Pairs of a token and a position that it sees.
    pub fn pairs(self, mask: Mask) -> Option<u128> {
        match Self::pairs_of::<u64, 1>([self], mask) {
            Some([pairs]) => Some(pairs.into()),
            None => Self::pairs_of([self], mask).map(|[pairs]| pairs),
        }
    }

    /// Those of some runs. What one ends with the next may begin with, so that it is summed once.
    #[inline]
    pub(crate) fn pairs_of<N: Whole, const RUNS: usize>(
        runs: [Self; RUNS],
        mask: Mask,
    ) -> Option<[N; RUNS]> {
        let mut pairs = [N::from(0); RUNS];
        // Nothing is before the first token.
        let (mut position, mut seen) = (N::from(0), N::from(0));
        for (pairs, run) in pairs.iter_mut().zip(runs) {
            let (past, count) = match run {
                Self::Prefill { past, new } if mask.keeps_cache() => (past, new),
                Self::Decode { past, count } if mask.keeps_cache() => (past, count),
                _ => {
                    *pairs = N::of(run.other_pairs(mask)?)?;
                    continue;
                }
            };
            if position != past.into() {
                seen = mask.seen_by_first(past.into())?;
            }
            position = N::from(past).plus(count.into())?;
            let before = seen;
            seen = mask.seen_by_first(position)?;
            *pairs = seen.minus(before)?;
        }
        Some(pairs)
    }

    /// Those of passes that see what is behind them, or that compute everything anew.
    fn other_pairs(self, mask: Mask) -> Option<u128> {
        match (mask, self) {
            (Mask::Full, _) => self.rectangles(),
            (Mask::Around { before, after }, _) => self.pairs_around(before, after),
            (_, Self::Recompute { first, count }) => mask
                .seen_by_prefixes(end(first, count))?
                .checked_sub(mask.seen_by_prefixes(first.into())?),
            _ => self.pairs(mask),
        }
    }

    /// Pairs of a token and any position of its pass or before it.
    fn rectangles(self) -> Option<u128> {
        match self {
            Self::Prefill { past, new } => times(new.into(), end(past, new)),
            Self::Decode { .. } => self.pairs(Mask::Causal),
            Self::Recompute { first, count } => {
                squares_to(end(first, count))?.checked_sub(squares_to(first.into())?)
            }
        }
    }

    /// Pairs of a token and the positions around it, itself included.
    ///
    /// What it sees before it is a sliding window, and so is, read from the last token of a pass to its first, what
    /// it sees after it; either window has the token itself, which counts once.
    fn pairs_around(self, before: u64, after: u64) -> Option<u128> {
        let window = |others: u64| Mask::Sliding { window: others.saturating_add(1) };
        let backwards = match self {
            Self::Prefill { new, .. } => Self::Prefill { past: 0, new },
            // The last token of a pass of one has nothing after it.
            Self::Decode { .. } => return self.pairs(window(before)),
            Self::Recompute { .. } => self,
        };
        let both = self.pairs(window(before))?.checked_add(backwards.pairs(window(after))?)?;
        both.checked_sub(self.tokens()?)
    }

    /// Entries of the score matrices that eager attention multiplies out: `new` rows each pass, and a
    /// column for every new position and every one still cached.
    ///
    /// A windowed layer's cache keeps `window − 1` positions (`transformers`' sliding cache; a chunked
    /// layer's is one too, with the chunk as its window), and within a pass nothing is cut.
    pub fn squares(self, mask: Mask) -> Option<u128> {
        if let Mask::Compressed { every, .. } = mask {
            return self.entries(every);
        }
        let kept = |past: u64| match mask {
            Mask::Sliding { window: size } | Mask::Chunked { chunk: size } => past.min(size - 1),
            // What is not chosen is only masked.
            _ => past,
        };
        match self {
            Self::Prefill { past, new } => {
                u128::from(new).checked_mul(u128::from(kept(past)) + u128::from(new))
            }
            // One row each: as many columns as positions seen, a chunk being a window to the cache.
            Self::Decode { .. } => self.pairs(match mask {
                Mask::Chunked { chunk } => Mask::Sliding { window: chunk },
                Mask::Selected { .. } | Mask::Blocks { .. } | Mask::Around { .. } => Mask::Causal,
                other => other,
            }),
            Self::Recompute { .. } => self.rectangles(),
        }
    }

    /// Σ over passes of the new tokens times all entries that are there at its end, each of `every`
    /// positions.
    fn entries(self, every: u64) -> Option<u128> {
        match self {
            Self::Prefill { past, new } => times(new.into(), divide(end(past, new), every).0),
            Self::Decode { .. } => self.pairs(Mask::Compressed { every, most: None }),
            Self::Recompute { first, count } => sum_of_products(end(first, count), every)?
                .checked_sub(sum_of_products(first.into(), every)?),
        }
    }

    /// Positions whose keys and values the passes read, each once a pass, the new ones included; of a
    /// compressed cache its entries.
    ///
    /// Of a prefill whose tokens choose their keys, the most that they can choose together.
    pub fn visible(self, mask: Mask) -> Option<u128> {
        self.visible_among(|| self.pairs(mask), mask)
    }

    #[inline(always)] // Of a run and a mask that are known little of it is left.
    fn visible_among<N: Whole>(self, pairs: impl FnOnce() -> Option<N>, mask: Mask) -> Option<N> {
        match self {
            Self::Prefill { new: 0, .. } => Some(0.into()),
            Self::Prefill { past, new } => {
                let seen_before = match mask {
                    Mask::Selected { .. } | Mask::Blocks { .. } | Mask::Compressed { .. } => {
                        let all = N::from(past).plus(new.into())?;
                        return Some(all.divide(mask.positions_an_entry()).0.min(pairs()?));
                    }
                    Mask::Causal | Mask::Full => past,
                    Mask::Sliding { window } => past.min(window - 1),
                    Mask::Around { before, .. } => past.min(before),
                    Mask::Chunked { chunk } => past % chunk,
                };
                N::from(seen_before).plus(new.into())
            }
            // A pass of one token reads what that sees.
            Self::Decode { .. } => pairs(),
            // Without a cache nothing is read from one.
            Self::Recompute { .. } => Some(0.into()),
        }
    }

    /// What the passes add to the cache: their tokens, or the entries that these complete.
    pub fn written(self, mask: Mask) -> Option<u128> {
        let every = mask.positions_an_entry();
        match self {
            Self::Prefill { past, new: count } | Self::Decode { past, count } if every > 1 => {
                divide(end(past, count), every).0.checked_sub(divide(past.into(), every).0)
            }
            // Without a cache nothing is written to one.
            Self::Recompute { .. } if every > 1 => Some(0),
            _ => self.tokens(),
        }
    }

    /// Positions whose latents are expanded: all in sight, anew in every pass.
    pub fn context(self, mask: Mask) -> Option<u128> {
        self.context_among(|| self.pairs(mask), mask)
    }

    /// The same where the pairs of the mask are known, of which it may be made.
    #[inline(always)]
    pub(crate) fn context_among<N: Whole>(
        self,
        pairs: impl FnOnce() -> Option<N>,
        mask: Mask,
    ) -> Option<N> {
        match self {
            Self::Prefill { .. } | Self::Decode { .. } => self.visible_among(pairs, mask),
            Self::Recompute { .. } => N::of(self.tokens()?),
        }
    }

    /// The same passes where nothing is kept between them: each computes anew what is before it.
    pub fn anew(self) -> Self {
        match self {
            Self::Prefill { new: 0, .. } | Self::Recompute { .. } => self,
            // A position has a number of 64 bits.
            Self::Prefill { past, new } => Self::Prefill { past: 0, new: past.saturating_add(new) },
            Self::Decode { past, count } => {
                Self::Recompute { first: past.saturating_add(1), count }
            }
        }
    }

    /// Passes `from..to` of a run, counted from its first.
    pub(crate) fn slice(self, from: u64, to: u64) -> Self {
        match self {
            Self::Prefill { .. } => self,
            Self::Decode { past, .. } => {
                Self::Decode { past: past.saturating_add(from), count: to - from }
            }
            Self::Recompute { first, .. } => {
                Self::Recompute { first: first.saturating_add(from), count: to - from }
            }
        }
    }
}

/// One past the last position; two `u64` always fit.
fn end(first: u64, count: u64) -> u128 {
    u128::from(first) + u128::from(count)
}

#[cfg(test)]
mod tests {
    use super::{Mask, Passes};
    use proptest::prelude::*;

    /// What position `i` (from 0) sees in a pass that ends before `end`, by the sentence that defines the mask.
    fn seen(mask: Mask, i: u64, end: u64) -> u128 {
        u128::from(match mask {
            Mask::Full => end,
            Mask::Around { before, after } => i.min(before) + 1 + (end - 1 - i).min(after),
            Mask::Causal => i + 1,
            Mask::Sliding { window } | Mask::Selected { most: window } => (i + 1).min(window),
            Mask::Chunked { chunk } => i % chunk + 1,
            Mask::Compressed { every, most } => {
                let entries = (i + 1) / every;
                most.map_or(entries, |most| entries.min(most))
            }
            Mask::Blocks { size, most, own: true } => (i / size).min(most) * size + i % size + 1,
            Mask::Blocks { size, most, own: false } => {
                ((i + 1) / size).min(most) * size + (i + 1) % size
            }
        })
    }

    /// What is in the cache once `n` positions are, by the sentence that says what an entry is.
    fn in_cache(mask: Mask, n: u64) -> u128 {
        u128::from(n / mask.positions_an_entry())
    }

    fn masks() -> impl Strategy<Value = Mask> {
        prop_oneof![
            Just(Mask::Causal),
            (1u64..40).prop_map(|window| Mask::Sliding { window }),
            (1u64..40).prop_map(|chunk| Mask::Chunked { chunk }),
            (1u64..40).prop_map(|most| Mask::Selected { most }),
            (1u64..9).prop_map(|every| Mask::Compressed { every, most: None }),
            (1u64..9, 1u64..9)
                .prop_map(|(every, most)| Mask::Compressed { every, most: Some(most) }),
            (1u64..9, 1u64..9, any::<bool>()).prop_map(|(size, most, own)| Mask::Blocks {
                size,
                most,
                own
            }),
            Just(Mask::Full),
            (0u64..40, 0u64..40).prop_map(|(before, after)| Mask::Around { before, after }),
        ]
    }

    proptest! {
        #[test]
        fn pairs_are_the_sum_over_tokens(mask in masks(), past in 0u64..90, new in 0u64..90) {
            let end = past + new;
            let in_one_pass = (past..end).map(|i| seen(mask, i, end)).sum::<u128>();
            prop_assert_eq!(Passes::Prefill { past, new }.pairs(mask), Some(in_one_pass));
            let in_a_pass_each = (past..end).map(|i| seen(mask, i, i + 1)).sum::<u128>();
            prop_assert_eq!(Passes::Decode { past, count: new }.pairs(mask), Some(in_a_pass_each));
        }

        #[test]
        fn what_is_written_is_what_the_cache_has_more(mask in masks(), past in 0u64..90, new in 0u64..90) {
            let more = in_cache(mask, past + new) - in_cache(mask, past);
            prop_assert_eq!(Passes::Prefill { past, new }.written(mask), Some(more));
            prop_assert_eq!(Passes::Decode { past, count: new }.written(mask), Some(more));
        }

        #[test]
        fn recomputing_is_a_prefill_for_each_pass(mask in masks(), first in 0u64..60, count in 0u64..60) {
            let run = Passes::Recompute { first, count };
            let each = || (first..first + count).map(|new| Passes::Prefill { past: 0, new });
            let sum = |of: fn(Passes, Mask) -> Option<u128>| each().map(|pass| of(pass, mask)).sum::<Option<u128>>();
            prop_assert_eq!(run.pairs(mask), sum(Passes::pairs));
            prop_assert_eq!(run.squares(mask), sum(Passes::squares));
            prop_assert_eq!(run.tokens(), each().map(Passes::tokens).sum());
            // Entries that stand for several positions are no latents.
            if mask.positions_an_entry() == 1 {
                prop_assert_eq!(run.context(mask), sum(Passes::context));
            }
            // A pass over nothing would need none.
            prop_assert!(first == 0 || run.sources() == each().map(Passes::sources).sum::<u64>());
        }

        #[test]
        fn decoding_is_a_prefill_of_one_token_a_pass(mask in masks(), past in 0u64..90, count in 0u64..90) {
            let run = Passes::Decode { past, count };
            let each = || (past..past + count).map(|past| Passes::Prefill { past, new: 1 });
            let sum = |of: fn(Passes, Mask) -> Option<u128>| each().map(|pass| of(pass, mask)).sum::<Option<u128>>();
            prop_assert_eq!(run.squares(mask), sum(Passes::squares));
            prop_assert_eq!(run.visible(mask), sum(Passes::visible));
            prop_assert_eq!(run.context(mask), sum(Passes::context));
        }

        #[test]
        fn anew_means_that_every_pass_begins_at_the_first_token(mask in masks(), past in 0u64..60, count in 0u64..60) {
            let sum = |ends: std::ops::RangeInclusive<u64>| {
                ends.map(|new| Passes::Prefill { past: 0, new }.squares(mask)).sum::<Option<u128>>()
            };
            let decode = Passes::Decode { past, count }.anew();
            prop_assert_eq!(decode.squares(mask), sum(past + 1..=past + count));
            prop_assert_eq!(decode.count(), count);
            let prefill = Passes::Prefill { past, new: count }.anew();
            // A prefill of nothing is no pass.
            let anew = if count == 0 { Some(0) } else { sum(past + count..=past + count) };
            prop_assert_eq!(prefill.squares(mask), anew);
        }

        #[test]
        fn the_largest_requests_overflow_or_fit_but_never_panic(mask in masks(), a: u64, b: u64) {
            for run in [
                Passes::Prefill { past: a, new: b },
                Passes::Decode { past: a, count: b },
                Passes::Recompute { first: a, count: b },
            ] {
                let _ = (run.tokens(), run.pairs(mask), run.squares(mask), run.visible(mask), run.context(mask));
            }
        }
    }
}
