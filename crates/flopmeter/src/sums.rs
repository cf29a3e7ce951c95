//! What the ops of a model add up to, so that a count need not walk them.

use crate::component::{Component, Counts};
use crate::model::Group;
use crate::op::{Distances, Experts, Latent, LatentFlops, Linear, Op, RecurrentKind, Rows};
use crate::passes::Mask;

/// Sums over all layers: per row of linear layers, per pair of attention, per position of the cache.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sums {
    /// FLOPs of one row that every token runs through.
    pub all: Vec<(Component, u128)>,
    /// FLOPs of one row that only sampled tokens need.
    pub sampled: Vec<(Component, u128)>,
    /// FLOPs of one row as the reference implementation runs it, for every token.
    pub by_reference: Vec<(Component, u128)>,
    /// FLOPs of the one row that a pass of a sequence has.
    pub of_pass: Vec<(Component, u128)>,
    /// FLOPs of one vector of distances, once for a whole batch.
    pub of_distances: Vec<(Distances, Component, u128)>,
    /// FLOPs of a token and a distance that it is scored with.
    pub distance_scores: Vec<(Distances, u128)>,
    /// FLOPs of one position of the source.
    pub of_source: Vec<(Component, u128)>,
    /// What runs only where there is a source.
    pub with_source: Option<Box<Self>>,
    /// FLOPs of a token and a position of the source that it attends to: scores and values.
    pub cross: [u128; 2],
    /// FLOPs of one visible pair, by what a token sees.
    pub pairs: Vec<PairFlops>,
    /// FLOPs of one entry of a score matrix, by what the reference implementation's cache keeps.
    pub squares: Vec<PairFlops>,
    /// FLOPs of one pair that the reference implementation multiplies where it makes no matrix of scores.
    pub pairs_by_reference: Vec<PairFlops>,
    /// FLOPs of one position that the reference implementation takes up again in every pass, by what its
    /// cache keeps.
    pub anew: Vec<(Mask, Component, u128)>,
    /// FLOPs of latent attentions, equal ones together.
    pub latents: Vec<LatentFlops>,
    /// Recurrences as the reference implementation runs them, equal ones together with their number.
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

/// FLOPs that a pair of a query and a key costs in all layers of one mask.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PairFlops {
    pub mask: Mask,
    pub scores: u128,
    pub values: u128,
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
        let [mut all, mut sampled, mut by_reference] = [Counts::default(); 3];
        let [mut of_pass, mut of_source] = [Counts::default(); 2];
        for group in groups {
            let repeat = u128::from(group.repeat);
            for op in &group.ops {
                let bits = op.stored_bits().checked_mul(repeat)?;
                match op {
                    Op::Linear(linear) => {
                        let add = |counts: &mut Counts, flops: u128| {
                            add_to(&mut counts[linear.component], flops.checked_mul(repeat)?)
                        };
                        let rows = match linear.rows {
                            Rows::Distances(distances) => {
                                let flops = linear.flops_per_row().checked_mul(repeat)?;
                                sums.of_distances.push((distances, linear.component, flops));
                                sums.add_weights(linear, repeat)?;
                                continue;
                            }
                            Rows::All | Rows::Anew { .. } => &mut all,
                            Rows::Sampled => &mut sampled,
                            Rows::Pass => &mut of_pass,
                            Rows::Source => &mut of_source,
                        };
                        add(rows, linear.flops_per_row())?;
                        let flops = linear.flops_per_row_by_reference();
                        match linear.rows {
                            Rows::All | Rows::Sampled => add(&mut by_reference, flops)?,
                            Rows::Anew { cache } => {
                                let flops = flops.checked_mul(repeat)?;
                                sums.anew.push((cache, linear.component, flops));
                            }
                            Rows::Pass | Rows::Source | Rows::Distances(_) => {}
                        }
                        sums.add_weights(linear, repeat)?;
                    }
                    Op::Cross(op) => {
                        let [scores, values] = &mut sums.cross;
                        add_to(scores, op.score_flops_per_pair().checked_mul(repeat)?)?;
                        add_to(values, op.value_flops_per_pair().checked_mul(repeat)?)?;
                        let position = op.cached_bits_per_token().checked_mul(repeat)?;
                        add_to(&mut sums.source_cache, position)?;
                    }
                    Op::Attention(op) => {
                        let flops = PairFlops {
                            mask: op.mask,
                            scores: op.score_flops_per_pair().checked_mul(repeat)?,
                            values: op.value_flops_per_pair().checked_mul(repeat)?,
                        };
                        add_pairs(&mut sums.pairs, flops)?;
                        let runs = u128::from(op.runs_by_reference);
                        let squares = PairFlops {
                            mask: op.cache_mask,
                            scores: flops.scores.checked_mul(runs)?,
                            values: flops.values.checked_mul(runs)?,
                        };
                        add_pairs(&mut sums.squares, squares)?;
                        if !op.mask.keeps_cache() {
                            continue;
                        }
                        let position = op.cached_bits_per_token().checked_mul(repeat)?;
                        let caches =
                            if op.shares_cache { &mut sums.shared_cache } else { &mut sums.cache };
                        add_cache(caches, op.mask, position)?;
                    }
                    Op::DistanceScores(op) => {
                        let flops = op.flops_per_score().checked_mul(repeat)?;
                        sums.distance_scores.push((op.distances, flops));
                    }
                    Op::Indexer(op) => {
                        // It scores what it could choose.
                        let flops = |scores: u128| {
                            let scores = scores.checked_mul(repeat)?;
                            Some(PairFlops { mask: op.mask, scores, values: 0 })
                        };
                        add_pairs(&mut sums.pairs, flops(op.flops_per_pair())?)?;
                        let reference = if op.only_pairs {
                            &mut sums.pairs_by_reference
                        } else {
                            &mut sums.squares
                        };
                        add_pairs(reference, flops(op.flops_per_pair_by_reference())?)?;
                        let position = op.cached_bits_per_token().checked_mul(repeat)?;
                        add_cache(&mut sums.cache, op.mask, position)?;
                    }
                    Op::Latent(op) => {
                        match latents.iter_mut().find(|(other, _)| other == op) {
                            Some((_, count)) => *count = count.checked_add(group.repeat)?,
                            None => latents.push((*op, group.repeat)),
                        }
                        add_to(&mut sums.dense_bits, bits)?;
                        let position = op.cached_bits_per_token().checked_mul(repeat)?;
                        add_cache(&mut sums.cache, op.mask, position)?;
                    }
                    Op::Recurrent(op) => {
                        let token = op.kind.flops_per_token()?.checked_mul(repeat)?;
                        add_to(&mut all[Component::Recurrent], token)?;
                        add_recurrence(&mut sums.recurrences, op.kind, group.repeat)?;
                        let read = op.read_bits().checked_mul(repeat)?;
                        add_to(&mut sums.dense_bits, read)?;
                        add_to(&mut sums.state_bits, op.state_bits()?.checked_mul(repeat)?)?;
                    }
                    Op::Table(table) => {
                        let row = table.storage.matrix_bits(table.width, table.looked_up);
                        add_to(&mut sums.looked_up_bits, row.checked_mul(repeat)?)?;
                    }
                    Op::Vector(_) => add_to(&mut sums.dense_bits, bits)?,
                    Op::Product(product) => {
                        let flops = product.flops_per_row().checked_mul(repeat)?;
                        add_to(&mut all[product.component], flops)?;
                        add_to(&mut by_reference[product.component], flops)?;
                    }
                    Op::Idle(op) => idle.push((op.as_ref().clone(), group.repeat)),
                }
            }
        }
        sums.latents =
            latents.iter().map(|(latent, repeat)| latent.flops(*repeat)).collect::<Option<_>>()?;
        sums.all = all.present().collect();
        sums.sampled = sampled.present().collect();
        sums.by_reference = by_reference.present().collect();
        sums.of_pass = of_pass.present().collect();
        sums.of_source = of_source.present().collect();
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
        Some(sums)
    }

    /// Components that a count of visible work has, or one by the reference implementation.
    pub fn components(&self, by_reference: bool) -> impl Iterator<Item = Component> {
        let rows = |rows: &[(Component, u128)], component| {
            rows.iter().any(|(known, _)| *known == component)
        };
        let attends = !self.pairs.is_empty() || !self.latents.is_empty() || self.cross != [0, 0];
        let has = move |component: Component| {
            let in_rows = if by_reference {
                rows(&self.by_reference, component)
                    || self.anew.iter().any(|(_, known, _)| *known == component)
            } else {
                rows(&self.all, component) || rows(&self.sampled, component)
            };
            let in_attention =
                matches!(component, Component::AttentionScores | Component::AttentionValues);
            let recurs = component == Component::Recurrent && !self.recurrences.is_empty();
            in_rows
                || rows(&self.of_pass, component)
                || rows(&self.of_source, component)
                || recurs
                || (in_attention && attends)
        };
        Component::ALL.into_iter().filter(move |component| has(*component))
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
            (None, Rows::All | Rows::Pass | Rows::Distances(_) | Rows::Anew { .. }) => {
                add_to(&mut self.dense_bits, bits)
            }
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

fn add_pairs(known: &mut Vec<PairFlops>, flops: PairFlops) -> Option<()> {
    match known.iter_mut().find(|other| other.mask == flops.mask) {
        Some(sum) => {
            add_to(&mut sum.scores, flops.scores)?;
            add_to(&mut sum.values, flops.values)
        }
        None => {
            known.push(flops);
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
    repeat: u64,
) -> Option<()> {
    match known.iter_mut().find(|(other, _)| *other == kind) {
        Some((_, count)) => *count = count.checked_add(repeat)?,
        None => known.push((kind, repeat)),
    }
    Some(())
}
