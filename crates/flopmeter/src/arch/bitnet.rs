//! BitNet: Llama's block with a norm before each half's last product.
//!
//! ```text
//! embed → L × [ norm → q, k, v → attend → norm → out ] [ norm → gate, up → norm → down ] → norm → head
//! ```
//!
//! Its matrices are of -1, 0 and 1. A product with one is counted like any other: what it needs is a
//! multiplication and an addition for every element, whatever the kernel makes of them.

use super::parts::{Heads, decoder, mlp, pre_normed, projection, rms_norm, tied};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["bitnet"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let heads = Heads::read_or(c, d, 5, None)?;
    let (q, kv) = (heads.query_width(), heads.kv_width());
    if q != d {
        // The norm before the output projection has the model's width.
        let fact = format!("{} heads of {} do not make the width {d}", heads.query, heads.dim);
        return Err(c.contradiction("head_dim", &fact).hint("check `num_attention_heads`"));
    }
    let bias = c.flag("attention_bias", false)?;
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |_| {
        let attention = vec![
            projection("self_attn.q_proj", d, q).bias(bias).into(),
            projection("self_attn.k_proj", d, kv).bias(bias).into(),
            projection("self_attn.v_proj", d, kv).bias(bias).into(),
            heads.attend(Mask::Causal),
            rms_norm("self_attn.attn_sub_norm", d),
            projection("self_attn.o_proj", q, d).bias(bias).into(),
        ];
        let feed_forward = vec![
            mlp("mlp.gate_proj", d, f).into(),
            mlp("mlp.up_proj", d, f).into(),
            rms_norm("mlp.ffn_sub_norm", f),
            mlp("mlp.down_proj", f, d).into(),
        ];
        Ok(pre_normed(d, attention, feed_forward))
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{error, parameters};

    const BITNET_2B: &str = r#"{"model_type": "bitnet", "hidden_size": 2560, "num_hidden_layers": 30,
        "num_attention_heads": 20, "num_key_value_heads": 5, "intermediate_size": 6912,
        "vocab_size": 128256, "tie_word_embeddings": true}"#;

    #[test]
    fn bitnet_b1_58_2b_has_the_parameters_of_its_matrices_and_norms() {
        // 128,256·2560 + 30·(2·2560² + 2·2560·640 + 3·2560·6912 + 3·2560 + 6912) + 2560
        let layer: u128 = 2 * 2560 * 2560 + 2 * 2560 * 640 + 3 * 2560 * 6912 + 3 * 2560 + 6912;
        assert_eq!(parameters(BITNET_2B), 128_256 * 2560 + 30 * layer + 2560);
    }

    #[test]
    fn heads_that_do_not_make_the_width_are_refused() {
        let narrow = BITNET_2B.replacen('{', r#"{"head_dim": 64, "#, 1);
        assert!(
            error(&narrow).starts_with("`head_dim`: 20 heads of 64 do not make the width 2560")
        );
    }
}
