//! Many requests, several at a time.

use super::client::PARALLEL;
use flopmeter::{Error, Result};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// The results of some work on the first `count` numbers, in their order. The first failure ends it.
pub fn each<T: Send>(count: usize, work: impl Fn(usize) -> Result<T> + Sync) -> Result<Vec<T>> {
    if count == 1 {
        return Ok(vec![work(0)?]);
    }
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, T)>> = Mutex::default();
    let failure: Mutex<Option<Error>> = Mutex::default();
    thread::scope(|scope| {
        for _ in 0..PARALLEL.min(count) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= count {
                        return;
                    }
                    match work(at) {
                        Ok(result) => locked(&results).push((at, result)),
                        Err(error) => {
                            next.store(count, Ordering::Relaxed);
                            locked(&failure).get_or_insert(error);
                        }
                    }
                }
            });
        }
    });
    if let Some(error) = locked(&failure).take() {
        return Err(error);
    }
    let mut results = std::mem::take(&mut *locked(&results));
    results.sort_by_key(|(at, _)| *at);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::each;
    use flopmeter::{Error, ErrorKind};
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn results_are_in_order_and_a_failure_ends_it() {
        for count in [0, 1, 2, 1000] {
            let numbers = each(count, Ok).unwrap_or_default();
            assert_eq!(numbers, (0..count).collect::<Vec<_>>());
        }
        let done = AtomicUsize::new(0);
        let failed = each(1_000_000, |at| {
            done.fetch_add(1, Ordering::Relaxed);
            if at == 3 { Err(Error::new(ErrorKind::Network, "3", "fails")) } else { Ok(at) }
        });
        assert_eq!(failed.err().map(|error| error.to_string()), Some("3: fails".to_owned()));
        assert!(done.into_inner() < 1_000_000);
    }
}
