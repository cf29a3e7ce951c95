//! CTRL: a norm before each half, and no gate.
//!
//! ```text
//! embed → L × [ norm → q, k, v → attend → out ] [ norm → up → down ] → norm → head
//! ```
//!
//! Positions are sines, computed and not stored. Every product has a bias, the head's included.

use super::parts::{Heads, head, layer_norm, mlp, projection, table, tied};
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["ctrl"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size_of(&["n_embd", "hidden_size"])?;
    let heads = Heads::equal(c, d, &["n_head", "num_attention_heads"])?;
    let f = c.size("dff")?;
    let layers = c.size_of(&["n_layer", "num_hidden_layers"])?;
    let vocab = c.size("vocab_size")?;
    // How many sines are computed ahead.
    c.raw("n_positions");

    let mut model = Builder::new(c)?;
    model.once("embedding", [table("transformer.w", vocab, d)]);
    model.layers(layers, |_| {
        Ok(vec![
            layer_norm("layernorm1", d, true),
            projection("multi_head_attention.Wq", d, d).bias(true).into(),
            projection("multi_head_attention.Wk", d, d).bias(true).into(),
            projection("multi_head_attention.Wv", d, d).bias(true).into(),
            heads.attend_in("multi_head_attention", Mask::Causal),
            projection("multi_head_attention.dense", d, d).bias(true).into(),
            layer_norm("layernorm2", d, true),
            mlp("ffn.0", d, f).bias(true).into(),
            mlp("ffn.2", f, d).bias(true).into(),
        ])
    })?;
    model.head([
        layer_norm("transformer.layernorm", d, true),
        head(d, vocab, tied(c, true)?).bias(true).into(),
    ])?;
    model.finish()
}

#[cfg(test)]
mod tests {
    use super::super::testing::parameters;

    #[test]
    fn ctrl_has_its_published_size() {
        // 246,534·1280 + 246,534 + 48·(4·(1280² + 1280) + 2·1280·8192 + 8192 + 1280 + 4·1280) + 2·1280:
        // the 1.63 billion of its paper.
        let config = r#"{"model_type": "ctrl", "n_embd": 1280, "n_head": 16, "n_layer": 48, "dff": 8192,
            "vocab_size": 246534, "n_positions": 256}"#;
        let layer: u128 = 4 * (1280 * 1280 + 1280) + 2 * 1280 * 8192 + 8192 + 1280 + 4 * 1280;
        assert_eq!(parameters(config), 246_534 * 1281 + 48 * layer + 2 * 1280);
        assert_eq!(parameters(config) / 10_000_000, 163);
    }
}
