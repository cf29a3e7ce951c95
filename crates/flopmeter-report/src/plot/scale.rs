//! Values and their places on an axis.

use flopmeter::units::Si;
use serde::Serialize;

/// How places follow values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// By factors, with a tick at powers of ten.
    Decades,
    /// By factors, with a tick at powers of two.
    Doublings,
    /// A fraction, from 0 to 1 at least.
    Share,
}

/// The most ticks of an axis.
const MOST_TICKS: usize = 10;

impl Scale {
    /// Whether a value has a place on it.
    pub fn has(self, value: f64) -> bool {
        value.is_finite() && (self == Self::Share || value > 0.0)
    }

    /// The ends of an axis that has room for all values.
    pub fn range(self, values: impl Iterator<Item = f64>) -> (f64, f64) {
        let (least, most) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), it| {
            (least.min(it), most.max(it))
        });
        match self {
            Self::Share => (0.0, most.max(1.0)),
            Self::Decades | Self::Doublings => {
                // A hair's breadth beyond the values, and half a decade where there is but one.
                let span = (most / least).ln();
                let room = if span > 1e-9 { (span * 0.04).exp() } else { 3.0 };
                ((least / room).max(f64::MIN_POSITIVE), (most * room).min(f64::MAX))
            }
        }
    }

    /// Where a value is between the ends, from 0 to 1.
    pub fn place(self, value: f64, (from, to): (f64, f64)) -> f64 {
        let place = match self {
            Self::Share => (value - from) / (to - from),
            Self::Decades | Self::Doublings => (value.ln() - from.ln()) / (to.ln() - from.ln()),
        };
        place.clamp(0.0, 1.0)
    }

    /// Values that a reader looks for.
    pub fn ticks(self, (from, to): (f64, f64)) -> Vec<f64> {
        let base: f64 = match self {
            Self::Share => {
                let step = if to <= 1.0 { 0.25 } else { (to / 4.0).ceil() };
                return (0..=4).map(|at| f64::from(at) * step).filter(|tick| *tick <= to).collect();
            }
            Self::Decades => 10.0,
            Self::Doublings => 2.0,
        };
        let exponents = |value: f64| value.ln() / base.ln();
        let (first, last) = (exponents(from).ceil(), exponents(to).floor());
        let count = (last - first + 1.0).max(0.0);
        let step = (count / MOST_TICKS as f64).ceil().max(1.0);
        let powers = (0..MOST_TICKS).map(|at| first + at as f64 * step);
        let powers = powers.take_while(|power| *power <= last).map(|power| base.powf(power));
        let mut ticks: Vec<f64> = powers.collect();
        if count < 3.0 && self == Self::Decades {
            // Within a decade or two a power is not enough.
            let factors = [1.0, 2.0, 5.0].map(|factor| {
                (-1..=2).map(move |more| factor * 10_f64.powf(first + f64::from(more)))
            });
            ticks = factors.into_iter().flatten().filter(|it| (from..=to).contains(it)).collect();
            ticks.sort_by(f64::total_cmp);
        }
        ticks.retain(|tick| tick.is_finite());
        ticks
    }

    /// A tick in words.
    pub fn label(self, tick: f64, unit: &str) -> String {
        match self {
            Self::Share => format!("{} %", short(tick * 100.0)),
            Self::Doublings => short(tick),
            Self::Decades => {
                let text = format!("{}{unit}", Si(tick));
                let (number, unit) = text.split_once(' ').unwrap_or((&text, ""));
                let number = match number.contains('.') {
                    true => number.trim_end_matches('0').trim_end_matches('.'),
                    false => number,
                };
                format!("{number} {unit}").trim_end().to_owned()
            }
        }
    }
}

/// The nearest whole number, or the last that there is.
#[allow(clippy::cast_possible_truncation, reason = "a cast from a float saturates")]
pub fn nearest(value: f64) -> i32 {
    value.round() as i32
}

/// The same of what is not below zero.
pub fn nearest_size(value: f64) -> u32 {
    nearest(value).try_into().unwrap_or(0)
}

/// A number without a unit, a power of two as people write it: `131072`, then `2^40`.
fn short(value: f64) -> String {
    if value < 1e7 { format!("{value}") } else { format!("2^{}", value.log2().round()) }
}

#[cfg(test)]
mod tests {
    use super::Scale;

    #[test]
    fn places_follow_values() {
        let ends = (1.0, 10_000.0);
        for (value, place) in [(1.0, 0.0), (10.0, 0.25), (100.0, 0.5), (10_000.0, 1.0), (1e9, 1.0)]
        {
            assert!((Scale::Decades.place(value, ends) - place).abs() < 1e-12, "{value}");
        }
        assert_eq!(Scale::Share.place(0.25, (0.0, 1.0)), 0.25);
    }

    #[test]
    fn ticks_are_few_and_within_the_axis() {
        assert_eq!(Scale::Decades.ticks((0.9, 1100.0)), [1.0, 10.0, 100.0, 1000.0]);
        assert_eq!(Scale::Doublings.ticks((0.9, 9.0)), [1.0, 2.0, 4.0, 8.0]);
        assert_eq!(Scale::Share.ticks((0.0, 1.0)), [0.0, 0.25, 0.5, 0.75, 1.0]);
        let ticks = Scale::Decades.ticks((3.0, 60.0));
        assert!(ticks.iter().zip([5.0, 10.0, 20.0, 50.0]).all(|(a, b)| (a / b - 1.0).abs() < 1e-9));
        for scale in [Scale::Decades, Scale::Doublings, Scale::Share] {
            for values in [[1e-300, 1e300], [1.0, 1.0], [f64::MIN_POSITIVE, f64::MAX], [5e37, 6e37]]
            {
                let ends = scale.range(values.into_iter());
                let ticks = scale.ticks(ends);
                assert!(ticks.len() <= 12, "{scale:?} {values:?}: {ticks:?}");
                assert!(ticks.iter().all(|tick| (ends.0..=ends.1).contains(tick)), "{ticks:?}");
                assert!(
                    values.iter().all(|value| (0.0..=1.0).contains(&scale.place(*value, ends)))
                );
            }
        }
    }

    #[test]
    fn ticks_have_units() {
        assert_eq!(Scale::Decades.label(1e15, "FLOP/s"), "1 PFLOP/s");
        assert_eq!(Scale::Decades.label(20e9, "B"), "20 GB");
        assert_eq!(Scale::Decades.label(10.0, ""), "10");
        assert_eq!(Scale::Share.label(0.25, ""), "25 %");
        assert_eq!(Scale::Doublings.label(131_072.0, ""), "131072");
        assert_eq!(Scale::Doublings.label(2_f64.powi(40), ""), "2^40");
    }
}
