//! Speculative decoding: what a draft costs, and what it spares.
//!
//! ```text
//! step     the draft decodes K tokens, one a pass; the target verifies them in one pass of K + 1
//! yields   the accepted ones and one of the target's own:  (1 − R^(K+1)) ÷ (1 − R) tokens, expected
//! useful   what decoding without a draft costs
//! spent    both prefills, the draft's passes, the verifications
//! ```
//!
//! Each drafted token is accepted with the same probability R, whatever the others were (Leviathan et al.,
//! arXiv:2211.17192, section 2). A rejected token's place in the cache is dropped, and computed again. Where fewer
//! than K + 1 tokens are left, a step drafts one less than are left, so that none is thrown away. All sums are the
//! exact expectation: [`starts`] says how often a step begins where, and what it costs there is summed in closed
//! form; a result is rounded once, and at R = 0 and R = 1 it is a whole number by itself. Only where attention ends at
//! chunks (Llama 4's 8,192 tokens) and an answer has more than 256 of them, the mean of a chunk stands for each further one.

mod bytes;
mod drafting;
mod explain;
mod ideal;
mod pieces;
mod starts;

use crate::component::Counts;
use crate::convention::{Convention, Rule};
use crate::cost::Flops;
use crate::error::{Error, ErrorKind, Result, shown};
use crate::model::{Model, too_large};
use crate::utilization::Hardware;
use crate::workload::{Phase, Sequence, Workload};
use drafting::{Draft, Run};
use pieces::Expected;
use starts::Starts;

/// The most tokens that a step is believed to draft; engines draft under 20, and trees of drafts have 64.
pub const MOST_DRAFT_TOKENS: u64 = 256;

/// A way to decode: a draft, how many tokens it drafts, and how many of them the target accepts.
///
/// # Example
///
/// ```
/// use flopmeter::{Builtin, Convention, Speculation, Workload};
///
/// let target = Builtin::find("meta-llama/Llama-3.1-70B")?.model()?;
/// let draft = Builtin::find("meta-llama/Llama-3.2-1B")?.model()?;
/// let speculation = Speculation::new(draft, 4, 0.8)?;
/// // (1 − 0.8^5) ÷ (1 − 0.8)
/// assert!((speculation.tokens_per_step() - 3.3616).abs() < 1e-12);
///
/// let spent = speculation.flops(&target, &Workload::request(1024, 256), &Convention::MODEL)?;
/// assert!(spent.total > spent.useful.total);
/// # Ok::<(), flopmeter::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Speculation {
    draft: Draft,
    starts: Starts,
}

/// FLOPs of decoding with a draft.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpeculativeFlops {
    /// What the same tokens cost without a draft: the useful part. Its prefill is the target's here too.
    pub useful: Flops,
    /// Of the draft's pass over the prompts.
    pub draft_prefill: Counts,
    /// Of the draft's passes.
    pub drafting: Counts,
    /// Of the target's passes after its prefill.
    pub verification: Counts,
    /// All that is spent: both prefills, drafting and verification.
    pub total: u128,
    /// Passes of the target after its prefill, of all sequences, expected.
    pub steps: f64,
    /// Tokens that are drafted, expected.
    pub drafted: f64,
}

impl SpeculativeFlops {
    /// Hardware FLOPs utilisation: spent FLOPs ÷ (time × peak × devices).
    ///
    /// # Errors
    ///
    /// As [`Utilization::new`](crate::Utilization::new), which divides the useful ones.
    pub fn hfu(&self, hardware: &Hardware, seconds: f64) -> Result<f64> {
        hardware.flops_utilization(self.total, seconds)
    }
}

impl Speculation {
    /// Drafting `tokens` a step with a model, each accepted with probability `acceptance`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Speculation`] for no token or more than [`MOST_DRAFT_TOKENS`], and for an acceptance that is
    /// not from 0 to 1.
    pub fn new(draft: Model, tokens: u64, acceptance: f64) -> Result<Self> {
        Self::of(Draft { model: draft, prediction_layers: None }, tokens, acceptance)
    }

    /// Drafting `tokens` a step with the layers of a model that predict further tokens.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), and [`ErrorKind::Speculation`] for a model that has none which are counted.
    pub fn with_prediction_layers(target: &Model, tokens: u64, acceptance: f64) -> Result<Self> {
        let (one, count) = target.prediction_layers().ok_or_else(|| {
            let fact = format!(
                "`{}` has no layers that predict further tokens, or none that are counted",
                shown(target.model_type())
            );
            Error::new(ErrorKind::Speculation, "draft", fact).hint("draft with a model of its own")
        })?;
        let draft = Draft { model: one.clone(), prediction_layers: Some(count) };
        Self::of(draft, tokens, acceptance)
    }

    fn of(draft: Draft, tokens: u64, acceptance: f64) -> Result<Self> {
        if tokens == 0 {
            return Err(Error::new(ErrorKind::Speculation, "draft tokens", "are 0")
                .hint("a draft of no token is plain decoding: leave the draft out"));
        }
        if tokens > MOST_DRAFT_TOKENS {
            let fact = format!("are {tokens}; the most that are believed is {MOST_DRAFT_TOKENS}");
            return Err(Error::new(ErrorKind::Speculation, "draft tokens", fact)
                .hint("give what is drafted a step, not in all"));
        }
        if !(0.0..=1.0).contains(&acceptance) {
            let fact = format!("is {acceptance}");
            return Err(Error::new(ErrorKind::Speculation, "acceptance", fact)
                .hint("it is the probability that a drafted token is accepted, from 0 to 1"));
        }
        Ok(Self { draft, starts: Starts { step: tokens + 1, acceptance } })
    }

    /// The model that drafts, or one layer that predicts further tokens.
    pub fn draft(&self) -> &Model {
        &self.draft.model
    }

    /// Tokens that are drafted a step.
    pub fn draft_tokens(&self) -> u64 {
        self.starts.step - 1
    }

    /// The probability that a drafted token is accepted.
    pub fn acceptance(&self) -> f64 {
        self.starts.acceptance
    }

    /// Tokens that a step yields, expected, where enough are left: (1 − R^(K+1)) ÷ (1 − R).
    pub fn tokens_per_step(&self) -> f64 {
        self.starts.tokens_per_step()
    }

    /// What a reader should know of a draft for this target.
    pub fn notes(&self, target: &Model) -> Vec<String> {
        let mut notes = Vec::new();
        if let (Some(drafts), Some(knows)) = (self.draft().vocabulary(), target.vocabulary())
            && drafts != knows
        {
            notes.push(format!(
                "the draft's vocabulary has {drafts} tokens and the target's {knows}: they work together only if \
                 the tokens that both have are the same"
            ));
        }
        notes
    }

    /// FLOPs of a workload, useful and spent, under a convention.
    ///
    /// The expectation is exact, but for attention in chunks: of an answer's chunks after the 256th the mean is taken.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Workload`] without a KV cache, [`ErrorKind::Convention`] for a convention that knows no passes,
    /// [`ErrorKind::Overflow`] if a count does not fit 128 bits.
    pub fn flops(
        &self,
        target: &Model,
        workload: &Workload,
        convention: &Convention,
    ) -> Result<SpeculativeFlops> {
        self.check(target, workload)?;
        let rule = convention.rule()?;
        if rule == Rule::PerParameter {
            let fact = "knows no passes, and a draft is a matter of them";
            return Err(Error::new(ErrorKind::Convention, format!("`{}`", convention.id), fact)
                .hint("count a draft with `model` or `torch`"));
        }
        if rule == Rule::ByReference && self.draft.prediction_layers.is_some() {
            let fact = "how the reference implementation drafts with layers that predict further tokens is not counted";
            return Err(Error::new(ErrorKind::Convention, format!("`{}`", convention.id), fact)
                .hint("count them with `model`"));
        }
        let useful = target.flops(workload, convention)?;
        let mut draft_prefill = Counts::default();
        if let Some(prompts) = self.prompts(workload)? {
            let one = self.draft().flops(&prompts, convention)?.prefill;
            for _ in 0..self.draft.used(self.draft_tokens()) {
                draft_prefill = draft_prefill.checked_add(&one).ok_or_else(too_large)?;
            }
        }
        self.decode_flops(target, workload, rule, useful, draft_prefill).ok_or_else(too_large)
    }

    fn decode_flops(
        &self,
        target: &Model,
        workload: &Workload,
        rule: Rule,
        useful: Flops,
        draft_prefill: Counts,
    ) -> Option<SpeculativeFlops> {
        let mut verification = [Expected::default(); Counts::LEN];
        let mut drafting = [Expected::default(); Counts::LEN];
        let [mut steps, mut drafted] = [Expected::default(); 2];
        for sequence in workload.sequences() {
            let run = self.run(workload, sequence);
            let verified = run.over_steps(target, &|offset| {
                let passes = run.verification(offset);
                let sampled = u64::try_from(passes.tokens()?).ok()?;
                Some(target.pass_flops(passes, sampled, rule)?.into_array())
            })?;
            let made = self.draft.flops(&run, rule)?;
            let counted =
                run.over_steps(target, &|offset| Some([1, run.offered(offset).into()]))?;
            let times = u128::from(sequence.count);
            for (sum, more) in verification.iter_mut().zip(verified) {
                sum.add_times(more, times)?;
            }
            for (sum, more) in drafting.iter_mut().zip(made) {
                sum.add_times(more, times)?;
            }
            steps.add_times(counted[0], times)?;
            drafted.add_times(counted[1], times)?;
        }
        let (verification, drafting) = (rounded(&verification)?, rounded(&drafting)?);
        let parts = [useful.prefill, draft_prefill, drafting, verification];
        let total = parts.iter().try_fold(0_u128, |sum, part| sum.checked_add(part.total()?))?;
        Some(SpeculativeFlops {
            useful,
            draft_prefill,
            drafting,
            verification,
            total,
            steps: steps.value(),
            drafted: drafted.value(),
        })
    }

    /// Whether a workload can be decoded so.
    fn check(&self, target: &Model, workload: &Workload) -> Result<()> {
        // A tower for which there is nothing has nothing to do.
        let encodes = |model: &&Model| !model.stacks().is_empty() && !model.perceives();
        let fact = match [target, self.draft()].iter().any(encodes) {
            true => Some("is not counted with an encoder"),
            false if !workload.images().is_empty() => Some("is not counted with images"),
            false if !workload.audio().is_empty() => Some("is not counted with sound"),
            false => None,
        };
        if let Some(fact) = fact {
            return Err(
                Error::new(ErrorKind::Speculation, "draft", fact).hint("leave the draft out")
            );
        }
        if !workload.kv_cache() {
            return Err(Error::new(ErrorKind::Workload, "draft", "needs a KV cache")
                .hint("leave one of the two out"));
        }
        workload.numbered().ok_or_else(too_large)
    }

    /// One sequence's decode phase.
    fn run(&self, workload: &Workload, sequence: &Sequence) -> Run {
        Run {
            starts: self.starts,
            prompt: sequence.prompt,
            computed: sequence.prompt > sequence.cached,
            tokens: workload.passes(sequence, Phase::Decode).count(),
        }
    }

    /// The prompts as the draft reads them. Layers that predict draft a token by that.
    fn prompts(&self, workload: &Workload) -> Result<Option<Workload>> {
        let sampled = u64::from(self.draft.prediction_layers.is_some());
        drafted_for(workload, |_| sampled)
    }
}

/// The sequences for which anything is drafted, which takes two tokens after the first, with another length.
fn drafted_for(
    workload: &Workload,
    generate: impl Fn(&Sequence) -> u64,
) -> Result<Option<Workload>> {
    let sequences = workload.sequences().iter().filter(|sequence| sequence.generate > 2);
    let sequences: Vec<Sequence> =
        sequences.map(|sequence| Sequence { generate: generate(sequence), ..*sequence }).collect();
    if sequences.is_empty() { Ok(None) } else { Workload::batch(sequences).map(Some) }
}

fn rounded(counts: &[Expected; Counts::LEN]) -> Option<Counts> {
    let mut rounded = [0; Counts::LEN];
    for (sum, count) in rounded.iter_mut().zip(counts) {
        *sum = count.rounded()?;
    }
    Some(Counts::from_array(rounded))
}
