//! What the ops of a model add up to, so that a count need not walk them.

mod tokens;

use crate::component::Component;
use crate::model::Group;
use crate::op::{
    Distances, Experts, Latent, LatentFlops, Linear, LocalAmount, Op, RecurrentKind, Rows,
};
use crate::passes::Mask;
use crate::terms::{Amount, Terms};
pub(crate) use tokens::TokenFlops;

/// Sums over all layers: FLOPs of each amount of work, bits of weights and of each position of the cache.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sums {
    /// FLOPs of what the work needs, latent attention apart.
    pub needed: Terms,
    /// Latent attentions in either form, equal ones together.
    pub latents: Vec<LatentFlops>,
    /// The same of most requests, if they are all that there is.
    pub tokens: Option<TokenFlops>,
    /// FLOPs of what the reference implementation multiplies.
    pub by_reference: Terms,
    /// FLOPs of one vector of distances, once for a whole batch.
    pub of_distances: Vec<(Distances, Component, u128)>,
    /// What runs only where there is a source.
    pub with_source: Option<Box<Self>>,
    /// Recurrences, equal ones together with their number.
    pub recurrences: Vec<(RecurrentKind, u64)>,
    /// Bits of the states of one sequence, whatever its length.
    pub state_bits: u128,
    /// Bits of the cache for one position, by what a token sees.
    pub cache: Vec<(Mask, u128)>,
    /// The same of layers that read another layer's cache and keep none.
    pub shared_cache: Vec<(Mask, u128)>,
    /// Bits that the cache keeps of one position of the source.
    pub source_cache: u128,
    /// Bits of weights that are read where the source's keys and values are computed.
    pub source_bits: u128,
    /// Bits of weights that every pass reads whole.
    pub dense_bits: u128,
    /// Bits of weights that only passes that sample read.
    pub sampled_bits: u128,
    /// Experts, those that are routed alike together.
    pub experts: Vec<RoutedBits>,
    /// Bits that one token looks up.
    pub looked_up_bits: u128,
}

/// Experts of all layers that route alike.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RoutedBits {
    pub experts: Experts,
    /// Bits of one expert, summed over the layers.
    pub bits: u128,
}

impl Sums {
    /// `None` if a sum does not fit 128 bits.
    pub fn of(groups: &[Group]) -> Option<Self> {
        let mut sums = Self::default();
        let mut latents: Vec<(Latent, u64)> = Vec::new();
        let mut idle: Vec<(Op, u64)> = Vec::new();
        for Group { repeat, ops, .. } in groups {
            for op in ops {
                match op {
                    Op::Latent(op) => match latents.iter_mut().find(|(other, _)| other == op) {
                        Some((_, count)) => *count = count.checked_add(*repeat)?,
                        None => latents.push((*op, *repeat)),
                    },
                    Op::Idle(op) => idle.push((op.as_ref().clone(), *repeat)),
                    _ => {}
                }
                sums.add_flops(op, (*repeat).into())?;
                sums.add_bits(op, (*repeat).into())?;
            }
        }
        for (latent, repeat) in latents {
            let flops = latent.flops(repeat)?;
            flops.add_by_reference(&mut sums.by_reference)?;
            sums.latents.push(flops);
        }
        if !idle.is_empty() {
            let group = |(op, repeat)| Group {
                name: String::new(),
                repeat,
                layers: Vec::new(),
                ops: vec![op],
            };
            let groups: Vec<Group> = idle.into_iter().map(group).collect();
            let idle = Self::of(&groups)?;
            // What is multiplied by positions of the source needs no switch.
            add_to(&mut sums.source_cache, idle.source_cache)?;
            add_to(&mut sums.source_bits, idle.source_bits)?;
            sums.with_source = Some(Box::new(idle));
        }
        sums.tokens = TokenFlops::of(&sums);
        Some(sums)
    }

    /// Components that a count of visible work has, or one by the reference implementation.
    pub fn components(&self, by_reference: bool) -> impl Iterator<Item = Component> {
        let terms = if by_reference { &self.by_reference } else { &self.needed };
        let attended = [Component::AttentionScores, Component::AttentionValues];
        let in_terms = move |component| {
            terms.iter().any(|term| term.each().parts.iter().any(|(known, _)| *known == component))
        };
        let attends = !self.latents.is_empty() || attended.into_iter().any(in_terms);
        let in_latents = !self.latents.is_empty();
        let recurs = !self.recurrences.is_empty();
        let has = move |component: Component| {
            in_terms(component)
                || (recurs && component == Component::Recurrent)
                || (attends && attended.contains(&component))
                || (in_latents && component == Component::AttentionProjections)
        };
        Component::ALL.into_iter().filter(move |component| has(*component))
    }

    fn add_flops(&mut self, op: &Op, repeat: u128) -> Option<()> {
        let (needed, by_reference) = (&mut self.needed, &mut self.by_reference);
        let all = |flops: u128| flops.checked_mul(repeat);
        let (scores, values) = (Component::AttentionScores, Component::AttentionValues);
        match op {
            Op::Linear(op) => {
                let (flops, run) = (op.flops_per_row(), op.flops_per_row_by_reference());
                let ([amount, reference], run) = match op.rows {
                    Rows::All => ([Amount::Tokens; 2], run),
                    Rows::Anew { cache } => ([Amount::Tokens, Amount::Context(cache)], run),
                    Rows::Filled { to, more, beyond } => {
                        let filled = Amount::Local(LocalAmount::Filled { to, more, beyond });
                        ([Amount::Tokens, filled], run)
                    }
                    Rows::SumsOf(every) => ([Amount::Local(LocalAmount::Sums { every }); 2], flops),
                    Rows::Sampled => ([Amount::Sampled, Amount::Tokens], run),
                    Rows::Pass => ([Amount::Passes; 2], flops),
                    Rows::Source => ([Amount::SourceRows; 2], flops),
                    Rows::Distances(distances) => {
                        self.of_distances.push((distances, op.component, all(flops)?));
                        return Some(());
                    }
                };
                needed.push(amount, op.component, all(flops)?)?;
                by_reference.push(reference, op.component, all(run)?)
            }
            Op::Product(op) => {
                for terms in [needed, by_reference] {
                    terms.push(Amount::Tokens, op.component, all(op.flops_per_row())?)?;
                }
                Some(())
            }
            Op::Attention(op) => {
                let (runs, run) = (u128::from(op.runs_by_reference), op.by_reference());
                for (component, flops, run) in [
                    (scores, op.score_flops_per_pair(), run.score_flops_per_pair()),
                    (values, op.value_flops_per_pair(), run.value_flops_per_pair()),
                ] {
                    needed.push(Amount::Pairs(op.mask), component, all(flops)?)?;
                    let run = all(run)?.checked_mul(runs)?;
                    by_reference.push(Amount::Squares(op.cache_mask), component, run)?;
                }
                Some(())
            }
            Op::Cross(op) => {
                for (terms, op) in [(needed, *op), (by_reference, op.by_reference())] {
                    terms.push(Amount::SourcePairs, scores, all(op.score_flops_per_pair())?)?;
                    terms.push(Amount::SourcePairs, values, all(op.value_flops_per_pair())?)?;
                }
                Some(())
            }
            Op::DistanceScores(op) => {
                for terms in [needed, by_reference] {
                    terms.push(
                        Amount::Distances(op.distances),
                        scores,
                        all(op.flops_per_score())?,
                    )?;
                }
                Some(())
            }
            Op::Local(op) => {
                for (component, amount, flops) in op.needed() {
                    needed.push(Amount::Local(amount), component, all(flops)?)?;
                }
                for (component, amount, flops) in op.by_reference() {
                    by_reference.push(Amount::Local(amount), component, all(flops)?)?;
                }
                Some(())
            }
            Op::Indexer(op) => {
                // It scores what it could choose.
                needed.push(Amount::Pairs(op.mask), scores, all(op.flops_per_pair())?)?;
                let amount = if op.only_pairs { Amount::PairsBehind } else { Amount::Squares };
                by_reference.push(amount(op.mask), scores, all(op.flops_per_pair_by_reference())?)
            }
            Op::Recurrent(op) => {
                let recurrent = Component::Recurrent;
                needed.push(Amount::Tokens, recurrent, all(op.kind.flops_per_token()?)?)?;
                for term in op.kind.by_reference()? {
                    by_reference.push(
                        Amount::Recurrence(term.amount),
                        recurrent,
                        all(term.each()?)?,
                    )?;
                }
                add_recurrence(&mut self.recurrences, op.kind, repeat)
            }
            Op::Latent(_) | Op::Table(_) | Op::Vector(_) | Op::Idle(_) => Some(()),
        }
    }

    fn add_bits(&mut self, op: &Op, repeat: u128) -> Option<()> {
        let all = |bits: u128| bits.checked_mul(repeat);
        match op {
            Op::Linear(op) => self.add_weights(op, repeat),
            Op::Cross(op) => add_to(&mut self.source_cache, all(op.cached_bits_per_token())?),
            Op::Attention(op) if op.mask.keeps_cache() => {
                let caches = if op.shares_cache { &mut self.shared_cache } else { &mut self.cache };
                add_cache(caches, op.mask, all(op.cached_bits_per_token())?)
            }
            Op::Indexer(op) => {
                add_cache(&mut self.cache, op.mask, all(op.cached_bits_per_token())?)
            }
            Op::Latent(latent) => {
                add_to(&mut self.dense_bits, all(op.stored_bits())?)?;
                add_cache(&mut self.cache, latent.mask, all(latent.cached_bits_per_token())?)
            }
            Op::Recurrent(op) => {
                add_to(&mut self.dense_bits, all(op.read_bits())?)?;
                add_to(&mut self.state_bits, all(op.state_bits()?)?)
            }
            Op::Table(table) => {
                let row = table.storage.matrix_bits(table.width, table.looked_up);
                add_to(&mut self.looked_up_bits, all(row)?)
            }
            Op::Vector(_) => add_to(&mut self.dense_bits, all(op.stored_bits())?),
            Op::Attention(_)
            | Op::DistanceScores(_)
            | Op::Local(_)
            | Op::Product(_)
            | Op::Idle(_) => Some(()),
        }
    }

    fn add_weights(&mut self, linear: &Linear, repeat: u128) -> Option<()> {
        // A head that is the embedding table reads that table, whole.
        let table = if linear.shared_weights {
            linear.storage.matrix_bits(linear.from, linear.to)
        } else {
            0
        };
        let bits = linear.stored_bits_per_copy().checked_add(table)?.checked_mul(repeat)?;
        match (linear.experts, linear.rows) {
            (None, Rows::Source) => add_to(&mut self.source_bits, bits),
            (None, Rows::Sampled) => add_to(&mut self.sampled_bits, bits),
            (
                None,
                Rows::All
                | Rows::Pass
                | Rows::Distances(_)
                | Rows::Anew { .. }
                | Rows::Filled { .. }
                | Rows::SumsOf(_),
            ) => add_to(&mut self.dense_bits, bits),
            (Some(experts), _) => {
                let alike = |known: &&mut RoutedBits| known.experts == experts;
                match self.experts.iter_mut().find(alike) {
                    Some(known) => add_to(&mut known.bits, bits),
                    None => {
                        self.experts.push(RoutedBits { experts, bits });
                        Some(())
                    }
                }
            }
        }
    }
}

fn add_cache(caches: &mut Vec<(Mask, u128)>, mask: Mask, bits: u128) -> Option<()> {
    match caches.iter_mut().find(|(known, _)| *known == mask) {
        Some((_, sum)) => add_to(sum, bits),
        None => {
            caches.push((mask, bits));
            Some(())
        }
    }
}

fn add_to(sum: &mut u128, more: u128) -> Option<()> {
    *sum = sum.checked_add(more)?;
    Some(())
}

fn add_recurrence(
    known: &mut Vec<(RecurrentKind, u64)>,
    kind: RecurrentKind,
    repeat: u128,
) -> Option<()> {
    let repeat = u64::try_from(repeat).ok()?;
    match known.iter_mut().find(|(other, _)| *other == kind) {
        Some((_, count)) => *count = count.checked_add(repeat)?,
        None => known.push((kind, repeat)),
    }
    Some(())
}
