//! ModernBERT's decoder: a gated feed-forward layer, windows on two layers of three, norms without biases.
//!
//! ```text
//! embed → norm → L × [ norm → q, k, v → attend → Wo ] [ norm → Wi (both halves) → Wo ] → norm → dense → norm → head
//! ```
//!
//! The first layer has no norm before its attention. `local_attention` is a window to both sides, so a decoder's is
//! half of it. The layer before the head runs where a token is sampled; the reference implementation runs it for
//! every token.

use super::parts::{Heads, head, layer_masks, layer_norm, mlp, projection, table, tied};
use crate::component::Component;
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::op::{Linear, Op};

pub(super) const MODEL_TYPES: &[&str] = &["modernbert-decoder"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let heads = Heads::equal(c, d, &["num_attention_heads"])?;
    let layers = c.size("num_hidden_layers")?;
    let vocab = c.size("vocab_size")?;
    let window = window(c)?;
    let every = match c.has("layer_types") {
        true => 3,
        false => c.size_or("global_attn_every_n_layers", 3)?,
    };
    let masks = layer_masks(c, window, |layer| !layer.is_multiple_of(every))?;
    let bias = c.flag("attention_bias", false)?;
    let mlp_bias = c.flag("mlp_bias", false)?;
    let norm_bias = c.flag("norm_bias", false)?;
    let norm = |module| layer_norm(module, d, norm_bias);
    let dense_bias = c.flag("classifier_bias", false)?;

    let mut model = Builder::new(c)?;
    model.once("embedding", [table("model.embeddings.tok_embeddings", vocab, d), norm("model.embeddings.norm")]);
    model.layers(layers, |layer| {
        let project = |module| -> Op { projection(module, d, d).bias(bias).into() };
        let mut ops = Vec::new();
        if layer > 0 {
            ops.push(norm("attn_norm"));
        }
        ops.extend([
            project("attn.q_proj"),
            project("attn.k_proj"),
            project("attn.v_proj"),
            heads.attend_in("attn", masks(layer)),
            project("attn.Wo"),
            norm("mlp_norm"),
            mlp("mlp.Wi", d, 2 * f).bias(mlp_bias).into(),
            mlp("mlp.Wo", f, d).bias(mlp_bias).into(),
        ]);
        Ok(ops)
    })?;
    let dense = Linear::new("lm_head.dense", Component::Head, d, d).bias(dense_bias);
    let decoder = head(d, vocab, tied(c, true)?).bias(c.flag("decoder_bias", true)?);
    model.once("head", [norm("model.final_norm"), dense.sampled().into(), norm("lm_head.norm"), decoder.into()]);
    model.finish()
}

/// What a token of a layer that slides sees.
fn window(c: &Config) -> Result<Option<u64>> {
    // Made of the other one.
    c.raw("sliding_window");
    let Some(both_sides) = c.maybe_or("local_attention", 128)? else { return Ok(None) };
    if both_sides < 2 {
        let fact = format!("is {both_sides}, of which half is no window");
        return Err(c.contradiction("local_attention", &fact));
    }
    Ok(Some(both_sides / 2))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model, parameters, windows};

    /// Ettin-decoder-17m.
    const ETTIN: &str = r#"{"model_type": "modernbert-decoder", "hidden_size": 256, "num_hidden_layers": 7,
        "num_attention_heads": 4, "intermediate_size": 384, "vocab_size": 50368, "local_attention": 128,
        "global_attn_every_n_layers": 3, "tie_word_embeddings": true, "decoder_bias": true}"#;

    #[test]
    fn the_smallest_ettin_has_its_17_million() {
        // 50,368·256, a norm, 7·(4·256² + 3·256·384 + 2·256) less the first norm, a norm, 256², a norm, the bias.
        let layers: u128 = 7 * (4 * 256 * 256 + 3 * 256 * 384 + 2 * 256) - 256;
        let total = 50_368 * 256 + 256 + layers + 256 + 256 * 256 + 256 + 50_368;
        assert_eq!(parameters(ETTIN), total);
        assert_eq!((total + 500_000) / 1_000_000, 17);
    }

    #[test]
    fn two_layers_of_three_see_half_of_what_an_encoder_sees() {
        let windows = windows(&model(ETTIN));
        assert_eq!(windows, [(None, 1), (Some(64), 4), (None, 2)]);
    }

    #[test]
    fn half_of_one_is_no_window() {
        assert_eq!(
            fact(&ETTIN.replace("\"local_attention\": 128", "\"local_attention\": 1")),
            "`local_attention`: is 1, of which half is no window"
        );
    }
}
