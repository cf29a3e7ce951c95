//! What the FLOPs of a run are a sum of: terms, each so much work and what one of it costs.

use crate::component::Component;
use crate::exact::{Whole, times};
use crate::op::{Distances, LocalAmount, RunAmount};
use crate::passes::{Mask, Passes};
use crate::workload::Run;

/// An amount of work that a run has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Amount {
    /// Tokens that are computed.
    Tokens,
    /// Tokens that are sampled.
    Sampled,
    /// Passes.
    Passes,
    /// Pairs of a token and a position that it sees.
    Pairs(Mask),
    /// Those of them that are not ahead of the token.
    PairsBehind(Mask),
    /// Entries of the score matrices that eager attention multiplies, by what the cache keeps.
    Squares(Mask),
    /// Positions that the reference implementation takes up again in every pass, by what its cache keeps.
    Context(Mask),
    /// A token and a distance that it is scored with.
    Distances(Distances),
    /// What the reference implementation multiplies in a recurrence.
    Recurrence(RunAmount),
    /// What an encoder has that attends within pieces of its sequence.
    Local(LocalAmount),
    /// Positions of the source whose keys and values are computed.
    SourceRows,
    /// A token and a position of the source.
    SourcePairs,
}

impl Amount {
    /// How much of it each of some runs has, `None` if that does not fit.
    #[inline(always)] // A call costs as much as the commonest of them.
    fn of<N: Whole, const RUNS: usize>(self, runs: &[Run; RUNS]) -> Option<[N; RUNS]> {
        if let Self::Pairs(mask) = self {
            return Run::pairs_of(runs, mask);
        }
        let mut amounts = [N::from(0); RUNS];
        for (amount, run) in amounts.iter_mut().zip(runs) {
            *amount = match (self, run.passes) {
                (Self::Tokens, Passes::Prefill { new: tokens, .. })
                | (Self::Tokens, Passes::Decode { count: tokens, .. }) => tokens.into(),
                (Self::Sampled, _) => run.sampled.into(),
                _ => self.of_one(run)?,
            };
        }
        Some(amounts)
    }

    fn of_one<N: Whole>(self, run: &Run) -> Option<N> {
        let passes = run.passes;
        N::of(match self {
            Self::Tokens => passes.tokens()?,
            Self::Sampled => run.sampled.into(),
            Self::Passes => passes.count().into(),
            Self::Pairs(mask) => run.pairs(mask)?,
            Self::PairsBehind(mask) => passes.pairs(mask)?,
            Self::Squares(mask) => passes.squares(mask)?,
            Self::Context(mask) => passes.context(mask)?,
            Self::Distances(distances) => {
                // An encoder makes one pass, of all its tokens.
                let tokens = passes.tokens()?;
                times(tokens, distances.rows(u64::try_from(tokens).ok()?))?
            }
            Self::Recurrence(amount) => return amount.of(passes),
            // An encoder makes one pass, of all its tokens.
            Self::Local(amount) => amount.of(u64::try_from(passes.tokens()?).ok()?)?,
            Self::SourceRows => run.source_rows(),
            Self::SourcePairs => times(passes.tokens()?, run.source.into())?,
        })
    }
}

/// FLOPs of one: all of them, and of each component.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Each<'t> {
    pub all: u128,
    pub parts: &'t [(Component, u128)],
}

/// FLOPs that are multiplied by the same amount.
#[derive(Debug, Clone)]
pub(crate) struct Term {
    pub amount: Amount,
    all: u128,
    parts: Vec<(Component, u128)>,
}

impl Term {
    /// FLOPs of one.
    pub fn each(&self) -> Each<'_> {
        Each { all: self.all, parts: &self.parts }
    }
}

/// Terms of different amounts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Terms(Vec<Term>);

impl Terms {
    /// Adds FLOPs of one of an amount, `None` if a sum does not fit.
    pub fn push(&mut self, amount: Amount, component: Component, flops: u128) -> Option<()> {
        if flops == 0 {
            return Some(());
        }
        let Some(term) = self.0.iter_mut().find(|term| term.amount == amount) else {
            self.0.push(Term { amount, all: flops, parts: vec![(component, flops)] });
            return Some(());
        };
        term.all = term.all.checked_add(flops)?;
        match term.parts.iter_mut().find(|(known, _)| *known == component) {
            // At most all of them.
            Some((_, sum)) => *sum += flops,
            None => term.parts.push((component, flops)),
        }
        Some(())
    }

    /// The terms.
    pub fn iter(&self) -> std::slice::Iter<'_, Term> {
        self.0.iter()
    }

    /// Visits what some runs are a sum of: FLOPs of one, and how many each of them has.
    #[inline]
    pub fn visit<N: Whole, const RUNS: usize>(
        &self,
        runs: &[Run; RUNS],
        visit: &mut impl FnMut(Each<'_>, [N; RUNS]) -> Option<()>,
    ) -> Option<()> {
        self.0.iter().try_for_each(|term| visit(term.each(), term.amount.of(runs)?))
    }
}
