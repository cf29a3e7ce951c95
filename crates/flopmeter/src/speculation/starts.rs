//! Where the steps of speculative decoding begin: how often one begins at an offset, and sums of that.
//!
//! ```text
//! a step yields min(G, K + 1) tokens, G being geometric:  P(G = j) = R^(j − 1)·(1 − R)
//! its generating function F(z):    1 − F(z) = (1 − z)·(1 − (R·z)^s) ÷ (1 − R·z),  s = K + 1
//! Σ u_i·z^i = 1 ÷ (1 − F(z)):      u_i = u·(1 − ρ^⌈i/s⌉) + [s divides i]·ρ^(i/s)
//!                                  ρ = R^s,  u = (1 − R) ÷ (1 − ρ), one step in so many tokens
//! ```
//!
//! `u_i` is the probability that a step begins `i` tokens after the first one. It is exact, and so are the sums
//! of it, which take log₂ i multiplications.

use crate::exact::{sum_to, times};

/// When steps of at most `step` tokens begin, each drafted one being accepted with probability `acceptance`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Starts {
    /// The most tokens of a step: the drafted ones and one more.
    pub step: u64,
    /// From 0 to 1.
    pub acceptance: f64,
}

/// How many steps begin in a range of offsets, and the sum of their distances from its first.
#[derive(Debug, Clone, Copy)]
pub(super) enum Moments {
    /// Whole numbers: nothing or everything is accepted.
    Exact { steps: u128, distances: u128 },
    /// Expectations.
    Expected { steps: f64, distances: f64 },
}

impl Moments {
    /// How many steps begin.
    pub fn steps(&self) -> f64 {
        match *self {
            Self::Exact { steps, .. } => steps as f64,
            Self::Expected { steps, .. } => steps,
        }
    }
}

impl Starts {
    /// Tokens of a step that has enough left: (1 − R^s) ÷ (1 − R) = 1 + R + … + R^K.
    pub fn tokens_per_step(&self) -> f64 {
        let [sum, _] = geometric(self.acceptance, self.step);
        sum
    }

    /// The probability that a step begins at an offset.
    pub fn at(&self, offset: u64) -> f64 {
        let within = offset.div_ceil(self.step) as f64;
        let ratio = self.ratio();
        let begins = if offset.is_multiple_of(self.step) { ratio.powf(within) } else { 0.0 };
        (1.0 - ratio.powf(within)) / self.tokens_per_step() + begins
    }

    /// Steps that begin at `from..to`; `None` if a sum does not fit.
    pub fn moments(&self, from: u64, to: u64) -> Option<Moments> {
        let length = u128::from(to - from);
        if self.acceptance == 0.0 {
            return Some(Moments::Exact { steps: length, distances: sum_to(length)? });
        }
        if self.acceptance == 1.0 {
            let (first, end) = (from.div_ceil(self.step), to.div_ceil(self.step));
            let (steps, step) = (u128::from(end - first), u128::from(self.step));
            if steps == 0 {
                return Some(Moments::Exact { steps, distances: 0 });
            }
            let before = u128::from(first) * step - u128::from(from);
            let distances = times(steps, before)?.checked_add(times(step, sum_to(steps)?)?)?;
            return Some(Moments::Exact { steps, distances });
        }
        let (start, end) = (self.first(from), self.first(to));
        let steps = end[0] - start[0];
        Some(Moments::Expected { steps, distances: end[1] - start[1] - from as f64 * steps })
    }

    /// Steps that begin at `from..to` after one whose draft was accepted wholly.
    pub fn after_whole_ones(&self, from: u64, to: u64) -> Option<Moments> {
        let first = from.max(self.step);
        if first >= to {
            return Some(Moments::Exact { steps: 0, distances: 0 });
        }
        let before = self.moments(first - self.step, to - self.step)?;
        let whole = self.acceptance.powf((self.step - 1) as f64);
        Some(match before {
            _ if self.acceptance == 0.0 => Moments::Exact { steps: 0, distances: 0 },
            Moments::Exact { steps, distances } => {
                let more = times(steps, (first - from).into())?;
                Moments::Exact { steps, distances: distances.checked_add(more)? }
            }
            Moments::Expected { steps, distances } => Moments::Expected {
                steps: steps * whole,
                distances: (distances + steps * (first - from) as f64) * whole,
            },
        })
    }

    /// Offsets in `from..to` at which no step begins.
    pub fn moments_between(&self, from: u64, to: u64) -> Option<Moments> {
        let length = u128::from(to - from);
        let all = sum_to(length)?;
        Some(match self.moments(from, to)? {
            Moments::Exact { steps, distances } => {
                Moments::Exact { steps: length - steps, distances: all.checked_sub(distances)? }
            }
            Moments::Expected { steps, distances } => Moments::Expected {
                steps: (length as f64 - steps).max(0.0),
                distances: (all as f64 - distances).max(0.0),
            },
        })
    }

    /// The probability that no step begins at `offset..end`.
    pub fn none_follows(&self, offset: u64, end: u64) -> f64 {
        // The last step before began less than a step's tokens before the end, and was accepted up to it.
        let last = (end.saturating_sub(self.step)..offset)
            .map(|before| self.at(before) * self.acceptance.powf((end - 1 - before) as f64));
        last.sum()
    }

    fn ratio(&self) -> f64 {
        self.acceptance.powf(self.step as f64)
    }

    /// Σ u_i and Σ i·u_i over the offsets before `offset`.
    fn first(&self, offset: u64) -> [f64; 2] {
        let Some(last) = offset.checked_sub(1) else { return [0.0; 2] };
        let (ratio, step, count) = (self.ratio(), self.step as f64, offset as f64);
        // Σ ρ^⌈i/s⌉: 1 at offset 0, then whole blocks of s equal terms, then a part of one.
        let (blocks, rest) = (last / self.step, (last % self.step) as f64);
        let [sum, weighted] = geometric(ratio, blocks);
        let of_part = ratio.powf(blocks as f64 + 1.0);
        let missing = 1.0 + step * ratio * sum + rest * of_part;
        let missing_offsets = ratio * (step * step * weighted + step * (step + 1.0) / 2.0 * sum)
            + of_part * (rest * blocks as f64 * step + rest * (rest + 1.0) / 2.0);
        let [begun, begun_weighted] = geometric(ratio, offset.div_ceil(self.step));
        let rate = 1.0 / self.tokens_per_step();
        [
            rate * (count - missing) + begun,
            rate * (count * (count - 1.0) / 2.0 - missing_offsets) + step * begun_weighted,
        ]
    }
}

/// Σ r^q and Σ q·r^q over q < n, by doubling: every term is positive, so no digit is lost as r nears 1.
fn geometric(r: f64, n: u64) -> [f64; 2] {
    let (mut count, mut power) = (0.0, 1.0);
    let [mut sum, mut weighted] = [0.0; 2];
    for bit in (0..u64::BITS - n.leading_zeros()).rev() {
        weighted += power * (weighted + count * sum);
        sum += power * sum;
        (count, power) = (2.0 * count, power * power);
        if n >> bit & 1 == 1 {
            weighted += count * power;
            sum += power;
            (count, power) = (count + 1.0, power * r);
        }
    }
    [sum, weighted]
}

#[cfg(test)]
mod tests {
    use super::{Moments, Starts, geometric};
    use proptest::prelude::*;

    fn index(offset: u64) -> usize {
        usize::try_from(offset).expect("a short test")
    }

    /// The probability of a step at each offset, token by token: the renewal equation u_i = Σ_j P(step = j)·u_{i − j}.
    pub(crate) fn by_renewal(starts: &Starts, offsets: usize) -> Vec<f64> {
        let (r, most) = (starts.acceptance, index(starts.step));
        let length = |j: usize| {
            let tried = r.powf(j as f64 - 1.0);
            if j < most { tried * (1.0 - r) } else { tried }
        };
        let mut begins = vec![1.0];
        for i in 1..offsets {
            begins.push((1..=most.min(i)).map(|j| length(j) * begins[i - j]).sum());
        }
        begins
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-9 * (1.0 + a.abs().max(b.abs()))
    }

    fn as_floats(moments: Moments) -> (f64, f64) {
        match moments {
            Moments::Exact { steps, distances } => (steps as f64, distances as f64),
            Moments::Expected { steps, distances } => (steps, distances),
        }
    }

    proptest! {
        #[test]
        fn steps_begin_as_the_renewal_equation_says(
            step in 2u64..9, acceptance in prop_oneof![Just(0.0), Just(1.0), Just(0.999_999), 0.0..=1.0f64],
            from in 0u64..70, length in 0u64..70,
        ) {
            let starts = Starts { step, acceptance };
            let begins = by_renewal(&starts, 140);
            for (offset, expected) in (0..).zip(&begins) {
                prop_assert!(near(starts.at(offset), *expected), "{offset}");
            }
            let to = from + length;
            let (steps, distances) = as_floats(starts.moments(from, to).expect("it fits"));
            let of = |weight: fn(u64, u64) -> u64| {
                (from..to).map(|i| begins[index(i)] * weight(i, from) as f64).sum::<f64>()
            };
            prop_assert!(near(steps, of(|_, _| 1)));
            prop_assert!(near(distances, of(|i, from| i - from)));
            let (steps, distances) = as_floats(starts.after_whole_ones(from, to).expect("it fits"));
            let whole = |i: u64| {
                let before = i.checked_sub(step).map_or(0.0, |i| begins[index(i)]);
                before * acceptance.powf(step as f64 - 1.0)
            };
            prop_assert!(near(steps, (from..to).map(whole).sum()));
            prop_assert!(near(distances, (from..to).map(|i| whole(i) * (i - from) as f64).sum()));
        }

        #[test]
        fn geometric_sums_are_their_terms(r in 0.0..=1.0f64, n in 0u64..200) {
            let [sum, weighted] = geometric(r, n);
            prop_assert!(near(sum, (0..n).map(|q| r.powf(q as f64)).sum()));
            prop_assert!(near(weighted, (0..n).map(|q| q as f64 * r.powf(q as f64)).sum()));
        }

        #[test]
        fn the_longest_answers_give_a_number(step in 2u64..300, acceptance in 0.0..=1.0f64, from: u64, to: u64) {
            let (from, to) = (from.min(to), from.max(to));
            if let Some(moments) = (Starts { step, acceptance }).moments(from, to) {
                let (steps, distances) = as_floats(moments);
                prop_assert!(steps.is_finite() && distances.is_finite());
            }
        }
    }

    #[test]
    fn tokens_of_a_step_are_leviathans() {
        // (1 − 0.8^6) ÷ (1 − 0.8) = 3.68928: γ = 5 of arXiv:2211.17192, equation 1.
        let tokens = Starts { step: 6, acceptance: 0.8 }.tokens_per_step();
        assert!(near(tokens, 3.689_28), "{tokens}");
        assert_eq!(Starts { step: 6, acceptance: 1.0 }.tokens_per_step(), 6.0);
        assert_eq!(Starts { step: 6, acceptance: 0.0 }.tokens_per_step(), 1.0);
    }
}
