//! OLMoE, FlexOlmo and MiniMax-M2: Mixtral's block with norms over all queries and over all keys.
//!
//! ```text
//! embed → L × [ norm → q, k, v → norm q, norm k → attend → out ] [ norm → router → k of E × (gate, up → down) ] → norm → head
//! ```
//!
//! FlexOlmo norms what comes out of each half instead of what goes in, as OLMo 2 does.
//! The router of MiniMax-M2 has a correction for each expert. It is a buffer and no parameter, as
//! in DeepSeek-V3.

use super::experts::{self, IN_MLP};
use super::mixtral::BLOCK_SPARSE;
use super::parts::{Heads, decoder, note_prediction_layers, rms_norm, tied, with_norms};
use super::parts::{post_normed, pre_normed};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["olmoe", "flex_olmo", "minimax_m2"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let (heads, names, bias, total) = if c.model_type() != "minimax_m2" {
        let bias = c.flag("attention_bias", false)?;
        (Heads::read(c, d)?, IN_MLP, bias, "num_experts")
    } else {
        no_shared_expert(c)?;
        note_prediction_layers(c)?;
        (Heads::read_or(c, d, 8, Some(128))?, BLOCK_SPARSE, false, "num_local_experts")
    };
    let block = if c.model_type() == "flex_olmo" { post_normed } else { pre_normed };
    let corrected = c.model_type() == "minimax_m2";
    let experts = experts::read(c, total, "num_experts_per_tok")?;
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |_| {
        let norms = [
            rms_norm("self_attn.q_norm", heads.query_width()),
            rms_norm("self_attn.k_norm", heads.kv_width()),
        ];
        let attention = with_norms(heads.attention(d, bias, bias, Mask::Causal), norms);
        let mut mixture = experts::mixture(names, d, f, experts);
        if corrected {
            mixture.push(experts::correction("block_sparse_moe.e_score_correction_bias", experts));
        }
        Ok(block(d, attention, mixture))
    })
}

/// MiniMax-M2's files carry the key of a shared expert that the model does not have.
fn no_shared_expert(c: &Config) -> Result<()> {
    match c.count("shared_intermediate_size")? {
        None | Some(0) => Ok(()),
        Some(width) => Err(c.contradiction(
            "shared_intermediate_size",
            &format!("is {width}, but the model has no shared expert"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, parameters};

    #[test]
    fn olmoe_has_as_many_parameters_as_published() {
        // A layer: attention 4·2048², q and k norms 2·2048, router 2048·64, experts 64·3·2048·1024,
        // norms 2·2048: 419,569,664. 16 of them, 2·50304·2048 and a norm.
        let olmoe = r#"{"model_type": "olmoe", "hidden_size": 2048, "intermediate_size": 1024,
            "num_hidden_layers": 16, "num_experts": 64, "num_experts_per_tok": 8,
            "num_attention_heads": 16, "num_key_value_heads": 16, "vocab_size": 50304,
            "tie_word_embeddings": false}"#;
        assert_eq!(parameters(olmoe), 16 * 419_569_664 + 2 * 50_304 * 2048 + 2048);
        assert_eq!(parameters(olmoe), 6_919_161_856);
    }

    #[test]
    fn a_shared_expert_that_is_not_counted_is_an_fact() {
        let minimax = r#"{"model_type": "minimax_m2", "hidden_size": 64, "intermediate_size": 32,
            "num_hidden_layers": 2, "num_local_experts": 4, "num_experts_per_tok": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 100,
            "shared_intermediate_size": 48}"#;
        assert_eq!(
            fact(minimax),
            "`shared_intermediate_size`: is 48, but the model has no shared expert"
        );
    }
}
