//! Formulas that know the number of parameters, or the layers, width and vocabulary of a GPT.

use super::{Convention, Counts, Published, StepCount, Terms, counts, product};
use crate::component::Component;
use crate::training::Recompute;

/// Six for each parameter and token, and attention as a square.
pub const PALM: Convention = Convention::published(
    "palm",
    "(6·N + 12·L·H·Q·S)·T: all parameters, the whole attention square, nothing recomputed.",
    "Chowdhery et al., PaLM, arXiv:2204.02311, appendix B",
    Published::Palm,
);

/// Six for each parameter outside tables and head.
pub const KAPLAN: Convention = Convention::published(
    "kaplan",
    "6·N·T, N without the tables of tokens and positions and without the head: no attention scores.",
    "Kaplan et al., arXiv:2001.08361, section 2.1",
    Published::Kaplan,
);

/// Six for each parameter.
pub const CHINCHILLA: Convention = Convention::published(
    "chinchilla",
    "6·N·D, N all parameters and D the tokens: no attention scores.",
    "Hoffmann et al., arXiv:2203.15556, appendix F",
    Published::Chinchilla,
);

/// A GPT's hardware FLOPs, every layer recomputed.
pub const MEGATRON_2021: Convention = Convention::published(
    "megatron-2021",
    "96·B·S·L·h²·(1 + S/6h + V/16Lh): a GPT (heads as wide as the model together, a feed-forward layer four times as wide), \
     every layer recomputed, which is executed and no model FLOPs.",
    "Narayanan et al., arXiv:2104.04473, section 5.1",
    Published::Megatron2021,
);

/// A GPT's model FLOPs.
pub const MEGATRON_2022: Convention = Convention::published(
    "megatron-2022",
    "72·B·L·S·h²·(1 + S/6h + V/12hL): a GPT's; with selective recomputation S/3h is executed.",
    "Korthikanti et al., arXiv:2205.05198, appendix A",
    Published::Megatron2022,
);

/// PaLM's, with the table of tokens and without that of positions.
pub const NANOGPT: Convention = Convention::published(
    "nanogpt",
    "(6·N + 12·L·H·Q·S)·T, N without position embeddings: PaLM's formula.",
    "karpathy/nanoGPT, model.py, estimate_mfu",
    Published::NanoGpt,
);

/// Two for each active parameter and token, attention as a square, three times; four with recomputation.
pub const LLM_FOUNDRY: Convention = Convention::published(
    "llm-foundry",
    "3·(2·N·S + 4·L·d·S²)·B, N the active parameters, tables included; with recomputation 4/3 of it are executed.",
    "mosaicml/llm-foundry, modeling_mpt.py, flops_per_batch; scripts/train/benchmarking/collect_results.py",
    Published::LlmFoundry,
);

impl Terms<'_> {
    /// Two for each of so many parameters and token.
    fn per_parameter(&self, parameters: u128) -> (Component, Option<u128>) {
        (Component::Parameters, product([2, parameters, self.tokens]))
    }

    /// Scores and values of whole squares, of `widths` = Σ over layers of heads · width each.
    fn squares(&self, widths: u128) -> [(Component, Option<u128>); 2] {
        let flops = product([2, widths, self.row, self.tokens]);
        [(Component::AttentionScores, flops), (Component::AttentionValues, flops)]
    }

    fn of_parameters(&self, parameters: u128, widths: Option<u128>) -> Option<Counts> {
        let [scores, values] = self.squares(widths.unwrap_or(0));
        counts([self.per_parameter(parameters), scores, values])
    }

    pub(super) fn palm(&self) -> Option<StepCount> {
        let forward =
            self.of_parameters(self.shape.parameters.total, Some(self.shape.queries()?))?;
        StepCount::of(forward, self.step, self.shape.layers)
    }

    pub(super) fn kaplan(&self) -> Option<StepCount> {
        let shape = self.shape;
        let head = shape.matrices[Component::Head];
        // A tied head is the table, which is left out once.
        let head = if shape.tied { 0 } else { head };
        let tables = shape.token_table.checked_add(shape.other_tables)?;
        let parameters = shape.parameters.total.checked_sub(tables)?.checked_sub(head)?;
        StepCount::of(self.of_parameters(parameters, None)?, self.step, shape.layers)
    }

    pub(super) fn chinchilla(&self) -> Option<StepCount> {
        let forward = self.of_parameters(self.shape.parameters.total, None)?;
        StepCount::of(forward, self.step, self.shape.layers)
    }

    pub(super) fn nanogpt(&self) -> Option<StepCount> {
        let shape = self.shape;
        let parameters = shape.parameters.total.checked_sub(shape.other_tables)?;
        StepCount::of(
            self.of_parameters(parameters, Some(shape.queries()?))?,
            self.step,
            shape.layers,
        )
    }

    pub(super) fn llm_foundry(&self) -> Option<StepCount> {
        let shape = self.shape;
        // `active` leaves nothing out but experts: tables are in it.
        let widths = product([shape.layers, shape.hidden])?;
        let forward = self.of_parameters(shape.parameters.active, Some(widths))?;
        let mut count = StepCount::of(forward, self.step, shape.layers)?;
        if count.recomputed != Counts::default() {
            count.recomputed = forward;
        }
        Some(count)
    }

    /// A GPT's forward pass: 24·B·S·L·h² for its matrices, 4·B·S²·L·h for attention, 2·B·S·h·V for its head.
    fn gpt(&self) -> Option<Counts> {
        let shape = self.shape;
        let projections = product([8, self.tokens, shape.layers, shape.hidden, shape.hidden]);
        let mlp = product([16, self.tokens, shape.layers, shape.hidden, shape.hidden]);
        let [scores, values] = self.squares(product([shape.layers, shape.hidden])?);
        counts([
            (Component::AttentionProjections, projections),
            scores,
            values,
            (Component::Mlp, mlp),
            (Component::Head, product([2, self.tokens, shape.hidden, shape.vocabulary])),
        ])
    }

    pub(super) fn megatron_2021(&self) -> Option<StepCount> {
        let forward = self.gpt()?;
        let mut recomputed = forward;
        recomputed[Component::Head] = 0;
        Some(StepCount { forward, recomputed })
    }

    pub(super) fn megatron_2022(&self) -> Option<StepCount> {
        let mut count = StepCount::of(self.gpt()?, self.step, self.shape.layers)?;
        if self.step.recompute() == Recompute::Selective {
            // S/3h for S/6h is as much again as attention costs in all: three times its forward pass, where computing
            // it again is one.
            for component in [Component::AttentionScores, Component::AttentionValues] {
                count.recomputed[component] = count.recomputed[component].checked_mul(3)?;
            }
        }
        Some(count)
    }
}
