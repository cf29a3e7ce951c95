//! `flopmeter estimate`: FLOPs and bytes of a request.

use super::side_by_side;
use crate::args::EstimateArgs;
use crate::render;
use crate::request::Request;
use flopmeter::Result;

pub fn run(args: &EstimateArgs) -> Result<String> {
    let request = Request::read(&args.work, &args.hardware, args.parallel.plan(0))?;
    if args.work.convention == side_by_side::ALL {
        let report = request.side_by_side(None)?;
        let work = render::workload(&report.work.workload);
        return report.text(work, args.output.format);
    }
    render::report(&request.report(None)?, args.output.format)
}
