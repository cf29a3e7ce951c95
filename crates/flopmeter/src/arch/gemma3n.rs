//! Gemma 3n: Gemma 3's block over several streams of hidden states, with an embedding of its own in every layer
//! and layers that share keys and values.
//!
//! ```text
//! embed ─┬→ a projection for each further stream → L × [ mix streams → norm ─┬→ q, k, v → norms → attend → out → norm ─┐
//!        │                                                                   └→ low rank (laurel) ────────────────────┴→
//!        │      norm → gate, up → down → norm → mix streams → gate → times the layer's embedding → projection ]
//!        │      → a projection for each further stream → norm → head
//!        └→ projection to all layers' embeddings, added to those that are looked up
//! ```
//!
//! What mixes the streams (`altup`) and the low-rank path are counted with the feed-forward layers, what makes
//! streams of the embedding and embeddings of layers with the embedding's projections. The further streams are
//! joined only where a token is sampled; the reference implementation does it for every token. So are none of the
//! layers that share keys and values: every token is counted through them, as it runs them.

use super::gemma4::{first_shared, per_layer};
use super::parts::{
    Heads, gated_mlp, head, layer_masks, mlp, one_each, projection, rms_norm, table,
};
use super::parts::{text_part, tied, vector};
use crate::component::Component;
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, MOST_LAYERS, Model};
use crate::op::{Attention, Linear, Op, Product};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["gemma3n", "gemma3n_text"];

/// What the class takes for the streams that are not the embedding itself.
const STREAMS: u64 = 4;

pub(super) fn build(c: &Config) -> Result<Model> {
    match c.model_type() {
        "gemma3n" => text_part(c, "gemma3n_text", text),
        _ => text(c),
    }
}

fn text(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let vocab = c.size("vocab_size")?;
    let layers = c.size("num_hidden_layers")?;
    let (masks, inner) = (masks(c, layers)?, inner(c, layers)?);
    let shape = Shape {
        hidden: d,
        heads: Heads::read_or(c, d, 2, Some(256))?,
        bias: c.flag("attention_bias", false)?,
        streams: c.size_or("altup_num_inputs", STREAMS)?,
        rank: c.size_or("laurel_rank", 64)?,
        embedding: c.size_or("hidden_size_per_layer_input", 256)?,
    };
    let first = first_shared(c, &masks, 15)?;
    let rows = c.size_or("vocab_size_per_layer_input", 262_144)?;
    let further = |module| {
        let all = Linear::new(module, Component::EmbeddingProjections, d, d * (shape.streams - 1));
        (shape.streams > 1).then_some(all)
    };

    let mut model = Builder::new(c)?;
    let mut before = vec![
        table("model.embed_tokens", vocab, d),
        table("model.embed_tokens_per_layer", rows, layers * shape.embedding),
        per_layer("model.per_layer_model_projection", d, layers * shape.embedding),
        rms_norm("model.per_layer_projection_norm", shape.embedding),
    ];
    before.extend(further("model.altup_projections").map(Op::from));
    model.once("embedding", before);
    let mut each = masks.iter().zip(&inner);
    model.layers(layers, |index| {
        let (mask, inner) = each.next().ok_or_else(|| c.contradiction("layer_types", "ends"))?;
        Ok(shape.layer(*mask, *inner, index >= first))
    })?;
    let mut after: Vec<Op> = Vec::new();
    after.extend(further("model.altup_unembed_projections").map(|all| all.sampled().into()));
    after.extend([rms_norm("model.norm", d), head(d, vocab, tied(c, true)?).into()]);
    model.head(after)?;
    model.finish()
}

/// Every fifth layer sees everything, unless `layer_types` says otherwise.
fn masks(c: &Config, layers: u64) -> Result<Vec<Mask>> {
    let window = c.size_or("sliding_window", 512)?;
    let mask = layer_masks(c, Some(window), |layer| !(layer + 1).is_multiple_of(5))?;
    Ok((0..layers.min(MOST_LAYERS + 1)).map(mask).collect())
}

/// Feed-forward widths: one for each layer, or one for all.
fn inner(c: &Config, layers: u64) -> Result<Vec<u64>> {
    if !c.raw("intermediate_size").is_some_and(serde_json::Value::is_array) {
        let inner = c.size("intermediate_size")?;
        return Ok((0..layers.min(MOST_LAYERS + 1)).map(|_| inner).collect());
    }
    let listed = c.counts("intermediate_size")?.unwrap_or_default();
    one_each(c, "intermediate_size", &listed, layers)?;
    if let Some(wrong) = listed.iter().find(|width| !(1..=1 << 24).contains(*width)) {
        return Err(c.contradiction("intermediate_size", &format!("has {wrong}, which is no size")));
    }
    Ok(listed)
}

/// What the layers have in common.
struct Shape {
    hidden: u64,
    heads: Heads,
    bias: bool,
    streams: u64,
    rank: u64,
    embedding: u64,
}

impl Shape {
    fn layer(&self, mask: Mask, inner: u64, shares: bool) -> Vec<Op> {
        let d = self.hidden;
        let mut ops = self.streams();
        ops.push(rms_norm("input_layernorm", d));
        ops.extend([
            mlp("laurel.linear_left", d, self.rank).into(),
            mlp("laurel.linear_right", self.rank, d).into(),
            rms_norm("laurel.post_laurel_norm", d),
        ]);
        ops.extend(self.attention(mask, shares));
        ops.push(rms_norm("post_attention_layernorm", d));
        ops.push(rms_norm("pre_feedforward_layernorm", d));
        ops.extend(gated_mlp(d, inner, false));
        ops.extend([
            rms_norm("post_feedforward_layernorm", d),
            per_layer("per_layer_input_gate", d, self.embedding),
            per_layer("per_layer_projection", self.embedding, d),
            rms_norm("post_per_layer_input_norm", d),
        ]);
        ops
    }

    /// The router of streams runs before and after; each stream is predicted from all of them.
    fn streams(&self) -> Vec<Op> {
        let (d, n) = (self.hidden, self.streams);
        let product =
            |module, from, to| Op::Product(Product { module, component: Component::Mlp, from, to });
        vec![
            rms_norm("altup.router_norm", d),
            mlp("altup.modality_router", d, n).into(),
            mlp("altup.prediction_coefs", n, n * n).into(),
            product("altup.predict", n, n * d),
            product("altup.modality_router, again", d, n),
            mlp("altup.correction_coefs", n, n).into(),
            vector("altup.correct_output_scale", d),
        ]
    }

    fn attention(&self, mask: Mask, shares: bool) -> Vec<Op> {
        let Heads { query, kv, dim } = self.heads;
        let (d, bias) = (self.hidden, self.bias);
        let (q, width) = (self.heads.query_width(), self.heads.kv_width());
        let mut ops: Vec<Op> = vec![
            projection("self_attn.q_proj", d, q).bias(bias).into(),
            rms_norm("self_attn.q_norm", dim),
        ];
        if !shares {
            ops.extend([
                projection("self_attn.k_proj", d, width).bias(bias).into(),
                projection("self_attn.v_proj", d, width).bias(bias).into(),
                rms_norm("self_attn.k_norm", dim),
            ]);
        }
        let attention = Attention::new("self_attn", query, kv, dim, dim, mask);
        ops.push(attention.sharing_cache(shares).into());
        ops.push(projection("self_attn.o_proj", q, d).bias(bias).into());
        ops
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::fact;

    const SMALL: &str = r#"{"model_type": "gemma3n_text", "hidden_size": 60, "num_hidden_layers": 10,
        "num_attention_heads": 6, "num_key_value_heads": 3, "head_dim": 14, "vocab_size": 131,
        "intermediate_size": [92, 92], "num_kv_shared_layers": 5}"#;

    #[test]
    fn lists_that_do_not_fit_are_errors() {
        assert_eq!(fact(SMALL), "`intermediate_size`: has 2 entries for 10 layers");
        let zero = SMALL.replace(r#"layers": 10"#, r#"layers": 2"#).replace("[92, 92]", "[92, 0]");
        assert_eq!(fact(&zero), "`intermediate_size`: has 0, which is no size");
        let all = SMALL.replace("[92, 92]", "92").replace(r#"layers": 5"#, r#"layers": 10"#);
        assert_eq!(
            fact(&all),
            "`num_kv_shared_layers`: is 10, which leaves no keys and values for some of 10 layers"
        );
    }
}
