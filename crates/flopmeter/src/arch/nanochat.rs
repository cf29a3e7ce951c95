//! nanochat: Llama's attention before an ungated feed-forward layer, with norms that have no parameters.
//!
//! ```text
//! embed → norm → L × [ norm → q, k, v → norms of q, k → attend → out ] [ norm → fc1 → fc2 ] → norm → head
//! ```

use super::parts::{Heads, decoder, mlp, pre_normed, rms_norm, tied};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["nanochat"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let heads = Heads::read(c, d)?;
    let bias = c.flag("attention_bias", false)?;
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", 0), |_| {
        let feed_forward = vec![mlp("mlp.fc1", d, f).into(), mlp("mlp.fc2", f, d).into()];
        Ok(pre_normed(0, heads.attention(d, bias, bias, Mask::Causal), feed_forward))
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::parameters;

    #[test]
    fn nanochat_d20_has_the_parameters_of_its_matrices() {
        // 2·65,536·1280 + 20·(4·1280² + 2·1280·5120)
        let d20 = r#"{"model_type": "nanochat", "hidden_size": 1280, "num_hidden_layers": 20,
            "num_attention_heads": 10, "num_key_value_heads": 10, "intermediate_size": 5120,
            "vocab_size": 65536}"#;
        assert_eq!(parameters(d20), 560_988_160);
    }
}
