//! Primes, which some tables have as many rows as.

/// Numbers that are sieved at once.
const SEGMENT: usize = 4096;

/// The first `count` primes from `first` on, which is at most 2^30.
pub(super) fn primes_from(first: u64, count: usize) -> Vec<u64> {
    let mut primes = Vec::with_capacity(count);
    let mut from = first.max(2);
    while primes.len() < count {
        let to = from + SEGMENT as u64;
        let mut composite = [false; SEGMENT];
        for factor in (2..).take_while(|factor| factor * factor < to) {
            // Multiples of a composite are those of its factors too: it marks nothing new.
            let start = from.next_multiple_of(factor).max(factor * factor);
            for number in (start..to).step_by(usize::try_from(factor).unwrap_or(1)) {
                if let Some(mark) =
                    usize::try_from(number - from).ok().and_then(|at| composite.get_mut(at))
                {
                    *mark = true;
                }
            }
        }
        let found = (from..to).zip(composite).filter(|(_, composite)| !composite);
        primes.extend(found.map(|(number, _)| number).take(count - primes.len()));
        from = to;
    }
    primes
}

#[cfg(test)]
mod tests {
    use super::primes_from;

    #[test]
    fn primes_have_no_factors() {
        assert_eq!(primes_from(0, 10), [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]);
        // The 1000th prime.
        assert_eq!(primes_from(2, 1000).last(), Some(&7919));
        let large = primes_from(20_000_000, 2);
        for prime in large {
            assert!((2..4473).all(|factor| prime % factor > 0), "{prime}");
        }
        // A segment of 4096 begins and ends among these.
        let across = primes_from(4090, 3);
        assert_eq!(across, [4091, 4093, 4099]);
    }
}
