//! Many requests to one model, counted one by one: rows of a log, columns of an array.

use crate::convention::{Applied, Convention, Kind, Rule};
use crate::cost::per_parameter;
use crate::error::Result;
use crate::exact::{Whole, times};
use crate::model::{Model, too_large};
use crate::sums::TokenFlops;
use crate::terms::Each;
use crate::workload::{Phase, Sequence, Workload};

/// A model and a convention, ready to count the FLOPs of many requests that each have a KV cache of their own.
///
/// Only the total is counted, and what a token costs in whichever pass it is, in one run of tokens and not in two phases.
/// The formulas are those of [`Model::flops`], and so is every digit of the result.
///
/// # Example
///
/// ```
/// use flopmeter::{Builtin, Convention, Workload};
///
/// let llama = Builtin::find("meta-llama/Llama-3.1-8B")?.model()?;
/// let counter = llama.counter(&Convention::MODEL);
/// let whole = llama.flops(&Workload::request(1024, 256), &Convention::MODEL)?;
/// assert_eq!(counter.total(1024, 0, 256)?, whole.total);
/// assert!(counter.total(1024, 512, 256)? < whole.total); // half of the prompt is cached
/// assert!(counter.total(1024, 2048, 256).is_err()); // more is cached than the prompt has
/// # Ok::<(), flopmeter::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct RequestCounter<'m> {
    model: &'m Model,
    convention: Convention,
    /// What is asked besides the lengths: nothing.
    request: Workload,
    /// `None` where each request has to be looked at: with an encoder, by a published formula.
    closed: Option<Closed<'m>>,
    /// The published formula, if it applies.
    formula: Option<Box<Applied>>,
}

/// What a request is counted as.
#[derive(Debug, Clone)]
enum Closed<'m> {
    /// What it needs; most by their tokens alone, if the model has nothing else.
    Needed(Option<&'m TokenFlops>),
    /// What the reference implementation runs.
    ByReference,
    /// So many parameters for each token.
    Parameters,
}

impl Model {
    /// Makes ready to count many requests by a convention.
    pub fn counter(&self, convention: &Convention) -> RequestCounter<'_> {
        let mut counter = RequestCounter {
            model: self,
            convention: *convention,
            request: Workload::request(0, 0),
            closed: None,
            formula: None,
        };
        if convention.counts_requests() {
            match convention.kind {
                Kind::Rule(rule) => counter.closed = Closed::of(self, rule),
                Kind::Published(formula) => {
                    counter.formula = convention.applied(&formula, self).ok().map(Box::new);
                }
            }
        }
        counter
    }
}

impl RequestCounter<'_> {
    /// FLOPs of a request of `prompt` tokens, `cached` of them in the cache already, that generates `generate`.
    ///
    /// # Errors
    ///
    /// Those of [`Workload::batch`] and of [`Model::flops`] for such a [`Sequence`].
    pub fn total(&self, prompt: u64, cached: u64, generate: u64) -> Result<u128> {
        let sequence = Sequence { prompt, cached, generate, count: 1 };
        if let Some(Closed::Needed(Some(flops))) = &self.closed
            && let Some(total) = flops.total(&sequence)
        {
            return Ok(total);
        }
        self.total_of_others(sequence)
    }

    #[inline(never)] // What is cheap should not pay for it.
    fn total_of_others(&self, sequence: Sequence) -> Result<u128> {
        match &self.closed {
            Some(closed) if sequence.cached <= sequence.prompt => {
                let total = self.total_of_phases::<u64>(closed, &sequence);
                let total = total.or_else(|| self.total_of_phases::<u128>(closed, &sequence));
                total.ok_or_else(too_large)
            }
            _ => self.total_of_request(sequence),
        }
    }

    #[cold]
    fn total_of_request(&self, sequence: Sequence) -> Result<u128> {
        let workload = Workload::batch(vec![sequence])?;
        let flops = match &self.formula {
            Some(formula) => formula.request(self.model, &workload)?,
            None => self.model.flops(&workload, &self.convention)?,
        };
        Ok(flops.total)
    }

    fn total_of_phases<N: Whole>(&self, closed: &Closed<'_>, sequence: &Sequence) -> Option<u128> {
        sequence.end()?;
        let mut total = 0_u128;
        let mut add = |each: Each<'_>, [before, after]: [N; 2]| {
            total = total.checked_add(times(each.all, before.plus(after)?.into())?)?;
            Some(())
        };
        let runs = Phase::ALL.map(|phase| self.request.run(sequence, 0, phase));
        match closed {
            Closed::ByReference => {
                let runs = runs.map(|run| self.model.run_by(Rule::ByReference, run));
                self.model.sums.visit_by_reference(&runs, &mut add)?;
            }
            Closed::Parameters => {
                for phase in Phase::ALL {
                    let tokens = per_parameter(sequence, phase, self.request.kv_cache())?;
                    let flops = times(self.model.nominal_parameters(), tokens)?;
                    total = total.checked_add(flops)?;
                }
            }
            Closed::Needed(_) => {
                self.model.sums.visit_needed(&runs, &mut add)?;
            }
        }
        Some(total)
    }
}

impl<'m> Closed<'m> {
    /// `None` for an encoder, or if by this rule the model is not counted.
    fn of(model: &'m Model, rule: Rule) -> Option<Self> {
        if !model.only_decodes() || model.check_rule(rule).is_err() {
            return None;
        }
        Some(match rule {
            Rule::Needed => Self::Needed(model.sums.tokens.as_ref()),
            Rule::ByReference => Self::ByReference,
            Rule::PerParameter => Self::Parameters,
        })
    }
}
