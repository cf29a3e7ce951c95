//! What a token sees, and what the first tokens see together.

use crate::exact::{Whole, divide, squares_to, sum_through, sum_to, times};

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
    /// Entries that each stand for `every` positions, once these are all there, or those of them that an
    /// indexer chooses.
    Compressed {
        /// Positions that an entry stands for.
        every: u64,
        /// The most entries that are chosen, if not all are seen.
        most: Option<u64>,
    },
    /// Blocks of positions that an indexer chooses among those that are whole, and the tokens of the one
    /// that is not.
    Blocks {
        /// Positions of a block.
        size: u64,
        /// Whole blocks that are chosen.
        most: u64,
        /// Whether a token sees the block that it makes whole beside these.
        own: bool,
    },
    /// Every position of its pass and everything before the pass: what an encoder's tokens see.
    Full,
    /// Positions near it on either side: an encoder's window.
    Around {
        /// Positions before it that it sees.
        before: u64,
        /// Positions after it that it sees.
        after: u64,
    },
}

impl Mask {
    /// Whether later passes read what a pass leaves: tokens that see what follows them see it in one pass.
    pub fn keeps_cache(self) -> bool {
        !matches!(self, Self::Full | Self::Around { .. })
    }

    /// Σ over the first `n` positions of what each sees.
    #[inline(always)] // A call costs as much as the sums of the two masks that most models have.
    pub(crate) fn seen_by_first<N: Whole>(self, n: N) -> Option<N> {
        match self {
            Self::Causal => sum_through(n),
            // What these see depends on where their pass ends: `Passes::pairs` asks for none of them.
            Self::Full | Self::Around { .. } => None,
            Self::Sliding { window } | Self::Selected { most: window } => seen_in_window(n, window),
            Self::Chunked { chunk } => seen_in_chunks(n, chunk),
            Self::Compressed { every, most } => seen_of_entries(n, every, most),
            Self::Blocks { size, most, own } => seen_in_blocks(n, size, most, own),
        }
    }

    /// Σ over the prefixes of 0, 1, …, n − 1 positions of what their positions see.
    pub(super) fn seen_by_prefixes(self, n: u128) -> Option<u128> {
        match self {
            Self::Causal => tetrahedral(n),
            Self::Full | Self::Around { .. } => None,
            Self::Sliding { window } | Self::Selected { most: window } => {
                let window = u128::from(window);
                if n <= window + 1 {
                    return tetrahedral(n);
                }
                // A prefix that is k positions longer than the window has k rows of full width more.
                let longer = n - 1 - window;
                tetrahedral(window + 1)?
                    .checked_add(longer.checked_mul(sum_through(window)?)?)?
                    .checked_add(window.checked_mul(sum_through(longer)?)?)
            }
            Self::Chunked { chunk } => {
                let (whole, rest) = divide(n, chunk);
                let chunk = u128::from(chunk);
                let full = sum_through(chunk)?;
                // Prefix q·chunk + r sees q full chunks and a rising piece of r.
                let full_chunks = chunk
                    .checked_mul(sum_to(whole)?)?
                    .checked_add(whole.checked_mul(rest)?)?
                    .checked_mul(full)?;
                let pieces =
                    whole.checked_mul(tetrahedral(chunk)?)?.checked_add(tetrahedral(rest)?)?;
                full_chunks.checked_add(pieces)
            }
            Self::Compressed { every, most } => match full(every, most) {
                Some((first, most)) if n > first => {
                    let (longer, before) = (n - first, sum_of_quotients(first - 1, every)?);
                    sums_of_quotients(first, every)?
                        .checked_add(times(longer, before)?)?
                        .checked_add(times(most, sum_through(longer)?)?)
                }
                _ => sums_of_quotients(n, every),
            },
            Self::Blocks { size, most, own } => {
                let [whole, open] = parts(size, most);
                let seen = |n| times(whole.seen_by_prefixes(n)?, size.into());
                let tokens = open.seen_by_prefixes(n)?;
                if own {
                    seen(n.saturating_sub(1))?.checked_add(tokens)
                } else {
                    let ends = times(sum_of_quotients(n.saturating_sub(1), size)?, size.into())?;
                    seen(n)?.checked_add(tokens)?.checked_sub(ends)
                }
            }
        }
    }

    /// Of how many positions a token sees the last ones, `u64::MAX` where of all; `None` if it sees others.
    pub(crate) fn window(self) -> Option<u64> {
        match self {
            Self::Causal => Some(u64::MAX),
            Self::Sliding { window } | Self::Selected { most: window } => Some(window),
            _ => None,
        }
    }

    /// Positions that an entry of the cache stands for.
    pub(crate) fn positions_an_entry(self) -> u64 {
        match self {
            Self::Compressed { every, .. } => every,
            _ => 1,
        }
    }
}

/// From which prefix on `most` entries are seen, and how many they are, if they are limited.
fn full(every: u64, most: Option<u64>) -> Option<(u128, u128)> {
    let most = most.filter(|most| *most > 0)?;
    // Two sizes of at most 64 bits each.
    Some((u128::from(every) * u128::from(most), most.into()))
}

/// The whole blocks of a mask of blocks, and the open one.
fn parts(size: u64, most: u64) -> [Mask; 2] {
    [Mask::Compressed { every: size, most: Some(most) }, Mask::Chunked { chunk: size }]
}

/// Σ over the first `n` positions of what each sees of the last `window`.
#[inline(always)]
pub(crate) fn seen_in_window<N: Whole>(n: N, window: u64) -> Option<N> {
    let rising = n.min(window.into());
    sum_through(rising)?.plus(n.minus(rising)?.times(window.into())?)
}

/// Σ over the first `n` positions of what each sees of its own chunk.
fn seen_in_chunks<N: Whole>(n: N, chunk: u64) -> Option<N> {
    let (whole, rest) = n.divide(chunk);
    let of_chunk = sum_through(N::from(chunk))?;
    whole.times(of_chunk)?.plus(sum_through(rest)?)
}

/// The same of compressed entries.
fn seen_of_entries<N: Whole>(n: N, every: u64, most: Option<u64>) -> Option<N> {
    let Some(most) = most.filter(|most| *most > 0) else { return sum_of_quotients(n, every) };
    // The positions from the last one that more entries come with all see the most.
    let before = N::from(every).times(most.into())?.minus(1.into())?;
    let rising = n.min(before);
    sum_of_quotients(rising, every)?.plus(n.minus(rising)?.times(most.into())?)
}

/// The same of blocks that are chosen, and of the open one.
fn seen_in_blocks<N: Whole>(n: N, size: u64, most: u64, own: bool) -> Option<N> {
    let seen = |n: N| seen_of_entries(n, size, Some(most))?.times(size.into());
    let tokens = seen_in_chunks(n, size)?;
    if own {
        // Its own block is open to it to the last token.
        seen(n.minus(1.into()).unwrap_or(n))?.plus(tokens)
    } else {
        // A chunk's last token sees the chunk, and a block's last one no open block.
        let ends = n.divide(size).0.times(size.into())?;
        seen(n)?.plus(tokens)?.minus(ends)
    }
}

/// Σ ⌊j ÷ d⌋ over j = 1 … n.
fn sum_of_quotients<N: Whole>(n: N, d: u64) -> Option<N> {
    let (whole, rest) = n.divide(d);
    sum_to(whole)?.times(d.into())?.plus(whole.times(rest.plus(1.into())?)?)
}

/// Σ over m < n of Σ ⌊j ÷ d⌋ over j = 1 … m.
fn sums_of_quotients(n: u128, d: u64) -> Option<u128> {
    let (whole, rest) = divide(n, d);
    let d = u128::from(d);
    // Of m = w·d + r: d·w·(w − 1)/2 + w·(r + 1), summed over r, then over the whole w, then over what is left.
    let pairs_of_blocks = tetrahedral(whole.saturating_sub(1))?;
    times(times(d, d)?, pairs_of_blocks)?
        .checked_add(times(sum_to(whole)?, sum_through(d)?)?)?
        .checked_add(times(times(rest, d)?, sum_to(whole)?)?)?
        .checked_add(times(whole, sum_through(rest)?)?)
}

/// Σ m·⌊m ÷ d⌋ over m < n.
pub(super) fn sum_of_products(n: u128, d: u64) -> Option<u128> {
    let (whole, rest) = divide(n, d);
    let d = u128::from(d);
    times(times(d, d)?, squares_to(whole)?)?
        .checked_add(times(sum_to(whole)?, sum_to(d)?)?)?
        .checked_add(times(whole, times(rest, times(whole, d)?)?.checked_add(sum_to(rest)?)?)?)
}

/// Σ_{m<n} m(m + 1)/2 = (n − 1)·n·(n + 1)/6.
fn tetrahedral(n: u128) -> Option<u128> {
    // n(n + 1)/2 is exact, and of three neighbours one is a multiple of three.
    Some(sum_through(n)?.checked_mul(n.saturating_sub(1))? / 3)
}
