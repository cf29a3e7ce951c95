//! Model × workload × convention → FLOPs, by phase and component.

use crate::component::{Component, Counts};
use crate::convention::{Convention, Kind, Rule};
use crate::error::Result;
use crate::exact::{Whole, times};
use crate::model::{Model, too_large};
use crate::passes::Passes;
use crate::perception::Load;
use crate::stack::Stack;
use crate::sums::Sums;
use crate::terms::{Amount, Each};
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
    fn none(convention: &Convention) -> Self {
        let (prefill, decode) = Default::default();
        Self { convention: *convention, prefill, decode, total: 0 }
    }

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
            Kind::Published(formula) => {
                return convention.applied(&formula, self)?.request(self, workload);
            }
        };
        let requests = self.requests(workload, rule)?;
        // A convention that knows parameters alone knows no encoder either: the request is taken as it is. Tokens of
        // images and of sound are tokens to it.
        let as_it_is = rule == Rule::PerParameter && !workload.is_perceived();
        let workload = if as_it_is { workload } else { &*requests };
        let mut flops = Flops::none(convention);
        if rule == Rule::Needed {
            if self.add_short(workload, &mut flops).is_some() {
                return Ok(flops);
            }
            flops = Flops::none(convention);
        }
        if self.add_flops::<u64>(workload, rule, &mut flops).is_none() {
            flops = Flops::none(convention);
            self.add_flops::<u128>(workload, rule, &mut flops).ok_or_else(too_large)?;
        }
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

    /// Adds up one request of text to a decoder, if it is short and of nothing else; `None` for others.
    fn add_short(&self, workload: &Workload, flops: &mut Flops) -> Option<()> {
        let tokens = self.sums.tokens.as_ref().filter(|_| self.only_decodes())?;
        let Flops { prefill, decode, total, .. } = flops;
        *total = tokens.add(workload.alone()?, [prefill, decode])?;
        Some(())
    }

    /// Adds up a workload whose amounts fit `N`, `None` if they do not or a sum does not fit 128 bits.
    fn add_flops<N: Whole>(
        &self,
        workload: &Workload,
        rule: Rule,
        flops: &mut Flops,
    ) -> Option<()> {
        let Flops { prefill, decode, total, .. } = flops;
        let runs_stacks =
            !self.stacks.is_empty() && (!self.perceives() || workload.was_perceived());
        for (sequence, source) in workload.with_sources() {
            let all = |amount: N| match sequence.count {
                1 => Some(amount),
                count => amount.times(count.into()),
            };
            if runs_stacks {
                self.visit_stacks_of(
                    workload,
                    sequence,
                    source,
                    rule,
                    &mut |stack, each, amount| {
                        let flops = times(each.all, all(amount)?.into())?;
                        *total = total.checked_add(flops)?;
                        // At most the total, which fits.
                        prefill[stack.component()] += flops;
                        Some(())
                    },
                )?;
            }
            if rule == Rule::PerParameter {
                for (phase, sum) in [(Phase::Prefill, &mut *prefill), (Phase::Decode, &mut *decode)]
                {
                    let tokens = per_parameter(sequence, phase, workload.kv_cache())?;
                    let flops = times(self.nominal_parameters(), all(N::of(tokens)?)?.into())?;
                    *total = total.checked_add(flops)?;
                    sum[Component::Parameters] += flops;
                }
                continue;
            }
            let mut add = |each: Each<'_>, [before, after]: [N; 2]| {
                let (before, after) = (all(before)?, all(after)?);
                let flops = times(each.all, before.plus(after)?.into())?;
                *total = total.checked_add(flops)?;
                let (before, after): (u128, u128) = (before.into(), after.into());
                for &(component, flops) in each.parts {
                    // At most the total, which fits.
                    prefill[component] += flops * before;
                    decode[component] += flops * after;
                }
                Some(())
            };
            let runs = Phase::ALL.map(|phase| workload.run(sequence, source, phase));
            match rule {
                Rule::ByReference => {
                    let runs = runs.map(|run| self.run_by(rule, run));
                    self.sums.visit_by_reference(&runs, &mut add)?;
                }
                _ => self.sums.visit_needed(&runs, &mut add)?,
            }
        }
        if !self.sums.of_distances.is_empty() && rule != Rule::PerParameter {
            *total = total.checked_add(self.sums.add_of_batch(workload, prefill)?)?;
        }
        Some(())
    }

    /// FLOPs of some passes after `sampled` of whose tokens one is sampled.
    pub(crate) fn pass_flops(&self, passes: Passes, sampled: u64, rule: Rule) -> Option<Counts> {
        let runs = [Run { passes, sampled, source: 0, ahead: [0, 0] }];
        let mut counts = Counts::default();
        let mut add = |each: Each<'_>, [amount]: [u128; 1]| {
            for &(component, flops) in each.parts {
                counts[component] = counts[component].checked_add(times(flops, amount)?)?;
            }
            Some(())
        };
        match rule {
            Rule::Needed => self.sums.visit_needed(&runs, &mut add)?,
            Rule::ByReference => self.sums.visit_by_reference(&runs, &mut add)?,
            // It counts tokens and knows no passes.
            Rule::PerParameter => {
                counts[Component::Parameters] =
                    times(2 * self.nominal_parameters(), passes.tokens()?)?;
            }
        }
        Some(counts)
    }

    /// Visits what runs once before the prefill of a sequence: FLOPs of one, and how many there are.
    #[cold] // A decoder alone has none, and its count should not pay for them.
    pub(crate) fn visit_stacks_of<N: Whole>(
        &self,
        workload: &Workload,
        sequence: &Sequence,
        source: u64,
        rule: Rule,
        visit: &mut impl FnMut(&Stack, Each<'_>, N) -> Option<()>,
    ) -> Option<()> {
        for stack in &self.stacks {
            let mut visit = |each: Each<'_>, [amount]: [N; 1]| visit(stack, each, amount);
            if let Some(load) = stack.perceived(workload, rule) {
                if rule != Rule::PerParameter {
                    stack.sums.visit_perceived(load?, rule, &mut visit)?;
                }
                continue;
            }
            let Some(run) = stack.run(sequence, source) else { continue };
            match rule {
                Rule::Needed => stack.sums.visit_needed(&[run], &mut visit)?,
                Rule::ByReference => stack.sums.visit_by_reference(&[run], &mut visit)?,
                // The model's parameters are counted as a whole.
                Rule::PerParameter => {}
            }
        }
        Some(())
    }
}

impl Sums {
    /// Visits what some runs of a sequence need: visible pairs, the head for sampled tokens, routed experts, latents in
    /// the cheaper form.
    pub fn visit_needed<N: Whole, const RUNS: usize>(
        &self,
        runs: &[Run; RUNS],
        visit: &mut impl FnMut(Each<'_>, [N; RUNS]) -> Option<()>,
    ) -> Option<()> {
        if let Some(idle) = self.idle_until(runs) {
            idle.visit_needed(runs, visit)?;
        }
        self.needed.visit(runs, visit)?;
        self.latents.iter().try_for_each(|latent| latent.visit(runs, visit))
    }

    /// Visits what the reference implementation runs: whole score matrices, the head for every token, every latent in
    /// sight expanded in every pass, recurrences in padded chunks.
    pub fn visit_by_reference<N: Whole, const RUNS: usize>(
        &self,
        runs: &[Run; RUNS],
        visit: &mut impl FnMut(Each<'_>, [N; RUNS]) -> Option<()>,
    ) -> Option<()> {
        if let Some(idle) = self.idle_until(runs) {
            idle.visit_by_reference(runs, visit)?;
        }
        self.by_reference.visit(runs, visit)
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

    /// What a sequence's runs have beside the rest because it has a source.
    fn idle_until(&self, runs: &[Run]) -> Option<&Self> {
        self.with_source.as_deref().filter(|_| runs.iter().any(|run| run.source > 0))
    }

    /// Visits what a tower does with what a prompt shows or sounds, all of whose rows see each other as they are
    /// counted.
    pub fn visit_perceived<N: Whole>(
        &self,
        load: Load,
        rule: Rule,
        visit: &mut impl FnMut(Each<'_>, [N; 1]) -> Option<()>,
    ) -> Option<()> {
        let (rows, pairs) = (N::of(load.rows)?, N::of(load.pairs)?);
        let terms = if rule == Rule::ByReference { &self.by_reference } else { &self.needed };
        terms.iter().try_for_each(|term| match term.amount {
            Amount::Tokens => visit(term.each(), [rows]),
            Amount::Pairs(_) | Amount::Squares(_) => visit(term.each(), [pairs]),
            _ => Some(()),
        })
    }
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
