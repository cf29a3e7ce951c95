//! `flopmeter audit`: a table of published figures, recomputed by every convention.

use crate::args::AuditArgs;
use crate::output;
use flopmeter::audit::Verdict;
use flopmeter::{Convention, Model, Result};
use flopmeter_report::render;
use flopmeter_report::report::audit::{AuditReport, ConventionReport, RowReport, VerdictsReport};
use flopmeter_source::{self as source, table};
use std::collections::HashMap;

pub fn run(args: &AuditArgs) -> Result<String> {
    let report = report(args)?;
    output::document(&render::audit(&report, args.all), &report, args.output.format)
}

fn report(args: &AuditArgs) -> Result<AuditReport> {
    let table = table::read(&args.file)?;
    let steps = || Convention::ALL.iter().filter(|convention| convention.counts_steps());
    let mut report = AuditReport {
        verdicts: VerdictsReport::default(),
        conventions: steps()
            .map(|convention| ConventionReport { id: convention.id, reproduces: 0, rows: 0 })
            .collect(),
        rows: Vec::with_capacity(table.entries().len()),
        notes: table.notes().to_vec(),
    };
    // A table names few models, each of them often.
    let mut models: HashMap<String, Result<Model>> = HashMap::new();
    for entry in table.entries() {
        let audit = entry.audit(|name| {
            let found = || source::find(name).map(|source| source.model);
            models.entry(name.to_owned()).or_insert_with(found).clone()
        });
        for figure in &audit.figures {
            let Some(fit) = figure.fit() else { continue };
            let counted = report.conventions.iter_mut().find(|it| it.id == figure.convention.id);
            if let Some(counted) = counted {
                counted.rows += 1;
                counted.reproduces += usize::from(fit.verdict == Verdict::Reproduces);
            }
        }
        report.verdicts.add(audit.verdict());
        report.rows.push(RowReport::of(entry, &audit));
    }
    if !table.unread().is_empty() {
        report.notes.push(format!("columns not read: `{}`", table.unread().join("`, `")));
    }
    Ok(report)
}
