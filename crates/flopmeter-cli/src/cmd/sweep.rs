//! `flopmeter sweep`: every combination of what is asked for, a row each.

use crate::args::SweepArgs;
use crate::sweep::{Stop, Sweep};
use std::io::{self, BufWriter};

pub fn run(args: &SweepArgs) -> Result<(), Stop> {
    let sweep = Sweep::read(args)?;
    if sweep.is_for_people() {
        return sweep.write(&mut BufWriter::new(anstream::stdout().lock()));
    }
    // Nothing in it is for a terminal, and looking for that takes longer than writing.
    sweep.write(&mut BufWriter::new(io::stdout().lock()))
}
