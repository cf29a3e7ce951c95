//! The arithmetic, formula by formula, from the config to the MFU.

#![allow(missing_docs, reason = "docs/reference/json.md describes the fields")]

use crate::render::{Block, Column, Document};
use crate::report::Report;
use crate::request::Request;
use flopmeter::{Line, NOT_COUNTED, Result, Section, Utilization, utilization_section};
use serde::Serialize;

/// The JSON of `explain`.
#[derive(Debug, Serialize)]
pub struct Explanation {
    pub model: String,
    pub convention: &'static str,
    pub counts: &'static str,
    pub total: u128,
    pub sections: Vec<SectionReport>,
    pub not_counted: &'static [&'static str],
    pub unread_keys: Vec<String>,
    pub notes: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct SectionReport {
    pub title: String,
    pub lines: Vec<LineReport>,
}

#[derive(Debug, Serialize)]
pub struct LineReport {
    pub name: String,
    pub formula: String,
    pub numbers: String,
    pub result: String,
}

impl Request {
    /// A request's arithmetic, with a time down to its MFU.
    ///
    /// # Errors
    ///
    /// As [`Request::report`].
    pub fn explain(&self, seconds: Option<f64>) -> Result<Explanation> {
        let report = self.report(seconds)?;
        let model = &self.source.model;
        let (workload, convention) = (&self.workload, &self.convention);
        let mut sections = model.explain(workload, convention)?;
        sections.push(total(&report));
        if let Some(draft) = &self.draft {
            sections.extend(draft.speculation.explain(model, workload, convention)?);
        }
        sections.push(model.explain_bytes(workload)?);
        if let Some(machine) = &self.machine {
            sections.extend(model.explain_ideal(&self.workload, &machine.hardware)?);
        }
        if let (Some(machine), Some(seconds)) = (&self.machine, seconds) {
            let flops = model.flops(&self.workload, &self.convention)?;
            let bytes = model.bytes(&self.workload)?;
            let measured = Utilization::new(&flops, &bytes, &machine.hardware, seconds)?;
            sections.push(utilization_section(
                flops.total,
                &bytes,
                &machine.hardware,
                seconds,
                &measured,
            ));
        }
        Ok(Explanation {
            model: self.source.id.clone(),
            convention: self.convention.id,
            counts: self.convention.counts,
            total: report.flops.total,
            sections: sections.iter().map(section_report).collect(),
            not_counted: NOT_COUNTED,
            unread_keys: model.unread().to_vec(),
            notes: report.notes,
        })
    }
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

fn section_report(section: &Section) -> SectionReport {
    let lines = section.lines.iter().map(|line| LineReport {
        name: line.name.clone(),
        formula: line.formula.clone(),
        numbers: line.numbers.clone(),
        result: line.result.clone(),
    });
    SectionReport { title: section.title.clone(), lines: lines.collect() }
}

/// As a document.
pub fn document(explanation: &Explanation) -> Document {
    let columns = vec![
        Column::text("quantity"),
        Column::text("formula"),
        Column::text("numbers"),
        Column::number("result"),
    ];
    let block = |section: &SectionReport| Block {
        title: section.title.clone(),
        columns: columns.clone(),
        rows: section
            .lines
            .iter()
            .map(|line| {
                [&line.name, &line.formula, &line.numbers, &line.result].map(String::clone).to_vec()
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
