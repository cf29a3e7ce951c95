//! `flopmeter compare`: why two conventions give different figures, term by term.

use crate::args::CompareArgs;
use crate::output;
use flopmeter::{Comparison, Convention, Error, ErrorKind, Result, Sequence, Step, Workload};
use flopmeter_report::render::{self, Block, Column, Document, grouped};
use flopmeter_report::report::training::StepReport;
use flopmeter_report::report::{ModelReport, WorkloadReport};
use flopmeter_source as source;
use serde::Serialize;

/// The JSON of `compare`.
#[derive(Debug, Serialize)]
struct Report {
    model: ModelReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    workload: Option<WorkloadReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<StepReport>,
    from: Side,
    to: Side,
    difference: i128,
    ratio: Option<f64>,
    terms: Vec<TermReport>,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Side {
    id: &'static str,
    flops: u128,
}

#[derive(Debug, Serialize)]
struct TermReport {
    flops: i128,
    share: Option<f64>,
    counts: String,
    instead_of: String,
}

pub fn run(args: &CompareArgs) -> Result<String> {
    let source = source::find(&args.model)?;
    let model = &source.model;
    let [from, to]: [Convention; 2] = [args.from.parse()?, args.to.parse()?];
    let (comparison, work, step, workload);
    match args.prompt {
        Some(prompt) => {
            let sequence = Sequence {
                prompt,
                cached: args.cached,
                generate: args.generate,
                count: args.batch,
            };
            let requests = Workload::batch(vec![sequence])?;
            comparison = model.compare_requests(&requests, &from, &to)?;
            let report = WorkloadReport::of(model, &requests)?;
            work = render::workload(&report);
            (step, workload) = (None, Some(report));
        }
        None => {
            let trained = match args.sequence {
                Some(length) => Step::new(length, args.batch)?,
                None => Step::packed(&args.packed, args.batch)?,
            };
            let tokens = trained.tokens().ok_or_else(|| {
                Error::new(ErrorKind::Overflow, "step", "has more tokens than 64 bits can number")
            })?;
            comparison = model.compare_steps(&trained, &from, &to)?;
            let report = StepReport::of(&trained, 1, tokens);
            work = render::step(&report);
            (step, workload) = (Some(report), None);
        }
    }
    let report = Report {
        model: ModelReport::of(&source),
        workload,
        step,
        from: Side { id: from.id, flops: comparison.from },
        to: Side { id: to.id, flops: comparison.to },
        difference: comparison.terms.iter().map(|term| term.flops).sum(),
        ratio: (comparison.from > 0).then(|| comparison.to as f64 / comparison.from as f64),
        terms: terms(&comparison),
        notes: source.notes.iter().chain(model.notes()).cloned().collect(),
    };
    output::document(&document(&report, work), &report, args.output.format)
}

fn terms(comparison: &Comparison) -> Vec<TermReport> {
    let term = |term: &flopmeter::Term| TermReport {
        flops: term.flops,
        share: comparison.share(term),
        counts: term.counts.clone(),
        instead_of: term.instead_of.clone(),
    };
    comparison.terms.iter().map(term).collect()
}

fn document(report: &Report, work: String) -> Document {
    let [from, to] = [&report.from, &report.to];
    let mut head = report.model.head(None);
    head.push(work);
    let side = |side: &Side| vec![side.id.to_owned(), grouped(side.flops)];
    let sums = Block {
        title: String::new(),
        columns: vec![Column::text("convention"), Column::number("FLOPs")],
        rows: vec![side(from), side(to), vec!["difference".into(), change(report.difference)]],
    };
    let row = |term: &TermReport| {
        vec![share(term.share), change(term.flops), term.counts.clone(), term.instead_of.clone()]
    };
    let mut rows: Vec<Vec<String>> = report.terms.iter().map(row).collect();
    rows.push(vec![
        share(report.ratio.map(|ratio| ratio - 1.0)),
        change(report.difference),
        "in all".into(),
        String::new(),
    ]);
    let reasons = Block {
        title: format!("why {} differs from {}", to.id, from.id),
        columns: vec![
            Column::number("share"),
            Column::number("FLOPs"),
            Column::text("it counts"),
            Column::text("instead of"),
        ],
        rows,
    };
    Document { head, blocks: vec![sums, reasons], notes: report.notes.clone() }
}

/// `+52,789,644,361,728`.
fn change(flops: i128) -> String {
    let sign = if flops < 0 { "−" } else { "+" };
    format!("{sign}{}", grouped(flops.unsigned_abs()))
}

/// `+12.5 %`, `−0.0002 %`: one decimal, or as many as the first digit that is none.
fn share(share: Option<f64>) -> String {
    let Some(share) = share else { return "–".into() };
    let percent = 100.0 * share;
    let mut decimals = 1;
    while decimals < 12 && percent != 0.0 && percent.abs() * 10_f64.powi(decimals) < 1.0 {
        decimals += 1;
    }
    let sign = if percent < 0.0 { "−" } else { "+" };
    format!("{sign}{:.*} %", usize::try_from(decimals).unwrap_or(1), percent.abs())
}
