//! Chameleon: Llama's block with a norm of every single head's queries and keys. Images are tokens like any other;
//! what makes tokens of them is not counted.
//!
//! ```text
//! embed → L × [ norm → q, k, v → norms of q, k → attend → out ] [ norm → gate, up → down ] → norm → head
//! ```
//!
//! With `swin_norm` the norms stand behind each half, which changes no count.

use super::parts::{Heads, decoder, gated_mlp, layer_norm, note_other_parts, pre_normed, rms_norm};
use super::parts::{tied, with_norms};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["chameleon"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let heads = Heads::read_or(c, d, 32, None)?;
    let bias = c.flag("attention_bias", false)?;
    let mlp_bias = c.flag("mlp_bias", false)?;
    note_other_parts(c);
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |_| {
        let norms = [
            layer_norm("self_attn.q_norm", heads.query_width(), true),
            layer_norm("self_attn.k_norm", heads.kv_width(), true),
        ];
        let attention = with_norms(heads.attention(d, bias, bias, Mask::Causal), norms);
        Ok(pre_normed(d, attention, gated_mlp(d, f, mlp_bias)))
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::model;

    #[test]
    fn chameleon_7b_has_the_parameters_of_its_sizes() {
        // 2·65,536·4096 + 32·(4·4096² + 3·4096·11,008 + 2·4096 + 2·2·4096) + 4096: 7.04 billion.
        let layer: u128 = 4 * 4096 * 4096 + 3 * 4096 * 11_008 + 2 * 4096 + 4 * 4096;
        let chameleon = model(
            r#"{"model_type": "chameleon", "hidden_size": 4096, "intermediate_size": 11008,
                "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 32,
                "vocab_size": 65536, "tie_word_embeddings": false, "vq_config": {}}"#,
        );
        assert_eq!(chameleon.parameters().total, 2 * 65_536 * 4096 + 32 * layer + 4096);
        let left_out = "only the text part is counted, without `vq_config`";
        assert!(chameleon.notes().iter().any(|note| note == left_out), "{:?}", chameleon.notes());
    }
}
