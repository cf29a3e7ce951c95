//! A comparison as a document.

use super::summary::{grouped, workload};
use super::training::step;
use super::{Block, Column, Document};
use crate::report::comparison::{ComparisonReport, SideReport, TermReport};

/// A comparison as a document.
pub fn of(report: &ComparisonReport) -> Document {
    let [from, to] = [&report.from, &report.to];
    let mut head = report.model.head(None);
    head.extend(report.workload.as_ref().map(workload));
    head.extend(report.step.as_ref().map(step));
    let side = |side: &SideReport| vec![side.id.to_owned(), grouped(side.flops)];
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
