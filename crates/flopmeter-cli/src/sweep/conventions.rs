//! By which conventions points are counted.

use crate::args::SweepArgs;
use crate::cmd::side_by_side;
use flopmeter::{Convention, ErrorKind, Model, Result, Step, Workload};

/// The conventions that are named, or all that apply, with the reasons of those that do not.
pub fn read(args: &SweepArgs, model: &Model) -> Result<(Vec<Convention>, Vec<String>)> {
    if !args.convention.iter().any(|name| name == side_by_side::ALL) {
        let named = args.convention.iter().map(|name| name.parse());
        return Ok((named.collect::<Result<_>>()?, Vec::new()));
    }
    let counts = |convention: &Convention| match args.sequence {
        Some(_) => {
            let step = Step::new(1, 1)?;
            model.training(&step, convention)?.flops(&step).map(|_| ())
        }
        None => model.flops(&Workload::request(1, 1), convention).map(|_| ()),
    };
    let (mut all, mut notes) = (Vec::new(), Vec::new());
    for convention in Convention::ALL {
        let of_this = match args.sequence {
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
