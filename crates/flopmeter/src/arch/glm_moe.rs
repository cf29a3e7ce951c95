//! GLM-4.5, the text part of GLM-4.5V, Sarvam-30B and Solar Open: grouped queries, and DeepSeek's feed-forward layers.
//!
//! ```text
//! embed → L × [ norm → q, k, v → attend → out ] [ norm → feed-forward ] → norm → head
//! feed-forward  dense in the first layers, then router → k of E × (gate, up → down) + shared (gate, up → down)
//! ```
//!
//! The largest norms each head's query and key. As in DeepSeek-V3, the router has a correction,
//! which is a buffer and no parameter. No layer of Solar Open is dense.

use super::experts::DenseFirst;
use super::feed_forward::{CORRECTION, FeedForward};
use super::parts::{
    Heads, decoder, head_norms, note_prediction_layers, pre_normed, rms_norm, tied, with_norms,
};
use super::prediction::with_prediction_layers;
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["glm4_moe", "glm4v_moe_text", "sarvam_moe", "solar_open"];

pub(super) fn build(c: &Config) -> Result<Model> {
    note_prediction_layers(c)?;
    if c.model_type() == "solar_open" {
        return solar(c);
    }
    let d = c.size("hidden_size")?;
    let sarvam = c.model_type() == "sarvam_moe";
    let heads =
        if sarvam { Heads::read_or(c, d, 4, Some(64))? } else { Heads::read_or(c, d, 8, None)? };
    // Its first files have another name for it.
    let qkv_bias = sarvam && c.flag("use_qkv_bias", false)?;
    let vision = c.model_type() == "glm4v_moe_text";
    let bias = c.flag("attention_bias", vision || qkv_bias)?;
    let normed = !vision && c.flag("use_qk_norm", sarvam)?;
    let ffn = DenseFirst::read(c, 1, 1)?.corrected();
    let layer = |layer| {
        let mut attention = heads.attention(d, bias, false, Mask::Causal);
        if normed {
            attention = with_norms(attention, head_norms(&heads));
        }
        pre_normed(d, attention, ffn.layer(layer, d, false))
    };
    let model = decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |at| Ok(layer(at)))?;
    with_prediction_layers(c, model, d, layer(u64::MAX))
}

fn solar(c: &Config) -> Result<Model> {
    // Its files carry the keys of dense layers and of norms that the model does not have.
    if let Some(count) = c.count("first_k_dense_replace")?.filter(|count| *count > 0) {
        let fact = format!("is {count}, but the model has no dense layers");
        return Err(c.contradiction("first_k_dense_replace", &fact));
    }
    if c.flag("use_qk_norm", false)? {
        return Err(c.contradiction("use_qk_norm", "is true, but the model has no such norms"));
    }
    let _of_no_layer = c.raw("intermediate_size");
    let d = c.size("hidden_size")?;
    let heads = Heads::read_or(c, d, 8, Some(128))?;
    let bias = c.flag("attention_bias", false)?;
    let ffn = FeedForward::all_sparse(c, "n_routed_experts")?
        .sharing(c, "n_shared_experts", 1)?
        .corrected(CORRECTION);
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |_| {
        let attention = heads.attention(d, bias, false, Mask::Causal);
        Ok(pre_normed(d, attention, ffn.layer(true, d, false)))
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model, parameters};

    /// GLM-4.5-Air.
    const AIR: &str = r#"{"model_type": "glm4_moe", "attention_bias": true,
        "first_k_dense_replace": 1, "head_dim": 128, "hidden_size": 4096,
        "intermediate_size": 10944, "moe_intermediate_size": 1408, "n_routed_experts": 128,
        "n_shared_experts": 1, "num_attention_heads": 96, "num_experts_per_tok": 8,
        "num_hidden_layers": 46, "num_key_value_heads": 8, "num_nextn_predict_layers": 1,
        "tie_word_embeddings": false, "use_qk_norm": false, "vocab_size": 151552}"#;

    #[test]
    fn air_has_as_many_parameters_as_its_reference_implementation() {
        // Attention 2·4096·(12288 + 1024) + 12288 + 2·1024 and two norms of 4096, 46 times; one
        // dense layer of 3·4096·10944, 45 of 4096·128 + 129·3·4096·1408; 2·151552·4096, a norm.
        let attention: u128 = 2 * 4096 * 13_312 + 12_288 + 2048 + 2 * 4096;
        let (dense, routed) = (3 * 4096 * 10_944, 4096 * 128 + 129 * 3 * 4096 * 1408);
        let total = 46 * attention + dense + 45 * routed + 2 * 151_552 * 4096 + 4096;
        assert_eq!(total, 106_852_245_504);
        let air = model(AIR);
        assert_eq!(air.parameters().total, total);
        assert!(air.unread().is_empty());
        let left_out = "layers that predict further tokens are left out of the model (`num_nextn_predict_layers`: 1)";
        assert!(air.notes().iter().any(|note| note == left_out));
    }

    #[test]
    fn norms_of_queries_and_keys_are_a_switch() {
        let normed = AIR.replace("qk_norm\": false", "qk_norm\": true");
        assert_eq!(parameters(&normed), 106_852_245_504 + 46 * 2 * 128);
    }

    #[test]
    fn a_negative_number_of_dense_layers_is_an_fact() {
        let negative = AIR.replace("replace\": 1", "replace\": -1");
        assert_eq!(
            fact(&negative),
            "`first_k_dense_replace`: is -1, not a whole number from zero up"
        );
    }

    #[test]
    fn solar_open_has_the_parameters_that_its_name_states() {
        // 48 of 2·4096·(8192 + 1024) + 4096·128 + 129·3·4096·1280 + 2·4096, 2·196608·4096 and a
        // norm: 102.6 billion.
        let layer: u128 = 2 * 4096 * 9216 + 4096 * 128 + 129 * 3 * 4096 * 1280 + 2 * 4096;
        let solar = r#"{"model_type": "solar_open", "hidden_size": 4096, "head_dim": 128,
            "intermediate_size": 10240, "moe_intermediate_size": 1280, "num_attention_heads": 64,
            "num_key_value_heads": 8, "num_hidden_layers": 48, "n_routed_experts": 128,
            "n_shared_experts": 1, "num_experts_per_tok": 8, "first_k_dense_replace": 0,
            "use_qk_norm": false, "vocab_size": 196608, "torch_dtype": "bfloat16",
            "tie_word_embeddings": false}"#;
        let open = model(solar);
        assert_eq!(open.parameters().total, 48 * layer + 2 * 196_608 * 4096 + 4096);
        assert!(open.unread().is_empty() && open.notes().is_empty());
        assert_eq!(
            fact(&solar.replace("replace\": 0", "replace\": 2")),
            "`first_k_dense_replace`: is 2, but the model has no dense layers"
        );
    }
}
