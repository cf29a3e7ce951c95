//! Runs of forward passes, and what they add up to in closed form.
//!
//! Nothing here loops over tokens: every sum has a formula, so a request of a million tokens costs
//! what a request of ten costs.

use crate::exact::{divide, times};

/// What a token may attend to, itself included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mask {
    /// Everything before it.
    Causal,
    /// The last `window` positions.
    Sliding {
        /// Positions that a token sees, itself included.
        window: u64,
    },
    /// What is before it in its own chunk.
    Chunked {
        /// Positions of a chunk.
        chunk: u64,
    },
    /// The positions that an indexer chooses for it, or everything before it while that is fewer.
    Selected {
        /// Positions that are chosen, itself included.
        most: u64,
    },
}

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

    /// Pairs of a token and a position that it sees.
    pub fn pairs(self, mask: Mask) -> Option<u128> {
        match self {
            Self::Prefill { past, new: count } | Self::Decode { past, count } => {
                mask.seen_by_first(end(past, count))?.checked_sub(mask.seen_by_first(past.into())?)
            }
            Self::Recompute { first, count } => mask
                .seen_by_prefixes(end(first, count))?
                .checked_sub(mask.seen_by_prefixes(first.into())?),
        }
    }

    /// Entries of the score matrices that eager attention multiplies out: `new` rows each pass, and a
    /// column for every new position and every one still cached.
    ///
    /// A windowed layer's cache keeps `window − 1` positions (`transformers`' sliding cache; a chunked
    /// layer's is one too, with the chunk as its window), and within a pass nothing is cut.
    pub fn squares(self, mask: Mask) -> Option<u128> {
        let kept = |past: u64| match mask {
            // What is not chosen is only masked.
            Mask::Causal | Mask::Selected { .. } => past,
            Mask::Sliding { window: size } | Mask::Chunked { chunk: size } => past.min(size - 1),
        };
        match self {
            Self::Prefill { past, new } => {
                u128::from(new).checked_mul(u128::from(kept(past)) + u128::from(new))
            }
            // One row each: as many columns as positions seen, a chunk being a window to the cache.
            Self::Decode { .. } => self.pairs(match mask {
                Mask::Chunked { chunk } => Mask::Sliding { window: chunk },
                Mask::Selected { .. } => Mask::Causal,
                other => other,
            }),
            Self::Recompute { first, count } => {
                squares_to(end(first, count))?.checked_sub(squares_to(first.into())?)
            }
        }
    }

    /// Positions whose keys and values the passes read, each once a pass, the new ones included.
    ///
    /// Of a prefill whose tokens choose their keys, the most that they can choose together.
    pub fn visible(self, mask: Mask) -> Option<u128> {
        match self {
            Self::Prefill { new: 0, .. } => Some(0),
            Self::Prefill { past, new } => {
                let seen_before = match mask {
                    Mask::Selected { most } => {
                        let all = u128::from(past) + u128::from(new);
                        return Some(all.min(times(new.into(), most.into())?));
                    }
                    Mask::Causal => past,
                    Mask::Sliding { window } => past.min(window - 1),
                    Mask::Chunked { chunk } => past % chunk,
                };
                Some(u128::from(seen_before) + u128::from(new))
            }
            Self::Decode { .. } => self.pairs(mask),
            // Without a cache nothing is read from one.
            Self::Recompute { .. } => Some(0),
        }
    }

    /// Positions whose latents are expanded: all in sight, anew in every pass.
    pub fn context(self, mask: Mask) -> Option<u128> {
        match self {
            Self::Prefill { .. } | Self::Decode { .. } => self.visible(mask),
            Self::Recompute { .. } => self.tokens(),
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

impl Mask {
    /// Σ over the first `n` positions of what each sees.
    fn seen_by_first(self, n: u128) -> Option<u128> {
        match self {
            Self::Causal => sum_to_and_with(n),
            Self::Sliding { window } | Self::Selected { most: window } => {
                let window = u128::from(window);
                let rising = n.min(window);
                sum_to_and_with(rising)?.checked_add(times(n - rising, window)?)
            }
            Self::Chunked { chunk } => {
                let (whole, rest) = divide(n, chunk);
                let chunk = u128::from(chunk);
                whole.checked_mul(sum_to_and_with(chunk)?)?.checked_add(sum_to_and_with(rest)?)
            }
        }
    }

    /// Σ over the prefixes of 0, 1, …, n − 1 positions of what their positions see.
    fn seen_by_prefixes(self, n: u128) -> Option<u128> {
        match self {
            Self::Causal => tetrahedral(n),
            Self::Sliding { window } | Self::Selected { most: window } => {
                let window = u128::from(window);
                if n <= window + 1 {
                    return tetrahedral(n);
                }
                // A prefix that is k positions longer than the window has k rows of full width more.
                let longer = n - 1 - window;
                tetrahedral(window + 1)?
                    .checked_add(longer.checked_mul(sum_to_and_with(window)?)?)?
                    .checked_add(window.checked_mul(sum_to_and_with(longer)?)?)
            }
            Self::Chunked { chunk } => {
                let (whole, rest) = divide(n, chunk);
                let chunk = u128::from(chunk);
                let full = sum_to_and_with(chunk)?;
                // Prefix q·chunk + r sees q full chunks and a rising piece of r.
                let full_chunks = chunk
                    .checked_mul(sum_to(whole)?)?
                    .checked_add(whole.checked_mul(rest)?)?
                    .checked_mul(full)?;
                let pieces =
                    whole.checked_mul(tetrahedral(chunk)?)?.checked_add(tetrahedral(rest)?)?;
                full_chunks.checked_add(pieces)
            }
        }
    }
}

/// One past the last position; two `u64` always fit.
fn end(first: u64, count: u64) -> u128 {
    u128::from(first) + u128::from(count)
}

/// 0 + 1 + … + (n − 1): the even one of two neighbours is halved before they are multiplied.
pub(crate) fn sum_to(n: u128) -> Option<u128> {
    let before = n.saturating_sub(1);
    if n.is_multiple_of(2) { times(n / 2, before) } else { times(n, before / 2) }
}

/// 1 + 2 + … + n.
fn sum_to_and_with(n: u128) -> Option<u128> {
    sum_to(n + 1)
}

/// Σ_{m<n} m(m + 1)/2 = (n − 1)·n·(n + 1)/6.
fn tetrahedral(n: u128) -> Option<u128> {
    // n(n + 1)/2 is exact, and of three neighbours one is a multiple of three.
    Some(sum_to_and_with(n)?.checked_mul(n.saturating_sub(1))? / 3)
}

/// Σ_{m<n} m² = (n − 1)·n·(2n − 1)/6.
pub(crate) fn squares_to(n: u128) -> Option<u128> {
    Some(sum_to(n)?.checked_mul((2 * n).saturating_sub(1))? / 3)
}

#[cfg(test)]
mod tests {
    use super::{Mask, Passes};
    use proptest::prelude::*;

    /// What position `i` (from 0) sees, by the sentence that defines the mask.
    fn seen(mask: Mask, i: u64) -> u128 {
        u128::from(match mask {
            Mask::Causal => i + 1,
            Mask::Sliding { window } | Mask::Selected { most: window } => (i + 1).min(window),
            Mask::Chunked { chunk } => i % chunk + 1,
        })
    }

    fn masks() -> impl Strategy<Value = Mask> {
        prop_oneof![
            Just(Mask::Causal),
            (1u64..40).prop_map(|window| Mask::Sliding { window }),
            (1u64..40).prop_map(|chunk| Mask::Chunked { chunk }),
            (1u64..40).prop_map(|most| Mask::Selected { most }),
        ]
    }

    proptest! {
        #[test]
        fn pairs_are_the_sum_over_tokens(mask in masks(), past in 0u64..90, new in 0u64..90) {
            let by_token = (past..past + new).map(|i| seen(mask, i)).sum::<u128>();
            prop_assert_eq!(Passes::Prefill { past, new }.pairs(mask), Some(by_token));
            prop_assert_eq!(Passes::Decode { past, count: new }.pairs(mask), Some(by_token));
        }

        #[test]
        fn recomputing_is_a_prefill_for_each_pass(mask in masks(), first in 0u64..60, count in 0u64..60) {
            let run = Passes::Recompute { first, count };
            let each = || (first..first + count).map(|new| Passes::Prefill { past: 0, new });
            let sum = |of: fn(Passes, Mask) -> Option<u128>| each().map(|pass| of(pass, mask)).sum::<Option<u128>>();
            prop_assert_eq!(run.pairs(mask), sum(Passes::pairs));
            prop_assert_eq!(run.squares(mask), sum(Passes::squares));
            prop_assert_eq!(run.tokens(), each().map(Passes::tokens).sum());
            prop_assert_eq!(run.context(mask), sum(Passes::context));
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
