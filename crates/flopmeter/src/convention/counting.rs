//! What a formula gives, over the sizes of a model and the passes that it is asked about.

use super::formula::{
    Documents, Experts, FeedForward, Formula, Heads, Latents, Norms, OtherTables, Pairs,
    Projections, Rest, Routers, Shared, Size, States, TokenTable, Towers, Weights, Widths, Windows,
};
use super::shape::{AttentionShape, Shape};
use crate::component::{Component, Counts};
use crate::exact::divide;
use crate::passes::{Mask, Passes};

/// A model under a formula.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub shape: Shape,
    pub stated: Stated,
}

/// What some formulas take from a config, and no layer shows.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stated {
    /// Width of feed-forward layers.
    pub feed_forward: Option<u128>,
    /// Whether it states a number of shared experts.
    pub numbers_shared: bool,
}

/// Forward passes.
pub(super) struct Work {
    /// What the convention `model` counts of them.
    pub own: Counts,
    pub tokens: u128,
    /// The passes, each with how often it runs: of documents by themselves, and of rows whole.
    pub apart: Vec<(Passes, u128)>,
    pub joined: Vec<(Passes, u128)>,
}

/// What attention of some equal layers multiplies.
pub(super) struct Attended {
    pub layers: u128,
    /// Of all queries, and of all values.
    pub widths: [u128; 2],
    pub twice_the_pairs: u128,
}

pub(super) const ATTENDED: [Component; 2] =
    [Component::AttentionScores, Component::AttentionValues];

/// What has no choice of its own.
const REST: [Component; 6] = [
    Component::Vision,
    Component::Audio,
    Component::Encoder,
    Component::EmbeddingProjections,
    Component::Connections,
    Component::Adapter,
];

impl Subject {
    /// FLOPs by component, `None` if a count does not fit or a size is not stated.
    pub fn count(&self, formula: &Formula, work: &Work) -> Option<Counts> {
        let mut counts = Counts::default();
        [counts[ATTENDED[0]], counts[ATTENDED[1]]] = self.attended(formula, work)?;
        counts[Component::AttentionProjections] = self.projections(formula, work)?;
        self.feed_forward(formula, work, &mut counts)?;
        counts[Component::Head] = self.head(formula, work)?;
        if formula.rest == Rest::Own {
            REST.iter().for_each(|&part| counts[part] = work.own[part]);
        }
        counts[Component::Recurrent] = match formula.states {
            States::Own => work.own[Component::Recurrent],
            States::AsParameters => self.recurrent_parameters(work)?,
            States::Squares => self.shape.squares.checked_mul(work.tokens)?,
            States::ReadOut => self.shape.read_out.checked_mul(work.tokens)?,
        };
        let mut rest = self.beside(formula, work)?;
        if formula.lumped {
            for (component, flops) in
                counts.present().filter(|(it, _)| !ATTENDED.contains(it)).collect::<Vec<_>>()
            {
                rest = rest.checked_add(i128::try_from(flops).ok()?)?;
                counts[component] = 0;
            }
        }
        counts[Component::Parameters] = u128::try_from(rest).ok()?;
        Some(counts)
    }

    /// Two FLOPs for each of some elements and token.
    fn product(work: &Work, elements: u128) -> Option<u128> {
        elements.checked_mul(2)?.checked_mul(work.tokens)
    }

    fn recurrent_parameters(&self, work: &Work) -> Option<u128> {
        let shape = &self.shape;
        Self::product(work, shape.matrices[Component::Recurrent].checked_add(shape.recurrent)?)
    }

    fn attended(&self, formula: &Formula, work: &Work) -> Option<[u128; 2]> {
        let as_needed = formula.pairs == Pairs::Seen
            && formula.windows == Windows::Seen
            && formula.documents == Documents::Apart
            && formula.widths == Widths::Own
            && formula.latents == Latents::Cheapest;
        if as_needed {
            return Some(ATTENDED.map(|component| work.own[component]));
        }
        let mut sums = [0_u128; 2];
        for Attended { layers, widths, twice_the_pairs } in self.attention(formula, work)? {
            for (sum, width) in sums.iter_mut().zip(widths) {
                let product = layers.checked_mul(width)?.checked_mul(twice_the_pairs)?;
                *sum = sum.checked_add(product)?;
            }
        }
        Some(sums)
    }

    /// What attention multiplies, equal layers together.
    pub fn attention(&self, formula: &Formula, work: &Work) -> Option<Vec<Attended>> {
        if formula.pairs == Pairs::Left {
            return Some(Vec::new());
        }
        let passes = match formula.documents {
            Documents::Apart => &work.apart,
            Documents::Joined => &work.joined,
        };
        let of = |it: &AttentionShape| {
            let mut twice = 0_u128;
            for (pass, times) in passes {
                let pairs = twice_the_pairs(formula, it.mask, *pass)?;
                twice = twice.checked_add(pairs.checked_mul(*times)?)?;
            }
            let widths = self.widths(formula, it)?;
            Some(Attended { layers: it.layers, widths, twice_the_pairs: twice })
        };
        self.shape.attention.iter().map(of).collect()
    }

    /// Widths of all queries and of all values of a layer.
    fn widths(&self, formula: &Formula, it: &AttentionShape) -> Option<[u128; 2]> {
        Some(match formula.widths {
            Widths::Model if !it.latent => [self.shape.hidden; 2],
            Widths::Queries => [it.heads.checked_mul(it.query)?; 2],
            _ => [it.heads.checked_mul(it.query)?, it.heads.checked_mul(it.value)?],
        })
    }

    fn projections(&self, formula: &Formula, work: &Work) -> Option<u128> {
        let Shape { layers, hidden, matrices, .. } = &self.shape;
        let own = Component::AttentionProjections;
        let square = layers.checked_mul(hidden.checked_mul(*hidden)?)?;
        match formula.projections {
            Projections::Squares => Self::product(work, square.checked_mul(4)?),
            Projections::Grouped if !self.shape.has_latents() => {
                // q and out, and k and v of fewer heads, in layers that attend.
                let [heads, kv_heads] = self.shape.groups()?;
                let layers = self.shape.attention.iter().map(|it| it.layers).sum::<u128>();
                let square = layers.checked_mul(hidden.checked_mul(*hidden)?)?;
                let kv = square.checked_mul(kv_heads)?.checked_mul(2)?.checked_div(heads)?;
                Self::product(work, square.checked_mul(2)?.checked_add(kv)?)
            }
            _ if formula.latents == Latents::Expanded && self.shape.has_latents() => {
                Self::product(work, matrices[own])
            }
            _ => Some(work.own[own]),
        }
    }

    fn feed_forward(&self, formula: &Formula, work: &Work, counts: &mut Counts) -> Option<()> {
        let Shape { layers, hidden, .. } = self.shape;
        let own = |component| work.own[component];
        counts[Component::Mlp] = match formula.feed_forward {
            FeedForward::Own => own(Component::Mlp),
            FeedForward::Gated if self.shape.ungated() => {
                Self::product(work, self.shape.down.checked_mul(3)?)?
            }
            FeedForward::GatedInHybrids if self.shape.ungated() && self.shape.recurrences > 0 => {
                Self::product(work, self.shape.down.checked_mul(3)?)?
            }
            FeedForward::Gated | FeedForward::GatedInHybrids => own(Component::Mlp),
            FeedForward::FourTimes => {
                let square = layers.checked_mul(hidden.checked_mul(hidden)?)?;
                Self::product(work, square.checked_mul(8)?)?
            }
            FeedForward::EveryLayer | FeedForward::EveryLayerByRatio => {
                let width = self.stated.feed_forward?;
                let gated = formula.feed_forward == FeedForward::EveryLayer
                    || width.checked_mul(2)? == hidden.checked_mul(7)?;
                let matrices = if gated { 3 } else { 2 };
                let one = hidden.checked_mul(width)?.checked_mul(matrices)?;
                Self::product(work, layers.checked_mul(one)?)?
            }
        };
        if formula.routers == Routers::Counted {
            counts[Component::MoeRouter] = own(Component::MoeRouter);
        }
        // One layer everywhere is instead of experts; a formula that knows four widths knows none either.
        if formula.feed_forward.is_of_one_width() {
            return Some(());
        }
        counts[Component::MoeExperts] = own(Component::MoeExperts);
        if formula.experts == Experts::All {
            let idle = Self::product(work, self.shape.idle_experts)?;
            let sum = &mut counts[Component::MoeExperts];
            *sum = sum.checked_add(idle)?;
        }
        counts[Component::MoeShared] = match formula.shared {
            Shared::Counted => own(Component::MoeShared),
            Shared::IfNumbered if self.stated.numbers_shared => own(Component::MoeShared),
            Shared::IfNumbered => 0,
            Shared::Ungated => {
                let gates = Self::product(work, self.shape.shared_gates)?;
                own(Component::MoeShared).checked_sub(gates)?
            }
        };
        Some(())
    }

    fn head(&self, formula: &Formula, work: &Work) -> Option<u128> {
        match formula.head {
            Heads::Own => Some(work.own[Component::Head]),
            Heads::Every => Self::product(work, self.shape.matrices[Component::Head]),
            Heads::Padded => {
                let padded = self.shape.vocabulary.checked_next_multiple_of(128)?;
                Self::product(work, self.shape.hidden.checked_mul(padded)?)
            }
            Heads::Left => Some(0),
        }
    }

    /// FLOPs of what is no product: tables, norms, towers over text, and what weights differ by that are stored once.
    fn beside(&self, formula: &Formula, work: &Work) -> Option<i128> {
        let shape = &self.shape;
        let untied = if shape.tied { 0 } else { shape.token_table };
        let table = match formula.token_table {
            TokenTable::Left => 0,
            TokenTable::Untied => untied,
            TokenTable::Always => shape.token_table,
        };
        let others = match formula.other_tables {
            OtherTables::Left => 0,
            OtherTables::Counted => shape.other_tables,
        };
        let norms = match formula.norms {
            Norms::Left => 0,
            Norms::Latents => shape.latent_norms,
            Norms::LatentsAndThree => shape.latent_norms.checked_add(3 * shape.hidden)?,
            Norms::Counted => shape.vectors,
            Norms::Apertus => {
                let keys = |it: &AttentionShape| {
                    it.layers.checked_mul(shape.hidden.checked_add(it.kv_heads * it.query)?)
                };
                shape.attention.iter().try_fold(0_u128, |sum, it| sum.checked_add(keys(it)?))?
            }
        };
        let towers = match formula.towers {
            Towers::Idle => 0,
            Towers::Counted => shape.parameters.checked_sub(shape.own_parameters)?,
        };
        let elements = [table, others, norms, towers];
        let elements = elements.iter().try_fold(0_u128, |sum, some| sum.checked_add(*some))?;
        let mut flops = signed(Self::product(work, elements)?)?;
        if formula.size == Size::Nominal {
            let by_name = signed(Self::product(work, shape.nominal)?)?;
            flops = flops.checked_add(by_name)?;
            flops = flops.checked_sub(signed(Self::product(work, shape.parameters)?)?)?;
        }
        if formula.weights == Weights::Stored {
            let stored = signed(Self::product(work, shape.own_parameters)?)?;
            flops = flops.checked_add(stored)?.checked_sub(self.passed(work, untied)?)?;
        }
        Some(flops)
    }

    /// FLOPs of all parameters, as often as a token passes them.
    fn passed(&self, work: &Work, untied: u128) -> Option<i128> {
        let shape = &self.shape;
        let elements = [untied, shape.other_tables, shape.vectors, shape.idle_experts];
        let elements = elements.iter().try_fold(0_u128, |sum, some| sum.checked_add(*some))?;
        let every = Formula { latents: Latents::Expanded, ..Formula::MODEL };
        let mut flops = Self::product(work, elements)?
            .checked_add(self.projections(&every, work)?)?
            .checked_add(Self::product(work, shape.matrices[Component::Head])?)?
            .checked_add(self.recurrent_parameters(work)?)?;
        let products =
            [Component::Mlp, Component::MoeRouter, Component::MoeExperts, Component::MoeShared];
        for component in products.into_iter().chain(REST) {
            flops = flops.checked_add(work.own[component])?;
        }
        signed(flops)
    }
}

fn signed(flops: u128) -> Option<i128> {
    i128::try_from(flops).ok()
}

/// Twice the pairs of a pass: half a square may be no whole number.
fn twice_the_pairs(formula: &Formula, mask: Mask, pass: Passes) -> Option<u128> {
    let seen = if formula.windows == Windows::Ignored { causal(mask) } else { mask };
    let Passes::Prefill { past, new } = pass else {
        return pass.pairs(seen)?.checked_mul(2);
    };
    let (context, new) = (u128::from(past) + u128::from(new), u128::from(new));
    let widest = match seen {
        Mask::Sliding { window } | Mask::Selected { most: window } => context.min(window.into()),
        _ => context,
    };
    match formula.pairs {
        Pairs::Left => Some(0),
        Pairs::Seen => pass.pairs(seen)?.checked_mul(2),
        Pairs::Squares => new.checked_mul(widest)?.checked_mul(2),
        Pairs::HalfSquares if formula.windows == Windows::HalfRectangles => new.checked_mul(widest),
        Pairs::HalfSquares => match seen {
            Mask::Chunked { chunk } => {
                let (whole, rest) = divide(context, chunk);
                let chunk = u128::from(chunk);
                whole.checked_mul(chunk.checked_mul(chunk)?)?.checked_add(rest.checked_mul(rest)?)
            }
            _ => {
                let both = context.checked_mul(widest)?.checked_mul(2)?;
                both.checked_sub(widest.checked_mul(widest)?)
            }
        },
    }
}

/// The same mask without its window.
fn causal(mask: Mask) -> Mask {
    if mask.keeps_cache() { Mask::Causal } else { Mask::Full }
}
