//! `flopmeter explain`: the arithmetic, formula by formula, from the config to the MFU.

use super::side_by_side;
use crate::args::ExplainArgs;
use crate::output;
use crate::request;
use flopmeter::Result;
use flopmeter_report::explain;

pub fn run(args: &ExplainArgs) -> Result<String> {
    side_by_side::one_at_a_time(&args.work.convention)?;
    let request = request::read(&args.work, &args.hardware, None)?;
    let explanation = request.explain(args.time)?;
    output::document(&explain::document(&explanation), &explanation, args.output.format)
}
