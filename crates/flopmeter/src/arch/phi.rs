//! Phi-1, Phi-1.5 and Phi-2: one norm, from which attention and the feed-forward layer run side by side.
//!
//! ```text
//! embed → L × [ norm → ( q, k, v → attend → out ) + ( fc1 → fc2 ) ] → norm → head
//! ```
//!
//! Every product has a bias, the head included. `phi-msft` is the same model in files from before
//! `transformers` had it, with GPT-2's keys.

use super::parts::{Heads, head, layer_norm, mlp, projection, table, tied};
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["phi", "phi-msft"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size_of(&["hidden_size", "n_embd"])?;
    let query = c.size_of(&["num_attention_heads", "n_head"])?;
    let kv = c.size_of_or(&["num_key_value_heads", "n_head_kv"], query)?;
    let heads = Heads::checked(c, d, query, kv, c.maybe("head_dim")?)?;
    let f = match c.model_type() {
        // Null means four times the width.
        "phi-msft" => c.size_of_or(&["n_inner", "intermediate_size"], 4 * d)?,
        _ => c.size("intermediate_size")?,
    };
    let layers = c.size_of(&["num_hidden_layers", "n_layer"])?;
    let vocab = c.size("vocab_size")?;
    let norms = c.flag("qk_layernorm", false)?;

    let mut model = Builder::new(c)?;
    model.once("embedding", [table("model.embed_tokens", vocab, d)]);
    model.layers(layers, |_| {
        let (q, kv) = (heads.query_width(), heads.kv_width());
        let mut ops = vec![
            layer_norm("input_layernorm", d, true),
            projection("self_attn.q_proj", d, q).bias(true).into(),
            projection("self_attn.k_proj", d, kv).bias(true).into(),
            projection("self_attn.v_proj", d, kv).bias(true).into(),
        ];
        if norms {
            // One for all heads.
            ops.push(layer_norm("self_attn.q_layernorm", heads.dim, true));
            ops.push(layer_norm("self_attn.k_layernorm", heads.dim, true));
        }
        ops.extend([
            heads.attend(Mask::Causal),
            projection("self_attn.dense", q, d).bias(true).into(),
            mlp("mlp.fc1", d, f).bias(true).into(),
            mlp("mlp.fc2", f, d).bias(true).into(),
        ]);
        Ok(ops)
    })?;
    let head = head(d, vocab, tied(c, false)?).bias(true);
    model.head([layer_norm("model.final_layernorm", d, true), head.into()])?;
    model.finish()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, parameters};

    const PHI_2: &str = r#"{"model_type": "phi", "hidden_size": 2560, "num_hidden_layers": 32,
        "num_attention_heads": 32, "intermediate_size": 10240, "vocab_size": 51200}"#;

    #[test]
    fn published_totals() {
        // Embedding 51200·2560 = 131_072_000. A layer: norm 5120, products 12·2560², biases
        // 4·2560 + 10240 + 2560: 78_671_360. Last norm 5120, head 131_072_000 + 51200.
        assert_eq!(parameters(PHI_2), 2 * 131_072_000 + 51_200 + 5120 + 32 * 78_671_360);
        assert_eq!(parameters(PHI_2), 2_779_683_840);
        let older = r#"{"model_type": "phi-msft", "n_embd": 2560, "n_layer": 32, "n_head": 32,
            "n_head_kv": null, "n_inner": null, "vocab_size": 51200}"#;
        assert_eq!(parameters(older), 2_779_683_840);
    }

    #[test]
    fn bad_sizes_are_errors() {
        assert_eq!(
            fact(&PHI_2.replace("intermediate_size", "n_inner")),
            "`intermediate_size`: is missing"
        );
        assert_eq!(
            fact(&PHI_2.replace(r#""num_hidden"#, r#""num_key_value_heads": 5, "num_hidden"#)),
            "`num_key_value_heads`: 32 query heads cannot share 5 key/value heads evenly"
        );
    }
}
