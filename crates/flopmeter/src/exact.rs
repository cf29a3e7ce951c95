//! Exact products and quotients of counts that nearly always fit 64 bits.

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
