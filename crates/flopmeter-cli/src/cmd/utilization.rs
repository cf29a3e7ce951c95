//! `flopmeter utilization`: MFU, MBU and the roofline of a measured request.

use crate::args::UtilizationArgs;
use crate::render;
use crate::request::Request;
use flopmeter::{Error, ErrorKind, Result};

pub fn run(args: &UtilizationArgs) -> Result<String> {
    let request = Request::read(&args.work, &args.hardware)?;
    if request.hardware.is_none() {
        return Err(Error::new(
            ErrorKind::Device,
            "--device",
            "is missing, and a utilisation needs a peak",
        )
        .hint("name the device, or give the peak yourself: `--peak bf16=989.5e12 --bandwidth 3.35e12`"));
    }
    render::report(&request.report(Some(args.time))?, args.output.format)
}
