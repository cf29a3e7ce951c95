//! What PyTorch's counter sees of a recurrence: the matrix products of the reference implementation.

use super::runs::RunAmount;
use super::{Convolution, Kind, Padding, product};

/// Tokens of a chunk of the gated delta rule, a constant of the reference implementation.
pub(super) const DELTA_CHUNK: u64 = 64;

impl Kind {
    /// The terms of the FLOPs that PyTorch's counter counts.
    pub(crate) fn by_reference(self) -> Option<Vec<Term>> {
        let two = ("2", 2_u128);
        Some(match self {
            Self::Shift { .. } | Self::Gated { .. } | Self::Weighted { .. } => Vec::new(),
            Self::Convolution(Convolution { channels, kernel, group, padding, .. }) => {
                let amount = match padding {
                    Padding::Both => RunAmount::Convolved(kernel),
                    Padding::Anew => RunAmount::ConvolvedAnew(kernel),
                    Padding::Before(more) => RunAmount::Padded(more),
                    Padding::Elements => return Some(Vec::new()),
                };
                let mut sizes = vec![two, ("channels", channels.into()), ("kernel", kernel.into())];
                if group > 1 {
                    sizes.push(("group", group.into()));
                }
                vec![Term { sizes, name: "positions, padding included", amount }]
            }
            Self::Delayed { from, to, .. } => vec![Term {
                sizes: vec![two, ("in", from.into()), ("out", to.into())],
                name: "tokens, and one before the first",
                amount: RunAmount::Delayed,
            }],
            Self::Selective { channels, state } => vec![Term {
                sizes: vec![two, ("channels", channels.into()), ("state", state.into())],
                name: "tokens",
                amount: RunAmount::Tokens,
            }],
            Self::Dual { heads, head, state, chunk } => {
                let (c, p, n) = (u128::from(chunk), u128::from(head), u128::from(state));
                let within = c.checked_mul(c)?.checked_mul(p + n)?;
                let between = c.checked_mul(2)?.checked_mul(p.checked_mul(n)?)?;
                let heads = ("heads", u128::from(heads));
                let one = (
                    "(chunk² · (head + state) + 2 · chunk · head · state)",
                    within.checked_add(between)?,
                );
                let states = || vec![two, heads, ("head", p), ("state", n)];
                vec![
                    Term {
                        sizes: vec![two, heads, one],
                        name: "chunks",
                        amount: RunAmount::Chunks(chunk),
                    },
                    Term {
                        sizes: states(),
                        name: "Σ (chunks + 1)²",
                        amount: RunAmount::ChunksPassed(chunk),
                    },
                    Term { sizes: states(), name: "steps", amount: RunAmount::Steps },
                ]
            }
            Self::Lightning { heads, head, block } => {
                let (heads, head) = (("heads", u128::from(heads)), ("head", u128::from(head)));
                vec![
                    Term {
                        sizes: vec![("4", 4), heads, head, head],
                        name: "tokens",
                        amount: RunAmount::Tokens,
                    },
                    Term {
                        sizes: vec![("4", 4), heads, head],
                        name: "Σ tokens² of blocks",
                        amount: RunAmount::BlockSquares(block),
                    },
                ]
            }
            Self::Matrix { heads, key, value, chunk } => {
                let (c, k, v) = (u128::from(chunk), u128::from(key), u128::from(value));
                let state = k.checked_mul(v)?.checked_mul(2)?.checked_add(k)?;
                let within = c.checked_mul(c)?.checked_mul(k + v)?;
                let heads = ("heads", u128::from(heads));
                let one = (
                    "(chunk² · (key + value) + chunk · (2 · key · value + key))",
                    within.checked_add(c.checked_mul(state)?)?,
                );
                vec![
                    Term {
                        sizes: vec![two, heads, one],
                        name: "whole chunks",
                        amount: RunAmount::WholeChunks(chunk),
                    },
                    Term {
                        sizes: vec![two, heads, ("(2 · key · value + key)", state)],
                        name: "tokens left",
                        amount: RunAmount::TokensLeft(chunk),
                    },
                ]
            }
            Self::Delta { heads, key, value, by_channel } => {
                let (c, k, v) = (u128::from(DELTA_CHUNK), u128::from(key), u128::from(value));
                let (within, name) = if by_channel {
                    (k + 2 * v, "(64² · (key + 2 · value) + 3 · 64 · key · value)")
                } else {
                    (2 * k + v, "(64² · (2 · key + value) + 3 · 64 · key · value)")
                };
                let one = (c * c).checked_mul(within)?.checked_add((3 * c).checked_mul(k * v)?)?;
                vec![Term {
                    sizes: vec![two, ("heads", heads.into()), (name, one)],
                    name: "chunks of 64",
                    amount: RunAmount::Chunks(DELTA_CHUNK),
                }]
            }
        })
    }
}

/// FLOPs that are a product: of sizes, each with its name, and of how much passes have of something.
#[derive(Debug, Clone)]
pub(crate) struct Term {
    pub sizes: Vec<(&'static str, u128)>,
    /// What there is so much of.
    pub name: &'static str,
    pub amount: RunAmount,
}

impl Term {
    /// FLOPs of one, `None` if they do not fit.
    pub fn each(&self) -> Option<u128> {
        product(&self.sizes)
    }
}
