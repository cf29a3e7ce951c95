//! GPT-J and CodeGen: one norm, from which attention and the feed-forward layer run side by side.
//!
//! ```text
//! embed → L × [ norm → ( q, k, v → attend → out ) + ( fc in → fc out ) ] → norm → head
//! ```
//!
//! Attention has no biases, the feed-forward layer and the head have.

use super::parts::{Heads, head, layer_norm, mlp, projection, table, tied};
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::op::Op;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["gptj", "codegen"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size_of(&["n_embd", "hidden_size"])?;
    let heads = Heads::equal(c, d, &["n_head", "num_attention_heads"])?;
    // Absent or null means four times the width.
    let f = c.size_or("n_inner", 4 * d)?;
    let layers = c.size_of(&["n_layer", "num_hidden_layers"])?;
    let vocab = c.size("vocab_size")?;

    let mut model = Builder::new(c)?;
    model.once("embedding", [table("transformer.wte", vocab, d)]);
    model.layers(layers, |_| {
        let mut ops = vec![layer_norm("ln_1", d, true)];
        ops.extend(queries_keys_values(c, d));
        ops.extend([
            heads.attend_in("attn", Mask::Causal),
            projection("attn.out_proj", d, d).into(),
            mlp("mlp.fc_in", d, f).bias(true).into(),
            mlp("mlp.fc_out", f, d).bias(true).into(),
        ]);
        Ok(ops)
    })?;
    let head = head(d, vocab, tied(c, false)?).bias(true);
    model.head([layer_norm("transformer.ln_f", d, true), head.into()])?;
    model.finish()
}

/// CodeGen fuses what GPT-J keeps apart.
fn queries_keys_values(c: &Config, d: u64) -> Vec<Op> {
    if c.model_type() == "codegen" {
        return vec![projection("attn.qkv_proj", d, 3 * d).into()];
    }
    ["attn.q_proj", "attn.k_proj", "attn.v_proj"]
        .map(|module| projection(module, d, d).into())
        .into()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, parameters};

    const GPT_J: &str = r#"{"model_type": "gptj", "n_embd": 4096, "n_head": 16, "n_layer": 28,
        "n_inner": null, "rotary_dim": 64, "vocab_size": 50400}"#;

    #[test]
    fn published_totals() {
        // Embedding 50400·4096 = 206_438_400. A layer: norm 8192, attention 4·4096², mlp
        // 2·4096·16384 + 16384 + 4096: 201_355_264. Last norm 8192, head 206_438_400 + 50400.
        assert_eq!(parameters(GPT_J), 2 * 206_438_400 + 50_400 + 8192 + 28 * 201_355_264);
        assert_eq!(parameters(GPT_J), 6_050_882_784);
        assert_eq!(parameters(&GPT_J.replace("gptj", "codegen")), 6_050_882_784);
    }

    #[test]
    fn missing_sizes_are_errors() {
        assert_eq!(fact(&GPT_J.replace("n_layer", "layers")), "`n_layer`: is missing");
        assert_eq!(fact(&GPT_J.replace("n_embd", "width")), "`n_embd`: is missing");
    }
}
