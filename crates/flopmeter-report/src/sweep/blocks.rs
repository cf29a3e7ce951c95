//! Many rows, a block of them on each processor at a time; no more is kept than these blocks.

use flopmeter::Result;
use std::ops::Range;
use std::thread;

/// Rows of a block.
const ROWS: usize = 4096;

/// Does `work` on each block of the first `count` numbers, and gives the results to `take` in their order.
///
/// # Errors
///
/// The first of either.
pub fn each<T: Send, E: From<flopmeter::Error>>(
    count: usize,
    work: impl Fn(Range<usize>) -> Result<T> + Sync,
    mut take: impl FnMut(T) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let mut starts = (0..count).step_by(ROWS).peekable();
    let block = |from: usize| from..count.min(from + ROWS);
    if count <= ROWS {
        return take(work(0..count)?);
    }
    while starts.peek().is_some() {
        let starts: Vec<usize> = starts.by_ref().take(processors).collect();
        let done: Vec<Result<T>> = thread::scope(|scope| {
            let work = &work;
            let threads: Vec<_> =
                starts.iter().map(|from| scope.spawn(move || work(block(*from)))).collect();
            threads
                .into_iter()
                .map(|thread| {
                    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
                .collect()
        });
        for result in done {
            take(result?)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{ROWS, each};
    use flopmeter::{Error, ErrorKind};

    #[test]
    fn blocks_come_in_order_and_miss_nothing() {
        for count in [0, 1, ROWS, ROWS + 1, 20 * ROWS + 7] {
            let mut all = Vec::new();
            let done = each::<_, Error>(
                count,
                |rows| Ok(rows.collect::<Vec<_>>()),
                |rows| {
                    all.extend(rows);
                    Ok(())
                },
            );
            assert_eq!(done, Ok(()));
            assert!(all.into_iter().eq(0..count), "{count}");
        }
    }

    #[test]
    fn the_first_failure_ends_it() {
        let mut taken = 0;
        let failed = each::<_, Error>(
            100 * ROWS,
            |rows| match rows.contains(&(3 * ROWS)) {
                true => Err(Error::new(ErrorKind::Overflow, "row", "fails")),
                false => Ok(()),
            },
            |()| {
                taken += 1;
                Ok(())
            },
        );
        assert_eq!((failed.map_err(|error| error.kind()), taken), (Err(ErrorKind::Overflow), 3));
    }
}
