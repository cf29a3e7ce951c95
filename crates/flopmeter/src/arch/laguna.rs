//! Laguna and Mellum 2: Qwen3's attention in layers that `layer_types` and `mlp_layer_types` tell apart.
//!
//! ```text
//! embed → L × [ norm → q, k, v → norms of q, k → attend ( · gate ) → out ] [ norm → feed-forward ] → norm → head
//! feed-forward  dense, or router → k of E × (gate, up → down)
//! ```
//!
//! Laguna's attention is gated, by one number for each head or one for each of its elements; the number
//! of heads may differ by layer; its router has a correction, which is a parameter, and its layers an
//! expert for every token. Its first layer is dense. Mellum 2 has none of these.

use super::feed_forward::{CORRECTION, FeedForward, sparse_layers};
use super::parts::{
    Heads, decoder, head_norms, layer_masks, note_prediction_layers, one_each, pre_normed,
};
use super::parts::{projection, rms_norm, tied, vector, with_norms};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use serde_json::Value;

pub(super) const MODEL_TYPES: &[&str] = &["laguna", "mellum"];

pub(super) fn build(c: &Config) -> Result<Model> {
    if c.model_type() == "laguna" { laguna(c) } else { mellum(c) }
}

fn laguna(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let most = Heads::read_or(c, d, 8, Some(128))?;
    let heads = heads_by_layer(c, most)?;
    let bias = c.flag("attention_bias", false)?;
    let mut ffn = FeedForward::read(c, "num_experts")?;
    ffn.shared = c.size("shared_expert_intermediate_size")?;
    ffn.correction = Some(vector(CORRECTION, ffn.experts.total));
    let sparse = sparse_layers(c, |layer| layer > 0)?;
    let masks = layer_masks(c, window(c, 512)?, |_| false)?;
    let by_head = match c.raw("gating") {
        None => true,
        Some(Value::Bool(per_head)) => *per_head,
        Some(Value::String(kind)) => kind == "per-head",
        Some(_) => return Err(c.contradiction("gating", "is neither a text nor true or false")),
    };
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |layer| {
        let heads = heads(layer)?;
        let attention = heads.attention(d, bias, bias, masks(layer));
        let mut attention = with_norms(attention, head_norms(&heads));
        let gates = if by_head { heads.query } else { heads.query_width() };
        attention.push(projection("self_attn.g_proj", d, gates).into());
        Ok(pre_normed(d, attention, ffn.layer(sparse(layer), d, false)))
    })
}

fn mellum(c: &Config) -> Result<Model> {
    note_prediction_layers(c)?;
    let _of_those = (c.raw("mtp_layer_types"), c.raw("mtp_mlp_layer_types"));
    let d = c.size("hidden_size")?;
    let heads = Heads::read_or(c, d, 4, Some(128))?;
    let bias = c.flag("attention_bias", false)?;
    let ffn = FeedForward::read(c, "num_local_experts")?;
    let sparse = sparse_layers(c, |_| true)?;
    let masks = layer_masks(c, window(c, 1024)?, |_| false)?;
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |layer| {
        let attention = heads.attention(d, bias, bias, masks(layer));
        let attention = with_norms(attention, head_norms(&heads));
        Ok(pre_normed(d, attention, ffn.layer(sparse(layer), d, false)))
    })
}

/// The window of layers that slide; none does unless `layer_types` says so.
fn window(c: &Config, default: u64) -> Result<Option<u64>> {
    if c.has("layer_types") {
        c.maybe_or("sliding_window", default)
    } else {
        c.maybe("sliding_window")
    }
}

/// `num_attention_heads_per_layer`: query heads of each layer, or `most` in all of them.
fn heads_by_layer(c: &Config, most: Heads) -> Result<impl Fn(u64) -> Result<Heads>> {
    const KEY: &str = "num_attention_heads_per_layer";
    // As many as a size may be, in any layer.
    const MOST: u64 = 1 << 24;
    let layers = c.size("num_hidden_layers")?;
    let listed = c.counts(KEY)?;
    if let Some(listed) = &listed {
        one_each(c, KEY, listed, layers)?;
        let unshared =
            |query: &&u64| !(1..=MOST).contains(*query) || !query.is_multiple_of(most.kv);
        if let Some(query) = listed.iter().find(unshared) {
            let fact = format!("has {query}, which cannot share {} key/value heads", most.kv);
            return Err(c.contradiction(KEY, &fact));
        }
    }
    Ok(move |layer: u64| {
        let at =
            |listed: &Vec<u64>| usize::try_from(layer).ok().and_then(|at| listed.get(at).copied());
        let query = listed.as_ref().and_then(at).unwrap_or(most.query);
        Ok(Heads { query, ..most })
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model, parameters};

    /// Laguna as its class has it.
    const LAGUNA: &str = r#"{"model_type": "laguna", "hidden_size": 2048, "head_dim": 128,
        "intermediate_size": 8192, "moe_intermediate_size": 512, "num_attention_heads": 48,
        "shared_expert_intermediate_size": 512, "num_key_value_heads": 8, "num_hidden_layers": 40,
        "num_experts": 256, "num_experts_per_tok": 8, "vocab_size": 100352,
        "tie_word_embeddings": false, "torch_dtype": "bfloat16"}"#;

    #[test]
    fn laguna_has_the_parameters_of_its_sizes() {
        // 40 of 2·2048·(6144 + 1024) + 2048·48 + 2·128 + 2·2048, one dense layer of 3·2048·8192, 39
        // of 2048·256 + 256 + 257·3·2048·512, 2·100352·2048 and a norm: 33 billion.
        let attention: u128 = 2 * 2048 * 7168 + 2048 * 48 + 2 * 128 + 2 * 2048;
        let routed: u128 = 2048 * 256 + 256 + 257 * 3 * 2048 * 512;
        let total = 40 * attention + 3 * 2048 * 8192 + 39 * routed + 2 * 100_352 * 2048 + 2048;
        let laguna = model(LAGUNA);
        assert_eq!(laguna.parameters().total, total);
        assert!(laguna.unread().is_empty() && laguna.notes().is_empty());
        // A number for each element of a head: 40·2048·(6144 − 48) more.
        let elements =
            LAGUNA.replace("\"vocab_size\"", "\"gating\": \"per-element\", \"vocab_size\"");
        assert_eq!(parameters(&elements), total + 40 * 2048 * 6096);
    }

    #[test]
    fn heads_of_each_layer_are_all_stated_and_share_the_keys() {
        let with = |list: &str| {
            LAGUNA.replace("layers\": 40", "layers\": 2").replace(
                "\"vocab_size\"",
                &format!("\"num_attention_heads_per_layer\": {list}, \"vocab_size\""),
            )
        };
        assert_eq!(model(&with("[48, 64]")).groups().len(), 4);
        assert_eq!(
            fact(&with("[48]")),
            "`num_attention_heads_per_layer`: has 1 entries for 2 layers"
        );
        for list in ["[48, 63]", "[48, 0]", "[48, 18446744073709551608]"] {
            let fact = fact(&with(list));
            assert!(fact.ends_with("which cannot share 8 key/value heads"), "{fact}");
        }
    }

    #[test]
    fn mellum_has_the_parameters_that_its_name_states() {
        // 28 of 2·2304·(4096 + 512) + 2·128 + 2304·64 + 64·3·2304·896 + 2·2304, 2·98304·2304 and a
        // norm: 12.1 billion.
        let layer: u128 = 2 * 2304 * 4608 + 2 * 128 + 2304 * 64 + 64 * 3 * 2304 * 896 + 2 * 2304;
        let mellum = model(
            r#"{"model_type": "mellum", "hidden_size": 2304, "head_dim": 128,
                "intermediate_size": 7168, "moe_intermediate_size": 896, "num_attention_heads": 32,
                "num_key_value_heads": 4, "num_hidden_layers": 28, "num_experts": 64,
                "num_experts_per_tok": 8, "num_mtp_layers": 1, "mtp_layer_types": ["sliding_attention"],
                "vocab_size": 98304, "tie_word_embeddings": false, "torch_dtype": "bfloat16"}"#,
        );
        assert_eq!(mellum.parameters().total, 28 * layer + 2 * 98_304 * 2304 + 2304);
        assert!(mellum.unread().is_empty());
        assert_eq!(
            mellum.notes(),
            ["layers that predict further tokens are left out of the model (`num_mtp_layers`: 1)"]
        );
    }
}
