//! MiniCPM3 and Youtu: latent attention, as in DeepSeek-V2, before a gated feed-forward layer.
//!
//! ```text
//! embed → L × [ norm → queries, latent → attend → out ] [ norm → gate, up → down ] → norm → head
//! queries   q_a → norm → q_b, or q where they are not compressed
//! latent    kv_a → norm → one vector and one rotary key a token, which is all that is cached
//! attend    kv_b makes each head's keys and values from the vectors (see `op::Latent`)
//! ```
//!
//! The reference implementation expands every cached vector in every pass; what is needed is counted in the
//! cheaper of the two forms, pass by pass.

use super::deepseek::{LatentAttention, LatentDefaults};
use super::parts::{decoder, gated_mlp, pre_normed, rms_norm, tied};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;

pub(super) const MODEL_TYPES: &[&str] = &["minicpm3", "youtu"];

const MINICPM3: LatentDefaults =
    LatentDefaults { nope: 64, rope: 32, value: None, rank: 256, query_rank: Some(768) };

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    // It scales what the head reads.
    c.raw("dim_model_base");
    let f = c.size("intermediate_size")?;
    let (attention, bias) = match c.model_type() {
        "minicpm3" => (LatentAttention::read_or(c, d, &MINICPM3)?, c.flag("mlp_bias", false)?),
        _ => (LatentAttention::read(c, d)?, false),
    };
    decoder(c, d, tied(c, true)?, rms_norm("model.norm", d), |_| {
        Ok(pre_normed(d, attention.ops(), gated_mlp(d, f, bias)))
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::parameters;

    const MINICPM3_4B: &str = r#"{"model_type": "minicpm3", "hidden_size": 2560,
        "num_hidden_layers": 62, "num_attention_heads": 40, "num_key_value_heads": 40,
        "intermediate_size": 6400, "vocab_size": 73448, "q_lora_rank": 768, "kv_lora_rank": 256,
        "qk_nope_head_dim": 64, "qk_rope_head_dim": 32}"#;

    #[test]
    fn minicpm3_4b_has_the_parameters_of_its_matrices_and_norms() {
        // q_a 2560·768, norm 768, q_b 768·40·96, kv_a 2560·288, norm 256, kv_b 256·40·128, out 2560²
        let attention: u128 =
            2560 * 768 + 768 + 768 * 40 * 96 + 2560 * 288 + 256 + 256 * 40 * 128 + 2560 * 2560;
        let layer = attention + 3 * 2560 * 6400 + 2 * 2560;
        assert_eq!(parameters(MINICPM3_4B), 73_448 * 2560 + 62 * layer + 2560);
    }

    #[test]
    fn youtu_2b_has_the_widths_of_deepseek_unless_told_otherwise() {
        let youtu = r#"{"model_type": "youtu", "hidden_size": 2048, "num_hidden_layers": 32,
            "num_attention_heads": 16, "num_key_value_heads": 16, "intermediate_size": 6144,
            "vocab_size": 128256}"#;
        // q_a 2048·1536, norm 1536, q_b 1536·16·192, kv_a 2048·576, norm 512, kv_b 512·16·256,
        // out 2048²
        let attention: u128 =
            2048 * 1536 + 1536 + 1536 * 16 * 192 + 2048 * 576 + 512 + 512 * 16 * 256 + 2048 * 2048;
        let layer = attention + 3 * 2048 * 6144 + 2 * 2048;
        assert_eq!(parameters(youtu), 128_256 * 2048 + 32 * layer + 2048);
    }
}
