//! A cost that depends on where a step begins, summed over where steps begin: by straight pieces.
//!
//! What a step costs grows by the same amount from one offset to the next, but for where a window fills, a chunk
//! ends or the answer does. So a range is halved until its pieces are straight, and each has a closed sum.

use super::starts::Moments;
use crate::exact::times;

/// A piece on which costs are straight: `first + rise·distance ÷ over`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece<const N: usize> {
    pub from: u64,
    pub to: u64,
    pub first: [u128; N],
    /// What is added over a distance of `over`.
    pub rise: [i128; N],
    pub over: u64,
}

/// The most pieces of a range between two cuts. Beyond it a piece is taken as straight that is not.
const MOST_PIECES: u32 = 512;

/// A cost at an offset, `None` if it does not fit.
pub(super) type Cost<'c, const N: usize> = &'c dyn Fn(u64) -> Option<[u128; N]>;

/// Visits the straight pieces of a cost over `from..to`.
///
/// A piece is known by its ends and the slope at its beginning: exact for costs that are straight or bend one
/// way. A cost that falls back, as a chunk ends, is cut there beforehand.
pub(super) fn straight<const N: usize>(
    from: u64,
    to: u64,
    cost: Cost<'_, N>,
    visit: &mut dyn FnMut(Piece<N>) -> Option<()>,
) -> Option<()> {
    if from >= to {
        return Some(());
    }
    let mut left = MOST_PIECES;
    let last = if to - from == 1 { cost(from)? } else { cost(to - 1)? };
    halve(from, to, cost(from)?, last, cost, &mut left, visit)
}

fn halve<const N: usize>(
    from: u64,
    to: u64,
    first: [u128; N],
    last: [u128; N],
    cost: Cost<'_, N>,
    left: &mut u32,
    visit: &mut dyn FnMut(Piece<N>) -> Option<()>,
) -> Option<()> {
    let over = to - from - 1;
    let rise = rises(&first, &last)?;
    let is_straight = over < 2 || *left == 0 || {
        let second = rises(&first, &cost(from + 1)?)?;
        (0..N).all(|at| second[at].checked_mul(over.into()) == Some(rise[at]))
    };
    if is_straight {
        return visit(Piece { from, to, first, rise, over: over.max(1) });
    }
    *left -= 1;
    let middle = from + (to - from) / 2;
    halve(from, middle, first, cost(middle - 1)?, cost, left, visit)?;
    halve(middle, to, cost(middle)?, last, cost, left, visit)
}

fn rises<const N: usize>(from: &[u128; N], to: &[u128; N]) -> Option<[i128; N]> {
    let mut rises = [0; N];
    for at in 0..N {
        rises[at] = i128::try_from(to[at]).ok()?.checked_sub(i128::try_from(from[at]).ok()?)?;
    }
    Some(rises)
}

/// An expectation: a whole number, and what is none.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Expected {
    pub whole: u128,
    pub rest: f64,
}

impl Expected {
    pub fn add(&mut self, amount: u128) -> Option<()> {
        self.whole = self.whole.checked_add(amount)?;
        Some(())
    }

    /// Adds a straight cost of the steps of its piece; `at` is which of the piece's costs.
    pub fn add_steps<const N: usize>(
        &mut self,
        piece: &Piece<N>,
        at: usize,
        moments: Moments,
    ) -> Option<()> {
        let (first, rise, over) = (piece.first[at], piece.rise[at], piece.over);
        match moments {
            Moments::Exact { steps, distances } => {
                let climbed = rise.checked_mul(i128::try_from(distances).ok()?)? / i128::from(over);
                let whole = times(first, steps)?.checked_add_signed(climbed)?;
                self.add(whole)
            }
            Moments::Expected { steps, distances } => {
                self.rest += first as f64 * steps + rise as f64 * distances / over as f64;
                Some(())
            }
        }
    }

    /// Adds another expectation so many times.
    pub fn add_times(&mut self, other: Self, count: u128) -> Option<()> {
        self.add(times(other.whole, count)?)?;
        self.rest += other.rest * count as f64;
        Some(())
    }

    /// Takes away an amount that was added with a probability, and should not have been.
    pub fn remove(&mut self, amount: u128, probability: f64) -> Option<()> {
        if probability == 1.0 {
            self.whole = self.whole.checked_sub(amount)?;
        } else {
            self.rest -= amount as f64 * probability;
        }
        Some(())
    }

    /// The expectation as a float.
    pub fn value(&self) -> f64 {
        self.whole as f64 + self.rest
    }

    /// Bits as bytes, rounded once.
    pub fn bytes(&self) -> Option<u128> {
        Self { whole: self.whole.div_ceil(8), rest: self.rest / 8.0 }.rounded()
    }

    /// To the nearest whole number; `None` if it does not fit.
    pub fn rounded(&self) -> Option<u128> {
        // A sum of terms that are not negative, up to the last digit of a double; an `as` never wraps.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let rest = self.rest.round() as u128;
        (self.rest < u128::MAX as f64).then_some(())?;
        self.whole.checked_add(rest)
    }
}
