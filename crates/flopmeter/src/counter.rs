//! Many requests to one model, counted one by one: rows of a log, columns of an array.

use crate::convention::{Convention, Kind, Rule};
use crate::cost::per_parameter;
use crate::error::Result;
use crate::exact::times;
use crate::model::{Model, too_large};
use crate::sums::Sums;
use crate::terms::{Amount, Each};
use crate::workload::{Phase, Run, Sequence, Workload};

/// A model and a convention, ready to count the FLOPs of many requests that each have a KV cache of their own.
///
/// Only the total is counted, and where a token costs the same in whichever pass it is, a request is one run of tokens
/// and not two phases. The formulas are those of [`Model::flops`], and so is every digit of the result.
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
    closed: Option<Closed>,
}

/// What a request is counted as.
#[derive(Debug, Clone, Copy)]
enum Closed {
    /// One run of all of its tokens.
    Tokens,
    /// A prefill and a decode phase.
    Phases,
    /// The same as the reference implementation runs them.
    PhasesByReference,
    /// So many parameters for each token.
    Parameters,
}

impl Model {
    /// Makes ready to count many requests by a convention.
    pub fn counter(&self, convention: &Convention) -> RequestCounter<'_> {
        let closed = match convention.kind {
            Kind::Rule(rule) if self.only_decodes() && convention.counts_requests() => {
                Closed::of(self, rule)
            }
            _ => None,
        };
        let request = Workload::request(0, 0);
        RequestCounter { model: self, convention: *convention, request, closed }
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
        match self.closed {
            Some(closed) if cached <= prompt => {
                self.closed_total(closed, &sequence).ok_or_else(too_large)
            }
            _ => self.total_of_request(sequence),
        }
    }

    #[cold] // What is cheap should not pay for it.
    fn total_of_request(&self, sequence: Sequence) -> Result<u128> {
        let workload = Workload::batch(vec![sequence])?;
        Ok(self.model.flops(&workload, &self.convention)?.total)
    }

    fn closed_total(&self, closed: Closed, sequence: &Sequence) -> Option<u128> {
        sequence.end()?;
        let sums = &self.model.sums;
        let mut total = 0_u128;
        let mut add = |each: Each<'_>, amount: u128| {
            total = total.checked_add(times(each.all, amount)?)?;
            Some(())
        };
        let runs = || Phase::ALL.map(|phase| self.request.run(sequence, 0, phase));
        match closed {
            Closed::Tokens => sums.visit_needed(&Run::token_by_token(runs())?, &mut add)?,
            Closed::Phases => {
                for run in runs() {
                    sums.visit_needed(&run, &mut add)?;
                }
            }
            Closed::PhasesByReference => {
                for run in runs() {
                    sums.visit_by_reference(&self.model.run_by(Rule::ByReference, run), &mut add)?;
                }
            }
            Closed::Parameters => {
                for phase in Phase::ALL {
                    let tokens = per_parameter(sequence, phase, self.request.kv_cache())?;
                    let flops = times(self.model.nominal_parameters(), tokens)?;
                    total = total.checked_add(flops)?;
                }
            }
        }
        Some(total)
    }
}

impl Closed {
    /// `None` if by this rule the model is not counted.
    fn of(model: &Model, rule: Rule) -> Option<Self> {
        model.check_rule(rule).ok()?;
        Some(match rule {
            Rule::Needed if model.sums.looks_back_only() => Self::Tokens,
            Rule::Needed => Self::Phases,
            Rule::ByReference => Self::PhasesByReference,
            Rule::PerParameter => Self::Parameters,
        })
    }
}

impl Sums {
    /// Whether a token needs the same in whichever pass it is: it sees nothing behind it, and nothing is chosen or done
    /// once for a pass.
    fn looks_back_only(&self) -> bool {
        let behind = |amount| match amount {
            Amount::Tokens | Amount::Sampled => true,
            // Over text there is no source.
            Amount::SourceRows | Amount::SourcePairs => true,
            Amount::Pairs(mask) => mask.keeps_cache(),
            _ => false,
        };
        self.latents.is_empty() && self.needed.iter().all(|term| behind(term.amount))
    }
}
