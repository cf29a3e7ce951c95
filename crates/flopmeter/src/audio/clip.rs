//! The length of a clip.

use crate::error::{Error, ErrorKind, Result, shown};
use std::fmt;
use std::str::FromStr;

/// The longest clip that is believed, in seconds: half a year.
const LONGEST: f64 = (1_u64 << 24) as f64;

const NANOSECONDS: u64 = 1_000_000_000;

/// A clip of sound by its length: above 0 and up to 2^24 seconds, to the nanosecond.
///
/// ```
/// use flopmeter::audio::Clip;
///
/// let clip: Clip = "12.5".parse()?;
/// // At 16 kHz.
/// assert_eq!(clip.samples(16_000), 200_000);
/// assert_eq!(clip.to_string(), "12.5 s");
/// assert!("nan".parse::<Clip>().is_err() && "-1".parse::<Clip>().is_err());
/// # Ok::<(), flopmeter::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Clip {
    nanoseconds: u64,
}

impl Clip {
    /// A clip of so many seconds.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Workload`] for what is no length, or less than a nanosecond, or more than 2^24 seconds.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // At most 2^54, and above zero.
    pub fn new(seconds: f64) -> Result<Self> {
        let nanoseconds = seconds * NANOSECONDS as f64;
        if !(0.5..=LONGEST * NANOSECONDS as f64).contains(&nanoseconds) {
            return Err(wrong(&seconds.to_string()));
        }
        Ok(Self { nanoseconds: nanoseconds.round() as u64 })
    }

    /// Its length.
    #[allow(clippy::cast_precision_loss)] // Whole nanoseconds below 2^54.
    pub fn seconds(self) -> f64 {
        self.nanoseconds as f64 / NANOSECONDS as f64
    }

    /// Samples at a rate of so many a second, of which 2^24 are believed; the nearest number, and a half up.
    pub fn samples(self, rate: u64) -> u64 {
        let (second, rate) = (u128::from(NANOSECONDS), u128::from(rate));
        let samples = (u128::from(self.nanoseconds) * rate + second / 2) / second;
        u64::try_from(samples).unwrap_or(u64::MAX)
    }
}

impl FromStr for Clip {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        let seconds = text.strip_suffix('s').unwrap_or(text).trim_end().parse::<f64>();
        seconds.ok().and_then(|seconds| Self::new(seconds).ok()).ok_or_else(|| wrong(text))
    }
}

impl fmt::Display for Clip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.seconds())
    }
}

fn wrong(clip: &str) -> Error {
    let fact = format!("`{}` is no length of a clip", shown(clip));
    Error::new(ErrorKind::Workload, "audio", fact)
        .hint("a number of seconds above 0 and up to 16777216, such as `12.5`")
}

#[cfg(test)]
mod tests {
    use super::Clip;

    #[test]
    fn what_is_no_length_is_refused() {
        for text in [
            "nan", "inf", "-inf", "-1", "0", "-0", "1e308", "1e999", "1e-300", "", "s", "1:30",
            "5x", "16777217",
        ] {
            let error = text.parse::<Clip>().expect_err(text);
            assert!(error.to_string().contains("no length of a clip"), "{error}");
        }
    }

    #[test]
    fn a_length_is_exact_to_the_nanosecond() {
        let samples = |text: &str, rate| text.parse::<Clip>().expect("a clip").samples(rate);
        assert_eq!(samples("30", 16_000), 480_000);
        assert_eq!(samples("0.1 s", 44_100), 4410);
        // 0.0001 · 16,000 = 1.6 samples.
        assert_eq!(samples("1e-4", 16_000), 2);
        // 2^24 · 2^24.
        assert_eq!(samples("16777216", 1 << 24), 1 << 48);
    }
}
