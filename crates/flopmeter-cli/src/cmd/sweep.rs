//! `flopmeter sweep`: every combination of what is asked for, a row each.

use crate::args::SweepArgs;
use crate::sweep::{Stop, Sweep};
use crate::visible::visible;
use std::io::{self, BufWriter};

pub fn run(args: &SweepArgs) -> Result<(), Stop> {
    let sweep = Sweep::read(args)?;
    if sweep.is_for_people() {
        sweep.write(&mut BufWriter::new(anstream::stdout().lock()))?;
        return Ok(());
    }
    // Nothing in it is for a terminal, and looking for that takes longer than writing.
    for note in sweep.write(&mut BufWriter::new(io::stdout().lock()))? {
        anstream::eprintln!("note: {}", visible(&note));
    }
    Ok(())
}
