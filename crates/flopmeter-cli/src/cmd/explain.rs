//! `flopmeter explain`: the arithmetic, formula by formula, from the config to the MFU.

use super::side_by_side;
use crate::args::ExplainArgs;
use crate::render::{self, Block, Column, Document};
use crate::report::Report;
use crate::request::Request;
use flopmeter::{Line, NOT_COUNTED, Result, Section, Utilization, utilization_section};
use serde::Serialize;

/// The JSON of `explain`.
#[derive(Debug, Serialize)]
struct Explanation<'a> {
    model: &'a str,
    convention: &'static str,
    counts: &'static str,
    total: u128,
    sections: Vec<SectionReport<'a>>,
    not_counted: &'static [&'static str],
    unread_keys: &'a [String],
    notes: &'a [String],
}

#[derive(Debug, Serialize)]
struct SectionReport<'a> {
    title: &'a str,
    lines: Vec<LineReport<'a>>,
}

#[derive(Debug, Serialize)]
struct LineReport<'a> {
    name: &'a str,
    formula: &'a str,
    numbers: &'a str,
    result: &'a str,
}

pub fn run(args: &ExplainArgs) -> Result<String> {
    side_by_side::one_at_a_time(&args.work.convention)?;
    let request = Request::read(&args.work, &args.hardware, None)?;
    let report = request.report(args.time)?;
    let model = &request.source.model;
    let (workload, convention) = (&request.workload, &request.convention);
    let mut sections = model.explain(workload, convention)?;
    sections.push(total(&report));
    if let Some(draft) = &request.draft {
        sections.extend(draft.speculation.explain(model, workload, convention)?);
    }
    sections.push(model.explain_bytes(workload)?);
    if let Some(machine) = &request.hardware {
        sections.extend(model.explain_ideal(&request.workload, &machine.hardware)?);
    }
    if let (Some(machine), Some(seconds)) = (&request.hardware, args.time) {
        let flops = model.flops(&request.workload, &request.convention)?;
        let bytes = model.bytes(&request.workload)?;
        let measured = Utilization::new(&flops, &bytes, &machine.hardware, seconds)?;
        sections.push(utilization_section(
            flops.total,
            &bytes,
            &machine.hardware,
            seconds,
            &measured,
        ));
    }
    let explanation = Explanation {
        model: &request.source.id,
        convention: request.convention.id,
        counts: request.convention.counts,
        total: report.flops.total,
        sections: sections.iter().map(section_report).collect(),
        not_counted: NOT_COUNTED,
        unread_keys: model.unread(),
        notes: &report.notes,
    };
    render::document(&document(&explanation), &explanation, args.output.format)
}

fn total(report: &Report) -> Section {
    let line = Line {
        name: "FLOPs".into(),
        formula: "sum of the lines above that name a component".into(),
        numbers: format!("convention {}", report.convention),
        result: report.flops.total.to_string(),
        flops: None,
    };
    Section { title: "total".into(), lines: vec![line] }
}

fn section_report(section: &Section) -> SectionReport<'_> {
    let lines = section.lines.iter().map(|line| LineReport {
        name: &line.name,
        formula: &line.formula,
        numbers: &line.numbers,
        result: &line.result,
    });
    SectionReport { title: &section.title, lines: lines.collect() }
}

fn document(explanation: &Explanation<'_>) -> Document {
    let columns = vec![
        Column::text("quantity"),
        Column::text("formula"),
        Column::text("numbers"),
        Column::number("result"),
    ];
    let block = |section: &SectionReport<'_>| Block {
        title: section.title.to_owned(),
        columns: columns.clone(),
        rows: section
            .lines
            .iter()
            .map(|line| {
                [line.name, line.formula, line.numbers, line.result].map(str::to_owned).to_vec()
            })
            .collect(),
    };
    let blocks: Vec<Block> = explanation.sections.iter().map(block).collect();
    let mut notes: Vec<String> =
        explanation.not_counted.iter().map(|what| format!("not counted: {what}")).collect();
    notes.extend(explanation.notes.iter().cloned());
    if explanation.unread_keys.is_empty() {
        notes.push("every key of the config that looks like a shape was read".into());
    }
    Document {
        head: vec![
            format!("{}, convention {}", explanation.model, explanation.convention),
            explanation.counts.to_owned(),
        ],
        blocks,
        notes,
    }
}
