//! The ops of a layer, cut to a rank's share.
//!
//! ```text
//! q, k, v → attend → out      heads are shared out: q, k, v by their outputs, out by its inputs   (Megatron-LM,
//! gate, up → down             the inner width: gate and up by their outputs, down by its inputs    arXiv:1909.08053,
//! table, head                 the vocabulary, padded                                               section 3)
//! router, latents, norms      every rank has them whole; recurrent layers: `recurrent`
//! experts                     shared out whole, or each by its inner width
//! ```
//!
//! After `out` and after `down` the ranks add up what they have.

use super::attention::Heads;
use super::exchange::{Collective, Exchange, Over};
use super::plan::Purpose;
use super::stages::Members;
use super::{Parallelism, Stage, size};
use crate::component::Component;
use crate::error::{Error, ErrorKind, Result};
use crate::model::Model;
use crate::op::{Latent, Op, Recurrent, RecurrentKind, Table, Vector};
use std::collections::BTreeSet;

/// Cuts layers for a plan.
pub(super) struct Cutter<'p> {
    pub plan: &'p Parallelism,
    pub purpose: Purpose,
    /// Width of what passes from layer to layer.
    pub hidden: u64,
    vocabulary: u64,
    /// Width of an element of an activation.
    element_bits: u64,
    /// Modules that every tensor rank has whole.
    pub replicated: BTreeSet<&'static str>,
    /// Rows that the vocabulary is padded by.
    pub padding: u64,
}

/// What becomes of an op.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    Whole,
    /// Cut to so many outputs.
    Outputs(u64),
    /// Cut to so many inputs; the ranks' results are summands.
    Inputs(u64),
    /// A norm cut to so many elements; the ranks add up the squares.
    Norm(u64),
    /// A part of a recurrence.
    Recurrence(RecurrentKind),
}

impl<'p> Cutter<'p> {
    pub fn new(model: &Model, plan: &'p Parallelism, purpose: Purpose) -> Result<Self> {
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
            hidden: model.width(),
            vocabulary,
            element_bits: model.quantization().compute.bits().max(16),
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
        let (mut exchange, mut after_layers) = (Exchange::new(self.element_bits), false);
        let mut part = before.without_prediction().with_ops(|layer, ops| {
            after_layers |= layer.is_some();
            let here = match layer {
                Some(layer) => members.have(layer),
                None if after_layers => members.last,
                None => members.first,
            };
            if here { self.layer(layer, ops, &mut exchange) } else { Ok(Vec::new()) }
        })?;
        let others = |at_the_end: bool| plan.virtual_stages - u64::from(at_the_end);
        let shared_by = if plan.sequence { plan.tensor } else { 1 };
        let mut send = |of, elements| {
            exchange.add((Collective::PointToPoint, of), 2, (Over::All, shared_by), elements);
        };
        send("hidden states to the next stage", others(members.last) * self.hidden);
        if self.purpose != Purpose::Inference {
            send("gradients to the stage before", others(members.first) * self.hidden);
        } else if members.last && plan.context > 1 {
            let kind = (Collective::AllGather, "hidden states before the head");
            exchange.add(kind, plan.context, (Over::Prompt, 1), plan.context * self.hidden);
        }
        let further = model.prediction_layers().filter(|_| members.last);
        if let Some((one, count)) = further.filter(|_| self.purpose != Purpose::Inference) {
            let mut of_one = Exchange::new(self.element_bits);
            part = part.with_prediction(self.prediction(one, &mut of_one)?, count);
            exchange.add_times(&of_one, count);
        }
        let sharing = match plan.decode_context {
            1 => None,
            ranks => Some(super::decode::sharing(&part, ranks)?),
        };
        Ok(Stage { name: String::new(), count: 1, model: part, sharing, exchange })
    }

    /// A layer that predicts a further token. It stands on the stage of the head, which it shares (Megatron).
    fn prediction(&mut self, one: &Model, exchange: &mut Exchange) -> Result<Model> {
        one.clone().with_ops(|layer, ops| {
            let mut cut = self.layer(layer, ops, exchange)?;
            for (part, whole) in cut.iter_mut().zip(ops) {
                if let (Op::Linear(part), Op::Linear(whole)) = (part, whole) {
                    part.shared_weights = whole.shared_weights;
                }
            }
            Ok(cut)
        })
    }

    fn layer(
        &mut self,
        layer: Option<u64>,
        ops: &[Op],
        exchange: &mut Exchange,
    ) -> Result<Vec<Op>> {
        let plain: Vec<&Op> = ops.iter().map(inside).collect();
        let cuts = self.cuts(&plain)?;
        let mut summed = false;
        let mut made = Vec::with_capacity(ops.len());
        for ((op, plain), cut) in ops.iter().zip(&plain).zip(&cuts) {
            let part = match plain {
                Op::Linear(linear) => {
                    let part = self.linear(linear, *cut)?;
                    self.exchange(linear, *cut, layer, &mut summed, exchange);
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
                Op::Recurrent(recurrent) => match *cut {
                    Cut::Recurrence(kind) => Recurrent { kind, ..*recurrent }.into(),
                    _ => (*plain).clone(),
                },
                Op::Vector(vector) => match *cut {
                    Cut::Outputs(elements) => Op::Vector(Vector { elements, ..vector.clone() }),
                    Cut::Norm(elements) => {
                        let kind = (Collective::AllReduce, "norms of recurrent layers");
                        let bits = 32 * self.purpose.passes(layer);
                        exchange.add_bits(kind, self.plan.tensor, (Over::All, 1), bits);
                        Op::Vector(Vector { elements, ..vector.clone() })
                    }
                    _ => (*plain).clone(),
                },
                other => (*other).clone(),
            };
            self.share_context(&part, layer, exchange)?;
            self.share_cache(&part, exchange);
            made.push(if let Op::Idle(_) = op { Op::Idle(Box::new(part)) } else { part });
        }
        Ok(made)
    }

    /// What becomes of each product of a layer.
    fn cuts(&mut self, ops: &[&Op]) -> Result<Vec<Cut>> {
        let mut cuts = vec![Cut::Whole; ops.len()];
        if self.plan.tensor > 1 {
            self.cut_attention(ops, &mut cuts)?;
            self.cut_feed_forward(ops, &mut cuts)?;
            self.cut_recurrent(ops, &mut cuts)?;
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
            // What joins a token's embedding with the hidden state before it (Megatron's eh_proj).
            let joins = linear.component == Component::EmbeddingProjections
                && (linear.from, linear.to) == (2 * self.hidden, self.hidden);
            if joins && self.plan.tensor > 1 && self.purpose != Purpose::Inference {
                *cut = Cut::Outputs(self.share("of a layer's width", linear.to)?);
            }
            let adapts = linear.component == Component::Adapter;
            if *cut == Cut::Whole && self.plan.tensor > 1 && !adapts {
                self.replicated.insert(linear.module);
            }
        }
        if self.plan.tensor > 1 {
            self.cut_adapters(ops, &mut cuts)?;
        }
        Ok(cuts)
    }

    /// An error for what no tensor ranks are known to share, and nothing says that each has it whole.
    fn check(&self, ops: &[&Op], cuts: &[Cut]) -> Result<()> {
        let left = |(op, cut): (&&Op, &Cut)| match op {
            Op::Linear(op) => match op.component {
                Component::Mlp if *cut == Cut::Whole && op.to > 1 => Some(op.module),
                _ => None,
            },
            Op::DistanceScores(op) => Some(op.module),
            Op::Local(op) => Some(op.module),
            Op::Product(op) if op.component != Component::Connections => Some(op.module),
            _ => None,
        };
        let unknown = |module| Err(unknown("tensor", module));
        ops.iter().zip(cuts).find_map(left).map_or(Ok(()), unknown)
    }

    pub fn share(&self, what: &str, count: u64) -> Result<u64> {
        size::share("tensor", what, count, self.plan.tensor)
    }
}

fn inside(op: &Op) -> &Op {
    match op {
        Op::Idle(op) => op,
        other => other,
    }
}

/// An error for what it is not known of how ranks of some kind share it.
pub(super) fn unknown(place: &str, module: &str) -> Error {
    let fact = format!("is not known here for `{module}`: how ranks share it");
    Error::new(ErrorKind::Parallelism, place, fact).hint("pipeline and data ranks take it whole")
}
