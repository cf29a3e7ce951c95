//! Nemotron (Nemotron-4, Minitron), Arcee, Jais 2 and the text part of Cosmos 3 Edge: Llama's attention before an ungated feed-forward layer of
//! squared ReLUs.
//!
//! ```text
//! embed → L × [ norm → q, k, v → attend → out ] [ norm → up → down ] → norm → head
//! ```
//!
//! Nemotron's and Jais' norms have biases, the others' are root mean squares without. Jais 2 has biases in its
//! matrices, too, unless told otherwise.

use super::parts::{Heads, decoder, layer_norm, plain_mlp, rms_norm, tied};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["arcee", "cosmos3_edge_text", "jais2", "nemotron"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let jais = c.model_type() == "jais2";
    let d = c.size("hidden_size")?;
    let cosmos = c.model_type() == "cosmos3_edge_text";
    let heads = if cosmos { Heads::read_or(c, d, 8, Some(128))? } else { Heads::read(c, d)? };
    let f = c.size("intermediate_size")?;
    let bias = c.flag("attention_bias", jais)?;
    let mlp_bias = c.flag("mlp_bias", jais)?;
    let norm = |module| match c.model_type() {
        "arcee" | "cosmos3_edge_text" => rms_norm(module, d),
        _ => layer_norm(module, d, true),
    };
    decoder(c, d, tied(c, false)?, norm("model.norm"), |_| {
        let mut ops = vec![norm("input_layernorm")];
        ops.extend(heads.attention(d, bias, bias, Mask::Causal));
        ops.push(norm("post_attention_layernorm"));
        ops.extend(plain_mlp(d, f, mlp_bias));
        Ok(ops)
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, parameters};

    const MINITRON_8B: &str = r#"{"model_type": "nemotron", "hidden_size": 4096,
        "num_hidden_layers": 32, "num_attention_heads": 48, "num_key_value_heads": 48,
        "head_dim": 128, "intermediate_size": 16384, "vocab_size": 256000}"#;

    #[test]
    fn heads_may_be_wider_than_the_model() {
        // Embedding and head 2·256000·4096. A layer: norms 2·8192, attention 4·4096·6144, mlp
        // 2·4096·16384. Last norm 8192.
        assert_eq!(
            parameters(MINITRON_8B),
            2_097_152_000 + 32 * (16_384 + 100_663_296 + 134_217_728) + 8192
        );
    }

    #[test]
    fn arcee_has_norms_without_biases() {
        // AFM-4.5B's shape. Embedding and head 2·128004·2560. A layer: norms 2·2560, attention
        // (20 + 4 + 4 + 20)·128·2560, mlp 2·2560·18432. Last norm 2560.
        let afm = r#"{"model_type": "arcee", "hidden_size": 2560, "num_hidden_layers": 36,
            "num_attention_heads": 20, "num_key_value_heads": 4, "head_dim": 128,
            "intermediate_size": 18432, "vocab_size": 128004, "tie_word_embeddings": false}"#;
        assert_eq!(parameters(afm), 655_380_480 + 36 * (5120 + 15_728_640 + 94_371_840) + 2560);
    }

    #[test]
    fn heads_that_do_not_share_evenly_are_errors() {
        assert_eq!(
            fact(&MINITRON_8B.replace(r#"value_heads": 48"#, r#"value_heads": 7"#)),
            "`num_key_value_heads`: 48 query heads cannot share 7 key/value heads evenly"
        );
    }
}
