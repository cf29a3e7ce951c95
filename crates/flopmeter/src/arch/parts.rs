//! What decoders are put together from: heads, projections, feed-forward layers, experts.

use crate::component::Component;
use crate::config::Config;
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::model::{Builder, Model};
use crate::op::{Attention, Linear, Op, Recurrent, Storage, Table, Vector};
use crate::passes::Mask;

/// What files call the number of query heads.
pub(super) const QUERY_HEADS: [&str; 4] = ["num_attention_heads", "n_head", "num_heads", "n_heads"];
/// What they call the number of heads of keys and values.
pub(super) const KV_HEADS: [&str; 2] = ["num_key_value_heads", "n_head_kv"];

/// The first of several spellings that the file has, or the first of all.
fn spelled(c: &Config, keys: &[&'static str]) -> &'static str {
    keys.iter().find(|key| c.has(key)).unwrap_or(&keys[0])
}

/// The error of KV heads, stated under `key` or taken for it, that do not divide the query heads.
fn uneven(c: &Config, key: &str, query: u64, kv: u64) -> Error {
    let fact = format!("{query} query heads cannot share {kv} key/value heads evenly");
    if c.has(key) {
        // A part states only the one number, what is around it the other.
        let other = QUERY_HEADS.iter().find(|key| c.has(key));
        let other = other.map_or("the number of query heads".into(), |key| format!("`{key}`"));
        return c.contradiction(key, &fact).hint(format!("check {other}"));
    }
    c.contradiction(spelled(c, &QUERY_HEADS), &fact).hint(format!(
        "{}, for which the reference implementation takes {kv}: state it",
        c.absence(key)
    ))
}

/// Heads of grouped-query attention, queries and values of one width.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heads {
    pub query: u64,
    pub kv: u64,
    pub dim: u64,
}

impl Heads {
    /// `num_attention_heads`, `num_key_value_heads`, `head_dim`.
    ///
    /// As in the reference implementation: absent KV heads mean one for each query head, an absent
    /// `head_dim` means that the heads share the model's width. Either is noted.
    pub fn read(c: &Config, hidden: u64) -> Result<Self> {
        let query = c.size_of(&QUERY_HEADS)?;
        let kv = c.size_or("num_key_value_heads", query)?;
        Self::checked(c, hidden, query, kv, c.maybe("head_dim")?)
    }

    /// The same of a class that has its own number of KV heads where the key is absent, and perhaps its
    /// own `head_dim`; null means what [`read`](Self::read) takes absence for.
    pub fn read_or(c: &Config, hidden: u64, kv: u64, dim: Option<u64>) -> Result<Self> {
        let query = c.size("num_attention_heads")?;
        let kv = match c.maybe_or("num_key_value_heads", kv)? {
            Some(kv) => kv,
            None => c.size_or("num_key_value_heads", query)?,
        };
        let dim = match dim {
            Some(default) => c.maybe_or("head_dim", default)?,
            None => c.maybe("head_dim")?,
        };
        Self::checked(c, hidden, query, kv, dim)
    }

    /// Heads of known numbers; `dim` is `hidden / query` if not given, which is noted.
    pub fn checked(c: &Config, hidden: u64, query: u64, kv: u64, dim: Option<u64>) -> Result<Self> {
        if !query.is_multiple_of(kv) {
            return Err(uneven(c, spelled(c, &KV_HEADS), query, kv));
        }
        let dim = match dim {
            Some(dim) => dim,
            None if hidden.is_multiple_of(query) => c.size_or("head_dim", hidden / query)?,
            None => {
                return Err(c
                    .contradiction(
                        spelled(c, &QUERY_HEADS),
                        &format!("{query} heads do not divide the width {hidden} evenly"),
                    )
                    .hint("give `head_dim` if the heads are not the width's share"));
            }
        };
        Ok(Self { query, kv, dim })
    }

    /// Heads that cut the width into equal shares, each with keys and values of its own.
    ///
    /// For the architectures in which no `head_dim` can say otherwise. `keys` are the spellings of
    /// the number of heads.
    pub fn equal(c: &Config, hidden: u64, keys: &[&'static str]) -> Result<Self> {
        let query = c.size_of(keys)?;
        if !hidden.is_multiple_of(query) {
            let fact = format!("{query} heads do not divide the width {hidden} evenly");
            return Err(c.contradiction(spelled(c, keys), &fact).hint("check the model's width"));
        }
        Ok(Self { query, kv: query, dim: hidden / query })
    }

    /// The same heads with `kv` of them for keys and values, as `key` states.
    pub fn sharing(self, c: &Config, key: &'static str, kv: u64) -> Result<Self> {
        if !self.query.is_multiple_of(kv) {
            return Err(uneven(c, key, self.query, kv));
        }
        Ok(Self { kv, ..self })
    }

    /// Width of all queries, and of all values after attention.
    pub fn query_width(&self) -> u64 {
        self.query * self.dim
    }

    /// Width of all keys, and of all values before attention.
    pub fn kv_width(&self) -> u64 {
        self.kv * self.dim
    }

    /// Width of a fused projection: queries, keys and values side by side.
    pub fn fused_width(&self) -> u64 {
        self.query_width() + 2 * self.kv_width()
    }

    /// Attention among these heads.
    pub fn attend(&self, mask: Mask) -> Op {
        self.attend_in("self_attn", mask)
    }

    /// Attention among these heads in a module that is not called `self_attn`.
    pub fn attend_in(&self, module: &'static str, mask: Mask) -> Op {
        Attention::new(module, self.query, self.kv, self.dim, self.dim, mask).into()
    }

    /// Attention of these heads to a source.
    pub fn attend_across(&self, module: &'static str) -> Op {
        Op::Cross(Attention::new(module, self.query, self.kv, self.dim, self.dim, Mask::Full))
    }

    /// `q_proj`, `k_proj`, `v_proj`, attention and `o_proj` under `self_attn`.
    pub fn attention(&self, hidden: u64, qkv_bias: bool, out_bias: bool, mask: Mask) -> Vec<Op> {
        let (q, kv) = (self.query_width(), self.kv_width());
        vec![
            projection("self_attn.q_proj", hidden, q).bias(qkv_bias).into(),
            projection("self_attn.k_proj", hidden, kv).bias(qkv_bias).into(),
            projection("self_attn.v_proj", hidden, kv).bias(qkv_bias).into(),
            self.attend(mask),
            projection("self_attn.o_proj", q, hidden).bias(out_bias).into(),
        ]
    }
}

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
    let mut ops = vec![rms_norm("input_layernorm", width)];
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
    model.once("head", [final_norm, head.into()]);
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
        Some(kinds) if kinds.len() as u64 != layers => {
            let fact = format!("has {} entries for {layers} layers", kinds.len());
            return Err(c.contradiction("layer_types", &fact));
        }
        Some(kinds) => {
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
        other => {
            let other = crate::error::shown(other);
            let fact = format!("has a layer of a kind that is not counted: \"{other}\"");
            Err(c.contradiction("layer_types", &fact))
        }
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
const NOT_PARTS: [&str; 5] = [
    "text_config",
    "thinker_config",
    "quantization_config",
    "generation_config",
    "preprocessor_config",
];
