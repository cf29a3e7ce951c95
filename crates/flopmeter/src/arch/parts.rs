//! What decoders are put together from: heads, projections, feed-forward layers, experts.

mod heads;
mod listed;

pub(super) use heads::{Heads, KV_HEADS, QUERY_HEADS};
pub(super) use listed::{one_at_most, one_each, uncounted_kind, unlike};

use crate::component::Component;
use crate::config::Config;
use crate::dtype::Dtype;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::op::{Linear, Op, Recurrent, Storage, Table, Vector};
use crate::passes::Mask;

/// Attention with norms of its queries and keys before they are multiplied.
pub(super) fn with_norms(mut attention: Vec<Op>, norms: [Op; 2]) -> Vec<Op> {
    let attends = attention.iter().position(|op| matches!(op, Op::Attention(_)));
    let at = attends.unwrap_or(attention.len());
    attention.splice(at..at, norms);
    attention
}

/// Norms of single heads: one weight for all queries, one for all keys.
pub(super) fn head_norms(heads: &Heads) -> [Op; 2] {
    [rms_norm("self_attn.q_norm", heads.dim), rms_norm("self_attn.k_norm", heads.dim)]
}

/// The same layer once more: its weights are read again, and stored where it ran first.
pub(super) fn again(ops: Vec<Op>) -> Vec<Op> {
    let once_more = |op| match op {
        Op::Linear(linear) => Some(linear.bias(false).sharing_weights(true).into()),
        Op::Recurrent(recurrent) => Some(Recurrent { shared_weights: true, ..recurrent }.into()),
        Op::Vector(_) | Op::Table(_) => None,
        other => Some(other),
    };
    ops.into_iter().filter_map(once_more).collect()
}

/// A layer with a norm of `width` parameters before its attention and one before its feed-forward part.
pub(super) fn pre_normed(width: u64, attention: Vec<Op>, mlp: Vec<Op>) -> Vec<Op> {
    let mut ops = Vec::with_capacity(attention.len() + mlp.len() + 2);
    ops.push(rms_norm("input_layernorm", width));
    ops.extend(attention);
    ops.push(rms_norm("post_attention_layernorm", width));
    ops.extend(mlp);
    ops
}

/// A layer with a norm of `width` parameters after its attention and one after its feed-forward part.
pub(super) fn post_normed(width: u64, attention: Vec<Op>, mlp: Vec<Op>) -> Vec<Op> {
    let mut ops = attention;
    ops.push(rms_norm("post_attention_layernorm", width));
    ops.extend(mlp);
    ops.push(rms_norm("post_feedforward_layernorm", width));
    ops
}

/// A projection of attention.
pub(super) fn projection(module: &'static str, from: u64, to: u64) -> Linear {
    Linear::new(module, Component::AttentionProjections, from, to)
}

/// A matrix of a dense feed-forward layer.
pub(super) fn mlp(module: &'static str, from: u64, to: u64) -> Linear {
    Linear::new(module, Component::Mlp, from, to)
}

/// `gate_proj`, `up_proj` and `down_proj` under `mlp`.
pub(super) fn gated_mlp(hidden: u64, inner: u64, bias: bool) -> Vec<Op> {
    vec![
        mlp("mlp.gate_proj", hidden, inner).bias(bias).into(),
        mlp("mlp.up_proj", hidden, inner).bias(bias).into(),
        mlp("mlp.down_proj", inner, hidden).bias(bias).into(),
    ]
}

/// `up_proj` and `down_proj` under `mlp`, nothing that gates.
pub(super) fn plain_mlp(hidden: u64, inner: u64, bias: bool) -> Vec<Op> {
    vec![
        mlp("mlp.up_proj", hidden, inner).bias(bias).into(),
        mlp("mlp.down_proj", inner, hidden).bias(bias).into(),
    ]
}

/// Gate and up in one `gate_up_proj`, and `down_proj`, under `mlp`.
pub(super) fn fused_gated_mlp(hidden: u64, inner: u64) -> Vec<Op> {
    vec![
        mlp("mlp.gate_up_proj", hidden, 2 * inner).into(),
        mlp("mlp.down_proj", inner, hidden).into(),
    ]
}

/// Parameters that act element by element.
pub(super) fn vector(module: &'static str, elements: u64) -> Op {
    Op::Vector(Vector { module, elements, storage: Storage::plain(Dtype::Bf16), buffer: false })
}

/// Numbers that checkpoints keep in fp32 beside the parameters.
pub(super) fn buffer(module: &'static str, elements: u64) -> Op {
    Op::Vector(Vector { module, elements, storage: Storage::plain(Dtype::Fp32), buffer: true })
}

/// A norm with a weight and, if it has one, a bias.
pub(super) fn layer_norm(module: &'static str, width: u64, bias: bool) -> Op {
    vector(module, if bias { 2 * width } else { width })
}

/// A norm with a weight only.
pub(super) fn rms_norm(module: &'static str, width: u64) -> Op {
    vector(module, width)
}

/// A look-up table.
pub(super) fn table(module: &'static str, rows: u64, width: u64) -> Op {
    let storage = Storage::plain(Dtype::Bf16);
    Op::Table(Table { module, rows, width, looked_up: 1, shared: false, storage })
}

/// A look-up table that another part of the model has already.
pub(super) fn shared_table(module: &'static str, rows: u64, width: u64) -> Op {
    let storage = Storage::plain(Dtype::Bf16);
    Op::Table(Table { module, rows, width, looked_up: 1, shared: true, storage })
}

/// The output head: `hidden` × `vocab`, run where a token is sampled.
pub(super) fn head(hidden: u64, vocab: u64, tied: bool) -> Linear {
    Linear::new("lm_head", Component::Head, hidden, vocab).sampled().sharing_weights(tied)
}

/// Notes that layers which predict further tokens are left out: a pass of the model proper does not
/// run them. They go by several names.
pub(super) fn note_prediction_layers(c: &Config) -> Result<()> {
    for key in ["num_nextn_predict_layers", "num_mtp_layers", "num_mtp_modules"] {
        if let Some(count) = c.count(key)?.filter(|count| *count > 0) {
            c.note(format!(
                "layers that predict further tokens are left out of the model (`{key}`: {count})"
            ));
        }
    }
    // How many each module has.
    c.raw("mtp_transformer_layers");
    Ok(())
}

/// Whether the head is the embedding table; `default` is the class's where the key is absent, and noted.
pub(super) fn tied(c: &Config, default: bool) -> Result<bool> {
    c.flag_or("tie_word_embeddings", default)
}

/// embed → layers → norm → head: what nearly every decoder is.
pub(super) fn decoder(
    c: &Config,
    hidden: u64,
    tied: bool,
    final_norm: Op,
    layer: impl FnMut(u64) -> Result<Vec<Op>>,
) -> Result<Model> {
    let vocab = c.size("vocab_size")?;
    decoder_of(c, vocab, hidden, head(hidden, vocab, tied), final_norm, layer)
}

/// The same with a vocabulary that the config need not state, and a head that may be unlike others.
pub(super) fn decoder_of(
    c: &Config,
    vocab: u64,
    hidden: u64,
    head: Linear,
    final_norm: Op,
    layer: impl FnMut(u64) -> Result<Vec<Op>>,
) -> Result<Model> {
    let names = ["num_hidden_layers", "n_layer", "num_layers", "n_layers", "num_blocks"];
    let layers = c.size_of(&names)?;
    let mut model = Builder::new(c)?;
    model.once("embedding", [table("model.embed_tokens", vocab, hidden)]);
    model.layers(layers, layer)?;
    model.head([final_norm, head.into()])?;
    model.finish()
}

/// Every which layer is unlike the others in what its window hides, under any of these keys.
///
/// The class's default is noted where it decides: where there is a window and no `layer_types`.
pub(super) fn layer_interval(
    c: &Config,
    window: Option<u64>,
    keys: &[&'static str],
    default: u64,
) -> Result<u64> {
    if window.is_none() || c.has("layer_types") {
        return Ok(c.maybe_of(keys)?.unwrap_or(default));
    }
    c.size_of_or(keys, default)
}

/// The mask of each layer from `layer_types`, or from a rule where the config has none.
pub(super) fn layer_masks(
    c: &Config,
    window: Option<u64>,
    slides: impl Fn(u64) -> bool,
) -> Result<impl Fn(u64) -> Mask> {
    let layers = c.size_of(&["num_hidden_layers", "n_layer"])?;
    layer_masks_of(c, layers, c.texts("layer_types")?, window, slides)
}

/// The same with the number of layers and what `layer_types` says of them.
pub(super) fn layer_masks_of(
    c: &Config,
    layers: u64,
    kinds: Option<Vec<&str>>,
    window: Option<u64>,
    slides: impl Fn(u64) -> bool,
) -> Result<impl Fn(u64) -> Mask> {
    let slides: Vec<bool> = match kinds {
        None => (0..layers.min(1 << 16)).map(slides).collect(),
        Some(kinds) => {
            one_each(c, "layer_types", &kinds, layers)?;
            let listed = kinds.into_iter().map(|kind| listed_slides(c, kind));
            let listed = listed.collect::<Result<Vec<bool>>>()?;
            if listed.contains(&true) && window.is_none() {
                return Err(c
                    .contradiction("layer_types", "has sliding layers, but no window is set")
                    .hint("check `sliding_window`, and `use_sliding_window` where there is one"));
            }
            listed
        }
    };
    Ok(move |layer: u64| {
        let slides = usize::try_from(layer).is_ok_and(|at| slides.get(at) == Some(&true));
        match window {
            Some(window) if slides => Mask::Sliding { window },
            _ => Mask::Causal,
        }
    })
}

/// Whether a layer of a kind that `layer_types` names slides.
fn listed_slides(c: &Config, kind: &str) -> Result<bool> {
    match kind {
        "full_attention" => Ok(false),
        "sliding_attention" | "chunked_attention" => Ok(true),
        other => Err(uncounted_kind(c, "layer_types", other)),
    }
}

/// The text part of a multimodal config, built by `text`, with its tower where it is counted; a note says what is left
/// out.
pub(super) fn text_part(
    c: &Config,
    model_type: &str,
    text: impl FnOnce(&Config) -> Result<Model>,
) -> Result<Model> {
    let part = c.text_part(model_type)?.ok_or_else(|| {
        c.contradiction("text_config", "is missing")
            .hint("a multimodal config keeps its text part there")
    })?;
    let model = text(&part)?;
    super::tower::with_towers(c, model)
}

/// Notes which parts of a config are not counted: what sees, what hears.
pub(super) fn note_other_parts(c: &Config) {
    note_parts_beside(c, &[]);
}

/// The same where towers are counted, too.
pub(super) fn note_parts_beside(c: &Config, counted: &[&str]) {
    let others: Vec<String> = c
        .children()
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| name.ends_with("_config") && !NOT_PARTS.contains(&name.as_str()))
        .filter(|name| !counted.contains(&name.as_str()))
        .map(|name| format!("`{}`", crate::error::shown(&name)))
        .collect();
    if !others.is_empty() {
        let part = if !counted.is_empty() { "a part" } else { "the text part" };
        c.note(format!("only {part} is counted, without {}", others.join(", ")));
    }
    // Sizes of what makes tokens of an image: none of the text part's.
    for key in ["num_channels", "patch_size", "spatial_merge_size", "vision_feature_layer"] {
        c.raw(key);
    }
}

/// Nested configs that are no parts of a model.
const NOT_PARTS: [&str; 6] = [
    "qformer_config",
    "text_config",
    "thinker_config",
    "quantization_config",
    "generation_config",
    "preprocessor_config",
];
