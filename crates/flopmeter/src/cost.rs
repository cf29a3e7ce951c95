//! Model × workload × convention → FLOPs, by phase and component.

use crate::component::{Component, Counts};
use crate::convention::{Convention, Rule};
use crate::error::Result;
use crate::exact::times;
use crate::model::{Model, too_large};
use crate::passes::Passes;
use crate::workload::{Phase, Workload};

/// FLOPs of a workload, exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flops {
    /// How they were counted.
    pub convention: Convention,
    /// Of the passes over the prompts.
    pub prefill: Counts,
    /// Of the passes that generate, after the first token.
    pub decode: Counts,
    /// All of them.
    pub total: u128,
}

impl Flops {
    /// The counts of a phase.
    pub fn phase(&self, phase: Phase) -> &Counts {
        match phase {
            Phase::Prefill => &self.prefill,
            Phase::Decode => &self.decode,
        }
    }

    /// Both phases, component by component. They fit: the total does.
    pub fn components(&self) -> Counts {
        self.prefill.checked_add(&self.decode).unwrap_or_default()
    }
}

impl Model {
    /// FLOPs of a workload under a convention.
    ///
    /// The cost of this call grows with the number of different sequences and of different attention
    /// shapes, never with tokens or layers.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Overflow`](crate::ErrorKind::Overflow) if a count does not fit 128 bits.
    ///
    /// # Example
    ///
    /// ```
    /// use flopmeter::{Config, Convention, Model, Workload};
    ///
    /// // A model small enough to follow: one layer, one head of 4, no gate to forget.
    /// let config = Config::parse(
    ///     r#"{"model_type": "llama", "hidden_size": 4, "num_hidden_layers": 1, "vocab_size": 10,
    ///         "num_attention_heads": 1, "intermediate_size": 6, "torch_dtype": "bfloat16"}"#,
    /// )?;
    /// let model = Model::from_config(&config)?;
    /// let flops = model.flops(&Workload::request(3, 1), &Convention::MODEL)?;
    /// // A token: q, k, v, out 4·2·4·4 = 128, gate, up, down 3·2·4·6 = 144.
    /// // Pairs: 1 + 2 + 3 = 6, each 2·4 for its score and 2·4 for its value. Head: once, 2·4·10 = 80.
    /// assert_eq!(flops.total, 3 * (128 + 144) + 6 * (8 + 8) + 80);
    /// # Ok::<(), flopmeter::Error>(())
    /// ```
    pub fn flops(&self, workload: &Workload, convention: &Convention) -> Result<Flops> {
        self.checked_flops(workload, convention).ok_or_else(too_large)
    }

    /// The components that a count of this model has, be they zero: in the order of a pass.
    pub fn components(&self, convention: &Convention) -> Vec<Component> {
        match convention.rule {
            Rule::PerParameter => vec![Component::Parameters],
            Rule::Needed => self.sums.components(false).collect(),
            Rule::ByReference => self.sums.components(true).collect(),
        }
    }

    fn checked_flops(&self, workload: &Workload, convention: &Convention) -> Option<Flops> {
        workload.numbered()?;
        let mut phases = [Counts::default(); 2];
        let mut total = 0_u128;
        for sequence in workload.sequences() {
            for (phase, sum) in Phase::ALL.into_iter().zip(&mut phases) {
                let passes = workload.passes(sequence, phase);
                let mut add = |component: Component, flops: u128| {
                    let flops = times(flops, sequence.count.into())?;
                    sum[component] = sum[component].checked_add(flops)?;
                    total = total.checked_add(flops)?;
                    Some(())
                };
                match convention.rule {
                    Rule::Needed => {
                        self.add_needed(passes, workload.sampled(sequence, phase), &mut add)?;
                    }
                    Rule::ByReference => self.add_by_reference(passes, &mut add)?,
                    Rule::PerParameter => {
                        let tokens =
                            per_parameter(sequence.prompt, sequence.generate, phase, workload)?;
                        add(Component::Parameters, times(self.nominal_parameters(), tokens)?)?;
                    }
                }
            }
        }
        let [prefill, decode] = phases;
        Some(Flops { convention: *convention, prefill, decode, total })
    }

    /// Visible pairs, the head for sampled tokens, routed experts, latents in the cheaper form.
    pub(crate) fn add_needed(
        &self,
        passes: Passes,
        sampled: u64,
        add: &mut impl FnMut(Component, u128) -> Option<()>,
    ) -> Option<()> {
        let tokens = passes.tokens()?;
        for &(component, flops) in &self.sums.all {
            add(component, times(flops, tokens)?)?;
        }
        for &(component, flops) in &self.sums.sampled {
            add(component, times(flops, sampled.into())?)?;
        }
        for flops in &self.sums.pairs {
            let pairs = passes.pairs(flops.mask)?;
            add(Component::AttentionScores, times(flops.scores, pairs)?)?;
            add(Component::AttentionValues, times(flops.values, pairs)?)?;
        }
        for latent in &self.sums.latents {
            add_latent(latent.cheapest(passes)?.1, add)?;
        }
        Some(())
    }

    /// Whole score matrices, the head for every token, every latent in sight expanded in every pass,
    /// recurrences in padded chunks.
    fn add_by_reference(
        &self,
        passes: Passes,
        add: &mut impl FnMut(Component, u128) -> Option<()>,
    ) -> Option<()> {
        let tokens = passes.tokens()?;
        for &(component, flops) in &self.sums.by_reference {
            add(component, times(flops, tokens)?)?;
        }
        for flops in &self.sums.squares {
            let squares = passes.squares(flops.mask)?;
            add(Component::AttentionScores, times(flops.scores, squares)?)?;
            add(Component::AttentionValues, times(flops.values, squares)?)?;
        }
        for flops in &self.sums.pairs_by_reference {
            add(Component::AttentionScores, times(flops.scores, passes.pairs(flops.mask)?)?)?;
        }
        for &(cache, component, flops) in &self.sums.anew {
            add(component, times(flops, passes.context(cache)?)?)?;
        }
        for &(kind, repeat) in &self.sums.recurrences {
            add(Component::Recurrent, times(kind.flops_by_reference(passes)?, repeat.into())?)?;
        }
        for latent in &self.sums.latents {
            add_latent(latent.by_reference(passes)?, add)?;
        }
        Some(())
    }
}

fn add_latent(
    [expansion, scores, values]: [u128; 3],
    add: &mut impl FnMut(Component, u128) -> Option<()>,
) -> Option<()> {
    add(Component::AttentionProjections, expansion)?;
    add(Component::AttentionScores, scores)?;
    add(Component::AttentionValues, values)
}

/// What P is multiplied by in a phase: 2·T, and without a KV cache T·(T + 1), of which the prompt's
/// share is what remains when nothing is generated.
fn per_parameter(prompt: u64, generate: u64, phase: Phase, workload: &Workload) -> Option<u128> {
    let (prompt, all) = (u128::from(prompt), u128::from(prompt) + u128::from(generate));
    let of = |tokens: u128| {
        if workload.kv_cache() { tokens.checked_mul(2) } else { tokens.checked_mul(tokens + 1) }
    };
    match phase {
        Phase::Prefill => of(prompt),
        Phase::Decode => of(all)?.checked_sub(of(prompt)?),
    }
}
