//! `flopmeter utilization`: MFU, MBU and the roofline of a measured request.

use crate::args::UtilizationArgs;
use crate::render;
use crate::request::Request;
use flopmeter::Result;

pub fn run(args: &UtilizationArgs) -> Result<String> {
    // The arguments cannot be without a device or a peak.
    let request = Request::read(&args.work, &args.hardware, args.parallel.plan())?;
    let report = request.report(Some(args.time))?;
    render::report(&report, args.output.format)
}
