//! The arithmetic, formula by formula, from the config to the MFU.

#![allow(missing_docs, reason = "docs/reference/json.md describes the fields")]

use crate::render::{Block, Column, Document};
use crate::report::Report;
use crate::request::Request;
use crate::trained::Trained;
use flopmeter::{
    Convention, Error, ErrorKind, Line, NOT_COUNTED, Result, Section, Utilization,
    utilization_section,
};
use flopmeter_source::Source;
use serde::Serialize;

/// The JSON of `explain`, and of `train --explain`.
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
        let total = report.flops.total;
        Ok(Explanation::new(&self.source, convention, total, &sections, report.notes))
    }
}

impl Trained {
    /// A step's arithmetic, with a time down to its MFU and HFU.
    ///
    /// # Errors
    ///
    /// As [`Trained::count`]; for a step that is cut, whose ranks are not followed.
    pub fn explain(&self, convention: &Convention, seconds: Option<f64>) -> Result<Explanation> {
        if self.plan.is_some() {
            let fact = "is of the whole step, and not of its ranks";
            return Err(Error::new(ErrorKind::Parallelism, "--explain", fact)
                .hint("leave the parallel sizes out, or --explain"));
        }
        let training = self.source.model.training(&self.step, convention)?;
        let flops = training.flops(&self.step)?;
        let mut sections = training.explain(&self.step)?;
        if let (Some(machine), Some(seconds)) = (&self.machine, seconds) {
            sections.push(flops.explain_utilization(&machine.hardware, seconds)?);
        }
        Ok(Explanation::new(&self.source, convention, flops.total, &sections, self.notes()))
    }
}

impl Explanation {
    fn new(
        source: &Source,
        convention: &Convention,
        total: u128,
        sections: &[Section],
        notes: Vec<String>,
    ) -> Self {
        Self {
            model: source.id.clone(),
            convention: convention.id,
            counts: convention.counts,
            total,
            sections: sections.iter().map(section_report).collect(),
            not_counted: NOT_COUNTED,
            unread_keys: source.model.unread().to_vec(),
            notes,
        }
    }
}

fn total(report: &Report) -> Section {
    let line = Line::new(
        "FLOPs",
        "sum of the lines above that name a component",
        format!("convention {}", report.convention),
        report.flops.total,
    );
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
