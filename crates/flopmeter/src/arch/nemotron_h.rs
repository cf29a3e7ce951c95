//! Nemotron-H and Nemotron 3: layers of one thing each, be it Mamba-2's block, attention, a feed-forward layer or experts.
//!
//! ```text
//! embed → L × [ norm → Mamba-2, or q, k, v → attend → out, or up → down, or experts ] → norm → head
//! experts   router → (down to a latent →) k of E × (up → down) (→ up again) + shared (up → down)
//! ```
//!
//! Nothing is gated but Mamba-2. Projections to and from the experts' latent, where there is one, run for every
//! token and count under `moe.shared`. `model` counts the scan token by token; `torch` counts it in padded
//! chunks: [`RecurrentKind::by_reference`](crate::op::RecurrentKind::by_reference).

use super::experts;
use super::parts::{Heads, head, mlp, note_prediction_layers, rms_norm, table, tied};
use super::prediction::{NEMOTRON, with_layers};
use super::recurrent::{Dual, Layer, MIXER, listed};
use crate::component::Component;
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::op::{Linear, Op};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["nemotron_h"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let vocab = c.size("vocab_size")?;
    let layers = layers(c)?;
    let has = |layer| layers.contains(&layer);
    let heads = if has(Layer::Attention) { Some(heads(c, d)?) } else { None };
    let mamba = if has(Layer::Recurrent) { mamba(c, d)?.ops(MIXER) } else { Vec::new() };
    let dense = if has(Layer::Mlp) { dense(c, d)? } else { Vec::new() };
    let experts = if has(Layer::Experts) { mixture(c, d)? } else { Vec::new() };
    note_prediction_layers(c)?;
    for key in INERT {
        c.raw(key);
    }
    let mut model = Builder::new(c)?;
    model.once("embedding", [table("backbone.embeddings", vocab, d)]);
    model.layers(layers.len() as u64, |index| {
        let mut ops = vec![rms_norm("norm", d)];
        match usize::try_from(index).ok().and_then(|at| layers.get(at)) {
            Some(Layer::Attention) => {
                ops.extend(heads.iter().flat_map(|heads| attention(d, heads)))
            }
            Some(Layer::Mlp) => ops.extend(dense.iter().cloned()),
            Some(Layer::Experts) => ops.extend(experts.iter().cloned()),
            Some(Layer::Recurrent) | None => ops.extend(mamba.iter().cloned()),
        }
        Ok(ops)
    })?;
    let head = head(d, vocab, tied(c, false)?);
    model.head([rms_norm("backbone.norm_f", d), head.into()])?;
    let model = model.finish()?;
    let further = prediction(c)?;
    if further.iter().any(|kind| *kind == Layer::Recurrent || !has(*kind)) {
        return Ok(model);
    }
    let blocks = further.iter().flat_map(|kind| {
        let ops = match kind {
            Layer::Attention => heads.iter().flat_map(|heads| attention(d, heads)).collect(),
            Layer::Mlp => dense.clone(),
            _ => experts.clone(),
        };
        [rms_norm("norm", d)].into_iter().chain(ops)
    });
    let count = c.count("num_nextn_predict_layers")?;
    with_layers(c, model, d, count, &NEMOTRON, blocks.collect())
}

/// The kinds of what stands one after another in a layer that predicts a further token.
fn prediction(c: &Config) -> Result<Vec<Layer>> {
    let known = [Layer::Recurrent, Layer::Attention, Layer::Mlp, Layer::Experts];
    if let Some(listed) = listed(c, "mtp_layers_block_type", &known)? {
        return Ok(listed);
    }
    match c.text("mtp_hybrid_override_pattern")? {
        Some(letters) => kinds(c, "mtp_hybrid_override_pattern", letters),
        None => Ok(vec![Layer::Attention, Layer::Experts]),
    }
}

/// Keys that look like shapes and shape nothing here: of layers that a model lacks, of kernels, and those that others
/// overrule.
const INERT: [&str; 13] = [
    "expand",
    "mamba_expand",
    "num_hidden_layers",
    "n_shared_experts",
    "moe_intermediate_size",
    "moe_shared_expert_intermediate_size",
    "moe_latent_size",
    "n_routed_experts",
    "num_experts_per_tok",
    "sliding_window",
    "intermediate_size",
    "mamba_hidden_act",
    "topk_group",
];

/// Kinds of layers from the list, or from the pattern of one letter a layer that older files have.
fn layers(c: &Config) -> Result<Vec<Layer>> {
    let known = [Layer::Recurrent, Layer::Attention, Layer::Mlp, Layer::Experts];
    let (key, layers) = match listed(c, "layers_block_type", &known)? {
        Some(layers) => ("layers_block_type", layers),
        None => ("hybrid_override_pattern", pattern(c)?),
    };
    let stated = c.maybe("num_hidden_layers")?;
    if stated.is_some_and(|stated| stated != layers.len() as u64) || layers.is_empty() {
        let fact = format!("has {} layers", layers.len());
        return Err(c.contradiction(key, &fact).hint("check `num_hidden_layers`"));
    }
    Ok(layers)
}

fn pattern(c: &Config) -> Result<Vec<Layer>> {
    const KEY: &str = "hybrid_override_pattern";
    let Some(pattern) = c.text(KEY)? else {
        return Err(c
            .contradiction(KEY, "is missing, and so is `layers_block_type`")
            .hint("a config of type `nemotron_h` states one of them"));
    };
    kinds(c, KEY, pattern)
}

/// Kinds that a pattern spells.
fn kinds(c: &Config, key: &str, pattern: &str) -> Result<Vec<Layer>> {
    let kind = |letter| match letter {
        'M' => Ok(Layer::Recurrent),
        '*' => Ok(Layer::Attention),
        '-' => Ok(Layer::Mlp),
        'E' => Ok(Layer::Experts),
        _ => Err(c.contradiction(key, "has a letter that is none of `M`, `*`, `-` and `E`")),
    };
    pattern.chars().map(kind).collect()
}

fn heads(c: &Config, d: u64) -> Result<Heads> {
    let query = c.size("num_attention_heads")?;
    let kv = c.maybe_or("num_key_value_heads", 8)?.unwrap_or(query);
    let dim = match c.maybe_of(&["head_dim", "attention_head_dim"])? {
        Some(dim) => dim,
        None => c.size_or("head_dim", 128)?,
    };
    Heads::checked(c, d, query, kv, Some(dim))
}

fn attention(d: u64, heads: &Heads) -> Vec<Op> {
    let (q, kv) = (heads.query_width(), heads.kv_width());
    let projection =
        |module, from, to| Linear::new(module, Component::AttentionProjections, from, to).into();
    vec![
        projection("mixer.q_proj", d, q),
        projection("mixer.k_proj", d, kv),
        projection("mixer.v_proj", d, kv),
        heads.attend_in("mixer", Mask::Causal),
        projection("mixer.o_proj", q, d),
    ]
}

fn mamba(c: &Config, d: u64) -> Result<Dual> {
    let other = |new: &'static str, old: &'static str, default| match c.maybe_of(&[new, old])? {
        Some(size) => Ok(size),
        None => c.size_or(new, default),
    };
    // `mamba_proj_bias` is stated and not read.
    let bias = c.flag("use_bias", false)?;
    let (heads, head) = (c.size("mamba_num_heads")?, c.size("mamba_head_dim")?);
    super::recurrent::width(c, "mamba_head_dim", heads, head)?;
    Dual {
        hidden: d,
        heads,
        head,
        groups: other("n_groups", "mamba_n_groups", 8)?,
        state: c.size("ssm_state_size")?,
        chunk: other("chunk_size", "mamba_chunk_size", 128)?,
        kernel: other("conv_kernel", "mamba_d_conv", 4)?,
        conv_bias: c.flag("use_conv_bias", c.flag("mamba_conv_bias", true)?)?,
        in_bias: bias,
        out_bias: bias,
        normed: true,
    }
    .checked(c, "n_groups")
}

fn dense(c: &Config, d: u64) -> Result<Vec<Op>> {
    let f = c.size("intermediate_size")?;
    let bias = c.flag("mlp_bias", false)?;
    Ok(vec![
        mlp("mixer.up_proj", d, f).bias(bias).into(),
        mlp("mixer.down_proj", f, d).bias(bias).into(),
    ])
}

fn mixture(c: &Config, d: u64) -> Result<Vec<Op>> {
    let experts = experts::read(c, "n_routed_experts", "num_experts_per_tok")?;
    let f = c.size("moe_intermediate_size")?;
    let shared = c.size("moe_shared_expert_intermediate_size")?;
    let bias = c.flag("mlp_bias", false)?;
    let latent = c.maybe("moe_latent_size")?;
    let every =
        |module, from, to| Op::from(Linear::new(module, Component::MoeShared, from, to).bias(bias));
    let mut ops = vec![
        experts::router("mixer.gate", d, experts).into(),
        experts::correction("mixer.gate.e_score_correction_bias", experts),
    ];
    ops.extend(latent.map(|latent| every("mixer.fc1_latent_proj", d, latent)));
    let inner = latent.unwrap_or(d);
    ops.push(experts::expert("mixer.experts.up_proj", inner, f, experts).into());
    ops.push(experts::expert("mixer.experts.down_proj", f, inner, experts).into());
    ops.extend(latent.map(|latent| every("mixer.fc2_latent_proj", latent, d)));
    ops.push(every("mixer.shared_experts.up_proj", d, shared));
    ops.push(every("mixer.shared_experts.down_proj", shared, d));
    Ok(ops)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model, parameters};

    const SMALL: &str = r#"{"model_type": "nemotron_h", "hidden_size": 64, "vocab_size": 131,
        "hybrid_override_pattern": "M-M*", "num_hidden_layers": 4, "num_attention_heads": 4,
        "num_key_value_heads": 2, "attention_head_dim": 16, "intermediate_size": 96,
        "mamba_num_heads": 8, "mamba_head_dim": 12, "n_groups": 2, "ssm_state_size": 16,
        "conv_kernel": 4, "chunk_size": 128, "expand": 2}"#;

    #[test]
    fn a_pattern_and_a_list_are_the_same() {
        let list = r#""layers_block_type": ["mamba", "mlp", "mamba", "attention"]"#;
        let listed = SMALL.replace(r#""hybrid_override_pattern": "M-M*""#, list);
        assert_eq!(parameters(SMALL), parameters(&listed));
        assert!(model(SMALL).unread().is_empty());
    }

    #[test]
    fn patterns_that_say_nothing_are_errors() {
        assert_eq!(
            fact(&SMALL.replace("M-M*", "M-X*")),
            "`hybrid_override_pattern`: has a letter that is none of `M`, `*`, `-` and `E`"
        );
        assert_eq!(fact(&SMALL.replace("M-M*", "M-M")), "`hybrid_override_pattern`: has 3 layers");
        assert_eq!(
            fact(&SMALL.replace("hybrid_override", "override")),
            "`hybrid_override_pattern`: is missing, and so is `layers_block_type`"
        );
    }
}
