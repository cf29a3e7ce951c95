//! Which layers a stage has.

use super::{Parallelism, Stage, size};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Model, layer_count};
use crate::op::Op;
use std::ops::Range;

/// What a stage has of a model.
#[derive(Debug, Clone)]
pub(super) struct Members {
    /// Its stretches of layers.
    pub layers: Vec<Range<u64>>,
    /// Whether what stands before the layers is there.
    pub first: bool,
    /// Whether what stands after them is.
    pub last: bool,
}

impl Members {
    pub fn have(&self, layer: u64) -> bool {
        self.layers.iter().any(|stretch| stretch.contains(&layer))
    }
}

/// The stages of a plan, in order; `given` are the layers of each stretch, the first stretches of all stages first, or
/// none.
pub(super) fn members(model: &Model, plan: &Parallelism, given: &[u64]) -> Result<Vec<Members>> {
    let stages = plan.pipeline;
    if stages == 1 && given.is_empty() {
        let all = std::iter::once(0..u64::MAX).collect();
        return Ok(vec![Members { layers: all, first: true, last: true }]);
    }
    let layers = layer_count(model.groups());
    let lengths = match given {
        [] => even(layers, plan)?,
        given => checked(layers, plan, given)?,
    };
    if stages > 1 {
        can_be_staged(model)?;
    }
    let ends = lengths.iter().scan(0, |end, length| {
        let start = *end;
        *end += length;
        Some(start..*end)
    });
    let stretches: Vec<Range<u64>> = ends.collect();
    Ok((0..stages)
        .map(|stage| {
            let own = (stage..).step_by(usize::try_from(stages).unwrap_or(usize::MAX));
            let own = own.map_while(|at| stretches.get(usize::try_from(at).ok()?).cloned());
            Members { layers: own.collect(), first: stage == 0, last: stage + 1 == stages }
        })
        .collect())
}

/// The layers of each stretch as engines share them out.
///
/// Layers that are left over go one each to the stages before the last, the nearest first, as in vLLM: the last has the
/// head. Interleaved stages have equal stretches, as in Megatron.
fn even(layers: u64, plan: &Parallelism) -> Result<Vec<u64>> {
    let (stages, chunks) = (plan.pipeline, plan.virtual_stages);
    if layers < stages {
        let fact = format!("{layers} layers are too few for {stages} stages");
        return Err(size::uneven("pipeline", fact, stages, |stages| stages <= layers));
    }
    if chunks > 1 {
        let fact = format!(
            "{layers} layers cannot be cut into {chunks} equal stretches for each of {stages} stages"
        );
        if !layers.is_multiple_of(stages * chunks) {
            let will_do = |chunks| layers.is_multiple_of(stages * chunks);
            return Err(size::uneven("virtual stages", fact, chunks, will_do)
                .hint("or say how many layers each has"));
        }
        return Ok((0..stages * chunks).map(|_| layers / (stages * chunks)).collect());
    }
    let (each, left_over) = (layers / stages, layers % stages);
    let more = |stage| stage + 1 < stages && stage + 1 + left_over >= stages;
    Ok((0..stages).map(|stage| each + u64::from(more(stage))).collect())
}

/// The layers of each stretch as they are given: the first and the last may have none, beside an embedding or a head.
fn checked(layers: u64, plan: &Parallelism, given: &[u64]) -> Result<Vec<u64>> {
    let wrong = |fact: String| Err(Error::new(ErrorKind::Parallelism, "stages", fact));
    let (stages, chunks) = (plan.pipeline, plan.virtual_stages);
    let stretches = stages.saturating_mul(chunks);
    if given.len() as u64 != stretches {
        let of_each = if chunks > 1 { format!(" of {chunks} stretches") } else { String::new() };
        return wrong(format!("are {} numbers for {stages} stages{of_each}", given.len()));
    }
    let sum: u128 = given.iter().map(|length| u128::from(*length)).sum();
    if sum != layers.into() {
        return wrong(format!("have {sum} layers together, and the model has {layers}"));
    }
    let inner = given.get(1..given.len() - 1).unwrap_or_default();
    if let Some(at) = inner.iter().position(|length| *length == 0) {
        return wrong(format!("have no layer in stretch {}, which has nothing else", at + 2));
    }
    Ok(given.to_vec())
}

/// What one layer has of another cannot be on another stage.
fn can_be_staged(model: &Model) -> Result<()> {
    let shared = |op: &Op| match op {
        Op::Linear(op) => op.shared_weights,
        Op::Recurrent(op) => op.shared_weights,
        Op::Attention(op) => op.shares_cache,
        _ => false,
    };
    let layers = model.groups().iter().filter(|group| !group.layers.is_empty());
    let Some(op) = layers.flat_map(|group| &group.ops).find(|op| shared(op)) else { return Ok(()) };
    let fact = format!("cuts layers that share `{}` with earlier ones", op.module());
    Err(Error::new(ErrorKind::Parallelism, "pipeline", fact)
        .hint("cut them with tensor or data ranks instead"))
}

/// Names stages by their layers.
pub(super) fn name(stages: &mut [Stage], plan: &Parallelism) {
    let mut from = 1;
    for stage in stages {
        let to = from + stage.count - 1;
        let layers = stage.model.groups().iter().filter(|group| !group.ops.is_empty());
        let mut members: Vec<u64> = layers.flat_map(|group| group.layers.iter().copied()).collect();
        members.sort_unstable();
        stage.name = match (plan.pipeline, stage.count) {
            (1, _) => "every rank".into(),
            (all, 1) if members.is_empty() => format!("stage {from} of {all}, no layers"),
            (all, 1) => format!("stage {from} of {all}, {}", crate::model::layer_names(&members)),
            (all, _) => {
                format!("stages {from}–{to} of {all}, {} layers each", members.len())
            }
        };
        from = to + 1;
    }
}
