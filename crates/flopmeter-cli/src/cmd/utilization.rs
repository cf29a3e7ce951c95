//! `flopmeter utilization`: MFU, MBU and the roofline of a measured request.

use crate::args::UtilizationArgs;
use crate::output;
use crate::request::{read, side_by_side as all};
use flopmeter::Result;
use flopmeter_report::{ALL, render};

pub fn run(args: &UtilizationArgs) -> Result<String> {
    // The arguments cannot be without a device or a peak.
    let request = read(&args.work, &args.hardware, args.parallel.plan(0))?;
    if args.work.convention == ALL {
        let report = all(request, Some(args.time))?;
        let work = render::workload(&report.work.workload);
        let ranks = render::ranks(report.parallelism.as_ref(), &report.ranks);
        return report.text(work, ranks, args.output.format);
    }
    output::report(&request.report(Some(args.time))?, args.output.format)
}
