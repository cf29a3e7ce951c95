//! StarCoder2: grouped queries, layer norms, an ungated feed-forward layer, biases throughout.
//!
//! ```text
//! embed → L × [ norm → q, k, v → attend → out ] [ norm → fc → proj ] → norm → head
//! ```

use super::parts::{Heads, head, layer_norm, mlp, table, tied};
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["starcoder2"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let query = c.size("num_attention_heads")?;
    let kv = c.size_or("num_key_value_heads", 2)?;
    let heads = Heads::checked(c, d, query, kv, c.maybe("head_dim")?)?;
    let f = c.size("intermediate_size")?;
    let layers = c.size("num_hidden_layers")?;
    let vocab = c.size("vocab_size")?;
    let bias = c.flag("use_bias", true)?;
    // A window that is stated holds for every layer.
    let mask = match c.maybe("sliding_window")? {
        Some(window) => Mask::Sliding { window },
        None => Mask::Causal,
    };

    let mut model = Builder::new(c)?;
    model.once("embedding", [table("model.embed_tokens", vocab, d)]);
    model.layers(layers, |_| {
        let mut ops = vec![layer_norm("input_layernorm", d, true)];
        ops.extend(heads.attention(d, bias, bias, mask));
        ops.extend([
            layer_norm("post_attention_layernorm", d, true),
            mlp("mlp.c_fc", d, f).bias(bias).into(),
            mlp("mlp.c_proj", f, d).bias(bias).into(),
        ]);
        Ok(ops)
    })?;
    let tied = tied(c, true)?;
    model.head([layer_norm("model.norm", d, true), head(d, vocab, tied).into()])?;
    model.finish()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, parameters};

    const STARCODER2_3B: &str = r#"{"model_type": "starcoder2", "hidden_size": 3072,
        "num_hidden_layers": 30, "num_attention_heads": 24, "num_key_value_heads": 2,
        "intermediate_size": 12288, "sliding_window": 4096, "use_bias": true,
        "vocab_size": 49152}"#;

    #[test]
    fn published_total() {
        // Embedding 49152·3072 = 150_994_944. A layer: norms 2·6144, q and out 2·3072², k and v
        // 2·3072·256, mlp 2·3072·12288, biases 2·3072 + 2·256 + 12288 + 3072: 95_979_008.
        assert_eq!(parameters(STARCODER2_3B), 150_994_944 + 30 * 95_979_008 + 6144);
        assert_eq!(parameters(STARCODER2_3B), 3_030_371_328);
    }

    #[test]
    fn a_window_of_nothing_is_an_error() {
        assert_eq!(
            fact(&STARCODER2_3B.replace(r#"window": 4096"#, r#"window": 0"#)),
            "`sliding_window`: is 0, which is no size"
        );
    }
}
