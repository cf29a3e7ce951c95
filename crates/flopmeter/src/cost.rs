//! Model × workload × convention → FLOPs, by phase and component.

use crate::component::{Component, Counts};
use crate::convention::{Convention, Kind, Rule};
use crate::error::Result;
use crate::exact::times;
use crate::model::{Model, too_large};
use crate::passes::Passes;
use crate::perception::Load;
use crate::stack::Stack;
use crate::sums::Sums;
use crate::workload::{Phase, Run, Sequence, Workload};

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
    /// [`ErrorKind::Overflow`](crate::ErrorKind::Overflow) if a count does not fit 128 bits,
    /// [`ErrorKind::Workload`](crate::ErrorKind::Workload) for what a model with an encoder cannot do,
    /// [`ErrorKind::Convention`](crate::ErrorKind::Convention) for `torch` with a DoRA adapter beside the model.
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
        workload.numbered().ok_or_else(too_large)?;
        convention.check_requests()?;
        let rule = match convention.kind {
            Kind::Rule(rule) => rule,
            Kind::Published(formula) => return convention.request(&formula, self, workload),
        };
        let requests = self.requests(workload, rule)?;
        // A convention that knows parameters alone knows no encoder either: the request is taken as it is. Tokens of
        // images and of sound are tokens to it.
        let as_it_is = rule == Rule::PerParameter && !workload.is_perceived();
        let workload = if as_it_is { workload } else { &*requests };
        let (prefill, decode) = Default::default();
        let mut flops = Flops { convention: *convention, prefill, decode, total: 0 };
        self.add_flops(workload, rule, &mut flops).ok_or_else(too_large)?;
        Ok(flops)
    }

    /// The components that a count of this model has, be they zero: in the order of a pass.
    pub fn components(&self, convention: &Convention) -> Vec<Component> {
        let by_reference = match convention.kind {
            Kind::Rule(Rule::PerParameter) => return vec![Component::Parameters],
            Kind::Rule(Rule::Needed) => false,
            Kind::Rule(Rule::ByReference) => true,
            // It has those that it names.
            Kind::Published(_) => return Vec::new(),
        };
        let mut all: Vec<Component> = self.stacks.iter().map(Stack::component).collect();
        all.dedup();
        all.extend(self.sums.components(by_reference));
        all
    }

    /// Counts where the result is to be: moving half a kilobyte about takes longer than counting it.
    fn add_flops(&self, workload: &Workload, rule: Rule, flops: &mut Flops) -> Option<()> {
        let Flops { prefill, decode, total, .. } = flops;
        let runs_stacks =
            !self.stacks.is_empty() && (!self.perceives() || workload.was_perceived());
        for (sequence, source) in workload.with_sources() {
            for (phase, sum) in [(Phase::Prefill, &mut *prefill), (Phase::Decode, &mut *decode)] {
                let mut add = |component: Component, flops: u128| {
                    let flops = match sequence.count {
                        1 => flops,
                        count => times(flops, count.into())?,
                    };
                    *total = total.checked_add(flops)?;
                    // At most the total, which fits.
                    sum[component] += flops;
                    Some(())
                };
                if runs_stacks && phase == Phase::Prefill {
                    self.add_stacks(workload, sequence, source, rule, &mut add)?;
                }
                let run = self.run_by(rule, workload.run(sequence, source, phase));
                match rule {
                    Rule::Needed => self.sums.add_needed(&run, &mut add)?,
                    Rule::ByReference => self.sums.add_by_reference(&run, &mut add)?,
                    Rule::PerParameter => {
                        let tokens = per_parameter(sequence, phase, workload.kv_cache())?;
                        add(Component::Parameters, times(self.nominal_parameters(), tokens)?)?;
                    }
                }
            }
        }
        if !self.sums.of_distances.is_empty() && rule != Rule::PerParameter {
            *total = total.checked_add(self.sums.add_of_batch(workload, prefill)?)?;
        }
        Some(())
    }

    /// FLOPs of some passes after `sampled` of whose tokens one is sampled.
    pub(crate) fn pass_flops(&self, passes: Passes, sampled: u64, rule: Rule) -> Option<Counts> {
        let run = Run { passes, sampled, source: 0, ahead: [0, 0] };
        let mut counts = Counts::default();
        let mut add = |component: Component, flops: u128| {
            counts[component] = counts[component].checked_add(flops)?;
            Some(())
        };
        match rule {
            Rule::Needed => self.sums.add_needed(&run, &mut add)?,
            Rule::ByReference => self.sums.add_by_reference(&run, &mut add)?,
            // It counts tokens and knows no passes.
            Rule::PerParameter => {
                add(
                    Component::Parameters,
                    times(2 * self.nominal_parameters(), passes.tokens()?)?,
                )?;
            }
        }
        Some(counts)
    }

    /// What runs once before the prefill of a sequence, each stack under its one component.
    #[cold] // A decoder alone has none, and its count should not pay for them.
    pub(crate) fn add_stacks(
        &self,
        workload: &Workload,
        sequence: &Sequence,
        source: u64,
        rule: Rule,
        add: &mut impl FnMut(Component, u128) -> Option<()>,
    ) -> Option<()> {
        for stack in &self.stacks {
            let mut add = |_, flops| add(stack.component(), flops);
            if let Some(load) = stack.perceived(workload, rule) {
                if rule != Rule::PerParameter {
                    stack.sums.add_perceived(load?, &mut add)?;
                }
                continue;
            }
            let Some(run) = stack.run(sequence, source) else { continue };
            match rule {
                Rule::Needed => stack.sums.add_needed(&run, &mut add)?,
                Rule::ByReference => stack.sums.add_by_reference(&run, &mut add)?,
                // The model's parameters are counted as a whole.
                Rule::PerParameter => {}
            }
        }
        Some(())
    }
}

impl Sums {
    /// Visible pairs, the head for sampled tokens, routed experts, latents in the cheaper form.
    pub fn add_needed(
        &self,
        run: &Run,
        add: &mut impl FnMut(Component, u128) -> Option<()>,
    ) -> Option<()> {
        if let Some(idle) = self.idle_until(run) {
            idle.add_needed(run, add)?;
        }
        let passes = run.passes;
        let tokens = passes.tokens()?;
        for &(component, flops) in &self.all {
            add(component, times(flops, tokens)?)?;
        }
        for &(component, flops) in &self.sampled {
            add(component, times(flops, run.sampled.into())?)?;
        }
        for flops in &self.pairs {
            let pairs = run.pairs(flops.mask)?;
            add(Component::AttentionScores, times(flops.scores, pairs)?)?;
            add(Component::AttentionValues, times(flops.values, pairs)?)?;
        }
        for latent in &self.latents {
            add_latent(latent.cheapest(passes)?.1, add)?;
        }
        self.add_common(run, tokens, add)
    }

    /// Whole score matrices, the head for every token, every latent in sight expanded in every pass,
    /// recurrences in padded chunks.
    pub fn add_by_reference(
        &self,
        run: &Run,
        add: &mut impl FnMut(Component, u128) -> Option<()>,
    ) -> Option<()> {
        if let Some(idle) = self.idle_until(run) {
            idle.add_by_reference(run, add)?;
        }
        let passes = run.passes;
        let tokens = passes.tokens()?;
        for &(component, flops) in &self.by_reference {
            add(component, times(flops, tokens)?)?;
        }
        for flops in &self.squares {
            let squares = passes.squares(flops.mask)?;
            add(Component::AttentionScores, times(flops.scores, squares)?)?;
            add(Component::AttentionValues, times(flops.values, squares)?)?;
        }
        for flops in &self.pairs_by_reference {
            add(Component::AttentionScores, times(flops.scores, passes.pairs(flops.mask)?)?)?;
        }
        for &(cache, component, flops) in &self.anew {
            add(component, times(flops, passes.context(cache)?)?)?;
        }
        for &(kind, repeat) in &self.recurrences {
            add(Component::Recurrent, times(kind.flops_by_reference(passes)?, repeat.into())?)?;
        }
        for latent in &self.latents {
            add_latent(latent.by_reference(passes)?, add)?;
        }
        self.add_common(run, tokens, add)
    }

    /// What a batch does once, whatever its number of sequences; their sum.
    #[cold] // Few encoders have it.
    fn add_of_batch(&self, workload: &Workload, counts: &mut Counts) -> Option<u128> {
        let (_, tokens) = workload.longest();
        let mut sum = 0_u128;
        for &(distances, component, flops) in &self.of_distances {
            let flops = times(flops, if tokens > 0 { distances.rows(tokens) } else { 0 })?;
            counts[component] = counts[component].checked_add(flops)?;
            sum = sum.checked_add(flops)?;
        }
        Some(sum)
    }

    /// What the run has beside the rest because it has a source.
    pub fn idle_until(&self, run: &Run) -> Option<&Self> {
        self.with_source.as_deref().filter(|_| run.source > 0)
    }

    /// What a tower does with what a prompt shows or sounds, all of whose rows see each other as they are counted.
    pub fn add_perceived(
        &self,
        load: Load,
        add: &mut impl FnMut(Component, u128) -> Option<()>,
    ) -> Option<()> {
        for &(component, flops) in &self.all {
            add(component, times(flops, load.rows)?)?;
        }
        for flops in &self.pairs {
            add(Component::AttentionScores, times(flops.scores, load.pairs)?)?;
            add(Component::AttentionValues, times(flops.values, load.pairs)?)?;
        }
        Some(())
    }

    /// What the work needs as the reference implementation does it: one row a pass, and attention to a source.
    fn add_common(
        &self,
        run: &Run,
        tokens: u128,
        add: &mut impl FnMut(Component, u128) -> Option<()>,
    ) -> Option<()> {
        for &(component, flops) in &self.of_pass {
            add(component, times(flops, run.passes.count().into())?)?;
        }
        for &(distances, flops) in &self.distance_scores {
            // An encoder makes one pass, of all its tokens.
            let rows = distances.rows(u64::try_from(tokens).ok()?);
            add(Component::AttentionScores, times(times(flops, tokens)?, rows)?)?;
        }
        if run.source == 0 {
            return Some(());
        }
        for &(component, flops) in &self.of_source {
            add(component, times(flops, run.source_rows())?)?;
        }
        let pairs = times(tokens, run.source.into())?;
        let [scores, values] = self.cross;
        add(Component::AttentionScores, times(scores, pairs)?)?;
        add(Component::AttentionValues, times(values, pairs)?)
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
pub(crate) fn per_parameter(sequence: &Sequence, phase: Phase, kv_cache: bool) -> Option<u128> {
    let (prompt, all) = (sequence.prompt.into(), sequence.end()?.into());
    let of = |tokens: u128| tokens.checked_mul(if kv_cache { 2 } else { tokens + 1 });
    match phase {
        Phase::Prefill => of(prompt),
        Phase::Decode => of(all)?.checked_sub(of(prompt)?),
    }
}
