//! Which layers a stage has.

use super::{Parallelism, Purpose, Stage, size};
use crate::error::{Error, ErrorKind, Result};
use crate::model::Model;
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

/// The stages of a plan, in order.
///
/// Layers that are left over go one each to the stages before the last, the nearest first, as in vLLM: the last has the
/// head. Interleaved stages have equal stretches, as in Megatron.
pub(super) fn members(model: &Model, plan: &Parallelism) -> Result<Vec<Members>> {
    let stages = plan.pipeline;
    let layers = model.groups().iter().map(|group| group.layers.len() as u64).sum::<u64>();
    let whole = |place: &str, parts: u64| {
        let fact = format!("{layers} layers are too few for {parts} stages");
        size::uneven(place, fact, parts, |parts| parts <= layers)
    };
    if stages == 1 {
        let all = std::iter::once(0..u64::MAX).collect();
        return Ok(vec![Members { layers: all, first: true, last: true }]);
    }
    if layers < stages {
        return Err(whole("pipeline", stages));
    }
    can_be_staged(model)?;
    let between = |stage, layers| Members { layers, first: stage == 0, last: stage + 1 == stages };
    let chunks = plan.virtual_stages;
    if chunks > 1 {
        let fact = format!(
            "{layers} layers cannot be cut into {chunks} equal stretches for each of {stages} stages"
        );
        if !layers.is_multiple_of(stages * chunks) {
            let will_do = |chunks| layers.is_multiple_of(stages * chunks);
            return Err(size::uneven("virtual stages", fact, chunks, will_do));
        }
        let length = layers / (stages * chunks);
        let stretch = |stage| move |chunk: u64| (chunk * stages + stage) * length;
        return Ok((0..stages)
            .map(|stage| {
                let starts = (0..chunks).map(stretch(stage));
                between(stage, starts.map(|start| start..start + length).collect())
            })
            .collect());
    }
    let (each, left_over) = (layers / stages, layers % stages);
    let mut start = 0;
    Ok((0..stages)
        .map(|stage| {
            let more = stage + 1 < stages && stage + 1 + left_over >= stages;
            let end = start + each + u64::from(more);
            let stretch = std::mem::replace(&mut start, end)..end;
            between(stage, vec![stretch])
        })
        .collect())
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
            (all, 1) => format!("stage {from} of {all}, {}", crate::model::layer_names(&members)),
            (all, _) => {
                format!("stages {from}–{to} of {all}, {} layers each", members.len())
            }
        };
        from = to + 1;
    }
}

impl Purpose {
    /// What a vocabulary of so many is padded to for so many ranks.
    pub(super) fn padded(self, vocabulary: u64, ranks: u64) -> u64 {
        let multiple = match self {
            _ if ranks == 1 => 1,
            Self::Inference => 64,
            Self::Training => 128 * ranks,
        };
        vocabulary.next_multiple_of(multiple)
    }
}
