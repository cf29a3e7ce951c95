//! `flopmeter estimate`: FLOPs and bytes of a request.

use crate::args::EstimateArgs;
use crate::output;
use crate::request::{read, side_by_side as all};
use flopmeter::Result;
use flopmeter_report::{ALL, render};

pub fn run(args: &EstimateArgs) -> Result<String> {
    let request = read(&args.work, &args.hardware, args.parallel.plan(0))?;
    if args.work.convention == ALL {
        let report = all(request, None)?;
        let work = render::workload(&report.work.workload);
        let ranks = render::ranks(report.parallelism.as_ref(), &report.ranks);
        return report.text(work, ranks, args.output.format);
    }
    output::report(&request.report(None)?, args.output.format)
}
