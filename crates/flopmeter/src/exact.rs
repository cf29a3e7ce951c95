//! Exact sums, products and quotients of counts that nearly always fit 64 bits.

/// A width of whole numbers: each result is exact, or `None` where it does not fit.
///
/// A formula is written once and tried in 64 bits first, which costs a third.
pub(crate) trait Whole: Copy + Ord + From<u64> + Into<u128> {
    /// A number that fits.
    fn of(n: u128) -> Option<Self>;
    /// The sum.
    fn plus(self, other: Self) -> Option<Self>;
    /// The difference, `None` below zero.
    fn minus(self, other: Self) -> Option<Self>;
    /// The product.
    fn times(self, other: Self) -> Option<Self>;
    /// The quotient, and what remains.
    fn divide(self, divisor: u64) -> (Self, Self);
    /// Of it and the next number the odd one, and half of the even one.
    fn odd_and_half(self) -> (Self, Self);
}

impl Whole for u64 {
    fn of(n: u128) -> Option<Self> {
        n.try_into().ok()
    }

    fn plus(self, other: Self) -> Option<Self> {
        self.checked_add(other)
    }

    fn minus(self, other: Self) -> Option<Self> {
        self.checked_sub(other)
    }

    fn times(self, other: Self) -> Option<Self> {
        self.checked_mul(other)
    }

    fn divide(self, divisor: u64) -> (Self, Self) {
        (self / divisor, self % divisor)
    }

    fn odd_and_half(self) -> (Self, Self) {
        (self | 1, self.div_ceil(2))
    }
}

impl Whole for u128 {
    fn of(n: u128) -> Option<Self> {
        Some(n)
    }

    fn plus(self, other: Self) -> Option<Self> {
        self.checked_add(other)
    }

    fn minus(self, other: Self) -> Option<Self> {
        self.checked_sub(other)
    }

    fn times(self, other: Self) -> Option<Self> {
        times(self, other)
    }

    fn divide(self, divisor: u64) -> (Self, Self) {
        divide(self, divisor)
    }

    fn odd_and_half(self) -> (Self, Self) {
        (self | 1, self.div_ceil(2))
    }
}

/// A count of a request of at most [`Short::LONGEST`] positions. These have fewer than 2⁶² pairs, so that what a formula
/// adds up and multiplies on the way to such a count fits 64 bits, and is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Short(pub u64);

impl Short {
    /// Positions of the longest such request.
    pub const LONGEST: u64 = 1 << 31;
}

impl From<u64> for Short {
    fn from(n: u64) -> Self {
        Self(n)
    }
}

impl From<Short> for u128 {
    fn from(n: Short) -> Self {
        n.0.into()
    }
}

impl Whole for Short {
    fn of(n: u128) -> Option<Self> {
        u64::of(n).map(Self)
    }

    fn plus(self, other: Self) -> Option<Self> {
        Some(Self(self.0 + other.0))
    }

    fn minus(self, other: Self) -> Option<Self> {
        self.0.minus(other.0).map(Self)
    }

    fn times(self, other: Self) -> Option<Self> {
        Some(Self(self.0 * other.0))
    }

    fn divide(self, divisor: u64) -> (Self, Self) {
        let (quotient, rest) = self.0.divide(divisor);
        (Self(quotient), Self(rest))
    }

    fn odd_and_half(self) -> (Self, Self) {
        let (odd, half) = self.0.odd_and_half();
        (Self(odd), Self(half))
    }
}

/// `a · b`, `None` if it does not fit; where both fit 64 bits, without the cost of a 128-bit check.
pub(crate) fn times(a: u128, b: u128) -> Option<u128> {
    match (u64::try_from(a), u64::try_from(b)) {
        (Ok(a), Ok(b)) => Some(u128::from(a) * u128::from(b)),
        _ => a.checked_mul(b),
    }
}

/// `n ÷ d` and what remains, by 64-bit division where both fit: the 128-bit one costs ten times as much.
pub(crate) fn divide(n: u128, d: u64) -> (u128, u128) {
    match u64::try_from(n) {
        Ok(n) => ((n / d).into(), (n % d).into()),
        Err(_) => (n / u128::from(d), n % u128::from(d)),
    }
}

/// 1 + 2 + … + n = n·(n + 1)/2.
#[inline]
pub(crate) fn sum_through<N: Whole>(n: N) -> Option<N> {
    let (odd, half) = n.odd_and_half();
    odd.times(half)
}

/// 0 + 1 + … + (n − 1).
#[inline]
pub(crate) fn sum_to<N: Whole>(n: N) -> Option<N> {
    sum_through(n.minus(1.into()).unwrap_or(n))
}

/// Σ_{m<n} m² = (n − 1)·n·(2n − 1)/6.
pub(crate) fn squares_to<N: Whole>(n: N) -> Option<N> {
    let odd = n.plus(n)?.minus(1.into()).unwrap_or(n);
    Some(sum_to(n)?.times(odd)?.divide(3).0)
}
