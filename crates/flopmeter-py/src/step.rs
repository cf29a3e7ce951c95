//! A step of training, as Python's callers ask for it.

use crate::arguments::whole;
use crate::error::Result;
use crate::keywords::Keywords;
use crate::model::Model;
use crate::plan::plan;
use crate::request::Maybe;
use flopmeter::{Frozen, Step};
use flopmeter_report::Trained;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use std::sync::Arc;

/// What is trained, and how.
pub const STEP: &[&str] = &[
    "sequence",
    "batch",
    "packed",
    "accumulate",
    "target",
    "recompute",
    "flash",
    "freeze",
    "mtp",
    "reference_forwards",
    "rollout",
    "dropout",
    "zero",
    "convention",
];

/// A step of training of a model.
pub fn trained(
    model: &Model,
    sequence: Maybe<'_, '_>,
    batch: Maybe<'_, '_>,
    keywords: &Keywords<'_>,
) -> Result<Trained> {
    let accumulate = keywords.number("accumulate")?.unwrap_or(1);
    let batch = batch.map_or(Ok(1), |batch| whole("batch", batch))?;
    let rows = Trained::rows(batch, accumulate)?;
    let mut step = match (sequence, keywords.numbers("packed")?) {
        (Some(length), None) => Step::new(whole("sequence", length)?, rows)?,
        (None, Some(lengths)) => Step::packed(&lengths, rows)?,
        _ => {
            let text = "give either `sequence` or `packed`";
            return Err(PyTypeError::new_err(text).into());
        }
    };
    if let Some(recompute) = keywords.get("recompute") {
        step = step.recomputing(recompute.str()?.to_str()?.parse()?);
    }
    if let Some(forwards) = keywords.number("reference_forwards")? {
        step = step.with_reference_forwards(forwards);
    }
    if keywords.holds("flash")? {
        step = step.recomputing_scores();
    }
    if keywords.holds("dropout")? {
        step = step.dropping_out();
    }
    if keywords.holds("mtp")? {
        step = step.predicting_further();
    }
    Trained::refuse_merged(model.adapter.as_ref().is_some_and(|adapter| adapter.merged))?;
    step = step.freezing(Frozen::of(&model.source.model, keywords.number("freeze")?));
    if let Some(tokens) = keywords.number("target")? {
        step = step.with_target(tokens);
    }
    if let Some(lengths) = keywords.numbers("rollout")? {
        let &[prompt, generate] = &lengths[..] else {
            let text = "`rollout`: is a prompt and what it generates";
            return Err(PyTypeError::new_err(text).into());
        };
        step = step.with_rollout(prompt, generate)?;
    }
    Ok(Trained {
        source: Arc::clone(&model.source),
        adapter: model.adapter.clone(),
        step,
        accumulate,
        plan: plan(keywords, keywords.number("zero")?.unwrap_or(0))?,
        machine: None,
    })
}
