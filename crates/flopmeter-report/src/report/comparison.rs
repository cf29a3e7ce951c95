//! What is said of two conventions, as values.

use super::training::StepReport;
use super::{ModelReport, WorkloadReport};
use flopmeter::{Comparison, Convention, Error, ErrorKind, Result, Step, Term, Workload};
use flopmeter_source::Source;
use serde::Serialize;

/// The JSON of `compare`.
#[derive(Debug, Serialize)]
pub struct ComparisonReport {
    pub model: ModelReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<WorkloadReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<StepReport>,
    pub from: SideReport,
    pub to: SideReport,
    pub difference: i128,
    pub ratio: Option<f64>,
    pub terms: Vec<TermReport>,
    pub notes: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct SideReport {
    pub id: &'static str,
    pub flops: u128,
}

#[derive(Debug, Serialize)]
pub struct TermReport {
    pub flops: i128,
    pub share: Option<f64>,
    pub counts: String,
    pub instead_of: String,
}

impl ComparisonReport {
    /// Compares two conventions over requests.
    pub fn of_requests(
        source: &Source,
        workload: &Workload,
        [from, to]: [&Convention; 2],
    ) -> Result<Self> {
        let comparison = source.model.compare_requests(workload, from, to)?;
        let workload = Some(WorkloadReport::of(&source.model, workload)?);
        Ok(Self { workload, ..Self::of(source, &comparison, [from, to]) })
    }

    /// Compares two conventions over a step of training.
    pub fn of_step(source: &Source, step: &Step, [from, to]: [&Convention; 2]) -> Result<Self> {
        let tokens = step.tokens().ok_or_else(|| {
            Error::new(ErrorKind::Overflow, "step", "has more tokens than 64 bits can number")
        })?;
        let comparison = source.model.compare_steps(step, from, to)?;
        let step = Some(StepReport::of(step, 1, tokens));
        Ok(Self { step, ..Self::of(source, &comparison, [from, to]) })
    }

    fn of(source: &Source, comparison: &Comparison, [from, to]: [&Convention; 2]) -> Self {
        let term = |term: &Term| TermReport {
            flops: term.flops,
            share: comparison.share(term),
            counts: term.counts.clone(),
            instead_of: term.instead_of.clone(),
        };
        Self {
            model: ModelReport::of(source),
            workload: None,
            step: None,
            from: SideReport { id: from.id, flops: comparison.from },
            to: SideReport { id: to.id, flops: comparison.to },
            difference: comparison.terms.iter().map(|term| term.flops).sum(),
            ratio: (comparison.from > 0).then(|| comparison.to as f64 / comparison.from as f64),
            terms: comparison.terms.iter().map(term).collect(),
            notes: source.notes.iter().chain(source.model.notes()).cloned().collect(),
        }
    }
}
