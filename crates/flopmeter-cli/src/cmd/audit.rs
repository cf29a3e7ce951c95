//! `flopmeter audit`: a table of published figures, recomputed by every convention.

use crate::args::AuditArgs;
use crate::output;
use flopmeter::Result;
use flopmeter_report::render;
use flopmeter_report::report::audit::AuditReport;
use flopmeter_source::table;

pub fn run(args: &AuditArgs) -> Result<String> {
    let report = AuditReport::of(&table::read(&args.file)?);
    output::document(&render::audit(&report, args.all), &report, args.output.format)
}
