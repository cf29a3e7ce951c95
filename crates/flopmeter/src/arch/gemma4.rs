//! Gemma 4: Gemma 3's block with an embedding of its own in every layer, heads that are wider where a layer
//! sees everything, layers that share keys and values, and in one size experts beside the dense layer.
//!
//! ```text
//! embed ─┬→ L × [ norm → q, k, v → norms → attend → out → norm ] [ norm → gate, up → down (+ experts) → norm ]
//!        │      [ gate → times the layer's embedding → projection → norm ] → norm → head
//!        └→ projection to all layers' embeddings, added to those that are looked up
//! ```
//!
//! The unified ones have neither embeddings of layers nor experts.
//!
//! The last `num_kv_shared_layers` have no keys and values: they read those of the last layer of their kind
//! before them. Every token is counted through them; an engine that samples one token of a prompt may run them
//! for that one only, as the reference implementation does when it is asked for one token's logits.

use super::experts;
use super::parts::{Heads, vector};
use super::parts::{gated_mlp, head, layer_masks, projection, rms_norm, table, text_part, tied};
use crate::component::Component;
use crate::config::Config;
use crate::dtype::Dtype;
use crate::error::{Error, ErrorKind, Result, shown};
use crate::model::{Builder, Model};
use crate::op::{Attention, Experts, Linear, Op, Storage, Vector};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] =
    &["gemma4", "gemma4_text", "gemma4_unified", "gemma4_unified_text"];

pub(super) fn build(c: &Config) -> Result<Model> {
    match c.model_type() {
        "gemma4" => text_part(c, "gemma4_text", text),
        "gemma4_unified" => text_part(c, "gemma4_unified_text", text),
        _ => text(c),
    }
}

fn text(c: &Config) -> Result<Model> {
    if c.text("use_bidirectional_attention")? == Some("all") {
        return Err(Error::new(
            ErrorKind::Architecture,
            "`use_bidirectional_attention`",
            "is \"all\"; only causal attention of this type is counted",
        ));
    }
    let layers = Layers::read(c)?;
    let Layers { hidden: d, count, .. } = layers;
    let vocab = c.size("vocab_size")?;
    let mut model = Builder::new(c)?;
    // Files state it where layers have no embeddings, too.
    c.raw("vocab_size_per_layer_input");
    let mut first = vec![table("model.embed_tokens", vocab, d)];
    if let Some(width) = layers.embedding {
        let rows = c.size_or("vocab_size_per_layer_input", 262_144)?;
        first.extend([
            table("model.embed_tokens_per_layer", rows, count * width),
            per_layer("model.per_layer_model_projection", d, count * width),
            rms_norm("model.per_layer_projection_norm", width),
        ]);
    }
    model.once("embedding", first);
    let mut each = layers.masks.iter().zip(&layers.heads);
    model.layers(count, |index| {
        let (mask, heads) = each.next().ok_or_else(|| c.contradiction("layer_types", "ends"))?;
        Ok(layers.layer(index, *mask, *heads))
    })?;
    model.head([rms_norm("model.norm", d), head(d, vocab, tied(c, true)?).into()])?;
    model.finish()
}

/// A projection from or to the embeddings of single layers.
pub(super) fn per_layer(module: &'static str, from: u64, to: u64) -> Op {
    Linear::new(module, Component::EmbeddingProjections, from, to).into()
}

/// What the layers are made of.
struct Layers {
    hidden: u64,
    inner: u64,
    count: u64,
    heads: Vec<Heads>,
    masks: Vec<Mask>,
    /// The first layer without keys and values of its own.
    first_shared: u64,
    /// Whether layers that share are twice as wide.
    double: bool,
    /// Whether layers that see everything take their keys for values.
    keys_as_values: bool,
    bias: bool,
    /// Width of the embedding of a layer.
    embedding: Option<u64>,
    experts: Option<(Experts, u64)>,
}

impl Layers {
    fn read(c: &Config) -> Result<Self> {
        let hidden = c.size("hidden_size")?;
        let count = c.size("num_hidden_layers")?;
        if count > crate::model::MOST_LAYERS {
            return Err(c.contradiction("num_hidden_layers", &format!("is {count}, too many")));
        }
        // One that sees without a tower has neither embeddings of layers nor experts.
        let unified = c.model_type() == "gemma4_unified_text";
        let window = c.size_or("sliding_window", if unified { 1024 } else { 512 })?;
        let masks = layer_masks(c, Some(window), |layer| !(layer + 1).is_multiple_of(6))?;
        // The last layer sees everything whatever the list says.
        let masks: Vec<Mask> = (0..count)
            .map(|layer| if layer + 1 == count { Mask::Causal } else { masks(layer) })
            .collect();
        let keys_as_values = c.flag("attention_k_eq_v", false)?;
        let embedding = match unified {
            true => None,
            false => {
                Some(c.count_or("hidden_size_per_layer_input", 256)?).filter(|width| *width > 0)
            }
        };
        let experts = match !unified && c.flag("enable_moe_block", false)? {
            true => {
                let experts = experts::read(c, "num_experts", "top_k_experts")?;
                Some((experts, c.size("moe_intermediate_size")?))
            }
            false => None,
        };
        Ok(Self {
            hidden,
            inner: c.size("intermediate_size")?,
            count,
            heads: heads(c, hidden, &masks, keys_as_values)?,
            first_shared: first_shared(c, &masks, 0)?,
            masks,
            double: c.flag("use_double_wide_mlp", false)?,
            keys_as_values,
            bias: c.flag("attention_bias", false)?,
            embedding,
            experts,
        })
    }

    fn layer(&self, index: u64, mask: Mask, heads: Heads) -> Vec<Op> {
        let d = self.hidden;
        let shares = index >= self.first_shared;
        let inner = if self.double && shares { 2 * self.inner } else { self.inner };

        let mut ops = vec![rms_norm("input_layernorm", d)];
        ops.extend(self.attention(heads, mask, shares));
        ops.push(rms_norm("post_attention_layernorm", d));
        ops.push(rms_norm("pre_feedforward_layernorm", d));
        ops.extend(gated_mlp(d, inner, false));
        if let Some((experts, inner)) = self.experts {
            ops.extend([
                rms_norm("post_feedforward_layernorm_1", d),
                vector("router.scale", d),
                experts::router("router.proj", d, experts).into(),
                vector("router.per_expert_scale", experts.total),
                rms_norm("pre_feedforward_layernorm_2", d),
                experts::expert("experts.gate_up_proj", d, 2 * inner, experts).into(),
                experts::expert("experts.down_proj", inner, d, experts).into(),
                rms_norm("post_feedforward_layernorm_2", d),
            ]);
        }
        ops.push(rms_norm("post_feedforward_layernorm", d));
        if let Some(width) = self.embedding {
            ops.extend([
                per_layer("per_layer_input_gate", d, width),
                per_layer("per_layer_projection", width, d),
                rms_norm("post_per_layer_input_norm", d),
            ]);
        }
        let storage = Storage::plain(Dtype::Bf16);
        ops.push(Op::Vector(Vector { module: "layer_scalar", elements: 1, storage, buffer: true }));
        ops
    }

    fn attention(&self, heads: Heads, mask: Mask, shares: bool) -> Vec<Op> {
        let Heads { query, kv, dim } = heads;
        let (d, bias) = (self.hidden, self.bias);
        let mut ops: Vec<Op> = vec![
            projection("self_attn.q_proj", d, heads.query_width()).bias(bias).into(),
            rms_norm("self_attn.q_norm", dim),
        ];
        if !shares {
            ops.push(projection("self_attn.k_proj", d, heads.kv_width()).bias(bias).into());
            if !(self.keys_as_values && mask == Mask::Causal) {
                ops.push(projection("self_attn.v_proj", d, heads.kv_width()).bias(bias).into());
            }
            ops.push(rms_norm("self_attn.k_norm", dim));
        }
        let attention = Attention::new("self_attn", query, kv, dim, dim, mask);
        ops.push(attention.sharing_cache(shares).into());
        ops.push(projection("self_attn.o_proj", heads.query_width(), d).bias(bias).into());
        ops
    }
}

/// The heads of each layer: those that see everything have wider ones; newer files say it layer by layer.
fn heads(c: &Config, hidden: u64, masks: &[Mask], keys_as_values: bool) -> Result<Vec<Heads>> {
    let usual = Heads::read_or(c, hidden, 4, Some(256))?;
    let Heads { query, kv, dim } = usual;
    if let Some(listed) = c.child("per_layer_config")? {
        // The list was made of these.
        let _made_of = (c.raw("global_head_dim"), c.raw("num_global_key_value_heads"));
        let mut heads = vec![usual; masks.len()];
        for (name, own) in listed.children() {
            let layer = name.parse().ok().and_then(|at: usize| heads.get_mut(at));
            let layer = layer.ok_or_else(|| {
                let fact = format!("names no layer: \"{}\"", shown(&name));
                c.contradiction("per_layer_config", &fact)
            })?;
            let kv = own.maybe("num_key_value_heads")?.unwrap_or(kv);
            let dim = own.maybe("head_dim")?.unwrap_or(dim);
            if let Some(other) = own.unread().first() {
                let fact = "changes a layer in a way that is not counted";
                return Err(c.contradiction("per_layer_config", &format!("{fact}: {other}")));
            }
            *layer = Heads::checked(&own, hidden, query, kv, Some(dim))?;
        }
        return Ok(heads);
    }
    let dim = c.size_or("global_head_dim", 512)?;
    let kv = match c.maybe("num_global_key_value_heads")? {
        Some(global) if keys_as_values => global,
        _ => kv,
    };
    let whole = Heads { query, kv: query, dim }.sharing(c, "num_global_key_value_heads", kv)?;
    Ok(masks.iter().map(|mask| if *mask == Mask::Causal { whole } else { usual }).collect())
}

/// The first layer that reads another's keys and values: each kind of layer needs one that has them.
/// `default` layers share where the key is absent.
pub(super) fn first_shared(c: &Config, masks: &[Mask], default: u64) -> Result<u64> {
    let shared = match default {
        0 => c.count("num_kv_shared_layers")?.unwrap_or(0),
        _ => c.count_or("num_kv_shared_layers", default)?,
    };
    let layers = masks.len() as u64;
    let first = layers.saturating_sub(shared);
    let own = &masks[..usize::try_from(first).unwrap_or(0).min(masks.len())];
    if shared > 0 && !masks.iter().all(|mask| own.contains(mask)) {
        let fact =
            format!("is {shared}, which leaves no keys and values for some of {layers} layers");
        return Err(c.contradiction("num_kv_shared_layers", &fact).hint("check `layer_types`"));
    }
    Ok(first)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model, parameters, windows};

    const SMALL: &str = r#""model_type": "gemma4_text", "hidden_size": 60, "num_hidden_layers": 12,
        "num_attention_heads": 6, "num_key_value_heads": 3, "head_dim": 14, "global_head_dim": 22,
        "intermediate_size": 92, "vocab_size": 131, "hidden_size_per_layer_input": 9,
        "vocab_size_per_layer_input": 137, "sliding_window": 7"#;

    fn with(more: &str) -> String {
        format!("{{{SMALL}, {more}}}")
    }

    #[test]
    fn a_layer_that_shares_has_no_keys_and_values_and_caches_none() {
        // Ten layers with a window: k and v 2·60·3·14, a norm of 14; two without: 2·60·3·22, 22.
        let sliding = 2 * 60 * 3 * 14 + 14;
        let all = parameters(&with(r#""num_kv_shared_layers": 0"#));
        assert_eq!(all - parameters(&with(r#""num_kv_shared_layers": 6"#)), {
            5 * sliding + 2 * 60 * 3 * 22 + 22
        });
        let cached = |shared: u64| {
            let config = with(&format!(r#""num_kv_shared_layers": {shared}, "dtype": "bfloat16""#));
            let workload = crate::Workload::request(100, 1);
            let bytes = model(&config).bytes(&workload).expect("bytes");
            (bytes.kv_cache_per_token, bytes.prefill.written)
        };
        // Two bytes of keys and values of 3 heads: of 14 in ten layers, of 22 in two.
        assert_eq!(cached(0).0, 2 * 2 * 3 * (10 * 14 + 2 * 22));
        assert_eq!(cached(6).0, 2 * 2 * 3 * (5 * 14 + 22));
        assert_eq!(cached(6).1, 100 * cached(6).0);
    }

    #[test]
    fn one_layer_in_six_sees_everything_and_so_does_the_last() {
        let config = with(r#""dtype": "bfloat16""#).replace(r#"layers": 12"#, r#"layers": 8"#);
        let total = |windows: Vec<(Option<u64>, u64)>, of: Option<u64>| {
            windows.iter().filter(|(window, _)| *window == of).map(|(_, count)| count).sum::<u64>()
        };
        let found = windows(&model(&config));
        assert_eq!((total(found.clone(), Some(7)), total(found, None)), (6, 2));
    }

    #[test]
    fn what_contradicts_itself_is_an_error() {
        assert_eq!(
            fact(&with(r#""num_kv_shared_layers": 12"#)),
            "`num_kv_shared_layers`: is 12, which leaves no keys and values for some of 12 layers"
        );
        assert_eq!(
            fact(&with(r#""per_layer_config": {"12": {"head_dim": 20}}"#)),
            "`per_layer_config`: names no layer: \"12\""
        );
        assert!(
            fact(&with(r#""per_layer_config": {"1": {"intermediate_size": 20}}"#))
                .starts_with("`per_layer_config`: changes a layer in a way that is not counted")
        );
        assert!(
            fact(&with(r#""use_bidirectional_attention": "all""#))
                .contains("only causal attention")
        );
    }
}
