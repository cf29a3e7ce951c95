//! Numbers that wear their unit. Counts are exact; ratios are fractions.

use std::fmt;

/// A rate of floating-point operations, per second. A *count* of them is a `u128`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct FlopsPerSecond(pub f64);

/// A rate of bytes, per second (decimal: 1 GB/s is 1e9).
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct BytesPerSecond(pub f64);

impl fmt::Display for FlopsPerSecond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}FLOP/s", Si(self.0))
    }
}

impl fmt::Display for BytesPerSecond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}B/s", Si(self.0))
    }
}

/// A value with four significant digits and an SI prefix: the only place where people's units are made.
///
/// ```
/// use flopmeter::units::Si;
/// assert_eq!(format!("{}FLOP", Si(8_030_261_248.0)), "8.030 GFLOP");
/// assert_eq!(format!("{}s", Si(0.0185)), "18.50 ms");
/// assert_eq!(format!("{}B", Si(0.0)), "0 B");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Si(pub f64);

impl fmt::Display for Si {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const PREFIXES: [(f64, &str); 14] = [
            (1e30, "Q"),
            (1e27, "R"),
            (1e24, "Y"),
            (1e21, "Z"),
            (1e18, "E"),
            (1e15, "P"),
            (1e12, "T"),
            (1e9, "G"),
            (1e6, "M"),
            (1e3, "k"),
            (1.0, ""),
            (1e-3, "m"),
            (1e-6, "µ"),
            (1e-9, "n"),
        ];
        let size = self.0.abs();
        if size == 0.0 || !size.is_finite() {
            return write!(f, "{} ", self.0);
        }
        // 999.95 rounds to 1000 at four digits, so it already belongs to the next prefix.
        let (unit, prefix) =
            PREFIXES.into_iter().find(|(unit, _)| size >= unit * 0.999_95).unwrap_or((1e-9, "n"));
        let value = self.0 / unit;
        let decimals = match value.abs() {
            v if v < 9.999_5 => 3,
            v if v < 99.995 => 2,
            _ => 1,
        };
        write!(f, "{value:.decimals$} {prefix}")
    }
}
