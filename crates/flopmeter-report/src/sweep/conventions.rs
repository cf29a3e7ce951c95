//! By which conventions points are counted.

use super::Ranges;
use crate::ALL;
use flopmeter::{Convention, ErrorKind, Model, Result, Step, Workload};

/// The conventions that are named, or all that apply, with the reasons of those that do not.
pub fn read(ranges: &Ranges, model: &Model) -> Result<(Vec<Convention>, Vec<String>)> {
    if !ranges.conventions.iter().any(|name| name == ALL) {
        let named = ranges.conventions.iter().map(|name| name.parse());
        return Ok((named.collect::<Result<_>>()?, Vec::new()));
    }
    let counts = |convention: &Convention| match ranges.sequence {
        Some(_) => {
            let step = Step::new(1, 1)?;
            model.training(&step, convention)?.flops(&step).map(|_| ())
        }
        None => model.flops(&Workload::request(1, 1), convention).map(|_| ()),
    };
    let (mut all, mut notes) = (Vec::new(), Vec::new());
    for convention in Convention::ALL {
        let of_this = match ranges.sequence {
            Some(_) => convention.counts_steps(),
            None => convention.counts_requests(),
        };
        match counts(convention) {
            _ if !of_this => {}
            Ok(()) => all.push(*convention),
            Err(error) if error.kind() == ErrorKind::Convention => {
                notes.push(format!("{} {}", convention.id, error.fact()));
            }
            Err(error) => return Err(error),
        }
    }
    Ok((all, notes))
}
