//! What the FLOPs of a run are a sum of: terms, each so much work and what one of it costs.

use crate::component::Component;
use crate::exact::times;
use crate::op::{Distances, LocalAmount, RunAmount};
use crate::passes::Mask;
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
    /// How much of it a run has, `None` if that does not fit.
    pub fn of(self, run: &Run) -> Option<u128> {
        let passes = run.passes;
        match self {
            Self::Tokens => passes.tokens(),
            Self::Sampled => Some(run.sampled.into()),
            Self::Passes => Some(passes.count().into()),
            Self::Pairs(mask) => run.pairs(mask),
            Self::PairsBehind(mask) => passes.pairs(mask),
            Self::Squares(mask) => passes.squares(mask),
            Self::Context(mask) => passes.context(mask),
            Self::Distances(distances) => {
                // An encoder makes one pass, of all its tokens.
                let tokens = passes.tokens()?;
                times(tokens, distances.rows(u64::try_from(tokens).ok()?))
            }
            Self::Recurrence(amount) => amount.of(passes),
            // An encoder makes one pass, of all its tokens.
            Self::Local(amount) => amount.of(u64::try_from(passes.tokens()?).ok()?),
            Self::SourceRows => Some(run.source_rows()),
            Self::SourcePairs => times(passes.tokens()?, run.source.into()),
        }
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

    /// Visits what a run is a sum of: FLOPs of one, and how many there are.
    pub fn visit(
        &self,
        run: &Run,
        visit: &mut impl FnMut(Each<'_>, u128) -> Option<()>,
    ) -> Option<()> {
        self.0.iter().try_for_each(|term| visit(term.each(), term.amount.of(run)?))
    }
}
