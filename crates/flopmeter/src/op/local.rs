//! Attention of an encoder of long texts: pieces of the sequence, and what stands for more of it.

use super::Op;
use crate::component::Component;
use crate::exact::times;
use crate::passes::{Mask, Passes};

/// Scores and values of attention within pieces of a sequence, of an encoder's one pass, without its projections.
///
/// ```text
/// scores  q[heads, s, dim] · k[heads, t, dim]ᵀ     2·heads·dim a pair
/// values  p[heads, s, t]   · v[heads, t, dim]      2·heads·dim a pair
/// ```
///
/// What the reference implementation multiplies are whole pieces, the last one filled up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Local {
    /// Name in the reference implementation, below the layer.
    pub module: &'static str,
    /// Heads.
    pub heads: u64,
    /// Width of a head.
    pub dim: u64,
    /// What a token sees.
    pub pieces: Pieces,
}

/// What tokens see of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pieces {
    /// Positions near it on either side (Longformer, arXiv:2004.05150).
    ///
    /// The reference implementation multiplies pieces of 2·`reach` positions, each of which overlaps the next one by
    /// half.
    Band {
        /// Positions on one side.
        reach: u64,
        /// First tokens that see all others and are seen by all: none, or one.
        global: u64,
        /// The sequence is filled up to a multiple of so many positions.
        filled: u64,
    },
    /// Positions less than a block away (LongT5, arXiv:2112.07916), and perhaps summaries of the whole sequence.
    ///
    /// The reference implementation multiplies each block with itself and the two beside it.
    Neighbours {
        /// Positions of a block.
        block: u64,
        /// What sums the sequence up.
        summaries: Option<Summaries>,
    },
    /// The block that it is in, and vectors that stand for nothing of the text, which themselves see all (PEGASUS-X,
    /// arXiv:2208.04347).
    Blocks {
        /// Positions of a block.
        block: u64,
        /// Those vectors.
        beside: u64,
        /// Whether blocks begin half a block later.
        staggered: bool,
    },
    /// The block that it is in and those beside it, the first and the last one, which themselves see all, and some that
    /// are drawn at random (BigBird, arXiv:2007.14062); everything in a sequence that is no longer than
    /// [`Pieces::longest_whole`].
    Drawn {
        /// Positions of a block.
        block: u64,
        /// Blocks that are drawn for each.
        random: u64,
    },
}

/// Sums of the vectors of so many positions each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Summaries {
    /// Positions of one.
    pub every: u64,
    /// Width of a vector.
    pub width: u64,
}

impl Pieces {
    /// The longest sequence of which all sees all: of blocks that are drawn, those that a block sees and as many again
    /// to draw from.
    pub const fn longest_whole(self) -> u64 {
        match self {
            Self::Drawn { block, random } => (5 + 2 * random) * block,
            Self::Band { .. } | Self::Neighbours { .. } | Self::Blocks { .. } => 0,
        }
    }

    /// Pairs within `blocks` of `block` positions, the last of which has `last`.
    fn drawn(block: u64, random: u64, blocks: u64, last: u64) -> Option<u128> {
        let all = times(block.into(), (blocks - 1).into())?.checked_add(last.into())?;
        let ends = times(all, u128::from(block) + u128::from(last))?;
        // Those beside the ends see themselves, three blocks in a row and both ends; the others a block more.
        let seen =
            |whole: u64| times(block.into(), (whole + random).into())?.checked_add(last.into());
        let beside = times(seen(3)?, 2 * u128::from(block))?;
        let middle = times(times(seen(4)?, block.into())?, (blocks - 4).into())?;
        ends.checked_add(beside)?.checked_add(middle)
    }

    /// Pairs of a token and what it sees in a sequence of so many tokens; `None` if they do not fit.
    ///
    /// ```
    /// use flopmeter::op::Pieces;
    ///
    /// // Of 5 tokens two see 2 and three see 3.
    /// let near = Pieces::Band { reach: 1, global: 0, filled: 2 };
    /// assert_eq!(near.pairs(5), Some(2 * 2 + 3 * 3));
    /// // The first one sees all five, and the two that are not near it see it too.
    /// let first = Pieces::Band { reach: 1, global: 1, filled: 2 };
    /// assert_eq!(first.pairs(5), Some(5 + 3 * 3 + 2 + 3));
    /// // Blocks of 2, 2 and 1, a vector beside for each, which sees itself and them.
    /// let blocks = Pieces::Blocks { block: 2, beside: 1, staggered: false };
    /// assert_eq!(blocks.pairs(5), Some(4 + 4 + 1 + 5 + 6));
    /// ```
    pub fn pairs(self, tokens: u64) -> Option<u128> {
        let all = u128::from(tokens);
        let around = |reach: u64| {
            let sequence = Passes::Prefill { past: 0, new: tokens };
            sequence.pairs(Mask::Around { before: reach, after: reach })
        };
        match self {
            _ if tokens == 0 => Some(0),
            Self::Drawn { .. } if tokens <= self.longest_whole() => times(all, all),
            Self::Drawn { block, random } => {
                let blocks = tokens.div_ceil(block);
                Self::drawn(block, random, blocks, tokens - (blocks - 1) * block)
            }
            Self::Band { reach, global: 0, .. } => around(reach),
            Self::Band { reach, .. } => {
                // The first token sees all instead of its window, and is seen from beyond it.
                let (near, far) =
                    (all.min(u128::from(reach) + 1), all.saturating_sub(u128::from(reach) + 1));
                around(reach)?.checked_sub(near)?.checked_add(all)?.checked_add(far)
            }
            Self::Neighbours { block, summaries } => {
                let sums = summaries.map_or(0, |it| tokens / it.every);
                around(block - 1)?.checked_add(times(all, sums.into())?)
            }
            Self::Blocks { block, beside, staggered } => {
                let first = if staggered { tokens.min(block / 2) } else { 0 };
                let (whole, rest) = ((tokens - first) / block, (tokens - first) % block);
                let square = |side: u64| u128::from(side) * u128::from(side);
                let within = times(square(block), whole.into())?;
                let within = within.checked_add(square(first) + square(rest))?;
                let beside = u128::from(beside);
                let seen_beside = times(beside, all)?;
                within.checked_add(seen_beside)?.checked_add(times(beside, beside + all)?)
            }
        }
    }

    /// Pairs that the reference implementation multiplies: for scores, for values.
    fn multiplied(self, tokens: u64) -> Option<[u128; 2]> {
        match self {
            _ if tokens == 0 => Some([0, 0]),
            Self::Drawn { .. } if tokens <= self.longest_whole() => {
                self.pairs(tokens).map(|all| [all; 2])
            }
            Self::Drawn { block, random } => {
                Self::drawn(block, random, tokens.div_ceil(block), block).map(|pairs| [pairs; 2])
            }
            Self::Band { reach, global, filled } => {
                let all = u128::from(tokens).next_multiple_of(filled.into());
                let reach = u128::from(reach);
                let overlapping = (all / reach).saturating_sub(1);
                // What is seen by all, and what sees all.
                let global = times(2 * u128::from(global), all)?;
                let scores = times(4 * reach * reach, overlapping)?.checked_add(global)?;
                Some([scores, times(3 * reach, all)?.checked_add(global)?])
            }
            Self::Neighbours { block, summaries } => {
                let blocks = u128::from(tokens.div_ceil(block));
                let sums = summaries.map_or(0, |it| tokens / it.every);
                let seen = 3 * u128::from(block) + u128::from(sums);
                let pairs = times(times(blocks, block.into())?, seen)?;
                Some([pairs, pairs])
            }
            Self::Blocks { block, beside, staggered } => {
                let more = if staggered { block } else { 0 };
                let all = u128::from(tokens).next_multiple_of(block.into()) + u128::from(more);
                let beside = u128::from(beside);
                let within = times(all, u128::from(block) + beside)?;
                let pairs = within.checked_add(times(beside, beside + all)?)?;
                Some([pairs, pairs])
            }
        }
    }
}

/// An amount of work over the one sequence of an encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LocalAmount {
    /// Pairs of a token and what it sees.
    Pairs(Pieces),
    /// Pairs whose scores the reference implementation multiplies.
    Scores(Pieces),
    /// Pairs whose values it multiplies.
    Values(Pieces),
    /// Tokens and sums of so many of them, which are made by a product.
    Summed { every: u64 },
    /// Such sums.
    Sums { every: u64 },
    /// Tokens, filled up to a multiple, and so many more, where there are more than `beyond`.
    Filled { to: u64, more: u64, beyond: u64 },
}

impl LocalAmount {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pairs(_) | Self::Scores(_) | Self::Values(_) => "pairs",
            Self::Summed { .. } => "tokens · sums of tokens",
            Self::Sums { .. } => "sums of tokens",
            Self::Filled { .. } => "tokens, filled up",
        }
    }

    /// How much of it a sequence of so many tokens has, `None` if that does not fit.
    pub fn of(self, tokens: u64) -> Option<u128> {
        match self {
            Self::Pairs(pieces) => pieces.pairs(tokens),
            Self::Scores(pieces) => pieces.multiplied(tokens).map(|[scores, _]| scores),
            Self::Values(pieces) => pieces.multiplied(tokens).map(|[_, values]| values),
            Self::Summed { every } => times(tokens.into(), (tokens / every).into()),
            Self::Sums { every } => Some((tokens / every).into()),
            Self::Filled { beyond, .. } if tokens <= beyond => Some(tokens.into()),
            Self::Filled { to, more, .. } => {
                Some(u128::from(tokens).next_multiple_of(to.into()) + u128::from(more))
            }
        }
    }
}

/// What is multiplied: of what component, how much of it, FLOPs of one.
type Multiplied = (Component, LocalAmount, u128);

impl Local {
    /// What a token needs.
    pub(crate) fn needed(&self) -> [Multiplied; 2] {
        let pairs = LocalAmount::Pairs(self.pieces);
        let of = |component| (component, pairs, self.flops_per_pair());
        [of(Component::AttentionScores), of(Component::AttentionValues)]
    }

    /// What the reference implementation multiplies.
    pub(crate) fn by_reference(&self) -> impl Iterator<Item = Multiplied> {
        let (scores, values) = (Component::AttentionScores, Component::AttentionValues);
        let a_pair = self.flops_per_pair();
        let summed = match self.pieces {
            Pieces::Neighbours { summaries: Some(Summaries { every, width }), .. } => {
                Some((scores, LocalAmount::Summed { every }, 2 * u128::from(width)))
            }
            _ => None,
        };
        let pairs = [
            (scores, LocalAmount::Scores(self.pieces), a_pair),
            (values, LocalAmount::Values(self.pieces), a_pair),
        ];
        pairs.into_iter().chain(summed)
    }

    fn flops_per_pair(&self) -> u128 {
        2 * u128::from(self.heads) * u128::from(self.dim)
    }
}

impl From<Local> for Op {
    fn from(local: Local) -> Self {
        Self::Local(local)
    }
}

#[cfg(test)]
mod tests {
    use super::{Local, Pieces, Summaries};
    use proptest::prelude::*;

    fn pieces() -> impl Strategy<Value = Pieces> {
        prop_oneof![
            (1u64..9, 0u64..2).prop_map(|(reach, global)| Pieces::Band {
                reach,
                global,
                filled: 2 * reach
            }),
            (1u64..9, proptest::option::of(1u64..7)).prop_map(|(block, every)| {
                let summaries = every.map(|every| Summaries { every, width: 3 });
                Pieces::Neighbours { block, summaries }
            }),
            (1u64..5, 0u64..3).prop_map(|(block, random)| Pieces::Drawn { block, random }),
            (1u64..9, 0u64..4, any::<bool>()).prop_map(|(half, beside, staggered)| {
                Pieces::Blocks { block: 2 * half, beside, staggered }
            }),
        ]
    }

    /// Whether a token sees another, by the sentence that defines the pieces.
    fn sees(pieces: Pieces, n: u64, i: u64, j: u64) -> bool {
        match pieces {
            Pieces::Drawn { .. } if n <= pieces.longest_whole() => true,
            Pieces::Drawn { block, .. } => {
                let last = (n - 1) / block;
                let ends = |at: u64| at == 0 || at == last;
                let (from, to) = (i / block, j / block);
                // Those beside an end see a third block in a row, which the first and the last see of everything.
                let row = from.clamp(1, last - 1).abs_diff(to) <= 1;
                ends(from) || ends(to) || row
            }
            Pieces::Band { reach, global, .. } => {
                i.abs_diff(j) <= reach || i < global || j < global
            }
            Pieces::Neighbours { block, .. } => i.abs_diff(j) < block,
            Pieces::Blocks { block, staggered, .. } => {
                let later = if staggered { block / 2 } else { 0 };
                (i + later) / block == (j + later) / block
            }
        }
    }

    proptest! {
        #[test]
        fn pairs_are_the_sum_over_tokens(pieces in pieces(), n in 0u64..60) {
            let near = (0..n).flat_map(|i| (0..n).map(move |j| (i, j)));
            let near = near.filter(|(i, j)| sees(pieces, n, *i, *j)).count() as u64;
            let more = match pieces {
                _ if n == 0 => 0,
                Pieces::Band { .. } | Pieces::Neighbours { summaries: None, .. } => 0,
                Pieces::Neighbours { summaries: Some(it), .. } => n * (n / it.every),
                Pieces::Blocks { beside, .. } => n * beside + beside * (beside + n),
                Pieces::Drawn { .. } if n <= pieces.longest_whole() => 0,
                // Whole blocks for all tokens but those of the first and the last one.
                Pieces::Drawn { block, random } => {
                    ((n - 1) / block - 1) * block * random * block
                }
            };
            prop_assert_eq!(pieces.pairs(n), Some(u128::from(near + more)));
        }

        #[test]
        fn the_reference_implementation_multiplies_no_fewer(pieces in pieces(), n in 0u64..60) {
            let needed = pieces.pairs(n).unwrap();
            let [scores, values] = pieces.multiplied(n).unwrap();
            prop_assert!(needed <= scores && needed <= values);
        }

        #[test]
        fn the_longest_sequences_overflow_or_fit_but_never_panic(pieces in pieces(), n: u64) {
            let local = Local { module: "", heads: 1 << 24, dim: 1 << 24, pieces };
            for (_, amount, flops) in local.needed().into_iter().chain(local.by_reference()) {
                let _ = amount.of(n).and_then(|amount| amount.checked_mul(flops));
            }
        }
    }
}
