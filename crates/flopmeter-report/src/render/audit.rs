//! An audit as a document.

use super::summary::percent;
use super::{Block, Column, Document};
use crate::report::audit::{AuditReport, ClaimsReport, FigureReport, RowReport};

/// So many rows are printed by every convention unasked: what fits on some screens.
const FEW: usize = 8;

/// An audit as a document; each row by every convention, if `all` is asked for or they are few.
pub fn of(report: &AuditReport, all: bool) -> Document {
    let verdicts = &report.verdicts;
    let counts = [
        (verdicts.reproduces, "reproduce"),
        (verdicts.within_rounding, "within the rounding of their throughput"),
        (verdicts.differs, "differ"),
        (verdicts.unknown, "say too little"),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let said: Vec<String> = counts.map(|(count, what)| format!("{count} {what}")).collect();
    let head = vec![format!("{} rows: {}", report.rows.len(), said.join(", "))];
    let mut blocks = vec![rows(report), conventions(report)];
    let mut notes = report.notes.clone();
    if all || report.rows.len() <= FEW {
        blocks.push(every(report));
    } else {
        notes.push(
            "what every convention gives of a row is printed with --all; JSON and CSV always have it".into(),
        );
    }
    for row in &report.rows {
        notes
            .extend(row.notes.iter().map(|note| format!("line {}, {}: {note}", row.line, row.row)));
    }
    Document { head, blocks, notes }
}

fn rows(report: &AuditReport) -> Block {
    let cells = |row: &RowReport| {
        let best = row.best.first().and_then(|best| {
            let found = row.figures.0.iter().find(|(convention, _)| convention == best);
            found.and_then(|(_, figure)| figure.as_ref().ok())
        });
        let conventions = match (row.best.as_slice(), &row.division) {
            ([], Some(_)) => "TFLOP/s ÷ peak".to_owned(),
            (best, _) => best.join(", "),
        };
        vec![
            row.line.to_string(),
            row.row.clone(),
            claimed(&row.claimed),
            best.map(|figure| recomputed(&row.claimed, figure)).unwrap_or_default(),
            row.deviation.map(difference).unwrap_or_default(),
            row.verdict.to_owned(),
            conventions,
        ]
    };
    Block {
        title: String::new(),
        columns: vec![
            Column::number("line"),
            Column::text("row"),
            Column::text("claimed"),
            Column::text("recomputed"),
            Column::number("off by"),
            Column::text("verdict"),
            Column::text("convention"),
        ],
        rows: report.rows.iter().map(cells).collect(),
    }
}

fn conventions(report: &AuditReport) -> Block {
    Block {
        title: "by convention".into(),
        columns: vec![
            Column::text("convention"),
            Column::number("reproduces"),
            Column::number("of rows"),
        ],
        rows: report
            .conventions
            .iter()
            .map(|it| vec![it.id.to_owned(), it.reproduces.to_string(), it.rows.to_string()])
            .collect(),
    }
}

fn every(report: &AuditReport) -> Block {
    let of_row = |row: &RowReport| {
        let cells = |(convention, figure): &(&'static str, Result<FigureReport, String>)| {
            let mut cells = vec![row.row.clone(), (*convention).to_owned()];
            let ratio = |ratio: Option<f64>| ratio.map(percent).unwrap_or_default();
            match figure {
                Ok(figure) => cells.extend([
                    format!("{:.1}", figure.tflops),
                    format!("{:.1}", figure.executed_tflops),
                    ratio(figure.mfu),
                    ratio(figure.hfu),
                    figure.deviation.map(difference).unwrap_or_default(),
                    figure.verdict.to_owned(),
                ]),
                Err(why) => {
                    cells.extend(std::iter::repeat_n(String::new(), 5));
                    cells.push(why.clone());
                }
            }
            cells
        };
        row.figures.0.iter().map(cells).collect::<Vec<_>>()
    };
    Block {
        title: "each row by every convention".into(),
        columns: vec![
            Column::text("row"),
            Column::text("convention"),
            Column::number("TFLOP/s"),
            Column::number("executed"),
            Column::number("MFU"),
            Column::number("HFU"),
            Column::number("off by"),
            Column::text("verdict"),
        ],
        rows: report.rows.iter().flat_map(of_row).collect(),
    }
}

fn claimed(claims: &ClaimsReport) -> String {
    said(claims.tflops, claims.mfu, claims.hfu)
}

/// What is claimed, as it is recomputed.
fn recomputed(claims: &ClaimsReport, figure: &FigureReport) -> String {
    let tflops = claims.tflops.map(|claimed| {
        let off = |rate: f64| (rate - claimed).abs();
        match off(figure.executed_tflops) < off(figure.tflops) {
            true => figure.executed_tflops,
            false => figure.tflops,
        }
    });
    said(tflops, claims.mfu.and(figure.mfu), claims.hfu.and(figure.hfu))
}

fn said(tflops: Option<f64>, mfu: Option<f64>, hfu: Option<f64>) -> String {
    let of = |what: &str, ratio: Option<f64>| {
        ratio.map(|ratio| format!("{what} {:.2} %", 100.0 * ratio))
    };
    let rate = tflops.map(|rate| format!("{rate:.1} TFLOP/s"));
    [rate, of("MFU", mfu), of("HFU", hfu)].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn difference(deviation: f64) -> String {
    format!("{:+.2} %", 100.0 * deviation)
}
