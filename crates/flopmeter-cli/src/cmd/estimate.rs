//! `flopmeter estimate`: FLOPs and bytes of a request.

use crate::args::EstimateArgs;
use crate::render;
use crate::request::Request;
use flopmeter::Result;

pub fn run(args: &EstimateArgs) -> Result<String> {
    let report = Request::read(&args.work, &args.hardware, args.parallel.plan())?.report(None)?;
    render::report(&report, args.output.format)
}
