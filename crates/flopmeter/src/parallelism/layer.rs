//! The ops of a layer, cut to a rank's share.
//!
//! ```text
//! q, k, v → attend → out      heads are shared out: q, k, v by their outputs, out by its inputs   (Megatron-LM,
//! gate, up → down             the inner width: gate and up by their outputs, down by its inputs    arXiv:1909.08053,
//! table, head                 the vocabulary, padded                                               section 3)
//! router, latents, norms      every rank has them whole
//! experts                     shared out whole, or each by its inner width
//! ```
//!
//! After `out` and after `down` the ranks add up what they have.

use super::exchange::{Collective, Exchange};
use super::stages::Members;
use super::{Parallelism, Purpose, Stage, size};
use crate::component::Component;
use crate::error::{Error, ErrorKind, Result};
use crate::model::Model;
use crate::op::{Attention, Experts, Latent, Linear, Op, Rows, Spread, Table};
use std::collections::BTreeSet;

/// Cuts layers for a plan.
pub(super) struct Cutter<'p> {
    plan: &'p Parallelism,
    purpose: Purpose,
    /// How often a batch goes through the layers, forward, backward and forward again.
    passes: u64,
    /// Width of what passes from layer to layer.
    hidden: u64,
    vocabulary: u64,
    /// Modules that every tensor rank has whole.
    pub replicated: BTreeSet<&'static str>,
    /// Rows that the vocabulary is padded by.
    pub padding: u64,
}

/// What becomes of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Whole,
    /// Cut to so many outputs.
    Outputs(u64),
    /// Cut to so many inputs; the ranks' results are summands.
    Inputs(u64),
}

impl<'p> Cutter<'p> {
    pub fn new(
        model: &Model,
        plan: &'p Parallelism,
        purpose: Purpose,
        passes: u64,
    ) -> Result<Self> {
        let table = model.groups().iter().flat_map(|group| &group.ops).find_map(|op| match op {
            Op::Table(table) => Some(table.rows),
            _ => None,
        });
        let vocabulary = table.unwrap_or_default();
        // Heads first: what they can be shared by is the least.
        for heads in model.groups().iter().flat_map(|group| &group.ops).filter_map(Heads::of) {
            size::share("tensor", "heads", heads.query, plan.tensor)?;
        }
        let routes = |op: &Op| matches!(op, Op::Linear(op) if op.experts.is_some());
        if plan.expert > 1 && !model.ops().any(|(op, _)| routes(op)) {
            let fact = format!("is {}, and this model has no experts", plan.expert);
            return Err(Error::new(ErrorKind::Parallelism, "expert", fact));
        }
        Ok(Self {
            plan,
            purpose,
            passes,
            hidden: model.width(),
            vocabulary,
            replicated: BTreeSet::new(),
            padding: purpose.padded(vocabulary, plan.tensor) - vocabulary,
        })
    }

    /// What a stage has of a model.
    pub fn stage(&mut self, model: &Model, members: &Members) -> Result<Stage> {
        let plan = self.plan;
        let before = match members.first {
            true => model.clone(),
            false => model.with_stacks(|_, _| Ok(Vec::new()))?,
        };
        if plan.tensor > 1 {
            self.replicated.extend(model.stacks().iter().map(crate::stack::Stack::name));
        }
        let (mut exchange, mut after_layers) = (Exchange::default(), false);
        let model = before.with_ops(|layer, ops| {
            after_layers |= layer.is_some();
            let here = match layer {
                Some(layer) => members.have(layer),
                None if after_layers => members.last,
                None => members.first,
            };
            if here { self.layer(ops, &mut exchange) } else { Ok(Vec::new()) }
        })?;
        let others = |at_the_end: bool| plan.virtual_stages - u64::from(at_the_end);
        let shared_by = if plan.sequence { plan.tensor } else { 1 };
        let mut send = |of, elements| {
            exchange.add((Collective::PointToPoint, of), 2, (Rows::All, shared_by), elements);
        };
        send("hidden states to the next stage", others(members.last) * self.hidden);
        if self.purpose == Purpose::Training {
            send("gradients to the stage before", others(members.first) * self.hidden);
        }
        Ok(Stage { name: String::new(), count: 1, model, exchange })
    }

    fn layer(&mut self, ops: &[Op], exchange: &mut Exchange) -> Result<Vec<Op>> {
        let plain: Vec<&Op> = ops.iter().map(inside).collect();
        let cuts = self.cuts(&plain)?;
        let mut summed = false;
        let mut made = Vec::with_capacity(ops.len());
        for ((op, plain), cut) in ops.iter().zip(&plain).zip(&cuts) {
            let part = match plain {
                Op::Linear(linear) => {
                    let part = self.linear(linear, *cut)?;
                    self.exchange(linear, *cut, &mut summed, exchange);
                    part.into()
                }
                Op::Attention(attention) => Op::Attention(self.heads(attention)?),
                Op::Cross(attention) => Op::Cross(self.heads(attention)?),
                Op::Latent(latent) => {
                    Latent { heads: self.share("heads", latent.heads)?, ..*latent }.into()
                }
                Op::Table(table) if table.rows == self.vocabulary => {
                    let (ranks, sequence) = (self.plan.tensor, self.plan.sequence);
                    exchange.add_sum("embedding", ranks, sequence, table.width);
                    Op::Table(Table { rows: self.vocabulary(table.rows)?, ..table.clone() })
                }
                other => (*other).clone(),
            };
            made.push(if let Op::Idle(_) = op { Op::Idle(Box::new(part)) } else { part });
        }
        Ok(made)
    }

    /// What becomes of each product of a layer.
    fn cuts(&mut self, ops: &[&Op]) -> Result<Vec<Cut>> {
        let mut cuts = vec![Cut::Whole; ops.len()];
        if self.plan.tensor > 1 {
            self.cut_attention(ops, &mut cuts)?;
            for component in [Component::Mlp, Component::MoeShared] {
                for run in runs(ops, component) {
                    self.cut_feed_forward(ops, &run, &mut cuts)?;
                }
            }
            self.check(ops, &cuts)?;
        }
        for (op, cut) in ops.iter().zip(&mut cuts) {
            let Op::Linear(linear) = op else { continue };
            if linear.experts.is_some() {
                let ranks = self.plan.expert_tensor();
                let inner = if linear.to == self.hidden { linear.from } else { linear.to };
                let share = size::share("expert tensor", "of an expert's width", inner, ranks)?;
                *cut =
                    if linear.to == self.hidden { Cut::Inputs(share) } else { Cut::Outputs(share) };
            }
            // Some heads tell other tokens apart than the table has; what is as narrow as a layer is no head.
            let names_tokens = linear.to == self.vocabulary || linear.to > self.hidden;
            if linear.component == Component::Head && names_tokens && self.plan.tensor > 1 {
                *cut = Cut::Outputs(self.vocabulary(linear.to)?);
            }
            if *cut == Cut::Whole && self.plan.tensor > 1 {
                self.replicated.insert(linear.module);
            }
        }
        Ok(cuts)
    }

    /// Projections before attention by their heads, the one after it by what it reads of them.
    fn cut_attention(&mut self, ops: &[&Op], cuts: &mut [Cut]) -> Result<()> {
        let heads: Vec<Heads> = ops.iter().filter_map(|op| Heads::of(op)).collect();
        let mut waiting: Option<Heads> = None;
        let mut projected = false;
        for (op, cut) in ops.iter().zip(cuts) {
            if let Some(attention) = Heads::of(op) {
                if waiting.is_some() || !projected {
                    return Err(unknown(op.module()));
                }
                (waiting, projected) = (Some(attention), false);
            }
            let Op::Linear(linear) = op else { continue };
            if linear.component != Component::AttentionProjections || chooses(linear) {
                continue;
            }
            if let Some(attention) = waiting
                && linear.from == attention.query * attention.value
            {
                *cut = Cut::Inputs(self.share("heads", attention.query)? * attention.value);
                waiting = None;
                continue;
            }
            for attention in &heads {
                let Some(share) = attention.share_of(linear.to, self.plan.tensor) else { continue };
                *cut = Cut::Outputs(share);
                projected = true;
                if attention.key_value < self.plan.tensor && share * self.plan.tensor != linear.to {
                    self.replicated.insert(linear.module);
                }
                break;
            }
        }
        match waiting {
            Some(_) => Err(unknown(heads.last().map_or("attention", |heads| heads.module))),
            None => Ok(()),
        }
    }

    /// Matrices before the inner width by their outputs, the one after it by its inputs.
    fn cut_feed_forward(&self, ops: &[&Op], run: &[usize], cuts: &mut [Cut]) -> Result<()> {
        let linear = |at: usize| match ops[at] {
            Op::Linear(linear) => Some(linear),
            _ => None,
        };
        let Some((down, inner)) =
            run.iter().skip(1).rev().find_map(|at| {
                linear(*at).filter(|it| it.to == self.hidden).map(|it| (*at, it.from))
            })
        else {
            return Ok(());
        };
        let share =
            size::share("tensor", "of a feed-forward layer's width", inner, self.plan.tensor)?;
        for at in run.iter().filter(|at| **at < down) {
            let Some(matrix) = linear(*at) else { continue };
            if matrix.to.is_multiple_of(inner) {
                cuts[*at] = Cut::Outputs(matrix.to / inner * share);
                cuts[down] = Cut::Inputs(share);
            }
        }
        Ok(())
    }

    /// An error for what no tensor ranks are known to share, and nothing says that each has it whole.
    fn check(&self, ops: &[&Op], cuts: &[Cut]) -> Result<()> {
        let left = |(op, cut): (&&Op, &Cut)| match op {
            Op::Linear(op) => match op.component {
                Component::Adapter | Component::Recurrent => Some(op.module),
                Component::Mlp if *cut == Cut::Whole && op.to > 1 => Some(op.module),
                _ => None,
            },
            Op::Recurrent(op) => Some(op.module),
            Op::DistanceScores(op) => Some(op.module),
            Op::Product(op) if op.component != Component::Connections => Some(op.module),
            _ => None,
        };
        ops.iter().zip(cuts).find_map(left).map_or(Ok(()), |module| Err(unknown(module)))
    }

    fn linear(&self, linear: &Linear, cut: Cut) -> Result<Linear> {
        // A bias of some of the outputs alone is shared out with them where it can be.
        let of = |bias: u64, part: u64, whole: u64| {
            // A vocabulary's share may be more than the whole, which is padded.
            let ranks = (whole / part).max(1);
            if bias.is_multiple_of(ranks) { bias / ranks } else { bias }
        };
        let mut part = match cut {
            Cut::Whole => *linear,
            Cut::Outputs(to) => {
                let bias =
                    if linear.bias == linear.to { to } else { of(linear.bias, to, linear.to) };
                Linear { to, bias, ..*linear }
            }
            Cut::Inputs(from) => Linear { from, ..*linear },
        };
        if let Some(experts) = linear.experts {
            part.experts = Some(self.experts(&part, experts)?);
        }
        // The table is on the first stage, the head on the last.
        part.shared_weights &= self.plan.pipeline == 1;
        Ok(part)
    }

    fn experts(&self, part: &Linear, experts: Experts) -> Result<Experts> {
        let Parallelism { tensor, expert, .. } = *self.plan;
        let held = size::share("expert", "experts", experts.total, expert)?;
        let shared_by = tensor / self.plan.expert_tensor();
        let row = 2 * u128::from(part.from) * u128::from(part.to) * u128::from(experts.active);
        if !row.is_multiple_of(shared_by.into()) {
            let fact = format!("{} experts of a token cannot be shared evenly", experts.active);
            return Err(Error::new(ErrorKind::Parallelism, "tensor", fact));
        }
        let ranks = expert * self.plan.expert_tensor();
        let common = greatest_common_divisor(ranks, tensor);
        let meets = [ranks / common, tensor / common];
        Ok(Experts { spread: Spread { held, shared_by, meets }, ..experts })
    }

    fn exchange(&self, linear: &Linear, cut: Cut, summed: &mut bool, exchange: &mut Exchange) {
        let Parallelism { tensor, sequence, expert, .. } = *self.plan;
        let of = match (linear.component, cut) {
            (Component::Head, Cut::Outputs(share)) if self.purpose == Purpose::Inference => {
                let rows = (linear.rows, 1);
                exchange.add((Collective::AllGather, "logits"), tensor, rows, share * tensor);
                return;
            }
            // The head's inputs have a gradient that its ranks add up.
            (Component::Head, Cut::Outputs(_)) => {
                exchange.add_sum("gradients before the head", tensor, sequence, self.hidden);
                return;
            }
            (Component::AttentionProjections, Cut::Inputs(_)) => "attention",
            (Component::MoeExperts, Cut::Inputs(_)) => {
                if let Some(experts) = linear.experts.filter(|_| self.plan.dispatches()) {
                    self.dispatch(self.passes * experts.active * self.hidden, expert, exchange);
                    return;
                }
                "experts"
            }
            (Component::MoeShared, Cut::Inputs(_)) if self.plan.dispatches() => "shared experts",
            (Component::MoeShared, Cut::Inputs(_)) => "experts",
            (_, Cut::Inputs(_)) => "feed-forward layers",
            _ => return,
        };
        // Routed and shared experts are added up before the ranks' results are.
        if of == "experts" && std::mem::replace(summed, true) {
            return;
        }
        exchange.add_sum(of, tensor, sequence, self.passes * self.hidden);
        if sequence && self.purpose == Purpose::Training {
            // What a product read is gathered once more for the gradient of its weights (section 4.2.2).
            let rows = (Rows::All, 1);
            exchange.add((Collective::AllGather, of), tensor, rows, self.hidden);
        }
    }

    /// Tokens go to their experts and come back; of those on all tensor ranks, each sends its share.
    fn dispatch(&self, elements: u64, expert: u64, exchange: &mut Exchange) {
        let Parallelism { tensor, sequence, .. } = *self.plan;
        let (ranks, rows) = (self.plan.expert_tensor(), (Rows::All, tensor));
        let [there, back] = ["tokens to their experts", "results of experts"];
        exchange.add((Collective::AllToAll, there), expert, rows, elements);
        exchange.add((Collective::AllGather, there), ranks, rows, ranks * elements);
        exchange.add((Collective::ReduceScatter, back), ranks, rows, ranks * elements);
        exchange.add((Collective::AllToAll, back), expert, rows, elements);
        if !sequence {
            let elements = self.passes * self.hidden;
            exchange.add((Collective::AllGather, back), tensor, (Rows::All, 1), elements);
        }
    }

    fn heads(&self, attention: &Attention) -> Result<Attention> {
        let ranks = self.plan.tensor;
        let Attention { heads, kv_heads, .. } = *attention;
        let kept = |ranks: u64| kv_heads.is_multiple_of(ranks) || ranks.is_multiple_of(kv_heads);
        if !kept(ranks) {
            let fact =
                format!("{kv_heads} KV heads can neither be shared evenly by {ranks} nor repeated");
            return Err(size::uneven("tensor", fact, ranks, |ranks| {
                kept(ranks) && heads.is_multiple_of(ranks)
            }));
        }
        let kv_heads = kv_heads.div_ceil(ranks);
        Ok(Attention { heads: self.share("heads", heads)?, kv_heads, ..*attention })
    }

    /// A rank's share of a vocabulary, padded.
    fn vocabulary(&self, tokens: u64) -> Result<u64> {
        let ranks = self.plan.tensor;
        let padded = self.purpose.padded(tokens, ranks);
        if padded.is_multiple_of(ranks) {
            return Ok(padded / ranks);
        }
        let fact = format!(
            "a vocabulary of {tokens}, padded to {padded}, cannot be shared evenly by {ranks}"
        );
        let will_do = |ranks| self.purpose.padded(tokens, ranks).is_multiple_of(ranks);
        Err(size::uneven("tensor", fact, ranks, will_do))
    }

    fn share(&self, what: &str, count: u64) -> Result<u64> {
        size::share("tensor", what, count, self.plan.tensor)
    }
}

/// Heads of an attention, and the widths that its projections may have.
#[derive(Debug, Clone, Copy)]
struct Heads {
    module: &'static str,
    query: u64,
    key_value: u64,
    key: u64,
    value: u64,
    latent: bool,
}

impl Heads {
    fn of(op: &Op) -> Option<Self> {
        match *op {
            Op::Attention(Attention { module, heads, kv_heads, qk_dim, v_dim, .. })
            | Op::Cross(Attention { module, heads, kv_heads, qk_dim, v_dim, .. }) => Some(Self {
                module,
                query: heads,
                key_value: kv_heads,
                key: qk_dim,
                value: v_dim,
                latent: false,
            }),
            Op::Latent(Latent { module, heads, nope, rope, value, .. }) => Some(Self {
                module,
                query: heads,
                key_value: heads,
                key: nope + rope,
                value,
                latent: true,
            }),
            _ => None,
        }
    }

    /// A rank's share of a projection of this width, `None` if it is of no heads.
    ///
    /// Queries, gates of each head or of each value, keys, values, and those that are stored side by side.
    fn share_of(&self, width: u64, ranks: u64) -> Option<u64> {
        let Self { query, key_value, key, value, .. } = *self;
        let own = [query / ranks, key_value.div_ceil(ranks)];
        let of = |[query, key_value]: [u64; 2]| {
            let both = key_value * (key + value);
            [
                query * key,
                2 * query * key,
                query * key + both,
                2 * query * key + both,
                key_value * key,
                key_value * value,
                both,
                query * value,
                query,
            ]
        };
        // Keys and values of a latent are made in its own op.
        let last = if self.latent { 2 } else { 9 };
        let widths = of([query, key_value]).into_iter().zip(of(own)).take(last);
        widths.into_iter().find(|(whole, _)| *whole == width).map(|(_, share)| share)
    }
}

/// Products of one component that stand together, but for norms between them.
fn runs(ops: &[&Op], component: Component) -> Vec<Vec<usize>> {
    let mut runs: Vec<Vec<usize>> = vec![Vec::new()];
    for (at, op) in ops.iter().enumerate() {
        match op {
            // A gate of one output is no matrix of the layer.
            Op::Linear(op) if op.component == component && op.to > 1 => {
                if let Some(run) = runs.last_mut() {
                    run.push(at);
                }
            }
            Op::Linear(op) if op.component == component => {}
            Op::Vector(_) => {}
            _ => runs.push(Vec::new()),
        }
    }
    runs
}

fn inside(op: &Op) -> &Op {
    match op {
        Op::Idle(op) => op,
        other => other,
    }
}

/// Whether it is of what chooses keys, which every rank does for itself.
fn chooses(linear: &Linear) -> bool {
    linear.module.split('.').any(|part| part == "indexer")
}

fn unknown(module: &str) -> Error {
    let fact = format!("is not known here for `{module}`: how ranks share it");
    Error::new(ErrorKind::Parallelism, "tensor", fact).hint("pipeline and data ranks take it whole")
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}
