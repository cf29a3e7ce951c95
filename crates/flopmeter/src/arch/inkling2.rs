//! Inkling-2: Inkling's attention with gates, sinks and convolutions that change with the token, and a residual that
//! attends to what earlier blocks of layers gave. In its loop form some layers run several times.
//!
//! ```text
//! embed → norm → L × [ residual → norm → q, k, v, r → convolutions of k, v → attend + r · profiles → · gate → out → convolution ]
//!                    [ residual → norm → router → k of E × (gate, up → down) → convolution ] → residual → norm → head
//! residual  a learned query attends to what each block before gave, and to what this one has so far
//! ```
//!
//! Every sixth layer attends to everything: its queries, keys and values come from a residual query each, and the weights
//! of its convolutions are made for each token, once for a head. The others slide and may have other heads. Blocks are of
//! so many layers. The head has no rows for tokens that only fill the table up.
//!
//! The loop form (`inkling2_loop`) runs a range of its layers `loop_num_passes` times, each with keys and values of its
//! own. All but the first begin with what came before the loop; queries, keys, values and the feed-forward layer get a
//! message from the pass before, which four residual queries read, through a gate of low rank.

use super::experts::{self, IN_MLP};
use super::inkling::{Attention, listed_kinds};
use super::parts::{again, head, layer_masks_of, projection, rms_norm, table, text_part, vector};
use super::recurrent::{self, convolution};
use crate::component::Component;
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::op::{Convolution, Linear, Op, Padding, Product, Recurrent, RecurrentKind};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] =
    &["inkling2", "inkling2_loop", "inkling2_loop_text", "inkling2_text"];

pub(super) fn build(c: &Config) -> Result<Model> {
    match c.model_type() {
        "inkling2" => text_part(c, "inkling2_text", inkling),
        "inkling2_loop" => text_part(c, "inkling2_loop_text", inkling),
        _ => inkling(c),
    }
}

fn inkling(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let layers = c.size("num_hidden_layers")?;
    let kernel = c.size_of_or(&["conv_kernel_size", "sconv_kernel_size"], 4)?;
    let window = c.size_of_or(&["sliding_window_size", "sliding_window"], 1024)?;
    let masks = layer_masks_of(c, layers, listed_kinds(c)?, Some(window), |layer| {
        !(layer + 1).is_multiple_of(6)
    })?;
    let block = c.size_or("n_layers_per_attn_res_block", 6)?;
    let experts = experts::read(c, "n_routed_experts", "num_experts_per_tok")?;
    let f = c.size_of(&["moe_intermediate_size", "intermediate_size"])?;
    let loops = Loop::read(c, d, layers, block)?;
    let whole = Attention::read(c, d, kernel)?;
    let heads = if loops.is_some() { 24 } else { 48 };
    let sliding = whole.in_window(c, window, [heads, 8, 128])?;

    let mut model = Builder::new(c)?;
    let norm = rms_norm("model.embed_tokens.embed_norm", d);
    model.once("embedding", [table("model.embed_tokens", c.size("vocab_size")?, d), norm]);
    let layer = |layer: u64| {
        let mask = masks(layer);
        let full = mask == Mask::Causal;
        let mut ops = Vec::new();
        if layer > 0 {
            let queries = if full { 3 } else { 1 };
            ops.extend(residual("attention_input.query", d, queries, layer.div_ceil(block) + 1));
            ops.push(vector("attention_input.query", queries * d));
        }
        let norms: &[_] = if full { &FULL_NORMS } else { &["input_layernorm"] };
        ops.extend(norms.iter().map(|norm| rms_norm(norm, d)));
        ops.extend(attention(if full { &whole } else { &sliding }, d, mask));
        ops.push(convolution("post_attention_convolution", d, kernel, false));
        ops.extend(residual("mlp_input.query", d, 1, layer / block + 2));
        ops.push(vector("mlp_input.query", d));
        ops.push(rms_norm("post_attention_layernorm", d));
        ops.extend(experts::mixture(IN_MLP, d, f, experts));
        ops.push(experts::correction("mlp.gate.e_score_correction_bias", experts));
        ops.push(convolution("post_mlp_convolution", d, kernel, false));
        ops
    };
    match &loops {
        None => model.layers(layers, |index| Ok(layer(index)))?,
        Some(loops) => {
            model.layers(loops.runs(layers)?, |run| Ok(loops.run(run, layers, layer)))?
        }
    }
    let mut last: Vec<Op> =
        residual("model.final_input.query", d, 1, layers.div_ceil(block) + 1).into();
    last.extend([vector("model.final_input.query", d), rms_norm("model.norm", d)]);
    if let Some(loops) = &loops {
        last.push(vector("model.message_input.query", 4 * loops.layers * d));
    }
    last.push(head(d, c.size_or("unpadded_vocab_size", 200_058)?, false).into());
    model.head(last)?;
    model.finish()
}

const FULL_NORMS: [&str; 3] = ["q_input_layernorm", "k_input_layernorm", "v_input_layernorm"];

/// Queries that attend to the states of a residual, of the model's width, for each token: scores and values.
fn residual(module: &'static str, d: u64, queries: u64, states: u64) -> [Op; 2] {
    let component = Component::Connections;
    let product = |from, to| Op::Product(Product { module, component, from, to });
    [product(queries * d, states), product(states, queries * d)]
}

fn attention(sizes: &Attention, d: u64, mask: Mask) -> Vec<Op> {
    let Attention { heads, kernel, mixes, extent } = *sizes;
    let (q, kv, mixed) = (heads.query_width(), heads.kv_width(), heads.query * mixes);
    let mut ops: Vec<Op> = vec![
        projection("self_attn.q_proj.linear", d, q).into(),
        vector("self_attn.q_proj.norm.scale", q),
        projection("self_attn.k_proj.linear", d, kv).into(),
        projection("self_attn.v_proj.linear", d, kv).into(),
    ];
    for [module, weights] in CONVOLUTIONS {
        if mask == Mask::Causal {
            // A head's channels have the same weights, which are added to each channel's own.
            ops.push(recurrent::projection(weights, d, heads.kv * kernel).into());
            let convolution =
                Convolution { padding: Padding::Elements, ..Convolution::new(kv, kernel) };
            ops.push(Recurrent::new(module, RecurrentKind::Convolution(convolution)).into());
        } else {
            ops.push(convolution(module, kv, kernel, false));
        }
    }
    ops.extend([
        projection("self_attn.relative_position_bias.linear", d, mixed).into(),
        vector("self_attn.relative_position_bias.norm.scale", mixed),
        vector("self_attn.relative_position_bias.proj", mixes * extent),
        Op::Product(Product {
            module: "self_attn.relative_position_bias.proj",
            component: Component::AttentionProjections,
            from: mixed,
            to: extent,
        }),
        projection("self_attn.sink_proj", d, heads.query).into(),
        heads.attend(mask),
        projection("self_attn.o_proj.gate_proj", d, q).into(),
        projection("self_attn.o_proj.linear", q, d).into(),
    ]);
    ops
}

/// The convolutions of keys and values, and what makes their weights.
const CONVOLUTIONS: [[&str; 2]; 2] = [
    ["self_attn.k_proj.sconv", "self_attn.k_proj.sconv.weight_proj"],
    ["self_attn.v_proj.sconv", "self_attn.v_proj.sconv.weight_proj"],
];

/// The layers that run several times.
struct Loop {
    start: u64,
    layers: u64,
    passes: u64,
    d: u64,
    rank: u64,
    /// States of the pass before that a message is read from: what each block of it gave.
    states: u64,
}

impl Loop {
    fn read(c: &Config, d: u64, layers: u64, block: u64) -> Result<Option<Self>> {
        if c.model_type() != "inkling2_loop_text" {
            return Ok(None);
        }
        // Published files keep these keys, under other names, in a part of their own.
        let apart = c.child("loop_config")?;
        let read = |key: &'static str, published: &'static str, default| match &apart {
            Some(part) if part.has(published) => part.size(published),
            _ => c.size_or(key, default),
        };
        let (first, behind) = ("loop_layer_index_start", "loop_layer_index_end");
        let start = read(first, "core_start", 6)?;
        let end = read(behind, "core_end", 18)?;
        let passes = read("loop_num_passes", "num_passes", 3)?;
        let rank = read("loop_gate_rank", "gate_rank", 64)?;
        if let Some(part) = &apart {
            c.adopt(part);
        }
        for (key, layer) in [(first, start), (behind, end)] {
            if !layer.is_multiple_of(block) {
                let fact = format!("is {layer}, and blocks are of {block} layers");
                return Err(c.contradiction(key, &fact));
            }
        }
        if start >= end || end > layers {
            let fact = format!("is {end}; of {layers} layers those from {start} on are run again");
            return Err(c.contradiction(behind, &fact));
        }
        let states = (end - start) / block;
        Ok(Some(Self { start, layers: end - start, passes, d, rank, states }))
    }

    /// Runs of a layer in a pass over all.
    fn runs(&self, layers: u64) -> Result<u64> {
        // Both are at most 2^24.
        Ok(layers + self.layers * (self.passes - 1))
    }

    /// The ops of a run. Those that are no layer's first come behind all layers; the first run that gets messages is
    /// counted there without their gates, which are a layer's own and stand in it.
    fn run(&self, run: u64, layers: u64, layer: impl Fn(u64) -> Vec<Op>) -> Vec<Op> {
        let Some(more) = run.checked_sub(layers) else {
            let mut ops = layer(run);
            if (self.start..self.start + self.layers).contains(&run) {
                match self.passes {
                    1 => ops.extend(self.gates().into_iter().map(|op| Op::Idle(Box::new(op)))),
                    _ => ops.extend(self.messages()),
                }
            }
            return ops;
        };
        let mut ops = layer(self.start + more % self.layers);
        if more >= self.layers {
            ops.extend(self.messages());
        }
        again(ops)
    }

    /// What reads the messages of a layer, and their gates.
    fn messages(&self) -> Vec<Op> {
        let mut ops: Vec<Op> = residual("message_input.query", self.d, 4, self.states).into();
        ops.extend(self.gates());
        ops
    }

    fn gates(&self) -> Vec<Op> {
        let Self { d, rank, .. } = *self;
        let gate = |module, from, to| Linear::new(module, Component::Connections, from, to).into();
        GATES
            .into_iter()
            .flat_map(|[down, forget, message]| {
                [gate(down, 2 * d, rank), gate(forget, rank, d), gate(message, rank, d)]
            })
            .collect()
    }
}

macro_rules! gate {
    ($of:literal) => {
        [
            concat!($of, "_message_gate.down_proj"),
            concat!($of, "_message_gate.forget_gate_proj"),
            concat!($of, "_message_gate.message_gate_proj"),
        ]
    };
}

const GATES: [[&str; 3]; 4] = [gate!("q"), gate!("k"), gate!("v"), gate!("mlp")];

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model};
    use crate::{Convention, Workload};

    fn small(model_type: &str, more: &str) -> String {
        format!(
            r#"{{"model_type": "{model_type}", "hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4,
                "num_key_value_heads": 2, "head_dim": 16, "swa_num_attention_heads": 4, "swa_num_key_value_heads": 1,
                "swa_head_dim": 8, "sliding_window_size": 8, "d_rel": 3, "rel_extent": 10, "vocab_size": 110,
                "unpadded_vocab_size": 100, "n_routed_experts": 8, "num_experts_per_tok": 2,
                "moe_intermediate_size": 32, "n_layers_per_attn_res_block": 1{more}}}"#
        )
    }

    #[test]
    fn a_layer_that_runs_again_is_stored_once_and_keeps_a_cache_of_each_run() {
        let loops = |passes: u64| {
            model(&small(
                "inkling2_loop_text",
                &format!(
                    r#", "loop_layer_index_start": 1, "loop_layer_index_end": 3, "loop_gate_rank": 5,
                        "loop_num_passes": {passes}"#
                ),
            ))
        };
        assert_eq!(loops(1).parameters().total, loops(3).parameters().total);
        // Keys and values of a head of 8 in bf16, in the four layers and in two more for each pass; four convolutions
        // that keep three positions each: 2 of 8 channels, 2 of 64.
        let cache = |passes| loops(passes).bytes(&Workload::request(1, 1)).expect("bytes").kv_cache;
        let layer = 2 * (2 * 8 + 3 * 2 * (8 + 64));
        assert_eq!(cache(1), 4 * layer);
        assert_eq!(cache(3), 8 * layer);
    }

    #[test]
    fn the_residual_attends_to_one_block_more_after_each() {
        let flops = model(&small("inkling2_text", ""))
            .flops(&Workload::request(1, 1), &Convention::MODEL)
            .expect("a count");
        // Blocks of one layer: before attention 0 (none is there), 2, 3, 4 states, before experts 2, 3, 4, 5, at the
        // end 5; scores and values of 64.
        let connections = flops.components()[crate::Component::Connections];
        assert_eq!(connections, 2 * 2 * 64 * (2 + 3 + 4 + 2 + 3 + 4 + 5 + 5));
    }

    #[test]
    fn a_loop_is_of_whole_blocks() {
        let of = |more: &str| fact(&small("inkling2_loop_text", more));
        assert_eq!(
            of(r#", "loop_layer_index_start": 2, "loop_layer_index_end": 6"#),
            "`loop_layer_index_end`: is 6; of 4 layers those from 2 on are run again"
        );
        let odd = small(
            "inkling2_loop_text",
            r#", "loop_layer_index_start": 1, "loop_layer_index_end": 2"#,
        );
        assert_eq!(
            fact(&odd.replace("res_block\": 1", "res_block\": 2")),
            "`loop_layer_index_start`: is 1, and blocks are of 2 layers"
        );
    }
}
