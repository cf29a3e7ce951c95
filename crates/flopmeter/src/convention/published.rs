//! Formulas as projects and papers publish them, each over a few sizes of a model. What they leave out they leave out here.

mod dense;

use super::{Convention, Kind, Shape};
use crate::component::{Component, Counts};
use crate::error::Result;
use crate::model::{Model, too_large};
use crate::training::{Recompute, Step};

/// What a formula says of a step: a backward pass costs twice what the forward pass does.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct StepCount {
    pub forward: Counts,
    /// What it counts as computed a second time.
    pub recomputed: Counts,
}

/// The formulas, of which each has a line in [`Published::step`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Published {
    Palm,
    Kaplan,
    Chinchilla,
    Megatron2021,
    Megatron2022,
    NanoGpt,
    LlmFoundry,
}

pub use dense::{CHINCHILLA, KAPLAN, LLM_FOUNDRY, MEGATRON_2021, MEGATRON_2022, NANOGPT, PALM};

impl Convention {
    const fn published(
        id: &'static str,
        counts: &'static str,
        source: &'static str,
        formula: Published,
    ) -> Self {
        Self { id, counts, source, kind: Kind::Published(formula) }
    }

    /// What the formula gives for a step of a model.
    pub(crate) fn step(&self, formula: Published, model: &Model, step: &Step) -> Result<StepCount> {
        let shape = Shape::of(model)?;
        if shape.recurs {
            return Err(
                self.error("does not apply: it knows no recurrent layers, and this model has some")
            );
        }
        if !model.stacks().is_empty() && model.processor().is_none() {
            return Err(self.error("does not apply: it knows one stack of layers, and this model has an encoder beside its decoder"));
        }
        let tokens = u128::from(step.tokens().ok_or_else(too_large)?);
        let row = u128::from(step.row_tokens().ok_or_else(too_large)?);
        formula.of(&Terms { shape: &shape, step, tokens, row }).ok_or_else(too_large)
    }
}

/// What a formula is made of.
struct Terms<'s> {
    shape: &'s Shape,
    step: &'s Step,
    /// Tokens of the step.
    tokens: u128,
    /// Tokens of a row, S.
    row: u128,
}

impl Published {
    /// `None` if it does not fit 128 bits.
    fn of(self, terms: &Terms<'_>) -> Option<StepCount> {
        match self {
            Self::Palm => terms.palm(),
            Self::Kaplan => terms.kaplan(),
            Self::Chinchilla => terms.chinchilla(),
            Self::Megatron2021 => terms.megatron_2021(),
            Self::Megatron2022 => terms.megatron_2022(),
            Self::NanoGpt => terms.nanogpt(),
            Self::LlmFoundry => terms.llm_foundry(),
        }
    }
}

/// FLOPs under one component each.
fn counts<const N: usize>(parts: [(Component, Option<u128>); N]) -> Option<Counts> {
    let mut counts = Counts::default();
    for (component, flops) in parts {
        counts[component] = counts[component].checked_add(flops?)?;
    }
    Some(counts)
}

/// A product of factors.
fn product<const N: usize>(factors: [u128; N]) -> Option<u128> {
    factors.iter().try_fold(1_u128, |product, factor| product.checked_mul(*factor))
}

impl StepCount {
    /// A forward pass, of which what the step says is computed again: layers whole but not the head, or attention.
    fn of(forward: Counts, step: &Step, layers: u128) -> Option<Self> {
        let mut recomputed = forward;
        recomputed[Component::Head] = 0;
        match step.recompute() {
            Recompute::Nothing => recomputed = Counts::default(),
            Recompute::Full => {}
            Recompute::Selective => {
                recomputed = Counts::default();
                for component in [Component::AttentionScores, Component::AttentionValues] {
                    recomputed[component] = forward[component];
                }
            }
            Recompute::Layers(count) => {
                for component in Component::ALL {
                    let some = recomputed[component].checked_mul(u128::from(count).min(layers))?;
                    recomputed[component] = some.checked_div(layers)?;
                }
            }
        }
        Some(Self { forward, recomputed })
    }
}
