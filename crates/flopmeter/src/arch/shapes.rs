//! A model of a type that nobody knows, counted from the shapes of its weights.
//!
//! ```text
//! tables → L × [ each matrix of a layer: a product of every token ]  → norm → head, where a token is sampled
//!                 experts: those that a token is routed to
//!                 attention: pairs of heads that the config's usual keys state
//! ```
//!
//! The linear part is exact as far as names tell tables, experts and routers from other matrices. What no
//! shape tells is named in notes, and what cannot be done without is an error: heads, experts a token.

mod class;
mod heads;
mod ops;
mod roles;

use super::parts::{note_other_parts, note_prediction_layers};
use crate::component::Component;
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result, shown};
use crate::model::{Builder, MOST_LAYERS, Model};
use crate::op::{Attention, Experts, Latent, Linear, Op};
use crate::passes::Mask;
use crate::weights::{Part, Weights};
use heads::{Heads, TOTAL, active, count_of, heads, masks};
use ops::{expert, linear, table, vector};
use roles::{Role, Roles};
use std::collections::BTreeMap;

/// The most modules of a model, one for all experts of a layer: 128 layers of 64. Each is looked at several times.
const MOST_MODULES: usize = 1 << 13;

/// Sizes that the shapes state too.
const SHOWN_BY_SHAPES: [&str; 22] = [
    "hidden_size",
    "n_embd",
    "d_model",
    "vocab_size",
    "intermediate_size",
    "n_inner",
    "ffn_dim",
    "ffn_hidden_size",
    "num_hidden_layers",
    "n_layer",
    "num_layers",
    "n_layers",
    "moe_intermediate_size",
    "shared_expert_intermediate_size",
    "shared_intermediate_size",
    "n_shared_experts",
    "num_shared_experts",
    "first_k_dense_replace",
    "moe_layer_freq",
    "decoder_sparse_step",
    "mlp_only_layers",
    "q_lora_rank",
];

/// Counts the model, if it has weights.
pub(super) fn build(c: &Config, weights: &Weights) -> Result<Model> {
    if let Some(part) = c.text_part("")? {
        let model = super::build(&part)?;
        note_other_parts(c);
        return Ok(model.part_of(c));
    }
    if weights.is_packed() {
        let fact = "is of no known type, and its weights are packed, so that their shapes do not tell its own";
        return Err(at_type(c, fact).hint("give the weights before quantisation, or as GGUF"));
    }
    class::decodes(c)?;
    if weights.modules() > MOST_MODULES {
        let fact = format!(
            "is of no known type, and its files have {} modules; {MOST_MODULES} are the most that are looked at",
            weights.modules()
        );
        return Err(at_type(c, &fact));
    }
    let (mut outside, mut layers) = (Vec::new(), BTreeMap::<u64, Vec<Part<'_>>>::new());
    for part in weights.parts() {
        match part.layer {
            Some(layer) => layers.entry(layer).or_default().push(part),
            None => outside.push(part),
        }
    }
    let mut all = layers.values().flatten();
    if let Some(part) = all.find(|part| part.copies > 1 && !part.name.contains("experts")) {
        let fact = format!(
            "is of no known type; `{}` is in {} lists of layers, such as an encoder's and a decoder's",
            shown(part.module),
            part.copies
        );
        return Err(at_type(c, &fact).hint("which of them runs on which tokens no shape tells"));
    }
    let shapes = Shapes::read(c, &outside, &layers)?;
    let mut model = Builder::as_stored(c)?;
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for part in &outside {
        shapes.place(part, &mut before, &mut after)?;
    }
    after.extend(shapes.tied_head(&outside));
    model.once("embedding", before);
    let mut each = layers.iter();
    model.layers(shapes.layers, |index| match each.next() {
        Some((layer, parts)) if *layer == index => shapes.layer(index, parts),
        _ => Err(at_layer(index, "has no weights in the files").hint("are all files there?")),
    })?;
    model.head(after)?;
    shapes.note(c, &layers)?;
    model.finish()
}

/// What holds for all layers.
struct Shapes {
    layers: u64,
    vocab: u64,
    tied: bool,
    roles: Roles,
    experts: Option<Experts>,
    heads: Option<Heads>,
    masks: Vec<Mask>,
}

impl Shapes {
    fn read(
        c: &Config,
        outside: &[Part<'_>],
        layers: &BTreeMap<u64, Vec<Part<'_>>>,
    ) -> Result<Self> {
        let total = count_of(c, &TOTAL)?;
        let roles = Roles { experts: total };
        let tables = || outside.iter().filter(|part| roles.outside(part) == Role::Table);
        let table = tables().max_by_key(|part| part.rows()).ok_or_else(|| {
            at_type(c, "is of no known type, and no tensor looks like a table of tokens")
                .hint("give all files of the model")
        })?;
        let stated = c.maybe_of(&["hidden_size", "n_embd", "d_model"])?;
        let hidden = stated.unwrap_or(table.columns());
        let stated = c.maybe_of(&["num_hidden_layers", "n_layer", "num_layers", "n_layers"])?;
        let stored = layers.keys().next_back().map_or(0, |last| last.saturating_add(1));
        let count = stated.unwrap_or(stored);
        if count > stored || count > MOST_LAYERS || count == 0 {
            let fact =
                format!("is of no known type; {count} layers are stated and {stored} in the files");
            return Err(at_type(c, &fact).hint("are all files there?"));
        }
        if count < stored {
            c.note(format!("layers {count} and further are in the files and not counted"));
        }
        let parts = || layers.values().flatten();
        let series = parts().filter(|part| roles.inside(part, true) == Role::Expert);
        let routed = series.map(|part| roles.copies(part)).max().filter(|total| *total > 1);
        let experts = match routed {
            None => None,
            Some(total) => Some(active(c, total)?),
        };
        let attends = layers.values().any(|parts| roles.attends(parts));
        let heads = if attends { Some(heads(c, hidden, layers, &roles)?) } else { None };
        for key in SHOWN_BY_SHAPES {
            c.raw(key);
        }
        Ok(Self {
            layers: count,
            vocab: table.rows(),
            tied: c.flag("tie_word_embeddings", false)?,
            roles,
            experts,
            heads,
            masks: masks(c, count)?,
        })
    }

    /// A tensor outside layers: before them, or after them.
    fn place(&self, part: &Part<'_>, before: &mut Vec<Op>, after: &mut Vec<Op>) -> Result<()> {
        let role = match self.roles.outside(part) {
            // As many rows as there are tokens, and nothing that is looked up.
            Role::Matrix(_) if part.rows() == self.vocab => Role::Head,
            role => role,
        };
        match role {
            Role::Table => before.push(table(part)),
            Role::Head => {
                let head = linear(part, part.known_as("head"), Component::Head)?;
                // What stands before a head is its own.
                let tied = self.tied && part.rows() >= self.vocab;
                after.push(head.sampled().sharing_weights(tied).into());
            }
            Role::Matrix(_) | Role::Expert | Role::Idle => {
                let component = Component::EmbeddingProjections;
                before.push(linear(part, part.known_as("matrix"), component)?.into());
            }
            Role::Vector | Role::Buffer | Role::Recurrence => after.push(vector(part, false)),
        }
        Ok(())
    }

    /// A head that is the table of tokens, where no other is stored.
    fn tied_head(&self, outside: &[Part<'_>]) -> Option<Op> {
        let tables = outside.iter().filter(|part| self.roles.outside(part) == Role::Table);
        let table = tables.max_by_key(|part| part.rows())?;
        let head = Linear::new("head", Component::Head, table.columns(), table.rows());
        let stored = outside.iter().any(|part| {
            self.roles.outside(part) != Role::Table
                && part.shape.len() > 1
                && part.rows() == table.rows()
        });
        (!stored).then(|| head.sampled().sharing_weights(true).into())
    }

    fn layer(&self, index: u64, parts: &[Part<'_>]) -> Result<Vec<Op>> {
        let mixture = parts.iter().any(|part| self.roles.inside(part, true) == Role::Expert);
        let (attends, recurs) = (self.roles.attends(parts), self.roles.recurs(parts));
        let mask = usize::try_from(index).ok().and_then(|at| self.masks.get(at).copied());
        let mut ops = Vec::new();
        let heads = self.heads.filter(|_| attends);
        let latent = heads.and_then(Heads::latent);
        if let Some(Heads::Grouped { query, kv, dim, value }) = heads {
            let mask = mask.unwrap_or(Mask::Causal);
            ops.push(Attention::new("attention", query, kv, dim, value, mask).into());
        }
        for part in parts {
            if let Some(op) = latent
                && part.elements()
                    == u128::from(op.rank) * u128::from(op.heads * (op.nope + op.value))
                && self.roles.expands(part)
            {
                ops.push(Op::Latent(Latent { storage: part.storage, ..op }));
                continue;
            }
            ops.push(match self.roles.inside(part, mixture) {
                Role::Expert => expert(part, self.roles.copies(part), self.experts)?,
                Role::Matrix(component) => {
                    // What stands in a recurrent layer goes by many names.
                    let mixes = component == Component::AttentionProjections && !attends
                        || part.module.starts_with("mixer.");
                    let component = if recurs && mixes { Component::Recurrent } else { component };
                    linear(part, part.known_as("matrix"), component)?.into()
                }
                Role::Table | Role::Head => table(part),
                Role::Vector | Role::Recurrence => vector(part, false),
                Role::Buffer => vector(part, true),
                Role::Idle if part.is_vector() => Op::Idle(Box::new(vector(part, false))),
                Role::Idle => {
                    let component = Component::AttentionProjections;
                    Op::Idle(Box::new(linear(part, part.known_as("matrix"), component)?.into()))
                }
            });
        }
        Ok(ops)
    }

    /// Says what was done, and what is missing.
    fn note(&self, c: &Config, layers: &BTreeMap<u64, Vec<Part<'_>>>) -> Result<()> {
        c.note(format!(
            "counted from the shapes of its weights, for `{}` is no known type: each matrix of a layer is a product \
             of every token, a table is none, and a token sees those before it alone",
            shown(c.model_type())
        ));
        let idle =
            layers.values().flatten().find(|part| self.roles.inside(part, true) == Role::Idle);
        if let Some(part) = idle {
            c.note(format!(
                "attention to what an encoder made (`{}`) is not counted",
                shown(part.module)
            ));
        }
        let unseen = layers.values().flatten().find(|part| {
            let recurrent = Role::Matrix(Component::Recurrent);
            [Role::Recurrence, recurrent].contains(&self.roles.inside(part, true))
        });
        if let Some(part) = unseen {
            c.note(format!(
                "a convolution or recurrence (`{}`) is not counted: no shape tells what it does",
                shown(part.module)
            ));
        }
        if self.heads.is_none() {
            c.note("no layer looks like attention, and none is counted".into());
        }
        note_prediction_layers(c)
    }
}

fn at_type(c: &Config, fact: &str) -> Error {
    let place = format!("`model_type` \"{}\"", shown(c.model_type()));
    Error::new(ErrorKind::Architecture, place, fact)
}

fn at_layer(layer: u64, fact: &str) -> Error {
    Error::new(ErrorKind::Weights, format!("layer {layer}"), fact)
}
