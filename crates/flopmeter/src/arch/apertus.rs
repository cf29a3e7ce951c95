//! Apertus: Llama's attention with norms of each head's queries and keys, before an ungated feed-forward
//! layer.
//!
//! ```text
//! embed → L × [ norm → q, k, v → norms of q, k → attend → out ] [ norm → up → down ] → norm → head
//! ```
//!
//! Its activation (xIELU) has two parameters of its own.

use super::parts::{Heads, decoder, head_norms, plain_mlp, rms_norm, tied, vector, with_norms};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["apertus", "apertus1p5_text"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let heads = Heads::read(c, d)?;
    let bias = c.flag("attention_bias", false)?;
    let learned = c.text("hidden_act")?.is_none_or(|name| name == "xielu");
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |_| {
        let attention = heads.attention(d, bias, bias, Mask::Causal);
        let mut ops = vec![rms_norm("attention_layernorm", d)];
        ops.extend(with_norms(attention, head_norms(&heads)));
        ops.push(rms_norm("feedforward_layernorm", d));
        ops.extend(plain_mlp(d, f, false));
        if learned {
            ops.push(vector("mlp.act_fn", 2));
        }
        Ok(ops)
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::parameters;

    #[test]
    fn apertus_8b_has_the_parameters_of_its_matrices_norms_and_activations() {
        let apertus = r#"{"model_type": "apertus", "hidden_size": 4096, "num_hidden_layers": 32,
            "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 21504,
            "vocab_size": 131072, "hidden_act": "xielu"}"#;
        // 2·131,072·4096 + 32·(2·4096² + 2·4096·1024 + 2·4096·21,504 + 2·4096 + 2·128 + 2) + 4096
        let layer: u128 =
            2 * 4096 * 4096 + 2 * 4096 * 1024 + 2 * 4096 * 21_504 + 2 * 4096 + 2 * 128 + 2;
        assert_eq!(parameters(apertus), 2 * 131_072 * 4096 + 32 * layer + 4096);
        let plain = apertus.replace("xielu", "silu");
        assert_eq!(parameters(&plain), parameters(apertus) - 32 * 2);
    }
}
