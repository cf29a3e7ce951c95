//! `flopmeter compare`: why two conventions give different figures, term by term.

use crate::args::CompareArgs;
use crate::output;
use flopmeter::{Convention, Result, Sequence, Step, Workload};
use flopmeter_report::render;
use flopmeter_report::report::comparison::ComparisonReport;
use flopmeter_source as source;

pub fn run(args: &CompareArgs) -> Result<String> {
    let report = report(args)?;
    output::document(&render::comparison(&report), &report, args.output.format)
}

fn report(args: &CompareArgs) -> Result<ComparisonReport> {
    let source = source::find(&args.model)?;
    let [from, to]: [Convention; 2] = [args.from.parse()?, args.to.parse()?];
    if let Some(prompt) = args.prompt {
        let sequence =
            Sequence { prompt, cached: args.cached, generate: args.generate, count: args.batch };
        let requests = Workload::batch(vec![sequence])?;
        return ComparisonReport::of_requests(&source, &requests, [&from, &to]);
    }
    let step = match args.sequence {
        Some(length) => Step::new(length, args.batch)?,
        None => Step::packed(&args.packed, args.batch)?,
    };
    ComparisonReport::of_step(&source, &step, [&from, &to])
}
