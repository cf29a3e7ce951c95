//! Llama and every `model_type` that has its block: grouped queries, a gated feed-forward layer, two norms.
//!
//! ```text
//! embed → L × [ norm → q, k, v → attend → out ] [ norm → gate, up → down ] → norm → head
//! ```
//!
//! They differ in which matrices have a bias.

use super::parts::{Heads, decoder, gated_mlp, pre_normed, rms_norm, tied};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &[
    "emu3_text_model",
    "ernie4_5",
    "exaone",
    "granite",
    "granite4_vision_text",
    "granite_docling_text",
    "internlm3",
    "iquestcoder",
    "llama",
    "paddleocr_vl_text",
    "seed_oss",
];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let heads = match c.model_type() {
        "seed_oss" => Heads::read_or(c, d, 8, Some(128))?,
        "ernie4_5" | "internlm3" | "paddleocr_vl_text" => Heads::read_or(c, d, 2, Some(128))?,
        "granite_docling_text" => Heads::read_or(c, d, 4, None)?,
        "iquestcoder" => Heads::read_or(c, d, 8, Some(128))?,
        "emu3_text_model" | "exaone" => Heads::read_or(c, d, 8, None)?,
        _ => Heads::read(c, d)?,
    };
    let bias = Biases::read(c)?;
    let ties = ["ernie4_5", "granite_docling_text", "paddleocr_vl_text"];
    let tied = tied(c, ties.contains(&c.model_type()))?;
    decoder(c, d, tied, rms_norm("model.norm", d), |_| {
        let attention = heads.attention(d, bias.qkv, bias.out, Mask::Causal);
        Ok(pre_normed(d, attention, gated_mlp(d, f, bias.mlp)))
    })
}

/// Which matrices have one.
struct Biases {
    qkv: bool,
    out: bool,
    mlp: bool,
}

impl Biases {
    fn read(c: &Config) -> Result<Self> {
        if matches!(c.model_type(), "ernie4_5" | "paddleocr_vl_text") {
            let all = c.flag("use_bias", false)?;
            return Ok(Self { qkv: all, out: all, mlp: all });
        }
        if c.model_type() == "internlm3" {
            return Self::of_internlm3(c);
        }
        let seed = c.model_type() == "seed_oss";
        let qkv = c.flag("attention_bias", seed)?;
        let out = if seed { c.flag("attention_out_bias", false)? } else { qkv };
        Ok(Self { qkv, out, mlp: c.flag("mlp_bias", false)? })
    }

    /// Two spellings of each; all matrices have one or none has.
    fn of_internlm3(c: &Config) -> Result<Self> {
        let either = |own, new| if c.has(own) { c.flag(own, false) } else { c.flag(new, false) };
        let attention = either("qkv_bias", "attention_bias")?;
        let mlp = either("bias", "mlp_bias")?;
        if attention != mlp {
            let fact = "attention and feed-forward layers of this type have biases both or neither";
            return Err(c.contradiction("qkv_bias", fact).hint("check `bias`"));
        }
        Ok(Self { qkv: attention, out: attention, mlp })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{error, model, notes};

    #[test]
    fn llama_2_7b_has_its_published_parameters() {
        // 2·32,000·4096 + 32·(4·4096² + 3·4096·11,008 + 2·4096) + 4096
        let model = model(
            r#"{"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32,
                "num_attention_heads": 32, "intermediate_size": 11008, "vocab_size": 32000}"#,
        );
        assert_eq!(model.parameters().total, 6_738_415_616);
    }

    #[test]
    fn ernie_4_5_0_3b_ties_its_head_unless_told_otherwise() {
        // 103,424·1024 + 18·(2·1024·2048 + 2·1024·256 + 3·1024·3072 + 2·1024) + 1024
        let model = model(
            r#"{"model_type": "ernie4_5", "hidden_size": 1024, "num_hidden_layers": 18,
                "num_attention_heads": 16, "intermediate_size": 3072, "vocab_size": 103424,
                "torch_dtype": "bfloat16"}"#,
        );
        assert_eq!(model.parameters().total, 360_748_032);
        // The class's own, and said so.
        assert_eq!(
            notes(&model, "ernie4_5"),
            ["`num_key_value_heads` 2", "`head_dim` 128", "`tie_word_embeddings` true"]
        );
    }

    #[test]
    fn seed_oss_has_biases_of_queries_keys_and_values() {
        // 2·155,136·5120 + 64·(2·5120·10,240 + 2·5120·1024 + 12,288 + 3·5120·27,648 + 2·5120) + 5120
        let model = model(
            r#"{"model_type": "seed_oss", "hidden_size": 5120, "num_hidden_layers": 64,
                "num_attention_heads": 80, "num_key_value_heads": 8, "head_dim": 128,
                "intermediate_size": 27648, "vocab_size": 155136}"#,
        );
        assert_eq!(model.parameters().total, 36_151_104_512);
    }

    #[test]
    fn heads_that_do_not_share_evenly_are_refused() {
        let config = r#"{"model_type": "granite", "hidden_size": 60, "num_hidden_layers": 1,
            "num_attention_heads": 6, "num_key_value_heads": 4, "intermediate_size": 92,
            "vocab_size": 131}"#;
        assert_eq!(
            error(config),
            "`num_key_value_heads`: 6 query heads cannot share 4 key/value heads evenly; \
             check `num_attention_heads`"
        );
    }
}
