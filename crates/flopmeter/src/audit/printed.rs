//! A figure as it is printed: its value, and what its last digit is worth.

/// A printed figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Printed {
    /// The value.
    pub value: f64,
    /// What one in its last digit is worth.
    pub unit: f64,
}

impl Printed {
    /// Reads `43.36`, `1.1e3`; `None` if it is no number.
    ///
    /// ```
    /// use flopmeter::audit::Printed;
    /// assert_eq!(Printed::read("43.4").map(|it| it.value), Some(43.4));
    /// assert_eq!(Printed::read("428").map(|it| it.unit), Some(1.0));
    /// assert_eq!(Printed::read("fast"), None);
    /// ```
    pub fn read(text: &str) -> Option<Self> {
        let value: f64 = text.parse().ok()?;
        let (digits, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let decimals = digits.split_once('.').map_or(0, |(_, decimals)| decimals.len());
        let power = exponent.parse::<i32>().ok()?.checked_sub(i32::try_from(decimals).ok()?)?;
        Some(Self { value, unit: 10_f64.powi(power) })
    }

    /// The same in another unit.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        Self { value: self.value * factor, unit: self.unit * factor }
    }

    /// Whether a value is printed so, rounded or cut.
    ///
    /// ```
    /// use flopmeter::audit::Printed;
    /// let printed = Printed::read("428").expect("a number");
    /// assert!(printed.prints(428.9)); // cut
    /// assert!(printed.prints(427.6)); // rounded
    /// assert!(!printed.prints(429.1));
    /// ```
    pub fn prints(&self, value: f64) -> bool {
        let over = value - self.value;
        // Room for what binary fractions lose.
        let least = self.value.abs() * 1e-12;
        (-self.unit / 2.0 - least..self.unit + least).contains(&over)
    }
}
